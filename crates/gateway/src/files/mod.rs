//! Static files of a folder (RFC 9110: conditional and range requests, content negotiation).
//!
//! All work on the file system happens on the runtime's blocking threads: one hop per request
//! finds, opens and, for what fits into a chunk, reads the file; longer ones cost one more hop per
//! chunk. A slow disk so never holds up the other connections of a core.

mod body;
mod conditions;
mod folder;
mod path;
mod types;

use std::io;
use std::path::Path;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use traffic::{Fields, Name};

pub(crate) use body::FileBody;
use conditions::{Outcome, Version};
use folder::{Folder, Found, OpenError, Opened};

use crate::compress::{self, token};
use crate::edit::add_vary;
use crate::params;

/// What may not stand in a path (RFC 3986 section 3.3). `%` stays, as paths are encoded already.
const NOT_IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The files of a folder.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    folder: Arc<Folder>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileRequest<'a> {
    /// The method.
    pub(crate) method: &'a str,
    /// The path below the folder: normalised, percent-encoded, beginning with `/`.
    pub(crate) path: &'a str,
    /// The query without its `?`.
    pub(crate) query: Option<&'a str>,
    /// The fields of the request.
    pub(crate) fields: &'a Fields,
}

/// An answer. Its fields hold no `Content-Length`: the body tells.
#[derive(Debug)]
pub(crate) struct FileAnswer {
    /// 200, 206, 301, 304, 403, 404, 405, 412, 416 or 500.
    pub(crate) status: u16,
    /// Its fields.
    pub(crate) fields: Fields,
    /// Its body. Errors have none, but for the page for what is not there.
    pub(crate) body: FileBody,
}

impl Files {
    /// Opens a folder. Nothing of it is read yet.
    ///
    /// # Errors
    /// When it is not there or no folder.
    pub(crate) fn open(params: &params::Files) -> io::Result<Files> {
        Ok(Files { folder: Arc::new(Folder::open(params)?) })
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, request: FileRequest<'_>) -> FileAnswer {
        if !matches!(request.method, "GET" | "HEAD") {
            let mut answer = FileAnswer::empty(405);
            answer.fields.push(b"Allow", b"GET, HEAD");
            return answer;
        }
        let head = request.method == "HEAD";
        let (path, query) = (request.path.to_owned(), request.query.map(str::to_owned));
        let (folder, fields) = (Arc::clone(&self.folder), request.fields.clone());
        let answer = move || folder.answer(head, &path, query.as_deref(), &fields);
        // The other outcome is a panic in there, or a runtime that shuts down.
        tokio::task::spawn_blocking(answer).await.unwrap_or_else(|_| FileAnswer::empty(500))
    }
}

impl FileAnswer {
    fn empty(status: u16) -> FileAnswer {
        FileAnswer { status, fields: Fields::new(), body: FileBody::empty(0) }
    }
}

impl Folder {
    /// Answers a GET or HEAD request; blocks.
    fn answer(&self, head: bool, path: &str, query: Option<&str>, fields: &Fields) -> FileAnswer {
        let found = match path::relative(path) {
            Some(relative) => self.find(&relative, path.ends_with('/')),
            None => Err(OpenError::Absent),
        };
        match found {
            Ok(Found::File { opened, path }) => self.serve(head, opened, &path, fields),
            Ok(Found::Folder) => moved(path, query),
            Err(OpenError::Absent) => self.absent(head),
            Err(OpenError::Forbidden) => FileAnswer::empty(403),
            Err(OpenError::Failed) => FileAnswer::empty(500),
        }
    }

    /// A file, or its compressed sibling when the client would rather have that.
    fn serve(&self, head: bool, plain: Opened, path: &Path, request: &Fields) -> FileAnswer {
        let sibling = self.compressed(path, |codings| compress::preferred(codings, request));
        let (coding, opened) = match sibling {
            Some((coding, opened)) => (Some(coding), opened),
            None => (None, plain),
        };
        let version = Version::of(&opened, coding);
        let mut answer = FileAnswer::empty(200);
        let fields = &mut answer.fields;
        fields.push_known(Name::ETag, version.etag.as_bytes());
        if let Some(date) = version.last_modified() {
            fields.push_known(Name::LastModified, date.as_bytes());
        }
        if self.precompressed() {
            add_vary(fields, "Accept-Encoding");
        }
        let outcome = conditions::evaluate(head, request, &version);
        match outcome {
            Outcome::NotModified => {
                answer.status = 304;
                answer.body = FileBody::empty(version.len);
                return answer;
            }
            Outcome::Failed => {
                answer.status = 412;
                return answer;
            }
            Outcome::OutOfRange => {
                answer.status = 416;
                let range = format!("bytes */{}", version.len);
                answer.fields.push_known(Name::ContentRange, range.as_bytes());
                return answer;
            }
            Outcome::Whole | Outcome::Part { .. } => {}
        }
        describe(fields, path);
        fields.push_known(Name::AcceptRanges, b"bytes");
        if let Some(coding) = coding {
            fields.push_known(Name::ContentEncoding, token(coding).as_bytes());
        }
        let (from, len) = match outcome {
            Outcome::Part { first, last } => {
                let range = format!("bytes {first}-{last}/{}", version.len);
                fields.push_known(Name::ContentRange, range.as_bytes());
                answer.status = 206;
                (first, last - first + 1)
            }
            _ => (0, version.len),
        };
        fill(&mut answer, head, opened, from, len);
        answer
    }

    /// The answer for what is not there, with the page for it where there is one.
    fn absent(&self, head: bool) -> FileAnswer {
        let mut answer = FileAnswer::empty(404);
        if let Some((opened, path)) = self.not_found_page() {
            describe(&mut answer.fields, &path);
            let len = opened.len;
            fill(&mut answer, head, opened, 0, len);
        }
        answer
    }
}

/// Tells the type, which browsers shall not guess.
fn describe(fields: &mut Fields, path: &Path) {
    fields.push_known(Name::ContentType, types::content_type(path).as_bytes());
    fields.push(b"X-Content-Type-Options", b"nosniff");
}

fn fill(answer: &mut FileAnswer, head: bool, opened: Opened, from: u64, len: u64) {
    if head {
        answer.body = FileBody::empty(len);
        return;
    }
    match FileBody::of(opened.file, from, len) {
        Ok(body) => answer.body = body,
        Err(_) => *answer = FileAnswer::empty(500),
    }
}

/// Sends the client to the folder's own path, which ends with a slash. The target is relative, so
/// that it is right whatever prefix was cut off on the way here.
fn moved(path: &str, query: Option<&str>) -> FileAnswer {
    let mut answer = FileAnswer::empty(301);
    let name = path.rsplit('/').next().unwrap_or_default();
    // `./` keeps a name with a colon from being taken for a scheme.
    let mut location = format!("./{}/", utf8_percent_encode(name, NOT_IN_PATH));
    if let Some(query) = query {
        location.push('?');
        location.extend(utf8_percent_encode(query, CONTROLS));
    }
    answer.fields.push_known(Name::Location, location.as_bytes());
    answer
}

#[cfg(test)]
mod tests;

//! The log formats. Adding one = a file beside this with `is_meant` and `parse`, a variant of
//! [`Format`], its lines in [`Parser`] and its tests.
//!
//! A format turns the pieces of a line into [`Field`]s of a [`Draft`], whose texts borrow from the
//! line; what they mean is told in one place ([`field`]), escapes are taken back in another
//! ([`escape`]), only where there are any.

mod clf;
mod docker;
mod elb;
mod envoy;
mod escape;
mod extras;
pub(crate) mod field;
mod haproxy;
mod json;
pub(crate) mod layout;
mod logfmt;
mod names;
mod prefix;
pub(crate) mod request;
mod s3;
mod spelling;
mod squid;
pub(crate) mod table;
pub(crate) mod tidegate;
mod uwsgi;

use crate::{LINE_BYTES_MAX, Record, RejectReason, blocks::without_mark, time::Clock};
use escape::Escape;
use field::Draft;
use layout::Layout;
use names::Names;
use std::sync::Arc;
use table::Headers;

/// A log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A layout that was given: of nginx, Apache or GoAccess.
    Layout,
    /// tidegate's own: a JSON object per line with every field of a hit.
    TidegateJson,
    /// JSON lines of other servers, by the names of their keys.
    Json,
    /// W3C extended log format: columns named by `#Fields:`; IIS, CloudFront, Zeek.
    W3c,
    /// CSV or TSV whose first line names the columns; Google Cloud Storage.
    Csv,
    /// The common log format followed by quoted referrer and user agent, with a virtual host in
    /// front.
    HostCombined,
    /// The common log format followed by quoted referrer and user agent; nginx's default.
    Combined,
    /// The common log format with a virtual host in front.
    HostCommon,
    /// The common log format of the CERN and NCSA servers:
    /// `client identity user [time] "request" status size`.
    Common,
    /// AWS classic and application load balancers.
    Elb,
    /// Amazon S3 server access logs.
    S3,
    /// HAProxy's HTTP log.
    Haproxy,
    /// Squid's native log.
    Squid,
    /// Envoy's default text format, and Istio's.
    Envoy,
    /// uWSGI's request log.
    Uwsgi,
    /// `key=value` pairs.
    Logfmt,
}

impl Format {
    /// Every format, in the order of declaration.
    pub const ALL: [Self; 16] = [
        Self::Layout,
        Self::TidegateJson,
        Self::Json,
        Self::W3c,
        Self::Csv,
        Self::HostCombined,
        Self::Combined,
        Self::HostCommon,
        Self::Common,
        Self::Elb,
        Self::S3,
        Self::Haproxy,
        Self::Squid,
        Self::Envoy,
        Self::Uwsgi,
        Self::Logfmt,
    ];

    /// The name that people use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Layout => "layout",
            Self::TidegateJson => "tidegate-json",
            Self::Json => "json",
            Self::W3c => "w3c",
            Self::Csv => "csv",
            Self::HostCombined => "vhost-combined",
            Self::Combined => "combined",
            Self::HostCommon => "vhost-common",
            Self::Common => "common",
            Self::Elb => "elb",
            Self::S3 => "s3",
            Self::Haproxy => "haproxy",
            Self::Squid => "squid",
            Self::Envoy => "envoy",
            Self::Uwsgi => "uwsgi",
            Self::Logfmt => "logfmt",
        }
    }

    fn escape(self) -> Escape {
        match self {
            Self::TidegateJson => Escape::JsonBytes,
            Self::Json => Escape::Json,
            Self::Csv => Escape::DoubledQuote,
            Self::W3c => Escape::Plus,
            Self::Haproxy => Escape::Hash,
            Self::Squid | Self::Envoy => Escape::Nothing,
            _ => Escape::Backslash,
        }
    }
}

/// Reads lines of any format. What a line gives depends on the line, the layouts and the header in
/// force alone, not on the lines before: so it does not matter who reads which.
#[derive(Debug)]
pub(crate) struct Parser {
    formats: Formats,
    /// The last line that Docker's JSON carried.
    carried: Box<[u8]>,
    /// The last line that another carrier's JSON carried.
    message: Box<[u8]>,
    /// Texts of the last line whose escapes were taken back.
    room: Box<[u8]>,
}

/// What the formats need and remember.
#[derive(Debug)]
struct Formats {
    layouts: Arc<[Layout]>,
    clock: Clock,
    headers: Headers,
    names: Names,
    /// Keys on the way to a JSON value.
    path: Vec<u8>,
}

impl Parser {
    /// `zone_min` is the zone of times that do not tell theirs, in minutes east of UTC.
    pub(crate) fn new(layouts: Arc<[Layout]>, zone_min: i16) -> Self {
        let formats = Formats {
            layouts,
            clock: Clock::new(zone_min),
            headers: Headers::default(),
            names: Names::default(),
            path: Vec::new(),
        };
        let room = || vec![0; LINE_BYTES_MAX + 1].into_boxed_slice();
        Self { formats, carried: room(), message: room(), room: room() }
    }

    /// Takes over the headers of the place in the source where the next lines are.
    pub(crate) fn set_headers(&mut self, headers: Headers) {
        self.formats.headers = headers;
    }

    /// Whether the line is no record by intent: a comment or a header, which then is in force.
    pub(crate) fn is_directive(&mut self, line: &[u8]) -> bool {
        if line.first() == Some(&b'#') {
            self.formats.headers.pass(line);
            return true;
        }
        self.formats.headers.in_force.as_ref().is_some_and(|header| header.is(line))
    }

    /// The record that the line gives, and the format it was written in.
    pub(crate) fn parse<'a>(
        &'a mut self,
        line: &'a [u8],
    ) -> Result<(Format, Record<'a>), RejectReason> {
        let Self { formats, carried, message, room } = self;
        let mut line = content(line);
        if let Some(inner) = docker::carried(line) {
            line = content(docker::plain(inner, carried)?);
        }
        if line.is_empty() {
            return Err(RejectReason::EmptyLine);
        }
        let mut draft = Draft::new();
        let format = match (formats.read(line, &mut draft, true), draft.carried) {
            (Err(reason), Some(inner)) if reason != RejectReason::BadJson => {
                line = content(docker::plain(inner, message)?);
                draft = Draft::new();
                // What is no request in it is none in the carrier's JSON either.
                formats.read(line, &mut draft, true).map_err(|_| reason)?
            }
            (read, _) => read?,
        };
        draft.complete();
        let escape = draft.escape.unwrap_or_else(|| format.escape());
        if draft.query.is_none() && !escape.may_be_in(line) {
            return Ok((format, draft.record));
        }
        let plain = escape::plain(draft.record, draft.query, escape, room);
        plain.map(|record| (format, record)).ok_or(RejectReason::BadJson)
    }
}

impl Formats {
    /// Tries the formats that the line can be of, the one that asks for most first. The reason of a
    /// reject is that of the format that the line looks most like.
    fn read<'a>(
        &mut self,
        line: &'a [u8],
        draft: &mut Draft<'a>,
        may_have_prefix: bool,
    ) -> Result<Format, RejectReason> {
        let mut first_reason = None;
        for layout in self.layouts.iter() {
            match layout.parse(line, draft, &mut self.clock) {
                Ok(()) => return Ok(Format::Layout),
                Err(reason) => first_reason = first_reason.or(Some(reason)),
            }
            *draft = Draft::new();
        }
        if let Some(header) = &self.headers.in_force {
            match header.row(line, draft, &mut self.clock) {
                Ok(()) => return Ok(if header.is_w3c { Format::W3c } else { Format::Csv }),
                Err(reason) => first_reason = first_reason.or(Some(reason)),
            }
            *draft = Draft::new();
        }
        let reason = match self.shaped(line, draft) {
            Ok(format) => return Ok(format),
            Err(reason) => reason,
        };
        let mut reason = reason;
        if may_have_prefix && let Some(inner) = prefix::strip(line) {
            *draft = Draft::new();
            match self.read(inner, draft, false) {
                Ok(format) => return Ok(format),
                Err(inner_reason) => reason = inner_reason,
            }
        }
        Err(first_reason.unwrap_or(reason))
    }

    /// Formats that tell themselves by their shape.
    fn shaped<'a>(
        &mut self,
        line: &'a [u8],
        draft: &mut Draft<'a>,
    ) -> Result<Format, RejectReason> {
        if json::is_meant(line) {
            let (names, path, clock) = (&mut self.names, &mut self.path, &mut self.clock);
            let mut walk = json::Walk { names, path, clock, misfit: None };
            walk.line(line, draft)?;
            let misfit = walk.misfit;
            self.require_request(draft).map_err(|reason| misfit.unwrap_or(reason))?;
            let is_ours = line.starts_with(b"{\"start\":");
            if let (true, Some(reason)) = (is_ours, misfit) {
                return Err(reason);
            }
            return Ok(if is_ours { Format::TidegateJson } else { Format::Json });
        }
        if uwsgi::is_meant(line) {
            return uwsgi::parse(line, draft, &mut self.clock).map(|()| Format::Uwsgi);
        }
        let reason = match clf::parse(line, draft, &mut self.clock) {
            Ok(format) => return Ok(format),
            Err(reason) => reason,
        };
        *draft = Draft::new();
        if haproxy::is_meant(line) {
            return haproxy::parse(line, draft, &mut self.clock).map(|()| Format::Haproxy);
        }
        if elb::is_meant(line) && elb::parse(line, draft, &mut self.clock).is_ok() {
            return Ok(Format::Elb);
        }
        *draft = Draft::new();
        if envoy::is_meant(line) {
            envoy::parse(line, draft, &mut self.clock)?;
            return self.require_request(draft).map(|()| Format::Envoy);
        }
        if squid::is_meant(line) {
            squid::parse(line, draft, &mut self.clock)?;
            return self.require_request(draft).map(|()| Format::Squid);
        }
        if let Some(bucket) = s3::bucket(line) {
            s3::parse(bucket, draft, &mut self.clock)?;
            return self.require_request(draft).map(|()| Format::S3);
        }
        if logfmt::is_meant(line) {
            logfmt::parse(line, &mut self.names, draft, &mut self.clock)?;
            return self.require_request(draft).map(|()| Format::Logfmt);
        }
        Err(reason)
    }

    /// Servers write other things than requests in the same notation; those have no request.
    fn require_request(&mut self, draft: &mut Draft<'_>) -> Result<(), RejectReason> {
        draft.settle_time(&mut self.clock, None)?;
        if draft.is_request() { Ok(()) } else { Err(RejectReason::NoRequestField) }
    }
}

/// The format of most lines of `sample`, the beginning of a log; `None` if no line parses. Where
/// two are equally common, the one declared first.
#[must_use]
pub fn detect(sample: &[u8]) -> Option<Format> {
    let mut parser = Parser::new(Arc::from([]), 0);
    parser.set_headers(Headers::of_sample(sample));
    let mut lines = [0_u64; Format::ALL.len()];
    for line in without_mark(sample).split(|byte| *byte == b'\n') {
        let line = line.get(..line.len().min(LINE_BYTES_MAX)).unwrap_or_default();
        if !parser.is_directive(line)
            && let Ok((format, _)) = parser.parse(line)
        {
            lines[format as usize] += 1;
        }
    }
    let most = *lines.iter().max()?;
    Format::ALL.into_iter().find(|format| most > 0 && lines[*format as usize] == most)
}

/// The line without its line end.
fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

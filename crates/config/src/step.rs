//! One request: method, target, headers, body, authentication.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderName, Method, header};
use load::scenario::{Body, Origin, Step};
use load::template::{Escape, Template};

use crate::compile::{CompiledTarget, Compiler};
use crate::errors::{Code, Problem};
use crate::expect;
use crate::read::{Node, Table, Text};

/// Largest file that is sent as a body, in bytes.
pub const BODY_FILE_BYTES_MAX: u64 = 64 << 20;

/// The keys that name a method, and the method.
pub(crate) const METHODS: [(&str, Method); 7] = [
    ("get", Method::GET),
    ("post", Method::POST),
    ("put", Method::PUT),
    ("patch", Method::PATCH),
    ("delete", Method::DELETE),
    ("head", Method::HEAD),
    ("options", Method::OPTIONS),
];

/// Every key of a step but `name`.
pub(crate) const STEP_KEYS: [&str; 19] = [
    "get",
    "post",
    "put",
    "patch",
    "delete",
    "head",
    "options",
    "method",
    "path",
    "headers",
    "query",
    "json",
    "form",
    "body",
    "body-file",
    "auth",
    "expect",
    "save",
    "timeout",
];

/// Header fields, in order.
pub(crate) type Headers = Vec<(HeaderName, Template)>;

/// What every step gets unless it says otherwise.
pub(crate) struct Defaults<'a> {
    /// The folder that file names are relative to.
    pub(crate) folder: &'a Path,
    /// The host of the file; credentials of `headers` go to it alone.
    pub(crate) origin: Option<Origin>,
    /// Headers of the whole scenario, authentication included.
    pub(crate) headers: Headers,
}

/// Who names the row of the report.
#[derive(Clone, Copy)]
pub(crate) enum Naming<'a> {
    /// The step stands in its task, whose name was read already.
    Inline(Option<Text<'a>>),
    /// The step is the only one of its task and has the task's name, unless it has its own.
    Only(Text<'a>),
    /// The step is one of several; its path comes after this prefix, unless it has a name.
    Prefix(&'a str),
}

/// A step, and the text of its request for a task without a name, such as `GET /`.
pub(crate) struct ReadStep {
    pub(crate) step: Step,
    pub(crate) shown: String,
}

/// Reads the keys of a step.
pub(crate) fn read_step<'a>(
    table: &mut Table<'a>,
    naming: Naming<'_>,
    compiler: &mut Compiler<'_>,
    defaults: &Defaults<'_>,
) -> Option<ReadStep> {
    // Everything is read before anything is given up, so that all errors are found.
    let name = match naming {
        Naming::Inline(name) => name,
        Naming::Only(_) | Naming::Prefix(_) => table.get("name").and_then(|node| node.text()),
    };
    let request = read_request(table, compiler);
    let headers =
        table.get("headers").map_or(Some(Vec::new()), |node| read_headers(&node, compiler));
    let auth = table.get("auth").map_or(Some(None), |node| read_auth(&node, compiler).map(Some));
    let query = table.get("query");
    let body = read_body(table, compiler, defaults.folder);
    let checks = table.get("expect").map_or(Some(Vec::new()), |node| expect::read(&node, compiler));
    let saves =
        table.get("save").map_or(Some(Vec::new()), |node| expect::read_saves(&node, compiler));
    let timeout = table.get("timeout").and_then(|node| node.duration());

    let mut headers = headers?;
    if let Some(Some(auth)) = auth {
        add_auth(table, &mut headers, auth);
    }
    let (body, content_type) = body?;
    let (method, mut target) = request?;
    if let Some(query) = query {
        let first = if target.has_query { "&" } else { "?" };
        compiler.push_pairs(&query, first, &mut target.compiled.template);
    }
    let CompiledTarget { origin, template, shown } = target.compiled;
    let row = match (name, naming) {
        (Some(name), _) | (None, Naming::Only(name)) => name.text.to_owned(),
        (None, Naming::Prefix(prefix)) if !prefix.is_empty() => format!("{prefix}: {shown}"),
        _ => shown.clone(),
    };
    Some(ReadStep {
        shown: format!("{method} {shown}"),
        step: Step {
            endpoint: compiler.endpoint(&row, &method),
            headers: join_headers(headers, content_type, origin.as_ref(), defaults),
            method,
            origin,
            target: template,
            body,
            checks: checks?,
            saves: saves?,
            timeout,
        },
    })
}

struct Target {
    compiled: CompiledTarget,
    has_query: bool,
}

fn read_request(table: &mut Table<'_>, compiler: &Compiler<'_>) -> Option<(Method, Target)> {
    let verb = table.one_of(&METHODS.each_ref().map(|(key, _)| *key));
    let (method, path) = (table.get("method"), table.get("path"));
    let (method, path) = match (verb, method, path) {
        (Some(verb), None, None) => {
            let (_, method) = METHODS.iter().find(|(key, _)| *key == verb.key.text)?;
            (Some(method.clone()), verb)
        }
        (Some(verb), Some(other), _) | (Some(verb), None, Some(other)) => {
            table.conflict(
                verb.key,
                other.key,
                "write either `get = \"/\"` or `method` and `path`",
            );
            return None;
        }
        (None, Some(method), Some(path)) => (read_method(&method), path),
        (None, None, None) => {
            let message = format!("{} has no request", table.what);
            compiler.sink.add(
                Problem::new(Code::MissingKey, message)
                    .at(Some(table.at), "no request here")
                    .help("add one, such as `get = \"/\"`"),
            );
            return None;
        }
        (None, _, _) => {
            table.required("method");
            table.required("path");
            return None;
        }
    };
    let text = path.text()?;
    let compiled = compiler.target(text)?;
    Some((method?, Target { compiled, has_query: text.text.contains('?') }))
}

fn read_method(node: &Node<'_>) -> Option<Method> {
    let text = node.text()?;
    let method = parse_method(text.text);
    if method.is_none() {
        let message = format!("`{}` is not a method that can be sent", text.text.escape_debug());
        let problem = node.problem(Code::BadMethod, message, "");
        node.sink.add(problem.help("use a name such as GET, POST or PROPFIND"));
    }
    method
}

/// A method by its name in any case; CONNECT is for proxies and cannot be sent.
pub(crate) fn parse_method(text: &str) -> Option<Method> {
    let method = Method::from_bytes(text.to_ascii_uppercase().as_bytes()).ok()?;
    (method != Method::CONNECT).then_some(method)
}

/// Reads a table of header fields.
pub(crate) fn read_headers(node: &Node<'_>, compiler: &Compiler<'_>) -> Option<Headers> {
    let mut headers: Headers = Vec::new();
    for entry in node.entries()? {
        let Some(field) = entry.text().and_then(|value| compiler.header(entry.key, value)) else {
            continue;
        };
        if headers.iter().any(|(known, _)| *known == field.0) {
            let message = format!("header `{}` is given twice", field.0);
            let problem =
                Problem::new(Code::DuplicateName, message).at(entry.key.at, "given again");
            node.sink
                .add(problem.help("names of header fields are the same in upper and lower case"));
            continue;
        }
        headers.push(field);
    }
    Some(headers)
}

/// Reads `{ basic = { user, password } }` or `{ bearer = "…" }` as an `Authorization` value.
pub(crate) fn read_auth(node: &Node<'_>, compiler: &Compiler<'_>) -> Option<Template> {
    node.table("`auth`", |table| {
        let kind = table.one_of(&["basic", "bearer"]);
        let Some(kind) = kind else {
            table.required("bearer");
            return None;
        };
        if kind.key.text == "bearer" {
            let text = kind.text()?;
            compiler.header(Text::of_flag("authorization"), text)?;
            let mut value = Template::literal("Bearer ");
            value.push(text.text, Escape::Header, &compiler.symbols).ok()?;
            return Some(value);
        }
        kind.table("`basic`", |basic| {
            let user = basic.required("user").and_then(|node| node.text());
            let password = basic.required("password").and_then(|node| node.text());
            let what = "basic authentication, which is encoded once";
            let help = "use `bearer`, or set `headers = { authorization = \"Basic {{account.encoded}}\" }` \
                        with credentials that are encoded in a data file";
            let user = user.and_then(|text| compiler.fixed(text, what, help).map(|user| (user, text)));
            let password = password.and_then(|text| compiler.fixed(text, what, help));
            let ((user, text), password) = (user?, password?);
            if user.contains(':') {
                // RFC 7617 §2.
                let message = "a user name of basic authentication cannot hold a colon";
                basic.sink.add(Problem::new(Code::BadHeader, message).at(text.at, ""));
                return None;
            }
            Some(Template::literal(basic_credentials(user, password)))
        })
    })
}

/// The `Authorization` value of basic authentication (RFC 7617).
pub(crate) fn basic_credentials(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
}

/// Adds `auth` to the headers beside it, which must not say the same.
pub(crate) fn add_auth(table: &mut Table<'_>, headers: &mut Headers, auth: Template) {
    if headers.iter().any(|(name, _)| *name == header::AUTHORIZATION) {
        if let (Some(first), Some(second)) = (table.get("headers"), table.get("auth")) {
            table.conflict(first.key, second.key, "`headers` already has `authorization`");
        }
        return;
    }
    headers.push((header::AUTHORIZATION, auth));
}

/// The headers of the scenario that the step does not override, its own, and the body's type.
fn join_headers(
    own: Headers,
    content_type: Option<&'static str>,
    origin: Option<&Origin>,
    defaults: &Defaults<'_>,
) -> Headers {
    // A step that goes elsewhere must not take the host's credentials along.
    let elsewhere =
        origin.is_some() && defaults.origin.is_some() && origin != defaults.origin.as_ref();
    let inherited = defaults.headers.iter().filter(|(name, _)| {
        let credential = *name == header::AUTHORIZATION || *name == header::COOKIE;
        let overridden = own.iter().any(|(known, _)| known == name);
        let withheld = elsewhere && credential;
        !(overridden || withheld)
    });
    let mut headers: Headers = inherited.cloned().collect();
    headers.extend(own);
    if let Some(content_type) = content_type
        && !headers.iter().any(|(name, _)| *name == header::CONTENT_TYPE)
    {
        headers.push((header::CONTENT_TYPE, Template::literal(content_type)));
    }
    headers
}

/// The body, and the content type that comes with its kind.
fn read_body(
    table: &mut Table<'_>,
    compiler: &Compiler<'_>,
    folder: &Path,
) -> Option<(Body, Option<&'static str>)> {
    let Some(node) = table.one_of(&["json", "form", "body", "body-file"]) else {
        return Some((Body::None, None));
    };
    let mut template = Template::default();
    match node.key.text {
        "json" => {
            compiler.push_json(&node, &mut template);
            Some((Body::Template(template), Some("application/json")))
        }
        "form" => {
            compiler.push_pairs(&node, "", &mut template);
            Some((Body::Template(template), Some("application/x-www-form-urlencoded")))
        }
        "body" => Some((Body::Template(compiler.template(node.text()?, Escape::None)?), None)),
        _ => {
            let path = folder.join(node.text()?.text);
            let bytes = read_limited(&path, BODY_FILE_BYTES_MAX)
                .map_err(|message| node.sink.add(node.problem(Code::UnreadableFile, message, "")))
                .ok()?;
            Some((Body::Bytes(bytes.into()), None))
        }
    }
}

/// Reads a file of at most `max` bytes.
///
/// # Errors
/// What went wrong, with the name of the file.
pub(crate) fn read_limited(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let name = path.display();
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(max + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {name}: {error}"))?;
    if bytes.len() as u64 > max {
        return Err(format!("{name} is larger than {} MiB", max >> 20));
    }
    Ok(bytes)
}

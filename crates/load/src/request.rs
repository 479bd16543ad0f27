//! Rendering a request: into HTTP/1.1 bytes, or into the parts that HTTP/2 wants.

use bytes::Bytes;
use http::{HeaderName, Method, Request, header};

use crate::failure::{Failure, FailureKind};
use crate::net::decode::ACCEPT_ENCODING;
use crate::params::{HttpParams, HttpVersion};
use crate::scenario::{Body, Origin, Step};
use crate::template::{MissingValue, RenderContext, Template};

/// Where the path of a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    Template(&'a Template),
    Text(&'a str),
}

/// One request to be rendered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a Method,
    pub(crate) origin: &'a Origin,
    /// Put before the path.
    pub(crate) base_path: &'a str,
    pub(crate) target: Target<'a>,
    pub(crate) headers: &'a [(HeaderName, Template)],
    /// Overrides the run's `User-Agent`.
    pub(crate) agent: Option<&'a str>,
    pub(crate) body: &'a Body,
    /// Whether credentials of the step may be sent: not after a redirect to another origin.
    pub(crate) credentials: bool,
}

impl<'a> Ask<'a> {
    /// The request of a step.
    pub(crate) fn of_step(step: &'a Step, http: &'a HttpParams) -> Ask<'a> {
        Ask {
            method: &step.method,
            origin: step.origin.as_ref().unwrap_or(&http.origin),
            base_path: if step.origin.is_some() { "" } else { &http.base_path },
            target: Target::Template(&step.target),
            headers: &step.headers,
            agent: None,
            body: &step.body,
            credentials: true,
        }
    }

    /// The step's own header fields that are sent.
    fn own_headers(&self) -> impl Iterator<Item = &'a (HeaderName, Template)> {
        let (credentials, has_body) = (self.credentials, !matches!(self.body, Body::None));
        self.headers.iter().filter(move |(name, _)| {
            (credentials || (name != header::AUTHORIZATION && name != header::COOKIE))
                && (has_body || name != header::CONTENT_TYPE)
        })
    }

    fn has_own(&self, name: &HeaderName) -> bool {
        self.own_headers().any(|(own, _)| own == name)
    }

    /// Appends the request target, base path included.
    fn render_target(&self, ctx: &mut RenderContext<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        let start = out.len();
        out.extend_from_slice(self.base_path.as_bytes());
        match self.target {
            Target::Template(template) => template.render(ctx, out).map_err(missing)?,
            Target::Text(text) => out.extend_from_slice(text.as_bytes()),
        }
        if out.get(start) != Some(&b'/') && self.method != Method::OPTIONS {
            out.insert(start, b'/');
        }
        match out[start..].iter().find(|&&byte| byte <= b' ' || byte == 127) {
            None => Ok(()),
            Some(byte) => Err(Failure::new(
                FailureKind::Value,
                format!("the path holds {:?}, which must be percent-encoded", char::from(*byte)),
            )),
        }
    }

    /// Appends the body; one that is not a template is returned instead.
    fn render_body(
        &self,
        ctx: &mut RenderContext<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Bytes, Failure> {
        match self.body {
            Body::None => Ok(Bytes::new()),
            Body::Bytes(bytes) => Ok(bytes.clone()),
            Body::Template(template) => {
                template.render(ctx, out).map_err(missing)?;
                Ok(Bytes::new())
            }
        }
    }

    /// Fields that every request has unless the step sets its own, but for host and framing.
    fn defaults<'h>(&'h self, http: &'h HttpParams) -> impl Iterator<Item = (HeaderName, &'h str)> {
        let agent = self.agent.unwrap_or(&http.user_agent);
        let compression = http.compression.then_some((header::ACCEPT_ENCODING, ACCEPT_ENCODING));
        [(header::USER_AGENT, agent), (header::ACCEPT, "*/*")]
            .into_iter()
            .chain(compression)
            .filter(|(name, _)| !self.has_own(name))
    }
}

fn missing(MissingValue(name): MissingValue) -> Failure {
    Failure::new(FailureKind::Value, format!("no value saved as `{name}`"))
}

/// Appends an HTTP/1.1 request to `wire` (RFC 9112 §3) and returns where its blank line begins
/// and the body that follows, if that is not in `wire`. `scratch` is used and left dirty.
pub(crate) fn render_h1(
    ask: &Ask<'_>,
    http: &HttpParams,
    ctx: &mut RenderContext<'_>,
    cookie: &str,
    wire: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Result<(usize, Bytes), Failure> {
    scratch.clear();
    let body = ask.render_body(ctx, scratch)?;
    wire.extend_from_slice(ask.method.as_str().as_bytes());
    wire.push(b' ');
    ask.render_target(ctx, wire)?;
    wire.extend_from_slice(b" HTTP/1.1\r\n");
    if !ask.has_own(&header::HOST) {
        push_field(wire, "host", ask.origin.authority().as_bytes());
    }
    for (name, value) in ask.defaults(http) {
        push_field(wire, name.as_str(), value.as_bytes());
    }
    for (name, value) in ask.own_headers() {
        wire.extend_from_slice(name.as_str().as_bytes());
        wire.extend_from_slice(b": ");
        value.render(ctx, wire).map_err(missing)?;
        wire.extend_from_slice(b"\r\n");
    }
    if !cookie.is_empty() {
        push_field(wire, "cookie", cookie.as_bytes());
    }
    let length = scratch.len() + body.len();
    // RFC 9110 §8.6: methods that expect a body say so even when it is empty.
    if length > 0 || *ask.method == Method::POST || *ask.method == Method::PUT {
        push_field(wire, "content-length", length.to_string().as_bytes());
    }
    if !http.keep_alive {
        push_field(wire, "connection", b"close");
    }
    let blank = wire.len();
    wire.extend_from_slice(b"\r\n");
    wire.extend_from_slice(scratch);
    Ok((blank, body))
}

fn push_field(wire: &mut Vec<u8>, name: &str, value: &[u8]) {
    wire.extend_from_slice(name.as_bytes());
    wire.extend_from_slice(b": ");
    wire.extend_from_slice(value);
    wire.extend_from_slice(b"\r\n");
}

/// Builds an HTTP/2 request and its body.
pub(crate) fn render_h2(
    ask: &Ask<'_>,
    http: &HttpParams,
    ctx: &mut RenderContext<'_>,
    cookie: &str,
) -> Result<(Request<()>, Bytes), Failure> {
    let bad = |error: http::Error| Failure::new(FailureKind::Value, error.to_string());
    let mut text = Vec::new();
    let file = ask.render_body(ctx, &mut text)?;
    let body = if file.is_empty() { Bytes::from(text) } else { file };
    let mut target = Vec::new();
    ask.render_target(ctx, &mut target)?;
    let uri = http::Uri::builder()
        .scheme(if ask.origin.tls { "https" } else { "http" })
        .authority(ask.origin.authority())
        .path_and_query(target)
        .build()
        .map_err(bad)?;
    let mut request = Request::builder().method(ask.method).uri(uri).version(http::Version::HTTP_2);
    for (name, value) in ask.defaults(http) {
        request = request.header(name, value);
    }
    for (name, value) in ask.own_headers().filter(|(name, _)| name != header::HOST) {
        let mut text = Vec::new();
        value.render(ctx, &mut text).map_err(missing)?;
        request = request.header(name, text);
    }
    if !cookie.is_empty() {
        request = request.header(header::COOKIE, cookie);
    }
    if !body.is_empty() {
        request = request.header(header::CONTENT_LENGTH, body.len());
    }
    Ok((request.body(()).map_err(bad)?, body))
}

/// A step made ready before the run: what does not change is rendered once.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The whole request, when it is the same every time.
    pub(crate) fixed: Option<Fixed>,
    pub(crate) needs_body: bool,
    pub(crate) needs_headers: bool,
    /// Whether a check decides on the status; otherwise 400 and above fail.
    pub(crate) checks_status: bool,
}

/// An HTTP/1.1 request that is the same every time.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) wire: Vec<u8>,
    /// Where the blank line begins: a cookie field goes before it.
    pub(crate) blank: usize,
    pub(crate) body: Bytes,
}

impl Prepared {
    pub(crate) fn new(step: &Step, http: &HttpParams, ctx: &mut RenderContext<'_>) -> Prepared {
        use crate::scenario::{Check, SaveFrom};
        let is_static = step.templates().all(|template| template.as_static().is_some());
        let mut wire = Vec::new();
        let fixed = if is_static && http.version == HttpVersion::Http1 {
            // What cannot be rendered fails again, and is counted, when the step is run.
            render_h1(&Ask::of_step(step, http), http, ctx, "", &mut wire, &mut Vec::new())
                .ok()
                .map(|(blank, body)| Fixed { wire, blank, body })
        } else {
            None
        };
        Prepared {
            fixed,
            needs_body: step.needs_body(),
            needs_headers: step.checks.iter().any(|check| matches!(check, Check::Header { .. }))
                || step
                    .saves
                    .iter()
                    .any(|save| matches!(save.from, SaveFrom::Header(_) | SaveFrom::Cookie(_))),
            checks_status: step.checks.iter().any(|check| matches!(check, Check::Status(_))),
        }
    }
}

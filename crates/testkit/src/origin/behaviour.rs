//! What the origin does with a request: the settings.

use super::encode::Encoding;
use std::time::Duration;

/// The route of every path without one of its own.
pub const ANY_PATH: &str = "*";

/// What the origin does with the requests of one route.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// The same answer every time.
    Respond(Response),
    /// 200 with the request as JSON: `method`, `target`, `version`, `headers` (list of pairs in
    /// order), `body` (as UTF-8, invalid bytes replaced).
    Echo,
    /// 200 with this as `application/json`.
    Json(serde_json::Value),
    /// An empty answer with `location`.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// The value of `location`.
        to: String,
    },
    /// 200 with one `set-cookie` each, values as given.
    SetCookie(Vec<String>),
    /// 200 with the body in a content coding.
    Compressed {
        /// Which coding.
        encoding: Encoding,
        /// The body as it is to be read.
        body: Vec<u8>,
    },
    /// 200 for these credentials (RFC 7617), else 401.
    BasicAuth {
        /// The user's name, without `:`.
        user: String,
        /// The password.
        password: String,
    },
    /// One after the other, from the first again after the last. Empty: 404.
    Sequence(Vec<Behaviour>),
    /// 200 for the first `requests` of each window, then `status` with `retry-after`: the whole
    /// seconds until the next window. A window begins with the first request after the last one.
    RateLimited {
        /// How many per window are served.
        requests: u64,
        /// The window's length.
        window: Duration,
        /// What the others get, e.g. 429.
        status: u16,
    },
    /// 200 after the time that a station with `servers` servers and one first-come-first-served
    /// queue takes: throughput levels off at servers ÷ mean service time. Finish times are
    /// reckoned, not slept one after another, so timer granularity (1 ms) does not add up.
    Queue {
        /// How many are served at once, at least 1.
        servers: usize,
        /// How long each takes.
        service: Service,
    },
    /// Something no healthy server does.
    Fault(Fault),
}

/// Service times of a [`Behaviour::Queue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Always as long.
    Fixed(Duration),
    /// Exponentially distributed.
    Exponential {
        /// The mean.
        mean: Duration,
        /// Of the random source.
        seed: u64,
    },
}

/// An ordinary answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Besides those of framing.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long to wait before the first byte.
    pub delay: Duration,
    /// HTTP/1.1: chunked transfer coding instead of `content-length`.
    pub chunked: bool,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: b"ok".to_vec(),
            delay: Duration::ZERO,
            chunked: false,
        }
    }
}

/// What no healthy server does. HTTP/1 shows all of them on the wire; over HTTP/2 those that only
/// HTTP/1 can show become a stream reset (`INTERNAL_ERROR`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Reads the request and never answers.
    Silent,
    /// TCP reset instead of an answer.
    ResetBeforeResponse,
    /// End of stream instead of an answer.
    CloseBeforeResponse,
    /// End of stream within a header line.
    CloseMidHeader,
    /// End of stream before `content-length` bytes came.
    CloseMidBody,
    /// TCP reset before `content-length` bytes came.
    ResetMidBody,
    /// A whole body, but slowly.
    SlowBody {
        /// How much at a time.
        chunk_bytes: usize,
        /// How many times.
        chunks: usize,
        /// How long between.
        interval: Duration,
    },
    /// Header lines without end.
    EndlessHeaders,
    /// A chunked body without end.
    EndlessBody,
    /// A sound answer with at least this many bytes of header lines.
    HugeHeaders {
        /// How many bytes.
        bytes: usize,
    },
    /// A status line without a status code.
    MalformedStatusLine,
    /// Random bytes, then end of stream.
    GarbageBytes {
        /// How many.
        bytes: usize,
        /// Of the random source.
        seed: u64,
    },
    /// A chunk whose size is not a number.
    BadChunk,
    /// `content-length` as given, five bytes of body, connection left open.
    WrongContentLength {
        /// The value of the header: `"50"`, `"-1"`, `"5, 6"`…
        declared: String,
    },
    /// A sound answer, then end of stream, though nothing announced it.
    CloseAfterResponse,
    /// A sound answer with bytes after it that belong to nothing.
    ExtraBytesAfterResponse,
    /// An interim answer before the sound one.
    Interim {
        /// 100 or 103.
        status: u16,
    },
    /// Anything else.
    Raw {
        /// All that is sent.
        bytes: Vec<u8>,
        /// End of stream after it.
        close: bool,
    },
}

impl Behaviour {
    /// 200 with `body`.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Respond(Response { body: body.into(), ..Response::default() })
    }

    /// `status` with an empty body.
    pub fn status(status: u16) -> Self {
        Self::Respond(Response { status, body: Vec::new(), ..Response::default() })
    }

    /// 200 `ok` after `delay`.
    pub fn delayed(delay: Duration) -> Self {
        Self::Respond(Response { delay, ..Response::default() })
    }
}

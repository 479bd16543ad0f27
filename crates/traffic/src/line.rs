//! Access-log lines: the one definition of what the gateway writes and what log readers expect.
//!
//! No client can forge a line or a field: quotes, backslashes, control characters and everything
//! that is not ASCII (invisible and bidirectional characters among it) are written as `\xHH` in
//! text and as `\u00HH` in JSON, byte by byte.

use std::io::Write as _;

use crate::Hit;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes lines, remembering the text of the last second.
#[derive(Debug, Clone, Default)]
pub struct LineWriter {
    combined: Second,
    rfc3339: Second,
}

/// A second and its text.
#[derive(Debug, Clone, Default)]
struct Second {
    unix: i64,
    text: String,
}

impl Second {
    fn text(&mut self, unix: i64, format: impl FnOnce(&mut String, Civil)) -> &str {
        if self.unix != unix || self.text.is_empty() {
            self.unix = unix;
            self.text.clear();
            format(&mut self.text, Civil::of(unix));
        }
        &self.text
    }
}

/// A moment in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Civil {
    year: i64,
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    /// The date of a unix time (Hinnant, chrono-compatible low-level date algorithms).
    fn of(unix: i64) -> Civil {
        let days = unix.div_euclid(86_400) + 719_468;
        let of_day = unix.rem_euclid(86_400);
        let of_era = days.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Civil {
            year: year + days.div_euclid(146_097) * 400 + i64::from(month <= 2),
            month: month as usize,
            day: of_year - (153 * shifted + 2) / 5 + 1,
            hour: of_day / 3_600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn format_combined(text: &mut String, at: Civil) {
    use std::fmt::Write as _;
    let month = MONTHS[(at.month + 11) % 12];
    let Civil { year, day, hour, minute, second, .. } = at;
    // Writing to a string cannot fail.
    let _ = write!(text, "{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000");
}

fn format_rfc3339(text: &mut String, at: Civil) {
    use std::fmt::Write as _;
    let Civil { year, month, day, hour, minute, second } = at;
    let _ = write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
}

/// A field of a hit, by its name in templates and in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HitField {
    /// RFC 3339 with microseconds, UTC.
    Start,
    /// Seconds.
    Duration,
    /// Client address.
    Client,
    /// Authenticated user.
    User,
    /// `Host`.
    Host,
    /// Method.
    Method,
    /// Path and query.
    Target,
    /// Path.
    Path,
    /// Query.
    Query,
    /// Protocol.
    Protocol,
    /// Status.
    Status,
    /// Response body bytes.
    Bytes,
    /// Request body bytes.
    RequestBytes,
    /// `Referer`.
    Referrer,
    /// `User-Agent`.
    Agent,
    /// Route.
    Route,
    /// Upstream.
    Upstream,
    /// Server.
    Server,
    /// Attempts.
    Attempts,
    /// Cache status.
    Cache,
    /// Failure label.
    Failure,
    /// Request id.
    RequestId,
    /// Scheme.
    Scheme,
    /// TLS version.
    Tls,
    /// Seconds to connect.
    ConnectTime,
    /// Seconds to the first byte of the server.
    Ttfb,
}

impl HitField {
    /// All fields, in the order in which JSON lines have them.
    pub const ALL: &[HitField] = &[
        HitField::Start,
        HitField::Client,
        HitField::User,
        HitField::Method,
        HitField::Scheme,
        HitField::Host,
        HitField::Target,
        HitField::Protocol,
        HitField::Status,
        HitField::Bytes,
        HitField::RequestBytes,
        HitField::Duration,
        HitField::Ttfb,
        HitField::ConnectTime,
        HitField::Route,
        HitField::Upstream,
        HitField::Server,
        HitField::Attempts,
        HitField::Cache,
        HitField::Failure,
        HitField::Referrer,
        HitField::Agent,
        HitField::RequestId,
        HitField::Tls,
        HitField::Path,
        HitField::Query,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            HitField::Start => "start",
            HitField::Duration => "duration",
            HitField::Client => "client",
            HitField::User => "user",
            HitField::Host => "host",
            HitField::Method => "method",
            HitField::Target => "target",
            HitField::Path => "path",
            HitField::Query => "query",
            HitField::Protocol => "protocol",
            HitField::Status => "status",
            HitField::Bytes => "bytes",
            HitField::RequestBytes => "request-bytes",
            HitField::Referrer => "referrer",
            HitField::Agent => "agent",
            HitField::Route => "route",
            HitField::Upstream => "upstream",
            HitField::Server => "server",
            HitField::Attempts => "attempts",
            HitField::Cache => "cache",
            HitField::Failure => "failure",
            HitField::RequestId => "request-id",
            HitField::Scheme => "scheme",
            HitField::Tls => "tls",
            HitField::ConnectTime => "connect-time",
            HitField::Ttfb => "ttfb",
        }
    }

    /// The field of a name.
    pub fn named(name: &str) -> Option<HitField> {
        HitField::ALL.iter().copied().find(|field| field.as_str() == name)
    }

    /// Its value.
    fn of<'a>(self, hit: &Hit<'a>) -> Value<'a> {
        let text = |text: Option<&'a [u8]>| text.map_or(Value::None, Value::Text);
        let number = |number: Option<u64>| number.map_or(Value::None, Value::Number);
        let seconds = |us: Option<u64>| us.map_or(Value::None, Value::Seconds);
        let mut parts = hit.target.splitn(2, |byte| *byte == b'?');
        let path = parts.next();
        match self {
            HitField::Start => Value::Start(hit.start_us),
            HitField::Duration => seconds(hit.duration_us),
            HitField::Client => Value::Text(hit.client),
            HitField::User => text(hit.user),
            HitField::Host => text(hit.host),
            HitField::Method => Value::Text(hit.method),
            HitField::Target => Value::Text(hit.target),
            HitField::Path => text(path),
            HitField::Query => text(parts.next()),
            HitField::Protocol => text(hit.protocol),
            HitField::Status => Value::Number(u64::from(hit.status)),
            HitField::Bytes => number(hit.bytes),
            HitField::RequestBytes => number(hit.request_bytes),
            HitField::Referrer => text(hit.referrer),
            HitField::Agent => text(hit.agent),
            HitField::Route => text(hit.route),
            HitField::Upstream => text(hit.upstream),
            HitField::Server => text(hit.server),
            HitField::Attempts => number(hit.attempts.map(u64::from)),
            HitField::Cache => text(hit.cache),
            HitField::Failure => text(hit.failure),
            HitField::RequestId => text(hit.request_id),
            HitField::Scheme => text(hit.scheme),
            HitField::Tls => text(hit.tls),
            HitField::ConnectTime => seconds(hit.connect_us),
            HitField::Ttfb => seconds(hit.ttfb_us),
        }
    }
}

enum Value<'a> {
    None,
    Text(&'a [u8]),
    Number(u64),
    /// Microseconds.
    Seconds(u64),
    /// Microseconds since 1970.
    Start(i64),
}

/// A line format of one's own: text with `{field}`; `{{` and `}}` stand for braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Field(HitField),
}

/// A template that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no field of this name.
    #[error("unknown field `{{{0}}}`")]
    UnknownField(String),
    /// A brace is not closed, or not opened.
    #[error("a single brace: write {{{{ or }}}} for a brace itself")]
    Brace,
    /// A line break would make two lines of one.
    #[error("a template is one line")]
    LineBreak,
}

impl std::str::FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Template, TemplateError> {
        if text.contains(['\n', '\r']) {
            return Err(TemplateError::LineBreak);
        }
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            literal.extend_from_slice(before.as_bytes());
            if let Some(behind) = after.strip_prefix("{{").or_else(|| after.strip_prefix("}}")) {
                literal.push(after.as_bytes()[0]);
                rest = behind;
                continue;
            }
            let inner = after.strip_prefix('{').ok_or(TemplateError::Brace)?;
            let (name, behind) = inner.split_once('}').ok_or(TemplateError::Brace)?;
            let field = HitField::named(name)
                .ok_or_else(|| TemplateError::UnknownField(name.to_owned()))?;
            parts.push(Part::Text(std::mem::take(&mut literal)));
            parts.push(Part::Field(field));
            rest = behind;
        }
        literal.extend_from_slice(rest.as_bytes());
        parts.push(Part::Text(literal));
        Ok(Template { parts })
    }
}

impl LineWriter {
    /// A writer.
    pub fn new() -> LineWriter {
        LineWriter::default()
    }

    /// Appends a line in the combined format of Apache and nginx.
    pub fn write_combined(&mut self, out: &mut Vec<u8>, hit: &Hit<'_>) {
        text(out, hit.client);
        out.extend_from_slice(b" - ");
        match hit.user {
            Some(user) => word(out, user),
            None => out.push(b'-'),
        }
        out.extend_from_slice(b" [");
        let unix = hit.start_us.div_euclid(1_000_000);
        out.extend_from_slice(self.combined.text(unix, format_combined).as_bytes());
        out.extend_from_slice(b"] \"");
        text(out, hit.method);
        out.push(b' ');
        text(out, hit.target);
        if let Some(protocol) = hit.protocol {
            out.push(b' ');
            text(out, protocol);
        }
        out.extend_from_slice(b"\" ");
        number(out, u64::from(hit.status));
        out.push(b' ');
        match hit.bytes {
            Some(bytes) => number(out, bytes),
            None => out.push(b'-'),
        }
        for field in [hit.referrer, hit.agent] {
            out.extend_from_slice(b" \"");
            text(out, field.unwrap_or(b"-"));
            out.push(b'"');
        }
        out.push(b'\n');
    }

    /// Appends a JSON object with every field that the hit has.
    pub fn write_json(&mut self, out: &mut Vec<u8>, hit: &Hit<'_>) {
        out.push(b'{');
        let mut first = true;
        for field in HitField::ALL {
            // The target holds both.
            if matches!(field, HitField::Path | HitField::Query) {
                continue;
            }
            let value = field.of(hit);
            if matches!(value, Value::None) {
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            out.push(b'"');
            out.extend_from_slice(field.as_str().as_bytes());
            out.extend_from_slice(b"\":");
            match value {
                Value::Text(text) => {
                    out.push(b'"');
                    json_text(out, text);
                    out.push(b'"');
                }
                Value::Start(us) => {
                    out.push(b'"');
                    self.start(out, us);
                    out.push(b'"');
                }
                Value::Number(value) => number(out, value),
                Value::Seconds(us) => seconds(out, us),
                Value::None => {}
            }
        }
        out.extend_from_slice(b"}\n");
    }

    /// Appends a line of a template; `-` stands for what a hit does not have.
    pub fn write_template(&mut self, out: &mut Vec<u8>, template: &Template, hit: &Hit<'_>) {
        for part in &template.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Field(field) => match field.of(hit) {
                    Value::None => out.push(b'-'),
                    Value::Text(value) => text(out, value),
                    Value::Start(us) => self.start(out, us),
                    Value::Number(value) => number(out, value),
                    Value::Seconds(us) => seconds(out, us),
                },
            }
        }
        out.push(b'\n');
    }

    fn start(&mut self, out: &mut Vec<u8>, us: i64) {
        let unix = us.div_euclid(1_000_000);
        out.extend_from_slice(self.rfc3339.text(unix, format_rfc3339).as_bytes());
        out.push(b'.');
        digits6(out, us.rem_euclid(1_000_000) as u64);
        out.push(b'Z');
    }
}

/// Writes text, escaped.
fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    escaped(out, bytes, |byte| matches!(byte, b'"' | b'\\') || !(0x20..0x7f).contains(&byte));
}

/// Writes a word: spaces are escaped too.
fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    escaped(out, bytes, |byte| matches!(byte, b'"' | b'\\') || !(0x21..0x7f).contains(&byte));
}

fn escaped(out: &mut Vec<u8>, mut bytes: &[u8], must: impl Fn(u8) -> bool) {
    while let Some(at) = bytes.iter().position(|byte| must(*byte)) {
        let byte = bytes[at];
        out.extend_from_slice(&bytes[..at]);
        out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        bytes = &bytes[at + 1..];
    }
    out.extend_from_slice(bytes);
}

fn json_text(out: &mut Vec<u8>, mut bytes: &[u8]) {
    let must = |byte: &u8| matches!(byte, b'"' | b'\\') || !(0x20..0x7f).contains(byte);
    while let Some(at) = bytes.iter().position(must) {
        let byte = bytes[at];
        out.extend_from_slice(&bytes[..at]);
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        bytes = &bytes[at + 1..];
    }
    out.extend_from_slice(bytes);
}

fn number(out: &mut Vec<u8>, value: u64) {
    if value < 10 {
        out.push(b'0' + value as u8);
        return;
    }
    let mut digits = [0; 20];
    let (mut at, mut rest) = (digits.len(), value);
    while rest > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Microseconds as seconds with six decimals.
fn seconds(out: &mut Vec<u8>, us: u64) {
    number(out, us / 1_000_000);
    out.push(b'.');
    digits6(out, us % 1_000_000);
}

fn digits6(out: &mut Vec<u8>, value: u64) {
    // A write to a vector cannot fail.
    let _ = write!(out, "{value:06}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HIT: Hit<'static> = Hit {
        start_us: 784_111_777_000_042,
        duration_us: Some(1_500_003),
        client: b"192.0.2.7",
        user: Some(b"ann b"),
        host: Some(b"shop.example"),
        method: b"GET",
        target: b"/a?q=\"x\"",
        protocol: Some(b"HTTP/1.1"),
        status: 200,
        bytes: Some(1234),
        referrer: None,
        agent: Some(b"curl\n\xe2\x80\xae"),
        route: Some(b"site"),
        upstream: None,
        server: None,
        attempts: Some(2),
        cache: Some(b"hit"),
        failure: None,
        request_bytes: None,
        request_id: None,
        scheme: None,
        tls: None,
        connect_us: None,
        ttfb_us: Some(20),
    };

    fn written(write: impl FnOnce(&mut LineWriter, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut LineWriter::new(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_look_as_they_should() {
        assert_eq!(
            written(|writer, out| writer.write_combined(out, &HIT)),
            "192.0.2.7 - ann\\x20b [06/Nov/1994:08:49:37 +0000] \"GET /a?q=\\x22x\\x22 HTTP/1.1\" \
             200 1234 \"-\" \"curl\\x0a\\xe2\\x80\\xae\"\n"
        );
        assert_eq!(
            written(|writer, out| writer.write_json(out, &HIT)),
            "{\"start\":\"1994-11-06T08:49:37.000042Z\",\"client\":\"192.0.2.7\",\
             \"user\":\"ann b\",\"method\":\"GET\",\"host\":\"shop.example\",\
             \"target\":\"/a?q=\\\"x\\\"\",\"protocol\":\"HTTP/1.1\",\"status\":200,\
             \"bytes\":1234,\"duration\":1.500003,\"ttfb\":0.000020,\"route\":\"site\",\
             \"attempts\":2,\"cache\":\"hit\",\"agent\":\"curl\\u000a\\u00e2\\u0080\\u00ae\"}\n"
        );
        let template: Template = "{path}|{query}|{{{status}}}|{server}|{duration}".parse().unwrap();
        assert_eq!(
            written(|writer, out| writer.write_template(out, &template, &HIT)),
            "/a|q=\\x22x\\x22|{200}|-|1.500003\n"
        );
    }

    #[test]
    fn templates_are_checked() {
        let parse = |text: &str| text.parse::<Template>().err();
        assert_eq!(parse("{ststus}"), Some(TemplateError::UnknownField("ststus".to_owned())));
        assert_eq!(parse("{status"), Some(TemplateError::Brace));
        assert_eq!(parse("status}"), Some(TemplateError::Brace));
        assert_eq!(parse("a\nb"), Some(TemplateError::LineBreak));
        for field in HitField::ALL {
            assert_eq!(HitField::named(field.as_str()), Some(*field));
        }
    }

    proptest! {
        #[test]
        fn no_field_ends_a_line(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            start_us in -60_000_000_000_000_000_i64..250_000_000_000_000_000,
        ) {
            let hit = Hit {
                start_us,
                client: &bytes,
                user: Some(&bytes),
                method: &bytes,
                target: &bytes,
                agent: Some(&bytes),
                ..HIT
            };
            let template: Template = "{client} {agent} {target}".parse().unwrap();
            let mut writer = LineWriter::new();
            let mut out = Vec::new();
            writer.write_combined(&mut out, &hit);
            writer.write_json(&mut out, &hit);
            writer.write_template(&mut out, &template, &hit);
            prop_assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 3);
            prop_assert!(out.iter().all(|byte| *byte == b'\n' || (0x20..0x7f).contains(byte)));
        }
    }
}

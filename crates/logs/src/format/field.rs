//! What a piece of a line means, and how it becomes part of a record. Every format ends here.

use super::{escape::Escape, request::request_line};
use crate::{
    Record, RejectReason,
    time::{self, Clock},
};

/// The meaning of a piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    /// The time, of the start of the request or not known to be of its end.
    Time,
    /// The time of the end of the request.
    TimeAtEnd,
    /// A time or, as a number, a duration in seconds: writers name both so.
    TimeOrDuration,
    /// The end of the request beside its start.
    EndTime,
    /// A date in a field of its own, and the time of day in another.
    Date,
    TimeOfDay,
    Client,
    /// A client with its port.
    ClientPort,
    User,
    Host,
    /// Method, target and protocol in one.
    Request,
    Method,
    Target,
    /// What belongs behind the target's `?`.
    Query,
    Protocol,
    Status,
    Bytes,
    RequestBytes,
    Referrer,
    Agent,
    ForwardedFor,
    DurationS,
    DurationMs,
    DurationUs,
    DurationNs,
    /// Seconds if it has decimals or says so, otherwise milliseconds.
    Duration,
    /// Seconds that add to the duration; negative where the step was not reached.
    DurationPart,
    UpstreamS,
    UpstreamMs,
    UpstreamUs,
    UpstreamNs,
    Upstream,
    Cache,
    Tls,
    Cipher,
    Mime,
    Country,
    Route,
    Variants,
    Weight,
}

impl Field {
    /// The bit of the place in the record that the field fills.
    fn place(self) -> u64 {
        let place = match self {
            Self::TimeAtEnd => Self::Time,
            Self::ClientPort => Self::Client,
            Self::DurationMs | Self::DurationUs | Self::DurationNs | Self::Duration => {
                Self::DurationS
            }
            Self::UpstreamMs | Self::UpstreamUs | Self::UpstreamNs => Self::UpstreamS,
            other => other,
        };
        1 << place as u32
    }
}

/// A record that is being put together from fields in any order. Texts are still escaped.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Draft<'a> {
    pub(crate) record: Record<'a>,
    /// Which places were filled; see [`Field::place`].
    seen: u64,
    /// Query in a field of its own.
    pub(crate) query: Option<&'a [u8]>,
    date: Option<&'a [u8]>,
    time_of_day: Option<&'a [u8]>,
    end_us: Option<i64>,
    /// How the layout that read the line escapes; `None`: as the format does.
    pub(crate) escape: Option<Escape>,
    /// A text in which a carrier of logs may have put the line, as JSON has it.
    pub(crate) carried: Option<&'a [u8]>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new() -> Self {
        Self { record: Record { weight: 1, ..Record::default() }, ..Self::default() }
    }

    /// Whether the field, or another for the same place, was given.
    pub(crate) fn has(&self, field: Field) -> bool {
        self.seen & field.place() != 0
    }

    /// Takes a field. Empty and `-` mean that it is not known.
    ///
    /// # Errors
    /// The text cannot mean what the field is.
    pub(crate) fn set(
        &mut self,
        field: Field,
        text: &'a [u8],
        clock: &mut Clock,
    ) -> Result<(), RejectReason> {
        if matches!(text, b"" | b"-") {
            return Ok(());
        }
        let record = &mut self.record;
        let text_of = Some(text);
        match field {
            Field::Time | Field::TimeAtEnd => {
                let mut moment = clock.any(text).ok_or(RejectReason::BadTimestamp)?;
                // A count since the epoch tells the moment better, but no zone.
                if self.has(field) && is_count(text) {
                    moment.offset_min = self.record.offset_min;
                }
                self.set_time(moment, field == Field::TimeAtEnd);
                return Ok(());
            }
            Field::TimeOrDuration => {
                let is_time = text.iter().any(|byte| matches!(byte, b'/' | b':'));
                let field = if is_time { Field::Time } else { Field::DurationS };
                return if self.has(field) { Ok(()) } else { self.set(field, text, clock) };
            }
            Field::EndTime => {
                let moment = clock.any(text).ok_or(RejectReason::BadTimestamp)?;
                self.end_us = Some(moment.us);
            }
            Field::Date => self.date = text_of,
            Field::TimeOfDay => self.time_of_day = text_of,
            Field::Client => record.client = text,
            Field::ClientPort => record.client = without_port(text),
            Field::User => record.user = text_of,
            Field::Host => record.host = text_of,
            Field::Request => {
                if let Some((method, target, protocol)) = request_line(text) {
                    (record.method, record.target) = (Some(method), Some(target));
                    record.protocol = protocol;
                } else if !is_no_request(text) {
                    record.target = text_of;
                }
            }
            Field::Method => record.method = text_of,
            Field::Target => record.target = text_of,
            Field::Query => self.query = text.strip_prefix(b"?").or(text_of),
            Field::Protocol => record.protocol = Some(protocol(text)),
            Field::Status => record.status = status(text)?,
            Field::Bytes => record.bytes = Some(size(text)?),
            Field::RequestBytes => record.request_bytes = Some(size(text)?),
            Field::Referrer => record.referrer = text_of,
            Field::Agent => record.agent = text_of,
            Field::ForwardedFor => record.forwarded_for = first_of(text),
            Field::DurationS => record.duration_us = duration(text, 1_000_000_000)?,
            Field::DurationMs => record.duration_us = duration(text, 1_000_000)?,
            Field::DurationUs => record.duration_us = duration(text, 1_000)?,
            Field::DurationNs => record.duration_us = duration(text, 1)?,
            Field::Duration => {
                let has_decimals = text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
                let unit_ns = if has_decimals { 1_000_000_000 } else { 1_000_000 };
                record.duration_us = duration(text, unit_ns)?;
            }
            Field::DurationPart => {
                if let Some(part) = duration(text, 1_000_000_000)? {
                    record.duration_us = Some(record.duration_us.unwrap_or(0).saturating_add(part));
                }
            }
            Field::UpstreamS => record.upstream_us = duration(last_of(text), 1_000_000_000)?,
            Field::UpstreamMs => record.upstream_us = duration(last_of(text), 1_000_000)?,
            Field::UpstreamUs => record.upstream_us = duration(last_of(text), 1_000)?,
            Field::UpstreamNs => record.upstream_us = duration(last_of(text), 1)?,
            Field::Upstream => record.upstream = Some(last_of(text)).filter(|last| *last != b"-"),
            Field::Cache => record.cache = text_of,
            Field::Tls => record.tls = Some(tls_version(text)),
            Field::Cipher => record.cipher = text_of,
            Field::Mime => record.mime = text_of,
            Field::Country => record.country = text_of,
            Field::Route => record.route = text_of,
            Field::Variants => record.variants = text_of,
            Field::Weight => record.weight = weight(text).ok_or(RejectReason::BadField)?,
        }
        self.seen |= field.place();
        Ok(())
    }

    pub(crate) fn set_time(&mut self, moment: time::Moment, is_end: bool) {
        self.record.time_us = moment.us;
        self.record.offset_min = moment.offset_min;
        self.record.time_is_end = is_end;
        self.seen |= Field::Time.place();
    }

    /// Puts the time together where its parts came in fields of their own; `date` is that of the
    /// file's head, for lines with a time of day only.
    ///
    /// # Errors
    /// There is no time, or it is no moment.
    pub(crate) fn settle_time(
        &mut self,
        clock: &mut Clock,
        date: Option<&[u8]>,
    ) -> Result<(), RejectReason> {
        if !self.has(Field::Time) {
            let moment = match (self.date.or(date), self.time_of_day) {
                (Some(date), Some(time)) => clock.parts(date, time),
                (Some(_), None) => self.date.and_then(|date| clock.any(date)),
                (None, _) => match self.end_us {
                    Some(_) => None,
                    None => return Err(RejectReason::NoTimestamp),
                },
            };
            match (moment, self.end_us) {
                (Some(moment), _) => self.set_time(moment, self.record.time_is_end),
                (None, Some(us)) => self.set_time(time::Moment::utc(us), true),
                (None, None) => return Err(RejectReason::BadTimestamp),
            }
        } else if let (Some(end_us), None) = (self.end_us, self.record.duration_us) {
            self.record.duration_us = u64::try_from(end_us - self.record.time_us).ok();
            self.record.time_is_end = false;
        }
        Ok(())
    }

    /// Works out what the line tells only in another place: the client where there is but a list of forwarded
    /// addresses, and the host where only an absolute target (RFC 9112 §3.2.2) has it.
    #[inline]
    pub(crate) fn complete(&mut self) {
        let record = &mut self.record;
        if record.client.is_empty() {
            record.client = record.forwarded_for.unwrap_or_default();
        }
        if record.host.is_none()
            && let Some(target) = record.target
            && target.first() != Some(&b'/')
        {
            record.host = authority(target);
        }
    }

    /// Whether the line told anything about a request.
    pub(crate) fn is_request(&self) -> bool {
        let record = &self.record;
        record.target.is_some() || record.method.is_some() || record.status.is_some()
    }
}

/// How servers say that there was no request: `<BADREQ>` (HAProxy), or the line without its parts
/// (lighttpd leaves blanks, Envoy, Squid and Varnish write `-` for the method).
fn is_no_request(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    text.is_empty() || text == b"<BADREQ>" || text.starts_with(b"HTTP/") || text.starts_with(b"- ")
}

/// The host of an absolute target, with its port unless it is the usual one.
fn authority(target: &[u8]) -> Option<&[u8]> {
    let (usual_port, rest) = match target.strip_prefix(b"http://") {
        Some(rest) => (&b":80"[..], rest),
        None => (&b":443"[..], target.strip_prefix(b"https://")?),
    };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let authority = rest.get(..end.unwrap_or(rest.len()))?;
    let host = authority.strip_suffix(usual_port).unwrap_or(authority);
    (!host.is_empty()).then_some(host)
}

/// Whether a time is a count since the epoch.
fn is_count(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

/// Three digits, perhaps with what they mean behind them; 0, as written for clients that went away, means
/// none.
fn status(text: &[u8]) -> Result<Option<u16>, RejectReason> {
    let code = match text {
        [code @ .., b'.', b'0'] => code,
        [a, b, c, b' ', ..] => &[*a, *b, *c][..],
        _ => text,
    };
    match time::digits(code) {
        Some(value @ 100..=999) => Ok(u16::try_from(value).ok()),
        Some(0) => Ok(None),
        None if text == b"-1" => Ok(None),
        _ => Err(RejectReason::BadStatus),
    }
}

fn size(text: &[u8]) -> Result<u64, RejectReason> {
    let whole = text.strip_suffix(b".0").unwrap_or(text);
    let is_exponent = |byte: &u8| matches!(byte, b'e' | b'E');
    time::digits(whole)
        .or_else(|| text.iter().any(is_exponent).then(|| time::micros(text, 1_000)).flatten())
        .ok_or(RejectReason::BadSize)
}

/// A number of units, which a suffix may overrule; negative means not known.
fn duration(text: &[u8], unit_ns: u64) -> Result<Option<u64>, RejectReason> {
    if matches!(text, b"-" | b"" | [b'-', b'0'..=b'9', ..]) {
        return Ok(None);
    }
    let number = text.iter().take_while(|byte| !byte.is_ascii_alphabetic() && byte.is_ascii());
    let (number, suffix) = text.split_at(number.count());
    let (text, unit_ns) = match suffix {
        b"s" => (number, 1_000_000_000),
        b"ms" => (number, 1_000_000),
        b"us" | b"\xc2\xb5s" => (number, 1_000),
        b"ns" => (number, 1),
        b"h" | b"m" | [b'h' | b'm', b'0'..=b'9', ..] => {
            return long_duration(text).map(Some).ok_or(RejectReason::BadField);
        }
        _ => (text, unit_ns),
    };
    time::micros(text, unit_ns).map(Some).ok_or(RejectReason::BadField)
}

/// `1h2m3.5s` as Go writes, in microseconds.
fn long_duration(text: &[u8]) -> Option<u64> {
    let (mut rest, mut sum_us) = (text, 0_u64);
    while !rest.is_empty() {
        let is_number = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
        let (number, after) = rest.split_at(rest.iter().take_while(is_number).count());
        let (unit_s, after) = match after {
            [b'h', after @ ..] => (3600, after),
            [b'm', after @ ..] => (60, after),
            [b's', after @ ..] => (1, after),
            _ => return None,
        };
        sum_us = sum_us.checked_add(time::micros(number, unit_s * 1_000_000_000)?)?;
        rest = after;
    }
    Some(sum_us)
}

/// Most requests that one line can stand for: sums of such lines stay below 2⁶⁴.
const WEIGHT_MAX: u64 = 1_000_000_000_000;

/// A count, also of a writer that only knows decimals: rounded.
fn weight(text: &[u8]) -> Option<u64> {
    time::digits(text)
        .or_else(|| Some(time::micros(text, 1_000_000_000)?.checked_add(500_000)? / 1_000_000))
        .filter(|weight| *weight <= WEIGHT_MAX)
}

/// The last of several, as nginx lists the servers it tried (`a, b : c`).
fn last_of(text: &[u8]) -> &[u8] {
    let from = text.windows(2).rposition(|pair| matches!(pair, b", " | b": "));
    from.and_then(|at| text.get(at + 2..)).unwrap_or(text)
}

/// The first address of a list that has one.
pub(super) fn first_of(text: &[u8]) -> Option<&[u8]> {
    let first = text.split(|byte| *byte == b',').next()?.trim_ascii();
    (!matches!(first, b"" | b"-")).then_some(first)
}

/// `192.0.2.1:80` and `[2001:db8::1]:80` without the port; anything else as it is.
pub(super) fn without_port(text: &[u8]) -> &[u8] {
    if let Some(inside) = text.strip_prefix(b"[") {
        return memchr::memchr(b']', inside).and_then(|end| inside.get(..end)).unwrap_or(text);
    }
    match (memchr::memchr(b':', text), memchr::memrchr(b':', text)) {
        (Some(first), Some(last)) if first == last => text.get(..first).unwrap_or(text),
        _ => text,
    }
}

/// Versions that some writers log without the protocol's name.
fn protocol(text: &[u8]) -> &[u8] {
    match text {
        b"1.0" => b"HTTP/1.0",
        b"1.1" => b"HTTP/1.1",
        b"2" | b"2.0" => b"HTTP/2.0",
        b"3" | b"3.0" => b"HTTP/3.0",
        other => other,
    }
}

/// Versions as numbers, as of the wire (RFC 8446 §4.2.1), which some writers log, by name.
fn tls_version(text: &[u8]) -> &[u8] {
    match text {
        b"769" | b"1.0" => b"TLSv1",
        b"770" | b"1.1" => b"TLSv1.1",
        b"771" | b"1.2" => b"TLSv1.2",
        b"772" | b"1.3" => b"TLSv1.3",
        other => other,
    }
}

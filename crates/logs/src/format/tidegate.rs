//! tidegate's own format: one JSON object per line, as [`traffic::LineWriter::write_json`] writes
//! it. Keys may come in any order and with white space between; unknown keys with plain values are
//! passed over, so that older readers read newer logs.
//!
//! Escapes are taken back, `\u00hh` to the single byte `hh`: that is how the writer keeps bytes
//! that are not UTF-8.

use super::escape;
use super::request::is_token;
use crate::RejectReason;
use jiff::{civil::DateTime, tz::Offset};
use memchr::{memchr, memchr2};
use traffic::{Hit, HitField};

/// Whether a line is of this format.
pub(crate) fn is_meant(line: &[u8]) -> bool {
    line.starts_with(b"{") && members(line).is_ok()
}

/// Reads a line of tidegate's own format with all the fields of a hit, of which a
/// [`Record`](crate::Record) holds fewer. Fields with escapes are written plain into `scratch`, whose
/// content before does not matter.
///
/// # Errors
/// The reason why the line is not of this format.
pub fn tidegate_hit<'a>(line: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<Hit<'a>, RejectReason> {
    parse(line, scratch)
}

/// Reads a line. Fields with escapes are written plain into `scratch`.
pub(crate) fn parse<'a>(line: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<Hit<'a>, RejectReason> {
    let hit = members(line)?;
    if memchr(b'\\', line).is_none() {
        return checked(hit);
    }
    // No text grows when its escapes are taken back.
    scratch.clear();
    scratch.resize(line.len(), 0);
    let mut room = scratch.as_mut_slice();
    let mut fits = true;
    let plain = map_texts(hit, |text| {
        if memchr(b'\\', text).is_none() {
            return text;
        }
        let (here, rest) = std::mem::take(&mut room).split_at_mut(text.len());
        room = rest;
        let length = escape::json(text, here, true);
        fits &= length.is_some();
        &here[..length.unwrap_or(0)]
    });
    if fits { checked(plain) } else { Err(RejectReason::BadJson) }
}

/// What holds for hits of all formats.
fn checked(hit: Hit<'_>) -> Result<Hit<'_>, RejectReason> {
    if hit.method.is_empty() || hit.target.is_empty() {
        return Err(RejectReason::NoRequest);
    }
    if hit.client.is_empty() {
        return Err(RejectReason::NotAccessLog);
    }
    let has_control = hit.target.iter().fold(false, |found, byte| found | byte.is_ascii_control());
    if has_control || !hit.method.iter().all(|byte| is_token(*byte)) {
        return Err(RejectReason::BadRequestLine);
    }
    if !(100..=999).contains(&hit.status) {
        return Err(RejectReason::BadStatus);
    }
    Ok(hit)
}

/// The members of the object, texts still escaped.
fn members(line: &[u8]) -> Result<Hit<'_>, RejectReason> {
    const BAD: RejectReason = RejectReason::BadJson;
    let mut hit = Hit::default();
    let mut start = None;
    let mut expected = 0;
    let mut rest = line.strip_prefix(b"{").ok_or(BAD)?.trim_ascii_start();
    loop {
        let (key, after) = string(rest).ok_or(BAD)?;
        let after = after.trim_ascii_start().strip_prefix(b":").ok_or(BAD)?;
        let (value, after) = value(after.trim_ascii_start()).ok_or(BAD)?;
        match (field(key, &mut expected), value) {
            (Some(HitField::Start), Value::Text(text)) => {
                start = Some(timestamp(text).ok_or(RejectReason::BadTimestamp)?);
            }
            (Some(field), value) => set(&mut hit, field, value)?,
            (None, _) => {}
        }
        let after = after.trim_ascii_start();
        match after.split_first() {
            Some((b',', after)) => rest = after.trim_ascii_start(),
            Some((b'}', after)) if after.trim_ascii().is_empty() => break,
            _ => return Err(BAD),
        }
    }
    hit.start_us = start.ok_or(RejectReason::NoTimestamp)?;
    Ok(hit)
}

/// The field of a key. The writer's order is expected, so that the first guess is mostly right.
fn field(key: &[u8], expected: &mut usize) -> Option<HitField> {
    let (before, from) = HitField::ALL.split_at((*expected).min(HitField::ALL.len()));
    let at = from.iter().chain(before).position(|field| field.as_str().as_bytes() == key)?;
    let at = (*expected + at) % HitField::ALL.len();
    *expected = at + 1;
    HitField::ALL.get(at).copied()
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Text(&'a [u8]),
    Number(&'a [u8]),
    /// `null`, `true` or `false`.
    Word,
}

fn set<'a>(hit: &mut Hit<'a>, field: HitField, value: Value<'a>) -> Result<(), RejectReason> {
    const BAD: RejectReason = RejectReason::BadJson;
    let text = || match value {
        Value::Text(text) => Ok(Some(text)),
        _ => Err(BAD),
    };
    let whole = || match value {
        Value::Number(digits) => whole(digits).map(Some).ok_or(BAD),
        _ => Err(BAD),
    };
    let micros = || match value {
        Value::Number(digits) => micros(digits).map(Some).ok_or(BAD),
        _ => Err(BAD),
    };
    if matches!(value, Value::Word) {
        return Ok(());
    }
    match field {
        HitField::Start => return Err(RejectReason::BadTimestamp),
        HitField::Client => hit.client = text()?.unwrap_or_default(),
        HitField::Method => hit.method = text()?.unwrap_or_default(),
        HitField::Target => hit.target = text()?.unwrap_or_default(),
        HitField::User => hit.user = text()?,
        HitField::Host => hit.host = text()?,
        HitField::Protocol => hit.protocol = text()?,
        HitField::Referrer => hit.referrer = text()?,
        HitField::Agent => hit.agent = text()?,
        HitField::Route => hit.route = text()?,
        HitField::Upstream => hit.upstream = text()?,
        HitField::Server => hit.server = text()?,
        HitField::Cache => hit.cache = text()?,
        HitField::Failure => hit.failure = text()?,
        HitField::FailureOwner => hit.failure_owner = text()?,
        HitField::RequestId => hit.request_id = text()?,
        HitField::Scheme => hit.scheme = text()?,
        HitField::Tls => hit.tls = text()?,
        HitField::Variants => hit.variants = text()?,
        HitField::Status => {
            let status = whole()?.and_then(|status| u16::try_from(status).ok());
            hit.status = status.ok_or(RejectReason::BadStatus)?;
        }
        HitField::Attempts => {
            let attempts = whole()?.and_then(|attempts| u32::try_from(attempts).ok());
            hit.attempts = Some(attempts.ok_or(BAD)?);
        }
        HitField::Bytes => hit.bytes = whole()?,
        HitField::RequestBytes => hit.request_bytes = whole()?,
        HitField::Duration => hit.duration_us = micros()?,
        HitField::ConnectTime => hit.connect_us = micros()?,
        HitField::Ttfb => hit.ttfb_us = micros()?,
        // Parts of the target, which has them.
        HitField::Path | HitField::Query => {}
    }
    Ok(())
}

/// The hit with other texts.
fn map_texts<'a, 'b>(hit: Hit<'a>, mut map: impl FnMut(&'a [u8]) -> &'b [u8]) -> Hit<'b> {
    Hit {
        start_us: hit.start_us,
        duration_us: hit.duration_us,
        client: map(hit.client),
        user: hit.user.map(&mut map),
        host: hit.host.map(&mut map),
        method: map(hit.method),
        target: map(hit.target),
        protocol: hit.protocol.map(&mut map),
        status: hit.status,
        bytes: hit.bytes,
        referrer: hit.referrer.map(&mut map),
        agent: hit.agent.map(&mut map),
        route: hit.route.map(&mut map),
        upstream: hit.upstream.map(&mut map),
        server: hit.server.map(&mut map),
        attempts: hit.attempts,
        cache: hit.cache.map(&mut map),
        failure: hit.failure.map(&mut map),
        failure_owner: hit.failure_owner.map(&mut map),
        request_bytes: hit.request_bytes,
        request_id: hit.request_id.map(&mut map),
        scheme: hit.scheme.map(&mut map),
        tls: hit.tls.map(&mut map),
        connect_us: hit.connect_us,
        ttfb_us: hit.ttfb_us,
        variants: hit.variants.map(&mut map),
    }
}

/// A string, still escaped, and what follows its closing quote.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', text.get(from..)?)?;
        if text[at] == b'"' {
            return Some((&text[..at], &text[at + 1..]));
        }
        from = at + 2;
    }
}

/// A value that is neither object nor array, and what follows it.
fn value(text: &[u8]) -> Option<(Value<'_>, &[u8])> {
    if text.starts_with(b"\"") {
        return string(text).map(|(text, rest)| (Value::Text(text), rest));
    }
    let end =
        text.iter().position(|byte| matches!(byte, b',' | b'}') || byte.is_ascii_whitespace());
    let (value, rest) = text.split_at(end?);
    match value {
        b"null" | b"true" | b"false" => Some((Value::Word, rest)),
        [b'0'..=b'9' | b'-', ..] => Some((Value::Number(value), rest)),
        _ => None,
    }
}

fn whole(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Seconds, with at most six decimals, as microseconds.
fn micros(digits: &[u8]) -> Option<u64> {
    let (seconds, decimals) = match memchr(b'.', digits) {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, &b"0"[..]),
    };
    let missing = 6_u32.checked_sub(u32::try_from(decimals.len()).ok()?)?;
    let part = whole(decimals)? * 10_u64.pow(missing);
    whole(seconds)?.checked_mul(1_000_000)?.checked_add(part)
}

/// `1994-11-06T08:49:37.000042Z` as microseconds since the Unix epoch.
fn timestamp(text: &[u8]) -> Option<i64> {
    let [date @ .., b'Z'] = text else { return None };
    let (second, decimals) = date.split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1] =
        *second
    else {
        return None;
    };
    let two = |a: u8, b: u8| whole(&[a, b])?.try_into().ok();
    let year = whole(&[y0, y1, y2, y3])?.try_into().ok()?;
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    let time = DateTime::new(year, month, day, two(h0, h1)?, two(n0, n1)?, two(s0, s1)?, 0).ok()?;
    let part = match decimals {
        b"" => 0,
        [b'.', decimals @ ..] if decimals.len() <= 6 => {
            i64::try_from(whole(decimals)? * 10_u64.pow(6 - decimals.len() as u32)).ok()?
        }
        _ => return None,
    };
    Some(Offset::UTC.to_timestamp(time).ok()?.as_microsecond() + part)
}

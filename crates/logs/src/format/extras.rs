//! Fields that operators put behind the common and combined formats, as far as their shape tells
//! what they are: a quoted list of addresses (forwarded-for), numbers with three decimals (request time,
//! then upstream time), `address:port`, `unix:path` or an origin (upstream), `key=value`, Traefik's `12ms`. What could be
//! anything, such as a bare whole number, is passed over: a layout says what it is.

use super::{
    field::{Draft, Field, first_of},
    request::quoted,
};
use crate::time::Clock;
use memchr::memchr;

pub(super) fn read<'a>(rest: &'a [u8], draft: &mut Draft<'a>, clock: &mut Clock) {
    let mut rest = rest;
    // nginx lists the servers that it tried, parted by `, ` and ` : `; the last one answered.
    let mut goes_on = false;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return;
        }
        let whole = rest;
        let (token, after, is_quoted) = match quoted(rest) {
            Some((inside, after)) => (inside, after, true),
            None => {
                let end = memchr(b' ', rest).unwrap_or(rest.len());
                let (token, after) = rest.split_at(end);
                (token, after, false)
            }
        };
        rest = after;
        if matches!(token, b"" | b"-") {
            continue;
        }
        if !is_quoted && let Some(at) = memchr(b'=', token) {
            let (key, mut value) =
                (token.get(..at).unwrap_or_default(), token.get(at + 1..).unwrap_or_default());
            if value.starts_with(b"\"")
                && let Some((inside, after)) = whole.get(at + 1..).and_then(quoted)
            {
                (value, rest) = (inside, after);
            }
            keyed(key, value, draft, clock);
            continue;
        }
        if !is_quoted && (token == b":" || token.ends_with(b",")) {
            goes_on = token == b":";
            continue;
        }
        let goes_on = std::mem::take(&mut goes_on);
        let field = match shape(token) {
            Shape::Addresses if is_quoted && draft.record.forwarded_for.is_none() => {
                draft.record.forwarded_for = first_of(token);
                continue;
            }
            Shape::AddressPort if draft.record.upstream.is_none() || goes_on => Field::Upstream,
            Shape::Decimal if draft.record.duration_us.is_none() => Field::DurationS,
            Shape::Decimal if draft.record.upstream_us.is_none() || goes_on => Field::UpstreamS,
            Shape::Millis if draft.record.duration_us.is_none() => Field::DurationMs,
            _ => continue,
        };
        let token = if field == Field::Upstream { without_scheme(token) } else { token };
        // What only looked like the field is no reason to give up the line.
        if draft.set(field, token, clock).is_ok() && field == Field::DurationS {
            // nginx logs a request when it ends.
            draft.record.time_is_end = true;
        }
    }
}

/// The names that nginx users give their fields in the `key=value` style.
fn keyed<'a>(key: &[u8], value: &'a [u8], draft: &mut Draft<'a>, clock: &mut Clock) {
    let field = match key {
        b"rt" | b"request_time" | b"req_time" => Field::DurationS,
        b"urt" | b"upstream_response_time" | b"ut" => Field::UpstreamS,
        b"ua" | b"upstream_addr" | b"us_addr" | b"upstream" => Field::Upstream,
        b"cs" | b"cache" | b"upstream_cache_status" => Field::Cache,
        b"host" | b"vhost" => Field::Host,
        b"xff" | b"forwarded_for" => Field::ForwardedFor,
        _ => return,
    };
    if draft.set(field, value, clock).is_ok() && field == Field::DurationS {
        draft.record.time_is_end = true;
    }
}

fn without_scheme(origin: &[u8]) -> &[u8] {
    let rest = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    rest.unwrap_or(origin)
}

/// `http://host:port`, as Traefik names servers; with a path it is something else's address.
fn is_origin(text: &[u8]) -> bool {
    let authority = without_scheme(text);
    let port = authority.rsplit(|byte| *byte == b':').next().unwrap_or_default();
    authority.len() < text.len()
        && !authority.contains(&b'/')
        && port.len() < authority.len()
        && !port.is_empty()
        && port.iter().all(u8::is_ascii_digit)
}

enum Shape {
    Addresses,
    AddressPort,
    Decimal,
    Millis,
    Other,
}

fn shape(token: &[u8]) -> Shape {
    let digits = token.iter().filter(|byte| byte.is_ascii_digit()).count();
    let count = |wanted: u8| token.iter().filter(|byte| **byte == wanted).count();
    if digits > 0 && digits + 1 == token.len() && count(b'.') == 1 {
        // nginx writes milliseconds; with two decimals it is the ratio of compression.
        let is_time = token.rsplit(|byte| *byte == b'.').next().is_some_and(|part| part.len() >= 3);
        return if is_time { Shape::Decimal } else { Shape::Other };
    }
    if digits > 0 && digits + 2 == token.len() && token.ends_with(b"ms") {
        return Shape::Millis;
    }
    let first = token.split(|byte| *byte == b',').next().unwrap_or_default();
    if first.starts_with(b"unix:") || is_origin(first) {
        return Shape::AddressPort;
    }
    let is_v4 = |text: &[u8]| {
        text.split(|byte| *byte == b'.').count() == 4
            && text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
    };
    if let Some(colon) = memchr::memrchr(b':', first)
        && first.get(..colon).is_some_and(|host| is_v4(host) || host.ends_with(b"]"))
    {
        return Shape::AddressPort;
    }
    let is_v6 = first.contains(&b':') && first.iter().all(|b| b.is_ascii_hexdigit() || *b == b':');
    if is_v4(first) || is_v6 { Shape::Addresses } else { Shape::Other }
}

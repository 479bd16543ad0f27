//! Envoy's default text format, and Istio's, which has more fields: `[start] "method path protocol" status
//! flags … received sent duration upstream-time "forwarded-for" "agent" "id" "authority" "upstream" …`.
//!
//! Sources: Envoy documentation, "Access logging", default format string; Istio documentation, "Envoy
//! Access Logs". The time is that of the start. Neither escapes what clients send.

use super::{
    field::{Draft, Field},
    request::word,
};
use crate::{RejectReason, time::Clock};
use memchr::memmem;

/// Whether a line can be of this format.
pub(super) fn is_meant(line: &[u8]) -> bool {
    line.starts_with(b"[") && line.get(5) == Some(&b'-') && line.get(11) == Some(&b'T')
}

pub(super) fn parse<'a>(
    line: &'a [u8],
    draft: &mut Draft<'a>,
    clock: &mut Clock,
) -> Result<(), RejectReason> {
    const BAD: RejectReason = RejectReason::NotAccessLog;
    let (time, rest) =
        cut(line.get(1..).unwrap_or_default(), b"] ").ok_or(RejectReason::NoTimestamp)?;
    draft.set(Field::Time, time, clock)?;
    let request = rest.strip_prefix(b"\"").and_then(|rest| cut(rest, b"\" "));
    let (request, rest) = request.ok_or(RejectReason::NoRequestField)?;
    draft.set(Field::Request, request, clock)?;
    let (status, rest) = word(rest).ok_or(BAD)?;
    draft.set(Field::Status, status, clock)?;
    let (_flags, rest) = word(rest).ok_or(BAD)?;
    let is_istio = !rest.first().is_some_and(u8::is_ascii_digit);
    let rest = if is_istio { after_details(rest).ok_or(BAD)? } else { rest };

    let mut rest = rest;
    for field in [Field::RequestBytes, Field::Bytes, Field::DurationMs, Field::UpstreamMs] {
        let cell;
        (cell, rest) = word(rest).ok_or(BAD)?;
        draft.set(field, cell, clock)?;
    }
    let (forwarded, rest) = rest.strip_prefix(b"\"").and_then(between).ok_or(BAD)?;
    let (agent, rest) = between(rest).ok_or(BAD)?;
    let (_id, rest) = between(rest).ok_or(BAD)?;
    let (authority, rest) = between(rest).ok_or(BAD)?;
    let end = memchr::memchr(b'"', rest).ok_or(BAD)?;
    let (upstream, rest) = rest.split_at(end);
    draft.set(Field::ForwardedFor, forwarded, clock)?;
    draft.set(Field::Agent, agent, clock)?;
    draft.set(Field::Host, authority, clock)?;
    draft.set(Field::Upstream, upstream.strip_prefix(b"tcp://").unwrap_or(upstream), clock)?;
    if is_istio {
        // `" cluster local-to-upstream local client server-name route`
        let mut words = rest.split(|byte| *byte == b' ').skip(4);
        draft.set(Field::ClientPort, words.next().unwrap_or_default(), clock)?;
        draft.set(Field::Route, words.nth(1).unwrap_or_default(), clock)
    } else {
        // Envoy puts the address of its client behind those that the client claims.
        let client = forwarded.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        draft.set(Field::Client, client.trim_ascii(), clock)
    }
}

/// Behind Istio's details of the response and of the connection's end, and the quoted failure of the upstream.
fn after_details(rest: &[u8]) -> Option<&[u8]> {
    let (_details, rest) = cut(rest, b" \"")?;
    cut(rest, b"\" ").map(|(_failure, rest)| rest)
}

/// Up to the quotes between two quoted fields, and what follows them.
fn between(text: &[u8]) -> Option<(&[u8], &[u8])> {
    cut(text, b"\" \"")
}

fn cut<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = memmem::find(text, at)?;
    Some((text.get(..found)?, text.get(found + at.len()..)?))
}

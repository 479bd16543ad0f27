//! HAProxy's HTTP log: `client:port [accept date] frontend backend/server TR/Tw/Tc/Tr/Ta status bytes
//! cookies flags connections queues {captured} {captured} "request"`.
//!
//! Source: HAProxy configuration manual, "HTTP log format". The time is that of the accept, in the
//! local zone of the writer.

use super::{
    field::{Draft, Field},
    request::{quoted, word},
};
use crate::{RejectReason, time::Clock};
use memchr::{memchr, memmem};

/// Whether a line can be of this format: the time is the second field.
pub(super) fn is_meant(line: &[u8]) -> bool {
    word(line).is_some_and(|(client, rest)| rest.starts_with(b"[") && client.contains(&b':'))
}

pub(super) fn parse<'a>(
    line: &'a [u8],
    draft: &mut Draft<'a>,
    clock: &mut Clock,
) -> Result<(), RejectReason> {
    const BAD: RejectReason = RejectReason::NotAccessLog;
    let (client, rest) = word(line).ok_or(BAD)?;
    let rest = rest.strip_prefix(b"[").ok_or(BAD)?;
    let end = memchr(b']', rest).ok_or(RejectReason::NoTimestamp)?;
    let (time, rest) = rest.split_at(end);
    let moment = clock.slashed(time).ok_or(RejectReason::BadTimestamp)?;
    draft.set_time(moment, false);
    // The last colon: HAProxy writes IPv6 addresses without brackets.
    let port = memchr::memrchr(b':', client).ok_or(BAD)?;
    draft.record.client = client.get(..port).filter(|address| !address.is_empty()).ok_or(BAD)?;

    let (_frontend, rest) = word(rest.strip_prefix(b"] ").ok_or(BAD)?).ok_or(BAD)?;
    let (server, rest) = word(rest).ok_or(BAD)?;
    let (timers, rest) = word(rest).ok_or(BAD)?;
    let (status, rest) = word(rest).ok_or(BAD)?;
    let (bytes, rest) = word(rest).ok_or(BAD)?;
    if !server.ends_with(b"<NOSRV>") {
        draft.set(Field::Upstream, server, clock)?;
    }
    let mut timers = timers.split(|byte| *byte == b'/').skip(3);
    let (server_ms, all_ms) = (timers.next().ok_or(RejectReason::NoRequestField)?, timers.next());
    draft.set(Field::UpstreamMs, server_ms, clock)?;
    let all_ms = all_ms.ok_or(RejectReason::NoRequestField)?;
    draft.set(Field::DurationMs, all_ms.strip_prefix(b"+").unwrap_or(all_ms), clock)?;
    draft.set(Field::Status, status, clock)?;
    draft.set(Field::Bytes, bytes.strip_prefix(b"+").unwrap_or(bytes), clock)?;

    let quote = memmem::find(rest, b" \"").ok_or(RejectReason::NoRequestField)?;
    let (captured, request) = rest.split_at(quote);
    captured_agent(captured, draft);
    let request = request.get(1..).unwrap_or_default();
    // The system's log may have cut the line in the middle of the request.
    let request = match quoted(request) {
        Some((request, _)) => request,
        None => request.get(1..).ok_or(RejectReason::NoRequestField)?,
    };
    draft.set(Field::Request, request, clock)
}

/// Which headers are captured is configured; an agent is told by its looks.
fn captured_agent<'a>(captured: &'a [u8], draft: &mut Draft<'a>) {
    let Some(open) = memchr(b'{', captured) else { return };
    let inside = captured.get(open + 1..).unwrap_or_default();
    let end = memmem::find(inside, b"} {").or_else(|| memchr::memrchr(b'}', inside));
    let headers = inside.get(..end.unwrap_or(inside.len())).unwrap_or_default();
    draft.record.agent =
        headers.split(|byte| *byte == b'|').find(|header| header.starts_with(b"Mozilla/"));
}

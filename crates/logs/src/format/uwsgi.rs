//! uWSGI's default request log: `[pid: 1|app: 0|req: 1/1] client (user) {38 vars in 696 bytes} [time]
//! METHOD target => generated 47 bytes in 129 msecs (HTTP/1.1 200) …`.
//!
//! Source: uWSGI documentation, "Formatting uWSGI requests logs". The time is that of the start, in
//! the local zone of the writer.

use super::{
    field::{Draft, Field},
    request::word,
};
use crate::{RejectReason, time::Clock};
use memchr::memmem;

/// Whether a line is meant to be of this format.
pub(super) fn is_meant(line: &[u8]) -> bool {
    line.starts_with(b"[pid: ")
}

pub(super) fn parse<'a>(
    line: &'a [u8],
    draft: &mut Draft<'a>,
    clock: &mut Clock,
) -> Result<(), RejectReason> {
    const BAD: RejectReason = RejectReason::NotAccessLog;
    let (_, rest) = cut(line, b"] ").ok_or(BAD)?;
    let (client, rest) = cut(rest, b" (").ok_or(BAD)?;
    draft.record.client = client;
    let (user, rest) = cut(rest, b") {").ok_or(BAD)?;
    let (variables, rest) = cut(rest, b"} [").ok_or(BAD)?;
    let (time, rest) = cut(rest, b"] ").ok_or(RejectReason::NoTimestamp)?;
    let (request, rest) = cut(rest, b" => generated ").ok_or(RejectReason::NoRequestField)?;
    let (bytes, rest) = cut(rest, b" bytes in ").ok_or(BAD)?;
    let (duration, rest) = word(rest).ok_or(BAD)?;
    let (unit, rest) = word(rest).ok_or(BAD)?;
    let (protocol, rest) = word(rest.strip_prefix(b"(").ok_or(BAD)?).ok_or(BAD)?;
    let (status, _) = cut(rest, b")").ok_or(RejectReason::BadStatus)?;
    let (method, target) = word(request).ok_or(RejectReason::NoRequestField)?;

    draft.set(Field::Time, time, clock)?;
    draft.set(Field::User, user, clock)?;
    if let Some((_, bytes)) = cut(variables, b" vars in ") {
        draft.set(Field::RequestBytes, bytes.strip_suffix(b" bytes").unwrap_or(bytes), clock)?;
    }
    draft.set(Field::Method, method, clock)?;
    draft.set(Field::Target, target, clock)?;
    draft.set(Field::Bytes, bytes, clock)?;
    let unit = if unit == b"micros" { Field::DurationUs } else { Field::DurationMs };
    draft.set(unit, duration, clock)?;
    draft.set(Field::Protocol, protocol, clock)?;
    draft.set(Field::Status, status, clock)
}

fn cut<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = memmem::find(text, at)?;
    Some((text.get(..found)?, text.get(found + at.len()..)?))
}

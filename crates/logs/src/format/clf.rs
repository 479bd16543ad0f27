//! The common-log family: `client identity user [time] "request" status size`, in front of it
//! perhaps a virtual host, behind it perhaps `"referrer" "agent"` (the combined format) and fields
//! that the operator added.
//!
//! Sources: the CERN and NCSA httpd manuals; Apache's `%h %l %u %t "%r" %>s %b "%{Referer}i"
//! "%{User-Agent}i"`, with `%v:%p ` or `%v ` before it; nginx's `combined`.

use super::{
    Format, extras,
    field::{Draft, Field},
    request::{quoted, word},
};
use crate::{
    RejectReason,
    time::{CLF_BYTES, Clock},
};
use memchr::{memchr, memchr_iter, memmem};

pub(super) fn parse<'a>(
    line: &'a [u8],
    draft: &mut Draft<'a>,
    clock: &mut Clock,
) -> Result<Format, RejectReason> {
    let bracket = memchr_iter(b'[', line).find(|at| *at > 0 && line.get(at - 1) == Some(&b' '));
    let Some(bracket) = bracket else {
        let words = line.splitn(3, |byte| *byte == b' ').filter(|word| !word.is_empty()).count();
        let reason = if words < 3 || line.starts_with(b" ") {
            RejectReason::NotAccessLog
        } else {
            RejectReason::NoTimestamp
        };
        return Err(reason);
    };
    let (head, rest) = (line.get(..bracket), line.get(bracket + 1..));
    let has_host = client(head.unwrap_or_default(), draft)?;

    let rest = rest.unwrap_or_default();
    let (time, rest) = rest.split_first_chunk::<CLF_BYTES>().ok_or(RejectReason::BadTimestamp)?;
    let rest = rest.strip_prefix(b"]").ok_or(RejectReason::BadTimestamp)?;
    draft.set_time(clock.clf(time).ok_or(RejectReason::BadTimestamp)?, false);

    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let (request, rest) = quoted(rest).ok_or(RejectReason::NoRequestField)?;
    draft.set(Field::Request, request, clock)?;
    let rest = status(rest, draft).ok_or(RejectReason::BadStatus)?;
    let end = memchr(b' ', rest).unwrap_or(rest.len());
    let (size, rest) = rest.split_at(end);
    if size.is_empty() {
        return Err(RejectReason::BadSize);
    }
    draft.set(Field::Bytes, size, clock)?;

    let (is_combined, rest) = match clients_words(rest) {
        Some((referrer, agent, rest)) => {
            draft.record.referrer = known(referrer);
            draft.record.agent = known(agent);
            (true, rest)
        }
        None => (false, rest),
    };
    extras::read(rest, draft, clock);
    Ok(match (has_host, is_combined) {
        (false, true) => Format::Combined,
        (true, true) => Format::HostCombined,
        (false, false) => Format::Common,
        (true, false) => Format::HostCommon,
    })
}

/// `[host ]client identity user `; whether there was a host. The user may hold spaces. A third word
/// `-` after a second that is not tells the host: identity is `-` practically everywhere.
fn client<'a>(head: &'a [u8], draft: &mut Draft<'a>) -> Result<bool, RejectReason> {
    const BAD: RejectReason = RejectReason::NotAccessLog;
    let (first, rest) = word(head).ok_or(BAD)?;
    let (second, rest) = word(rest).ok_or(BAD)?;
    let rest = rest.strip_suffix(b" ").filter(|user| !user.is_empty()).ok_or(BAD)?;
    let (has_host, client, user) = match rest.strip_prefix(b"- ") {
        Some(user) if second != b"-" && !user.is_empty() => (true, second, user),
        Some(_) => return Err(BAD),
        None => (false, first, rest),
    };
    // Whoever carries the log may have put words in front, which would pass for the user's.
    if client.starts_with(b"\"") || user.len() > 3 && memmem::find(user, b" - ").is_some() {
        return Err(BAD);
    }
    draft.record.client = client;
    draft.record.host = if has_host { known(first) } else { None };
    // Apache writes an empty user as two quotes.
    draft.record.user = known(if user == b"\"\"" { b"" } else { user });
    Ok(has_host)
}

/// `-` stands for "not known".
fn known(field: &[u8]) -> Option<&[u8]> {
    (field != b"-").then_some(field)
}

/// ` 200 `; what follows the second space.
fn status<'a>(text: &'a [u8], draft: &mut Draft<'a>) -> Option<&'a [u8]> {
    let [b' ', a, b, c, b' '] = text.get(..5)? else { return None };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let status = digit(a)? * 100 + digit(b)? * 10 + digit(c)?;
    draft.record.status = Some(status).filter(|status| *status >= 100);
    (status >= 100 || status == 0).then(|| text.get(5..)).flatten()
}

/// ` "referrer" "agent"` and what follows. An agent without its closing quote ends with the line:
/// some writers shorten long lines, and the agent's beginning is worth keeping.
fn clients_words(rest: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (referrer, rest) = quoted(rest.strip_prefix(b" ")?)?;
    let rest = rest.strip_prefix(b" ")?;
    match quoted(rest) {
        Some((agent, rest)) => Some((referrer, agent, rest)),
        None => Some((referrer, rest.strip_prefix(b"\"")?, b"")),
    }
}

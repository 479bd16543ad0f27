//! The common-log family: `client identity user [time] "request" status size`, in front of it
//! perhaps a virtual host, behind it perhaps `"referrer" "agent"` (the combined format) and fields
//! that the operator added.
//!
//! Sources: the CERN and NCSA httpd manuals; Apache's `%h %l %u %t "%r" %>s %b "%{Referer}i"
//! "%{User-Agent}i"`, with `%v:%p ` or `%v ` before it; nginx's `combined`.

use super::{
    Format, extras,
    field::{Draft, Field, without_port},
    request::{quoted, request_line, word},
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
    let Some(bracket) = time_bracket(line) else {
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
    let (request, rest) = request_and_status(rest, draft)?;
    draft.set(Field::Request, request, clock)?;
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

/// Where the time begins: behind a space, and so that a quote follows its end. A user may hold spaces and
/// brackets, but no quote that is not escaped.
fn time_bracket(line: &[u8]) -> Option<usize> {
    let mut first = None;
    for at in memchr_iter(b'[', line) {
        if at == 0 || line.get(at - 1) != Some(&b' ') {
            continue;
        }
        if line.get(at + 1 + CLF_BYTES..).is_some_and(|rest| rest.starts_with(b"] \"")) {
            return Some(at);
        }
        first = first.or(Some(at));
    }
    first
}

/// `[host ]client identity user `; whether there was a host. The user may hold spaces. A third word
/// `-` after a second that is not tells the host: identity is `-` practically everywhere. nginx writes
/// nothing for a host that it does not know.
fn client<'a>(head: &'a [u8], draft: &mut Draft<'a>) -> Result<bool, RejectReason> {
    const BAD: RejectReason = RejectReason::NotAccessLog;
    let (has_empty_host, head) = match head.strip_prefix(b" ") {
        Some(head) => (true, head),
        None => (false, head),
    };
    let (first, first_is_list, rest) = word_or_list(head).ok_or(BAD)?;
    let (second, second_is_list, rest) = word_or_list(rest).ok_or(BAD)?;
    let rest = rest.strip_suffix(b" ").ok_or(BAD)?;
    let is_identified = second != b"-";
    let (host, client, user) = match rest.strip_prefix(b"- ") {
        Some(user) if is_identified && !has_empty_host && !first_is_list => {
            (Some(first), second, user)
        }
        Some(_) => return Err(BAD),
        None if second_is_list => {
            draft.record.forwarded_for = Some(second);
            (None, first, rest)
        }
        // lighttpd writes the host where others have the identity.
        None if is_identified && second.iter().any(|byte| matches!(byte, b'.' | b':')) => {
            draft.record.host = Some(second);
            (None, first, rest)
        }
        None => (None, first, rest),
    };
    // Whoever carries the log may have put words in front, which would pass for the user's.
    let is_carried = is_identified && user.len() > 3 && memmem::find(user, b" - ").is_some();
    let is_cut_list = host.is_some_and(|host| host.ends_with(b","));
    if client.starts_with(b"\"") || is_carried || is_cut_list {
        return Err(BAD);
    }
    if first_is_list || second_is_list && host.is_some() {
        draft.record.forwarded_for = Some(client);
    }
    draft.record.client = known(bare(client)).unwrap_or_default();
    draft.record.host = draft.record.host.or(host.and_then(known));
    // Apache writes an empty user as two quotes.
    draft.record.user = known(if user == b"\"\"" { b"" } else { user });
    Ok(host.is_some() || has_empty_host)
}

/// Shortest list of two addresses that no space parts.
const LIST_BYTES_MIN: usize = "1.1.1.1,2.2.2.2".len();

/// The next word, or the first address of a list that proxies gave (`X-Forwarded-For`) in its place; whether
/// it was a list, and what follows.
#[inline]
fn word_or_list(text: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    let (first, rest) = word(text)?;
    let may_be_list =
        first.ends_with(b",") || first.len() >= LIST_BYTES_MIN && memchr(b',', first).is_some();
    match may_be_list.then(|| list(first, rest)).flatten() {
        Some((address, rest)) => Some((address, true, rest)),
        None => Some((first, false, rest)),
    }
}

/// The first address of a list whose first word is `first`.
#[cold]
fn list<'a>(first: &'a [u8], rest: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let address = bare(first.get(..memchr(b',', first)?)?);
    if !is_address(address) && !matches!(address, b"-" | b"unknown") {
        return None;
    }
    let (mut last, mut rest) = (first, rest);
    while last.ends_with(b",") {
        (last, rest) = word(rest)?;
    }
    Some((address, rest))
}

/// An address without the port or the brackets that some servers write with it.
#[inline]
fn bare(client: &[u8]) -> &[u8] {
    // Only the last bytes can be a port: most clients are told by a look at them.
    let end = client.get(client.len().saturating_sub(":65535".len())..).unwrap_or_default();
    if client.first() != Some(&b'[') && !end.contains(&b':') {
        return client;
    }
    Some(without_port(client)).filter(|address| is_address(address)).unwrap_or(client)
}

fn is_address(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::IpAddr>().is_ok())
}

/// `-` stands for "not known".
fn known(field: &[u8]) -> Option<&[u8]> {
    (field != b"-").then_some(field)
}

/// `"request" 200 `: the request, and what follows. Some writers leave quotes in the request as they are;
/// then it ends at the one that a protocol is before and a status behind.
fn request_and_status<'a>(
    text: &'a [u8],
    draft: &mut Draft<'a>,
) -> Result<(&'a [u8], &'a [u8]), RejectReason> {
    let (request, rest) = quoted(text).ok_or(RejectReason::NoRequestField)?;
    if let Some(rest) = status(rest, draft) {
        return Ok((request, rest));
    }
    let inside = text.get(1..).unwrap_or_default();
    if !ends_in_protocol(request) {
        for at in memmem::find_iter(inside, b"\" ") {
            let (request, rest) = inside.split_at(at);
            if ends_in_protocol(request)
                && let Some(rest) = status(rest.get(1..).unwrap_or_default(), draft)
            {
                return Ok((request, rest));
            }
        }
    }
    Err(RejectReason::BadStatus)
}

fn ends_in_protocol(request: &[u8]) -> bool {
    request_line(request).is_some_and(|(_, _, protocol)| protocol.is_some())
}

/// ` 200 `; what follows the second space. `-`, `0`, `000` and `-1` mean that there was none (Varnish, Squid,
/// HAProxy).
fn status<'a>(text: &'a [u8], draft: &mut Draft<'a>) -> Option<&'a [u8]> {
    if let Some([b' ', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ']) = text.get(..5) {
        let digit = |byte: &u8| u16::from(byte - b'0');
        let status = digit(a) * 100 + digit(b) * 10 + digit(c);
        draft.record.status = Some(status).filter(|status| *status >= 100);
        return (status >= 100 || status == 0).then(|| text.get(5..)).flatten();
    }
    [&b" - "[..], b" 0 ", b" -1 "].iter().find_map(|none| text.strip_prefix(*none))
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

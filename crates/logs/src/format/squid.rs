//! Squid's native log: `time elapsed client result/status bytes method URL user hierarchy/peer type`.
//!
//! Source: Squid documentation, "Squid Log Files", and the directive `logformat`. The time is that of the
//! end, in seconds since the epoch; the elapsed time counts milliseconds.

use super::{
    field::{Draft, Field, without_port},
    table::Cells,
};
use crate::{RejectReason, time::Clock};
use memchr::{memchr, memmem};

/// Whether a line can be of this format: it begins with seconds and three decimals.
pub(super) fn is_meant(line: &[u8]) -> bool {
    let Some((time, rest)) = memchr(b'.', line).and_then(|point| line.split_at_checked(point))
    else {
        return false;
    };
    matches!(time.len(), 9..=11)
        && time.iter().all(u8::is_ascii_digit)
        && matches!(rest, [b'.', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', ..])
}

pub(super) fn parse<'a>(
    line: &'a [u8],
    draft: &mut Draft<'a>,
    clock: &mut Clock,
) -> Result<(), RejectReason> {
    const BAD: RejectReason = RejectReason::NotAccessLog;
    let mut cells = Cells::new(line, b' ');
    let mut next = || cells.next().ok_or(BAD);
    for field in [Field::TimeAtEnd, Field::DurationMs, Field::Client] {
        draft.set(field, next()?, clock)?;
    }
    let (result, status) = at_slash(next()?).ok_or(BAD)?;
    draft.set(Field::Cache, result, clock)?;
    draft.set(Field::Status, status, clock)?;
    draft.set(Field::Bytes, next()?, clock)?;
    draft.set(Field::Method, next()?, clock)?;
    let url = next()?;
    // What Squid says where there was no URL.
    if !url.starts_with(b"error:") {
        draft.set(Field::Target, url, clock)?;
        draft.set(Field::Host, host(url), clock)?;
    }
    // A line with a long URL may be cut off there.
    let (user, peer, mime) = (cells.next(), cells.next().and_then(at_slash), cells.next());
    draft.set(Field::User, user.unwrap_or_default(), clock)?;
    draft.set(Field::Upstream, peer.unwrap_or_default().1, clock)?;
    draft.set(Field::Mime, mime.unwrap_or_default(), clock)
}

fn at_slash(cell: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = memchr(b'/', cell)?;
    Some((cell.get(..slash)?, cell.get(slash + 1..)?))
}

/// The host of a URL, or of the `host:port` of `CONNECT`; nothing for a path.
fn host(url: &[u8]) -> &[u8] {
    let authority = match memmem::find(url, b"://") {
        Some(colon) => url.get(colon + 3..).unwrap_or_default(),
        None => url,
    };
    let end = memchr(b'/', authority).unwrap_or(authority.len());
    let authority = authority.get(..end).unwrap_or_default();
    without_port(authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default())
}

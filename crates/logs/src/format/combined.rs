//! The combined log format: the common log format and ` "referrer" "agent"`.
//! Source: Apache's `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`; nginx's `combined`.

use super::clf;
use crate::{RejectReason, timestamp::Clock};
use traffic::Hit;

pub(super) fn parse<'a>(line: &'a [u8], clock: &mut Clock) -> Result<Hit<'a>, RejectReason> {
    let (hit, rest) = clf::parse(line, clock)?;
    let (referrer, agent) = clients_words(rest).ok_or(RejectReason::NoReferrerAndAgent)?;
    Ok(Hit { referrer: clf::known(referrer), agent: clf::known(agent), ..hit })
}

/// The two quoted fields. An agent without its closing quote ends with the line: some writers
/// shorten long lines, and the agent's beginning is worth keeping.
fn clients_words(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (referrer, rest) = clf::quoted(rest.strip_prefix(b" ")?)?;
    let rest = rest.strip_prefix(b" ")?;
    let agent = match clf::quoted(rest) {
        Some((agent, _extra)) => agent,
        None => rest.strip_prefix(b"\"")?,
    };
    Some((referrer, agent))
}

//! The common log format: `client identity user [time] "request" status size`.
//! Source: the CERN httpd and NCSA httpd manuals; Apache's `%h %l %u %t "%r" %>s %b`.

use super::clf;
use crate::{RejectReason, timestamp::Clock};
use traffic::Hit;

pub(super) fn parse<'a>(line: &'a [u8], clock: &mut Clock) -> Result<Hit<'a>, RejectReason> {
    clf::parse(line, clock).map(|(hit, _extra)| hit)
}

//! Access logs of AWS load balancers: classic ELB and ALB.
//!
//! Source: AWS documentation, "Access logs for your Classic Load Balancer" and "Access log entries"
//! of the Application Load Balancer. The time is that of the response.

use super::{
    field::{Draft, Field},
    table::Cells,
};
use crate::{RejectReason, time::Clock};

use Field as F;

const CLASSIC: [Option<Field>; 15] = [
    Some(F::TimeAtEnd),
    None, // name of the balancer
    Some(F::ClientPort),
    Some(F::Upstream),
    Some(F::DurationPart), // until it was handed to the server
    Some(F::DurationPart), // the server's time; also upstream time
    Some(F::DurationPart), // until the answer was under way
    Some(F::Status),
    None, // status of the server
    Some(F::RequestBytes),
    Some(F::Bytes),
    Some(F::Request),
    Some(F::Agent),
    Some(F::Cipher),
    Some(F::Tls),
];

/// The column that tells the server's time.
const SERVER_TIME: usize = 5;

/// Whether a line can be of this format.
pub(super) fn is_meant(line: &[u8]) -> bool {
    line.get(10) == Some(&b'T') && line.first().is_some_and(u8::is_ascii_digit)
        || kind(line).is_some()
}

/// What follows the type that ALB lines begin with.
fn kind(line: &[u8]) -> Option<&[u8]> {
    [&b"https "[..], b"http ", b"h2 ", b"grpcs ", b"wss ", b"ws "]
        .iter()
        .find_map(|kind| line.strip_prefix(*kind))
}

pub(super) fn parse<'a>(
    line: &'a [u8],
    draft: &mut Draft<'a>,
    clock: &mut Clock,
) -> Result<(), RejectReason> {
    let is_alb = kind(line).is_some();
    let mut cells = Cells::new(kind(line).unwrap_or(line), b' ');
    for (index, field) in CLASSIC.iter().enumerate() {
        // Cipher, TLS version and, in the oldest lines, the agent may be missing.
        let Some(cell) = cells.next() else {
            return if index >= 12 { Ok(()) } else { Err(RejectReason::NotAccessLog) };
        };
        if let Some(field) = field {
            draft.set(*field, cell, clock)?;
        }
        if index == SERVER_TIME {
            draft.set(Field::UpstreamS, cell, clock)?;
        }
    }
    if is_alb {
        // target group, trace id, then the name that the client asked for by TLS.
        if let Some(domain) = cells.nth(2) {
            draft.set(Field::Host, domain, clock)?;
        }
    }
    Ok(())
}

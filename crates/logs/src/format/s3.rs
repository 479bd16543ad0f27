//! Server access logs of Amazon S3 (also of DreamObjects and others that copied it): `owner bucket [time]
//! address requester id operation key "request" status error bytes size total turn-around "referrer"
//! "agent" …`.
//!
//! Source: Amazon S3 documentation, "Amazon S3 server access log format". The time is that of the start.

use super::{
    field::{Draft, Field},
    request::word,
    table::Cells,
};
use crate::{
    RejectReason,
    time::{CLF_BYTES, Clock},
};

use Field as F;

/// What follows the time.
const CELLS: [Option<Field>; 21] = [
    Some(F::Client),
    None, // requester
    None, // request id
    None, // operation
    None, // key
    Some(F::Request),
    Some(F::Status),
    None, // error code
    Some(F::Bytes),
    None, // size of the object
    Some(F::DurationMs),
    Some(F::UpstreamMs), // turn-around: S3's own part of it
    Some(F::Referrer),
    Some(F::Agent),
    None, // version id
    None, // host id
    None, // signature version
    Some(F::Cipher),
    None, // authentication
    None, // endpoint; the bucket says more
    Some(F::Tls),
];

/// How many of [`CELLS`] the oldest lines have.
const CELLS_MIN: usize = 14;

/// The bucket and what follows it, if the line can be of this format: the time is its third field.
pub(super) fn bucket(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_owner, rest) = word(line)?;
    let (bucket, rest) = word(rest)?;
    rest.starts_with(b"[").then_some((bucket, rest))
}

pub(super) fn parse<'a>(
    (bucket, rest): (&'a [u8], &'a [u8]),
    draft: &mut Draft<'a>,
    clock: &mut Clock,
) -> Result<(), RejectReason> {
    let time = rest.get(1..).and_then(|rest| rest.split_first_chunk::<CLF_BYTES>());
    let (time, rest) = time.ok_or(RejectReason::BadTimestamp)?;
    let rest = rest.strip_prefix(b"] ").ok_or(RejectReason::BadTimestamp)?;
    draft.set_time(clock.clf(time).ok_or(RejectReason::BadTimestamp)?, false);
    draft.set(Field::Host, bucket, clock)?;
    let mut cells = Cells::new(rest, b' ');
    for (index, field) in CELLS.iter().enumerate() {
        match (cells.next(), field) {
            (Some(cell), Some(field)) => draft.set(*field, cell, clock)?,
            (Some(_), None) => {}
            (None, _) if index >= CELLS_MIN => break,
            (None, _) => return Err(RejectReason::NotAccessLog),
        }
    }
    Ok(())
}

//! Docker's `json-file`: each line of a container as `{"log":"line\n","stream":"stdout","time":"…"}`.
//!
//! Source: Docker documentation, "JSON File logging driver". What it carries may be of any format.

use super::{escape, json};
use crate::RejectReason;

/// The carried line, still escaped, if the line is of this driver. It writes the keys in this order.
pub(super) fn carried(line: &[u8]) -> Option<&[u8]> {
    let (log, rest) = json::string(line.strip_prefix(b"{\"log\":")?)?;
    let is_docker = rest.starts_with(b",\"stream\":\"std") || rest.starts_with(b",\"attrs\":{");
    is_docker.then_some(log)
}

/// The carried line plain, in `room`, which must be as long as the line.
///
/// # Errors
/// It has an escape that is none of JSON.
pub(super) fn plain<'a>(carried: &[u8], room: &'a mut [u8]) -> Result<&'a [u8], RejectReason> {
    let length = escape::json(carried, room, false).ok_or(RejectReason::BadJson)?;
    Ok(room.get(..length).unwrap_or_default())
}

//! Records as hits: what can be sent again.

use crate::{Record, RejectReason, format::request::is_token};
use traffic::Hit;

/// The hit that a record tells.
///
/// # Errors
/// It has no client, no request that could be sent, or no status.
pub(crate) fn hit_of<'a>(record: &Record<'a>) -> Result<Hit<'a>, RejectReason> {
    let target =
        record.target.filter(|target| !target.is_empty()).ok_or(RejectReason::NoRequest)?;
    let method = record.method.ok_or(RejectReason::BadRequestLine)?;
    if record.client.is_empty() {
        return Err(RejectReason::NotAccessLog);
    }
    // No early exit in the scan for control bytes, so that it is vectorised.
    let has_control = target.iter().fold(false, |found, byte| found | byte.is_ascii_control());
    if has_control || method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(RejectReason::BadRequestLine);
    }
    let lasted_us = record.duration_us.filter(|_| record.time_is_end).unwrap_or(0);
    Ok(Hit {
        start_us: record.time_us.saturating_sub_unsigned(lasted_us),
        duration_us: record.duration_us,
        client: record.client,
        user: record.user,
        host: record.host,
        method,
        target,
        protocol: record.protocol,
        status: record.status.ok_or(RejectReason::BadStatus)?,
        bytes: record.bytes,
        referrer: record.referrer,
        agent: record.agent,
        route: record.route,
        server: record.upstream,
        cache: record.cache,
        request_bytes: record.request_bytes,
        tls: record.tls,
        ttfb_us: record.upstream_us,
        variants: record.variants,
        ..Hit::default()
    })
}

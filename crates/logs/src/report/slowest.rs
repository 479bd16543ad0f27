//! The slowest requests.

use super::model::SlowRequest;
use crate::Record;

/// Requests that are kept.
pub(crate) const SLOWEST_MAX: usize = 20;
/// Bytes of a text that are kept.
pub const TARGET_BYTES_MAX: usize = 1024;

/// The [`SLOWEST_MAX`] greatest requests by the order of [`SlowRequest`], which tells all of them apart
/// that differ: which ones are kept does not depend on the order of recording.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slowest {
    /// Greatest first.
    requests: Vec<SlowRequest>,
}

impl Slowest {
    #[inline]
    pub(crate) fn record(&mut self, record: &Record<'_>, client: &[u8], duration_us: u64) {
        let is_full = self.requests.len() >= SLOWEST_MAX;
        if is_full && self.requests.last().is_some_and(|least| least.duration_us > duration_us) {
            return;
        }
        self.put(SlowRequest {
            duration_us,
            time: record.time_us,
            status: record.status,
            method: text(record.method.unwrap_or_default()),
            target: text(record.target.unwrap_or_default()),
            client: text(client),
            upstream: record.upstream.map(text),
        });
    }

    pub(crate) fn merge(&mut self, other: Self) {
        other.requests.into_iter().for_each(|request| self.put(request));
    }

    fn put(&mut self, request: SlowRequest) {
        let at = self.requests.partition_point(|other| *other > request);
        self.requests.insert(at, request);
        self.requests.truncate(SLOWEST_MAX);
    }

    /// Slowest first.
    pub(crate) fn requests(&self) -> &[SlowRequest] {
        &self.requests
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(TARGET_BYTES_MAX)]).into_owned()
}

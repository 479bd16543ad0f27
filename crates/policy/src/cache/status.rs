//! `Cache-Status`: RFC 9211.

use std::io::Write;

/// Why a request was sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// The store is not asked for such requests.
    Bypass,
    /// The method's answers are not kept.
    Method,
    /// Nothing is kept of the URL.
    UriMiss,
    /// Only other variants are.
    VaryMiss,
    /// What is kept is fresh, but the request wants to be sent on.
    Request,
    /// What is kept is stale.
    Stale,
}

impl Forward {
    /// The token of RFC 9211 section 2.2.
    pub fn as_str(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
        }
    }
}

/// How a cache handled a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStatus {
    /// Answered from the store, without sending the request on; or why it was sent on.
    pub forward: Option<Forward>,
    /// The status of the answer to what was sent on.
    pub forward_status: Option<u16>,
    /// Whether that answer was kept.
    pub stored: bool,
    /// Whether the answer is that of another request that was already under way.
    pub collapsed: bool,
    /// Seconds of freshness left, below zero when stale.
    pub ttl: Option<i64>,
    /// A word more.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// A hit with this many seconds left.
    pub fn hit(ttl: i64) -> CacheStatus {
        CacheStatus { ttl: Some(ttl), ..CacheStatus::default() }
    }

    /// Sent on, because.
    pub fn forwarded(forward: Forward) -> CacheStatus {
        CacheStatus { forward: Some(forward), ..CacheStatus::default() }
    }

    /// Appends the member of this cache, to be added after those of other caches.
    ///
    /// * `name`: of this cache; a token
    pub fn write(&self, name: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(name.as_bytes());
        match self.forward {
            None => out.extend_from_slice(b"; hit"),
            Some(forward) => {
                out.extend_from_slice(b"; fwd=");
                out.extend_from_slice(forward.as_str().as_bytes());
            }
        }
        // Writing to memory does not fail.
        if let Some(status) = self.forward_status {
            let _ = write!(out, "; fwd-status={status}");
        }
        if self.stored {
            out.extend_from_slice(b"; stored");
        }
        if self.collapsed {
            out.extend_from_slice(b"; collapsed");
        }
        if let Some(ttl) = self.ttl {
            let _ = write!(out, "; ttl={ttl}");
        }
        if let Some(detail) = self.detail {
            out.extend_from_slice(b"; detail=");
            out.extend_from_slice(detail.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_written_as_in_rfc_9211() {
        let stored = CacheStatus {
            forward_status: Some(304),
            stored: true,
            collapsed: true,
            ttl: Some(376),
            detail: Some("revalidated"),
            ..CacheStatus::forwarded(Forward::Stale)
        };
        for (status, expected) in [
            (CacheStatus::hit(-5), "tidegate; hit; ttl=-5"),
            (CacheStatus::forwarded(Forward::UriMiss), "tidegate; fwd=uri-miss"),
            (
                stored,
                "tidegate; fwd=stale; fwd-status=304; stored; collapsed; ttl=376; detail=revalidated",
            ),
        ] {
            let mut text = Vec::new();
            status.write("tidegate", &mut text);
            assert_eq!(String::from_utf8_lossy(&text), expected);
        }
    }
}

//! What one row of a panel counts.

use super::distinct::{Distinct, ROW_VISITORS_EXACT_MAX};
use super::latency::Latency;
use super::model::Row;

/// What every panel wants to know of one record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit {
    pub(crate) weight: u64,
    pub(crate) bytes: u64,
    /// First digit of the status, 1 to 5; otherwise 0.
    pub(crate) class: u8,
    pub(crate) duration_us: Option<u64>,
    /// Who made it; `None` when the log does not tell clients.
    pub(crate) visitor: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Counter {
    pub(crate) hits: u64,
    pub(crate) bytes: u64,
    pub(crate) client_errors: u64,
    pub(crate) server_errors: u64,
    visitors: Distinct,
    latency: Option<Box<Latency>>,
}

impl Counter {
    /// Counts all but the visitor.
    #[inline]
    pub(crate) fn add(&mut self, hit: &Hit) {
        self.hits += hit.weight;
        self.bytes = self.bytes.saturating_add(hit.bytes);
        match hit.class {
            4 => self.client_errors += hit.weight,
            5 => self.server_errors += hit.weight,
            _ => {}
        }
        if let Some(us) = hit.duration_us {
            self.latency.get_or_insert_default().record(us, hit.weight);
        }
    }

    #[inline]
    pub(crate) fn visit(&mut self, visitor: u64) {
        self.visitors.insert(visitor, ROW_VISITORS_EXACT_MAX);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.hits += other.hits;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.client_errors += other.client_errors;
        self.server_errors += other.server_errors;
        self.visitors.merge(&other.visitors, ROW_VISITORS_EXACT_MAX);
        if let Some(theirs) = &other.latency {
            self.latency.get_or_insert_default().merge(theirs);
        }
    }

    pub(crate) fn latency(&self) -> Latency {
        self.latency.as_deref().cloned().unwrap_or_default()
    }

    pub(crate) fn row(&self, key: String) -> Row {
        Row {
            key,
            hits: self.hits,
            visitors: self.visitors.count(),
            visitors_estimated: self.visitors.is_estimate(),
            bytes: self.bytes,
            client_errors: self.client_errors,
            server_errors: self.server_errors,
            latency: self.latency.as_ref().and_then(|latency| latency.quantiles()),
            ..Row::default()
        }
    }
}

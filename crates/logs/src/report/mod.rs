//! What a log tells: one pass over its records, in bounded memory, then a report.
//!
//! 1. Each reading thread has an [`Aggregate`], made from one [`Setup`] (filter, anonymising, limits).
//!    It is a [`Sink`](crate::Sink).
//! 2. [`Aggregate::merge`] joins them, in any order.
//! 3. [`Aggregate::finish`] classifies each distinct text once and gives the [`LogReport`].
//!
//! Hits, bytes, errors, latencies and per-second counts are exact sums; visitors are sets that turn into
//! HyperLogLog beyond a limit. All of these give the same report however the lines were split and in
//! whatever order the parts were merged, until a cap on distinct keys ([`Limits::keys`]) is reached:
//! which keys then count as `(other)` depends on who came first, and a note of the report says so.
//!
//! ```
//! use logs::report::{Aggregate, Options, Panel, Setup};
//! use logs::{Record, Sink};
//!
//! let mut aggregate = Aggregate::new(&Setup::default());
//! aggregate.record(&Record {
//!     time_us: 1_700_000_000_000_000,
//!     client: b"192.0.2.7",
//!     method: Some(b"GET"),
//!     target: Some(b"/shop?id=7"),
//!     status: Some(200),
//!     bytes: Some(512),
//!     weight: 1,
//!     ..Record::default()
//! });
//! let report = aggregate.finish(&Options::default());
//! assert_eq!(report.totals.requests, 1);
//! assert_eq!(report.panels[Panel::Path][0].key, "/shop");
//! ```

mod agent;
mod aggregate;
mod anonymise;
mod compare;
mod counter;
mod crawlers;
mod distinct;
mod filter;
mod filter_value;
mod findings;
mod finish;
mod instance;
mod keys;
mod latency;
mod model;
mod overlap;
mod panel;
mod path;
mod rates;
mod rollup;
mod series;
mod slowest;
mod suspects;
mod template;

pub use agent::{Agent, Class, classify};
pub use aggregate::{Aggregate, Limits, Setup};
pub use anonymise::anonymise;
pub use compare::{CHANGES_MAX, Change, ChangeKind, compare};
pub use distinct::ROW_VISITORS_EXACT_MAX;
pub use filter::{CONDITIONS_MAX, Filter, FilterError};
pub use findings::{FINDINGS_PER_KIND_MAX, Finding, FindingKind, Severity};
pub use finish::Options;
pub use latency::{Latency, Quantiles};
pub use model::{
    Arrivals, Busiest, Concurrency, Demand, Instance, Instances, LogReport, Peak, RejectCount, Row,
    SCHEMA, Service, SlowRequest, TimePoint, Timeline, Totals, Window,
};
pub use panel::{Panel, Panels};
pub use series::TIMELINE_POINTS_MAX;
pub use slowest::TARGET_BYTES_MAX;

//! How much the ledger holds, and the times that it works with.

use super::metric::DAY_US;

/// Shards of a ledger.
pub const SHARDS_MAX: usize = 1_024;
/// Units of a ledger. With [`super::TOTAL_MAX`] it keeps sums of squares within 128 bits.
pub const UNITS_MAX: usize = 100_000_000;
/// How late a record may be unless said otherwise: 72 hours.
pub const HORIZON_US: i64 = 3 * DAY_US;
/// The longest horizon: 30 days.
pub const HORIZON_US_MAX: i64 = 30 * DAY_US;
/// How far ahead of the journal's clock a record may be: 5 minutes.
pub const FUTURE_US_MAX: i64 = 300_000_000;
/// Events of one unit that are kept for exposures that may still come.
pub const RECENT_PER_UNIT_MAX: usize = 1_000;
/// Combinations of attributes in one shard; units of others count as unknown in all of them.
pub const ATTRIBUTES_MAX: usize = 60_000;
/// Names of routes, browsers and so on in one shard; others are called `(other)`.
pub const ATTRIBUTE_TEXTS_MAX: usize = 4_096;
/// Producers whose sequence is remembered.
pub const PRODUCERS_MAX: usize = 10_000;
/// A producer that was silent for so long makes room for another when there are too many: a day.
pub const PRODUCER_IDLE_US: i64 = DAY_US;
/// A producer that was silent for so long no longer holds back
/// [`super::Progress::complete_through_us`]: 10 minutes.
pub const PRODUCER_ACTIVE_US: i64 = 600_000_000;

/// Experiments, or phases and variants of one, in a table of traffic: more than there can be.
pub(super) const TRAFFIC_MAX: usize = 1 << 16;

/// How large a ledger may become, and how long it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Independent parts; a unit is in one of them. 1 to [`SHARDS_MAX`].
    pub shards: usize,
    /// How late a record may be, behind the newest one, and how long events wait for an exposure.
    /// 0 to [`HORIZON_US_MAX`].
    pub horizon_us: i64,
    /// Units, at most [`UNITS_MAX`].
    pub units_max: usize,
    /// Events that are kept within the horizon, of all units together.
    pub recent_max: usize,
    /// Ids of events that are remembered, at least the newest half of them.
    pub event_ids_max: usize,
}

impl Default for Settings {
    /// 64 shards, 72 hours, 20 million units, 20 million recent events, 4 million ids.
    fn default() -> Settings {
        Settings {
            shards: 64,
            horizon_us: HORIZON_US,
            units_max: 20_000_000,
            recent_max: 20_000_000,
            event_ids_max: 4_000_000,
        }
    }
}

impl Settings {
    /// The nearest settings that are within the limits.
    #[must_use]
    pub fn clamped(self) -> Settings {
        Settings {
            shards: self.shards.clamp(1, SHARDS_MAX),
            horizon_us: self.horizon_us.clamp(0, HORIZON_US_MAX),
            units_max: self.units_max.clamp(1, UNITS_MAX),
            ..self
        }
    }

    /// The part of a limit that one shard has.
    pub(super) fn share(self, limit: usize) -> usize {
        limit.div_ceil(self.shards)
    }
}

//! What kind of demand a series is: how much, how bursty, how regular, whether it grows, where it
//! changed, and where it failed.

pub mod burst;
pub mod change;
pub mod days;
pub mod holidays;
pub mod outage;
pub mod season;
pub mod trend;

use crate::Series;

pub use burst::Burst;
pub use change::Change;
pub use holidays::{Holidays, Treatment};
pub use outage::{Outage, Silence};
pub use season::Season;
pub use trend::Trend;

/// How demand is described.
#[derive(Debug, Clone, PartialEq)]
pub struct DemandParams {
    /// Time that a new instance takes to serve, in seconds.
    pub boot_s: f64,
    /// Days that are no ordinary days: left out of seasons, trend and changes.
    pub holidays: Holidays,
    /// Seed of the permutations that seasons are tested by.
    pub seed: u64,
}

impl Default for DemandParams {
    fn default() -> Self {
        Self { boot_s: 60.0, holidays: Holidays::default(), seed: 1 }
    }
}

/// A description of demand.
#[derive(Debug, Clone)]
pub struct Demand {
    /// Requests of all known steps.
    pub total: f64,
    /// Mean rate of the known steps outside of outages, in requests per second.
    pub mean_per_s: f64,
    /// Share of the steps of which the count is known, 0..=1.
    pub known_ratio: f64,
    /// Mean rate in each hour of the local day, in requests per second; `NaN` where nothing is
    /// known.
    pub hours_per_s: [f64; 24],
    /// How much demand jumps; `None` without requests.
    pub burst: Option<Burst>,
    /// The rhythm of days; `None` with too few of them.
    pub daily: Option<Season>,
    /// The rhythm of weeks in what each day asks for; `None` with too few of them.
    pub weekly: Option<Season>,
    /// Growth; `None` with too few days.
    pub trend: Option<Trend>,
    /// Days from which on there was more or less.
    pub changes: Vec<Change>,
    /// Stretches without requests or knowledge at otherwise busy times.
    pub outages: Vec<Outage>,
    /// The series with its outages unknown.
    pub masked: Series,
}

/// Describes `series`.
///
/// Bursts and outages are looked for in its own steps, all else in hours and days. Outages are
/// masked first.
#[must_use]
pub fn describe(series: &Series, params: &DemandParams) -> Demand {
    let outages = outage::find(series);
    let masked = outage::mask(series, &outages);
    let ordinary = params.holidays.left_out(&hourly(&masked));
    let days = days::days_of(&ordinary);
    let adjusted = days::without_week(&days);
    Demand {
        total: series.total(),
        mean_per_s: masked.total() / masked.known() as f64 / f64::from(masked.step_s),
        known_ratio: series.known() as f64 / series.len().max(1) as f64,
        hours_per_s: hours_per_s(&hourly(&masked)),
        burst: burst::burst(&masked, params.boot_s),
        daily: season::daily(&ordinary, params.seed),
        weekly: season::weekly(&days, params.seed),
        trend: trend::trend(&adjusted),
        changes: change::changes(&adjusted),
        outages,
        masked,
    }
}

/// The same in hours, if its steps are shorter and part an hour.
pub(crate) fn hourly(series: &Series) -> Series {
    let hour = 3600;
    if series.step_s < hour && hour.is_multiple_of(series.step_s) {
        series.coarser((hour / series.step_s) as usize)
    } else {
        series.clone()
    }
}

fn hours_per_s(series: &Series) -> [f64; 24] {
    let clock = series.clock(0);
    let mut sums = [(0.0, 0.0); 24];
    for (index, count) in series.counts.iter().enumerate().filter(|(_, count)| count.is_finite()) {
        let hour = clock.second_of_day(series.time_s(index)) / 3600;
        let (requests, seconds) = &mut sums[hour as usize];
        *requests += count;
        *seconds += f64::from(series.step_s);
    }
    sums.map(|(requests, seconds)| requests / seconds)
}

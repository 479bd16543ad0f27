//! What is compared: metrics, and which events count towards them when.

use crate::event::{NAME_BYTES_MAX, UnixMicros};
use serde::{Deserialize, Serialize};

/// Microseconds of a day.
pub const DAY_US: i64 = 86_400_000_000;
/// The longest delay, window or lookback of a metric: 400 days.
pub const WINDOW_US_MAX: i64 = 400 * DAY_US;
/// The greatest total of one unit, either sign; what is beyond counts as this. In millionths for
/// values, in events for counts. With at most 10⁸ units, no sum of squares leaves 128 bits.
pub const TOTAL_MAX: i64 = 1_000_000_000_000_000;

/// What is made of the events of a unit. Values are millionths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum MetricKind {
    /// 1 when there is an event, else 0.
    Conversion {
        /// Name of the event.
        event: String,
    },
    /// Number of events.
    Count {
        /// Name of the event.
        event: String,
    },
    /// Total of the values; its mean is over units, those without an event included.
    Mean {
        /// Name of the event.
        event: String,
    },
    /// Total of the values, held within −cap to cap, the same for all variants.
    Revenue {
        /// Name of the event.
        event: String,
        /// Millionths, 0 or more. Of a percentile that has not been taken yet: [`TOTAL_MAX`].
        cap: i64,
        /// The cap is this percentile, in parts per million, of the totals of units that have any:
        /// taken once, of all variants together, and kept ([`Metric::capped_at`]).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        percentile: Option<u32>,
    },
    /// One total over another, by the delta method.
    Ratio {
        /// What is divided.
        numerator: Term,
        /// By what.
        denominator: Term,
    },
    /// A quantile of the values of all events, in buckets of at most 1.6 % ([`super::bucket`]).
    Quantile {
        /// Name of the event.
        event: String,
        /// Which, in parts per million: 950000 for the 95th percentile.
        ppm: u32,
    },
    /// 1 when the unit comes back (an event) within the window, which a delay opens; else 0.
    Retention {
        /// Name of the event.
        event: String,
    },
}

/// A part of a ratio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Term {
    /// Number of events.
    Count {
        /// Name of the event.
        event: String,
    },
    /// Total of the values.
    Total {
        /// Name of the event.
        event: String,
    },
}

/// What is compared. Times count from the first exposure of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What is made of events.
    pub kind: MetricKind,
    /// Events count from this long after the exposure, microseconds.
    #[serde(default)]
    pub delay_us: i64,
    /// For so long, microseconds.
    pub window_us: i64,
    /// Events from this long before the exposure are the covariate (CUPED), microseconds; 0 for
    /// none. No longer than the horizon of the ledger. Not for quantiles.
    #[serde(default)]
    pub lookback_us: i64,
}

impl Metric {
    /// The same metric on one day since exposure, from 0: the series that shows novelty.
    #[must_use]
    pub fn on_day(&self, day: u16) -> Metric {
        Metric {
            name: format!("{}.day-{day}", self.name),
            delay_us: i64::from(day) * DAY_US,
            window_us: DAY_US,
            ..self.clone()
        }
    }

    /// The percentile, in parts per million, that its cap will be, while that has not been taken.
    #[must_use]
    pub fn open_cap(&self) -> Option<u32> {
        match self.kind {
            MetricKind::Revenue { cap: TOTAL_MAX, percentile, .. } => percentile,
            _ => None,
        }
    }

    /// The same metric once the percentile has been taken.
    #[must_use]
    pub fn capped_at(&self, found: i64) -> Metric {
        let mut metric = self.clone();
        if let MetricKind::Revenue { cap, .. } = &mut metric.kind {
            *cap = found;
        }
        metric
    }

    /// Whether `other` is this metric, or this one with the cap that its percentile became.
    #[must_use]
    pub fn is_or_becomes(&self, other: &Metric) -> bool {
        let MetricKind::Revenue { cap, .. } = other.kind else { return self == other };
        self == other || self.open_cap().is_some() && self.capped_at(cap) == *other
    }

    /// Fixed-point steps of one whole, for [`stats::experiment::Sums::moments`]: of the value, or
    /// of the numerator, and of the denominator of a ratio.
    #[must_use]
    pub fn scales(&self) -> [f64; 2] {
        let of = |amount: Amount| match amount {
            Amount::One => 1.0,
            Amount::Value => 1e6,
        };
        let mut parts = self.parts().map(|(_, amount)| of(amount));
        let first = parts.next().unwrap_or(1.0);
        [first, parts.next().unwrap_or(first)]
    }

    /// Why it cannot be measured.
    pub(super) fn problem(&self, horizon_us: i64) -> Option<String> {
        let name = |text: &str| (1..=NAME_BYTES_MAX).contains(&text.len());
        if !name(&self.name) {
            return Some(format!("a metric's name has 1 to {NAME_BYTES_MAX} bytes"));
        }
        if let Some((event, _)) = self.parts().find(|(event, _)| !name(event)) {
            return Some(format!("\"{event}\": an event's name has 1 to {NAME_BYTES_MAX} bytes"));
        }
        if !(0..=WINDOW_US_MAX).contains(&self.delay_us) {
            return Some("the delay must be 0 to 400 days".to_owned());
        }
        if !(1..=WINDOW_US_MAX).contains(&self.window_us) {
            return Some("the window must be above 0 and at most 400 days".to_owned());
        }
        if !(0..=horizon_us).contains(&self.lookback_us) {
            return Some(format!("the lookback must be 0 to the horizon, {horizon_us} µs"));
        }
        match &self.kind {
            MetricKind::Revenue { cap, .. } if !(0..=TOTAL_MAX).contains(cap) => {
                Some(format!("the cap must be 0 to {TOTAL_MAX} millionths"))
            }
            MetricKind::Revenue { percentile: Some(ppm), .. } if !(1..1_000_000).contains(ppm) => {
                Some("the cap's percentile is 1 to 999999 parts per million".to_owned())
            }
            MetricKind::Quantile { ppm, .. } if !(1..1_000_000).contains(ppm) => {
                Some("a quantile is 1 to 999999 parts per million".to_owned())
            }
            MetricKind::Quantile { .. } if self.lookback_us > 0 => {
                Some("a quantile has no covariate: leave out the lookback".to_owned())
            }
            _ => None,
        }
    }

    /// The events that it counts, and what it counts of them: one, or two for a ratio.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&str, Amount)> {
        let (first, second) = match &self.kind {
            MetricKind::Conversion { event }
            | MetricKind::Count { event }
            | MetricKind::Retention { event } => ((event, Amount::One), None),
            MetricKind::Mean { event }
            | MetricKind::Revenue { event, .. }
            | MetricKind::Quantile { event, .. } => ((event, Amount::Value), None),
            MetricKind::Ratio { numerator, denominator } => {
                (numerator.part(), Some(denominator.part()))
            }
        };
        [Some(first), second].into_iter().flatten().map(|(event, amount)| (event.as_str(), amount))
    }

    /// The total of one unit, as it goes into the sums.
    pub(super) fn shape(&self, total: i64) -> i64 {
        match self.kind {
            MetricKind::Conversion { .. } | MetricKind::Retention { .. } => total.clamp(0, 1),
            MetricKind::Revenue { cap, .. } => stats::experiment::cap::apply(total, cap),
            _ => total.clamp(-TOTAL_MAX, TOTAL_MAX),
        }
    }

    /// Where an event is, given the first exposure of its unit.
    pub(super) fn place(&self, first_us: UnixMicros, time_us: UnixMicros) -> Place {
        let since = time_us - first_us;
        if since < 0 {
            if since >= -self.lookback_us { Place::Before } else { Place::Outside }
        } else if (self.delay_us..self.delay_us + self.window_us).contains(&since) {
            Place::After
        } else {
            Place::Outside
        }
    }
}

impl Term {
    fn part(&self) -> (&String, Amount) {
        match self {
            Term::Count { event } => (event, Amount::One),
            Term::Total { event } => (event, Amount::Value),
        }
    }
}

/// What an event adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    One,
    Value,
}

/// Where an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the lookback.
    Before,
    /// In the window.
    After,
    Outside,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(kind: MetricKind) -> Metric {
        Metric {
            name: "m".into(),
            kind,
            delay_us: 0,
            window_us: 7 * DAY_US,
            lookback_us: 3 * DAY_US,
        }
    }

    #[test]
    fn windows_are_half_open_and_the_lookback_ends_before_the_exposure() {
        let metric = Metric { delay_us: 10, ..metric(MetricKind::Count { event: "e".into() }) };
        let at = |time| metric.place(1_000_000_000_000, 1_000_000_000_000 + time);
        assert_eq!(at(9), Place::Outside);
        assert_eq!(at(10), Place::After);
        assert_eq!(at(10 + 7 * DAY_US - 1), Place::After);
        assert_eq!(at(10 + 7 * DAY_US), Place::Outside);
        assert_eq!(at(-1), Place::Before);
        assert_eq!(at(-3 * DAY_US), Place::Before);
        assert_eq!(at(-3 * DAY_US - 1), Place::Outside);
        let day = metric.on_day(2);
        assert_eq!(day.place(0, 2 * DAY_US - 1), Place::Outside);
        assert_eq!(day.place(0, 2 * DAY_US), Place::After);
    }

    #[test]
    fn totals_are_shaped_by_the_kind() {
        let event = || "e".to_owned();
        assert_eq!(metric(MetricKind::Conversion { event: event() }).shape(5), 1);
        assert_eq!(metric(MetricKind::Count { event: event() }).shape(5), 5);
        let revenue = metric(MetricKind::Revenue { event: event(), cap: 4, percentile: None });
        assert_eq!([revenue.shape(5), revenue.shape(-9), revenue.shape(3)], [4, -4, 3]);
        assert_eq!(metric(MetricKind::Mean { event: event() }).shape(i64::MIN), -TOTAL_MAX);
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let revenue = |cap, percentile| {
            let event = "e".into();
            metric(MetricKind::Revenue { event, cap, percentile })
        };
        let kind = || MetricKind::Revenue { event: "e".into(), cap: 1, percentile: None };
        let horizon = 3 * DAY_US;
        assert_eq!(metric(kind()).problem(horizon), None);
        let wrong = [
            Metric { name: String::new(), ..metric(kind()) },
            Metric { window_us: 0, ..metric(kind()) },
            Metric { delay_us: -1, ..metric(kind()) },
            Metric { lookback_us: horizon + 1, ..metric(kind()) },
            revenue(-1, None),
            revenue(1, Some(1_000_000)),
            metric(MetricKind::Count { event: String::new() }),
            metric(MetricKind::Quantile { event: "e".into(), ppm: 950_000 }),
            metric(MetricKind::Quantile { event: "e".into(), ppm: 1_000_000 }),
        ];
        for metric in wrong {
            assert!(metric.problem(horizon).is_some(), "{metric:?}");
        }
    }

    #[test]
    fn the_cap_of_a_percentile_is_set_once() {
        let revenue = |cap, percentile| {
            let event = "e".into();
            metric(MetricKind::Revenue { event, cap, percentile })
        };
        let open = revenue(TOTAL_MAX, Some(990_000));
        assert_eq!(open.open_cap(), Some(990_000));
        let capped = open.capped_at(7);
        assert_eq!((capped.open_cap(), &capped), (None, &revenue(7, Some(990_000))));
        assert!(open.is_or_becomes(&open) && open.is_or_becomes(&capped));
        assert!(!capped.is_or_becomes(&open) && !capped.is_or_becomes(&capped.capped_at(8)));
        assert!(!open.is_or_becomes(&revenue(7, None)));
        assert!(!revenue(TOTAL_MAX, None).is_or_becomes(&revenue(7, None)));
    }

    #[test]
    fn json_is_kebab_case_and_unknown_fields_are_refused() {
        let text = r#"{"name":"aov","kind":{"ratio":{"numerator":{"total":{"event":"buy"}},
            "denominator":{"count":{"event":"buy"}}}},"window-us":1}"#;
        let metric: Metric = serde_json::from_str(text).unwrap();
        assert_eq!(metric.scales(), [1e6, 1.0]);
        assert_eq!(
            serde_json::from_str::<Metric>(&serde_json::to_string(&metric).unwrap()).unwrap(),
            metric
        );
        assert!(serde_json::from_str::<Metric>(r#"{"name":"a","kind":{},"window":1}"#).is_err());
    }
}

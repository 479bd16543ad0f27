//! The demand as it is simulated, and its parts: to learn from, to be tried on, to be hurt by.

use super::weekly::WeekDemand;
use crate::Series;

/// Longest step that is simulated as it is, in seconds.
pub(super) const STEP_S_MAX: u32 = 60;

/// Most steps that are simulated; finer demand is taken by the minute.
pub(super) const STEPS_MAX: usize = 700_000;

/// Fewest days that a choice can be made from: one to learn from, one to be tried on.
pub(super) const DAYS_MIN: f64 = 2.0;

/// Parts of the past of which each is tried with floors that are made from the others.
pub(super) const FOLDS: usize = 4;

/// Seconds of a day.
const DAY_S: u32 = 86_400;

/// `series` in steps of at most [`STEP_S_MAX`], and at most [`STEPS_MAX`] of them where minutes
/// allow that.
///
/// Longer steps are split by straight lines between their middles, so that demand does not jump at
/// full hours, and scaled to keep the requests of each.
pub(super) fn simulated(series: &Series) -> Series {
    let step_s = series.step_s;
    if step_s > STEP_S_MAX && step_s.is_multiple_of(STEP_S_MAX) {
        return finer(series, (step_s / STEP_S_MAX) as usize);
    }
    if series.len() > STEPS_MAX && STEP_S_MAX.is_multiple_of(step_s) {
        return series.coarser((STEP_S_MAX / step_s) as usize);
    }
    series.clone()
}

fn finer(series: &Series, parts: usize) -> Series {
    let mut counts = Vec::with_capacity(series.len() * parts);
    for (index, &own) in series.counts.iter().enumerate() {
        let neighbour = |at: Option<usize>| {
            let count = at.and_then(|at| series.counts.get(at)).copied().unwrap_or(own);
            if count.is_finite() { count } else { own }
        };
        let (before, after) = (neighbour(index.checked_sub(1)), neighbour(index.checked_add(1)));
        let line = |part: usize| {
            let offset = (part as f64 + 0.5) / parts as f64 - 0.5;
            let towards = if offset < 0.0 { before } else { after };
            own + (towards - own) * offset.abs()
        };
        let sum: f64 = (0..parts).map(line).sum();
        let scale = if sum > 0.0 { own / sum } else { 0.0 };
        counts
            .extend((0..parts).map(|part| if own.is_finite() { line(part) * scale } else { own }));
    }
    Series { step_s: series.step_s / parts as u32, counts, ..series.clone() }
}

/// Steps from which on `series` is held out: the last quarter in whole weeks where that is at least
/// one, else the last 30 % in whole days, at least one day.
pub(super) fn held_out_from(series: &Series) -> usize {
    let per_day = (DAY_S / series.step_s).max(1) as usize;
    let days = series.len() / per_day;
    let held_days = if days >= 28 { days / 28 * 7 } else { (days * 3).div_ceil(10).max(1) };
    series.len().saturating_sub(held_days * per_day)
}

/// Cuts `past` into at most [`FOLDS`] stretches of whole days, each with the demand of all others:
/// no floor is tried on the days that it was made from. `ordinary` is the past of which floors may be
/// made, in the same steps.
pub(super) fn folds(past: &Series, ordinary: &Series) -> Vec<(Series, WeekDemand)> {
    let per_day = (DAY_S / past.step_s).max(1) as usize;
    let length = past.len().div_ceil(per_day).div_ceil(FOLDS).max(1) * per_day;
    let fold = |begin: usize| {
        let end = (begin + length).min(past.len());
        let mut others = ordinary.clone();
        others.counts[begin..end].fill(f64::NAN);
        (past.slice(begin..end), WeekDemand::new(&others))
    };
    (0..past.len()).step_by(length).map(fold).collect()
}

/// About a `share` of the days of `series`, each a series of its own: the busiest, and others
/// evenly spread. All of it, in one piece, for a share of 1.
pub(super) fn some_days(series: &Series, share: f64) -> Vec<Series> {
    let per_day = (DAY_S / series.step_s).max(1) as usize;
    let days = series.len() / per_day;
    let wanted = (days as f64 * share).ceil() as usize;
    if share >= 1.0 || wanted >= days {
        return vec![series.clone()];
    }
    let day = |day: usize| series.slice(day * per_day..(day + 1) * per_day);
    let peak = |day: &Series| day.counts.iter().copied().fold(0.0, f64::max);
    let busiest = (0..days).max_by(|&a, &b| peak(&day(a)).total_cmp(&peak(&day(b)))).unwrap_or(0);
    let evenly = (0..wanted.saturating_sub(1)).map(|k| k * days / wanted);
    let mut picked: Vec<usize> = evenly.chain([busiest]).collect();
    picked.sort_unstable();
    picked.dedup();
    picked.into_iter().map(day).collect()
}

/// The same demand, `factor` times as high.
pub(super) fn scaled(series: &Series, factor: f64) -> Series {
    let counts = series.counts.iter().map(|count| count * factor).collect();
    Series { counts, ..series.clone() }
}

/// The same demand with a peak that nothing foretold: in the quietest hour of the middle day,
/// demand climbs to the highest of the history within ten minutes, stays for forty, and falls.
pub(super) fn with_missed_peak(series: &Series, highest_per_s: f64) -> Series {
    let mut counts = series.counts.clone();
    let hour = (3600 / series.step_s).max(1) as usize;
    let day = 24 * hour;
    let begin = (counts.len() / 2).saturating_sub(day / 2);
    let hours = (begin..(begin + day).min(counts.len()).saturating_sub(hour)).step_by(hour);
    let demand = |at: usize| counts[at..at + hour].iter().sum::<f64>();
    let known = hours.filter(|&at| demand(at).is_finite());
    if let Some(quietest) = known.min_by(|&a, &b| demand(a).total_cmp(&demand(b))) {
        let highest = highest_per_s * f64::from(series.step_s);
        for (step, count) in counts[quietest..quietest + hour].iter_mut().enumerate() {
            let at = (step as f64 + 0.5) / hour as f64;
            let shape = (at * 6.0).min((1.0 - at) * 6.0).min(1.0);
            *count = count.max(highest * shape);
        }
    }
    Series { counts, ..series.clone() }
}

/// Highest demand of a step, in requests per second.
pub(super) fn highest_per_s(series: &Series) -> f64 {
    series.counts.iter().copied().fold(0.0, f64::max) / f64::from(series.step_s)
}

/// Days of which the demand is known.
pub(super) fn known_days(series: &Series) -> f64 {
    let known = series.counts.iter().filter(|count| count.is_finite()).count();
    known as f64 * f64::from(series.step_s) / f64::from(DAY_S)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn series(step_s: u32, counts: Vec<f64>) -> Series {
        Series { start_s: 0, step_s, counts, zone: TimeZone::UTC }
    }

    #[test]
    fn finer_steps_keep_the_requests() {
        let hourly = series(3600, vec![60.0, 600.0, f64::NAN, 0.0]);
        let minutes = simulated(&hourly);
        assert_eq!((minutes.step_s, minutes.len()), (60, 240));
        for (hour, sum) in hourly.counts.iter().zip(minutes.counts.chunks(60)) {
            let sum: f64 = sum.iter().sum();
            assert!((sum - hour).abs() < 1e-9 || (sum.is_nan() && hour.is_nan()));
        }
        assert!(minutes.counts[59] > minutes.counts[0]);
    }

    #[test]
    fn parts_by_hand() {
        let days = |n: usize| series(3600, vec![1.0; 24 * n]);
        assert_eq!(held_out_from(&days(31)), 24 * 24);
        assert_eq!(held_out_from(&days(60)), 46 * 24);
        assert_eq!(held_out_from(&days(10)), 7 * 24);
        assert_eq!(held_out_from(&days(2)), 24);
        let mut busy = days(30);
        busy.counts[24 * 17] = 9.0;
        let some = some_days(&busy, 0.1);
        assert_eq!(some.len(), 3);
        assert_eq!(some[2].start_s, 17 * 86_400);
        let folds = folds(&days(10), &days(10));
        assert_eq!(folds.iter().map(|fold| fold.0.len() / 24).collect::<Vec<_>>(), [3, 3, 3, 1]);
        let peak = with_missed_peak(&series(60, vec![1.0; 2880]), 5.0);
        assert_eq!(peak.counts.iter().filter(|&&count| count == 300.0).count(), 40);
    }
}

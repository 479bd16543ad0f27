//! How much demand jumps around its mean.

use crate::Series;

/// Indices of burstiness.
#[derive(Debug, Clone, PartialEq)]
pub struct Burst {
    /// Busiest second over the mean; `None` where steps are longer or none is known.
    pub peak_second: Option<f64>,
    /// Busiest minute over the mean; `None` where steps are longer or none is known.
    pub peak_minute: Option<f64>,
    /// Busiest hour over the mean; `None` where steps are longer or none is known.
    pub peak_hour: Option<f64>,
    /// Busiest step over the mean.
    pub peak_step: f64,
    /// Variance over mean of the counts per step (Fano, 1947): 1 for a Poisson process of constant
    /// rate. Days and weeks are in it.
    pub fano: f64,
    /// Half the mean square of the difference of neighbouring steps over their mean: as
    /// [`Self::fano`], but of what happens from step to step only.
    pub fano_local: f64,
    /// Greatest rise of the rate within the time that an instance takes to boot, or within a step
    /// where that is longer, in requests per second.
    pub rise_per_s: f64,
    /// The same as a share of the mean rate.
    pub rise_ratio: f64,
    /// The 99.9 % quantile of rises over that time, in requests per second; at least 0.
    pub rise_q999_per_s: f64,
    /// The time within which rises were looked for, in seconds.
    pub rise_within_s: f64,
}

/// Looks at the known steps of `series`, whose instances take `boot_s` seconds to boot. `None`
/// without requests.
#[must_use]
pub fn burst(series: &Series, boot_s: f64) -> Option<Burst> {
    let step_s = f64::from(series.step_s);
    let known = series.known() as f64;
    let mean = series.total() / known;
    if mean.is_nan() || mean <= 0.0 {
        return None;
    }
    let squares = finite(&series.counts).map(|count| (count - mean).powi(2)).sum::<f64>();
    let neighbours = differences(&series.counts, 1);
    let local = neighbours.iter().map(|d| d * d).sum::<f64>() / neighbours.len().max(1) as f64;

    let lag = (boot_s / step_s).ceil().clamp(1.0, series.len() as f64) as usize;
    let mut rises = differences(&series.counts, lag);
    rises.sort_by(f64::total_cmp);
    let rise = |q| stats::quantile::type7(&rises, q).unwrap_or(0.0).max(0.0) / step_s;
    Some(Burst {
        peak_second: peak(series, 1, mean),
        peak_minute: peak(series, 60, mean),
        peak_hour: peak(series, 3600, mean),
        peak_step: finite(&series.counts).fold(0.0, f64::max) / mean,
        fano: squares / known / mean,
        fano_local: local / 2.0 / mean,
        rise_per_s: rise(1.0),
        rise_ratio: rise(1.0) * step_s / mean,
        rise_q999_per_s: rise(0.999),
        rise_within_s: lag as f64 * step_s,
    })
}

fn finite(counts: &[f64]) -> impl Iterator<Item = f64> {
    counts.iter().copied().filter(|count| count.is_finite())
}

/// By how much each known step is above the one `lag` steps before.
fn differences(counts: &[f64], lag: usize) -> Vec<f64> {
    let pairs = counts.iter().zip(counts.iter().skip(lag));
    pairs.map(|(before, after)| after - before).filter(|rise| rise.is_finite()).collect()
}

/// Busiest stretch of `length_s` (beginning at a multiple of it) over the mean.
fn peak(series: &Series, length_s: u32, mean: f64) -> Option<f64> {
    if series.step_s > length_s || !length_s.is_multiple_of(series.step_s) {
        return None;
    }
    let factor = (length_s / series.step_s) as usize;
    let highest = finite(&series.coarser(factor).counts).reduce(f64::max)?;
    Some(highest / (mean * factor as f64))
}

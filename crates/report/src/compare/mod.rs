//! Comparison of two runs: is one worse than the other, beyond chance and beyond what matters?
//!
//! Each run is a series of seconds (of a few seconds each when it is long). A circular block bootstrap (Politis & Romano, 1992) resamples
//! the seconds of each run, independently of the other, and merges the histograms of the seconds
//! drawn; so the intervals allow for bursts of slowness that last longer than a request. A
//! difference counts when it is
//!
//! - significant: Student's t with the bootstrap's standard error, and Holm's correction (1979)
//!   over all figures that are compared, so that the chance of any false alarm stays below 1 −
//!   confidence; and
//! - of practical size: beyond the thresholds of [`CompareOptions`].
//!
//! Confidence intervals are those of percentiles (Efron, 1979), for each figure by itself.

mod holm;
mod output;
mod sample;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use statrs::distribution::{ContinuousCDF, StudentsT};
use stats::Interval;
use stats::bootstrap::{circular_block_bootstrap, percentile_interval};

use crate::runfile::{EndpointName, RunFile};
use sample::{Figures, Run, Sample};

/// Fewest seconds per run that are compared.
pub const SECONDS_MIN: usize = 10;
/// Endpoints that are compared one by one: those with most requests. More would only make it harder
/// to tell any difference from chance.
pub const ENDPOINTS_COMPARED_MAX: usize = 100;
/// Requests that must lie above a percentile, in both runs, before it is judged.
const TAIL_REQUESTS: f64 = 10.0;

/// How to compare.
#[derive(Debug, Clone, PartialEq)]
pub struct CompareOptions {
    /// Confidence of the intervals; the chance of any false alarm is at most one minus this.
    pub confidence: f64,
    /// Differences up to this share of A do not matter.
    pub threshold_ratio: f64,
    /// Differences of times up to this do not matter either.
    pub threshold_abs: Duration,
    /// Differences of failure ratios up to this do not matter either.
    pub threshold_failures: f64,
    /// Bootstrap replicates.
    pub replicates: usize,
    /// Seed of the bootstrap.
    pub seed: u64,
    /// Time at the start of each run that is left out.
    pub warm_up: Duration,
}

impl Default for CompareOptions {
    fn default() -> CompareOptions {
        CompareOptions {
            confidence: 0.95,
            threshold_ratio: 0.05,
            threshold_abs: Duration::from_millis(2),
            threshold_failures: 0.005,
            replicates: 1_000,
            seed: 1,
            warm_up: Duration::ZERO,
        }
    }
}

/// Why two runs cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// A run is too short.
    #[error(
        "run {run} has {seconds} seconds after its warm-up, at least {SECONDS_MIN} are needed to \
         tell chance from change; run longer or cut the warm-up"
    )]
    TooShort {
        /// `A` or `B`.
        run: &'static str,
        /// Seconds that are left.
        seconds: usize,
    },
    /// A run has no requests.
    #[error("run {run} has no requests after its warm-up")]
    Empty {
        /// `A` or `B`.
        run: &'static str,
    },
    /// An option is out of range.
    #[error("the option {option} is {value}, expected {expected}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Requests finished per second.
    RequestsPerS,
    /// Share of requests that failed or were never sent.
    FailureRatio,
    /// Mean response time, in milliseconds.
    Mean,
    /// Median response time, in milliseconds.
    P50,
    /// 95th percentile of the response time, in milliseconds.
    P95,
    /// 99th percentile of the response time, in milliseconds.
    P99,
}

impl Figure {
    /// Every figure, in order.
    pub const ALL: [Figure; 6] = [
        Figure::RequestsPerS,
        Figure::FailureRatio,
        Figure::Mean,
        Figure::P50,
        Figure::P95,
        Figure::P99,
    ];

    /// The stable name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Figure::RequestsPerS => "requests-per-s",
            Figure::FailureRatio => "failure-ratio",
            Figure::Mean => "mean-ms",
            Figure::P50 => "p50-ms",
            Figure::P95 => "p95-ms",
            Figure::P99 => "p99-ms",
        }
    }

    fn quantile(self) -> Option<f64> {
        match self {
            Figure::P50 => Some(0.50),
            Figure::P95 => Some(0.95),
            Figure::P99 => Some(0.99),
            Figure::RequestsPerS | Figure::FailureRatio | Figure::Mean => None,
        }
    }

    /// The smallest difference that matters, when run A has the value `a`.
    fn threshold(self, a: f64, options: &CompareOptions) -> f64 {
        let relative = options.threshold_ratio * a.abs();
        match self {
            Figure::RequestsPerS => relative,
            Figure::FailureRatio => relative.max(options.threshold_failures),
            _ => relative.max(options.threshold_abs.as_secs_f64() * 1e3),
        }
    }
}

/// What a difference means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// B is worse than A.
    Regression,
    /// B is better than A.
    Improvement,
    /// Neither can be said.
    NoDifference,
}

impl Judgement {
    /// `regression`, `improvement` or `no-difference`.
    pub fn name(self) -> &'static str {
        match self {
            Judgement::Regression => "regression",
            Judgement::Improvement => "improvement",
            Judgement::NoDifference => "no-difference",
        }
    }
}

/// One figure of one endpoint, in both runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The endpoint; `None`: all requests together.
    pub endpoint: Option<EndpointName>,
    /// What is compared; times in milliseconds.
    pub figure: Figure,
    /// Its value in run A.
    pub a: f64,
    /// Its value in run B.
    pub b: f64,
    /// Confidence interval of B − A.
    pub ci: Interval,
    /// Chance of a difference this large when there is none; `None` when too few requests lie
    /// above the percentile, so that it is not judged.
    pub p_value: Option<f64>,
    /// The same after Holm's correction.
    pub p_adjusted: Option<f64>,
    /// Whether the corrected value is below 1 − confidence.
    pub significant: bool,
    /// What the difference means.
    pub judgement: Judgement,
}

impl Row {
    /// B − A.
    pub fn difference(&self) -> f64 {
        self.b - self.a
    }

    /// B / A; `None` when A is zero.
    pub fn ratio(&self) -> Option<f64> {
        (self.a != 0.0).then(|| self.b / self.a)
    }
}

/// A run as it was compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// The host that was tested.
    pub host: String,
    /// Wall-clock start, milliseconds since the Unix epoch.
    pub started_unix_ms: i64,
    /// Seconds that were compared.
    pub seconds: f64,
    /// Requests that were compared.
    pub requests: u64,
    /// Seconds per bootstrap block.
    pub block: f64,
}

/// The comparison of two runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The older run, or the standard.
    pub a: Side,
    /// The run that is judged.
    pub b: Side,
    /// How it was compared.
    pub options: CompareOptions,
    /// A regression when any figure has one, else an improvement when any has.
    pub verdict: Judgement,
    /// All requests first, then the endpoints that both runs have, those with most requests first.
    pub rows: Vec<Row>,
    /// Endpoints that only A has.
    pub only_in_a: Vec<EndpointName>,
    /// Endpoints that only B has.
    pub only_in_b: Vec<EndpointName>,
    /// Why the comparison may not be a fair one.
    pub notes: Vec<String>,
}

/// Compares run B with run A.
///
/// # Errors
/// [`CompareError`] when a run is too short or empty, or an option is out of range.
pub fn compare(
    a: &RunFile,
    b: &RunFile,
    options: &CompareOptions,
) -> Result<Comparison, CompareError> {
    check(options)?;
    let (offered_a, offered_b) = (sample::offered(a), sample::offered(b));
    let mut common: Vec<&EndpointName> =
        offered_a.keys().copied().filter(|name| offered_b.contains_key(name)).collect();
    common.sort_by_key(|name| std::cmp::Reverse(offered_a[name]));
    let left_out = common.len().saturating_sub(ENDPOINTS_COMPARED_MAX);
    common.truncate(ENDPOINTS_COMPARED_MAX);
    let (run_a, run_b) =
        (Run::new(a, &common, options.warm_up), Run::new(b, &common, options.warm_up));
    for (name, run) in [("A", &run_a), ("B", &run_b)] {
        if run.slots() < SECONDS_MIN {
            return Err(CompareError::TooShort { run: name, seconds: run.slots() });
        }
        if run.total.requests() == 0.0 {
            return Err(CompareError::Empty { run: name });
        }
    }
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(options.seed);
    let resampled_a = Resampled::new(&run_a, options.replicates, &mut rng);
    let resampled_b = Resampled::new(&run_b, options.replicates, &mut rng);

    let mut rows = Vec::new();
    let names = std::iter::once(None).chain(common.iter().map(|name| Some((*name).clone())));
    for (index, endpoint) in names.enumerate() {
        for (position, figure) in Figure::ALL.into_iter().enumerate() {
            let pair = [&resampled_a, &resampled_b];
            rows.extend(row(pair, index, endpoint.as_ref(), figure, position, options.confidence));
        }
    }
    judge(&mut rows, options);

    let only_in = |run: &BTreeMap<&EndpointName, u64>, other: &BTreeMap<&EndpointName, u64>| {
        run.keys().copied().filter(|name| !other.contains_key(name)).cloned().collect()
    };
    let mut notes = notes(a, b);
    if left_out > 0 {
        notes.push(format!(
            "{left_out} endpoints with few requests are compared only within the total"
        ));
    }
    let side = |file: &RunFile, resampled: &Resampled<'_>, run: &Run| Side {
        host: file.header.host.clone(),
        started_unix_ms: file.header.started_unix_ms,
        seconds: run.seconds(),
        requests: run.total.requests() as u64,
        block: resampled.block as f64 * run.seconds() / run.slots() as f64,
    };
    let any = |judgement| rows.iter().any(|row: &Row| row.judgement == judgement);
    let verdict = [Judgement::Regression, Judgement::Improvement].into_iter().find(|it| any(*it));
    Ok(Comparison {
        a: side(a, &resampled_a, &run_a),
        b: side(b, &resampled_b, &run_b),
        options: options.clone(),
        verdict: verdict.unwrap_or(Judgement::NoDifference),
        only_in_a: only_in(&offered_a, &offered_b),
        only_in_b: only_in(&offered_b, &offered_a),
        notes,
        rows,
    })
}

fn check(options: &CompareOptions) -> Result<(), CompareError> {
    let fail =
        |option, value: String, expected| Err(CompareError::Option { option, value, expected });
    if !(options.confidence > 0.0 && options.confidence < 1.0) {
        return fail("confidence", options.confidence.to_string(), "a share between 0 and 1");
    }
    if options.replicates < 2 {
        return fail("replicates", options.replicates.to_string(), "at least 2");
    }
    for (option, value) in [
        ("threshold-ratio", options.threshold_ratio),
        ("threshold-failures", options.threshold_failures),
    ] {
        if !(value >= 0.0 && value.is_finite()) {
            return fail(option, value.to_string(), "a share of 0 or more");
        }
    }
    Ok(())
}

/// Samples of a run, measured as they are and once per replicate.
struct Resampled<'a> {
    /// All requests together, then each endpoint.
    samples: Vec<&'a Sample>,
    /// By sample.
    measured: Vec<Figures>,
    /// By replicate, then by sample.
    replicates: Vec<Vec<Figures>>,
    slots: usize,
    /// Slots per block.
    block: usize,
}

impl<'a> Resampled<'a> {
    fn new(run: &'a Run, replicates: usize, rng: &mut Xoshiro256PlusPlus) -> Self {
        let samples: Vec<&Sample> = std::iter::once(&run.total).chain(&run.endpoints).collect();
        let n = run.slots();
        let block = run.block_length();
        let all: Vec<usize> = (0..n).collect();
        let measured = samples.iter().map(|sample| sample.measure(&all)).collect();
        let mut drawn = Vec::with_capacity(replicates);
        // The bootstrap is for one statistic; here each draw is measured in many ways.
        circular_block_bootstrap(n, block, replicates, rng, |indices| {
            drawn.push(samples.iter().map(|sample| sample.measure(indices)).collect());
            0.0
        });
        Resampled { samples, measured, replicates: drawn, slots: n, block }
    }

    fn blocks(&self) -> f64 {
        self.slots as f64 / self.block as f64
    }

    /// One figure of one sample in every replicate.
    fn figure(&self, sample: usize, position: usize) -> impl Iterator<Item = f64> + '_ {
        self.replicates.iter().map(move |figures| figures[sample][position])
    }

    /// Variance of a figure. A bootstrap of k blocks sees (k − 1)/k of it.
    fn variance(&self, sample: usize, position: usize) -> f64 {
        let values: Vec<f64> =
            self.figure(sample, position).filter(|value| value.is_finite()).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        squares / (n - 1.0) * (self.blocks() / (self.blocks() - 1.0))
    }

    /// Whether enough requests lie above the percentile.
    fn has_tail(&self, sample: usize, figure: Figure) -> bool {
        figure
            .quantile()
            .is_none_or(|q| self.samples[sample].responses() * (1.0 - q) >= TAIL_REQUESTS)
    }
}

/// A figure of one sample in both runs; `None` when a run has no value.
fn row(
    [a, b]: [&Resampled<'_>; 2],
    sample: usize,
    endpoint: Option<&EndpointName>,
    figure: Figure,
    position: usize,
    confidence: f64,
) -> Option<Row> {
    let values = [a.measured[sample][position], b.measured[sample][position]];
    if values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let pairs = b.figure(sample, position).zip(a.figure(sample, position));
    let mut differences: Vec<f64> =
        pairs.map(|(b, a)| b - a).filter(|difference| difference.is_finite()).collect();
    differences.sort_by(f64::total_cmp);
    let ci = percentile_interval(&differences, confidence)?;
    let judged = a.has_tail(sample, figure) && b.has_tail(sample, figure);
    let variance = a.variance(sample, position) + b.variance(sample, position);
    let freedom = a.blocks() + b.blocks() - 2.0;
    let p_value = judged.then(|| p_value(values[1] - values[0], variance, freedom));
    Some(Row {
        endpoint: endpoint.cloned(),
        figure,
        a: values[0],
        b: values[1],
        ci,
        p_value,
        p_adjusted: None,
        significant: false,
        judgement: Judgement::NoDifference,
    })
}

/// Two-sided p-value of a difference by Student's t.
fn p_value(difference: f64, variance: f64, freedom: f64) -> f64 {
    if difference == 0.0 {
        return 1.0;
    }
    let t = difference.abs() / variance.sqrt();
    // No variance at all makes t infinite, whose p-value is 0.
    StudentsT::new(0.0, 1.0, freedom.max(1.0)).map_or(1.0, |student| 2.0 * student.sf(t))
}

/// Corrects the p-values over all rows, and says what each difference means.
fn judge(rows: &mut [Row], options: &CompareOptions) {
    let judged: Vec<usize> = (0..rows.len()).filter(|&it| rows[it].p_value.is_some()).collect();
    let p_values: Vec<f64> = judged.iter().filter_map(|&index| rows[index].p_value).collect();
    for (index, adjusted) in judged.into_iter().zip(holm::adjusted(&p_values)) {
        let row = &mut rows[index];
        row.p_adjusted = Some(adjusted);
        row.significant = adjusted < 1.0 - options.confidence;
        if row.significant && row.difference().abs() > row.figure.threshold(row.a, options) {
            let more_is_better = row.figure == Figure::RequestsPerS;
            row.judgement = if (row.difference() > 0.0) == more_is_better {
                Judgement::Improvement
            } else {
                Judgement::Regression
            };
        }
    }
}

fn notes(a: &RunFile, b: &RunFile) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, file) in [("A", a), ("B", b)] {
        if file.truncated {
            notes.push(format!("run {name} has no end: it was killed, or its file is damaged"));
        }
        let verdict = file.result.as_ref().map(|result| &result["verdict"]["valid"]);
        if verdict == Some(&serde_json::Value::Bool(false)) {
            notes
                .push(format!("run {name} was judged not valid: its figures must not be believed"));
        }
    }
    let (from, to) = (&a.header, &b.header);
    for (what, differs) in [
        ("hosts", from.host != to.host),
        ("models", from.model != to.model),
        ("configurations", from.configuration != to.configuration),
        ("environments", from.environment != to.environment),
    ] {
        if differs {
            notes.push(format!("the {what} of the runs differ"));
        }
    }
    notes
}

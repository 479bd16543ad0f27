//! Published and independently computed vectors. Each file under `tests/vectors` names its source,
//! the version and commands it was computed with, and the tolerance that is checked here.

use std::collections::BTreeMap;
use std::path::Path;

use stats::{LatencyHistogram, Mmc, bootstrap, goodness, interval, quantile, queueing, trend, usl};

/// One file of vectors.
struct Vectors {
    tolerance: f64,
    relative: bool,
    rows: Vec<Row>,
}

/// One row, with its fields by column name.
struct Row(BTreeMap<String, String>);

impl Row {
    fn text(&self, column: &str) -> &str {
        &self.0[column]
    }

    fn number(&self, column: &str) -> f64 {
        self.text(column).parse().unwrap()
    }

    fn whole(&self, column: &str) -> u64 {
        self.text(column).parse().unwrap()
    }

    fn numbers(&self, column: &str) -> Vec<f64> {
        self.text(column).split(' ').map(|number| number.parse().unwrap()).collect()
    }
}

impl Vectors {
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let tolerance = text.lines().find_map(|line| line.strip_prefix("# tolerance: ")).unwrap();
        let (tolerance, kind) = tolerance.split_once(' ').unwrap();
        assert!(["relative", "absolute"].contains(&kind), "{kind}");
        let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
        let rows: Vec<Row> = reader.deserialize().map(|row| Row(row.unwrap())).collect();
        assert!(!rows.is_empty(), "{name} is empty");
        Self { tolerance: tolerance.parse().unwrap(), relative: kind == "relative", rows }
    }

    /// Asserts that `actual` is the value of `column` within the tolerance of the file.
    fn check(&self, row: &Row, column: &str, actual: f64) {
        let expected = row.number(column);
        let scale = if self.relative { expected.abs() } else { 1.0 };
        let near = (actual - expected).abs() <= self.tolerance * scale;
        assert!(near, "{column}: {actual}, expected {expected}, of {:?}", row.0);
    }
}

#[test]
fn erlang_formulas() {
    let vectors = Vectors::read("erlang.csv");
    for row in &vectors.rows {
        let (servers, offered) = (row.whole("servers") as u32, row.number("offered"));
        vectors.check(row, "erlang_b", queueing::erlang_b(servers, offered).unwrap());
        vectors.check(row, "erlang_c", queueing::erlang_c(servers, offered).unwrap());
    }
    assert!((queueing::erlang_b(10, 5.0).unwrap() - 0.018_385).abs() < 5e-7);
}

#[test]
fn mmc_queue() {
    let vectors = Vectors::read("mmc.csv");
    for row in &vectors.rows {
        let servers = row.whole("servers") as u32;
        let service_rate = row.number("service_rate");
        let queue = Mmc::new(servers, row.number("arrival_rate"), service_rate).unwrap();
        vectors.check(row, "mean_wait", queue.mean_wait());
        let survival = queue.response_survival(row.number("time"));
        vectors.check(row, "survival", survival);
        vectors.check(row, "time", queue.response_quantile(1.0 - survival).unwrap());
    }
}

#[test]
fn chi_square() {
    let vectors = Vectors::read("chi_square.csv");
    for row in &vectors.rows {
        let observed: Vec<u64> =
            row.numbers("observed").iter().map(|&count| count as u64).collect();
        let test = goodness::chi_square_gof(&observed, &row.numbers("expected")).unwrap();
        vectors.check(row, "statistic", test.statistic);
        vectors.check(row, "p_value", test.p_value);
    }
}

#[test]
fn kolmogorov_smirnov_of_one_sample() {
    let vectors = Vectors::read("ks_uniform.csv");
    for row in &vectors.rows {
        let test = goodness::ks_test(&row.numbers("sample"), |x| x).unwrap();
        assert!((test.statistic - row.number("statistic")).abs() < 1e-12);
        vectors.check(row, "p_value", test.p_value);
    }
}

#[test]
fn kolmogorov_smirnov_of_two_samples() {
    let vectors = Vectors::read("ks_two_sample.csv");
    for row in &vectors.rows {
        let test = goodness::ks_two_sample(&row.numbers("left"), &row.numbers("right")).unwrap();
        vectors.check(row, "statistic", test.statistic);
        vectors.check(row, "p_value", test.p_value);
    }
}

#[test]
fn wilson_intervals() {
    let vectors = Vectors::read("wilson.csv");
    for row in &vectors.rows {
        let (successes, trials) = (row.whole("successes"), row.whole("trials"));
        let interval = interval::wilson(successes, trials, row.number("confidence")).unwrap();
        vectors.check(row, "low", interval.low);
        vectors.check(row, "high", interval.high);
    }
}

#[test]
fn mean_intervals() {
    let vectors = Vectors::read("mean_interval.csv");
    for row in &vectors.rows {
        let values = row.numbers("values");
        let interval = interval::mean_interval(&values, row.number("confidence")).unwrap();
        vectors.check(row, "low", interval.low);
        vectors.check(row, "high", interval.high);
    }
}

#[test]
fn quantiles() {
    let vectors = Vectors::read("quantile.csv");
    for row in &vectors.rows {
        let (sorted, q) = (row.numbers("sorted"), row.number("q"));
        vectors.check(row, "nearest_rank", quantile::nearest_rank(&sorted, q).unwrap());
        vectors.check(row, "type7", quantile::type7(&sorted, q).unwrap());
    }
}

#[test]
fn ranks_around_quantiles() {
    let vectors = Vectors::read("quantile_ranks.csv");
    for row in &vectors.rows {
        let (n, q) = (row.whole("n"), row.number("q"));
        let ranks = quantile::quantile_interval_ranks(n, q, row.number("confidence"));
        assert_eq!(ranks, Some((row.whole("low"), row.whole("high"))), "{:?}", row.0);
    }
}

#[test]
fn least_squares_lines() {
    let vectors = Vectors::read("line.csv");
    for row in &vectors.rows {
        let points: Vec<(f64, f64)> = row.numbers("x").into_iter().zip(row.numbers("y")).collect();
        let line = trend::ordinary_least_squares(&points).unwrap();
        vectors.check(row, "intercept", line.intercept);
        vectors.check(row, "slope", line.slope);
        vectors.check(row, "slope_error", line.slope_error);
        vectors.check(row, "t", line.t);
        vectors.check(row, "p_value", line.p_value);
    }
}

#[test]
fn scalability_law() {
    let vectors = Vectors::read("usl.csv");
    for row in &vectors.rows {
        let points: Vec<(f64, f64)> =
            row.numbers("load").into_iter().zip(row.numbers("throughput")).collect();
        let fit = usl::fit(&points).unwrap();
        vectors.check(row, "gamma", fit.gamma);
        vectors.check(row, "sigma", fit.sigma);
        vectors.check(row, "kappa", fit.kappa);
        vectors.check(row, "r_squared", fit.r_squared);
        vectors.check(row, "n_star", fit.n_star().unwrap());
    }
}

#[test]
fn histograms_of_other_tools() {
    let vectors = Vectors::read("hdr.csv");
    for row in &vectors.rows {
        let histogram = LatencyHistogram::decode(row.text("text")).unwrap();
        assert_eq!(histogram.count(), row.whole("count"));
        for (column, q) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p100", 1.0)] {
            assert_eq!(histogram.quantile_us(q), Some(row.whole(column)), "{column}");
        }
    }
}

/// The pieces together: the histogram's interval and the bootstrap's agree on one sample.
#[test]
fn quantile_intervals_agree_with_the_bootstrap() {
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt, SeedableRng};

    let mut rng = Xoshiro256PlusPlus::seed_from_u64(42);
    let values: Vec<u64> = (0..2000).map(|_| rng.random_range(1_000..101_000)).collect();
    let mut histogram = LatencyHistogram::new();
    values.iter().for_each(|&us| histogram.record(us));
    let (low, high) = histogram.quantile_interval_us(0.9, 0.95).unwrap();

    let replicates = bootstrap::circular_block_bootstrap(2000, 1, 1000, &mut rng, |indices| {
        let mut sample: Vec<u64> = indices.iter().map(|&index| values[index]).collect();
        sample.sort_unstable();
        quantile::nearest_rank(&sample, 0.9).unwrap() as f64
    });
    let interval = bootstrap::percentile_interval(&replicates, 0.95).unwrap();
    // Standard error of the quantile: 100,000·√(0.9·0.1/2000) = 671 µs.
    assert!((interval.low - low as f64).abs() < 671.0);
    assert!((interval.high - high as f64).abs() < 671.0);
}

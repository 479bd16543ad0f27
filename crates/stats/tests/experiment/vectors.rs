//! Vectors computed by other software. Each file names its source, version, command and tolerance;
//! `scripts/experiment-vectors.py` writes them again.

use std::collections::BTreeMap;
use std::path::Path;

use stats::experiment::bayes::{BetaPosterior, NormalPrior, Posterior, beta_comparison};
use stats::experiment::counts::{MultinomialProcess, TwoArmCounts};
use stats::experiment::power::{Baseline, Design, Method};
use stats::experiment::proportions::{
    Proportion, newcombe_interval, pooled_test, score_interval, wald_interval,
};
use stats::experiment::strata::post_stratify;
use stats::experiment::{
    Alternative, Better, Comparison, ConfidenceSequence, GroupSequential, Level, Moments, Spending,
    Sums, bandit, cuped, multiple, quantile, shrinkage, srm, welch,
};

/// One file of vectors.
struct Vectors {
    tolerance: f64,
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

    fn list<T: std::str::FromStr>(&self, column: &str) -> Vec<T>
    where
        T::Err: std::fmt::Debug,
    {
        self.text(column).split(' ').map(|item| item.parse().unwrap()).collect()
    }

    /// Moments from the units, sums and products of `K` values.
    fn moments<const K: usize>(&self, column: &str) -> Moments<K> {
        let mut numbers = self.list::<i128>(column).into_iter();
        let mut next = || numbers.next().unwrap();
        let mut sums = Sums::<K> { units: u64::try_from(next()).unwrap(), ..Sums::default() };
        sums.sums = std::array::from_fn(|_| next());
        for i in 0..K {
            for j in i..K {
                sums.products[i][j] = next();
            }
        }
        sums.moments([1.0; K]).unwrap()
    }

    fn alternative(&self) -> Alternative {
        match self.text("side") {
            "two-sided" => Alternative::TwoSided,
            "greater" => Alternative::Greater,
            _ => Alternative::Less,
        }
    }
}

impl Vectors {
    fn read(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/experiment").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let tolerance = text.lines().find_map(|line| line.strip_prefix("# tolerance: ")).unwrap();
        let tolerance = tolerance.strip_suffix(" relative").unwrap().parse().unwrap();
        let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
        let rows: Vec<Row> = reader.deserialize().map(|row| Row(row.unwrap())).collect();
        assert!(!rows.is_empty(), "{name} is empty");
        Self { tolerance, rows }
    }

    /// Asserts that `actual` is the value of `column` within the tolerance of the file.
    fn check(&self, row: &Row, column: &str, actual: f64) {
        self.near(row, column, actual, row.number(column));
    }

    /// The same for a list.
    fn check_all(&self, row: &Row, column: &str, actual: &[f64]) {
        let expected = row.list::<f64>(column);
        assert_eq!(expected.len(), actual.len());
        for (&actual, expected) in actual.iter().zip(expected) {
            self.near(row, column, actual, expected);
        }
    }

    /// Differences below 1e-12 do not count: they are rounding around 0.
    fn near(&self, row: &Row, column: &str, actual: f64, expected: f64) {
        let near = actual == expected
            || (actual - expected).abs() <= self.tolerance * expected.abs() + 1e-12;
        assert!(near, "{column}: {actual}, expected {expected}, of {:?}", row.0);
    }
}

fn two_sided(alpha: f64) -> Level {
    Level::new(alpha, Alternative::TwoSided).unwrap()
}

fn comparison(row: &Row) -> Comparison {
    Comparison::new(&row.moments("treatment"), &row.moments("control")).unwrap()
}

#[test]
fn welch_of_scipy() {
    let vectors = Vectors::read("welch.csv");
    for row in &vectors.rows {
        let comparison = comparison(row);
        let level = Level::new(row.number("alpha"), row.alternative()).unwrap();
        let effect = welch::effect(&comparison, level);
        vectors.check(row, "difference", effect.difference);
        vectors.check(row, "error", effect.standard_error);
        vectors.check(row, "degrees", comparison.degrees);
        vectors.check(row, "p_value", effect.p_value);
        vectors.check(row, "low", effect.interval.low);
        vectors.check(row, "high", effect.interval.high);
    }
}

#[test]
fn lift_by_fieller() {
    let vectors = Vectors::read("fieller.csv");
    for row in &vectors.rows {
        let effect = welch::effect(&comparison(row), two_sided(0.05));
        let interval = effect.lift_set.interval().unwrap();
        vectors.check(row, "lift", effect.lift.unwrap());
        vectors.check(row, "low", interval.low);
        vectors.check(row, "high", interval.high);
    }
}

#[test]
fn proportions_of_statsmodels() {
    let vectors = Vectors::read("proportions.csv");
    for row in &vectors.rows {
        let arm = |x: &str, n: &str| Proportion::new(row.whole(x), row.whole(n)).unwrap();
        let (t, c) = (arm("x_t", "n_t"), arm("x_c", "n_c"));
        let p = |alternative| pooled_test(t, c, alternative).p_value;
        vectors.check(row, "z", pooled_test(t, c, Alternative::TwoSided).statistic);
        vectors.check(row, "p_two", p(Alternative::TwoSided));
        vectors.check(row, "p_greater", p(Alternative::Greater));
        vectors.check(row, "p_less", p(Alternative::Less));
        for (name, interval) in [
            ("wald", wald_interval(t, c, two_sided(0.05))),
            ("newcombe", newcombe_interval(t, c, two_sided(0.05))),
            ("score", score_interval(t, c, two_sided(0.05))),
        ] {
            vectors.check(row, &format!("{name}_low"), interval.low);
            vectors.check(row, &format!("{name}_high"), interval.high);
        }
    }
}

#[test]
fn ratios_of_gbstats() {
    let vectors = Vectors::read("ratio.csv");
    for row in &vectors.rows {
        let arm = |name| row.moments::<2>(name).ratio().unwrap();
        let (t, c) = (arm("treatment"), arm("control"));
        let comparison = Comparison::new(&t, &c).unwrap();
        let effect = welch::effect(&comparison, two_sided(0.05));
        vectors.check(row, "value_t", t.value());
        vectors.check(row, "value_c", c.value());
        vectors.check(row, "error", effect.standard_error);
        vectors.check(row, "p_value", effect.p_value);
        vectors.check(row, "low", effect.interval.low);
        vectors.check(row, "high", effect.interval.high);
    }
}

#[test]
fn cuped_of_statsmodels_and_gbstats() {
    let vectors = Vectors::read("cuped.csv");
    for row in &vectors.rows {
        let adjusted = cuped::adjust(&row.moments("treatment"), &row.moments("control")).unwrap();
        let effect = welch::effect(&adjusted.comparison, two_sided(0.05));
        vectors.check(row, "theta", adjusted.theta);
        vectors.check(row, "difference", effect.difference);
        vectors.check(row, "error", effect.standard_error);
        vectors.check(row, "p_value", effect.p_value);
        vectors.check(row, "low", effect.interval.low);
        vectors.check(row, "high", effect.interval.high);
    }
}

#[test]
fn cuped_of_ratios_is_regression_of_their_linearisation() {
    let vectors = Vectors::read("cuped_ratio.csv");
    for row in &vectors.rows {
        let arm = |name| row.moments::<4>(name).ratios().unwrap();
        let adjusted = cuped::adjust(&arm("treatment"), &arm("control")).unwrap();
        vectors.check(row, "theta", adjusted.theta);
        vectors.check(row, "difference", adjusted.comparison.difference());
        vectors.check(row, "error", adjusted.comparison.standard_error());
    }
}

#[test]
fn confidence_sequences_of_gbstats() {
    let vectors = Vectors::read("sequence.csv");
    for row in &vectors.rows {
        let level = two_sided(row.number("alpha"));
        let sequence = ConfidenceSequence::new(level, row.whole("planned"), 2).unwrap();
        let effect = sequence.effect(&comparison(row));
        vectors.check(row, "p_value", effect.p_value);
        vectors.check(row, "low", effect.interval.low);
        vectors.check(row, "high", effect.interval.high);
    }
}

#[test]
fn group_sequential_bounds() {
    for name in ["group_sequential_published.csv", "group_sequential.csv"] {
        let vectors = Vectors::read(name);
        for row in &vectors.rows {
            let spending = match row.text("spending") {
                "pocock" => Spending::Pocock,
                _ => Spending::OBrienFleming,
            };
            let fractions = row.list::<f64>("fractions");
            let level = two_sided(row.number("alpha"));
            let test = GroupSequential::new(level, spending, &fractions).unwrap();
            vectors.check_all(row, "bounds", test.critical());
        }
    }
}

#[test]
fn posteriors_of_gbstats() {
    let vectors = Vectors::read("bayes.csv");
    for row in &vectors.rows {
        let comparison = comparison(row);
        let prior = match row.text("prior_deviation") {
            "flat" => NormalPrior::FLAT,
            deviation => {
                NormalPrior::new(row.number("prior_mean"), deviation.parse().unwrap()).unwrap()
            }
        };
        let posterior = match row.text("scale") {
            "absolute" => Posterior::difference(&comparison, prior),
            _ => Posterior::lift(&comparison, prior).unwrap(),
        };
        let better = match row.text("better") {
            "higher" => Better::Higher,
            _ => Better::Lower,
        };
        vectors.check(row, "mean", posterior.mean);
        vectors.check(row, "deviation", posterior.standard_deviation);
        vectors.check(row, "chance", posterior.chance_to_win(better));
        vectors.check(row, "risk_control", posterior.loss_of_control(better));
        vectors.check(row, "risk_treatment", posterior.loss_of_treatment(better));
        let credible = posterior.credible(0.95).unwrap();
        vectors.check(row, "low", credible.low);
        vectors.check(row, "high", credible.high);
    }
}

#[test]
fn beta_posteriors_by_adaptive_quadrature() {
    let vectors = Vectors::read("beta.csv");
    for row in &vectors.rows {
        let prior = (row.number("prior"), row.number("prior"));
        let arm = |x: &str, n: &str| BetaPosterior::new(row.whole(x), row.whole(n), prior).unwrap();
        let result = beta_comparison(arm("x_t", "n_t"), arm("x_c", "n_c"), Better::Higher);
        vectors.check(row, "chance", result.chance_to_win);
        vectors.check(row, "loss_treatment", result.loss_of_treatment);
        vectors.check(row, "loss_control", result.loss_of_control);
    }
}

#[test]
fn bandit_weights_by_adaptive_quadrature() {
    let vectors = Vectors::read("bandit.csv");
    for row in &vectors.rows {
        let arms: Vec<Posterior> = row
            .list::<f64>("means")
            .into_iter()
            .zip(row.list::<f64>("deviations"))
            .map(|(mean, standard_deviation)| Posterior { mean, standard_deviation })
            .collect();
        vectors.check_all(row, "weights", &bandit::weights(&arms, Better::Higher, 0.0).unwrap());
    }
}

#[test]
fn multinomial_process_of_savvi() {
    let vectors = Vectors::read("multinomial.csv");
    for row in &vectors.rows {
        let process =
            MultinomialProcess::new(&row.list::<f64>("weights"), row.number("concentration"));
        let ln_e_value = process.unwrap().ln_e_value(&row.list::<u64>("counts")).unwrap();
        vectors.check(row, "ln_e_value", ln_e_value);
    }
}

#[test]
fn two_arm_counts_of_savvi() {
    let vectors = Vectors::read("two_arm_counts.csv");
    for row in &vectors.rows {
        let test = TwoArmCounts::new(two_sided(0.05), row.number("share"), 100.0).unwrap();
        let effect = test.effect(row.whole("treatment"), row.whole("control"));
        vectors.check(row, "p_value", effect.p_value);
        vectors.check(row, "low", effect.interval.low);
        vectors.check(row, "high", effect.interval.high);
    }
}

#[test]
fn sample_ratio_mismatch_of_scipy() {
    let vectors = Vectors::read("srm.csv");
    for row in &vectors.rows {
        let test =
            srm::chi_square(&row.list::<u64>("counts"), &row.list::<f64>("weights")).unwrap();
        vectors.check(row, "statistic", test.statistic);
        vectors.check(row, "p_value", test.p_value);
    }
}

#[test]
fn corrections_of_statsmodels() {
    let vectors = Vectors::read("multiple.csv");
    for row in &vectors.rows {
        let p_values = row.list::<f64>("p_values");
        vectors.check_all(row, "holm", &multiple::holm(&p_values).unwrap());
        let adjusted = multiple::benjamini_hochberg(&p_values).unwrap();
        vectors.check_all(row, "benjamini_hochberg", &adjusted);
    }
}

#[test]
fn power_of_statsmodels() {
    let vectors = Vectors::read("power.csv");
    for row in &vectors.rows {
        let design = Design {
            level: Level::new(row.number("alpha"), row.alternative()).unwrap(),
            treatment_share: row.number("share"),
            method: Method::Fixed,
        };
        let baseline =
            Baseline::Mean { mean: row.number("mean"), variance: row.number("deviation").powi(2) };
        let (lift, power) = (row.number("lift"), row.number("power"));
        let units = design.units(baseline, lift, power).unwrap();
        assert_eq!(units as f64, row.number("units").ceil(), "{:?}", row.0);
        let other = design.power(baseline, lift, row.number("other_units") as u64).unwrap();
        vectors.check(row, "other_power", other);
    }
}

#[test]
fn clustered_quantiles_of_gbstats() {
    let vectors = Vectors::read("quantile.csv");
    for row in &vectors.rows {
        let moments =
            quantile::estimate(&row.list("values"), &row.list("units"), row.number("nu")).unwrap();
        vectors.check(row, "value", moments.value());
        let error = (moments.variance() / moments.units as f64).sqrt();
        vectors.check(row, "error", error);
    }
}

#[test]
fn shrinkage_of_truncated_normals() {
    let vectors = Vectors::read("shrinkage.csv");
    for row in &vectors.rows {
        // Two units per arm of variance 1: a standard error of 1.
        let arm = |mean| Moments { units: 2, mean: [mean], covariance: [[1.0]] };
        let comparison = Comparison::new(&arm(row.number("z")), &arm(0.0)).unwrap();
        let effect = comparison.effect(row.number("critical"), 0.0, Alternative::Greater);
        let estimate = shrinkage::conditional_estimate(&effect, Alternative::Greater).unwrap();
        vectors.check(row, "estimate", estimate);
    }
}

#[test]
fn comparisons_within_strata() {
    let compare =
        |t: &Sums<1>, c: &Sums<1>| Comparison::new(&t.moments([1.0])?, &c.moments([1.0])?);
    let file = Vectors::read("stratified.csv");
    for row in &file.rows {
        let sums = |text: &str| {
            let numbers: Vec<i128> = text.split(' ').map(|item| item.parse().unwrap()).collect();
            let units = u64::try_from(numbers[0]).unwrap();
            Sums::<1> { units, sums: [numbers[1]], products: [[numbers[2]]] }
        };
        let cells: Vec<[Sums<1>; 2]> = row
            .text("cells")
            .split(';')
            .map(|cell| cell.split_once('|').unwrap())
            .map(|(treatment, control)| [sums(treatment), sums(control)])
            .collect();
        let found = post_stratify(&cells, 10, compare).unwrap();
        file.check(row, "difference", found.difference());
        file.check(row, "error", found.standard_error());
    }
}

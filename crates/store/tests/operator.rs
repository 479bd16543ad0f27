//! Automation over the real store of control data.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use experiment::analysis::{Method, Plan, Spending};
use experiment::automation::{Declared, Operator};
use experiment::ledger::{
    Arm, Change, Control, DAY_US, Definition, Dimension, Fates, MetricKind, MetricSums, Progress,
    QuantileSample, Results, Summary,
};
use experiment::metric::{Better, MARGIN, Measure, MetricSpec};
use experiment::model::{Experiment, ExperimentSet};
use store::SqliteControl;

/// So many units of each of two variants, of which one in ten bought.
struct Counted(std::sync::atomic::AtomicU64);

impl Results for Counted {
    fn summary(&self, _: &str) -> Option<Summary> {
        let units = self.0.load(std::sync::atomic::Ordering::Relaxed);
        let (experiment, metric) = (experiment(), metric());
        let metrics = experiment::metric::resolve(&experiment, &[metric]).ok()?;
        let definition: Definition =
            experiment::metric::definition(&experiment, &metrics, None).ok()?;
        let arm = |variant| {
            let mut sums = stats::experiment::Sums::<2>::default();
            (0..units).for_each(|unit| sums.add([i64::from(unit % 10 == 0), 0]).unwrap());
            Arm { phase: 0, variant, units, metrics: vec![MetricSums::Single(sums)] }
        };
        Some(Summary {
            definition,
            arms: vec![arm(0), arm(1)],
            quarantined: 0,
            traffic: Vec::new(),
            progress: Progress::default(),
        })
    }

    fn cohort(&self, _: &str, _: Range<i64>) -> Option<Vec<Arm>> {
        None
    }

    fn segments(&self, _: &str, _: Dimension, _: Range<i64>) -> Option<BTreeMap<String, Vec<Arm>>> {
        None
    }

    fn quantile_sample(&self, _: &str, _: &str, _: u16, _: u16) -> Option<QuantileSample> {
        None
    }

    fn unit_totals(&self, _: &str, _: &str, _: i64) -> Option<Vec<i64>> {
        None
    }

    fn fates(&self) -> Fates {
        Fates::default()
    }
}

fn metric() -> MetricSpec {
    MetricSpec {
        name: "buy".to_owned(),
        description: String::new(),
        measure: Measure::Events {
            kind: MetricKind::Conversion { event: "buy".to_owned() },
            delay_us: 0,
            window_us: DAY_US,
            lookback_us: 0,
        },
        better: Better::Higher,
        margin: MARGIN,
    }
}

fn experiment() -> Experiment {
    serde_json::from_value(serde_json::json!({
        "key": "checkout", "status": "running", "unit": {"device": {"cookie": "uid"}},
        "variants": [{"key": "control"}, {"key": "new"}],
        "phases": [{"since": 1_000, "weights": [1, 1]}], "primary": "buy",
        "policy": {"min-days": 0, "min-units": 100, "action": "auto"},
    }))
    .unwrap()
}

#[test]
fn a_planned_look_is_taken_once_and_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let control = Arc::new(SqliteControl::open(&folder.path().join("control.sqlite")).unwrap());
    let results = Arc::new(Counted(0.into()));
    let operator = Operator::new(
        Arc::clone(&control) as Arc<dyn Control>,
        Arc::clone(&results) as Arc<dyn Results>,
        None,
    );
    let set = ExperimentSet { experiments: vec![experiment()], ..ExperimentSet::default() };
    let method = Method::GroupSequential { looks: 4, spending: Spending::default() };
    let plan = Plan { method, units: 4_000, ..Plan::default() };
    let plans = vec![("checkout".to_owned(), plan)];
    let declared = Declared { set, metrics: vec![metric()], plans };
    let change = Change { who: "tests", reason: "begin", time_ms: 1_000 };
    operator.adopt(&declared, &change).unwrap();

    let mut looks = Vec::new();
    for (round, units) in [100, 600, 600, 700, 1_200, 2_500, 3_000].into_iter().enumerate() {
        results.0.store(units, std::sync::atomic::Ordering::Relaxed);
        let now = 2_000 + 1_000 * round as u64;
        assert_eq!(operator.tick(now), [], "nothing is done, and nothing fails");
        let report = operator.report("checkout", now, experiment::analysis::Depth::Sums).unwrap();
        looks.push(report.state.looks.len());
        assert_eq!(report.analysis.look, None, "what was looked at is not looked at again");
    }
    assert_eq!(looks, [0, 1, 1, 1, 2, 3, 3]);
}

//! Whole experiments, many of them: records into a ledger, looked at again and again by everything
//! that automation goes through.

use crate::measures::spec;
use crate::world::{DAY, START};
use experiment::analysis::{Analysis, Data, Depth, Method, Outcome, Plan, Question, analyse};
use experiment::automation::{Action, State, apply, step};
use experiment::event::{Attributes, Entry, Event, Exposure, Record, Traffic};
use experiment::ledger::{
    DAY_US, Definition, Dimension, Ledger, MetricKind, Results, Settings, TOTAL_MAX, Term, bucket,
};
use experiment::metric::{MetricSpec, Role, definition, resolve};
use experiment::model::Experiment;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde_json::json;

/// Experiments of each simulation.
const RUNS: u64 = 600;
/// Looks at each, and units that come between two of them.
const LOOKS: u64 = 10;
const UNITS_PER_LOOK: u64 = 80;

/// What is true of the treatment, relative to the control.
#[derive(Clone, Copy)]
struct Truth {
    /// Of the share of units that buy.
    buys: f64,
    /// Of what a buyer spends.
    spends: f64,
    /// Share of its requests that fail; those of the control: 2 %.
    fails: f64,
}

const SAME: Truth = Truth { buys: 1.0, spends: 1.0, fails: 0.02 };

struct Shop {
    store: Ledger,
    experiment: Experiment,
    metrics: Vec<(Role, MetricSpec)>,
    plan: Plan,
    state: State,
    truth: Truth,
    units: u64,
    draws: Xoshiro256PlusPlus,
}

fn declared() -> Vec<MetricSpec> {
    let (buy, view) = (|| "buy".to_owned(), || "view".to_owned());
    let revenue = MetricKind::Revenue { event: buy(), cap: 150_000_000, percentile: None };
    vec![
        spec("bought", MetricKind::Conversion { event: buy() }, 0),
        spec("revenue", revenue, DAY_US),
        spec(
            "per-view",
            MetricKind::Ratio {
                numerator: Term::Total { event: buy() },
                denominator: Term::Count { event: view() },
            },
            0,
        ),
    ]
}

fn experiment() -> Experiment {
    serde_json::from_value(json!({
        "key": "shop", "status": "running", "unit": {"device": {"cookie": "uid"}},
        "variants": [{"key": "control"}, {"key": "new"}],
        "phases": [{"since": START, "weights": [1, 1]}],
        "primary": "bought", "metrics": ["revenue", "per-view"], "guardrails": ["error-rate"],
        "policy": {"min-days": 0, "min-units": 100, "action": "auto", "hold-back": 0.1},
    }))
    .unwrap()
}

fn plan() -> Plan {
    let units = LOOKS * UNITS_PER_LOOK;
    Plan { units, stratify: Some(Dimension::Browser), step_ms: DAY, ..Plan::default() }
}

impl Shop {
    fn new(truth: Truth, plan: Plan, seed: u64) -> Shop {
        let experiment = experiment();
        let mut metrics = resolve(&experiment, &declared()).unwrap();
        // Errors are too rare for a smaller margin to be told from nothing.
        metrics[3].1.margin = 5.0;
        let definition = definition(&experiment, &metrics, None).unwrap();
        let mut ledger = Ledger::new(Settings { shards: 1, ..Settings::default() });
        let text = serde_json::to_string(&definition).unwrap();
        ledger.apply(0, START as i64 * 1_000, &Entry::Define(&text));
        let draws = Xoshiro256PlusPlus::seed_from_u64(seed);
        let state = State { since: START, ..State::default() };
        Shop { store: ledger, experiment, metrics, plan, state, truth, units: 0, draws }
    }

    fn now(&self) -> u64 {
        START + self.units * 60_000
    }

    /// So many units come by and do what they do.
    fn live(&mut self, units: u64) {
        let phase = self.experiment.phases.len() - 1;
        let share = self.experiment.phases[phase].shares()[1];
        for _ in 0..units {
            self.units += 1;
            let time_us = self.now() as i64 * 1_000;
            let name = format!("u{}", self.units);
            let mut chance = |p: f64| self.draws.random::<f64>() < p;
            let variant = u16::from(chance(share));
            // What somebody is like shows in the browser, and in what they bought before.
            let rich = chance(0.3);
            let browser = if rich == chance(0.9) { "safari" } else { "firefox" };
            let (buys, spends, fails) = match variant {
                0 => (1.0, 1.0, SAME.fails),
                _ => (self.truth.buys, self.truth.spends, self.truth.fails),
            };
            let bought = chance(buys * if rich { 0.3 } else { 0.15 });
            let failed = chance(fails);
            let views = 1 + u64::from(chance(0.5));
            let amount = |draw: f64| (-(1.0 - draw).ln() * if rich { 60e6 } else { 20e6 }) as i64;
            let before = amount(self.draws.random());
            let spent = (amount(self.draws.random()) as f64 * spends) as i64;
            let event = |name_of: &'static str, value, time_us| {
                let unit = name.as_str();
                Record::Event(Event { unit, name: name_of, value, time_us, event_id: None })
            };
            let mut records = vec![
                event("buy", before, time_us - 1_000),
                Record::Exposure(Exposure {
                    experiment: "shop",
                    unit: &name,
                    variant,
                    phase: phase as u16,
                    time_us,
                    attributes: Attributes { browser, ..Attributes::default() },
                }),
                Record::Traffic(Traffic {
                    experiment: "shop",
                    variant,
                    phase: phase as u16,
                    time_us,
                    requests: 1,
                    errors: u64::from(failed),
                    bytes: 0,
                    latency: vec![(bucket(100_000), 1)],
                }),
            ];
            records.extend((0..views).map(|view| event("view", 0, time_us + 1 + view as i64)));
            records.extend(bought.then(|| event("buy", spent, time_us + 10)));
            let entry = Entry::Batch { id: None, records };
            self.store.apply(self.store.position(), time_us, &entry);
        }
    }

    fn analysis(&self, plan: &Plan) -> Analysis {
        let left_out = self.state.left_out(&self.experiment);
        let question = Question {
            experiment: &self.experiment,
            metrics: &self.metrics,
            plan,
            phases: self.state.phases(&self.experiment),
            left_out: &left_out,
            rolled_out: None,
            looks: &self.state.looks,
            last_look: &self.state.last_look,
            now: self.now(),
        };
        analyse(&question, &Data::gather(&self.store, &question, Depth::Units).unwrap())
    }

    /// Looks, and does what automation decides.
    fn act(&mut self) -> (Analysis, Action) {
        let analysis = self.analysis(&self.plan);
        let of = (&self.experiment, &self.plan);
        let action = step(&analysis, self.now(), of, &self.state, None);
        self.state.looked(&analysis);
        let now = self.now();
        apply(&action, &mut self.experiment, &mut self.state, now).unwrap();
        (analysis, action)
    }
}

#[test]
fn the_same_twice_is_rarely_acted_on_and_every_interval_holds_at_all_looks() {
    let naive = Plan { method: Method::Fixed, units: 1, ..plan() };
    let (mut acted, mut shipped, mut fooled) = (0, 0, 0);
    let mut missed = [0; 3];
    for seed in 0..RUNS {
        let mut shop = Shop::new(SAME, plan(), seed);
        let (mut done, mut holds, mut naive_found) = (false, [true; 3], false);
        for _ in 0..LOOKS {
            shop.live(UNITS_PER_LOOK);
            let fixed = shop.analysis(&naive);
            naive_found |= fixed.metrics[0].effects[0].outcome != Outcome::Unclear;
            // What is done would change the world; only the first time counts.
            let (analysis, action) =
                if done { (shop.analysis(&shop.plan), Action::None) } else { shop.act() };
            done |= matches!(action, Action::Ship { .. } | Action::RollBack { .. });
            shipped += u64::from(matches!(action, Action::Ship { .. }));
            assert!(!analysis.health.blocks(), "{:?}", analysis.health);
            for (holds, metric) in holds.iter_mut().zip(&analysis.metrics) {
                if let Some([low, high]) = metric.effects[0].interval {
                    *holds &= low.is_none_or(|low| low <= 0.0) && high.is_none_or(|it| it >= 0.0);
                }
            }
            if done {
                break;
            }
        }
        acted += u64::from(done);
        fooled += u64::from(naive_found);
        missed.iter_mut().zip(holds).for_each(|(missed, holds)| *missed += u64::from(!holds));
    }
    let share = |count: u64| count as f64 / RUNS as f64;
    println!("acted {acted}, shipped {shipped}, fooled {fooled}, missed {missed:?} of {RUNS}");
    assert!(share(acted) <= 0.05, "automation acted on {acted} of {RUNS}");
    assert!(share(shipped) <= 0.025, "automation shipped {shipped} of {RUNS}");
    assert!(missed.into_iter().all(|missed| share(missed) <= 0.05), "{missed:?} of {RUNS}");
    assert!(share(fooled) > 0.1, "a fixed test, looked at again and again: {fooled}");
}

#[test]
fn what_is_worse_is_never_shipped_and_what_fails_is_taken_back() {
    let worse = Truth { buys: 0.7, spends: 0.9, ..SAME };
    for seed in 0..100 {
        let mut shop = Shop::new(worse, plan(), 10_000 + seed);
        for _ in 0..LOOKS {
            shop.live(UNITS_PER_LOOK);
            let (_, action) = shop.act();
            assert!(!matches!(action, Action::Ship { .. }), "{action:?}");
        }
    }
    let failing = Truth { fails: 0.5, ..SAME };
    for seed in 0..50 {
        let mut shop = Shop::new(failing, plan(), 20_000 + seed);
        let back = (0..LOOKS).find_map(|_| {
            shop.live(UNITS_PER_LOOK);
            Some(shop.act().1).filter(Action::changes)
        });
        let Some(Action::RollBack { variant, reason }) = back else { panic!("{back:?}") };
        assert!(variant == "new" && reason.contains("error-rate"), "{reason}");
        assert_eq!(shop.experiment.phases.last().unwrap().shares(), [1.0, 0.0]);
    }
}

#[test]
fn what_is_better_is_shipped_with_a_group_that_is_held_back() {
    let better = Truth { buys: 2.2, ..SAME };
    let mut shipped = 0;
    for seed in 0..40 {
        let mut shop = Shop::new(better, plan(), 30_000 + seed);
        let found = (0..LOOKS).find_map(|_| {
            shop.live(UNITS_PER_LOOK);
            Some(shop.act().1).filter(Action::changes)
        });
        let Some(action) = found else { continue };
        assert!(matches!(action, Action::Ship { .. }), "{action:?}");
        let shares = shop.experiment.phases.last().unwrap().shares();
        assert!((shares[1] - 0.9).abs() < 1e-6, "{shares:?}");
        shipped += 1;
    }
    assert!(shipped >= 36, "{shipped} of 40");
}

#[test]
fn strata_and_covariates_narrow_what_is_seen() {
    let (mut stratified, mut plain) = (0.0, 0.0);
    for seed in 0..20 {
        let mut shop = Shop::new(SAME, plan(), 40_000 + seed);
        shop.live(2_000);
        let error = |plan: &Plan| shop.analysis(plan).metrics[0].effects[0].standard_error.unwrap();
        stratified += error(&plan());
        plain += error(&Plan { stratify: None, ..plan() });
        let analysis = shop.analysis(&plan());
        assert!(analysis.metrics[1].effects[0].variance_reduction.unwrap() > 0.0);
        // A ratio within strata would be another one.
        assert_eq!(analysis.metrics[2].effects[0].variance_reduction, None);
    }
    assert!(stratified < plain, "{stratified} {plain}");
}

#[test]
fn a_cap_that_is_a_percentile_hides_the_metric_until_it_is_known() {
    let mut shop = Shop::new(SAME, Plan::default(), 5);
    let revenue =
        |cap| MetricKind::Revenue { event: "buy".to_owned(), cap, percentile: Some(900_000) };
    shop.metrics[1].1 = spec("spent", revenue(TOTAL_MAX), 0);
    let mut measured = definition(&shop.experiment, &shop.metrics, None).unwrap();
    let define = |store: &mut Ledger, definition: &Definition| {
        let text = serde_json::to_string(definition).unwrap();
        store.apply(store.position(), START as i64 * 1_000, &Entry::Define(&text));
    };
    shop.store = Ledger::new(Settings { shards: 1, ..Settings::default() });
    define(&mut shop.store, &measured);
    shop.live(1_000);
    let hidden = shop.analysis(&shop.plan).metrics[1].clone();
    assert_eq!((hidden.cap, hidden.effects[0].value), (None, None));
    assert!(hidden.effects[0].note.as_ref().unwrap().contains("its cap"), "{hidden:?}");
    let mut totals = shop.store.unit_totals("shop", "spent", i64::MAX).unwrap();
    assert_eq!(shop.store.unit_totals("shop", "spent", 0), Some(Vec::new()));
    let cap = stats::experiment::cap::percentile(&totals, 0.9, true).unwrap().unwrap();
    let at = measured.metrics.iter().position(|metric| metric.name == "spent").unwrap();
    let capped = measured.metrics[at].capped_at(cap);
    measured.metrics[at] = capped;
    define(&mut shop.store, &measured);
    let shown = shop.analysis(&shop.plan).metrics[1].clone();
    assert_eq!(shown.cap, Some(cap as f64 / 1e6));
    totals.iter_mut().for_each(|total| *total = (*total).min(cap));
    let [treatment, control] = shown.effects[0].units.map(|units| units as f64);
    let (value, base) = (shown.effects[0].value.unwrap(), shown.effects[0].control.unwrap());
    let all = totals.iter().sum::<i64>() as f64 / 1e6;
    assert!(((value * treatment + base * control) / all - 1.0).abs() < 1e-9);
    // Once taken, it is kept.
    let again = definition(&shop.experiment, &shop.metrics, Some(&measured)).unwrap();
    assert_eq!(again, measured);
}

#[test]
fn an_effect_that_wears_off_shows_by_days_since_exposure() {
    let mut shop = Shop::new(SAME, Plan::default(), 6);
    shop.metrics[0].1 = spec("clicks", MetricKind::Count { event: "click".to_owned() }, 0);
    let measured = definition(&shop.experiment, &shop.metrics, None).unwrap();
    let text = serde_json::to_string(&measured).unwrap();
    shop.store = Ledger::new(Settings { shards: 2, ..Settings::default() });
    let start_us = START as i64 * 1_000;
    shop.store.apply(0, start_us, &Entry::Define(&text));
    let names: Vec<String> = (0..1_200).map(|number| format!("u{number}")).collect();
    let mut records = Vec::new();
    for (name, number) in names.iter().zip(0_u16..) {
        let (variant, attributes) = (number % 2, Attributes::default());
        records.push(Record::Exposure(Exposure {
            experiment: "shop",
            unit: name,
            variant,
            phase: 0,
            time_us: start_us,
            attributes,
        }));
        for day in 0..3 {
            // New things are clicked on, on the first day.
            let share = if variant == 1 && day == 0 { 0.8 } else { 0.4 };
            if shop.draws.random::<f64>() < share {
                let time_us = start_us + day * DAY_US + 1;
                let (name, unit) = ("click", name.as_str());
                records.push(Record::Event(Event {
                    unit,
                    name,
                    value: 0,
                    time_us,
                    event_id: None,
                }));
            }
        }
    }
    shop.store.apply(1, start_us + 10 * DAY_US, &Entry::Batch { id: None, records });
    shop.units = 10 * DAY / 60_000;
    let days = shop.analysis(&Plan::default()).novelty;
    let ends: Vec<[f64; 2]> =
        days.iter().map(|day| day.lift_interval.unwrap().map(Option::unwrap)).collect();
    assert_eq!(days.iter().map(|day| day.day).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(ends[0][0] > 0.5 && days[0].lift.unwrap() < 1.5, "{ends:?}");
    assert!(ends[1..].iter().all(|[low, high]| *low < 0.0 && *high > 0.0), "{ends:?}");
}

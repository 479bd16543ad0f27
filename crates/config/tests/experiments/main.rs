//! Experiments in gateway files, and those of other systems. The report about a broken file stands
//! beside it; `TIDEGATE_BLESS=1 cargo test -p config --test experiments` writes it anew.

mod told;

use std::fs;
use std::path::{Path, PathBuf};

use config::experiment::import::{ImportOptions, Imported, System, import};
use config::{Look, parse_experiments, parse_gateway, read_experiments, read_joining_experiments};
use experiment::analysis::{Correction, Method, Mode, Rule, Spending};
use experiment::automation::Declared;
use experiment::ledger::{DAY_US, Dimension, MetricKind};
use experiment::live::params::{BearerKey, ServiceParams};
use experiment::metric::{Better, Measure};
use experiment::model::{
    Action, DecisionAction, Experiment, Identity, Share, Source, Status, validate,
};
use experiment::targeting::{Condition, Field, Test};
use policy::assign::HashVersion;

fn ok(name: &str) -> (ServiceParams, Declared) {
    let path = PathBuf::from("tests/experiments/ok").join(name).with_extension("toml");
    read_experiments(&path).unwrap_or_else(|errors| panic!("{errors}")).unwrap()
}

fn find<'a>(declared: &'a Declared, key: &str) -> &'a Experiment {
    declared.set.experiments.iter().find(|it| it.key == key).unwrap()
}

#[test]
fn the_contract_example_reads_as_written() {
    let (service, declared) = ok("contract");
    assert_eq!(service.address.to_string(), config::EXPERIMENTS_ADDRESS);
    assert!(service.data.ends_with(config::EXPERIMENTS_DATA));
    let checkout = find(&declared, "checkout");
    assert_eq!((checkout.status, checkout.coverage), (Status::Running, Share::ALL));
    assert_eq!(checkout.unit.device, Some(Source::Cookie("uid".into())));
    assert!(checkout.unit.create);
    let path = |is| Condition::Match { field: Field::Path, is, ignore_case: false };
    let below = [Test::Eq("/checkout".into()), Test::Prefix("/checkout/".into())].map(path);
    assert_eq!(checkout.targeting, Some(Condition::Any(below.into())), "as routes have it");
    assert_eq!(checkout.primary.as_deref(), Some("purchase-rate"));
    assert_eq!(checkout.guardrails, ["p95-latency", "error-rate"]);
    let keys: Vec<_> = checkout.variants.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["control", "new"], "in the order of the file");
    assert_eq!(checkout.variants[1].actions, [Action::Upstream("shop-v2".into())]);
    assert_eq!(checkout.phases[0].weights, [1, 1]);
    let metric = &declared.metrics[0];
    let expected = Measure::Events {
        kind: MetricKind::Conversion { event: "purchase".into() },
        delay_us: 0,
        window_us: 7 * DAY_US,
        lookback_us: 0,
    };
    assert_eq!((&metric.measure, metric.better, metric.margin), (&expected, Better::Higher, 0.05));
}

/// Experiments that join those of a gateway are served by its upstreams, not by their own file's.
#[test]
fn upstreams_are_those_of_the_gateway() {
    let path = Path::new("tests/experiments/ok/contract.toml");
    let read = |names: Option<&[String]>| read_joining_experiments(path, names);
    assert!(read(None).is_ok());
    assert!(read(Some(&["shop-v2".to_owned()])).is_ok());
    let errors = read(Some(&["shop".to_owned()])).unwrap_err().render(Look::Plain);
    assert!(errors.contains("there is no upstream `shop-v2`"), "{errors}");
}

#[test]
fn everything_that_can_be_said_is_understood() {
    let (service, declared) = ok("everything");
    assert_eq!(validate(&declared.set), []);
    assert_eq!(service.data, Path::new("tests/experiments/ok/state"));
    assert_eq!(service.country_header.as_deref(), Some("x-country"));
    assert_eq!(service.act_every, std::time::Duration::from_secs(2));
    assert_eq!(service.bearer_keys, [BearerKey::Hs256("0123456789abcdef".into())]);
    assert_eq!((service.limits.body_bytes, service.limits.streams), (2 << 20, 4));
    assert_eq!(service.cookie.max_age.as_secs(), 30 * 86_400);
    let price = find(&declared, "price");
    assert_eq!((price.status, price.unit.identity), (Status::Draft, Identity::Linked));
    assert_eq!(price.layers[0].ranges.len(), 2);
    assert_eq!(price.prerequisites[0].variants, ["new"]);
    assert_eq!(price.schedule.start, Some(1_767_571_200_000));
    assert_eq!(price.sticky.unwrap().version, 2);
    assert_eq!(price.overrides[0].variant, "with-tax");
    let Some(Condition::All(parts)) = &price.targeting else { panic!("{:?}", price.targeting) };
    assert_eq!(parts.len(), 12);
    assert_eq!(price.phases[0].weights, [3, 1]);
    assert_eq!(price.variants[1].actions.len(), 4);
    let Some(Action::Value(value)) = price.variants[1].actions.last() else { panic!("a value") };
    assert_eq!(value.to_string(), r#"{"tax":true,"rate":0.19,"note":"x"}"#);
    let policy = &price.policy;
    assert_eq!((policy.min_days, policy.min_units, policy.alpha), (21, 500, 0.01));
    assert_eq!((policy.action, policy.hold_back.ppm()), (DecisionAction::Auto, 50_000));
    let plan = |key: &str| declared.plans.iter().find(|it| it.0 == key).unwrap().1.clone();
    let price = plan("price");
    assert_eq!((price.units, price.step_ms, price.ramp_up), (40_000, 7_200_000, true));
    assert_eq!(price.method, Method::GroupSequential { looks: 8, spending: Spending::Pocock });
    assert_eq!((price.correction, price.rule), (Correction::Holm, Rule::NonInferior));
    assert_eq!(price.stratify, Some(Dimension::Country));
    assert_eq!(plan("checkout").mode, Mode::Bandit { floor: 0.1 });
    assert_eq!(plan("checkout").rule, Rule::ExpectedLoss { relative: 0.001 });
    assert_eq!((plan("moved").mode, plan("moved").method), (Mode::AA, Method::Fixed));
    let moved = find(&declared, "moved");
    assert_eq!(moved.hash, HashVersion::Growthbook2);
    assert_eq!(moved.phases[0].ranges, [[[0.0, 0.25]], [[0.5, 0.75]]]);
    let metric = |name: &str| declared.metrics.iter().find(|it| it.name == name).unwrap();
    assert_eq!(metric("slow").measure, Measure::Latency { ppm: 990_000 });
    assert_eq!(metric("errors").margin, 0.5);
    assert!(matches!(
        metric("revenue").measure,
        Measure::Events {
            kind: MetricKind::Revenue { cap: 500_000_000, percentile: None, .. },
            ..
        }
    ));
    let takings = metric("takings").counted().unwrap();
    assert_eq!(takings.open_cap(), Some(995_000));
}

#[test]
fn the_gateways_reader_leaves_these_tables_alone() {
    let text = fs::read_to_string("tests/experiments/ok/contract.toml").unwrap();
    let text = format!(
        "[listen.web]\naddress = \"127.0.0.1:0\"\n[route.all]\nupstream = \"shop-v2\"\n{text}"
    );
    parse_gateway("g.toml", &text, Path::new("")).unwrap_or_else(|errors| panic!("{errors}"));
    let none = fs::read_to_string("tests/experiments/ok/none.toml").unwrap();
    assert!(parse_experiments("n.toml", &none, Path::new("")).unwrap().is_none());
}

#[test]
fn the_examples_of_the_documents_can_be_used() {
    let pages = [
        include_str!("../../../../docs/guide/experiments.md"),
        include_str!("../../../../docs/reference/experiments.md"),
    ];
    for page in pages {
        let example = page.split("```toml\n").nth(1).and_then(|it| it.split("```").next()).unwrap();
        // The upstream of the reference's example is not shown there.
        let upstream = "[upstream.shop-v2]\nservers = [\"127.0.0.1:9002\"]\n";
        let example = if example.contains(upstream) {
            example.to_owned()
        } else {
            format!("{upstream}{example}")
        };
        let read = parse_experiments("page.toml", &example, Path::new(""));
        assert_eq!(read.unwrap_or_else(|errors| panic!("{errors}")).unwrap().1.plans.len(), 1);
    }
}

#[test]
fn every_broken_file_gets_its_whole_report() {
    let mut differing = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir("tests/experiments/bad").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        count += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let errors = parse_experiments(name, &text, Path::new("tests")).err();
        let report = errors.unwrap_or_else(|| panic!("{name} is accepted")).render(Look::Plain);
        let expected = path.with_extension("stderr");
        if std::env::var_os("TIDEGATE_BLESS").is_some() {
            fs::write(&expected, &report).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if report != expected {
            differing.push(format!("{name}\n--- expected\n{expected}\n--- got\n{report}"));
        }
    }
    assert!(count >= 4);
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

fn imported(system: System, name: &str) -> Imported {
    let text = fs::read_to_string(format!("tests/experiments/import/{name}.json")).unwrap();
    let value = serde_json::from_str(&text).unwrap();
    let imported = import(system, &value, &ImportOptions::default()).unwrap();
    assert_eq!(validate(&imported.declared.set), []);
    let drafts = imported.declared.set.experiments.iter();
    assert!(drafts.clone().all(|it| it.status == Status::Draft));
    imported
}

#[test]
fn growthbooks_experiments_keep_their_hash() {
    let imported = imported(System::Growthbook, "growthbook");
    let keys: Vec<_> = imported.declared.set.experiments.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["checkout-test", "price", "odd-key"]);
    let test = find(&imported.declared, "checkout-test");
    assert_eq!((test.hash, test.coverage.ppm()), (HashVersion::Growthbook2, 800_000));
    assert_eq!(test.salts.variant.as_deref(), Some("s1"));
    assert_eq!(test.phases[0].weights, [300_000, 700_000]);
    assert_eq!(test.unit.device, Some(Source::Cookie("deviceId".into())));
    assert_eq!(test.variants[1].key, "treatment");
    assert_eq!(imported.declared.set.layers[0].salt.as_deref(), Some("__ns"));
    assert!(matches!(test.targeting, Some(Condition::Growthbook(_))));
    let odd = find(&imported.declared, "odd-key");
    assert_eq!(odd.salts.variant.as_deref(), Some("odd key"));
    assert_eq!(imported.notes.len(), 3, "{:?}", imported.notes);
}

#[test]
fn unleashs_variants_keep_their_hash() {
    let imported = imported(System::Unleash, "unleash");
    let banner = find(&imported.declared, "banner");
    assert_eq!((banner.hash, banner.coverage.ppm()), (HashVersion::Unleash, 400_000));
    assert_eq!(banner.salts.coverage.as_deref(), Some("group"));
    assert_eq!(banner.salts.variant.as_deref(), Some("banner"));
    assert_eq!(banner.phases[0].weights, [300, 700]);
    assert!(banner.targeting.is_some());
    assert_eq!(imported.declared.set.experiments.len(), 1);
    assert_eq!(imported.notes.len(), 4, "{:?}", imported.notes);
    let depends = "child: left out: it depends on another feature";
    assert!(imported.notes.iter().any(|note| note == depends), "{:?}", imported.notes);
}

#[test]
fn flagds_splits_keep_their_hash() {
    let imported = imported(System::Flagd, "flagd");
    let header = find(&imported.declared, "header");
    assert_eq!((header.hash, &*header.phases[0].weights), (HashVersion::FlagdCbor, &[25, 75][..]));
    assert_eq!(find(&imported.declared, "joined").hash, HashVersion::FlagdString);
    assert_eq!(imported.notes.len(), 2, "{:?}", imported.notes);
    let nothing = import(System::Flagd, &serde_json::json!([]), &ImportOptions::default());
    assert!(nothing.is_err());
}

//! Experiments as text.

use experiment::analysis::{Analysis, Data, Plan, Question, SizeQuestion, analyse, size};
use experiment::automation::{Listed, Stage};
use experiment::ledger::{
    Arm, AuditEntry, Definition, MetricSums, Progress, Summary, TrafficArm, TrafficTotals,
};
use experiment::metric::{MetricSpec, Role};
use experiment::model::{Experiment, Share, Status};
use report::Style;
use report::experiment::{audit_text, list_text, size_text, status_text};
use stats::experiment::Sums;
use stats::experiment::power::Baseline;

const DAY: u64 = 86_400_000;

fn analysis(units: [u64; 2], bought: [i64; 2], failed: [u64; 2]) -> Analysis {
    let experiment: Experiment = serde_json::from_value(serde_json::json!({
        "key": "checkout", "status": "running", "unit": {"device": {"cookie": "uid"}},
        "variants": [{"key": "control"}, {"key": "new"}],
        "phases": [{"since": 20_000 * DAY, "weights": [1, 1]}],
        "primary": "purchase", "guardrails": ["error-rate"],
    }))
    .unwrap();
    let purchase: MetricSpec = serde_json::from_value(serde_json::json!({
        "name": "purchase",
        "measure": {"events": {"kind": {"conversion": {"event": "buy"}}, "window-us": 1_000_000}},
    }))
    .unwrap();
    let mut errors = MetricSpec::built_in("error-rate").unwrap();
    errors.margin = 1.0;
    let metrics = [(Role::Primary, purchase), (Role::Guardrail, errors)];
    let definition = Definition::new(&experiment, vec![metrics[0].1.counted().unwrap()]);
    let arm = |variant: u16| {
        let at = usize::from(variant);
        let sum = i128::from(bought[at]);
        let sums = Sums { units: units[at], sums: [sum, 0], products: [[sum, 0], [0, 0]] };
        Arm { phase: 0, variant, units: units[at], metrics: vec![MetricSums::Single(sums)] }
    };
    let traffic = |variant: u16| {
        let at = usize::from(variant);
        let totals = TrafficTotals {
            requests: units[at] * 2,
            errors: failed[at],
            ..TrafficTotals::default()
        };
        TrafficArm { phase: 0, variant, totals }
    };
    let data = Data::of_summary(Summary {
        definition,
        arms: vec![arm(0), arm(1)],
        quarantined: 3,
        traffic: vec![traffic(0), traffic(1)],
        progress: Progress {
            newest_us: Some(20_021 * 86_400_000_000),
            complete_through_us: Some(20_021 * 86_400_000_000),
            final_through_us: None,
        },
    });
    let plan = Plan::default();
    analyse(&Question::new(&experiment, &metrics, &plan, 20_021 * DAY), &data)
}

#[test]
fn the_verdict_comes_first_then_health_then_tables() {
    let text = status_text(&analysis([5_000, 5_040], [500, 650], [900, 910]), Style::default());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "checkout: \"new\" has won: ship it");
    assert!(lines[1].starts_with("  purchase of \"new\": +29.0 %, between "), "{}", lines[1]);
    assert_eq!(lines[3], "Health");
    assert_eq!(lines[4], "  sound");
    assert!(text.contains("  3 units (0.03 %) saw two variants"), "{text}");
    assert!(text.contains("complete through 2024-10-25 00:00:00 UTC"), "{text}");
    let row = lines.iter().find(|line| line.contains("purchase *")).unwrap();
    assert!(row.contains("12.9 %") && row.contains("10.0 %") && row.ends_with("better"), "{row}");
    assert!(row.contains('├') && row.contains('●') && row.contains('│'), "{row}");
    assert!(text.contains("purchase of new: expect about +2"), "{text}");
    let guardrail = lines.iter().find(|line| line.contains("error-rate")).unwrap();
    assert!(guardrail.ends_with("within its margin"), "{guardrail}");
}

#[test]
fn what_is_wrong_is_said_in_the_first_line() {
    let shares = status_text(&analysis([5_000, 4_000], [500, 500], [9, 9]), Style::default());
    assert!(shares.starts_with("checkout: the experiment is not sound"), "{shares}");
    assert!(shares.contains("\n  the variants do not have their shares"), "{shares}");
    assert!(shares.contains("\n  blocks: sample-ratio\n"), "{shares}");
    let harm = status_text(&analysis([5_000, 5_000], [500, 500], [100, 900]), Style::default());
    assert!(harm.starts_with("checkout: \"new\" does harm: take it back"), "{harm}");
    assert!(harm.contains("harmful"), "{harm}");
    let few = status_text(&analysis([50, 50], [5, 5], [1, 1]), Style::default());
    assert!(few.starts_with("checkout: wait: 100 of 10,000 planned units"), "{few}");
    assert!(few.contains("100 are needed"), "{few}");
}

#[test]
fn lists_tell_shares_and_stages() {
    let listed = Listed {
        key: "checkout".into(),
        description: String::new(),
        status: Status::Running,
        stage: Stage::RollingOut { variant: "new".into(), hold_back: Share::NONE },
        variants: vec![("control".into(), 0.25), ("new".into(), 0.75)],
        units: 12_345,
        days: 3.25,
    };
    let text = list_text(&[listed], Style::default());
    assert!(text.contains("running, rolling out new"), "{text}");
    assert!(text.contains("control 25.0 %, new 75.0 %") && text.contains("12,345"), "{text}");
    assert_eq!(list_text(&[], Style::default()), "there are no experiments\n");
    let entry = AuditEntry {
        number: 1,
        time_ms: 0,
        who: "ada\x1b[31m".into(),
        action: "ship".into(),
        subject: "experiment/checkout".into(),
        reason: "it won".into(),
        version: None,
    };
    let text = audit_text(&[entry], Style::default());
    assert!(text.contains("1970-01-01 00:00:00 UTC  ada·[31m  ship  it won"), "{text}");
    assert_eq!(audit_text(&[], Style::default()), "");
}

#[test]
fn a_size_tells_units_days_and_what_each_week_finds() {
    let question = SizeQuestion {
        baseline: Baseline::Proportion { rate: 0.05 },
        lift: 0.1,
        power: 0.8,
        alpha: 0.05,
        method: experiment::analysis::Method::Fixed,
        variants: 2,
        coverage: 1.0,
        new_units_per_day: vec![3_000],
    };
    let text = size_text(&question, &size(&question).unwrap(), Style::default());
    assert!(text.contains("for each of 2 variants), about 21 days: plan 21"), "{text}");
    assert!(text.contains("to find +10.0 % on a rate of 5.00 %"), "{text}");
    assert_eq!(text.lines().count(), 3 + 9, "{text}");
}

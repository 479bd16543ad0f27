//! An answer for tests.

use plan::choose::{Answer, Kind};
use serde_json::{Value, json};

fn policy(controller: Kind, windows: &Value) -> Value {
    json!({
        "controller": controller,
        "parameters": {
            "target-utilisation": 0.7,
            "target-rate-per-instance": 59.5,
            "min": 2,
            "max": 40,
            "scale-down-s": 600,
            "windows": windows,
            "zone": "Europe/Paris",
        },
    })
}

/// Working days from half past six, with a peak until midnight; whole weekends.
pub(super) fn windows() -> Value {
    json!([
        { "days": 31, "start-minute": 390, "end-minute": 1200, "replicas": 8 },
        { "days": 31, "start-minute": 1200, "end-minute": 1440, "replicas": 12 },
        { "days": 96, "start-minute": 0, "end-minute": 1440, "replicas": 5 },
    ])
}

/// `recommended` with [`windows`] where it has a floor, and one policy of every other kind.
pub(super) fn answer(recommended: Kind) -> Answer {
    let of = |kind: Kind| match kind {
        Kind::Keda | Kind::AwsScheduled => policy(kind, &windows()),
        _ => policy(kind, &json!([])),
    };
    let kinds = [Kind::Hpa, Kind::Keda, Kind::Knative, Kind::AwsTargetTracking, Kind::AwsScheduled];
    let trial = json!({
        "summary": "as a line", "policy": of(recommended), "instance-hours": 321.5, "late-ratio": 2e-4,
    });
    let by_hour = |hour: u32| json!({ "hour": hour, "instances": f64::from(2 + hour % 24) });
    let value = json!({
        "schema": "tidegate.plan/1",
        "recommended": of(recommended),
        "gain": "significant",
        "held-out": {
            "instance-hours": 321.5, "late-ratio": 2e-4, "late-ratio-ci": [1e-4, 4e-4],
            "regret": 0.31, "requests": 1e7, "days": 7.0, "monthly-cost": 1234.5, "churn": 88,
            "peak": 17, "meets-objective": true,
            "queue": {
                "late-ratio": 3e-4, "late-by-service": 0.0, "p95-s": 0.21, "p99-s": 0.4,
                "wait-p95-s": 0.01, "wait-p99-s": 0.05, "simulated": 1_000_000,
            },
        },
        "baselines": [
            { "name": "fixed-peak", "instance-hours": 900.0, "late-ratio": 0.0,
              "monthly-cost": 3000.0, "churn": 0 },
            { "name": "hpa-70", "instance-hours": 400.0, "late-ratio": 0.004,
              "monthly-cost": 1500.0, "churn": 99 },
        ],
        "hours": (0..168).map(by_hour).collect::<Vec<_>>(),
        "best": trial,
        "comparison": { "cost-difference-ci": [-0.2, -0.1], "late-difference-ci": [-0.004, -0.003] },
        "second-best": { "trial": trial, "why": "it costs 3.0 % more on the past" },
        "by-controller": kinds.map(of),
        "pareto": [trial],
        "stress": [
            { "name": "load-x1.5", "late-ratio": 0.001, "instance-hours": 480.0,
              "hpa-late-ratio": 0.02, "hpa-instance-hours": 600.0 },
        ],
        "concurrency": {
            "by-littles-law": 8.5, "by-usl": 9.7, "by-objective": null, "knee": 8.0,
            "measured-to": 16.0, "usl-peak-per-s": 91.0, "limit": 9,
            "gateway-max-requests-per-server": 9, "gateway-queue": 76,
            "gateway-queue-timeout-s": 0.9, "usl-r-squared": 0.99,
        },
        "findings": ["only 7.0 days to learn from"],
    });
    serde_json::from_value(value).unwrap()
}

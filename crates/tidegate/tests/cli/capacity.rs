//! `tidegate capacity` against an origin of known size.

use std::time::Duration;

use testkit::origin::{Behaviour, Origin, OriginConfig, Service};

use crate::command::{json_of, tidegate, went_well};

#[test]
fn the_capacity_of_a_known_origin_is_found() {
    // Four servers of 20 ms finish 200 requests a second, whoever asks.
    let service = Service::Fixed(Duration::from_millis(20));
    let origin =
        Origin::start(OriginConfig::new(Behaviour::Queue { servers: 4, service })).unwrap();
    let (code, found) = json_of(&[
        "capacity",
        &origin.url(),
        "--slo",
        "p95<200ms,failures<1%",
        "--trial",
        "1s",
        "--start",
        "50",
        "--trials",
        "14",
    ]);
    assert!(went_well(code), "{found}");
    assert_eq!(found["schema"], "tidegate.capacity/1");
    let rate = found["capacity"]["requests-per-s"].as_f64().unwrap();
    // Short trials on a busy machine: within a fifth of the truth.
    assert!((160.0..=215.0).contains(&rate), "{found}");
    assert_eq!(found["bound-by"], if code == 0 { "target" } else { "generator" });
    assert_eq!(found["slo"], "p95<200ms,failures<1%");
    for key in ["gamma", "sigma", "kappa", "n-star"] {
        assert!(found["usl"][key].is_number(), "{key}");
    }
    for key in ["load", "requests-per-s", "p95-ms", "failures"] {
        assert!(found["trials"][0][key].is_number(), "{key}");
    }
    assert!(found["trials"][0]["met"].is_boolean());
    assert!(found["failed-first"].is_string());
    assert_eq!(found["capacity"]["ci"].as_array().unwrap().len(), 2);
}

#[test]
fn a_target_that_never_meets_the_objective_is_told() {
    let origin = Origin::start(OriginConfig::new(Behaviour::status(500))).unwrap();
    let ran =
        tidegate(&["capacity", &origin.url(), "--slo", "failures<1%", "--quick", "--start", "20"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("failures<1%"), "{}", ran.stdout);
}

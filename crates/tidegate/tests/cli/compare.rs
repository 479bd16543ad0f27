//! `tidegate compare` on run files of real runs.

use std::fs;
use std::time::Duration;

use testkit::origin::{Behaviour, Origin, OriginConfig, Response};

use crate::command::{path, tidegate, went_well};

fn delayed(ms: u64) -> Behaviour {
    Behaviour::Respond(Response { delay: Duration::from_millis(ms), ..Response::default() })
}

#[test]
fn a_slower_run_is_a_regression_and_the_same_run_is_not() {
    let origin = Origin::start(OriginConfig::new(delayed(10))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let record = |name: &str| {
        let ran = tidegate(&[
            "load",
            &origin.url(),
            "--rate",
            "50/s",
            "-t",
            "12s",
            "-q",
            "--save",
            path(&file(name)),
        ]);
        assert!(went_well(ran.code), "{}", ran.stderr);
    };
    record("a.tdg");
    origin.set_route("*", delayed(40));
    record("b.tdg");
    let compare = |a: &str, b: &str| {
        tidegate(&["compare", path(&file(a)), path(&file(b)), "--json", path(&file("c.json"))])
    };
    let worse = compare("a.tdg", "b.tdg");
    assert_eq!(worse.code, 1, "{}{}", worse.stdout, worse.stderr);
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(file("c.json")).unwrap()).unwrap();
    assert_eq!(
        (&json["schema"], &json["verdict"]),
        (&"tidegate.compare/1".into(), &"regression".into())
    );
    assert_eq!(compare("a.tdg", "a.tdg").code, 0);
    assert_eq!(compare("b.tdg", "a.tdg").code, 0);
    fs::write(file("x.tdg"), "not a run").unwrap();
    assert_eq!(compare("a.tdg", "x.tdg").code, 2);
    assert_eq!(compare("a.tdg", "missing.tdg").code, 3);
}

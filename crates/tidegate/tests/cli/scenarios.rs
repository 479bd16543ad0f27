//! Scenario files through the binary.

use std::fs;

use serde_json::json;
use testkit::origin::{Behaviour, Origin, OriginConfig};

use crate::command::{json_of, path, tidegate, went_well};

const CONTRACT: &str = r#"
host = "https://our.platform.com"
wait = { between = ["10ms", "40ms"] }

[[task]]
name = "main page"
weight = 1
get = "/"

[[task]]
name = "log in and look"
weight = 2
[[task.step]]
post = "/login"
form = { user = "{{account.name}}", password = "{{account.password}}" }
expect = { status = 200, json = { "/ok" = true } }
save = { token = { json = "/token" } }
[[task.step]]
get = "/orders?since={{today}}"
headers = { authorization = "Bearer {{token}}" }

[data.account]
csv = "accounts.csv"
pick = "each-once"

[load]
users = 8
spawn-rate = "20/s"
run-time = "2s"

[slo]
p95 = "1s"
failures = "1%"
"#;

#[test]
fn the_scenario_of_the_guide_runs() {
    let login = Behaviour::Json(json!({ "ok": true, "token": "secret-1" }));
    let origin = Origin::start(OriginConfig::new(Behaviour::Echo).route("/login", login)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..5_000).map(|n| format!("user{n},pass word{n}\n")).collect();
    fs::write(folder.path().join("accounts.csv"), format!("name,password\n{rows}")).unwrap();
    let file = folder.path().join("shop.toml");
    fs::write(&file, CONTRACT).unwrap();
    let (code, run) = json_of(&["load", path(&file), "--host", &origin.url()]);
    assert!(went_well(code), "{}", run["errors"]);
    assert_eq!(run["verdict"]["slo"], "met");
    let names: Vec<&str> = run["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"main page"), "{names:?}");
    let mut logins = Vec::new();
    for request in origin.requests() {
        match request.path() {
            "/login" => logins.push(String::from_utf8(request.body.clone()).unwrap()),
            "/orders" => assert_eq!(request.header("authorization"), Some("Bearer secret-1")),
            "/" => assert_eq!(request.method, "GET"),
            other => panic!("{other}"),
        }
    }
    assert!(
        logins[0].starts_with("user=user") && logins[0].contains("&password=pass%20word"),
        "{}",
        logins[0]
    );
    let all = logins.len();
    logins.sort();
    logins.dedup();
    assert_eq!(logins.len(), all, "an account was used twice");
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    fs::write(&file, "host = \"ftp://x\"\n[[task]]\nget = \"/{{tokn}}\"\nwieght = 2\n[load]\nrun-time = \"soon\"\n").unwrap();
    let ran = tidegate(&["load", path(&file)]);
    assert_eq!(ran.code, 2);
    for part in
        ["bad.toml:1:", "bad.toml:3:", "bad.toml:4:", "bad.toml:6:", "weight", "wieght", "soon"]
    {
        assert!(ran.stderr.contains(part), "{part} is not in\n{}", ran.stderr);
    }
}

//! The way of the guide, with the file that stands in it: visitors, events, and every verb.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::origin::{Behaviour, Origin, OriginConfig, Response};

use crate::command::{Ran, path, tidegate};
use crate::shop::Up;

const GUIDE: &str = include_str!("../../../../docs/guide/experiments.md");
/// How long automation may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The shop of the guide in two versions.
struct Site {
    folder: TempDir,
    old: Origin,
    new: Origin,
}

impl Site {
    fn open(status_of_new: u16) -> Site {
        let origin = |status, body: &str| {
            let answer = Response { status, body: body.into(), ..Response::default() };
            Origin::start(OriginConfig::new(Behaviour::Respond(answer))).unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        Site { folder, old: origin(200, "old"), new: origin(status_of_new, "new") }
    }

    /// The guide's file with addresses of this test, and without its two weeks.
    fn file(&self, policy: &str) -> PathBuf {
        let start = GUIDE.find("```toml\n[listen.web]").unwrap() + "```toml\n".len();
        let (text, _) = GUIDE[start..].split_once("```").unwrap();
        let mut text = text.to_owned();
        for (written, own) in [
            ("127.0.0.1:8080", "127.0.0.1:0"),
            ("127.0.0.1:9190", "127.0.0.1:0"),
            ("127.0.0.1:9001", &self.old.addr().to_string()),
            ("127.0.0.1:9002", &self.new.addr().to_string()),
            ("min-run = \"14d\"\nunits = 60000\naction = \"auto\"", policy),
            ("[experiments]", "[experiments]\nact-every = \"1s\""),
        ] {
            assert!(text.contains(written), "{written} is not in\n{text}");
            text = text.replace(written, own);
        }
        let file = self.folder.path().join("tidegate.toml");
        fs::write(&file, text).unwrap();
        file
    }
}

/// New visitors: the cookie and the version that each was shown.
fn visitors(up: &Up, count: usize) -> Vec<(String, String)> {
    let visits = (0..count).map(|_| up.visit("/checkout", ""));
    visits.map(|answer| (answer.cookie("uid").unwrap(), answer.body)).collect()
}

/// Of ten visitors of each version so many buy, and the shop tells.
fn buy(up: &Up, visitors: &[(String, String)], of_old: usize, of_new: usize) {
    let (mut seen, mut events) = ([0; 2], Vec::new());
    for (number, (cookie, version)) in visitors.iter().enumerate() {
        let is_new = usize::from(version == "new");
        seen[is_new] += 1;
        if seen[is_new] % 10 < [of_old, of_new][is_new] {
            let (id, _) = cookie.trim_start_matches("uid=").rsplit_once('.').unwrap();
            let order = format!("order-{number}");
            events.push(json!({"unit": id, "name": "purchase", "value": 19.9, "id": order}));
        }
    }
    let batch = json!({"producer": "shop", "epoch": 1, "sequence": 0, "events": events});
    assert_eq!(up.post("/v1/events", &batch)["status"], "recorded");
}

fn verb(up: &Up, args: &[&str]) -> Ran {
    let api = up.api.to_string();
    tidegate(&[&["experiment", "--api", &api], args].concat())
}

/// What a verb says as JSON, and how it ends.
fn say(up: &Up, args: &[&str], code: i32) -> Value {
    let ran = verb(up, &[args, &["--json"]].concat());
    assert_eq!(ran.code, code, "{args:?}: {}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

fn standing(status: &Value) -> &str {
    status["verdict"]["standing"].as_str().unwrap()
}

fn shares(up: &Up) -> Value {
    say(up, &["list"], 0)[0]["variants"].clone()
}

#[test]
fn from_a_question_to_a_shipped_winner() {
    let site = Site::open(200);
    let up = Up::start(&site.file("min-run = \"0d\"\nunits = 600\naction = \"notify\""));
    let status = say(&up, &["status", "checkout"], 0);
    assert_eq!(standing(&status), "waiting");
    assert!(verb(&up, &["status", "checkout"]).stdout.contains("and is it a browser's?"));
    say(&up, &["decide", "checkout"], 1);
    let refused = verb(&up, &["ship", "checkout", "--json"]);
    assert_eq!(refused.code, 1, "{}", refused.stdout);

    let visitors = visitors(&up, 600);
    buy(&up, &visitors, 3, 6);
    let status = say(&up, &["status", "checkout"], 0);
    assert_eq!((standing(&status), &status["verdict"]["variant"]), ("winner", &json!("new")));
    let units: u64 = status["health"]["arms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arm| arm["units"].as_u64().unwrap())
        .sum();
    assert_eq!(units, 600, "all of them, at once");
    assert!(status["metrics"][0]["effects"][0]["lift-interval"][0].as_f64().unwrap() > 0.0);
    assert_eq!(status["decision"], Value::Null);

    // Decided, taken back, shipped by hand, rolled back, and back again.
    let decided = say(&up, &["decide", "checkout", "--reason", "friday"], 0);
    assert_eq!(decided["action"]["ship"]["variant"], "new");
    assert_eq!(shares(&up), json!([["control", 0.05], ["new", 0.95]]));
    let shipped = say(&up, &["status", "checkout"], 0);
    assert_eq!(standing(&shipped), "rolled-out");
    assert_eq!(standing(&shipped["decision"]), "winner", "what it was shipped upon");
    let text = verb(&up, &["status", "checkout"]).stdout;
    assert!(text.starts_with("checkout: \"new\" is rolled out: 95.0 % of the units get it"));
    assert!(text.contains("Shipped upon") && text.contains("friday: \"new\", 5 % held back"));
    say(&up, &["decide", "checkout"], 0);
    say(&up, &["revert", "checkout"], 0);
    assert_eq!(shares(&up), json!([["control", 0.5], ["new", 0.5]]));
    // Units were moved meanwhile, so the comparison begins anew; whoever knows better says so.
    let refused = verb(&up, &["ship", "checkout", "new", "--hold-back", "10%"]);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("0 of 600 planned units"), "{}", refused.stderr);
    let done = say(&up, &["ship", "checkout", "new", "--hold-back", "10%", "--force"], 0);
    assert_eq!(done["done"], "ship \"new\", 10 % held back");
    assert_eq!(shares(&up), json!([["control", 0.1], ["new", 0.9]]));
    say(&up, &["roll-back", "checkout", "new", "--reason", "support is flooded"], 0);
    assert_eq!(shares(&up), json!([["control", 1.0], ["new", 0.0]]));
    let twice = verb(&up, &["roll-back", "checkout", "new"]);
    assert_eq!(twice.code, 2, "{}", twice.stdout);
    assert!(twice.stderr.contains("nothing to take back"), "{}", twice.stderr);
    // Everybody was moved at once.
    for (cookie, _) in &visitors[..20] {
        assert_eq!(up.visit("/checkout", cookie).body, "old");
    }
    say(&up, &["revert", "checkout"], 0);

    say(&up, &["stop", "checkout", "--pause"], 0);
    let refused = verb(&up, &["ship", "checkout", "new", "--force"]);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("does not run; start it first"), "{}", refused.stderr);
    say(&up, &["start", "checkout"], 0);
    say(&up, &["stop", "checkout"], 0);
    let again = verb(&up, &["start", "checkout"]);
    assert_eq!(again.code, 2, "{}", again.stdout);
    assert!(again.stderr.contains("what is stopped stays stopped"), "{}", again.stderr);
    let status = say(&up, &["status", "checkout"], 0);
    assert_eq!(standing(&status), "idle");
    // Each action has one line of its own, which says of what.
    let audit = status["audit"].as_array().unwrap();
    let lines: Vec<&str> = audit.iter().rev().map(|it| it["action"].as_str().unwrap()).collect();
    assert_eq!(
        lines,
        ["put", "ship", "revert", "ship", "roll-back", "revert", "pause", "start", "stop"]
    );
    assert_eq!(audit[4]["reason"], "\"new\": support is flooded");
    assert_eq!(audit[3]["reason"], "roll-back: no reason was given");
    up.stop();
}

#[test]
fn what_harms_is_taken_back_by_itself() {
    let site = Site::open(500);
    let up = Up::start(&site.file("min-run = \"0d\"\nunits = 600\naction = \"auto\""));
    let visitors = visitors(&up, 300);
    let begun = Instant::now();
    let status = loop {
        let ran = verb(&up, &["status", "checkout", "--json"]);
        let status: Value = serde_json::from_str(&ran.stdout).unwrap();
        if status["audit"][0]["action"] == "roll-back" {
            break status;
        }
        // Harmful until somebody acts.
        assert!([0, 1].contains(&ran.code), "{}", ran.stderr);
        assert!(begun.elapsed() < PATIENCE, "{status}");
    };
    let line = &status["audit"][0];
    assert_eq!(line["who"], "tidegate");
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.contains("guardrail error-rate is worse beyond doubt: 100.0 % instead of 0.0 %"),
        "{reason}"
    );
    assert_eq!(shares(&up), json!([["control", 1.0], ["new", 0.0]]));
    let asked = site.new.count();
    for (cookie, _) in &visitors {
        assert_eq!(up.visit("/checkout", cookie).status, 200);
    }
    assert_eq!(site.new.count(), asked, "nobody is sent there any more");
    up.stop();
}

#[test]
fn what_is_not_sound_is_not_decided() {
    let site = Site::open(200);
    let up = Up::start(&site.file("min-run = \"0d\"\nunits = 600\naction = \"notify\""));
    for batch in 0..5 {
        let exposures: Vec<Value> = (0..1_000)
            .map(|unit| {
                let variant = if unit % 3 == 0 { "control" } else { "new" };
                let unit = format!("u{batch}-{unit}");
                json!({"experiment": "checkout", "unit": unit, "variant": variant})
            })
            .collect();
        up.post("/v1/exposures", &json!({ "exposures": exposures }));
    }
    let status = say(&up, &["status", "checkout"], 4);
    assert_eq!(standing(&status), "invalid");
    say(&up, &["decide", "checkout"], 4);
    assert_eq!(verb(&up, &["ship", "checkout"]).code, 1);
    // Stopping and taking back is always safe.
    say(&up, &["roll-back", "checkout", "new"], 0);
    say(&up, &["stop", "checkout"], 0);
    up.stop();
    assert_eq!(tidegate(&["config", "check", path(&site.file("action = \"auto\""))]).code, 0);
}

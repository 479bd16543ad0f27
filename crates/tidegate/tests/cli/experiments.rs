//! A gateway with experiments, as visitors, applications and operators meet it.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::command::{path, tidegate};
use crate::shop::{Shop, Up};

/// Cookies of visitors and the version that each was served.
fn visitors(up: &Up, count: usize) -> BTreeMap<String, String> {
    let visits = (0..count).map(|_| up.visit("/checkout", ""));
    visits.map(|answer| (answer.cookie("uid").unwrap(), answer.body)).collect()
}

fn recorded(status: &Value) -> u64 {
    status["exposures"]["recorded"].as_u64().unwrap()
}

#[test]
fn visitors_keep_their_version_and_count_once() {
    let shop = Shop::start();
    let up = Up::start(&shop.configure(""));
    let elsewhere = up.visit("/other", "");
    assert_eq!((elsewhere.body.as_str(), elsewhere.cookie("uid")), ("old", None));
    assert_eq!(elsewhere.all("cache-control"), ["public, max-age=60"]);

    let visitors = visitors(&up, 40);
    assert_eq!(visitors.len(), 40, "each has an id of its own");
    let new = visitors.values().filter(|version| *version == "new").count();
    assert!((5..=35).contains(&new), "{new} of 40");
    for (cookie, version) in visitors.iter().chain(&visitors) {
        let answer = up.visit("/checkout", &format!("a=b; {cookie}"));
        assert_eq!((&answer.body, answer.cookie("uid")), (version, None));
        let told: &[&str] = if version == "new" { &["new"] } else { &[] };
        assert_eq!(answer.all("x-version"), told);
        // Our own cache has it by version; nobody behind us may keep it for others.
        assert!(answer.all("cache-status")[0].contains("hit"), "{}", answer.head);
        assert!(answer.all("cache-control").contains(&"private"), "{}", answer.head);
        assert!(answer.all("vary").contains(&"Cookie"), "{}", answer.head);
    }
    let asked: u64 = [&shop.old, &shop.new].iter().map(|origin| origin.count()).sum();
    assert_eq!(asked, 3, "once for each version, once elsewhere");
    up.wait_for("40 visitors", |status| recorded(status) == 40);
    assert_eq!(up.status()["exposures"]["queued"], json!(40));

    let forged = up.visit("/checkout", "uid=me.AAAA");
    assert!(forged.cookie("uid").is_some(), "an id that is not ours is replaced");
    let bot = up.visit_as("Googlebot/2.1", "/checkout", "");
    assert_eq!((bot.body.as_str(), bot.cookie("uid")), ("old", None));
    let injected = up.visit("/checkout?tidegate-variant=%0d%0aX-Evil:%201", "uid=a\u{1}b");
    assert!(injected.all("x-evil").is_empty(), "{}", injected.head);
    up.stop();
}

#[test]
fn a_restart_and_a_crash_keep_everything() {
    let shop = Shop::start();
    let file = shop.configure("sticky = {}");
    let up = Up::start(&file);
    let visitors = visitors(&up, 20);
    up.wait_for("20 visitors", |status| recorded(status) == 20);
    up.stop();

    let up = Up::start(&file);
    for (cookie, version) in &visitors {
        assert_eq!(&up.visit("/checkout", cookie).body, version);
    }
    let events: Vec<Value> = visitors
        .keys()
        .map(|cookie| {
            let id = cookie.trim_start_matches("uid=").rsplit_once('.').unwrap().0;
            json!({ "unit": id, "name": "purchase", "id": "order-1" })
        })
        .collect();
    let batch = json!({ "producer": "shop", "epoch": 0, "sequence": 0, "events": events });
    let answer = up.post("/v1/events", &batch);
    assert_eq!((&answer["status"], &answer["counted"]), (&json!("recorded"), &json!(20)));
    // As if the machine had lost its power.
    up.signal(Signal::KILL);
    drop(up);

    let up = Up::start(&file);
    assert_eq!(up.post("/v1/events", &batch)["status"], json!("duplicate"));
    let again = json!({ "events": events });
    let answer = up.post("/v1/events", &again);
    assert_eq!((&answer["counted"], &answer["duplicate"]), (&json!(0), &json!(20)), "{answer}");
    for (cookie, version) in &visitors {
        assert_eq!(&up.visit("/checkout", cookie).body, version);
    }
    up.stop();
}

#[test]
fn links_show_a_version_and_count_nothing() {
    let shop = Shop::start();
    let up = Up::start(&shop.configure(""));
    let link = up.post("/v1/links", &json!({ "experiment": "checkout", "variant": "new" }));
    let query = link["query"].as_str().unwrap();
    let first = up.visit(&format!("/checkout?{query}"), "");
    assert_eq!(first.body, "new");
    let kept = first.cookie("tidegate-variant").unwrap();
    let uid = first.cookie("uid").unwrap();
    let answer = up.visit("/checkout", &format!("{uid}; {kept}"));
    assert_eq!(answer.body, "new");
    let forged = query.replace("new", "control");
    let answer = up.visit(&format!("/checkout?{forged}"), &uid);
    assert!(answer.cookie("tidegate-variant").is_none());
    // The only one who counts is whoever came without a link that holds.
    up.wait_for("one visitor", |status| recorded(status) == 1);
    assert_eq!(up.status()["exposures"]["queued"], json!(1));
    up.stop();
}

#[test]
fn a_configuration_is_read_again() {
    let shop = Shop::start();
    let up = Up::start(&shop.configure(""));
    let version = up.status()["version"].clone();
    shop.configure("description = \"what it is about\"");
    up.signal(Signal::HUP);
    up.wait_for("another version", |status| status["version"] != version);
    shop.configure("coverage = \"200%\"");
    up.signal(Signal::HUP);
    let after = up.status()["version"].clone();
    assert_eq!(up.visit("/checkout", "").status, 200);
    assert_eq!(up.status()["version"], after, "what is wrong is not taken");
    up.stop();
}

#[test]
fn what_cannot_be_is_said() {
    let shop = Shop::start();
    let file = shop.configure("primary = \"other\"");
    let ran = tidegate(&["up", "--config", path(&file)]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let text = fs::read_to_string(shop.configure("")).unwrap();
    fs::write(&file, text.replace("upstream = \"new\"", "upstream = \"nowhere\"")).unwrap();
    let ran = tidegate(&["up", "--config", path(&file)]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("nowhere"), "{}", ran.stderr);
    let first = Up::start(&shop.configure(""));
    let ran = tidegate(&["up", "--config", path(&file)]);
    assert_eq!(ran.code, 3, "two processes on one folder: {}", ran.stderr);
    first.stop();
}

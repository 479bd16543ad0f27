//! What always holds for the units of an experiment in the gateway.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::origin::{Behaviour, Origin, OriginConfig, Response};

use crate::command::{path, tidegate};
use crate::experiments_hostile::counted;
use crate::shop::{Answer, BROWSER, Shop, Up, ask};

/// A page that caches may keep, and that tries to set a cookie.
fn page(text: &str) -> Behaviour {
    let fields = [("cache-control", "public, max-age=60"), ("set-cookie", "of=origin")];
    let headers = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Behaviour::Respond(Response { headers, body: text.into(), ..Response::default() })
}

/// A configuration whose experiment is about the users that a header names.
pub(crate) fn configure(shop: &Shop, servers: &str, route: &str, experiment: &str) -> PathBuf {
    let text = format!(
        r#"
[listen.web]
address = "127.0.0.1:0"
[upstream.old]
servers = {servers}
[route.all]
match = {{ path-prefix = "/" }}
upstream = "old"
{route}
[experiments]
address = "127.0.0.1:0"
data = "data"
[metric.purchases]
kind = "conversion"
event = "purchase"
window = "7d"
[experiment.checkout]
unit = {{ header = "x-user" }}
primary = "purchases"
{experiment}
"#
    );
    fs::write(shop.file(), text).unwrap();
    shop.file()
}

pub(crate) const TWO: &str = "[experiment.checkout.variant.control]\n\
                   [experiment.checkout.variant.new]\nresponse-header = { X-Version = \"new\" }\n";

pub(crate) fn visit(up: &Up, path: &str, user: &str, fields: &str) -> Answer {
    let fields = format!("User-Agent: {BROWSER}\r\nX-User: {user}\r\n{fields}");
    ask(up.web, &format!("GET {path}"), &fields, "")
}

pub(crate) fn version(answer: &Answer) -> &str {
    answer.all("x-version").first().copied().unwrap_or("control")
}

/// What the API says of users.
pub(crate) fn decided(up: &Up, users: impl Iterator<Item = String>) -> BTreeMap<String, String> {
    let decide = |user: String| {
        let decisions = up.post("/v1/decide", &json!({ "unit": user }));
        let variant = decisions["decisions"][0]["variant"].as_str().unwrap().to_owned();
        (user, variant)
    };
    users.map(decide).collect()
}

/// Every kind of treatment, with a cache in front of all: each user gets their own version, from the
/// cache too, and each version is fetched once.
#[test]
fn a_stored_page_of_one_version_is_never_served_for_another() {
    let shop = Shop::start();
    let old = OriginConfig::default().route("/a/x", page("plain")).route("/b/x", page("rewritten"));
    let old = Origin::start(old).unwrap();
    let variants = r#"
[experiment.checkout.variant.control]
[experiment.checkout.variant.header]
response-header = { X-Version = "header" }
[experiment.checkout.variant.rewrite]
path-rewrite = { prefix = "/a", replacement = "/b" }
[experiment.checkout.variant.redirect]
redirect = "/elsewhere"
"#;
    let servers = format!("[\"{}\"]", old.addr());
    let route = "cache = { max-bytes = \"1MiB\", store-set-cookie = true }";
    let up = Up::start(&configure(&shop, &servers, route, variants));
    let users = decided(&up, (0..60).map(|number| format!("user-{number}")));
    for round in 0..3 {
        for (user, variant) in &users {
            let answer = visit(&up, "/a/x", user, "");
            let (status, body, header) = match variant.as_str() {
                "control" => (200, "plain", None),
                "header" => (200, "plain", Some("header")),
                "rewrite" => (200, "rewritten", None),
                _ => (302, "", None),
            };
            assert_eq!(answer.status, status, "{user} {variant}");
            assert_eq!(answer.all("x-version").first().copied(), header, "{user} {variant}");
            if status == 302 {
                assert_eq!(answer.all("location"), ["/elsewhere"]);
                continue;
            }
            assert_eq!(answer.body, body, "{user} {variant}");
            assert!(answer.all("cache-control").contains(&"private"), "{}", answer.head);
            if round > 0 {
                assert!(answer.all("cache-status")[0].contains("hit"), "{}", answer.head);
                assert!(answer.all("set-cookie").is_empty(), "{}", answer.head);
            }
        }
    }
    // Nobody in particular has the page of nobody in particular.
    let plain = ask(up.web, "GET /a/x", &format!("User-Agent: {BROWSER}\r\n"), "");
    assert_eq!((plain.status, plain.body.as_str(), version(&plain)), (200, "plain", "control"));
    assert_eq!(old.count(), 4, "once for each of three versions, once for nobody");
    let mut found: Vec<&str> = users.values().map(String::as_str).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, ["control", "header", "redirect", "rewrite"]);
    up.wait_for("each once", |status| status["exposures"]["recorded"] == json!(60));
    assert_eq!(counted(&up, ""), [60, 0, 0]);
    up.stop();
}

/// A server that is not there, and pages of several parts: the same version throughout, counted once.
#[test]
fn the_version_stays_through_retries_and_parts_of_a_page() {
    let shop = Shop::start();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let echo = Origin::start(OriginConfig::new(Behaviour::Echo)).unwrap();
    let retry = "retry = { attempts = 2, on = [\"connect\"], budget = \"100%\" }";
    let servers = format!("[\"{gone}\", \"{}\"]\n{retry}", echo.addr());
    let variants = "[experiment.checkout.variant.control]\nrequest-header = { X-Asked = \"control\" }\n\
                    [experiment.checkout.variant.new]\nrequest-header = { X-Asked = \"new\" }\n";
    let up = Up::start(&configure(&shop, &servers, "", variants));
    let users = decided(&up, (0..20).map(|number| format!("user-{number}")));
    for (user, variant) in &users {
        for path in ["/", "/style.css", "/api/cart?x=1"] {
            // Whoever asks cannot choose.
            let answer = visit(&up, path, user, "X-Asked: other\r\n");
            assert_eq!(answer.status, 200, "{}", answer.body);
            let asked = format!(r#"["x-asked","{variant}"]"#);
            let body = answer.body.to_lowercase();
            assert!(body.contains(&asked) && !body.contains("other"), "{user}: {}", answer.body);
        }
    }
    up.wait_for("each once", |status| status["exposures"]["recorded"] == json!(20));
    assert_eq!(up.status()["exposures"]["queued"], json!(20));
    assert_eq!(counted(&up, ""), [20, 0, 0]);
    up.stop();
}

#[test]
fn programs_fetches_ahead_and_links_of_testers_never_count() {
    let shop = Shop::start();
    let servers = format!("[\"{}\"]", shop.old.addr());
    let up = Up::start(&configure(
        &shop,
        &servers,
        "",
        &format!("overrides = {{ boss = \"new\" }}\n{TWO}"),
    ));
    let link = up.post("/v1/links", &json!({ "experiment": "checkout", "variant": "new" }));
    let query = link["query"].as_str().unwrap();
    for (user, agent) in [("b1", "Googlebot/2.1"), ("b2", "curl/8.5.0"), ("b3", "HeadlessChrome")] {
        let fields = format!("User-Agent: {agent}\r\nX-User: {user}\r\n");
        assert_eq!(ask(up.web, "GET /", &fields, "").status, 200);
    }
    for (user, ahead) in [
        ("p1", "Sec-Purpose: prefetch"),
        ("p2", "Sec-Purpose: prefetch;prerender"),
        ("p3", "Purpose: prefetch"),
        ("p4", "X-Moz: prefetch"),
    ] {
        assert_eq!(visit(&up, "/", user, &format!("{ahead}\r\n")).status, 200);
    }
    assert_eq!(version(&visit(&up, &format!("/?{query}"), "tester", "")), "new");
    assert_eq!(version(&visit(&up, "/", "boss", "")), "new");
    visit(&up, "/", "visitor", "");
    up.wait_for("the visitor", |status| status["exposures"]["recorded"] == json!(1));
    assert_eq!(up.status()["exposures"]["queued"], json!(1));
    assert_eq!(counted(&up, ""), [1, 0, 0]);
    up.stop();
}

/// Other weights move units. Those who saw two versions count nowhere, and are counted as such.
#[test]
fn whoever_saw_two_versions_is_taken_out() {
    let shop = Shop::start();
    let servers = format!("[\"{}\"]", shop.old.addr());
    let weighted = |control: u32| {
        format!(
            "[experiment.checkout.variant.control]\nweight = {control}\n\
             [experiment.checkout.variant.new]\nweight = 1\n\
             response-header = {{ X-Version = \"new\" }}\n"
        )
    };
    let up = Up::start(&configure(&shop, &servers, "", &weighted(1)));
    let users: Vec<String> = (0..60).map(|number| format!("user-{number}")).collect();
    let serve = |up: &Up| -> Vec<String> {
        users.iter().map(|user| version(&visit(up, "/", user, "")).to_owned()).collect()
    };
    let before = serve(&up);
    let known = up.status()["version"].clone();
    configure(&shop, &servers, "", &weighted(4));
    up.signal(Signal::HUP);
    up.wait_for("the other weights", |status| status["version"] != known);
    let after = serve(&up);
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count() as u64;
    assert!(moved > 0, "somebody moves");
    // Everybody is told of again in a new phase.
    up.wait_for("all", |status| status["exposures"]["recorded"] == json!(120));
    assert_eq!(counted(&up, ""), [60 - moved, moved, 0]);
    // And it does not matter how often they come.
    assert_eq!(serve(&up), after);
    assert_eq!(counted(&up, ""), [60 - moved, moved, 0]);
    up.stop();
}

/// Experiments come and change while requests are under way: none of them fails.
#[test]
fn reloads_under_load_fail_nobody() {
    let shop = Shop::start();
    let servers = format!("[\"{}\"]", shop.old.addr());
    let up = Up::start(&configure(&shop, &servers, "", TWO));
    let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    /// Also when the test fails.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    std::thread::scope(|scope| {
        let _end = End(&over);
        for thread in 0..3 {
            let (up, over, served) = (&up, &over, &served);
            scope.spawn(move || {
                for number in 0_u64.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let answer = visit(up, "/", &format!("user-{thread}-{number}"), "");
                    assert_eq!((answer.status, answer.body.as_str()), (200, "old"));
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..8 {
            let more = format!(
                "{TWO}[experiment.more-{round}]\nunit = {{ header = \"x-user\" }}\n\
                 [experiment.more-{round}.variant.a]\n[experiment.more-{round}.variant.b]\n\
                 response-header = {{ X-More-{round} = \"b\" }}\n"
            );
            let version = up.status()["version"].clone();
            configure(&shop, &servers, "", &more);
            up.signal(Signal::HUP);
            up.wait_for("the new experiment", |status| status["version"] != version);
            let before = served.load(Ordering::Relaxed);
            let header = format!("x-more-{round}");
            let is_served = |number: u64| {
                !visit(&up, "/", &format!("late-{number}"), "").all(&header).is_empty()
            };
            assert!((0..100).any(is_served), "{header}");
            up.wait_for("the load goes on", |_| served.load(Ordering::Relaxed) > before);
        }
    });
    up.stop();
}

/// On one route, half of the visitors of one version are lost before they are counted: the alarm
/// names the route.
#[test]
fn a_mismatch_is_traced_to_its_route() {
    let shop = Shop::start();
    let servers = format!("[\"{}\"]", shop.old.addr());
    let route = "[route.cart]\nmatch = { path-prefix = \"/cart\" }\nupstream = \"old\"\n";
    let up = Up::start(&configure(&shop, &servers, route, TWO));
    let mut counted = 0;
    for (user, variant) in decided(&up, (0..800).map(|number| format!("user-{number}"))) {
        visit(&up, "/", &format!("other-{user}"), "");
        counted += 1;
        if variant == "control" {
            visit(&up, "/cart", &user, "");
            counted += 1;
        }
    }
    up.wait_for("all", |status| status["exposures"]["recorded"] == json!(counted));
    let shown = up.post("/v1/experiments", &json!({ "status": { "experiment": "checkout" } }));
    let ratio = &shown["shown"]["analysis"]["health"]["ratio"];
    assert_eq!(ratio["alarm"], json!(true), "{ratio}");
    let cause = &ratio["causes"][0];
    assert_eq!(
        (&cause["dimension"], &cause["segment"]),
        (&json!("route"), &json!("cart")),
        "{ratio}"
    );
    up.stop();
}

/// Without running: what is wrong is told with its place, and what a request would get.
#[test]
fn configurations_with_experiments_are_checked_and_explained() {
    let shop = Shop::start();
    let servers = "[\"127.0.0.1:9\"]";
    let file = configure(&shop, servers, "cache = true", TWO);
    let ran = tidegate(&["config", "check", path(&file)]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("1 experiments, 1 metrics"), "{}", ran.stdout);
    let agent = &format!("user-agent: {BROWSER}");
    let explain = |url: &str, field: &str| {
        let ran =
            tidegate(&["config", "explain", path(&file), "GET", url, "-H", field, "-H", agent]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    };
    let found = (0..20).any(|number| {
        explain("http://shop.example/", &format!("x-user: u{number}"))
            .contains("`checkout`: variant `new` (split), part of the cache key")
    });
    assert!(found);
    let told = explain("http://shop.example/", "a: b");
    assert!(told.contains("the request has no unit"), "{told}");
    configure(&shop, servers, "", &format!("match = {{ path-prefix = \"/a\" }}\n{TWO}"));
    let told = explain("http://shop.example/b", "x-user: u");
    assert!(told.contains("`checkout` is not for this request"), "{told}");
    // Both kinds of mistakes at once, each with its line.
    let wrong = format!("covrage = \"10%\"\n{TWO}upstream = \"nowhere\"\n");
    let file = configure(&shop, servers, "cash = true", &wrong);
    for verb in ["check", "explain"] {
        let more: &[&str] = if verb == "explain" { &["GET", "/"] } else { &[] };
        let ran = tidegate(&[&["config", verb, path(&file)], more].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        for words in ["covrage", "coverage", "nowhere", "cash", "tidegate.toml:"] {
            assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
        }
    }
}

/// The folder of what is recorded cannot be used: said with its name, before anything is served.
#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let shop = Shop::start();
    let file = configure(&shop, "[\"127.0.0.1:9\"]", "", TWO);
    let up = Up::start(&file);
    up.stop();
    let data = shop.folder.path().join("data");
    let refused = |words: &str| {
        let ran = tidegate(&["up", "--config", path(&file)]);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    };
    // What a newer version, or nobody, wrote.
    for (name, bytes) in [
        ("checkpoint", &b"tidegate state \x02"[..]),
        ("kept", b"00000000 {}\n00000000 {}\n"),
        ("secret", b"short"),
        ("events-0000000000000000.log", b"tidegate events\x02"),
        ("control.sqlite", b"this is no database, and long enough to be seen as none, as it is"),
    ] {
        let path = data.join(name);
        let before = fs::read(&path).ok();
        fs::write(&path, bytes).unwrap();
        refused(name);
        assert_eq!(fs::read(&path).unwrap(), bytes, "nothing is changed");
        match before {
            Some(before) => fs::write(&path, before).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    Up::start(&file).stop();
    fs::remove_dir_all(&data).unwrap();
    fs::write(&data, "in its place").unwrap();
    refused("data");
}

/// A batch that is retried over a restart, and ids of events within the horizon, count once.
#[test]
fn what_is_sent_again_after_a_crash_counts_once() {
    let shop = Shop::start();
    let file = configure(&shop, "[\"127.0.0.1:9\"]", "", TWO);
    let exposures: Vec<Value> = (0..10)
        .map(|number| json!({ "experiment": "checkout", "unit": format!("u{number}"), "variant": "new" }))
        .collect();
    let events = |ids: std::ops::Range<u32>| -> Vec<Value> {
        let event = |id: u32| json!({ "unit": format!("u{}", id % 10), "name": "purchase", "id": format!("order-{id}") });
        ids.map(event).collect()
    };
    let batch = |sequence: u64, what: &str, records: &[Value]| json!({ "producer": "shop", "epoch": 3, "sequence": sequence, what: records });
    let exposed = batch(0, "exposures", &exposures);
    let bought = batch(1, "events", &events(0..10));
    let up = Up::start(&file);
    assert_eq!(up.post("/v1/exposures", &exposed)["counted"], 10);
    assert_eq!(up.post("/v1/events", &bought)["counted"], 10);
    up.signal(Signal::KILL);
    drop(up);
    for _ in 0..3 {
        let up = Up::start(&file);
        assert_eq!(up.post("/v1/exposures", &exposed)["status"], "duplicate");
        assert_eq!(up.post("/v1/events", &bought)["status"], "duplicate");
        // Another producer sends the same orders, and two more each time.
        let again = up.post("/v1/events", &json!({ "events": events(5..12) }));
        assert_eq!(again["status"], "recorded");
        assert!(again["duplicate"].as_u64().unwrap() >= 5, "{again}");
        let next =
            ask(up.api, "POST /v1/events", "", batch(3, "events", &events(0..1)).to_string());
        assert!(next.body.contains(r#""expected":2"#), "{}", next.body);
        assert_eq!(counted(&up, "")[0], 10);
        up.signal(Signal::KILL);
        drop(up);
    }
    let up = Up::start(&file);
    let again = up.post("/v1/events", &json!({ "events": events(0..12) }));
    assert_eq!((&again["counted"], &again["duplicate"]), (&json!(0), &json!(12)), "{again}");
    up.stop();
}

//! Who belongs to the sample of an experiment: those who were served what they are counted for, once,
//! and nobody else.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::origin::{Behaviour, Origin, OriginConfig, Response};

use crate::command::{path, tidegate};
use crate::experiments_hostile::counted;
use crate::experiments_laws::{TWO, configure, decided, version, visit};
use crate::shop::{Answer, BROWSER, Shop, Up, ask};

/// Units of an experiment, by variant.
fn units(up: &Up, experiment: &str) -> Vec<u64> {
    let shown = up.post("/v1/experiments", &json!({ "status": { "experiment": experiment } }));
    let arms = shown["shown"]["analysis"]["health"]["arms"].as_array().unwrap().clone();
    arms.iter().map(|arm| arm["units"].as_u64().unwrap()).collect()
}

fn total(up: &Up, experiment: &str) -> u64 {
    units(up, experiment).iter().sum()
}

/// Another request than GET.
fn send(up: &Up, line: &str, fields: &str) -> Answer {
    ask(up.web, line, &format!("User-Agent: {BROWSER}\r\n{fields}"), "")
}

/// A visit with a user, for a place of a header.
fn location(answer: &Answer) -> &str {
    answer.all("location").first().copied().unwrap_or_default()
}

fn servers(shop: &Shop) -> String {
    format!("[\"{}\"]", shop.old.addr())
}

#[test]
fn a_new_salt_counts_everybody_anew() {
    let shop = Shop::start();
    let up = Up::start(&configure(&shop, &servers(&shop), "", &format!("salt = \"one\"\n{TWO}")));
    let users: Vec<String> = (0..40).map(|number| format!("user-{number}")).collect();
    let serve = || -> Vec<String> {
        users.iter().map(|user| version(&visit(&up, "/", user, "")).to_owned()).collect()
    };
    let before = serve();
    assert_eq!(total(&up, "checkout"), 40);
    let known = up.status()["version"].clone();
    configure(&shop, &servers(&shop), "", &format!("salt = \"two\"\n{TWO}"));
    up.signal(Signal::HUP);
    up.wait_for("the other salt", |status| status["version"] != known);
    assert_ne!(serve(), before);
    assert_eq!(total(&up, "checkout"), 80, "all of them, in both deals");
    up.stop();
}

/// Preflights have no cookies; a head is no visit.
#[test]
fn preflights_and_heads_are_no_visits() {
    let shop = Shop::start();
    let up = Up::start(&shop.configure(""));
    for number in 0..5 {
        let preflight = "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n";
        let answer = send(&up, "OPTIONS /checkout", preflight);
        assert!(answer.all("set-cookie").is_empty(), "{number}: {}", answer.head);
        assert_eq!(send(&up, "HEAD /checkout", "").status, 200);
    }
    assert_eq!(counted(&up, ""), [0, 0, 0]);
    up.visit("/checkout", "");
    assert_eq!(counted(&up, ""), [1, 0, 0]);
    up.stop();
}

/// The browser decides which of two cookies of a name comes first.
#[test]
fn a_foreign_cookie_of_the_same_name_makes_nobody_new() {
    let shop = Shop::start();
    let up = Up::start(&shop.configure(""));
    let own = up.visit("/checkout", "").cookie("uid").unwrap();
    for cookies in [format!("uid=app-42; {own}"), format!("uid=a.b; x=y; {own}; uid=c")] {
        let answer = up.visit("/checkout", &cookies);
        assert!(answer.all("set-cookie").is_empty(), "{}", answer.head);
    }
    assert_eq!(counted(&up, ""), [1, 0, 0]);
    up.stop();
}

/// Of two experiments that want the same, the first by name has its way; the other one counts those
/// only whom it was free to serve, whatever their variant.
#[test]
fn who_was_served_another_experiment_is_not_counted() {
    let shop = Shop::start();
    let variants = |name: &str| {
        format!(
            "[experiment.{name}]\nunit = {{ header = \"x-user\" }}\n[experiment.{name}.variant.a]\n\
             [experiment.{name}.variant.b]\nredirect = \"/from-{name}\"\n"
        )
    };
    let header = "[experiment.begin]\nunit = { header = \"x-user\" }\n[experiment.begin.variant.a]\n\
                  [experiment.begin.variant.b]\nresponse-header = { X-Begin = \"b\" }\n";
    let more = format!("{TWO}{}{}{header}", variants("zeta"), variants("alpha"));
    let up = Up::start(&configure(&shop, &servers(&shop), "", &more));
    let (mut alpha, mut zeta) = (0, 0);
    for number in 0..60 {
        match location(&visit(&up, "/order", &format!("user-{number}"), "")) {
            "/from-alpha" => alpha += 1,
            "/from-zeta" => zeta += 1,
            other => assert_eq!(other, ""),
        }
    }
    assert!(alpha > 10 && zeta > 5, "{alpha} {zeta}");
    assert_eq!(units(&up, "alpha"), [60 - alpha - zeta, alpha], "those of zeta went elsewhere");
    assert_eq!(units(&up, "zeta"), [60 - alpha - zeta, zeta]);
    assert_eq!(total(&up, "begin"), 60 - alpha - zeta, "who is sent elsewhere saw no page");
    up.stop();
}

/// `path-prefix` ends at a segment as in routes; what cannot be rewritten is not counted.
#[test]
fn prefixes_end_at_segments() {
    let shop = Shop::start();
    let variants = "match = { path-prefix = \"/cached\" }\n[experiment.checkout.variant.a]\n\
                    [experiment.checkout.variant.b]\n\
                    path-rewrite = { prefix = \"/cached/in\", replacement = \"/other\" }\n\
                    response-header = { X-Version = \"b\" }\n";
    let up = Up::start(&configure(&shop, &servers(&shop), "", variants));
    for number in 0..20 {
        for path in ["/cachedx", "/cached", "/cached/index", "/cached%2Fz"] {
            let answer = visit(&up, path, &format!("user-{number}"), "");
            assert_eq!(version(&answer), "control", "{path}");
            let private = answer.all("cache-control").contains(&"private");
            assert_eq!(private, !path.starts_with("/cachedx") && !path.contains('%'), "{path}");
        }
    }
    assert_eq!(total(&up, "checkout"), 0);
    let served = (0..20).map(|number| visit(&up, "/cached/in/x", &format!("user-{number}"), ""));
    let of_b = served.filter(|answer| version(answer) == "b").count() as u64;
    assert_eq!(units(&up, "checkout"), [20 - of_b, of_b]);
    up.stop();
}

/// The variant's path is taken instead of the route's.
#[test]
fn a_rewritten_path_is_not_rewritten_again() {
    let shop = Shop::start();
    let page =
        |text: &str| Behaviour::Respond(Response { body: text.into(), ..Response::default() });
    let origin = OriginConfig::default().route("/base/x", page("base")).route("/b/x", page("b"));
    let origin = Origin::start(origin).unwrap();
    let variants = "[experiment.checkout.variant.base]\n[experiment.checkout.variant.b]\n\
                    path-rewrite = { prefix = \"/\", replacement = \"/b/\" }\n";
    let route = "rewrite = { prefix = \"/\", with = \"/base/\" }";
    let servers = format!("[\"{}\"]", origin.addr());
    let up = Up::start(&configure(&shop, &servers, route, variants));
    for (user, variant) in decided(&up, (0..10).map(|number| format!("user-{number}"))) {
        assert_eq!(visit(&up, "/x", &user, "").body, variant);
    }
    up.stop();
}

/// A form that is sent is not redirected: browsers would repeat it without its content.
#[test]
fn only_what_can_be_repeated_is_redirected() {
    let shop = Shop::start();
    let variants = "[experiment.checkout.variant.a]\n[experiment.checkout.variant.b]\n\
                    redirect = \"/other\"\n";
    let up = Up::start(&configure(&shop, &servers(&shop), "", variants));
    let users = decided(&up, (0..20).map(|number| format!("user-{number}")));
    for user in users.keys() {
        assert_eq!(send(&up, "POST /form", &format!("X-User: {user}\r\n")).status, 200);
    }
    assert_eq!(total(&up, "checkout"), 0);
    for (user, variant) in &users {
        let expected = if variant == "b" { "/other" } else { "" };
        assert_eq!(location(&visit(&up, "/form", user, "")), expected);
    }
    assert_eq!(total(&up, "checkout"), 20);
    up.stop();
}

/// Whoever a condition leaves out gets a page that others do not get: caches must not share it.
#[test]
fn caches_cannot_give_one_page_to_all() {
    let shop = Shop::start();
    let matches = "match = { path-prefix = \"/checkout\", header = { x-plan = \"pro\" } }";
    let up = Up::start(&configure(&shop, &servers(&shop), "", &format!("{matches}\n{TWO}")));
    for (fields, path) in [("", "/checkout"), ("X-Plan: pro\r\n", "/checkout/x")] {
        let answer = visit(&up, path, "u", fields);
        let vary = answer.all("vary");
        assert!(vary.contains(&"x-plan") && vary.contains(&"x-user"), "{}", answer.head);
        let control = answer.all("cache-control").join(", ");
        assert_eq!(control, "max-age=60, private", "{}", answer.head);
    }
    let elsewhere = visit(&up, "/other", "u", "");
    assert_eq!(elsewhere.all("cache-control"), ["public, max-age=60"]);
    assert!(elsewhere.all("vary").is_empty());
    assert_eq!(total(&up, "checkout"), 1);
    up.stop();
}

/// A link chooses the variant on pages of the experiment, of whoever follows it.
#[test]
fn links_are_for_pages_of_the_experiment() {
    let shop = Shop::start();
    let variants = "match = { path-prefix = \"/red\", header = { x-plan = \"pro\" } }\n\
                    [experiment.checkout.variant.a]\n[experiment.checkout.variant.b]\n\
                    redirect = \"/red/other\"\n";
    let up = Up::start(&configure(&shop, &servers(&shop), "", variants));
    let link = up.post("/v1/links", &json!({ "experiment": "checkout", "variant": "b" }));
    let query = link["query"].as_str().unwrap();
    let first = up.visit(&format!("/?{query}"), "");
    assert_eq!(first.status, 200, "the page of no experiment");
    let kept = first.cookie("tidegate-variant").unwrap();
    assert!(first.all("cache-control").contains(&"private"), "{}", first.head);
    for (path, expected) in
        [("/red", "/red/other"), ("/red/x", "/red/other"), ("/style.css", ""), ("/", "")]
    {
        assert_eq!(location(&up.visit(path, &kept)), expected, "{path}");
    }
    up.stop();
}

/// An upstream that is gone: everybody gets the site as it is, nobody counts, and it is said.
#[test]
fn without_its_upstream_nobody_is_counted() {
    let shop = Shop::start();
    let gone = format!("[upstream.new]\nservers = [\"{}\"]\n", shop.new.addr());
    let variants = "[experiment.checkout.variant.a]\n[experiment.checkout.variant.b]\n\
                    upstream = \"new\"\n";
    let up = Up::start(&configure(&shop, &servers(&shop), "", &format!("{variants}{gone}")));
    let bodies = |up: &Up, from: u32| {
        let visits = (from..from + 20).map(|number| visit(up, "/", &format!("u{number}"), ""));
        visits.filter(|answer| answer.body == "new").count()
    };
    assert!(bodies(&up, 0) > 3);
    assert_eq!(total(&up, "checkout"), 20);
    let known = up.status()["version"].clone();
    let rest = "[experiment.other]\nunit = { header = \"x-user\" }\n[experiment.other.variant.a]\n\
                [experiment.other.variant.b]\nresponse-header = { X-Other = \"b\" }\n";
    let text = fs::read_to_string(shop.file()).unwrap();
    let start = text.find("[experiment.checkout]").unwrap();
    fs::write(shop.file(), format!("{}{rest}", &text[..start])).unwrap();
    up.signal(Signal::HUP);
    up.wait_for("the rest", |status| status["version"] != known);
    assert_eq!(bodies(&up, 20), 0);
    assert_eq!((total(&up, "checkout"), total(&up, "other")), (20, 20));
    let said = up.stop_and_read();
    assert!(said.contains("no upstream `new`"), "{said}");
    assert!(said.contains("experiment `checkout` is not in the configuration any more"), "{said}");
}

#[test]
fn explanations_do_what_the_gateway_does() {
    let shop = Shop::start();
    let file = shop.configure("");
    let agent = format!("user-agent: {BROWSER}");
    let explain = |method: &str, cookie: &str| {
        let url = "http://shop.example/checkout";
        let ran =
            tidegate(&["config", "explain", path(&file), method, url, "-H", cookie, "-H", &agent]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    };
    let told = explain("GET", "cookie: uid=u1");
    assert!(told.contains("a new visitor"), "what has no signature is not ours: {told}");
    let upstream = |number: u32| {
        let told = explain("GET", &format!("cookie: uid=u{number}.AAAA"));
        let new = told.contains("variant `new`");
        let name = if new { "new" } else { "old" };
        let line = format!("`{name}`: 1 servers");
        assert!(told.contains(&line), "{told}");
        new
    };
    assert!((0..20).any(upstream));
    let told = explain("HEAD", "cookie: uid=u1.AAAA");
    assert!(told.contains("not counted"), "{told}");
}

/// What the API is told of those who cannot have been served.
#[test]
fn who_cannot_have_been_exposed_is_not_counted() {
    let shop = Shop::start();
    let draft = "[experiment.draft]\nstatus = \"draft\"\nunit = { header = \"x-user\" }\n\
                 [experiment.draft.variant.a]\n[experiment.draft.variant.b]\n\
                 response-header = { X-Draft = \"b\" }\n";
    let more = format!("overrides = {{ boss = \"new\" }}\n{TWO}{draft}");
    let up = Up::start(&configure(&shop, &servers(&shop), "", &more));
    let expose = |experiment: &str, unit: &str, variant: &str, more: Value| {
        let mut one = json!({ "experiment": experiment, "unit": unit, "variant": variant });
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        up.post("/v1/exposures", &json!({ "exposures": [one] }))
    };
    let none = json!({});
    let answer = expose("draft", "u", "a", none.clone());
    assert_eq!((&answer["counted"], &answer["unknown"]), (&json!(0), &json!(1)), "{answer}");
    let answer = expose("checkout", "u", "new", json!({ "time": "2020-01-01T00:00:00Z" }));
    assert_eq!((&answer["counted"], &answer["unknown"]), (&json!(0), &json!(1)), "{answer}");
    let answer = expose("checkout", "boss", "new", none.clone());
    assert_eq!((&answer["counted"], &answer["fixed"]), (&json!(0), &json!(1)), "{answer}");
    assert_eq!(expose("checkout", "u", "new", none)["counted"], json!(1));
    let track = |experiment: &str, unit: &str| {
        let properties =
            json!({ "experimentId": experiment, "hashValue": unit, "variationId": "1" });
        up.post(
            "/track?client_key=k",
            &json!([
                { "event_name": "Experiment Viewed", "properties_json": properties },
            ]),
        )
    };
    assert_eq!(track("draft", "v")["unknown"], json!(1));
    assert_eq!(track("checkout", "boss")["fixed"], json!(1));
    assert_eq!(track("checkout", "v")["counted"], json!(1));
    up.post("/v1/experiments", &json!({ "set": { "experiment": "draft", "status": "running" } }));
    assert_eq!((total(&up, "checkout"), total(&up, "draft")), (2, 0));
    up.stop();
}

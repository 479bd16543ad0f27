//! Scenario files that are accepted, and what becomes of them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use config::{LoadSettings, ScenarioFile, parse_scenario, read_scenario, resolve};
use http::Method;
use load::params::{ConnectTo, HttpVersion, LoadParams, Model};
use load::scenario::{Body, Check, Step};
use load::slo::SloTarget;
use policy::{ArrivalKind, Wait};

fn ok(name: &str) -> ScenarioFile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ok");
    read_scenario(&folder.join(name).with_extension("toml"))
        .unwrap_or_else(|errors| panic!("{errors}"))
}

fn params(name: &str) -> LoadParams {
    let file = ok(name);
    resolve(file.scenario, file.settings).unwrap_or_else(|errors| panic!("{name}: {errors}"))
}

fn fixed(body: &Body) -> Option<String> {
    match body {
        Body::Template(template) => {
            Some(String::from_utf8(template.as_static()?.to_vec()).unwrap())
        }
        _ => None,
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_contract_example_reads_as_written() {
    // Beside its data in a folder of its own, as a user has it.
    let folder = tempfile::tempdir().unwrap();
    for name in ["contract.toml", "accounts.csv"] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ok").join(name);
        fs::copy(source, folder.path().join(name)).unwrap();
    }
    let file = read_scenario(&folder.path().join("contract.toml")).unwrap();
    let params = resolve(file.scenario, file.settings).unwrap();
    let scenario = &params.scenario;

    assert_eq!(params.http.origin.authority(), "our.platform.com");
    assert!(params.http.origin.tls && params.http.base_path.is_empty());
    assert_eq!(scenario.wait, Wait::Between(seconds(1), seconds(4)));

    let names: Vec<(&str, u32)> =
        scenario.tasks.iter().map(|task| (&*task.name, task.weight)).collect();
    assert_eq!(names, [("main page", 1), ("log in and look", 2)]);
    let rows: Vec<(&str, &Method)> =
        scenario.endpoints.iter().map(|row| (&*row.name, &row.method)).collect();
    let expected = [
        ("main page", &Method::GET),
        ("log in and look: /login", &Method::POST),
        ("log in and look: /orders", &Method::GET),
    ];
    assert_eq!(rows, expected);

    let [login, orders] = scenario.tasks[1].steps.as_slice() else { panic!("two steps") };
    assert_eq!(login.target.as_static(), Some(&b"/login"[..]));
    assert_eq!(login.headers[0].0, "content-type");
    assert_eq!(login.headers[0].1.as_static(), Some(&b"application/x-www-form-urlencoded"[..]));
    let Body::Template(form) = &login.body else { panic!("a form is a template") };
    assert_eq!(form.sources().collect::<Vec<_>>(), [0, 0]);
    let [Check::Status(status), Check::Json { pointer, equals }] = login.checks.as_slice() else {
        panic!("{:?}", login.checks)
    };
    assert_eq!((status[0].low, status[0].high), (200, 200));
    assert_eq!((pointer.as_str(), equals), ("/ok", &serde_json::Value::Bool(true)));
    assert_eq!(scenario.saved_names, ["token"]);
    assert_eq!(login.saves[0].slot, 0);
    assert_eq!(orders.headers[0].0, "authorization");
    assert_eq!(orders.headers[0].1.saved_slots().collect::<Vec<_>>(), [0]);

    assert_eq!(scenario.data[0].columns, ["name", "password"]);
    assert_eq!((scenario.data[0].rows(), scenario.data[0].pick), (2, load::data::Pick::EachOnce));

    let Model::Closed { users } = &params.model else { panic!("{:?}", params.model) };
    assert_eq!((users.at(seconds(0)), users.at(seconds(20)), users.max()), (0.0, 200.0, 400.0));
    assert_eq!((params.stop.run_time, params.stop.requests), (Some(seconds(300)), None));
    let slo: Vec<String> = params.slo.iter().map(ToString::to_string).collect();
    assert_eq!(slo, ["p95<1s", "failures<1%"]);
    assert!(params.slo.iter().all(|objective| !objective.abort && objective.scope.is_none()));
}

#[test]
fn every_good_file_is_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ok");
    let mut accepted = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // `good_gateways.rs` reads the others.
        if name.ends_with(".toml") && !name.starts_with("gateway-") {
            params(path.file_stem().unwrap().to_str().unwrap());
            accepted += 1;
        }
    }
    assert!(accepted >= 8, "only {accepted} files");
}

#[test]
fn every_key_arrives() {
    let file = ok("everything");
    assert_eq!(file.name.as_deref(), Some("everything"));
    let params = resolve(file.scenario, file.settings).unwrap();
    let (scenario, http) = (&params.scenario, &params.http);

    assert_eq!((http.origin.authority().as_str(), http.base_path.as_str()), ("[::1]:8443", "/api"));
    assert_eq!(scenario.wait, Wait::Pacing(seconds(5)));
    let rows: Vec<&str> = scenario.endpoints.iter().map(|row| row.name.as_str()).collect();
    let expected = [
        "sign in",
        "inline",
        "{{link}}",
        "https://elsewhere.example/up",
        "poll",
        "*",
        "/p",
        "on-stop: /session",
    ];
    assert_eq!(rows, expected);
    assert_eq!(scenario.saved_names, ["session", "link", "csrf"]);

    let headers = |step: &Step| -> Vec<String> {
        let value = |template: &load::template::Template| match template.as_static() {
            Some(text) => String::from_utf8(text.to_vec()).unwrap(),
            None => "(varies)".to_owned(),
        };
        step.headers.iter().map(|(name, template)| format!("{name}: {}", value(template))).collect()
    };
    let basic = "authorization: Basic YW5uOnBhc3M6d29yZA==";
    let common = ["accept: application/json", "x-run: (varies)"];
    let sign_in = &scenario.on_start[0];
    assert_eq!(headers(sign_in), [common[0], common[1], basic, "content-type: application/json"]);
    let inline = &scenario.tasks[0].steps[0];
    assert_eq!(inline.method.as_str(), "PROPFIND");
    assert_eq!(inline.timeout, Some(seconds(3)));
    assert_eq!(
        headers(inline),
        [common[0], common[1], basic, "content-type: text/xml", "depth: 1"]
    );
    assert_eq!(inline.checks.len(), 9);
    let steps = &scenario.tasks[1].steps;
    assert_eq!(scenario.tasks[1].name, "GET {{link}}");
    // A step that goes elsewhere has its own credentials, or none.
    assert_eq!(headers(&steps[1]), [common[0], common[1], "authorization: (varies)"]);
    assert_eq!(steps[1].origin.as_ref().unwrap().authority(), "elsewhere.example");
    assert!(matches!(&steps[1].body, Body::Bytes(bytes) if bytes.starts_with(b"name,")));
    assert_eq!(fixed(&steps[4].body).as_deref(), Some(""));

    let Model::Open { rate, arrivals, users_max } = &params.model else {
        panic!("{:?}", params.model)
    };
    assert_eq!((rate.max(), *arrivals, *users_max), (1000.0, ArrivalKind::Poisson, 200));
    assert_eq!((params.stop.run_time, params.stop.requests), (Some(seconds(4800)), Some(100_000)));
    assert_eq!((params.seed, params.workers, params.drain), (42, 2, seconds(1)));
    assert_eq!((http.version, http.keep_alive), (HttpVersion::Http2, true));
    assert_eq!((http.connection_requests, http.connection_age), (Some(100), Some(seconds(60))));
    assert_eq!((http.redirects, http.cookies, http.compression), (0, false, true));
    assert_eq!(http.user_agent, "tide/1");
    assert_eq!(http.dns, load::params::DnsPolicy::PerConnection);
    assert_eq!(http.connect_to, Some(ConnectTo::Unix("/run/shop.sock".into())));
    let timeouts = http.timeouts;
    assert_eq!(
        (timeouts.connect, timeouts.response, timeouts.total),
        (seconds(1), seconds(2), seconds(3))
    );
    let limits = http.limits;
    assert_eq!(
        (limits.head_bytes, limits.body_bytes, limits.kept_body_bytes),
        (64 << 10, 1 << 20, 512 << 10)
    );
    assert!(http.tls.insecure && http.tls.ca.is_some() && http.tls.client.is_some());
    assert_eq!(http.tls.server_name.as_deref(), Some("shop.example"));
    assert_eq!(params.watch.pids, [1, 2]);
    assert_eq!(params.watch.prometheus[1].series, ["up"]);
    let slo: Vec<String> = params.slo.iter().map(ToString::to_string).collect();
    let expected = [
        "p95<1s",
        "p99.9<3s",
        "mean<300ms",
        "max<9s",
        "failures<1%",
        "throughput>100/s",
        "inline: p50<100ms",
        "poll: p99<50ms",
    ];
    assert_eq!(slo, expected);
    assert!(params.slo[0].abort && !params.slo[6].abort);
    assert!(matches!(params.slo[6].target, SloTarget::Quantile(q, _) if q == 0.5));
}

#[test]
fn fixed_bodies_and_queries_are_encoded() {
    let text = r#"
        host = "http://h"
        [[task]]
        post = "/a?x=1"
        query = { "a b" = "c&d", n = 1.5 }
        json = { text = "say \"hi\"\n", list = [1, 2.5, true, {}], day = 2024-01-02 }
        [[task]]
        post = "http://h"
        query = { q = "ä" }
        form = { "a b" = "1+1=2", n = 3 }
    "#;
    let file = parse_scenario("s.toml", text, Path::new("")).unwrap();
    let steps: Vec<&Step> = file.scenario.tasks.iter().flat_map(|task| &task.steps).collect();
    assert_eq!(steps[0].target.as_static(), Some(&b"/a?x=1&a%20b=c%26d&n=1.5"[..]));
    let json = r#"{"text":"say \"hi\"\n","list":[1,2.5,true,{}],"day":"2024-01-02"}"#;
    assert_eq!(fixed(&steps[0].body).as_deref(), Some(json));
    assert_eq!(steps[1].target.as_static(), Some(&b"/?q=%C3%A4"[..]));
    assert_eq!(fixed(&steps[1].body).as_deref(), Some("a%20b=1%2B1%3D2&n=3"));
}

#[test]
fn models_have_their_defaults() {
    let closed = params("one-request");
    assert!(
        matches!(&closed.model, Model::Closed { users } if users.max() == 10.0 && users.is_constant())
    );
    assert_eq!(closed.stop.run_time, Some(seconds(10)));
    assert!(closed.workers >= 1 && closed.workers <= 10);

    let stages = params("stages-of-users");
    assert!(matches!(&stages.model, Model::Closed { users } if users.at(seconds(15)) == 50.0));
    assert_eq!(stages.stop.run_time, Some(seconds(100)));
    let rates = params("stages-of-rates");
    assert!(
        matches!(&rates.model, Model::Open { rate, users_max: 50, .. } if rate.max() == 1000.0)
    );

    let stress = params("preset");
    let Model::Open { rate, arrivals, users_max } = &stress.model else {
        panic!("{:?}", stress.model)
    };
    assert_eq!((rate.max(), *arrivals, *users_max), (500.0, ArrivalKind::Deterministic, 500));
    assert_eq!(stress.stop.run_time, Some(seconds(60)));

    let burst = params("burst");
    let Model::Burst(cycles) = burst.model else { panic!("{:?}", burst.model) };
    assert_eq!((cycles.size, cycles.cycles, cycles.pause), (100, 3, (seconds(1), seconds(2))));
    assert_eq!(burst.stop.run_time, None);

    let counted = params("waits");
    assert_eq!((counted.stop.run_time, counted.stop.requests), (None, Some(1000)));
    assert_eq!(counted.scenario.wait, Wait::Throughput(0.5));

    let absolute = params("absolute-urls");
    assert_eq!(absolute.http.origin.host, "one.example");
}

#[test]
fn flags_change_the_wait_and_the_host() {
    let flags = LoadSettings {
        wait: Some(Wait::None),
        host: Some("http://127.0.0.1:1".parse().unwrap()),
        ..LoadSettings::default()
    };
    let file = ok("contract");
    let params = resolve(file.scenario, flags.or(file.settings)).unwrap();
    assert_eq!(params.scenario.wait, Wait::None);
    assert_eq!(params.http.origin.port, 1);
}

#[test]
fn conflicts_of_flags_are_found_without_a_place() {
    let flags = LoadSettings {
        rate: Some(traffic::Rate::per_s(5.0).unwrap()),
        spawn_rate: Some(traffic::Rate::per_s(5.0).unwrap()),
        ..LoadSettings::default()
    };
    let file = ok("contract");
    let errors = resolve(file.scenario, flags.or(file.settings)).unwrap_err();
    let expected = "`rate` and `spawn-rate` exclude each other [scenario::conflict]";
    assert_eq!(errors.to_string(), expected);
}

//! Values, data, cookies, redirects, bodies and codings across several steps.

use std::sync::Arc;

use http::{HeaderName, Method, header};
use load::data::{DataSource, Per, Pick};
use load::failure::FailureKind;
use load::scenario::{Body, Check, Save, SaveFrom, StatusRange, Step};
use load::template::{Escape, Symbols, Template};
use serde_json::json;
use testkit::origin::{Behaviour, Encoding, Origin, OriginConfig};

use crate::build::{closed, get, run, scenario};

#[test]
fn values_flow_from_data_and_responses_into_later_requests() {
    let origin = Origin::start(
        OriginConfig::new(Behaviour::Echo)
            .route("/login", Behaviour::Json(json!({"token": "t-7", "ok": true}))),
    )
    .unwrap();
    let symbols = Symbols {
        saved: vec!["token".to_owned()],
        data: vec![("account".to_owned(), vec!["name".to_owned()])],
    };
    let mut login = get(0, "/login", &symbols);
    login.method = Method::POST;
    let mut form = Template::default();
    form.push("user=", Escape::None, &symbols).unwrap();
    form.push("{{account.name}}", Escape::Component, &symbols).unwrap();
    login.body = Body::Template(form);
    login.checks = vec![Check::Json { pointer: "/ok".to_owned(), equals: json!(true) }];
    login.saves = vec![Save { slot: 0, from: SaveFrom::Json("/token".to_owned()) }];
    let mut orders = get(0, "/orders?since={{today}}", &symbols);
    let bearer = Template::parse("Bearer {{token}}", Escape::Header, &symbols).unwrap();
    orders.headers = vec![(header::AUTHORIZATION, bearer)];
    let mut scenario = scenario(vec![(1, vec![login, orders])]);
    let rows = (0..20).map(|n| vec![format!("user {n}")]).collect();
    let source = DataSource::from_rows(
        "account",
        vec!["name".to_owned()],
        rows,
        Pick::EachOnce,
        Per::Iteration,
    );
    scenario.data = Arc::new([source]);
    scenario.saved_names = symbols.saved.clone();
    let result = run(closed(&origin.url(), scenario, 3, 1_000));
    assert_eq!(result.totals.failures, 0, "{:?}", result.errors);
    // Twenty rows, each once; then every user stops and the run is over.
    assert_eq!(result.totals.requests, 40);
    assert!(result.findings.iter().any(|finding| finding.text.contains("ran out after 20 rows")));
    let mut users: Vec<String> = Vec::new();
    for request in origin.requests() {
        if request.method == "POST" {
            users.push(String::from_utf8(request.body).unwrap());
        } else {
            assert_eq!(request.header("authorization"), Some("Bearer t-7"));
        }
    }
    users.sort();
    users.dedup();
    assert_eq!(users.len(), 20);
    assert!(users.contains(&"user=user%203".to_owned()), "{users:?}");
}

#[test]
fn cookies_are_kept_per_user_and_redirects_followed() {
    let origin = Origin::start(
        OriginConfig::new(Behaviour::Echo)
            .route("/enter", Behaviour::SetCookie(vec!["sid=abc; Path=/".to_owned()]))
            .route("/old", Behaviour::Redirect { status: 302, to: "/new?x=1".to_owned() })
            .route("/loop", Behaviour::Redirect { status: 307, to: "/loop".to_owned() }),
    )
    .unwrap();
    let none = Symbols::default();
    let mut moved = get(1, "/old", &none);
    moved.method = Method::POST;
    moved.body = Body::Bytes("payload".into());
    let steps = vec![get(0, "/enter", &none), moved, get(2, "/loop", &none)];
    let mut params = closed(&origin.url(), scenario(vec![(1, steps)]), 1, 3);
    params.http.redirects = 4;
    let result = run(params);
    let seen: Vec<(String, String, Option<String>)> = origin
        .requests()
        .iter()
        .map(|request| {
            (
                request.method.clone(),
                request.target.clone(),
                request.header("cookie").map(str::to_owned),
            )
        })
        .collect();
    let cookie = Some("sid=abc".to_owned());
    assert_eq!(seen[0], ("GET".to_owned(), "/enter".to_owned(), None));
    assert_eq!(seen[1], ("POST".to_owned(), "/old".to_owned(), cookie.clone()));
    assert_eq!(seen[2], ("GET".to_owned(), "/new?x=1".to_owned(), cookie));
    assert_eq!(result.totals.failures, 1);
    assert_eq!(result.errors[0].kind, FailureKind::Redirect);
}

#[test]
fn encoded_bodies_are_decoded_for_checks() {
    for encoding in [Encoding::Gzip, Encoding::Brotli, Encoding::Zstd] {
        let body = b"the tide is high".to_vec();
        let origin =
            Origin::start(OriginConfig::new(Behaviour::Compressed { encoding, body })).unwrap();
        let mut step = get(0, "/", &Symbols::default());
        step.checks = vec![Check::BodyContains("tide is high".to_owned())];
        let mut params = closed(&origin.url(), scenario(vec![(1, vec![step])]), 2, 4);
        params.http.compression = true;
        let result = run(params);
        assert_eq!(result.totals.failures, 0, "{encoding:?}: {:?}", result.errors);
        assert!(origin.requests()[0].header("accept-encoding").unwrap().contains("br"));
    }
}

#[test]
fn a_failed_check_is_a_failure_with_its_reason_and_ends_the_task() {
    let origin = Origin::start(OriginConfig::new(Behaviour::ok("low tide"))).unwrap();
    let none = Symbols::default();
    let with = |check: Check| -> Vec<Step> {
        let mut step = get(0, "/first", &none);
        step.checks = vec![check];
        vec![step, get(1, "/second", &none)]
    };
    let name = HeaderName::from_static("x-tide");
    for (check, detail) in [
        (Check::BodyContains("high".to_owned()), "the body does not contain `high`"),
        (Check::Header { name, value: None }, "header `x-tide` is missing"),
        (Check::Status(vec![StatusRange { low: 201, high: 201 }]), "status 200 was not expected"),
    ] {
        let result = run(closed(&origin.url(), scenario(vec![(1, with(check))]), 1, 3));
        assert_eq!((result.totals.requests, result.totals.failures), (3, 3));
        assert_eq!(result.errors.len(), 1);
        assert_eq!(
            (result.errors[0].kind, result.errors[0].detail.as_str()),
            (FailureKind::Check, detail)
        );
    }
    assert!(!origin.counts_by_target().contains_key("/second"));
}

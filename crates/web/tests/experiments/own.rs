//! Decisions, exposures and events by the API of ours, and what it refuses.

use serde_json::{Value, json};

use crate::served::{Served, UNIT, variant_of};

#[tokio::test]
async fn decisions_exposures_and_events() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |_| {}).await;
    let question = &json!({ "unit": UNIT, "attributes": {"plan": "pro"} });
    let all = served.post("/v1/decide", question).await.json();
    let keys: Vec<_> = all["decisions"].as_array().unwrap().iter().collect();
    assert_eq!(keys.len(), 3);
    assert_eq!((&keys[0]["reason"], &keys[0]["counted"]), (&json!("split"), &json!(true)));
    assert_eq!((&keys[1]["unit"], &keys[2]["reason"]), (&json!(UNIT), &json!("draft")));
    assert_eq!(served.counted(), (0, 0, 0), "to be assigned is not to be exposed");
    let variant = variant_of(&served, UNIT).await;
    let exposure = json!({ "producer": "app", "epoch": 1, "sequence": 0, "exposures": [
        { "experiment": "checkout", "unit": UNIT, "variant": variant, "browser": "firefox" },
    ] });
    let events = json!({ "producer": "app", "epoch": 1, "sequence": 1, "events": [
        { "unit": UNIT, "name": "purchase", "value": 19.99, "id": "order-1" },
        { "unit": UNIT, "name": "purchase", "value": 19.99, "id": "order-1" },
        { "unit": UNIT, "name": "purchase", "time": "2001-01-01T00:00:00Z" },
        { "unit": UNIT, "name": "seen" },
    ] });
    for again in [false, true] {
        let status = if again { "duplicate" } else { "recorded" };
        let answer = served.post("/v1/exposures", &exposure).await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!(status)));
        let answer = served.post("/v1/events", &events).await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!(status)));
        if !again {
            let answer = answer.json();
            for (fate, count) in [("counted", 1), ("duplicate", 1), ("late", 1), ("unused", 1)] {
                assert_eq!(answer[fate], json!(count), "{answer}");
            }
        }
        assert_eq!(served.counted(), (1, 1, 0));
    }
    let mut gap = events.clone();
    gap["sequence"] = json!(7);
    let answer = served.post("/v1/events", &gap).await;
    assert_eq!((answer.status, &answer.json()["expected"]), (409, &json!(2)));
    gap["epoch"] = json!(0);
    let answer = served.post("/v1/events", &gap).await;
    assert_eq!((answer.status, &answer.json()["epoch"]), (409, &json!(1)));
    let other = if variant == "new" { "control" } else { "new" };
    let second = json!({ "exposures": [
        { "experiment": "checkout", "unit": UNIT, "variant": other },
    ] });
    assert_eq!(served.post("/v1/exposures", &second).await.status, 200);
    assert_eq!(served.counted().2, 1, "whoever saw two variants counts nowhere");
    served.stop().await;
}

#[tokio::test]
async fn what_is_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |_| {}).await;
    let exposures: Vec<Value> = (0..500)
        .map(|unit| json!({ "experiment": "checkout", "unit": unit.to_string(), "variant": "new" }))
        .collect();
    let answer = served.post("/v1/exposures", &json!({ "exposures": exposures })).await;
    assert_eq!(answer.json()["counted"], json!(500));
    served.stop().await;
    let served = Served::start(folder.path(), |_| {}).await;
    assert_eq!(served.counted(), (500, 0, 0));
    let again = served.post("/v1/exposures", &json!({ "exposures": exposures })).await;
    assert_eq!(again.status, 200);
    assert_eq!(served.counted(), (500, 0, 0));
    served.stop().await;
}

#[tokio::test]
async fn hostile_input_is_refused_and_counts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |params| {
        params.limits.body_bytes = 20_000;
        params.limits.batch = 10;
    })
    .await;
    let good = json!({ "experiment": "checkout", "unit": "u", "variant": "new" });
    let with = |key: &str, value: Value| {
        let mut changed = good.clone();
        changed[key] = value;
        // The good one before it must not be counted either.
        json!({ "exposures": [good, changed] }).to_string()
    };
    let event = |key: &str, value: Value| {
        let mut event = json!({ "unit": "u", "name": "purchase" });
        event[key] = value;
        json!({ "events": [event] }).to_string()
    };
    let (long, longer) = ("x".repeat(1_025), "x".repeat(129));
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let deep_attributes =
        format!(r#"{{"unit":"u","attributes":{{"a":{}1{}}}}}"#, "[".repeat(20), "]".repeat(20));
    let huge = format!(r#"{{"events":"{}"}}"#, "x".repeat(20_000));
    let many = json!({ "exposures": vec![good.clone(); 11] }).to_string();
    let none = json!({ "exposures": [] }).to_string();
    let track = |properties: Value| {
        json!([{ "event_name": "Experiment Viewed", "properties_json": properties }]).to_string()
    };
    let named = |producer: Value| {
        json!({ "producer": producer, "epoch": 0, "sequence": 0, "exposures": [good] }).to_string()
    };
    for (path, body, status) in [
        ("/v1/exposures", "", 400),
        ("/v1/exposures", "{", 400),
        ("/v1/exposures", "[]", 400),
        ("/v1/exposures", "null", 400),
        ("/v1/exposures", "\u{1f600}", 400),
        ("/v1/exposures", "{}", 400),
        ("/v1/exposures", r#"{"exposures":{}}"#, 400),
        ("/v1/exposures", r#"{"exposures":[1]}"#, 400),
        ("/v1/exposures", r#"{"exposures":[["checkout","u","new",null,"","",""]]}"#, 400),
        ("/v1/exposures", &deep, 400),
        ("/v1/exposures", &none, 400),
        ("/v1/exposures", &many, 400),
        ("/v1/exposures", &with("experiment", json!("nobody")), 404),
        ("/v1/exposures", &with("experiment", json!("check\r\nX: y")), 404),
        ("/v1/exposures", &with("experiment", json!(7)), 400),
        ("/v1/exposures", &with("variant", json!("other")), 404),
        ("/v1/exposures", &with("variant", json!(1)), 400),
        ("/v1/exposures", &with("unit", json!("")), 400),
        ("/v1/exposures", &with("unit", json!(long)), 400),
        ("/v1/exposures", &with("unit", json!("u\r\nSet-Cookie: a=b")), 400),
        ("/v1/exposures", &with("unit", json!({ "a": 1 })), 400),
        ("/v1/exposures", &with("time", json!("yesterday")), 400),
        ("/v1/exposures", &with("time", json!(-5)), 400),
        ("/v1/exposures", &with("time", json!(i64::MAX)), 400),
        ("/v1/exposures", &with("country", json!(longer)), 400),
        ("/v1/exposures", &with("unknown", json!(1)), 400),
        ("/v1/exposures", &named(json!(longer)), 400),
        ("/v1/exposures", &named(json!("")), 400),
        ("/v1/exposures", &named(json!(null)), 400),
        ("/v1/events", &huge, 413),
        ("/v1/events", &event("value", json!(1e10)), 400),
        ("/v1/events", &event("value", json!("1")), 400),
        ("/v1/events", &event("name", json!("")), 400),
        ("/v1/events", &event("name", json!(longer)), 400),
        ("/v1/events", &event("name", json!("a\nb")), 400),
        ("/v1/events", &event("id", json!(longer)), 400),
        ("/v1/events", r#"{"events":[{"unit":"u","name":"n","value":1e999}]}"#, 400),
        ("/v1/decide", &deep_attributes, 400),
        ("/v1/decide", r#"{"unit":1}"#, 400),
        ("/v1/decide", r#"{"unit":"u","experiments":["nobody"]}"#, 404),
        ("/v1/decide", r#"{"unit":"u","request":{"client":"not an address"}}"#, 400),
        ("/v1/links", r#"{"experiment":"checkout","variant":"other"}"#, 404),
        ("/v1/links", r#"{"experiment":"checkout","variant":"new","seconds":0}"#, 400),
        ("/ofrep/v1/evaluate/flags/checkout", "{", 400),
        ("/ofrep/v1/evaluate/flags/checkout", r#"{"context":[]}"#, 400),
        ("/ofrep/v1/evaluate/flags/checkout", r#"{"context":{}}"#, 400),
        ("/ofrep/v1/evaluate/flags/checkout", r#"{"context":{"targetingKey":7}}"#, 400),
        ("/ofrep/v1/evaluate/flags/a%0d%0ab", r#"{"context":{"targetingKey":"u"}}"#, 404),
        ("/ofrep/v1/evaluate/flags", r#"{"context":"x"}"#, 400),
        ("/api/eval/k", "[]", 400),
        ("/api/eval/k", r#"{"attributes":[]}"#, 400),
        ("/api/eval/k", r#"{"attributes":{"id":"a\u0000"}}"#, 400),
        ("/track?client_key=k", "{}", 400),
        ("/track?client_key=k", "[]", 400),
        ("/track?client_key=k", &track(json!({})), 400),
        ("/track?client_key=k", &track(json!({ "experimentId": "checkout" })), 400),
        (
            "/track?client_key=k",
            &track(json!({ "experimentId": "checkout", "hashValue": "u", "variationId": "9" })),
            400,
        ),
        (
            "/track?client_key=k",
            &track(json!({ "experimentId": "nobody", "hashValue": "u", "variationId": "0" })),
            404,
        ),
        ("/nowhere", "{}", 404),
        ("/ofrep/v1/configuration", "{}", 404),
        // Which of two is meant is not for us to choose.
        ("/v1/exposures", r#"{"exposures":[],"exposures":[]}"#, 400),
        ("/v1/decide", r#"{"unit":"u","attributes":{"plan":"pro","plan":"free"}}"#, 400),
        ("/v1/decide", r#"{"unit":"u","request":{"headers":{"a":"1","a":"2"}}}"#, 400),
        ("/ofrep/v1/evaluate/flags", r#"{"context":{"a":1,"a":2}}"#, 400),
        ("/ofrep/v1/evaluate/flags", r#"{"context":{},"context":{"a":1}}"#, 400),
        ("/api/eval/k", r#"{"attributes":{"id":"u","id":"v"}}"#, 400),
        (
            "/track?client_key=k",
            r#"[{"event_name":"x","properties_json":{"value":1,"value":2}}]"#,
            400,
        ),
    ] {
        let answer = served.ask(&format!("POST {path}"), "", body).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
        let told = answer.json();
        let words = told.get("error").or_else(|| told.get("errorDetails"));
        assert!(words.and_then(Value::as_str).is_some_and(|words| words.len() > 5), "{told}");
        assert_eq!(answer.field("set-cookie"), None);
    }
    for (line, status) in [("GET /v1/decide", 405), ("DELETE /track", 405), ("GET /sub/", 404)] {
        assert_eq!(served.ask(line, "", "").await.status, status, "{line}");
    }
    served.live.flush();
    assert_eq!(served.counted(), (0, 0, 0));
    assert_eq!(served.post("/v1/exposures", &json!({ "exposures": [good] })).await.status, 200);
    assert_eq!(served.counted(), (1, 0, 0), "and it works as before");
    served.stop().await;
}

#[tokio::test]
async fn wrong_entries_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |_| {}).await;
    let good = r#"{"unit":"u","name":"purchase","time":1700000000000.0}"#;
    for (wrong, words) in [
        (r#"{"unit":"u","name":"n","value":null}"#, "events[1]: `value` must be a number"),
        (r#"{"unit":"u","name":"n","value":"1"}"#, "events[1]: `value` must be a number"),
        (r#"{"unit":"u","name":"n","time":[1]}"#, "events[1]: `time` must be RFC 3339"),
        (r#"{"unit":7,"name":"n"}"#, "events[1]: invalid type: integer `7`"),
        (r#"{"unit":"u","name":"n","time":1.79e300}"#, "events[1]: `time` is more than"),
    ] {
        let body = format!(r#"{{"events":[{good},{wrong}]}}"#);
        let answer = served.ask("POST /v1/events", "", &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.body.contains(words), "{}", answer.body);
    }
    let answer = served.ask("POST /v1/events", "", &format!(r#"{{"events":[{good}]}}"#)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    served.stop().await;
}

#[tokio::test]
async fn every_refusal_is_json() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |params| {
        params.client_keys = vec!["sdk-1".to_owned()];
    })
    .await;
    let key = "X-API-Key: sdk-1\r\n";
    for (line, fields, status) in [
        ("POST /ofrep/v1/evaluate/flags/%ff", "", 401),
        ("POST /ofrep/v1/evaluate/flags/%ff", key, 404),
        ("GET /api/features/%ff", "", 401),
        ("POST /api/eval/%ff", "", 401),
        ("GET /sub/%ff", "", 401),
        ("POST /track?client_key=sdk-1&client_key=sdk-1", "", 400),
    ] {
        let answer = served.ask(line, fields, "").await;
        assert_eq!(answer.status, status, "{line}: {}", answer.body);
        let answer = answer.json();
        assert!(answer.get("error").or(answer.get("errorCode")).is_some(), "{line}: {answer}");
    }
    let head = "POST /v1/decide HTTP/1.1\r\nHost: a\r\nX-API-Key: sdk-1\r\n\
                Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n";
    let answer = served.raw(head.as_bytes()).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    served.stop().await;
}

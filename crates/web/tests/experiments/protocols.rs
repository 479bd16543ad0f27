//! OpenFeature's and GrowthBook's protocols.

use serde_json::{Value, json};

use crate::served::{Served, UNIT, listen, set, until, variant_of};

#[tokio::test]
async fn open_feature() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |_| {}).await;
    let flag = "/ofrep/v1/evaluate/flags/checkout";
    let context = |context: Value| json!({ "context": context });
    let native = variant_of(&served, UNIT).await;
    for path in [flag.to_owned(), format!("{flag}/")] {
        let answer = served.post(&path, &context(json!({ "targetingKey": UNIT }))).await.json();
        let value = if native == "new" { json!(1.0) } else { json!("control") };
        assert_eq!((&answer["variant"], &answer["value"]), (&json!(native), &value));
        assert_eq!((&answer["key"], &answer["reason"]), (&json!("checkout"), &json!("SPLIT")));
        assert_eq!(answer["metadata"]["eventsUrl"], json!("/v1/events"));
    }
    for (key, context, status, code) in [
        ("checkout", json!({}), 400, "TARGETING_KEY_MISSING"),
        ("checkout", json!({ "targetingKey": [] }), 400, "INVALID_CONTEXT"),
        ("nobody", json!({ "targetingKey": "u" }), 404, "FLAG_NOT_FOUND"),
    ] {
        let path = format!("/ofrep/v1/evaluate/flags/{key}");
        let answer = served.post(&path, &json!({ "context": context })).await;
        assert_eq!((answer.status, answer.json()["errorCode"].as_str()), (status, Some(code)));
        assert_eq!(answer.json()["key"], json!(key));
    }
    let question = &context(json!({ "targetingKey": "u" }));
    let out = served.post("/ofrep/v1/evaluate/flags/draft", question).await.json();
    assert_eq!((&out["reason"], &out["variant"]), (&json!("DISABLED"), &json!("")));
    assert!(out.get("value").is_none(), "the default of the code holds");

    let bulk = "/ofrep/v1/evaluate/flags";
    let free = context(json!({ "targetingKey": UNIT, "plan": "free" }));
    let pro = context(json!({ "plan": "pro", "targetingKey": UNIT }));
    let first = served.post(bulk, &free).await;
    let answer = first.json();
    let keys: Vec<_> =
        answer["flags"].as_array().unwrap().iter().map(|flag| &flag["key"]).collect();
    assert_eq!(keys, [&json!("checkout"), &json!("banner")]);
    assert_eq!(answer["eventStreams"][0]["endpoint"]["requestUri"], json!("/ofrep/v1/stream"));
    let etag = first.field("etag").unwrap().to_owned();
    let tagged = format!("If-None-Match: {etag}\r\n");
    let ask = async |body: &Value| {
        served.ask("POST /ofrep/v1/evaluate/flags", &tagged, &body.to_string()).await
    };
    assert_eq!(ask(&free).await.status, 304);
    assert_eq!(ask(&pro).await.status, 200, "the context is part of the tag");
    let mut changed = set();
    changed.experiments[2].description = "about something".to_owned();
    served.live.replace(changed, &[]).unwrap();
    assert_eq!(ask(&free).await.status, 200, "the configuration is part of the tag");
    served.stop().await;
}

#[tokio::test]
async fn streams_tell_of_changes() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |params| params.limits.streams = 2).await;
    let mut ofrep = listen(&served, "GET /ofrep/v1/stream").await;
    let mut growthbook = listen(&served, "GET /sub/k").await;
    assert_eq!(served.ask("GET /sub/k", "", "").await.status, 429);
    let mut changed = set();
    changed.experiments[0].description = "about something".to_owned();
    served.live.replace(changed, &[]).unwrap();
    assert_eq!(until(&mut ofrep, "event:").await.trim(), "event: message");
    assert!(until(&mut ofrep, "data:").await.contains(r#""type":"refetchEvaluation""#));
    assert_eq!(until(&mut growthbook, "event:").await.trim(), "event: features-updated");
    served.stop().await;
}

#[tokio::test]
async fn growthbook_clients() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |_| {}).await;
    let payload = served.ask("GET /api/features/k", "", "").await;
    assert_eq!(payload.field("x-sse-support"), Some("enabled"));
    let rule = &payload.json()["features"]["banner"]["rules"][0];
    assert_eq!((&rule["hashVersion"], &rule["hashAttribute"]), (&json!(2), &json!("id")));
    assert_eq!(payload.json()["features"].as_object().unwrap().len(), 1);
    let tag = format!("If-None-Match: {}\r\n", payload.field("etag").unwrap());
    assert_eq!(served.ask("GET /api/features/k", &tag, "").await.status, 304);

    let question = json!({
        "attributes": { "id": "u1", "plan": "pro", "uid": "d1" },
        "forcedVariations": { "checkout": 1 }, "forcedFeatures": [], "url": "",
    });
    let answer = served.post("/api/eval/k", &question).await.json();
    let banner = &answer["features"]["banner"]["rules"][0];
    let result = &banner["tracks"][0]["result"];
    assert_eq!((&result["hashValue"], &result["value"]), (&json!("u1"), &banner["force"]));
    let forced = &answer["features"]["checkout"]["rules"][0];
    assert_eq!((&forced["force"], forced.get("tracks")), (&json!(1.0), None));

    let viewed = |name: &str, properties: Value| json!({ "event_name": name, "properties_json": properties, "context_json": {} });
    let messages = json!([
        viewed("Experiment Viewed", json!({
            "experimentId": "checkout", "variationId": "new", "hashAttribute": "uid",
            "hashValue": "d1",
        })),
        viewed("$$experiment_viewed", json!({
            "experiment_id": "checkout", "variation_id": 0, "variation_key": "control",
            "hash_attribute": "uid", "hash_value": 7,
        })),
        viewed("Experiment Viewed", json!({
            "experimentId": "elsewhere", "variationId": "0", "hashValue": "d1",
        })),
        viewed("Feature Evaluated", json!({})),
        { "event_name": "purchase", "properties_json": { "value": 5 }, "context_json": { "uid": "d1" } },
    ]);
    let answer = served.post("/track?client_key=k", &messages).await.json();
    assert_eq!((&answer["counted"], &answer["ignored"]), (&json!(3), &json!(2)), "{answer}");
    assert_eq!(served.counted(), (2, 1, 0));
    served.post("/track?client_key=k", &json!([messages[0], messages[1]])).await;
    assert_eq!(served.counted(), (2, 1, 0));
    served.stop().await;
}

#[tokio::test]
async fn what_plugins_send_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |_| {}).await;
    let message = |name: &str, properties: Value| json!({ "event_name": name, "properties_json": properties, "context_json": { "uid": "d1" } });
    let track = async |messages: Value| {
        let answer = served.post("/track?client_key=k", &messages).await;
        let told = answer.json();
        (answer.status, told["counted"].clone(), told["ignored"].clone())
    };
    let (one, none) = (json!(1), json!(0));
    let evaluated = message("Feature Evaluated", json!({}));
    assert_eq!(track(json!([evaluated])).await, (200, none.clone(), one.clone()));
    let viewed = |experiment: &str, attribute: &str, id: &str| {
        message(
            "Experiment Viewed",
            json!({
                "experimentId": experiment, "variationId": "new", "hashAttribute": attribute,
                "hashValue": id,
            }),
        )
    };
    assert_eq!(track(json!([viewed("elsewhere", "uid", "d1")])).await.0, 404);
    let company = viewed("checkout", "company", "acme");
    assert_eq!(track(json!([company])).await, (200, none.clone(), one.clone()));
    assert_eq!(served.counted(), (0, 0, 0));
    // Where no event says how much, it counts all the same.
    for (properties, counted) in [
        (json!({}), &one),
        (json!({ "value": null }), &one),
        (json!({ "value": null, "revenue": 5 }), &one),
        (json!({ "value": "9.5" }), &one),
        (json!({ "value": "much", "amount": 3 }), &one),
        (json!({ "value": "much" }), &none),
        (json!({ "value": true, "revenue": "NaN" }), &none),
    ] {
        let (status, found, _) = track(json!([message("purchase", properties)])).await;
        assert_eq!((status, &found), (200, counted));
    }
    let exposure = json!([viewed("checkout", "uid", "d1")]);
    assert_eq!(track(exposure.clone()).await, (200, one.clone(), none.clone()));
    let again = served.post("/track?client_key=k", &exposure).await.json();
    assert_eq!((&again["counted"], &again["duplicate"]), (&none, &one));
    served.stop().await;
}

#[tokio::test]
async fn remote_evaluation_is_the_sdks() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |_| {}).await;
    let eval = async |attributes: Value, forced: Value| {
        let question = json!({ "attributes": attributes, "forcedVariations": forced });
        served.post("/api/eval/k", &question).await.json()["features"]["banner"].clone()
    };
    let unit = |id: Value| json!({ "id": id, "plan": "pro" });
    let of_text = eval(unit(json!("1")), json!({})).await;
    let of_number = eval(unit(json!(1.0)), json!({})).await;
    assert_eq!(of_number, of_text);
    let track = &of_number["rules"][0]["tracks"][0]["result"];
    assert_eq!(track["hashValue"], json!("1"));
    assert_eq!(eval(unit(json!(0)), json!({})).await, Value::Null);
    for index in [json!(5), json!(-1), json!(0.5), json!(null), json!("1")] {
        let forced = eval(unit(json!("1")), json!({ "banner": index })).await;
        assert_eq!(forced, Value::Null, "{index}");
    }
    let forced = eval(unit(json!("1")), json!({ "banner": 1.0 })).await;
    assert_eq!(
        (&forced["rules"][0]["force"], forced["rules"][0].get("tracks")),
        (&json!("on"), None)
    );
    let twice = json!({ "unit": "u", "experiments": ["checkout", "banner", "checkout"] });
    let decisions = served.post("/v1/decide", &twice).await.json()["decisions"].clone();
    let keys: Vec<_> = decisions.as_array().unwrap().iter().map(|it| &it["experiment"]).collect();
    assert_eq!(keys, [&json!("checkout"), &json!("banner")]);
    served.stop().await;
}

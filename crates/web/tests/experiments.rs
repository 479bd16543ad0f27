//! The API of experiments over real sockets, with the real store.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use experiment::event::UnixMicros;
use experiment::ledger::{Definition, Journal, Metric, MetricSums};
use experiment::live::params::ServiceParams;
use experiment::live::{Keeper, Kept, Live, Signer, secret_of};
use experiment::model::ExperimentSet;
use serde_json::{Value, json};
use store::{Events, Options};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

fn clock() -> UnixMicros {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_micros() as UnixMicros
}

struct Nothing;

impl Keeper for Nothing {
    fn keep(&self, _: &[Kept]) -> Result<(), String> {
        Ok(())
    }
    fn each(&self, _: &mut dyn FnMut(&Kept)) -> Result<(), String> {
        Ok(())
    }
}

/// `checkout` for OpenFeature and ourselves, `banner` for GrowthBook's clients, `draft` for nobody.
fn set() -> ExperimentSet {
    serde_json::from_value(json!({ "experiments": [
        {
            "key": "checkout", "status": "running", "unit": {"device": {"cookie": "uid"}},
            "variants": [{"key": "control"}, {"key": "new", "actions": [{"value": 1.0}]}],
            "phases": [{"since": 0, "weights": [1, 1]}],
        },
        {
            "key": "banner", "status": "running", "hash": "growthbook-2",
            "unit": {"user": {"claim": "id"}, "identity": "user"},
            "variants": [{"key": "off"}, {"key": "on"}],
            "phases": [{"since": 0, "weights": [1, 1]}],
            "targeting": {"match": {"field": "attribute:plan", "is": {"eq": "pro"}}},
        },
        {
            "key": "draft", "status": "draft", "unit": {"device": {"cookie": "uid"}},
            "variants": [{"key": "a"}, {"key": "b"}],
            "phases": [{"since": 0, "weights": [1, 1]}],
        },
    ] }))
    .unwrap()
}

fn definitions() -> Vec<Definition> {
    let metric = json!({ "name": "purchases", "kind": {"count": {"event": "purchase"}},
        "window-us": 86_400_000_000_i64 });
    let metric: Metric = serde_json::from_value(metric).unwrap();
    set().experiments.iter().map(|each| Definition::new(each, vec![metric.clone()])).collect()
}

struct Served {
    live: Arc<Live>,
    events: Arc<Events>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

/// Status, head and body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.body))
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Served {
    async fn start(folder: &Path, change: impl FnOnce(&mut ServiceParams)) -> Served {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut params = ServiceParams::new(address, folder.to_owned());
        change(&mut params);
        let events = Arc::new(Events::open(folder, Options::default()).unwrap());
        let journal = Arc::clone(&events) as Arc<dyn Journal>;
        let signer = Signer::new(&secret_of("tests"));
        let content = (set(), &definitions()[..]);
        let store = (journal, Arc::new(Nothing) as Arc<dyn Keeper>);
        let live = Live::start(store, signer, params.limits, content, clock).unwrap();
        let live = Arc::new(live);
        let (stop, stopped) = oneshot::channel::<()>();
        let control = store::SqliteControl::open(&folder.join("control.sqlite")).unwrap();
        let results = Arc::clone(&events) as Arc<dyn experiment::ledger::Results>;
        let operator = experiment::automation::Operator::new(
            Arc::new(control),
            results,
            Some(Arc::clone(&live)),
        );
        let service = (Arc::clone(&live), Arc::new(operator));
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            web::serve_experiments(listener, service, &params, stopped).await
        });
        Served { live, events, address, stop, task }
    }

    async fn raw(&self, text: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        Answer {
            status: head[9..12].parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    async fn ask(&self, line: &str, fields: &str, body: &str) -> Answer {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n{body}",
            self.address,
            body.len()
        );
        self.raw(head.as_bytes()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(&format!("POST {path}"), "", &body.to_string()).await
    }

    /// Exposed units, purchases and quarantined units of `checkout`.
    fn counted(&self) -> (u64, i128, u64) {
        let summary = self.events.read(|ledger| ledger.summary("checkout")).unwrap();
        let units = summary.arms.iter().map(|arm| arm.units).sum();
        let purchases =
            summary.arms.iter().flat_map(|arm| &arm.metrics).map(|metric| match metric {
                MetricSums::Single(sums) => sums.sums[0],
                _ => 0,
            });
        (units, purchases.sum(), summary.quarantined)
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
        self.live.stop();
    }
}

const UNIT: &str = "user-1";

async fn variant_of(served: &Served, unit: &str) -> String {
    let question = &json!({ "unit": unit, "experiments": ["checkout"] });
    served.post("/v1/decide", question).await.json()["decisions"][0]["variant"]
        .as_str()
        .unwrap()
        .to_owned()
}

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

/// With the clock of the runtime in our hands: it jumps to what is waited for.
#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |_| {}).await;
    for path in [
        "/v1/decide",
        "/v1/events",
        "/v1/exposures",
        "/v1/links",
        "/v1/experiments",
        "/ofrep/v1/evaluate/flags",
        "/api/eval/k",
        "/track?client_key=k",
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n");
        let answer = served.raw(format!("{head}Content-Length: 100\r\n\r\n{{").as_bytes()).await;
        assert_eq!(answer.status, 408, "{path}: {}", answer.body);
    }
    assert_eq!(served.counted(), (0, 0, 0));
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |params| {
        params.limits.client_rate = 1;
        params.token = Some("a token of some length".to_owned());
        params.client_keys = vec!["a client key".to_owned()];
    })
    .await;
    let key = "X-API-Key: a client key\r\n";
    let body = r#"{"context":{"targetingKey":"u"}}"#;
    let flags = "POST /ofrep/v1/evaluate/flags";
    let single = "POST /ofrep/v1/evaluate/flags/checkout";
    assert_eq!(served.ask(flags, key, body).await.status, 200);
    for line in [flags, single, "POST /v1/decide", "GET /api/features/k", "GET /sub/k"] {
        // One each second may pass, however slow this machine is.
        let mut answer = served.ask(line, key, body).await;
        for _ in 0..20 {
            if answer.status != 429 {
                answer = served.ask(line, key, body).await;
            }
        }
        assert_eq!((answer.status, answer.field("retry-after")), (429, Some("1")), "{line}");
        assert!(answer.json()["errorDetails"].is_string(), "{}", answer.body);
    }
    let token = "Authorization: Bearer a token of some length\r\n";
    for _ in 0..5 {
        assert_eq!(served.ask(flags, token, body).await.status, 200, "servers are not limited");
    }
    served.stop().await;
}

#[tokio::test]
async fn keys_and_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |params| {
        params.token = Some("t0ken".to_owned());
        params.client_keys = vec!["sdk-1".to_owned()];
        params.origins = vec!["https://shop.example".to_owned()];
    })
    .await;
    let exposure = r#"{"exposures":[{"experiment":"checkout","unit":"u","variant":"new"}]}"#;
    let decide = r#"{"unit":"u"}"#;
    let track = r#"[{"event_name":"Experiment Viewed","properties_json":{"experimentId":"checkout","variationId":"new","hashValue":"u"}}]"#;
    let token = "Authorization: Bearer t0ken\r\n";
    let key = "X-API-Key: sdk-1\r\n";
    let page = "Origin: https://evil.example\r\n";
    for (line, fields, body, status) in [
        ("POST /v1/exposures", "", exposure, 401),
        ("POST /v1/exposures", key, exposure, 401),
        ("POST /v1/exposures", "Authorization: Bearer wrong\r\n", exposure, 401),
        ("POST /v1/events", key, "{}", 401),
        ("POST /v1/links", key, "{}", 401),
        ("POST /v1/experiments", key, "{}", 401),
        ("POST /v1/experiments", "", "{}", 401),
        ("POST /v1/decide", "", decide, 401),
        ("POST /v1/decide", key, decide, 200),
        ("POST /v1/decide", token, decide, 200),
        ("GET /v1/status", "", "", 401),
        ("GET /v1/status", key, "", 200),
        ("POST /ofrep/v1/evaluate/flags", "", "{}", 401),
        ("POST /ofrep/v1/evaluate/flags/checkout", "Authorization: Bearer sdk-2\r\n", "{}", 401),
        ("GET /api/features/sdk-2", "", "", 401),
        ("GET /api/features/sdk-1", "", "", 200),
        ("GET /sub/sdk-2", "", "", 401),
        ("POST /api/eval/sdk-2", "", "{}", 401),
        ("POST /track", "", track, 401),
        ("POST /track?client_key=sdk-2", "", track, 401),
        ("GET /api/features/sdk-1", page, "", 403),
        ("POST /track?client_key=sdk-1", page, track, 403),
        ("OPTIONS /track", page, "", 403),
    ] {
        let answer = served.ask(line, fields, body).await;
        assert_eq!(answer.status, status, "{line} {fields}: {}", answer.body);
    }
    assert_eq!(served.counted(), (0, 0, 0));
    let shop = "Origin: https://shop.example\r\n";
    let preflight = served.ask("OPTIONS /ofrep/v1/evaluate/flags", shop, "").await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.field("access-control-allow-origin"), Some("https://shop.example"));
    let answer = served.ask("POST /track?client_key=sdk-1", shop, track).await;
    assert_eq!((answer.status, served.counted().0), (200, 1), "{}", answer.body);
    served.stop().await;
}

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

/// Opens a stream; over when its head has come.
async fn listen(served: &Served, line: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = format!("{line} HTTP/1.1\r\nHost: {}\r\n\r\n", served.address);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    assert!(line.contains("200"), "{line}");
    until(&mut stream, "\r\n").await;
    stream
}

async fn until(stream: &mut BufReader<TcpStream>, wanted: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).await.unwrap() > 0, "no {wanted}");
        if line == wanted || (wanted != "\r\n" && line.contains(wanted)) {
            return line;
        }
    }
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
async fn links_are_signed() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |_| {}).await;
    let link = served.post("/v1/links", &json!({ "experiment": "draft", "variant": "b" })).await;
    let link = link.json()["link"].as_str().unwrap().to_owned();
    let decide = async |link: &str| {
        let question = json!({ "unit": "u", "experiments": ["draft"], "link": link });
        let decision = served.post("/v1/decide", &question).await.json();
        (decision["decisions"][0]["variant"].clone(), decision["decisions"][0]["counted"].clone())
    };
    assert_eq!(decide(&link).await, (json!("b"), json!(false)));
    assert_eq!(decide(&link.replace(":b:", ":a:")).await, (Value::Null, json!(false)));
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

#[tokio::test]
async fn slow_clients_leave_places_for_the_tokens_holder() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), |params| {
        params.client_keys = vec!["sdk-1".to_owned()];
        params.token = Some("t0ken".to_owned());
        params.limits.requests = 4;
    })
    .await;
    // Bodies that do not come; with `Expect`, the server says when it waits for one.
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let head = "POST /v1/decide HTTP/1.1\r\nHost: a\r\nX-API-Key: sdk-1\r\n\
                    Expect: 100-continue\r\nContent-Length: 9\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut stream = BufReader::new(stream);
        assert!(until(&mut stream, "100").await.contains("100"));
        slow.push(stream);
    }
    let client = served.ask("GET /v1/status", "X-API-Key: sdk-1\r\n", "").await;
    assert_eq!(client.status, 429, "{}", client.body);
    // A proxy may add its key to the token.
    let token = "X-API-Key: sdk-1\r\nAuthorization: Bearer t0ken\r\n";
    let answer = served.ask("GET /v1/status", token, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    drop(slow);
    served.stop().await;
}

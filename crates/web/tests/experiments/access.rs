//! Who may ask, how often and how slowly.

use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::served::{Served, until};

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

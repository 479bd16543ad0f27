//! What is wrong, forged or too much, sent to every endpoint of the real program: a clear 4xx, and
//! nothing is counted.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::shop::{Answer, BROWSER, Shop, Up, ask};

/// Units that were exposed, those that saw two variants, and everything that was recorded through
/// the API.
pub(crate) fn counted(up: &Up, fields: &str) -> [u64; 3] {
    let command = json!({ "status": { "experiment": "checkout" } }).to_string();
    let shown = ask(up.api, "POST /v1/experiments", fields, command);
    assert_eq!(shown.status, 200, "{}", shown.body);
    let shown: Value = serde_json::from_str(&shown.body).unwrap();
    let health = &shown["shown"]["analysis"]["health"];
    let arms = health["arms"].as_array().unwrap_or_else(|| panic!("{shown}"));
    let units = arms.iter().map(|arm| arm["units"].as_u64().unwrap()).sum();
    let status = ask(up.api, "GET /v1/status", fields, "").body;
    let status: Value = serde_json::from_str(&status).unwrap();
    let received = ["exposures", "events"].map(|it| status["received"][it].as_u64().unwrap());
    [units, health["multiple"]["units"].as_u64().unwrap(), received.iter().sum()]
}

fn refused(answer: &Answer, what: &str) {
    assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.body);
    let told: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let words = told.get("error").or_else(|| told.get("errorDetails")).and_then(Value::as_str);
    assert!(words.is_some_and(|words| words.len() > 10), "{what}: {}", answer.body);
    assert!(answer.all("set-cookie").is_empty(), "{what}");
}

const WRITES: [(&str, &str); 5] = [
    (
        "POST /v1/exposures",
        r#"{"exposures":[{"experiment":"checkout","unit":"u","variant":"new"}]}"#,
    ),
    ("POST /v1/events", r#"{"events":[{"unit":"u","name":"purchase"}]}"#),
    ("POST /v1/links", r#"{"experiment":"checkout","variant":"new"}"#),
    ("POST /v1/experiments", r#"{"stop":{"experiment":"checkout","reason":"mischief"}}"#),
    (
        "POST /track?client_key=k",
        r#"[{"event_name":"Experiment Viewed","properties_json":
            {"experimentId":"checkout","hashValue":"u","variationId":"1"}}]"#,
    ),
];

/// Pages of other sites, and names that a foreign DNS server points here, cannot write through the
/// browser of somebody on this machine, though programs of the machine may.
#[test]
fn pages_cannot_write_through_a_browser() {
    let shop = Shop::start();
    let up = Up::start(&shop.configure(""));
    let port = up.api.port();
    let fields = [
        "Origin: https://evil.example\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        format!("Origin: http://127.0.0.1:{}\r\n", port ^ 1),
        format!("Host: evil.example:{port}\r\n"),
        format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n"),
        format!("Host: 127.0.0.1.evil.example:{port}\r\n"),
        format!("Host: localhost.evil.example:{port}\r\n"),
        "Host: \r\n".to_owned(),
    ];
    for (line, body) in WRITES {
        for fields in &fields {
            refused(&ask(up.api, line, fields, body), &format!("{line} {fields}"));
        }
        if line != "POST /track?client_key=k" {
            let site = "Sec-Fetch-Site: cross-site\r\n";
            refused(&ask(up.api, line, site, body), &format!("{line} {site}"));
        }
    }
    let preflight = ask(up.api, "OPTIONS /v1/events", &fields[0], "");
    assert_eq!(preflight.status, 403);
    assert!(preflight.all("access-control-allow-origin").is_empty());
    assert_eq!(counted(&up, ""), [0, 0, 0]);
    let (line, body) = WRITES[0];
    assert_eq!(ask(up.api, line, "", body).status, 200, "a program of this machine");
    assert_eq!(counted(&up, ""), [1, 0, 1]);
    up.stop();
}

#[test]
fn keys_of_clients_only_read() {
    let shop = Shop::start();
    let service = "token = \"the token of servers\"\nclient-keys = [\"key-of-clients\"]";
    let up = Up::start(&shop.configure_service(service, ""));
    let wrong = [
        "",
        "Authorization: Bearer key-of-clients\r\n",
        "X-API-Key: key-of-clients\r\n",
        "Authorization: Bearer the token of server\r\n",
        "Authorization: Bearer the token of serverS\r\n",
        "Authorization: Basic the token of servers\r\n",
        "Authorization: the token of servers\r\n",
        "Authorization: Bearer \r\n",
        "Cookie: token=the token of servers\r\n",
    ];
    for (line, body) in &WRITES[..4] {
        for fields in wrong {
            let answer = ask(up.api, line, fields, body);
            assert_eq!(answer.status, 401, "{line} {fields}");
            refused(&answer, line);
        }
        let in_query = format!("{line}?token=the+token+of+servers&client_key=key-of-clients");
        assert_eq!(ask(up.api, &in_query, "", body).status, 401, "{in_query}");
    }
    for line in [
        "POST /track?client_key=k",
        "POST /track",
        "GET /api/features/..%2Fkey-of-clients",
        "GET /api/features/key-of-client",
        "GET /sub/__proto__",
        "POST /api/eval/%00",
        "POST /v1/decide",
        "GET /v1/status",
        "POST /ofrep/v1/evaluate/flags",
        "POST /ofrep/v1/evaluate/flags/checkout",
    ] {
        let answer = ask(up.api, line, "", WRITES[4].1);
        assert_eq!(answer.status, 401, "{line}: {}", answer.body);
        refused(&answer, line);
    }
    let token = "Authorization: bearer the token of servers\r\n";
    assert_eq!(counted(&up, token), [0, 0, 0]);
    let (line, body) = WRITES[1];
    assert_eq!(ask(up.api, line, token, body).status, 200);
    assert_eq!(counted(&up, token), [0, 0, 1]);
    up.stop();
}

#[test]
fn what_is_no_request_counts_nothing() {
    let shop = Shop::start();
    let up = Up::start(&shop.configure(""));
    let event = |more: &str| format!(r#"{{"events":[{{"unit":"u","name":"purchase",{more}}}]}}"#);
    let batch = |id: &str| format!(r#"{{{id},"events":[{{"unit":"u","name":"purchase"}}]}}"#);
    let million = format!("{{\"events\":[{}{{}}]}}", "{},".repeat(999_999));
    let many = format!("{{\"events\":[{}1]}}", r#"{"unit":"u","name":"n"},"#.repeat(1_000));
    let deep =
        |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    let texts = [
        // Not JSON, or not of the shape.
        ("POST /v1/events", String::new()),
        ("POST /v1/events", "{".into()),
        ("POST /v1/events", "\u{feff}{}".into()),
        ("POST /v1/events", "{} {}".into()),
        ("POST /v1/events", "events=1".into()),
        ("POST /v1/events", event(r#""value":NaN"#)),
        ("POST /v1/events", event(r#""value":Infinity"#)),
        ("POST /v1/events", event(r#""value":1e400"#)),
        ("POST /v1/events", event(r#""value":1000000000000000000000000000000"#)),
        ("POST /v1/events", event(r#""value":-1000000001"#)),
        ("POST /v1/events", event(r#""value":null"#)),
        ("POST /v1/events", event(r#""value":[1]"#)),
        ("POST /v1/events", event(r#""value":true"#)),
        ("POST /v1/events", event(r#""time":1e300"#)),
        ("POST /v1/events", event(r#""time":99999999999999999999"#)),
        ("POST /v1/events", event(r#""time":{}"#)),
        ("POST /v1/events", event(r#""time":"2026-13-40T99:99:99Z""#)),
        ("POST /v1/events", event(r#""unit":"v""#)),
        ("POST /v1/events", event(r#""__proto__":{"unit":"v"}"#)),
        ("POST /v1/events", event(r#""id":"a\u0000b""#)),
        ("POST /v1/events", event(r#""id":"a\u2028\r\nX-Evil: 1""#)),
        ("POST /v1/events", event(r#""id":"\ud800""#)),
        ("POST /v1/events", deep("[", "]")),
        ("POST /v1/events", deep("{\"a\":", "}")),
        ("POST /v1/events", million),
        ("POST /v1/events", many),
        // Names of batches.
        ("POST /v1/events", batch(r#""producer":"p""#)),
        ("POST /v1/events", batch(r#""producer":"p","epoch":1"#)),
        ("POST /v1/events", batch(r#""producer":"p","epoch":-1,"sequence":0"#)),
        ("POST /v1/events", batch(r#""producer":"p","epoch":4294967296,"sequence":0"#)),
        ("POST /v1/events", batch(r#""producer":"p","epoch":1.5,"sequence":0"#)),
        ("POST /v1/events", batch(r#""producer":"p","epoch":0,"sequence":18446744073709551616"#)),
        ("POST /v1/events", batch(r#""producer":"p\r\nX: y","epoch":0,"sequence":0"#)),
        ("POST /v1/events", batch(r#""producer":"p","epoch":0,"sequence":1"#)),
        ("POST /v1/events", batch(r#""producer":"p","epoch":0,"sequence":18446744073709551615"#)),
        // Experiments and variants that there are not.
        ("POST /v1/decide", r#"{"unit":"u","experiments":["__proto__"]}"#.into()),
        ("POST /v1/decide", r#"{"unit":"u","experiments":["constructor"]}"#.into()),
        ("POST /v1/decide", r#"{"unit":"u","experiments":["../checkout"]}"#.into()),
        ("POST /v1/decide", format!(r#"{{"unit":"u","attributes":{}}}"#, deep("{\"a\":", "}"))),
        ("POST /v1/links", r#"{"experiment":"checkout","variant":"__proto__"}"#.into()),
        ("POST /v1/links", r#"{"experiment":"checkout","variant":"new","seconds":1e99}"#.into()),
        ("POST /v1/experiments", "{}".into()),
        ("POST /v1/experiments", "[]".into()),
        ("POST /v1/experiments", r#"{"status":{}}"#.into()),
        ("POST /v1/experiments", r#"{"status":{"experiment":"__proto__"}}"#.into()),
        ("POST /v1/experiments", r#"{"status":{"experiment":"../../control"}}"#.into()),
        ("POST /v1/experiments", r#"{"status":{"experiment":"checkout"},"list":null}"#.into()),
        ("POST /v1/experiments", r#"{"stop":{"experiment":"checkout' OR 1=1 --"}}"#.into()),
        (
            "POST /v1/experiments",
            r#"{"ship":{"experiment":"checkout","variant":"other","force":true}}"#.into(),
        ),
        (
            "POST /v1/experiments",
            r#"{"ship":{"experiment":"checkout","hold-back":"200%","force":true}}"#.into(),
        ),
        ("POST /v1/experiments", deep("[", "]")),
        ("POST /ofrep/v1/evaluate/flags/checkout", r#"{"context":{"targetingKey":"a\nb"}}"#.into()),
        ("POST /ofrep/v1/evaluate/flags/checkout", r#"{"context":{"targetingKey":["u"]}}"#.into()),
        ("POST /ofrep/v1/evaluate/flags/__proto__", r#"{"context":{"targetingKey":"u"}}"#.into()),
        (
            "POST /ofrep/v1/evaluate/flags/..%2f..%2fetc",
            r#"{"context":{"targetingKey":"u"}}"#.into(),
        ),
        (
            "POST /ofrep/v1/evaluate/flags/../../v1/events",
            r#"{"context":{"targetingKey":"u"}}"#.into(),
        ),
        ("POST /ofrep/v1/evaluate/flags", deep("[", "]")),
        ("POST /ofrep/v1/evaluate/flags", "null".into()),
        ("POST /api/eval/k", r#"{"attributes":{"uid":"a\r\nb"}}"#.into()),
        ("POST /api/eval/k", r#"{"attributes":{},"forcedFeatures":{"a":1}}"#.into()),
        ("POST /api/eval/k", deep("{\"attributes\":", "}")),
        ("POST /track?client_key=k", r#"{"event_name":"x"}"#.into()),
        ("POST /track?client_key=k", r#"["x"]"#.into()),
        ("POST /track?client_key=k", r#"[{"event_name":"x","user_id":7}]"#.into()),
        ("POST /track?client_key=k", r#"[{"event_name":"purchase","user_id":"a\u0000"}]"#.into()),
        ("POST /track?client_key=k", format!("[{}1]", "{},".repeat(400_000))),
        // Paths and methods.
        ("GET /v1/events", String::new()),
        ("PUT /v1/exposures", String::new()),
        ("DELETE /v1/experiments", String::new()),
        ("PATCH /api/features/k", String::new()),
        ("POST /api/features/k", String::new()),
        ("GET /track?client_key=k", String::new()),
        ("POST /v1/status", String::new()),
        ("POST /../v1/events", r#"{"events":[{"unit":"u","name":"purchase"}]}"#.into()),
        ("POST /v1/events/", r#"{"events":[{"unit":"u","name":"purchase"}]}"#.into()),
        ("POST //v1/events", r#"{"events":[{"unit":"u","name":"purchase"}]}"#.into()),
        ("POST /v1%2fevents", r#"{"events":[{"unit":"u","name":"purchase"}]}"#.into()),
    ];
    for (line, body) in &texts {
        let shown: String = body.chars().take(120).collect();
        let answer = ask(up.api, line, "", body);
        refused(&answer, &format!("{line} {shown}"));
        if answer.status == 405 {
            assert!(!answer.all("allow").is_empty(), "{line}");
        }
    }
    let good = br#"{"events":[{"unit":"u","name":"purchase"}]}"#;
    for at in 1..good.len() {
        let mut bytes = good.to_vec();
        bytes[at] = 0xff;
        refused(&ask(up.api, "POST /v1/events", "", &bytes), &format!("byte {at}"));
        refused(&ask(up.api, "POST /v1/events", "", &good[..at]), &format!("cut at {at}"));
    }
    // Bodies that are announced and do not come, heads that are none, and a head that is too large.
    for text in [
        "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{\"events\":",
        "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"eve",
        "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 43\r\n\r\n",
        "\0\0\0",
        "",
    ] {
        TcpStream::connect(up.api).unwrap().write_all(text.as_bytes()).unwrap();
    }
    let long = format!("X-Long: {}\r\n", "x".repeat(64 << 10));
    assert_eq!(ask(up.api, "POST /v1/events", &long, good).status, 431);
    assert_eq!(counted(&up, ""), [0, 0, 0]);

    // Odd, and allowed.
    let odd = "u\"'<b>\u{e9}\u{1f600};=,%0d%0a";
    let events = json!({ "events": [{ "unit": odd, "name": "__proto__", "id": odd }] });
    assert_eq!(up.post("/v1/events", &events)["status"], "recorded");
    let named = |sequence: u64| {
        json!({ "producer": odd, "epoch": 7, "sequence": sequence,
            "exposures": [{ "experiment": "checkout", "unit": odd, "variant": "new" }] })
    };
    assert_eq!(up.post("/v1/exposures", &named(0))["status"], "recorded");
    assert_eq!(up.post("/v1/exposures", &named(0))["status"], "duplicate");
    let gap = ask(up.api, "POST /v1/exposures", "", named(2).to_string());
    assert_eq!(gap.status, 409);
    assert!(gap.body.contains(r#""expected":1"#), "{}", gap.body);
    let mut fenced = named(0);
    fenced["epoch"] = json!(6);
    let fenced = ask(up.api, "POST /v1/exposures", "", fenced.to_string());
    assert_eq!(fenced.status, 409);
    assert!(fenced.body.contains(r#""epoch":7"#), "{}", fenced.body);
    assert_eq!(counted(&up, ""), [1, 0, 2]);
    up.stop();
}

/// Cookies and queries that nobody gave out, at the gateway: the page comes, the id is a new one,
/// and nothing of what was sent ends up in the answer's head.
#[test]
fn forged_cookies_are_replaced() {
    let shop = Shop::start();
    let up = Up::start(&shop.configure(""));
    let (own, other) = (up.visit("/checkout", ""), up.visit("/checkout", ""));
    let id = |answer: &Answer| answer.cookie("uid").unwrap();
    let (id_part, signature) = id(&own)["uid=".len()..]
        .rsplit_once('.')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let foreign = id(&other)["uid=".len()..].rsplit_once('.').unwrap().1.to_owned();
    let long = "x".repeat(8_000);
    let many = "a=b; ".repeat(1_000);
    let forged = [
        format!("uid={long}"),
        format!("uid={long}.{signature}"),
        format!("uid={id_part}"),
        format!("uid={id_part}."),
        format!("uid={id_part}.{foreign}"),
        format!("uid={id_part}x.{signature}"),
        format!("uid={}.{signature}", id_part.to_lowercase()),
        "uid=".to_owned(),
        "uid".to_owned(),
        "uid=;uid=.;=".to_owned(),
        "uid=%0d%0aSet-Cookie: evil=1".to_owned(),
        "uid=__proto__.constructor".to_owned(),
        "uid=\u{e9}\u{1f600}".to_owned(),
        format!("{many}; uid={id_part}.{signature}"),
        format!("UID={id_part}.{signature}"),
        "tidegate-variant=checkout:new:99999999999:AAAA".to_owned(),
        format!("tidegate-variant={long}"),
    ];
    for cookie in &forged {
        let answer = up.visit("/checkout", cookie);
        assert_eq!(answer.status, 200, "{cookie}");
        let set = answer.all("set-cookie");
        assert_eq!(set.len(), 1, "{cookie}: {set:?}");
        assert!(set[0].len() < 300 && !set[0].contains("evil"), "{cookie}: {set:?}");
        assert_ne!(id(&answer), id(&own), "{cookie}");
        assert!(answer.all("evil").is_empty());
    }
    let answer = up.visit("/checkout", &id(&own));
    assert_eq!((answer.cookie("uid"), &answer.body), (None, &own.body), "the real one is taken");
    for query in [
        format!("?tidegate-variant={long}"),
        "?tidegate-variant=checkout:new:99999999999:AAAA".to_owned(),
        "?tidegate-variant=%00%0d%0aX-Evil:1".to_owned(),
        "?uid=chosen&__proto__=1".to_owned(),
    ] {
        let answer = up.visit(&format!("/checkout{query}"), &id(&own));
        assert_eq!((answer.status, answer.all("set-cookie").len()), (200, 0), "{query}");
        assert_eq!(answer.body, own.body, "{query}");
        assert!(answer.all("x-evil").is_empty());
    }
    // Heads beyond the gateway's limits never get as far.
    let fields = format!("User-Agent: {BROWSER}\r\nCookie: uid={}\r\n", "x".repeat(200 << 10));
    assert_eq!(ask(up.web, "GET /checkout", &fields, "").status, 431);
    // Two visitors, and one for each that came with something made up.
    let units = 2 + forged.len() as u64;
    up.wait_for("each once", |status| status["exposures"]["recorded"] == json!(units));
    assert_eq!(counted(&up, ""), [units, 0, 0]);
    up.stop();
}

//! What routes do with requests and answers, end to end.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use gateway::params::*;
use testkit::origin::{Behaviour, Origin, Response};
use traffic::Ratio;

use crate::harness::{Client, PATIENCE, echo, origin, params, route, servers, start, upstream};

fn ask(client: &mut Client, request: &str, fields: &str) -> crate::harness::Response {
    client.send(format!("{request} HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n"));
    client.response(request.split(' ').next().unwrap()).unwrap()
}

#[test]
fn a_sticky_cookie_survives_the_death_of_its_server() {
    let mut origins: Vec<Origin> = (0..3).map(|n| origin(Behaviour::ok(format!("{n}")))).collect();
    let addresses: Vec<_> = origins.iter().map(Origin::addr).collect();
    let mut params = params(&addresses);
    let sticky =
        Sticky { cookie: "stay".to_owned(), max_age: None, secret: Some(b"secret".to_vec()) };
    servers(&mut params.upstreams[0]).sticky = Some(sticky);
    let running = start(params);
    let mut client = running.client();
    let first = client.get("/");
    let cookie = first.field("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly"), "{cookie}");
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    for _ in 0..6 {
        let answer = ask(&mut client, "GET /", &cookie);
        assert_eq!((answer.text(), answer.field("set-cookie")), (first.text(), None));
    }
    // Nobody can choose a server without the key.
    let forged = cookie.replace("stay=", "stay=A");
    assert!(ask(&mut client, "GET /", &forged).field("set-cookie").is_some());
    drop(origins.remove(first.text().parse().unwrap()));
    let moved = ask(&mut client, "GET /", &cookie);
    assert_eq!(moved.status, 200);
    assert_ne!(moved.text(), first.text());
    assert!(moved.field("set-cookie").is_some());
}

#[test]
fn weights_split_and_copies_go_elsewhere() {
    let origins: Vec<Origin> = (0..3).map(|_| origin(Behaviour::ok("ok"))).collect();
    let mut params = params(&[origins[0].addr()]);
    params.upstreams.push(upstream("canary", &[origins[1].addr()]));
    params.upstreams.push(upstream("shadow", &[origins[2].addr()]));
    params.routes[0].action = Action::Forward(vec![(0, 3), (1, 1)]);
    let share = Ratio::new(1.0).unwrap();
    params.routes[0].mirror = Some(Mirror { upstream: 2, share, in_flight_max: 1_000 });
    let running = start(params);
    let mut client = running.client();
    for _ in 0..400 {
        assert_eq!(client.get("/").status, 200);
    }
    // Five standard deviations of the binomial are 43.
    assert!((57..=143).contains(&origins[1].count()), "{}", origins[1].count());
    assert_eq!(origins[0].count() + origins[1].count(), 400);
    assert!(origins[2].wait_for_count(400, PATIENCE));
    running.wait_until("counted", |running| running.metric("tidegate_mirrored_total") == 400.0);
    running.wait_until_idle();
}

#[test]
fn access_is_checked_before_anything_is_forwarded() {
    let origin = echo();
    let rules = |change: fn(&mut Access)| {
        let mut params = params(&[origin.addr()]);
        change(&mut params.routes[0].access);
        start(params)
    };
    let denied = rules(|access| access.deny = vec!["127.0.0.0/8".parse().unwrap()]);
    let other = rules(|access| access.allow = vec!["10.0.0.0/8".parse().unwrap()]);
    for running in [&denied, &other] {
        let mut client = running.client();
        assert_eq!(ask(&mut client, "GET /", "X-Forwarded-For: 10.0.0.1\r\n").status, 403);
    }
    // SHA-256 of `salt:password`.
    let basic = rules(|access| {
        let hash = "sha256:salt:".to_owned() + SALTED;
        access.basic =
            Some(BasicAuth { realm: "x".to_owned(), users: vec![("ann".to_owned(), hash)] });
    });
    assert_eq!(origin.count(), 0);
    let mut client = basic.client();
    let answer = client.get("/");
    assert_eq!(answer.status, 401);
    assert!(answer.field("www-authenticate").unwrap().starts_with("Basic realm=\"x\""));
    // ann:wrong, bob:password, ann:password
    for (credentials, status) in
        [("YW5uOndyb25n", 401), ("Ym9iOnBhc3N3b3Jk", 401), ("YW5uOnBhc3N3b3Jk", 200)]
    {
        let fields = format!("Authorization: Basic {credentials}\r\n");
        assert_eq!(ask(&mut client, "GET /", &fields).status, status);
    }
    assert_eq!(origin.count(), 1);
}

const SALTED: &str = "291e247d155354e48fec2b579637782446821935fc96a5a08a0b7885179c408b";

#[test]
fn cross_origin_rules_replace_those_of_the_server() {
    let headers = vec![("Access-Control-Allow-Origin".to_owned(), "*".to_owned())];
    let origin = origin(Behaviour::Respond(Response { headers, ..Response::default() }));
    let mut params = params(&[origin.addr()]);
    params.routes[0].cors = Some(Cors {
        origins: vec!["https://a.example".to_owned()],
        methods: vec!["PUT".to_owned()],
        headers: Vec::new(),
        expose: Vec::new(),
        credentials: true,
        max_age: Duration::from_secs(60),
    });
    let running = start(params);
    let mut client = running.client();
    let preflight = "Access-Control-Request-Method: PUT\r\n";
    for (from, allowed) in
        [("https://a.example", Some("https://a.example")), ("https://b.example", None)]
    {
        let fields = format!("Origin: {from}\r\n");
        let answer = ask(&mut client, "OPTIONS /", &format!("{fields}{preflight}"));
        assert_eq!((answer.status, answer.field("access-control-allow-origin")), (204, allowed));
        let answer = ask(&mut client, "GET /", &fields);
        assert_eq!((answer.status, answer.field("access-control-allow-origin")), (200, allowed));
    }
    assert_eq!(origin.count(), 2);
}

#[test]
fn answers_of_its_own_rewrites_and_edits() {
    let origin = echo();
    let page = |status, body: &str| Page {
        status,
        content_type: "text/html".to_owned(),
        body: Arc::from(body.as_bytes()),
    };
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut params = params(&[origin.addr(), ([127, 0, 0, 1], 1).into()]);
    params.routes[0].rewrite =
        Some(Rewrite { prefix: "/api/".to_owned(), with: "/v1/".to_owned() });
    params.routes[0].request_fields = FieldEdits {
        remove: vec!["x-gone".to_owned()],
        set: vec![field("x-ip", "{client-ip}")],
        add: vec![field("x-more", "1")],
    };
    params.routes[0].response_fields.set = vec![field("x-frame-options", "DENY")];
    params.upstreams.push(upstream("dead", &[([127, 0, 0, 1], 1).into()]));
    for (path, action) in [
        ("/old", Action::Redirect { status: 301, to: "https://{host}/new{query}".to_owned() }),
        ("/fixed", Action::Respond(page(200, "hello"))),
        ("/dead", Action::Forward(vec![(1, 1)])),
    ] {
        let mut route = route(path, action);
        route.matches.path = PathMatch::Prefix(path.to_owned());
        route.error_pages = vec![(502, page(502, "sorry"))];
        params.routes.push(route);
    }
    let running = start(params);
    let mut client = running.client();
    let answer = ask(&mut client, "GET /api/x?q", "X-Gone: 1\r\nX-Ip: forged\r\nX-More: 0\r\n");
    assert_eq!((answer.status, answer.field("x-frame-options")), (200, Some("DENY")));
    let seen = &origin.requests()[0];
    assert_eq!(seen.target, "/v1/x?q");
    assert_eq!((seen.header("x-gone"), seen.header("x-ip")), (None, Some("127.0.0.1")));
    assert_eq!(
        seen.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-more")).count(),
        2
    );
    let answer = client.get("/old?a=b");
    assert_eq!(
        (answer.status, answer.field("location")),
        (301, Some("https://shop.example/new?a=b"))
    );
    // No field can be slipped into a location.
    let answer = client.get("/old?a=%0d%0aSet-Cookie:x");
    assert_eq!(answer.field("location"), Some("https://shop.example/new?a=%0d%0aSet-Cookie:x"));
    let answer = client.get("/fixed");
    assert_eq!((answer.text(), answer.field("content-type")), ("hello", Some("text/html")));
    let answer = client.get("/dead");
    assert_eq!((answer.status, answer.text()), (502, "sorry"));
    let answer = ask(&mut client, "HEAD /fixed", "");
    assert_eq!((answer.field("content-length"), answer.body.len()), (Some("5"), 0));
}

#[test]
fn bodies_are_compressed_for_who_wants_it_and_has_no_secrets() {
    let text = "a line of text\n".repeat(10_000);
    let headers = vec![
        ("Content-Type".to_owned(), "text/plain".to_owned()),
        ("ETag".to_owned(), "\"1\"".to_owned()),
    ];
    let answer = Response { headers, body: text.clone().into_bytes(), ..Response::default() };
    let origin = origin(Behaviour::Respond(answer));
    let mut params = params(&[origin.addr()]);
    params.routes[0].compression = Some(Compression {
        codings: vec![Coding::Zstd, Coding::Brotli, Coding::Gzip],
        min_bytes: 100,
        types: vec!["text/*".to_owned()],
        with_credentials: false,
    });
    let running = start(params);
    let mut client = running.client();
    for coding in ["gzip", "br", "zstd"] {
        let answer = ask(&mut client, "GET /", &format!("Accept-Encoding: {coding}\r\n"));
        assert_eq!(answer.field("content-encoding"), Some(coding));
        assert_eq!(
            (answer.field("etag"), answer.field("vary")),
            (Some("W/\"1\""), Some("Accept-Encoding"))
        );
        let mut got = Vec::new();
        let body = &answer.body[..];
        match coding {
            "gzip" => flate2::read::GzDecoder::new(body).read_to_end(&mut got).map(drop).unwrap(),
            "br" => brotli::BrotliDecompress(&mut &*body, &mut got).unwrap(),
            _ => got = zstd::decode_all(body).unwrap(),
        }
        assert!(got == text.as_bytes() && answer.body.len() < text.len() / 10);
    }
    for fields in ["", "Accept-Encoding: gzip\r\nCookie: a=b\r\n", "Accept-Encoding: identity\r\n"]
    {
        let answer = ask(&mut client, "GET /", fields);
        assert_eq!((answer.field("content-encoding"), answer.text()), (None, text.as_str()));
    }
}

#[test]
fn folders_are_served_and_nothing_outside_of_them() {
    let folder = tempfile::TempDir::new().unwrap();
    let root = folder.path().join("public");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    std::fs::write(root.join("index.html"), "<p>home").unwrap();
    std::fs::write(root.join("large.bin"), vec![b'x'; 1 << 20]).unwrap();
    std::os::unix::fs::symlink(folder.path().join("secret"), root.join("link")).unwrap();
    let mut params = params(&[([127, 0, 0, 1], 1).into()]);
    params.upstreams[0].kind = UpstreamKind::Files(Files {
        root,
        index: vec!["index.html".to_owned()],
        not_found: None,
        precompressed: false,
    });
    let running = start(params);
    let mut client = running.client();
    let home = client.get("/");
    assert_eq!(
        (home.text(), home.field("content-type")),
        ("<p>home", Some("text/html; charset=utf-8"))
    );
    assert_eq!(client.get("/large.bin").body.len(), 1 << 20);
    let part = ask(&mut client, "GET /large.bin", "Range: bytes=5-9\r\n");
    assert_eq!((part.status, part.text()), (206, "xxxxx"));
    let tag = format!("If-None-Match: {}\r\n", home.field("etag").unwrap());
    assert_eq!(ask(&mut client, "GET /", &tag).status, 304);
    for path in ["/none", "/link", "/%2e%2e%2fsecret", "/sub/%2e%2e/%2e%2e/secret", "//../secret"] {
        let answer = running.client().get(path);
        assert!(matches!(answer.status, 400 | 403 | 404), "{path}: {}", answer.status);
    }
}

#[test]
fn what_the_cache_answers_is_copied_too() {
    let fresh = vec![("cache-control".to_owned(), "max-age=60".to_owned())];
    let server = origin(Behaviour::Respond(Response { headers: fresh, ..Response::default() }));
    let shadow = echo();
    let mut params = params(&[server.addr()]);
    params.upstreams.push(upstream("shadow", &[shadow.addr()]));
    let share = Ratio::new(1.0).unwrap();
    params.routes[0].mirror = Some(Mirror { upstream: 1, share, in_flight_max: 1_000 });
    params.routes[0].cache = Some(crate::caching::cache());
    let running = start(params);
    let mut client = running.client();
    for _ in 0..10 {
        assert_eq!(client.get("/a?b=c").status, 200);
    }
    // With a body: not copied.
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(client.response("POST").unwrap().status, 200);
    assert_eq!(server.count(), 2);
    assert!(shadow.wait_for_count(10, PATIENCE));
    running.wait_until("counted", |running| running.metric("tidegate_mirrored_total") == 10.0);
    running.wait_until_idle();
    let copies = shadow.requests();
    assert_eq!(copies.len(), 10);
    for copy in copies {
        assert_eq!((copy.method.as_str(), copy.target.as_str()), ("GET", "/a?b=c"));
        assert_eq!(copy.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(copy.header("x-request-id").map(str::len), Some(32));
    }
}

#[test]
fn what_cannot_be_read_is_not_written_down_as_what_came_before() {
    let origin = echo();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let mut params = params(&[origin.addr()]);
    params.access_log = Some(AccessLog {
        path: path.clone(),
        format: LogFormat::Json,
        buffer: 1 << 20,
        rotate: None,
        keep: 0,
    });
    let running = start(params);
    let mut client = running.client();
    client.send("GET /one HTTP/1.1\r\nHost: first.example\r\n\r\n");
    assert_eq!(client.response("GET").unwrap().status, 200);
    client.send("GET /two HTTP/1.1\r\nHost: second.example\r\nbad header\r\n\r\n");
    assert_eq!(client.response("GET").unwrap().status, 400);
    running.gateway.drain();
    let log = std::fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{log}");
    let id = lines[0]["request-id"].as_str().unwrap();
    assert!(!id.is_empty());
    let second = lines[1].to_string();
    assert!(!second.contains("first.example") && !second.contains(id), "{log}");
}

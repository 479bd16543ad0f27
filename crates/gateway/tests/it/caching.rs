//! The cache in the request path. Its rules are tested in `policy` and by `http-cache-tests`.

use std::time::Duration;

use gateway::params::{Cache, CacheKey, GatewayParams, QueryKey};
use gateway::{Purged, cache::Purge};
use testkit::origin::{Behaviour, Fault, Origin, OriginConfig, Response as Answer};

use crate::harness::{Client, Running, params, start};
use crate::http2::{block_on, connect, open};

fn cached(headers: &[(&str, &str)], delay: Duration) -> Behaviour {
    let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Behaviour::Respond(Answer { headers, delay, body: b"0123456789".to_vec(), ..Answer::default() })
}

pub(crate) fn cache() -> Cache {
    Cache {
        max_bytes: 16 << 20,
        store: "site".to_owned(),
        max_object: 1 << 20,
        rules: policy::cache::Rules::default(),
        key: CacheKey::default(),
        collapse_timeout: Duration::from_secs(5),
        tag_header: "Surrogate-Key".to_owned(),
        status_header: true,
    }
}

fn with_cache(origin: &Origin, change: impl FnOnce(&mut Cache)) -> GatewayParams {
    let mut params = params(&[origin.addr()]);
    let mut cache = cache();
    change(&mut cache);
    params.routes[0].cache = Some(cache);
    params
}

fn origin(behaviour: Behaviour) -> Origin {
    Origin::start(OriginConfig::new(behaviour)).unwrap()
}

fn status_of(running: &Running, path: &str) -> String {
    let answer = Client::connect(running.address).get(path);
    answer.field("cache-status").unwrap_or("none").to_owned()
}

#[test]
fn a_fresh_answer_is_asked_for_once() {
    let origin =
        origin(cached(&[("cache-control", "max-age=60"), ("etag", "\"v1\"")], Duration::ZERO));
    let running = start(with_cache(&origin, |_| {}));
    let mut client = Client::connect(running.address);
    for number in 0..3 {
        let answer = client.get("/page?a=1");
        assert_eq!((answer.status, answer.text()), (200, "0123456789"));
        let expected = if number == 0 { "fwd=uri-miss" } else { "hit" };
        assert!(answer.field("cache-status").unwrap().contains(expected), "{}", answer.head);
        assert_eq!(answer.field("age").is_some(), number > 0);
    }
    client.send("HEAD /page?a=1 HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    let head = client.response("HEAD").unwrap();
    assert_eq!((head.status, head.field("content-length")), (200, Some("10")));
    client.send("GET /page?a=1 HTTP/1.1\r\nHost: shop.example\r\nRange: bytes=2-4\r\n\r\n");
    let part = client.response("GET").unwrap();
    assert_eq!((part.status, part.text()), (206, "234"));
    client.send("GET /page?a=1 HTTP/1.1\r\nHost: shop.example\r\nIf-None-Match: \"v1\"\r\n\r\n");
    assert_eq!(client.response("GET").unwrap().status, 304);
    assert_eq!(origin.count(), 1);
    assert!(status_of(&running, "/page?a=2").contains("fwd=uri-miss"));
    assert_eq!(origin.count(), 2);
}

#[test]
fn many_who_ask_at_once_cost_the_server_one_request() {
    let origin = origin(cached(&[("cache-control", "max-age=60")], Duration::from_millis(300)));
    let mut params = with_cache(&origin, |_| {});
    params.workers = 2;
    let running = start(params);
    let address = running.address;
    let clients: Vec<_> = (0..20)
        .map(|_| std::thread::spawn(move || Client::connect(address).get("/slow").status))
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), 200);
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn what_is_for_one_user_is_shared_with_nobody() {
    for headers in [
        &[("cache-control", "private, max-age=60")][..],
        &[("cache-control", "no-store")],
        &[("cache-control", "max-age=60"), ("set-cookie", "id=7")],
        &[("cache-control", "max-age=60"), ("vary", "*")],
    ] {
        let origin = origin(cached(headers, Duration::ZERO));
        let running = start(with_cache(&origin, |_| {}));
        for _ in 0..2 {
            assert!(!status_of(&running, "/").contains("hit"), "{headers:?}");
        }
        assert_eq!(origin.count(), 2);
    }
    let origin = origin(cached(&[("cache-control", "max-age=60")], Duration::ZERO));
    let running = start(with_cache(&origin, |_| {}));
    let mut client = Client::connect(running.address);
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\n\r\n");
        assert_eq!(client.response("GET").unwrap().status, 200);
    }
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_header_that_is_not_in_the_key_never_changes_a_stored_answer() {
    let origin = origin(Behaviour::Echo);
    let running = start(with_cache(&origin, |cache| {
        cache.rules.default_ttl = Duration::from_secs(60);
    }));
    let mut client = Client::connect(running.address);
    client
        .send("GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: evil.example\r\nX-Evil: 1\r\n\r\n");
    let poisoned = client.response("GET").unwrap();
    assert!(!poisoned.text().contains("evil.example"), "{}", poisoned.text());
    client.send("GET /x HTTP/1.1\r\nHost: b\r\n\r\n");
    assert!(client.response("GET").unwrap().field("cache-status").unwrap().contains("uri-miss"));
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_stale_answer_stands_in_for_a_server_that_fails() {
    let origin = origin(cached(&[("cache-control", "max-age=0")], Duration::ZERO));
    let running = start(with_cache(&origin, |cache| {
        cache.rules.default_ttl = Duration::from_secs(0);
        cache.rules.stale_if_error = Duration::from_secs(60);
    }));
    let mut client = Client::connect(running.address);
    assert_eq!(client.get("/").status, 200);
    origin.set_route(testkit::origin::ANY_PATH, Behaviour::status(503));
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text()), (200, "0123456789"), "{}", answer.head);
    assert!(answer.field("cache-status").unwrap().contains("stale-if-error"), "{}", answer.head);
}

#[test]
fn a_stale_answer_is_served_while_it_is_fetched_again() {
    let origin = origin(cached(
        &[("cache-control", "max-age=0, stale-while-revalidate=60")],
        Duration::ZERO,
    ));
    let running = start(with_cache(&origin, |_| {}));
    let mut client = Client::connect(running.address);
    assert_eq!(client.get("/").status, 200);
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text()), (200, "0123456789"));
    assert!(answer.field("cache-status").unwrap().contains("hit"), "{}", answer.head);
    // The client did not wait for it, and it comes all the same.
    assert!(origin.wait_for_count(2, Duration::from_secs(10)));
}

#[test]
fn an_unsafe_request_and_a_purge_forget_answers() {
    let origin = origin(cached(
        &[("cache-control", "max-age=60"), ("surrogate-key", "shoes new")],
        Duration::ZERO,
    ));
    let running = start(with_cache(&origin, |_| {}));
    let mut client = Client::connect(running.address);
    let mut asked = 0;
    let mut expect = |client: &mut Client, more: u64| {
        client.get("/shoes");
        asked += more;
        assert_eq!(origin.count(), asked);
    };
    expect(&mut client, 1);
    expect(&mut client, 0);
    client.send("POST /shoes HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response("POST").unwrap().status, 200);
    expect(&mut client, 2);
    for what in [
        Purged::Url("http://shop.example/shoes".to_owned()),
        Purged::Prefix("http://shop.example/sh".to_owned()),
        Purged::Tag("shoes".to_owned()),
        Purged::All,
    ] {
        expect(&mut client, 0);
        assert!(running.gateway.purge(&what, Purge::Hard), "{what:?}");
        expect(&mut client, 1);
    }
    assert!(!running.gateway.purge(&Purged::Url("no url".to_owned()), Purge::Hard));
}

#[test]
fn a_stale_answer_in_place_of_an_error_is_whole_for_whoever_has_none() {
    let origin =
        origin(cached(&[("cache-control", "max-age=0"), ("etag", "\"v1\"")], Duration::ZERO));
    let running = start(with_cache(&origin, |cache| {
        cache.rules.stale_if_error = Duration::from_secs(60);
    }));
    let mut client = Client::connect(running.address);
    assert_eq!(client.get("/").status, 200);
    drop(origin);
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text()), (200, "0123456789"), "{}", answer.head);
}

#[test]
fn a_get_with_a_body_is_neither_kept_nor_answered_from_the_store() {
    let origin = origin(Behaviour::Echo);
    let running = start(with_cache(&origin, |cache| {
        cache.rules.default_ttl = Duration::from_secs(60);
    }));
    block_on(async {
        let (send, _connection) = connect(running.address).await;
        for _ in 0..2 {
            let (answer, mut body) = open(&send, "GET", "/page", false).await;
            body.send_data("poison".into(), true).unwrap();
            assert_eq!(answer.await.unwrap().status(), 200);
        }
    });
    assert_eq!(origin.count(), 2);
    let mut client = Client::connect(running.address);
    assert!(!client.get("/page").text().contains("poison"));
    client.send("GET /page HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 1\r\n\r\nx");
    assert!(client.response("GET").unwrap().text().contains("\"body\":\"x\""));
}

#[test]
fn a_kept_answer_that_has_no_body_says_where_it_ends() {
    for status in [200, 204, 205, 404] {
        let headers = vec![("cache-control".to_owned(), "max-age=60".to_owned())];
        let answer = Answer { status, headers, body: Vec::new(), ..Answer::default() };
        let origin = origin(Behaviour::Respond(answer));
        let running = start(with_cache(&origin, |_| {}));
        let mut client = Client::connect(running.address);
        for _ in 0..3 {
            let answer = client.get("/");
            assert_eq!((answer.status, answer.text()), (status, ""), "{}", answer.head);
        }
        assert_eq!(origin.count(), 1, "{status}");
    }
}

#[test]
fn a_tunnel_through_a_cached_route_is_one() {
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                     Upgrade: websocket\r\n\r\nhello";
    let origin =
        origin(Behaviour::Fault(Fault::Raw { bytes: switching.as_bytes().to_vec(), close: true }));
    let running = start(with_cache(&origin, |_| {}));
    for method in ["GET", "POST"] {
        let mut client = Client::connect(running.address);
        client.send(format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\
             Upgrade: websocket\r\n\r\n"
        ));
        assert_eq!(client.response("GET").unwrap().status, 101);
        // What follows is no request.
        client.send("GET /inside HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.everything(), "hello", "{method}");
    }
    assert_eq!(running.metric("tidegate_tunnels_total"), 2.0);
}

#[test]
fn what_depends_on_who_asks_is_not_shared() {
    for name in ["X-Forwarded-For", "Forwarded", "x-request-id"] {
        let fields = [("cache-control", "max-age=60"), ("vary", name)];
        let origin = origin(cached(&fields, Duration::ZERO));
        let mut params = with_cache(&origin, |_| {});
        params.forwarding.forwarded = true;
        let running = start(params);
        for _ in 0..2 {
            assert!(!status_of(&running, "/").contains("hit"), "{name}");
        }
        assert_eq!(origin.count(), 2, "{name}");
    }
}

#[test]
fn what_does_not_count_in_the_key_does_not_shape_a_kept_answer() {
    let origin = origin(Behaviour::Echo);
    let running = start(with_cache(&origin, |cache| {
        cache.rules.default_ttl = Duration::from_secs(60);
        cache.key.query = QueryKey::Except(vec!["utm_*".to_owned()]);
    }));
    let mut client = Client::connect(running.address);
    client.send("GET /x?a=1&utm_x=evil HTTP/1.1\r\nHost: Shop.Example.:80\r\n\r\n");
    let first = client.response("GET").unwrap();
    assert!(!first.text().contains("evil"), "{}", first.text());
    assert!(first.text().contains("/x?a=1\""), "{}", first.text());
    assert!(!first.text().contains("Shop.Example."), "{}", first.text());
    client.send("GET /x?a=1 HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(client.response("GET").unwrap().text(), first.text());
    assert_eq!(origin.count(), 1);
    // What is not kept passes as it came.
    client.send("POST /x?a=1&utm_x=y HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n\r\n");
    assert!(client.response("POST").unwrap().text().contains("utm_x=y"));
}

#[test]
fn a_client_that_reads_slowly_does_not_hold_up_everybody_else() {
    let fields = [("cache-control", "max-age=60")];
    let headers = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let body = vec![b'x'; 16 << 20];
    let origin = origin(Behaviour::Respond(Answer { headers, body, ..Answer::default() }));
    let running = start(with_cache(&origin, |cache| {
        cache.max_bytes = 256 << 20;
        cache.max_object = 32 << 20;
        cache.collapse_timeout = Duration::from_millis(500);
    }));
    let mut slow = Client::connect(running.address);
    slow.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert!(origin.wait_for_count(1, Duration::from_secs(10)));
    // The first waits in vain and takes over; the others find what it fetched.
    for number in 0..3 {
        let answer = Client::connect(running.address).get("/");
        assert_eq!((answer.status, answer.body.len()), (200, 16 << 20));
        let hit = answer.field("cache-status").unwrap().contains("hit");
        assert_eq!(hit, number > 0, "{}", answer.head);
    }
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_stale_answer_is_whole_though_the_server_used_up_the_time() {
    let headers = vec![("cache-control".to_owned(), "max-age=0".to_owned())];
    let body = vec![b'x'; 16 << 20];
    let origin = origin(Behaviour::Respond(Answer { headers, body, ..Answer::default() }));
    let mut params = with_cache(&origin, |cache| {
        cache.max_bytes = 128 << 20;
        cache.max_object = 32 << 20;
        cache.rules.stale_if_error = Duration::from_secs(60);
    });
    params.routes[0].timeouts.total = Some(Duration::from_secs(2));
    let running = start(params);
    let mut client = Client::connect(running.address);
    assert_eq!(client.get("/").status, 200);
    origin.set_route(testkit::origin::ANY_PATH, Behaviour::Fault(Fault::Silent));
    let answer = client.get("/");
    assert_eq!((answer.status, answer.body.len()), (200, 16 << 20));
    assert!(answer.field("cache-status").unwrap().contains("stale-if-error"), "{}", answer.head);
}

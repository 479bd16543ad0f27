//! The cache in the request path. Its rules are tested in `policy` and by `http-cache-tests`.

use std::time::Duration;

use gateway::params::{Cache, CacheKey, GatewayParams};
use gateway::{Purged, cache::Purge};
use testkit::origin::{Behaviour, Origin, OriginConfig, Response as Answer};

use crate::harness::{Client, Running, params, start};

pub(crate) fn cached(headers: &[(&str, &str)], delay: Duration) -> Behaviour {
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

//! The cache as the request path uses it, with origins made of closures.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use policy::cache::{Forward, Rules};
use traffic::{Fields, Name};

use super::*;
use crate::params::{Cache, CacheKey};

const NOW: i64 = 1_700_000_000;
const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

fn params() -> Cache {
    Cache {
        max_bytes: 8 << 20,
        store: "s".into(),
        max_object: 1 << 20,
        rules: Rules::default(),
        key: CacheKey::default(),
        collapse_timeout: Duration::from_secs(1),
        tag_header: "Surrogate-Key".into(),
        status_header: true,
    }
}

fn cache_by(params: &Cache) -> RouteCache {
    RouteCache::new(params, Store::new(params.max_bytes, params.max_object))
}

fn fields(lines: &[(&str, &str)]) -> Fields {
    lines.iter().copied().collect()
}

fn request<'a>(method: &'a str, path: &'a str, fields: &'a Fields) -> CacheRequest<'a> {
    CacheRequest {
        method,
        scheme: "http",
        host: "a.test",
        port: 80,
        path,
        query: None,
        fields,
        body: fields.has(Name::ContentLength) || fields.has(Name::TransferEncoding),
    }
}

/// Asks the cache, and the origin with the given answer when need be.
fn judge(
    cache: &RouteCache,
    request: &CacheRequest<'_>,
    now: i64,
    status: u16,
    response: &Fields,
) -> (Visit, Verdict) {
    let visit = cache.lookup(request, now);
    let length = response.get(Name::ContentLength);
    let length = length.and_then(|length| wire::content_length(length).ok());
    let answered = Answered {
        status,
        fields: response,
        requested: now,
        received: now,
        length,
        personal: false,
    };
    let verdict = cache.on_response(&visit, request, &answered, None);
    (visit, verdict)
}

/// Has an answer kept.
fn keep(
    cache: &RouteCache,
    path: &str,
    asked: &[(&str, &str)],
    response: &[(&str, &str)],
    body: &[u8],
) {
    let asked = fields(asked);
    let (_, verdict) = judge(cache, &request("GET", path, &asked), NOW, 200, &fields(response));
    let Verdict::Keep(mut fill) = verdict else { panic!("not kept: {verdict:?}") };
    fill.push(body);
    assert!(fill.finish().is_some());
}

fn hit(cache: &RouteCache, path: &str, asked: &[(&str, &str)], now: i64) -> Option<CachedAnswer> {
    let asked = fields(asked);
    let request = request("GET", path, &asked);
    match cache.lookup(&request, now).found {
        Found::Hit(entry) => Some(cache.answer(&entry, &request, now)),
        _ => None,
    }
}

#[test]
fn what_is_kept_is_served_until_it_is_stale() {
    let cache = cache_by(&params());
    assert!(hit(&cache, "/", &[], NOW).is_none());
    keep(
        &cache,
        "/",
        &[],
        &[FRESH, ("Set-Cookie2", "x"), ("Connection", "x-a"), ("X-A", "1")],
        b"hello",
    );
    let entry = hit(&cache, "/", &[], NOW + 59).unwrap();
    assert_eq!((entry.status, entry.age, &entry.body[..]), (200, 59, &b"hello"[..]));
    let asked = fields(&[]);
    let Found::Hit(entry) = cache.lookup(&request("HEAD", "/", &asked), NOW).found else {
        panic!()
    };
    let head = String::from_utf8(entry.head.to_vec()).unwrap();
    assert!(head.contains("Content-Length: 5\r\n") && head.contains("Date: "), "{head}");
    assert!(!head.contains("X-A") && !head.contains("Connection"), "{head}");
    assert!(cache.answer(&entry, &request("HEAD", "/", &asked), NOW).body.is_empty());
    assert!(hit(&cache, "/", &[], NOW + 60).is_none());
    assert!(hit(&cache, "/other", &[], NOW).is_none());
}

#[test]
fn conditions_and_ranges_are_answered_from_the_store() {
    let cache = cache_by(&params());
    keep(&cache, "/", &[], &[FRESH, ("ETag", "\"a\""), ("Content-Type", "x/y")], b"0123456789");
    let same = hit(&cache, "/", &[("If-None-Match", "\"a\"")], NOW).unwrap();
    let sent = same.fields.unwrap();
    assert!(same.status == 304 && same.body.is_empty());
    assert!(sent.has(Name::ETag) && sent.has(Name::Date) && !sent.has(Name::ContentLength));
    assert_eq!(hit(&cache, "/", &[("If-None-Match", "\"b\"")], NOW).unwrap().status, 200);
    let part = hit(&cache, "/", &[("Range", "bytes=2-4")], NOW).unwrap();
    let sent = part.fields.unwrap();
    assert_eq!((part.status, &part.body[..]), (206, &b"234"[..]));
    assert_eq!(sent.get(Name::ContentRange), Some(&b"bytes 2-4/10"[..]));
    assert_eq!(sent.all(Name::ContentLength).collect::<Vec<_>>(), [b"3"]);
    let outside = hit(&cache, "/", &[("Range", "bytes=10-")], NOW).unwrap();
    assert_eq!(outside.status, 416);
    let whole = hit(&cache, "/", &[("Range", "bytes=1-2"), ("If-Range", "\"b\"")], NOW).unwrap();
    assert_eq!((whole.status, whole.body.len()), (200, 10));
}

#[test]
fn a_304_makes_it_fresh_again_and_updates_fields() {
    let cache = cache_by(&params());
    keep(&cache, "/", &[], &[FRESH, ("ETag", "\"a\""), ("X-A", "1")], b"hello");
    let asked = fields(&[("If-None-Match", "\"client\"")]);
    let request = request("GET", "/", &asked);
    let visit = cache.lookup(&request, NOW + 100);
    let mut forwarded = asked.clone();
    visit.prepare(&mut forwarded);
    assert_eq!(forwarded.all(Name::IfNoneMatch).collect::<Vec<_>>(), [b"\"a\""]);
    let answer = fields(&[FRESH, ("X-A", "2")]);
    let answered = Answered {
        status: 304,
        fields: &answer,
        requested: NOW + 100,
        received: NOW + 100,
        length: None,
        personal: false,
    };
    let verdict = cache.on_response(&visit, &request, &answered, None);
    let Verdict::Confirmed(entry) = verdict else { panic!("{verdict:?}") };
    assert_eq!(cache.answer(&entry, &request, NOW + 100).status, 200);
    let answer = hit(&cache, "/", &[], NOW + 159).unwrap();
    assert_eq!((answer.age, &answer.body[..]), (59, &b"hello"[..]));
    assert_eq!(entry.fields.get_named("X-A"), Some(&b"2"[..]));
}

#[test]
fn another_variant_is_confirmed_by_its_tag() {
    let cache = cache_by(&params());
    for (value, tag) in [("1", "\"one\""), ("2", "\"two\"")] {
        keep(
            &cache,
            "/",
            &[("Foo", value)],
            &[FRESH, ("Vary", "foo"), ("ETag", tag)],
            tag.as_bytes(),
        );
    }
    let asked = fields(&[("Foo", "3")]);
    let three = request("GET", "/", &asked);
    let (visit, verdict) = judge(&cache, &three, NOW, 304, &fields(&[FRESH, ("ETag", "\"one\"")]));
    assert!(matches!(visit.found, Found::Miss { why: Forward::VaryMiss, .. }));
    assert!(matches!(verdict, Verdict::Confirmed(entry) if &entry.body[..] == b"\"one\""));
    for value in ["1", "2", "3"] {
        assert!(hit(&cache, "/", &[("Foo", value)], NOW).is_some(), "{value}");
    }
    let asked = fields(&[("Foo", "4")]);
    let four = request("GET", "/", &asked);
    let (_, verdict) = judge(&cache, &four, NOW, 304, &fields(&[("ETag", "\"strange\"")]));
    assert!(matches!(verdict, Verdict::Again));
}

#[test]
fn stale_entries_stand_in_when_permitted() {
    let cache = cache_by(&params());
    let none = fields(&[]);
    let windows = "max-age=10, stale-while-revalidate=5, stale-if-error=50";
    keep(&cache, "/", &[], &[("Cache-Control", windows)], b"x");
    keep(&cache, "/strict", &[], &[("Cache-Control", "max-age=10, must-revalidate")], b"x");
    let at = |path, now| cache.lookup(&request("GET", path, &none), now);
    assert!(matches!(at("/", NOW + 15).found, Found::Stale { may_serve: true, .. }));
    let late = at("/", NOW + 60);
    assert!(matches!(late.found, Found::Stale { may_serve: false, if_error: true, .. }));
    assert!(cache.on_failure(&late, None).is_some());
    let failed = judge(&cache, &request("GET", "/", &none), NOW + 60, 503, &none).1;
    assert!(matches!(failed, Verdict::Stale(_)));
    assert!(cache.on_failure(&at("/", NOW + 61), None).is_none());
    assert!(cache.on_failure(&at("/strict", NOW + 11), None).is_none());
    let cached = fields(&[("Cache-Control", "only-if-cached")]);
    let visit = cache.lookup(&request("GET", "/none", &cached), NOW);
    assert!(matches!(visit.found, Found::OnlyIfCached));
}

#[test]
fn unsafe_requests_invalidate_what_they_name() {
    let cache = cache_by(&params());
    for path in ["/a", "/b", "/c", "/d"] {
        keep(&cache, path, &[], &[FRESH], b"x");
    }
    let none = fields(&[]);
    let locations = fields(&[("Location", "http://a.test/b"), ("Content-Location", "c")]);
    judge(&cache, &request("POST", "/a", &none), NOW, 500, &locations);
    assert!(hit(&cache, "/a", &[], NOW).is_some());
    judge(&cache, &request("M-SEARCH", "/a", &none), NOW, 201, &locations);
    for (path, there) in [("/a", false), ("/b", false), ("/c", false), ("/d", true)] {
        assert_eq!(hit(&cache, path, &[], NOW).is_some(), there, "{path}");
    }
    // The answer itself may be kept for a later GET.
    let own = fields(&[FRESH, ("Content-Location", "/a")]);
    let (_, verdict) = judge(&cache, &request("POST", "/a", &none), NOW, 200, &own);
    let Verdict::Keep(fill) = verdict else { panic!("{verdict:?}") };
    assert!(fill.finish().is_some() && hit(&cache, "/a", &[], NOW).is_some());
}

#[test]
fn head_updates_or_removes() {
    let cache = cache_by(&params());
    let none = fields(&[]);
    keep(&cache, "/", &[], &[FRESH], b"12345");
    let head = request("HEAD", "/", &none);
    judge(&cache, &head, NOW + 100, 200, &fields(&[FRESH, ("X", "1"), ("Content-Length", "5")]));
    assert!(hit(&cache, "/", &[], NOW + 159).is_some());
    judge(&cache, &head, NOW + 200, 200, &fields(&[FRESH, ("Content-Length", "6")]));
    let visit = cache.lookup(&head, NOW + 200);
    assert!(matches!(visit.found, Found::Miss { why: Forward::UriMiss, .. }));
}

#[test]
fn partial_and_oversized_bodies_are_not_kept() {
    let params = Cache { max_object: 1_000, ..params() };
    let cache = cache_by(&params);
    let none = fields(&[]);
    let get = request("GET", "/", &none);
    let fill = |lines: &[(&str, &str)]| match judge(&cache, &get, NOW, 200, &fields(lines)).1 {
        Verdict::Keep(fill) => Some(fill),
        _ => None,
    };
    assert!(fill(&[FRESH, ("Content-Length", "1001")]).is_none());
    let mut short = fill(&[FRESH, ("Content-Length", "5")]).unwrap();
    short.push(b"1234");
    assert!(short.finish().is_none());
    let mut dropped = fill(&[FRESH]).unwrap();
    dropped.push(b"1234");
    drop(dropped);
    let mut long = fill(&[FRESH]).unwrap();
    long.push(&[0; 600]);
    long.push(&[0; 600]);
    assert!(!long.is_on() && long.finish().is_none());
    assert!(hit(&cache, "/", &[], NOW).is_none());
    assert_eq!((cache.store().filling(), cache.store().keys()), (0, 0));
}

#[test]
fn bytes_are_bounded_whatever_comes() {
    let params = Cache { max_bytes: 256 << 10, max_object: 16 << 10, ..params() };
    let cache = cache_by(&params);
    for index in 0..400 {
        let path = format!("/{index}");
        keep(&cache, &path, &[], &[FRESH], &[b'x'; 10 << 10]);
        assert!(cache.store().bytes() <= params.max_bytes);
    }
    assert!(cache.store().keys() > 5);
    for index in 0..400 {
        let value = index.to_string();
        keep(&cache, "/v", &[("Foo", &value)], &[FRESH, ("Vary", "Foo")], b"x");
    }
    let found =
        (0..400).filter(|index| hit(&cache, "/v", &[("Foo", &index.to_string())], NOW).is_some());
    assert_eq!(found.count(), VARIANTS_MAX);
}

#[test]
fn purges_are_hard_or_soft_by_url_prefix_and_tag() {
    type Action = fn(&RouteCache, Purge);
    let actions: [Action; 5] = [
        |cache, how| assert!(cache.purge_url("http://A.test/p/q", how)),
        |cache, how| cache.store().purge_prefix("/p/", how),
        |cache, how| cache.store().purge_prefix("http://a.test:80/p/q", how),
        |cache, how| cache.store().purge_tag("two", how),
        |cache, how| cache.store().purge_all(how),
    ];
    let none = fields(&[]);
    for (index, action) in actions.into_iter().enumerate() {
        let cache = cache_by(&params());
        let response = [FRESH, ("ETag", "\"a\""), ("Surrogate-Key", "one two"), ("Vary", "Foo")];
        keep(&cache, "/p/q", &[], &response, b"x");
        keep(&cache, "/p/q", &[("Foo", "1")], &response, b"x");
        let get = request("GET", "/p/q", &none);
        action(&cache, Purge::Soft);
        let visit = cache.lookup(&get, NOW);
        assert!(matches!(visit.found, Found::Stale { may_serve: false, .. }), "{index}");
        judge(&cache, &get, NOW, 304, &fields(&response));
        assert!(hit(&cache, "/p/q", &[], NOW).is_some(), "{index}");
        action(&cache, Purge::Hard);
        for asked in [&[][..], &[("Foo", "1")]] {
            assert!(hit(&cache, "/p/q", asked, NOW).is_none(), "{index}");
        }
        let visit = cache.lookup(&get, NOW);
        assert!(matches!(visit.found, Found::Miss { .. }), "{index}");
        keep(&cache, "/p/q", &[], &response, b"y");
        assert!(hit(&cache, "/p/q", &[], NOW).is_some(), "{index}");
    }
    let cache = cache_by(&params());
    assert!(!cache.purge_url("/p", Purge::Hard) && !cache.purge_url("http://", Purge::Hard));
}

#[test]
fn what_was_fetched_before_a_purge_is_not_kept_after_it() {
    let cache = cache_by(&params());
    let none = fields(&[]);
    let get = request("GET", "/", &none);
    let Verdict::Keep(fill) = judge(&cache, &get, NOW, 200, &fields(&[FRESH])).1 else { panic!() };
    assert!(cache.purge_url("http://a.test/", Purge::Hard));
    assert!(fill.finish().is_none() && hit(&cache, "/", &[], NOW).is_none());
    // Nor confirmed after it.
    keep(&cache, "/", &[], &[FRESH, ("ETag", "\"a\"")], b"x");
    let visit = cache.lookup(&get, NOW + 100);
    cache.store().purge_all(Purge::Hard);
    let answer = fields(&[FRESH]);
    let answered = Answered {
        status: 304,
        fields: &answer,
        requested: NOW + 100,
        received: NOW + 100,
        length: None,
        personal: false,
    };
    let verdict = cache.on_response(&visit, &get, &answered, None);
    assert!(matches!(verdict, Verdict::Confirmed(_)));
    assert!(hit(&cache, "/", &[], NOW + 100).is_none());
}

#[test]
fn threads_never_see_what_was_purged() {
    let cache = cache_by(&params());
    // What the origin has, and what has been purged up to.
    let (origin, version) = (AtomicU64::new(1), AtomicU64::new(1));
    let (hits, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let none = fields(&[]);
                let get = request("GET", "/", &none);
                while !done.load(SeqCst) {
                    // What was purged before this point must not be seen after it.
                    let least = version.load(SeqCst);
                    let visit = cache.lookup(&get, NOW);
                    if let Found::Hit(entry) = &visit.found {
                        let seen = u64::from_le_bytes(entry.body[..].try_into().unwrap());
                        assert!(seen >= least, "{seen} after the purge of {least}");
                        hits.fetch_add(1, SeqCst);
                        continue;
                    }
                    let body = origin.load(SeqCst).to_le_bytes();
                    let response = fields(&[FRESH, ("Surrogate-Key", "t")]);
                    let answered = Answered {
                        status: 200,
                        fields: &response,
                        requested: NOW,
                        received: NOW,
                        length: None,
                        personal: false,
                    };
                    if let Verdict::Keep(mut fill) =
                        cache.on_response(&visit, &get, &answered, None)
                    {
                        fill.push(&body);
                        fill.finish();
                    }
                }
            });
        }
        let purging = |round: u64| match round % 4 {
            0 => cache.store().purge_tag("t", Purge::Hard),
            1 => cache.store().purge_prefix("/", Purge::Hard),
            2 => cache.store().purge_all(Purge::Hard),
            _ => assert!(cache.purge_url("http://a.test/", Purge::Hard)),
        };
        for round in 2..1_000 {
            // The origin changes, then the purge is made, and only then is it counted on.
            origin.store(round, SeqCst);
            purging(round);
            version.store(round, SeqCst);
            let before = hits.load(SeqCst);
            while round % 3 == 0 && hits.load(SeqCst) == before {
                std::thread::yield_now();
            }
        }
        done.store(true, SeqCst);
    });
    assert_eq!(cache.store().filling(), 0);
}

#[test]
fn one_leads_and_the_others_have_its_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let cache = cache_by(&params());
        let none = fields(&[]);
        let get = request("GET", "/", &none);
        let response = fields(&[FRESH]);
        let answered = Answered {
            status: 200,
            fields: &response,
            requested: NOW,
            received: NOW,
            length: None,
            personal: false,
        };
        let first = cache.lookup(&get, NOW);
        let Turn::Lead(flight) = cache.join(&first, NOW) else { panic!("does not lead") };
        let second = cache.lookup(&get, NOW);
        let Turn::Follow(follower) = cache.join(&second, NOW) else { panic!("does not wait") };
        let third = cache.lookup(&get, NOW);
        let Turn::Follow(next) = cache.join(&third, NOW) else { panic!("does not wait") };
        assert!(cache.refresh(&third, NOW).is_none());
        let verdict = cache.on_response(&first, &get, &answered, Some(flight));
        let Verdict::Keep(mut fill) = verdict else { panic!("{verdict:?}") };
        fill.push(b"half");
        drop(fill);
        let After::Lead(flight) = follower.wait().await else { panic!("does not take over") };
        let verdict = cache.on_response(&second, &get, &answered, Some(flight));
        let Verdict::Keep(mut fill) = verdict else { panic!("{verdict:?}") };
        fill.push(b"whole");
        assert!(fill.finish().is_some());
        assert!(matches!(next.wait().await, After::Ready));
        assert_eq!(&hit(&cache, "/", &[], NOW).unwrap().body[..], b"whole");
        assert_eq!(cache.store().flights(), 0);

        // What cannot be shared is remembered for a while; what only this client asked is not.
        let private = fields(&[("Cache-Control", "private")]);
        let other = request("GET", "/other", &none);
        let visit = cache.lookup(&other, NOW);
        let Turn::Lead(flight) = cache.join(&visit, NOW) else { panic!("does not lead") };
        let answered = Answered {
            status: 200,
            fields: &private,
            requested: NOW,
            received: NOW,
            length: None,
            personal: false,
        };
        cache.on_response(&visit, &other, &answered, Some(flight));
        assert!(matches!(cache.join(&visit, NOW), Turn::Alone));
        let ranged = fields(&[("Range", "bytes=0-1")]);
        let visit = cache.lookup(&request("GET", "/ranged", &ranged), NOW);
        assert!(matches!(cache.join(&visit, NOW), Turn::Alone));
    });
}

#[test]
fn requests_that_are_not_for_the_store_pass_by() {
    let cache = cache_by(&params());
    keep(&cache, "/", &[], &[FRESH], b"x");
    for asked in [
        ("If-Match", "\"a\""),
        ("If-Unmodified-Since", "Wed, 01 Jan 2020 00:00:00 GMT"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Cache-Control", "no-store"),
    ] {
        let asked = fields(&[asked]);
        let get = request("GET", "/", &asked);
        let (visit, verdict) = judge(&cache, &get, NOW, 200, &fields(&[FRESH]));
        assert!(matches!(visit.found, Found::Bypass(_)), "{asked:?}");
        assert!(matches!(verdict, Verdict::Pass(_)), "{asked:?}");
    }
}

#[test]
fn purged_urls_cost_no_others() {
    let cache = cache_by(&params());
    for page in 0..200 {
        keep(&cache, &format!("/page/{page}"), &[], &[FRESH], b"x");
    }
    // More than there are places to remember them: as many carts are changed.
    for cart in 0..40_000 {
        assert!(cache.purge_url(&format!("http://a.test/cart/{cart}"), Purge::Hard));
    }
    let kept = (0..200).filter(|page| hit(&cache, &format!("/page/{page}"), &[], NOW).is_some());
    assert_eq!(kept.count(), 200);
    assert!(cache.purge_url("http://a.test/page/7", Purge::Hard));
    assert!(hit(&cache, "/page/7", &[], NOW).is_none());
}

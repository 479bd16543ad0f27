//! What experiments decide about requests, done by the gateway.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::{Asked, Experiments, Gateway, Served, Treatment};
use traffic::Name;

use crate::caching::{cache, cached};
use crate::harness::{Client, Running, echo, origin, params, upstream};

/// Gives `/x` the variant that the cookie `v` names, and remembers what was served.
#[derive(Default)]
struct ByCookie(Mutex<Vec<(String, u16, Option<&'static str>)>>);

impl Experiments for ByCookie {
    fn treat(&self, asked: &Asked<'_>) -> Treatment {
        let cookie = asked.fields.get(Name::Cookie).unwrap_or_default();
        let mut treatment = Treatment::default();
        let Some(variant) = cookie.strip_prefix(b"v=") else { return treatment };
        let variant = String::from_utf8_lossy(variant).into_owned();
        match variant.as_str() {
            "other" => treatment.upstream = Some("other".to_owned()),
            "moved" => treatment.redirect = Some((302, "/elsewhere".to_owned())),
            "path" => treatment.rewrite = Some(("/x".to_owned(), "/y".to_owned())),
            _ => {}
        }
        treatment.request_fields.push(("X-Variant".to_owned(), variant.clone()));
        treatment.response_fields.push(("Set-Cookie".to_owned(), "uid=1\r\nEvil: 1".to_owned()));
        treatment.variants = format!("test={variant}");
        treatment.note = Some(Box::new(variant));
        treatment
    }

    fn served(&self, treatment: Treatment, served: &Served<'_>) {
        assert_eq!(served.route, "site");
        let Some(note) = treatment.note.and_then(|note| note.downcast::<String>().ok()) else {
            return;
        };
        self.0.lock().unwrap().push((*note, served.status, served.cache));
    }
}

fn ask(running: &Running, variant: &str) -> crate::harness::Response {
    let mut client = Client::connect(running.address);
    client.send(format!("GET /x HTTP/1.1\r\nHost: shop.example\r\nCookie: v={variant}\r\n\r\n"));
    client.response("GET").unwrap()
}

fn start(params: gateway::params::GatewayParams) -> (Running, Arc<ByCookie>) {
    let experiments = Arc::new(ByCookie::default());
    let shared = Arc::clone(&experiments) as Arc<dyn Experiments>;
    let gateway = Gateway::start_with(params, Vec::new(), Some(shared)).unwrap();
    (Running::of(gateway), experiments)
}

#[test]
fn a_variant_changes_what_is_asked_and_answered() {
    let (first, second) = (echo(), echo());
    let mut params = params(&[first.addr()]);
    params.upstreams.push(upstream("other", &[second.addr()]));
    let (running, experiments) = start(params);
    let plain = Client::connect(running.address).get("/x");
    assert!(!plain.text().to_lowercase().contains("x-variant"), "{}", plain.text());
    let treated = ask(&running, "blue");
    assert!(
        treated.text().to_lowercase().contains(r#"["x-variant","blue"]"#),
        "{}",
        treated.text()
    );
    assert_eq!(treated.field("set-cookie"), Some("uid=1Evil: 1"));
    assert_eq!(treated.field("evil"), None);
    assert_eq!((first.count(), second.count()), (2, 0));
    assert_eq!(ask(&running, "other").status, 200);
    assert_eq!((first.count(), second.count()), (2, 1));
    assert!(ask(&running, "path").text().contains(r#""target":"/y""#), "the path is rewritten");
    let moved = ask(&running, "moved");
    assert_eq!((moved.status, moved.field("location")), (302, Some("/elsewhere")));
    drop(running);
    let seen = experiments.0.lock().unwrap().clone();
    let expected = [("blue", 200), ("other", 200), ("path", 200), ("moved", 302)];
    assert_eq!(seen, expected.map(|(variant, status)| (variant.to_owned(), status, None)));
}

#[test]
fn the_cache_keeps_variants_apart() {
    let origin = origin(cached(&[("cache-control", "max-age=60")], Duration::ZERO));
    let mut params = params(&[origin.addr()]);
    params.routes[0].cache = Some(cache());
    let (running, experiments) = start(params);
    for variant in ["a", "a", "b", "b", "a"] {
        let answer = ask(&running, variant);
        assert_eq!((answer.status, answer.field("set-cookie")), (200, Some("uid=1Evil: 1")));
    }
    assert_eq!(Client::connect(running.address).get("/x").status, 200);
    assert_eq!(origin.count(), 3, "one for each variant, one for none");
    drop(running);
    let seen: Vec<_> = experiments.0.lock().unwrap().iter().map(|seen| seen.2).collect();
    assert_eq!(seen, [Some("miss"), Some("hit"), Some("miss"), Some("hit"), Some("hit")]);
}

//! Gateway files that are accepted, and what becomes of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{parse_gateway, read_gateway};
use gateway::params::*;
use policy::cache::Negative;
use traffic::{Rate, Ratio};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ok")
}

fn ok(name: &str) -> GatewayParams {
    read_gateway(&folder().join(name).with_extension("toml")).unwrap_or_else(|e| panic!("{e}"))
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn servers(upstream: &Upstream) -> &Servers {
    match &upstream.kind {
        UpstreamKind::Servers(servers) => servers,
        UpstreamKind::Files(_) => panic!("{} serves files", upstream.name),
    }
}

fn rate(per_s: f64) -> Rate {
    Rate::per_s(per_s).unwrap()
}

fn ratio(share: f64) -> Ratio {
    Ratio::new(share).unwrap()
}

#[test]
fn every_good_file_is_accepted() {
    let mut accepted = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix(".toml").filter(|name| name.starts_with("gateway-")) {
            ok(name);
            accepted += 1;
        }
    }
    assert!(accepted >= 4, "only {accepted} files");
}

#[test]
fn the_contract_example_reads_as_written() {
    let params = ok("gateway-contract");
    let shop = servers(&params.upstreams[0]);
    let server = |address: &str, weight, tier| Server {
        address: ServerAddress::Socket(address.parse().unwrap()),
        weight,
        tier,
    };
    assert_eq!(shop.servers, [server("127.0.0.1:9001", 1, 0), server("127.0.0.1:9002", 2, 1)]);
    assert_eq!(shop.balance, Balance::PeakEwma);
    let health = shop.health.as_ref().unwrap();
    assert_eq!((health.every, health.fall, health.rise), (seconds(2), 3, 2));
    assert!(matches!(&health.check, HealthCheck::Http { path, .. } if path == "/healthz"));
    let breaker = Breaker { failures: 5, open_for: seconds(10), half_open_requests: 2 };
    assert_eq!(shop.breaker, Some(breaker));
    assert_eq!(shop.ejection.as_ref().unwrap().max_ejected, ratio(0.5));
    let statuses = [502, 503, 504].map(RetryOn::Status);
    assert_eq!(shop.retry.on[..2], [RetryOn::Connect, RetryOn::Reset]);
    assert_eq!(shop.retry.on[2..], statuses);
    assert_eq!((shop.retry.attempts, shop.retry.budget), (2, ratio(0.2)));
    let limits = UpstreamLimits { connections: 512, pending: 256, pending_timeout: seconds(1) };
    assert_eq!(shop.limits, limits);
    // What the route says about connections holds for the upstream.
    assert_eq!(shop.connect_timeout, seconds(1));

    let [api, site] = params.routes.as_slice() else { panic!("two routes") };
    assert_eq!(api.matches.hosts, ["shop.example"]);
    assert_eq!(api.matches.path, PathMatch::Prefix("/api/".into()));
    let [limit] = api.rate_limits.as_slice() else { panic!("one limit") };
    assert_eq!((limit.rate, limit.burst, limit.unit), (rate(100.0), 200, LimitUnit::Requests));
    assert_eq!(limit.key, [LimitKey::ClientIp]);
    assert_eq!(api.timeouts.total, Some(seconds(10)));
    let cache = site.cache.as_ref().unwrap();
    assert_eq!((cache.max_bytes, cache.store.as_str()), (256 << 20, "site"));
    assert_eq!(cache.rules.stale_while_revalidate, seconds(30));
    assert_eq!(cache.rules.stale_if_error, seconds(300));
    let log = params.access_log.unwrap();
    assert_eq!((log.path, log.format), (folder().join("access.log"), LogFormat::Combined));
    assert_eq!(params.admin.unwrap().token, None);
}

#[test]
fn what_is_not_said_has_its_default() {
    let params = ok("gateway-small");
    let address = ServerAddress::Socket("127.0.0.1:9001".parse().unwrap());
    let expected = GatewayParams {
        workers: params.workers,
        listeners: vec![Listener {
            name: "web".into(),
            address: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            http2: true,
            proxy_protocol: false,
            redirect_https: None,
        }],
        upstreams: vec![Upstream {
            name: "shop".into(),
            kind: UpstreamKind::Servers(Box::new(Servers {
                servers: vec![Server { address, weight: 1, tier: 0 }],
                balance: Balance::PeakEwma,
                slow_start: Duration::ZERO,
                sticky: None,
                health: None,
                breaker: None,
                ejection: None,
                retry: Retry {
                    attempts: 1,
                    on: vec![RetryOn::Connect, RetryOn::Reset],
                    budget: ratio(0.2),
                    budget_floor: rate(10.0),
                    per_try: None,
                    backoff: Duration::from_millis(25),
                    backoff_max: seconds(1),
                    non_idempotent: false,
                    body_max: 64 << 10,
                },
                hedge: None,
                limits: UpstreamLimits {
                    connections: 1_024,
                    pending: 1_024,
                    pending_timeout: seconds(1),
                },
                adaptive: None,
                protocol: UpstreamProtocol::Auto,
                tls: None,
                proxy_protocol: None,
                idle: seconds(30),
                idle_max: 64,
                host: HostHeader::Client,
                connect_timeout: seconds(2),
            })),
        }],
        routes: vec![Route {
            name: "site".into(),
            matches: Match::default(),
            access: Access::default(),
            rate_limits: Vec::new(),
            concurrency: None,
            cors: None,
            action: Action::Forward(vec![(0, 1)]),
            rewrite: None,
            request_fields: FieldEdits::default(),
            response_fields: FieldEdits::default(),
            cache: None,
            compression: None,
            mirror: None,
            timeouts: Timeouts { total: None, response: seconds(60), idle: seconds(60) },
            body_max: 16 << 20,
            error_pages: Vec::new(),
            upgrades: true,
        }],
        access_log: None,
        admin: None,
        limits: ClientLimits {
            connections: 20_000,
            connections_per_ip: 0,
            request_line: 8 << 10,
            header_count: 100,
            header_bytes: 64 << 10,
            header_timeout: seconds(10),
            body_timeout: seconds(30),
            body_rate_min: 100,
            keep_alive: seconds(60),
            send_timeout: seconds(30),
            requests: u64::MAX,
            streams: 100,
            resets: 20,
        },
        trusted_proxies: Vec::new(),
        forwarding: Forwarding {
            x_forwarded: true,
            forwarded: false,
            via: Some("tidegate".into()),
            request_id: Some("x-request-id".into()),
            server: Some("tidegate".into()),
        },
        drain: seconds(30),
    };
    assert!(params.workers >= 1);
    assert_eq!(params, expected);
}

#[test]
fn features_that_are_true_have_their_defaults() {
    let text = r#"
        listen.web.address = "127.0.0.1:0"
        [upstream.a]
        servers = ["a:1", "b:1"]
        breaker = true
        ejection = true
        adaptive = true
        tls = true
        health = { get = "/" }
        hedge = { after = "1s" }
        [route.a]
        upstream = "a"
        cache = true
        compress = true
        cors = "*"
        mirror = { upstream = "a" }
        [route.b]
        match = { path = "/b" }
        upstream = "a"
        cache = false
        compress = false
    "#;
    let params = parse_gateway("g.toml", text, Path::new("")).unwrap_or_else(|e| panic!("{e}"));
    let a = servers(&params.upstreams[0]);
    let breaker = Breaker { failures: 5, open_for: seconds(10), half_open_requests: 2 };
    assert_eq!(a.breaker, Some(breaker));
    let (base, max) = (seconds(30), seconds(300));
    let ejection = Ejection { consecutive_errors: 5, max_ejected: ratio(0.5), base, max };
    assert_eq!(a.ejection, Some(ejection));
    assert_eq!(a.adaptive, Some(Adaptive { min: 4, max: 1_000, initial: 20 }));
    let tls = UpstreamTls { ca: None, server_name: None, client: None, insecure: false };
    assert_eq!(a.tls, Some(tls));
    let expect = vec![(200, 399)];
    let check = HealthCheck::Http { path: "/".into(), expect, body_contains: None };
    let health = Health { check, every: seconds(5), timeout: seconds(2), fall: 3, rise: 2 };
    assert_eq!(a.health, Some(health));
    assert_eq!(a.hedge, Some(Hedge { after: seconds(1), budget: ratio(0.1) }));
    let [one, two] = params.routes.as_slice() else { panic!("two routes") };
    let cache = Cache {
        max_bytes: 64 << 20,
        store: "a".into(),
        max_object: 8 << 20,
        rules: policy::cache::Rules::default(),
        key: CacheKey::default(),
        collapse_timeout: seconds(5),
        tag_header: "surrogate-key".into(),
        status_header: true,
    };
    assert_eq!(one.cache, Some(cache));
    let compression = one.compression.as_ref().unwrap();
    assert_eq!(compression.codings, [Coding::Brotli, Coding::Zstd, Coding::Gzip]);
    assert_eq!((compression.min_bytes, compression.with_credentials), (1_024, false));
    let cors = one.cors.as_ref().unwrap();
    assert_eq!((cors.origins.as_slice(), cors.max_age), (&["*".to_owned()][..], seconds(600)));
    assert_eq!(one.mirror, Some(Mirror { upstream: 0, share: ratio(1.0), in_flight_max: 100 }));
    assert_eq!((&two.cache, &two.compression), (&None, &None));
}

#[test]
fn every_key_arrives() {
    let params = ok("gateway-everything");
    let file = |name: &str| folder().join("gateway").join(name);
    let certificate = Certificate { cert: file("cert.pem"), key: file("key.pem") };
    assert_eq!((params.workers, params.drain), (3, seconds(10)));
    let trusted: Vec<String> = params.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["10.0.0.0/8", "2001:db8::1/128"]);
    let [web, tls, names] = params.listeners.as_slice() else { panic!("three listeners") };
    assert_eq!((web.http2, web.proxy_protocol, web.redirect_https), (false, true, Some(8443)));
    let expected = ListenerTls {
        certificates: vec![certificate.clone()],
        tls12: false,
        client_ca: Some(file("ca.pem")),
        client_required: false,
    };
    assert_eq!(tls.tls, Some(expected));
    let names = names.tls.as_ref().unwrap();
    assert_eq!((&names.certificates, names.tls12), (&vec![certificate.clone()], true));
    let token = "0123456789abcdef0123456789abcdef";
    assert_eq!(params.admin.as_ref().unwrap().token.as_deref(), Some(token));

    let shop = servers(&params.upstreams[0]);
    let name = ServerAddress::Name { host: "shop.internal".into(), port: 443 };
    assert_eq!(shop.servers[0].address, name);
    assert_eq!(shop.balance, Balance::Maglev(HashKey::Header("x-user".into())));
    assert_eq!((shop.slow_start, shop.idle, shop.idle_max), (seconds(30), seconds(10), 8));
    assert_eq!(shop.protocol, UpstreamProtocol::Http2);
    assert_eq!(shop.proxy_protocol, Some(ProxyVersion::V2));
    assert_eq!(shop.host, HostHeader::Fixed("shop.internal".into()));
    assert_eq!(shop.connect_timeout, seconds(1));
    let secret = Some(token.as_bytes().to_vec());
    let sticky = Sticky { cookie: "srv".into(), max_age: Some(seconds(3_600)), secret };
    assert_eq!(shop.sticky, Some(sticky));
    let check = HealthCheck::Http {
        path: "/healthz?full=1".into(),
        expect: vec![(200, 200), (300, 399)],
        body_contains: Some("ok".into()),
    };
    let health = Health { check, every: seconds(2), timeout: seconds(1), fall: 4, rise: 5 };
    assert_eq!(shop.health, Some(health));
    let ejection = Ejection {
        consecutive_errors: 7,
        max_ejected: ratio(0.3),
        base: seconds(1),
        max: seconds(60),
    };
    assert_eq!(shop.ejection, Some(ejection));
    let retry = Retry {
        attempts: 2,
        on: vec![RetryOn::Timeout, RetryOn::Status(502), RetryOn::Status(503)],
        budget: ratio(0.1),
        budget_floor: rate(1.0),
        per_try: Some(seconds(3)),
        backoff: Duration::from_millis(10),
        backoff_max: seconds(2),
        non_idempotent: true,
        body_max: 1 << 20,
    };
    assert_eq!(shop.retry, retry);
    assert_eq!(shop.hedge, Some(Hedge { after: Duration::from_millis(100), budget: ratio(0.05) }));
    let limits = UpstreamLimits { connections: 10, pending: 20, pending_timeout: seconds(2) };
    assert_eq!(shop.limits, limits);
    assert_eq!(shop.adaptive, Some(Adaptive { min: 1, max: 1_000, initial: 2 }));
    let tls = UpstreamTls {
        ca: Some(file("ca.pem")),
        server_name: Some("shop.internal".into()),
        client: Some(certificate),
        insecure: false,
    };
    assert_eq!(shop.tls, Some(tls));
    let old = servers(&params.upstreams[1]);
    assert_eq!(old.servers[0].address, ServerAddress::Unix("/run/old.sock".into()));
    assert_eq!(old.health.as_ref().unwrap().check, HealthCheck::Tcp);
    let breaker = Breaker { failures: 3, open_for: seconds(1), half_open_requests: 1 };
    assert_eq!(old.breaker, Some(breaker));
    assert!(old.tls.as_ref().unwrap().insecure);
    let files = Files {
        root: file("site"),
        index: vec!["index.html".into(), "index.htm".into()],
        not_found: Some("404.html".into()),
        precompressed: true,
    };
    assert_eq!(params.upstreams[2].kind, UpstreamKind::Files(files));

    let api = &params.routes[0];
    assert_eq!(api.action, Action::Forward(vec![(0, 9), (1, 1)]));
    let matches = Match {
        hosts: vec!["shop.example".into(), "*.shop.example".into()],
        path: PathMatch::Prefix("/api".into()),
        methods: vec!["GET".into(), "POST".into()],
        headers: vec![("x-beta".into(), Some("yes".into())), ("x-any".into(), None)],
        query: vec![("debug".into(), Some("1".into())), ("page".into(), None)],
        listeners: vec!["tls".into(), "names".into()],
    };
    assert_eq!(api.matches, matches);
    assert_eq!(api.rewrite, Some(Rewrite { prefix: "/api".into(), with: "/v2".into() }));
    assert_eq!((api.concurrency, api.body_max, api.upgrades), (Some(100), 1 << 20, false));
    assert_eq!(api.access.allow, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(api.access.deny, ["10.0.0.7/32".parse().unwrap()]);
    let basic = api.access.basic.as_ref().unwrap();
    assert_eq!((basic.realm.as_str(), basic.users[0].0.as_str()), ("back office", "ann"));
    let [first, second, third] = api.rate_limits.as_slice() else { panic!("three limits") };
    let key =
        vec![LimitKey::ClientIp, LimitKey::Header("x-key".into()), LimitKey::Cookie("uid".into())];
    let headers = LimitHeaders::Draft;
    let unit = LimitUnit::Requests;
    let (burst, keys_max, per_s) = (5, 10, rate(100.0 / 60.0));
    assert_eq!(first, &RateLimit { key, unit, rate: per_s, burst, keys_max, headers });
    let whole = rate(f64::from(1 << 20));
    assert_eq!((second.unit, second.rate, second.burst), (LimitUnit::Bytes, whole, 1 << 20));
    assert_eq!((&second.key, second.keys_max), (&vec![LimitKey::Route], 100_000));
    assert_eq!((third.unit, third.burst), (LimitUnit::Concurrency, 7));
    let cors = Cors {
        origins: vec!["https://app.example".into()],
        methods: vec!["GET".into()],
        headers: vec!["x-a".into()],
        expose: vec!["x-b".into()],
        credentials: true,
        max_age: seconds(60),
    };
    assert_eq!(api.cors, Some(cors));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let edits = FieldEdits {
        remove: vec!["x-debug".into()],
        set: vec![pair("x-client", "{client-ip}")],
        add: vec![pair("x-id", "{request-id}")],
    };
    assert_eq!(api.request_fields, edits);
    let set = pair("strict-transport-security", "max-age=31536000");
    assert_eq!(api.response_fields.set, [set]);
    let cache = Cache {
        max_bytes: 1 << 20,
        store: "shared".into(),
        max_object: 64 << 10,
        rules: policy::cache::Rules {
            default_ttl: seconds(1),
            heuristic: true,
            heuristic_max: seconds(3_600),
            stale_while_revalidate: seconds(2),
            stale_if_error: seconds(3),
            negative: vec![Negative { status: 404, ttl: seconds(10) }],
            max_ttl: Some(seconds(86_400)),
            store_set_cookie: true,
            obey_request: false,
            ..policy::cache::Rules::default()
        },
        key: CacheKey {
            query: QueryKey::Except(vec!["utm_*".into()]),
            headers: vec!["accept-language".into()],
            cookies: vec!["lang".into()],
        },
        collapse_timeout: seconds(4),
        tag_header: "cache-tag".into(),
        status_header: false,
    };
    assert_eq!(api.cache, Some(cache));
    assert_eq!(api.mirror, Some(Mirror { upstream: 1, share: ratio(0.1), in_flight_max: 5 }));
    let timeouts = Timeouts { total: Some(seconds(10)), response: seconds(5), idle: seconds(6) };
    assert_eq!(api.timeouts, timeouts);
    let [(503, page)] = api.error_pages.as_slice() else { panic!("{:?}", api.error_pages) };
    assert_eq!((page.status, page.content_type.as_str()), (503, "text/html; charset=utf-8"));
    assert_eq!(*page.body, fs::read(file("503.html")).unwrap());

    let [shared, private, old, robots, down] = &params.routes[1..] else { panic!("six routes") };
    // The store's sizes are those that the other route says.
    let cache = shared.cache.as_ref().unwrap();
    assert_eq!((cache.max_bytes, cache.max_object), (1 << 20, 64 << 10));
    let compression = Compression {
        codings: vec![Coding::Gzip],
        min_bytes: 1_000,
        types: vec!["text/html".into()],
        with_credentials: true,
    };
    assert_eq!(shared.compression, Some(compression));
    let basic = private.access.basic.as_ref().unwrap();
    assert_eq!((basic.realm.as_str(), &basic.users[0].1), ("restricted", &api_secret(&params)));
    let to = "https://shop.example{uri}".to_owned();
    assert_eq!(old.action, Action::Redirect { status: 301, to });
    let page = |status, content_type: &str, body: &[u8]| {
        Action::Respond(Page { status, content_type: content_type.into(), body: body.into() })
    };
    assert_eq!(robots.action, page(200, "text/plain", b"User-agent: *"));
    let body = fs::read(file("503.html")).unwrap();
    assert_eq!(down.action, page(503, "text/html; charset=utf-8", &body));

    let log = AccessLog {
        path: "-".into(),
        format: LogFormat::Template("{start} {client} {status} {{{target}}}".into()),
        buffer: 1 << 20,
        rotate: None,
        keep: 5,
    };
    assert_eq!(params.access_log, Some(log));
    let limits = ClientLimits {
        connections: 1,
        connections_per_ip: 2,
        request_line: 1 << 10,
        header_count: 3,
        header_bytes: 2 << 10,
        header_timeout: seconds(4),
        body_timeout: seconds(5),
        body_rate_min: 6,
        keep_alive: seconds(7),
        send_timeout: seconds(8),
        requests: 9,
        streams: 10,
        resets: 11,
    };
    assert_eq!(params.limits, limits);
    let forwarding = Forwarding {
        x_forwarded: false,
        forwarded: true,
        via: Some("edge-1".into()),
        request_id: None,
        server: Some("web".into()),
    };
    assert_eq!(params.forwarding, forwarding);
}

fn api_secret(params: &GatewayParams) -> String {
    params.routes[0].access.basic.as_ref().unwrap().users[0].1.clone()
}

#[test]
fn balances_are_read() {
    let cookie = || HashKey::Cookie("uid".into());
    for (text, expected) in [
        ("\"round-robin\"", Balance::RoundRobin),
        ("\"least-requests\"", Balance::LeastRequests),
        ("\"random\"", Balance::Random),
        ("\"peak-ewma\"", Balance::PeakEwma),
        ("{ hash = \"client-ip\" }", Balance::Hash(HashKey::ClientIp)),
        ("{ hash = \"uri\" }", Balance::Hash(HashKey::Uri)),
        ("{ hash = { cookie = \"uid\" } }", Balance::Hash(cookie())),
        ("{ maglev = { cookie = \"uid\" } }", Balance::Maglev(cookie())),
    ] {
        let text = format!(
            "listen.a.address = '127.0.0.1:0'\nupstream.a = {{ servers = ['a:1'], balance = {text} \
             }}\nroute.a.upstream = 'a'"
        );
        let params = parse_gateway("g.toml", &text, Path::new("")).unwrap();
        assert_eq!(servers(&params.upstreams[0]).balance, expected, "{text}");
    }
}

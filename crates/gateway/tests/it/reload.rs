//! New configurations and new processes under load: nobody notices.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gateway::params::*;
use gateway::{Gateway, StartError};
use testkit::origin::{Behaviour, Fault, Origin};
use traffic::Rate;

use crate::harness::{
    Client, Response, Running, echo, listener, origin, params, route, servers, start, upstream,
};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A GET on a kept connection, which may be closed between two requests as any may be, and on a
/// new one then, which must answer.
fn get(kept: &mut Option<Client>, address: SocketAddr) -> Response {
    let ask = |mut client: Client| {
        let sent = client.try_send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        let answer = if sent { client.response("GET") } else { None };
        answer.map(|answer| (client, answer))
    };
    let (client, answer) = kept
        .take()
        .and_then(ask)
        .or_else(|| ask(Client::connect(address)))
        .expect("an answer on a new connection");
    *kept = (answer.field("connection") != Some("close")).then_some(client);
    answer
}

/// Runs `meanwhile` while clients ask, on kept connections and on new ones; what it gave, and how
/// often they did.
fn under_load<T>(address: SocketAddr, meanwhile: impl FnOnce(&dyn Fn() -> u64) -> T) -> (T, u64) {
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let asked = || done.load(Ordering::Relaxed);
    let given = std::thread::scope(|scope| {
        for number in 0..4 {
            let (stop, done) = (&stop, &done);
            scope.spawn(move || {
                let mut client = None;
                while !stop.load(Ordering::Relaxed) {
                    if number % 2 == 0 {
                        client = None;
                    }
                    assert_eq!(get(&mut client, address).status, 200);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let given = meanwhile(&asked);
        stop.store(true, Ordering::Relaxed);
        given
    });
    (given, asked())
}

fn origins() -> Vec<Origin> {
    (0..3).map(|_| origin(Behaviour::ok("good"))).collect()
}

#[test]
fn a_hundred_reloads_fail_no_request() {
    let origins = origins();
    let addresses: Vec<SocketAddr> = origins.iter().map(Origin::addr).collect();
    let mut params = params(&addresses);
    params.workers = 2;
    let running = start(params.clone());
    let ((), count) = under_load(running.address, |asked| {
        for number in 0..100 {
            let before = asked();
            let mut params = params.clone();
            // Servers come and go, limits and routes change.
            let servers = &addresses[..1 + number % 3];
            params.upstreams = vec![upstream("shop", servers)];
            params.limits.header_count = 50 + number;
            if number % 2 == 0 {
                params.routes.push(route("other", Action::Forward(vec![(0, 1)])));
                params.routes[1].matches.path = PathMatch::Prefix("/other".to_owned());
            }
            run(running.gateway.reload(params)).unwrap();
            while asked() < before + 4 {
                std::thread::yield_now();
            }
        }
    });
    assert!(count >= 400);
    assert_eq!(running.metric("tidegate_config_reloads_total{result=\"ok\"}"), 100.0);
    assert_eq!(running.metric("tidegate_requests_total{route=\"site\",status=\"5xx\"}"), 0.0);
    running.wait_until_idle();
}

#[test]
fn a_successor_takes_over_without_a_failed_request() {
    let origins = origins();
    let addresses: Vec<SocketAddr> = origins.iter().map(Origin::addr).collect();
    let mut params = params(&addresses);
    params.workers = 2;
    // A successor listens at the same address, which must be known.
    let first = start(params.clone());
    params.listeners[0].address = first.address;
    let address = first.address;
    let (last, count) = under_load(address, |asked| {
        let mut gateway = first.gateway;
        for _ in 0..5 {
            let before = asked();
            while asked() < before + 100 {
                std::thread::yield_now();
            }
            let sockets = run(gateway.sockets()).unwrap();
            assert_eq!(sockets.len(), 2);
            let next = Gateway::start(params.clone(), sockets).unwrap();
            assert_eq!(next.addresses(), [("web".to_owned(), address)]);
            std::mem::replace(&mut gateway, next).drain();
        }
        let before = asked();
        while asked() < before + 100 {
            std::thread::yield_now();
        }
        gateway
    });
    last.drain();
    assert!(count >= 600);
}

#[test]
fn listeners_come_and_go() {
    let origin = origin(Behaviour::ok("good"));
    origin.set_route("/slow", Behaviour::delayed(Duration::from_millis(200)));
    let before = params(&[origin.addr()]);
    let running = start(before.clone());
    let mut kept = running.client();
    assert_eq!(kept.get("/").status, 200);
    // A second one, at a port of its own.
    let mut after = before.clone();
    let mut more = listener("more");
    more.address = "127.0.0.3:0".parse().unwrap();
    after.listeners.push(more.clone());
    run(running.gateway.reload(after)).unwrap();
    let addresses = running.gateway.addresses();
    assert_eq!(addresses[0], ("web".to_owned(), running.address));
    let second = addresses[1].1;
    assert_eq!(Client::connect(second).get("/").status, 200);
    assert_eq!(kept.get("/").status, 200);
    // The first one goes: what is under way ends well.
    kept.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(origin.wait_for_count(4, crate::harness::PATIENCE));
    let mut after = before.clone();
    after.listeners = vec![more];
    run(running.gateway.reload(after)).unwrap();
    assert_eq!(kept.response("GET").unwrap().status, 200);
    assert_eq!(Client::connect(second).get("/").status, 200);
    running.wait_until("closed", |running| std::net::TcpStream::connect(running.address).is_err());
}

fn limited() -> RateLimit {
    RateLimit {
        key: vec![LimitKey::ClientIp],
        unit: LimitUnit::Requests,
        rate: Rate::per_s(0.001).unwrap(),
        burst: 2,
        keys_max: 100,
        headers: LimitHeaders::Off,
    }
}

#[test]
fn limits_survive_and_bad_configurations_change_nothing() {
    let origin = origin(Behaviour::ok("good"));
    let mut before = params(&[origin.addr()]);
    before.routes[0].rate_limits = vec![limited()];
    let running = start(before.clone());
    let mut client = running.client();
    assert_eq!(client.get("/").status, 200);
    let mut after = before.clone();
    after.limits.header_count = 50;
    run(running.gateway.reload(after.clone())).unwrap();
    assert_eq!(client.get("/").status, 200);
    assert_eq!(client.get("/").status, 429);

    // An address that is taken, a certificate that is not there, another number of workers.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut bad = before.clone();
    bad.listeners.push(Listener { address: taken.local_addr().unwrap(), ..listener("bad") });
    bad.routes.clear();
    assert!(matches!(run(running.gateway.reload(bad)), Err(StartError::Bind { .. })));
    let mut bad = before.clone();
    let missing = || folder().join("missing.pem");
    bad.listeners[0].tls = Some(ListenerTls {
        certificates: vec![Certificate { cert: missing(), key: missing() }],
        tls12: true,
        client_ca: None,
        client_required: false,
    });
    assert!(matches!(run(running.gateway.reload(bad)), Err(StartError::Build(_))));
    let bad = GatewayParams { workers: 2, ..before };
    assert!(matches!(run(running.gateway.reload(bad)), Err(StartError::NeedsRestart(_))));
    assert_eq!(*running.gateway.params(), after);
    assert_eq!(client.get("/").status, 429);
    assert_eq!(running.metric("tidegate_config_reloads_total{result=\"failed\"}"), 3.0);
}

fn folder() -> std::path::PathBuf {
    std::env::temp_dir()
}

#[test]
fn a_successor_with_fewer_workers_serves_every_queue() {
    let origin = echo();
    let mut params = params(&[origin.addr()]);
    params.workers = 3;
    let first = start(params.clone());
    let sockets = run(first.gateway.sockets()).unwrap();
    assert_eq!(sockets.len(), 3);
    params.listeners[0].address = first.address;
    drop(first);
    params.workers = 1;
    let second = Running::of(Gateway::start(params, sockets).unwrap());
    for _ in 0..30 {
        assert_eq!(second.client().get("/").status, 200);
    }
}

#[test]
fn nobody_can_connect_to_a_gateway_that_drained() {
    let origin = echo();
    let running = start(params(&[origin.addr()]));
    assert_eq!(running.client().get("/").status, 200);
    running.gateway.drain();
    let refused = std::net::TcpStream::connect(running.address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_successor_closes_what_it_does_not_listen_on() {
    let origin = origin(Behaviour::ok("good"));
    let mut params = params(&[origin.addr()]);
    let mut more = listener("more");
    more.address = "127.0.0.4:0".parse().unwrap();
    params.listeners.push(more);
    let first = start(params.clone());
    let addresses = first.gateway.addresses();
    params.listeners.pop();
    params.listeners[0].address = first.address;
    let sockets = run(first.gateway.sockets()).unwrap();
    assert_eq!(sockets.len(), 2);
    drop(first);
    let next = Running::of(Gateway::start(params, sockets).unwrap());
    assert_eq!(next.client().get("/").status, 200);
    assert!(std::net::TcpStream::connect(addresses[1].1).is_err());
    assert_eq!(run(next.gateway.sockets()).unwrap().len(), 1);
}

#[test]
fn a_gateway_that_drains_is_seen_to_be_gone_by_who_connects() {
    let origin = origin(Behaviour::Fault(Fault::Silent));
    let mut params = params(&[origin.addr()]);
    params.drain = Duration::from_millis(500);
    let running = start(params);
    let mut client = running.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(origin.wait_for_count(1, crate::harness::PATIENCE));
    let gateway = &running.gateway;
    std::thread::scope(|scope| {
        let draining = scope.spawn(|| gateway.drain());
        running
            .wait_until("closed", |running| std::net::TcpStream::connect(running.address).is_err());
        // Not only at the end.
        assert!(!draining.is_finished());
    });
}

#[test]
fn who_waits_for_room_is_not_forgotten_by_a_new_configuration() {
    let origin = origin(Behaviour::delayed(Duration::from_millis(200)));
    let mut params = params(&[origin.addr()]);
    servers(&mut params.upstreams[0]).limits =
        UpstreamLimits { connections: 1, pending: 10, pending_timeout: Duration::from_secs(5) };
    let running = start(params.clone());
    let ask = || {
        let mut client = running.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client
    };
    let waiting = |count: f64| {
        running.wait_until("in line", |running| {
            running.metric("tidegate_upstream_waiting{upstream=\"shop\"}") == count
        });
    };
    let mut first = ask();
    assert!(origin.wait_for_count(1, crate::harness::PATIENCE));
    let mut second = ask();
    waiting(1.0);
    servers(&mut params.upstreams[0]).retry.backoff = Duration::from_millis(2);
    run(running.gateway.reload(params)).unwrap();
    let mut third = ask();
    // The second is in line still.
    waiting(2.0);
    for client in [&mut first, &mut second, &mut third] {
        assert_eq!(client.response("GET").unwrap().status, 200);
    }
    assert_eq!(origin.in_flight_max(), 1);
    running.wait_until_idle();
}

//! Connections that change their protocol, as WebSocket does.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use gateway::params::GatewayParams;

use crate::harness::{PATIENCE, echo, params, start};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
                       Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                         Upgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n";

/// A server of one connection: reads a head and goes on as told.
fn server(
    talk: impl FnOnce(String, &mut TcpStream) + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        talk(String::from_utf8(head).unwrap(), &mut stream);
    });
    (address, thread)
}

fn params_of(address: SocketAddr) -> GatewayParams {
    params(&[address])
}

#[test]
fn early_bytes_large_bodies_and_half_closes_pass() {
    const LARGE: usize = 4 << 20;
    let (address, thread) = server(|head, stream| {
        let head = head.to_lowercase();
        assert!(
            head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n")
        );
        assert!(head.contains("sec-websocket-key: x\r\n"));
        stream.write_all(format!("{SWITCHING}early").as_bytes()).unwrap();
        let mut reader = stream.try_clone().unwrap();
        let reading = std::thread::spawn(move || {
            let mut got = Vec::new();
            // Until the client has closed its half.
            reader.read_to_end(&mut got).unwrap();
            got
        });
        stream.write_all(&vec![b's'; LARGE]).unwrap();
        let got = reading.join().unwrap();
        assert!(got.starts_with(b"at oncecccc") && got.len() == LARGE + 7);
        // The other half is still open.
        stream.write_all(b"the end").unwrap();
    });
    let running = start(params_of(address));
    let mut client = running.client();
    client.send(format!("{UPGRADE}at once"));
    let answer = client.response("GET").unwrap();
    assert_eq!((answer.status, answer.field("upgrade")), (101, Some("websocket")));
    assert_eq!(answer.field("sec-websocket-accept"), Some("y"));
    let mut writer = client.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        writer.write_all(&vec![b'c'; LARGE]).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let got = client.everything();
    assert!(got.starts_with("earlysss") && got.ends_with("sssthe end"));
    assert_eq!(got.len(), LARGE + 12);
    writing.join().unwrap();
    thread.join().unwrap();
    running.wait_until("closed", |running| running.metric("tidegate_tunnels_open") == 0.0);
    assert_eq!(running.metric("tidegate_tunnels_total"), 1.0);
    assert_eq!(running.metric("tidegate_tunnel_bytes_total"), (2 * LARGE + 19) as f64);
    running.wait_until_idle();
}

#[test]
fn servers_may_decline() {
    let origin = echo();
    let running = start(params(&[origin.addr()]));
    let mut client = running.client();
    client.send(UPGRADE);
    assert_eq!(client.response("GET").unwrap().status, 200);
    // It is an ordinary connection still.
    assert_eq!(client.get("/next").status, 200);
    assert_eq!(origin.requests()[1].header("upgrade"), None);
}

#[test]
fn routes_may_refuse() {
    let origin = echo();
    let mut params = params(&[origin.addr()]);
    params.routes[0].upgrades = false;
    let running = start(params);
    let mut client = running.client();
    client.send(UPGRADE);
    assert_eq!(client.response("GET").unwrap().status, 400);
    // Not nominated, it is no wish; nor is it of HTTP/1.0.
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        client = running.client();
        client.send(request);
        assert_eq!(client.response("GET").unwrap().status, 200, "{request}");
    }
    assert!(origin.requests().iter().all(|request| request.header("upgrade").is_none()));
}

#[test]
fn nobody_switches_unasked_or_too_early() {
    let tried = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        // The body is still on its way.
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 50\r\n\r\nGET /smuggled",
    ];
    for request in tried {
        let (address, thread) = server(|_, stream| {
            stream.write_all(SWITCHING.as_bytes()).unwrap();
            // Nothing of what the client says goes through but its body.
            let mut got = String::new();
            let _ = stream.read_to_string(&mut got);
            assert!(got.is_empty() || got == "GET /smuggled", "{got:?}");
        });
        let running = start(params_of(address));
        let mut client = running.client();
        client.send(request);
        assert_eq!(client.response("GET").unwrap().status, 502, "{request}");
        let _ = client.stream.write_all(b" HTTP/1.1\r\nHost: a\r\n\r\n");
        drop(client);
        thread.join().unwrap();
        running.wait_until_idle();
    }
}

#[test]
fn a_tunnel_ends_with_its_server_and_with_the_gateway() {
    let (address, thread) = server(|_, stream| stream.write_all(SWITCHING.as_bytes()).unwrap());
    let running = start(params_of(address));
    let mut client = running.client();
    client.send(UPGRADE);
    assert_eq!(client.response("GET").unwrap().status, 101);
    assert!(client.is_closed());
    thread.join().unwrap();

    let (address, thread) = server(|_, stream| {
        stream.write_all(SWITCHING.as_bytes()).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    });
    let mut params = params_of(address);
    params.drain = Duration::from_secs(60);
    let running = start(params);
    let mut client = running.client();
    client.send(UPGRADE);
    assert_eq!(client.response("GET").unwrap().status, 101);
    running.gateway.drain();
    assert!(client.is_closed());
    thread.join().unwrap();
}

//! The PROXY protocol, from proxies before tidegate and towards servers behind it.

use std::io::{Read, Write};
use std::net::TcpListener;

use gateway::params::*;

use crate::harness::{PATIENCE, echo, params, servers, start};

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x12\x67\x01\xbb";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn trusted_proxies_say_who_connects() {
    let origin = echo();
    let mut params = params(&[origin.addr()]);
    params.listeners[0].proxy_protocol = true;
    params.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let running = start(params);
    for (header, seen) in [
        (V1, "192.0.2.1"),
        (V2, "192.0.2.1"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        // LOCAL: the proxy asks for itself.
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "127.0.0.1"),
    ] {
        let mut client = running.client();
        client.send([header, REQUEST].concat());
        assert_eq!(client.response("GET").unwrap().status, 200);
        let request = origin.requests().pop().unwrap();
        assert_eq!(request.header("x-forwarded-for"), Some(seen));
    }
    let count = origin.count();
    for bad in [REQUEST, b"PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n", b"PROXY TCP4 x\n", &V2[..20]] {
        let mut client = running.client();
        client.send([bad, REQUEST].concat());
        client.everything_raw();
    }
    assert_eq!(origin.count(), count);
}

#[test]
fn strangers_do_not() {
    let origin = echo();
    let mut params = params(&[origin.addr()]);
    params.listeners[0].proxy_protocol = true;
    params.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let running = start(params.clone());
    let mut client = running.client();
    client.send([V1, REQUEST].concat());
    client.everything_raw();
    let refused = "tidegate_connections_refused_total{reason=\"proxy-header\"}";
    running.wait_until("counted", |running| running.metric(refused) == 1.0);
    // Where no header is awaited, it is no request.
    params.listeners[0].proxy_protocol = false;
    let running = start(params);
    for header in [V1, V2] {
        let mut client = running.client();
        client.send([header, REQUEST].concat());
        assert_eq!(client.response("GET").unwrap().status, 400);
        assert!(client.is_closed());
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn servers_learn_who_connects_one_client_per_connection() {
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut got = Vec::new();
                while !got.ends_with(b"\r\n\r\n") || !got.windows(3).any(|text| text == b"GET") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    got.push(byte[0]);
                }
                match version {
                    ProxyVersion::V1 => {
                        assert!(got.starts_with(b"PROXY TCP4 127.0.0.1 127.0.0.1 "));
                    }
                    ProxyVersion::V2 => assert!(got.starts_with(&V2[..16])),
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
        });
        let mut params = params(&[address]);
        servers(&mut params.upstreams[0]).proxy_protocol = Some(version);
        let running = start(params);
        for _ in 0..2 {
            assert_eq!(running.client().get("/").status, 200);
        }
        server.join().unwrap();
    }
}

#[test]
fn streams_of_several_clients_share_no_announced_connection() {
    let origin = echo();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (announced, heard) = std::sync::mpsc::channel();
    // Takes the header off and passes the rest on.
    let behind = origin.addr();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut header = Vec::new();
            while !header.ends_with(b"\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                header.push(byte[0]);
            }
            announced.send(String::from_utf8(header).unwrap()).unwrap();
            let mut server = std::net::TcpStream::connect(behind).unwrap();
            let (mut from, mut to) = (server.try_clone().unwrap(), stream.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || std::io::copy(&mut stream, &mut server));
        }
    });
    let mut params = params(&[address]);
    let servers = servers(&mut params.upstreams[0]);
    servers.proxy_protocol = Some(ProxyVersion::V1);
    servers.protocol = UpstreamProtocol::Http2;
    let running = start(params);
    for _ in 0..2 {
        let mut client = running.client();
        let port = client.stream.local_addr().unwrap().port().to_string();
        assert_eq!(client.get("/").status, 200);
        let header = heard.recv_timeout(PATIENCE).unwrap();
        assert_eq!(header.split(' ').nth(4), Some(port.as_str()), "{header}");
    }
}

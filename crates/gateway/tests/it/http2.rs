//! HTTP/2 with clients and with servers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gateway::FailureKind;
use gateway::params::*;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response, StatusCode};
use testkit::origin::{Behaviour, Fault, Origin};
use tokio::task::JoinHandle;

use crate::harness::{PATIENCE, echo, origin, params, servers, start};

/// Runs a client.
pub(crate) fn block_on<T>(client: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, client).await.expect("an answer") })
}

/// A connection by prior knowledge, and what tells of its end.
pub(crate) async fn connect(
    address: SocketAddr,
) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // As browsers do until they have learned the limit.
    let mut builder = h2::client::Builder::new();
    let (send, connection) = builder.initial_max_send_streams(100).handshake(stream).await.unwrap();
    (send, tokio::spawn(connection))
}

pub(crate) async fn open(
    send: &SendRequest<Bytes>,
    method: &str,
    path: &str,
    end: bool,
) -> (ResponseFuture, SendStream<Bytes>) {
    let uri = format!("http://shop.example{path}");
    let request = Request::builder().method(method).uri(uri).body(()).unwrap();
    send.clone().ready().await.unwrap().send_request(request, end).unwrap()
}

/// The whole of a body, and its trailers.
async fn read(body: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, body.trailers().await?))
}

async fn write(send: &mut SendStream<Bytes>, mut data: Bytes) {
    while !data.is_empty() {
        send.reserve_capacity(data.len());
        let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
        let piece = data.split_to(room.min(data.len()));
        send.send_data(piece, false).unwrap();
    }
}

pub(crate) async fn get(send: &SendRequest<Bytes>, path: &str) -> (StatusCode, Vec<u8>) {
    let (response, _) = open(send, "GET", path, true).await;
    let mut response = response.await.unwrap();
    let (body, _) = read(response.body_mut()).await.unwrap();
    (response.status(), body)
}

fn with_protocol(origin: &Origin, protocol: UpstreamProtocol) -> GatewayParams {
    let mut params = params(&[origin.addr()]);
    servers(&mut params.upstreams[0]).protocol = protocol;
    params.routes[0].body_max = 100 << 20;
    params
}

const PROTOCOLS: [UpstreamProtocol; 3] =
    [UpstreamProtocol::Http1, UpstreamProtocol::Http2, UpstreamProtocol::Auto];

#[test]
fn many_streams_share_a_connection() {
    for protocol in PROTOCOLS {
        let origin = echo();
        let running = start(with_protocol(&origin, protocol));
        block_on(async {
            let (send, _connection) = connect(running.address).await;
            let mut answers = Vec::new();
            for number in 0..300 {
                answers.push((number, open(&send, "GET", &format!("/{number}"), true).await.0));
            }
            for (number, answer) in answers {
                let mut answer = answer.await.unwrap();
                assert_eq!(answer.status(), 200);
                let (body, _) = read(answer.body_mut()).await.unwrap();
                let text = String::from_utf8(body).unwrap();
                assert!(text.contains(&format!("\"/{number}\"")), "{text}");
            }
        });
        assert_eq!(origin.count(), 300);
        let version = &origin.requests()[0].version;
        let http2 = protocol == UpstreamProtocol::Http2;
        assert_eq!(*version == http::Version::HTTP_2, http2);
        assert!(!http2 || origin.connections_accepted() <= 3);
        assert_eq!(origin.requests()[0].header("via"), Some("2.0 tidegate"));
        running.wait_until_idle();
    }
}

#[test]
fn large_bodies_pass_both_ways_under_flow_control() {
    for protocol in PROTOCOLS {
        let origin = echo();
        let running = start(with_protocol(&origin, protocol));
        let data = Bytes::from(vec![b'z'; 3 << 20]);
        block_on(async {
            let (send, _connection) = connect(running.address).await;
            let (answer, mut body) = open(&send, "POST", "/", false).await;
            write(&mut body, data.clone()).await;
            body.send_data(Bytes::new(), true).unwrap();
            let mut answer = answer.await.unwrap();
            let (got, _) = read(answer.body_mut()).await.unwrap();
            assert!(got.len() > data.len() && got.ends_with(b"zz\"}"));
        });
        // An HTTP/1.1 client of the same gateway.
        let mut client = running.client();
        client
            .send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", data.len()));
        client.send(&data);
        assert!(client.response("POST").unwrap().body.len() > data.len());
        let seen: Vec<usize> = origin.requests().iter().map(|request| request.body.len()).collect();
        assert_eq!(seen, [data.len(); 2]);
        running.wait_until_idle();
    }
}

#[test]
fn servers_may_close_connections_whenever_they_like() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut params = params(&[listener.local_addr().unwrap()]);
    servers(&mut params.upstreams[0]).protocol = UpstreamProtocol::Http2;
    servers(&mut params.upstreams[0]).retry.attempts = 0;
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    let mut served = 0;
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        respond.send_response(Response::new(()), true).unwrap();
                        served += 1;
                        if served == 3 {
                            connection.graceful_shutdown();
                        }
                    }
                });
            }
        });
    });
    let running = start(params);
    block_on(async {
        let (send, _connection) = connect(running.address).await;
        for _ in 0..50 {
            assert_eq!(get(&send, "/").await.0, 200);
        }
    });
}

/// A server that speaks HTTP/2 only and answers as gRPC servers do.
fn grpc_server() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((mut request, mut respond))) = connection.accept().await {
                tokio::spawn(async move {
                    assert_eq!(request.headers()["te"], "trailers");
                    let (data, trailers) = read(request.body_mut()).await.unwrap();
                    let mut send = respond.send_response(Response::new(()), false).unwrap();
                    send.send_data(data.into(), false).unwrap();
                    let mut status = HeaderMap::new();
                    status.insert("grpc-status", "0".parse().unwrap());
                    status.insert("x-heard", trailers.unwrap()["x-said"].clone());
                    send.send_trailers(status).unwrap();
                });
            }
        });
    });
    address
}

#[test]
fn trailers_pass_both_ways_as_grpc_needs_them() {
    let mut params = params(&[grpc_server()]);
    servers(&mut params.upstreams[0]).protocol = UpstreamProtocol::Http2;
    let running = start(params);
    block_on(async {
        let (send, _connection) = connect(running.address).await;
        let request = Request::post("http://a/x.Y/Z").header("te", "trailers").body(()).unwrap();
        let (answer, mut body) = send.ready().await.unwrap().send_request(request, false).unwrap();
        body.send_data(Bytes::from_static(b"message"), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-said", "hi".parse().unwrap());
        body.send_trailers(trailers).unwrap();
        let mut answer = answer.await.unwrap();
        let (got, trailers) = read(answer.body_mut()).await.unwrap();
        let trailers = trailers.unwrap();
        assert_eq!(got, b"message");
        assert_eq!(
            (&trailers["grpc-status"], &trailers["x-heard"]),
            (&"0".parse().unwrap(), &"hi".parse().unwrap())
        );
    });
    let mut client = running.client();
    client.send(
        "POST /x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nX-Said: ho\r\n\r\n",
    );
    assert!(client.wait_for("x-heard: ho\r\n\r\n"));
}

#[test]
fn a_stream_that_is_reset_ends_the_request_to_the_server() {
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        let origin = origin(Behaviour::Fault(Fault::Silent));
        let running = start(with_protocol(&origin, protocol));
        block_on(async {
            let (send, _connection) = connect(running.address).await;
            let (answer, mut body) = open(&send, "POST", "/", false).await;
            body.send_data(Bytes::new(), true).unwrap();
            while origin.count() == 0 {
                tokio::task::yield_now().await;
            }
            body.send_reset(Reason::CANCEL);
            drop(answer);
            while running.failures(FailureKind::Gone) == 0.0 {
                tokio::task::yield_now().await;
            }
        });
        running.wait_until_idle();
    }
}

#[test]
fn a_cut_answer_is_a_reset_stream() {
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        let origin = origin(Behaviour::Fault(Fault::CloseMidBody));
        origin.set_route("/good", Behaviour::ok("good"));
        let running = start(with_protocol(&origin, protocol));
        block_on(async {
            let (send, _connection) = connect(running.address).await;
            let (answer, _) = open(&send, "GET", "/", true).await;
            // The reset may overtake the head.
            if let Ok(mut answer) = answer.await {
                assert_eq!(answer.status(), 200);
                assert!(read(answer.body_mut()).await.is_err());
            }
            assert_eq!(get(&send, "/good").await.1, b"good");
        });
        let mut client = running.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let got = client.everything();
        assert!(got.contains("ength: 100\r\n") && got.ends_with("\r\n\r\n0123456789"), "{got}");
        assert_eq!(running.failures(FailureKind::BodyCut), 2.0);
    }
}

#[test]
fn idle_connections_are_closed_and_draining_ones_finish() {
    let origin = origin(Behaviour::ok("good"));
    origin.set_route("/slow", Behaviour::delayed(Duration::from_millis(300)));
    let mut params = params(&[origin.addr()]);
    params.limits.keep_alive = Duration::from_millis(100);
    let running = start(params);
    block_on(async {
        let (send, connection) = connect(running.address).await;
        assert_eq!(get(&send, "/").await.0, 200);
        connection.await.unwrap().unwrap();
        // An answer may take longer than that.
        let (send, connection) = connect(running.address).await;
        assert_eq!(get(&send, "/slow").await.0, 200);
        let (answer, _) = open(&send, "GET", "/slow", true).await;
        while origin.count() < 3 {
            tokio::task::yield_now().await;
        }
        let draining = std::thread::spawn(move || running.gateway.drain());
        assert_eq!(answer.await.unwrap().status(), 200);
        drop(send);
        connection.await.unwrap().unwrap();
        draining.join().unwrap();
    });
}

#[test]
fn head_and_bodiless_answers_pass() {
    for protocol in PROTOCOLS {
        let origin = origin(Behaviour::ok("twelve bytes"));
        origin.set_route("/empty", Behaviour::status(204));
        let running = start(with_protocol(&origin, protocol));
        block_on(async {
            let (send, _connection) = connect(running.address).await;
            let answer = open(&send, "HEAD", "/", true).await.0.await.unwrap();
            assert!(answer.body().is_end_stream());
            if protocol != UpstreamProtocol::Http2 {
                assert_eq!(answer.headers()["content-length"], "12");
            }
            let (status, body) = get(&send, "/empty").await;
            assert_eq!((status.as_u16(), body.len()), (204, 0));
            assert_eq!(get(&send, "/").await.1, b"twelve bytes");
        });
    }
}

#[test]
fn cookies_reach_a_server_of_http1_as_one_field() {
    let origin = echo();
    let running = start(params(&[origin.addr()]));
    block_on(async {
        let (mut send, _connection) = connect(running.address).await;
        let request = Request::builder()
            .uri("http://shop.example/")
            .header("cookie", "a=1")
            .header("x-other", "y")
            .header("cookie", "b=2")
            .body(())
            .unwrap();
        let (response, _) = send.send_request(request, true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let (bytes, _) = read(&mut body).await.unwrap();
        let text = String::from_utf8(bytes).unwrap().to_lowercase();
        assert!(text.contains(r#"["cookie","a=1; b=2"]"#), "{text}");
    });
}

/// A server that takes streams and never answers; how many connections it took.
fn silent_server() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&connections);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    let mut kept = Vec::new();
                    while let Some(Ok(stream)) = connection.accept().await {
                        kept.push(stream);
                    }
                });
            }
        });
    });
    (address, connections)
}

#[test]
fn many_that_wait_for_one_connection_wait_no_longer_than_one() {
    // Nobody shakes hands.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tls = UpstreamTls {
        ca: None,
        server_name: Some("localhost".to_owned()),
        client: None,
        insecure: true,
    };
    let mut params = params(&[listener.local_addr().unwrap()]);
    let servers = servers(&mut params.upstreams[0]);
    servers.protocol = UpstreamProtocol::Http2;
    servers.tls = Some(tls);
    servers.connect_timeout = Duration::from_millis(300);
    servers.retry.attempts = 0;
    let running = start(params);
    let begun = std::time::Instant::now();
    let mut clients: Vec<_> = (0..20).map(|_| running.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response("GET").unwrap().status, 504);
    }
    // One after the other they would take six seconds.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_connection_on_which_nothing_comes_is_not_used_again() {
    let (address, connections) = silent_server();
    let mut params = params(&[address]);
    servers(&mut params.upstreams[0]).protocol = UpstreamProtocol::Http2;
    params.routes[0].timeouts.response = Duration::from_millis(50);
    let running = start(params);
    for number in 1..=3 {
        assert_eq!(running.client().get("/").status, 504);
        assert_eq!(connections.load(Ordering::Relaxed), number);
    }
}

#[test]
fn a_body_of_no_bytes_is_announced_where_one_could_be() {
    let origin = echo();
    let running = start(params(&[origin.addr()]));
    block_on(async {
        let (send, _connection) = connect(running.address).await;
        for (method, path) in [("POST", "/1"), ("PUT", "/2"), ("GET", "/3"), ("DELETE", "/4")] {
            let (answer, _) = open(&send, method, path, true).await;
            assert_eq!(answer.await.unwrap().status(), 200);
        }
        let request = Request::delete("http://a/5").header("content-length", "0").body(()).unwrap();
        let (answer, _) = send.clone().ready().await.unwrap().send_request(request, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
    });
    let lengths: Vec<Option<String>> = origin
        .requests()
        .iter()
        .map(|request| request.header("content-length").map(str::to_owned))
        .collect();
    let zero = || Some("0".to_owned());
    assert_eq!(lengths, [zero(), zero(), None, None, zero()]);
}

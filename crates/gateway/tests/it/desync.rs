//! Messages that the two sides of the gateway could understand differently.

use std::net::SocketAddr;
use std::time::Duration;

use gateway::FailureKind;
use gateway::params::*;
use h2::Reason;
use http::{Request, Response};
use testkit::origin::{Behaviour, Fault};

use crate::harness::{Client, echo, origin, params, servers, start};
use crate::http2::{block_on, connect, get, open};

fn raw(text: &str) -> Behaviour {
    Behaviour::Fault(Fault::Raw { bytes: text.as_bytes().to_vec(), close: false })
}

#[test]
fn interim_answers_carry_nothing_of_the_connection() {
    let server = origin(raw("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\
         Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\
         Transfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    server.set_route(
        "/length",
        raw("HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    );
    let running = start(params(&[server.addr()]));
    let mut client = running.client();
    let hints = client.get("/");
    assert_eq!((hints.status, hints.field("link")), (103, Some("</x>")));
    for name in ["connection", "x-hop", "keep-alive", "upgrade", "transfer-encoding"] {
        assert_eq!(hints.field(name), None, "{name}: {}", hints.head);
    }
    assert_eq!(client.response("GET").unwrap().text(), "ok");
    let hints = client.get("/length");
    assert_eq!((hints.status, hints.field("content-length")), (103, None));
    assert_eq!(client.response("GET").unwrap().text(), "ok");
}

#[test]
fn lengths_are_told_once_and_only_of_what_could_have_one() {
    let server = origin(raw("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"));
    server.set_route(
        "/twice",
        raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    );
    let running = start(params(&[server.addr()]));
    let none = running.client().get("/");
    assert_eq!((none.status, none.field("content-length")), (204, None), "{}", none.head);
    let unchanged = running.client().get("/twice");
    assert_eq!((unchanged.status, unchanged.field("content-length")), (304, Some("5")));
    assert_eq!(unchanged.head.to_lowercase().matches("content-length").count(), 1);
}

#[test]
fn a_request_that_is_cut_short_is_not_passed_on_as_whole() {
    let server = echo();
    let running = start(params(&[server.addr()]));
    for reason in [Reason::NO_ERROR, Reason::CANCEL] {
        block_on(async {
            let (send, _connection) = connect(running.address).await;
            let (answer, mut body) = open(&send, "POST", "/half", false).await;
            body.send_data("half".into(), false).unwrap();
            // Until the gateway has read it.
            tokio::time::timeout(Duration::from_millis(50), answer).await.unwrap_err();
            body.send_reset(reason);
            assert_eq!(get(&send, "/after").await.0, 200);
        });
    }
    running.wait_until("counted", |running| running.failures(FailureKind::Gone) == 2.0);
    // The server has seen by now whatever was sent to it before.
    assert_eq!(running.client().get("/after").status, 200);
    assert!(server.requests().iter().all(|request| request.path() != "/half"));
}

/// A server of HTTP/2 that gives up each answer after its first half.
fn half_server() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let mut send = respond.send_response(Response::new(()), false).unwrap();
                    tokio::spawn(async move {
                        send.send_data("half".into(), false).unwrap();
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        send.send_reset(Reason::NO_ERROR);
                    });
                }
            }
        });
    });
    address
}

#[test]
fn an_answer_that_is_cut_short_is_not_passed_on_as_whole() {
    let mut params = params(&[half_server()]);
    servers(&mut params.upstreams[0]).protocol = UpstreamProtocol::Http2;
    let running = start(params);
    let mut client = running.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let got = client.everything();
    assert!(got.ends_with("half\r\n"), "{got}");
    assert_eq!(running.failures(FailureKind::BodyCut), 1.0);
}

#[test]
fn crumbs_of_cookies_become_one_field() {
    let server = echo();
    let running = start(params(&[server.addr()]));
    block_on(async {
        let (send, _connection) = connect(running.address).await;
        let request = Request::get("http://a/")
            .header("cookie", "a=1")
            .header("x", "y")
            .header("cookie", "b=2; c=3")
            .body(())
            .unwrap();
        let (answer, _) = send.clone().ready().await.unwrap().send_request(request, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
    });
    let request = server.requests().pop().unwrap();
    let cookies: Vec<&str> = request
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"))
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(cookies, ["a=1; b=2; c=3"]);
}

#[test]
fn names_that_servers_take_for_forwarding_fields_are_dropped() {
    let server = echo();
    let running = start(params(&[server.addr()]));
    let mut client = running.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 10.0.0.1\r\nx-forwarded_host: evil\r\n\
         X_Real_IP: 10.0.0.1\r\nX_Other: 1\r\n\r\n",
    );
    assert_eq!(client.response("GET").unwrap().status, 200);
    let request = server.requests().pop().unwrap();
    for name in ["x_forwarded_for", "x-forwarded_host", "x_real_ip"] {
        assert_eq!(request.header(name), None, "{name}");
    }
    assert_eq!(request.header("x_other"), Some("1"));
}

#[test]
fn http2_is_not_switched_to_behind_the_gateway() {
    let server = echo();
    let running = start(params(&[server.addr()]));
    for protocol in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.2"] {
        let mut client = running.client();
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             Upgrade: {protocol}\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        ));
        assert_eq!(client.response("GET").unwrap().status, 200, "{protocol}");
        let request = server.requests().pop().unwrap();
        assert_eq!(request.header("upgrade"), None, "{protocol}");
        assert_eq!(request.header("connection"), None, "{protocol}");
    }
}

#[test]
fn a_server_switches_to_what_was_asked_for_or_not_at_all() {
    let server = origin(raw(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
    ));
    let running = start(params(&[server.addr()]));
    let mut client = running.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.response("GET").unwrap().status, 502);
    running.wait_until("counted", |running| running.failures(FailureKind::BadResponse) == 1.0);
}

#[test]
fn requests_after_one_that_is_refused_are_not_answered() {
    let server = echo();
    let running = start(params(&[server.addr()]));
    let mut client: Client = running.client();
    client.send(
        "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost : a\r\n\r\n\
                 GET /c HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(client.response("GET").unwrap().status, 200);
    assert_eq!(client.response("GET").unwrap().status, 400);
    assert!(client.is_closed());
    assert_eq!(server.count(), 1);
}

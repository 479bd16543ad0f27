//! TLS and HTTP/2, seen by the clients of rustls and h2.

use crate::common::{PATIENCE, faulty, origin, read_all};
use bytes::Bytes;
use h2::client::SendRequest;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use testkit::origin::{
    Alpn, Behaviour, Fault, Origin, OriginConfig, Response, TlsMaterial, TlsSettings, Transport,
};
use tokio::io::{AsyncRead, AsyncWrite};

fn tls_origin(settings: TlsSettings, behaviour: Behaviour) -> Origin {
    Origin::start(OriginConfig::new(behaviour).transport(Transport::Tls(settings))).unwrap()
}

fn client_config(tls: &TlsMaterial, alpn: &[&str], certificate: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(tls.ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = if certificate {
        let chain = vec![CertificateDer::from_pem_slice(tls.client_cert_pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(tls.client_key_pem.as_bytes()).unwrap();
        builder.with_client_auth_cert(chain, key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A blocking TLS stream to `name`.
fn tls_stream(
    origin: &Origin,
    config: Arc<ClientConfig>,
    name: &'static str,
) -> StreamOwned<ClientConnection, TcpStream> {
    let tcp = TcpStream::connect(origin.addr()).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let client = ClientConnection::new(config, ServerName::try_from(name).unwrap()).unwrap();
    StreamOwned::new(client, tcp)
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n";

#[test]
fn http1_over_tls() {
    let origin = tls_origin(TlsSettings::default(), Behaviour::ok("secret"));
    assert_eq!(origin.url(), format!("https://{}", origin.addr()));
    for (name, sent) in [("localhost", Some("localhost")), ("127.0.0.1", None)] {
        let config = client_config(origin.tls().unwrap(), &["http/1.1"], false);
        let mut stream = tls_stream(&origin, config, name);
        stream.write_all(GET).unwrap();
        let (answer, end) = read_all(&mut stream);
        end.unwrap();
        assert!(answer.ends_with("\r\n\r\nsecret"));
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(origin.requests().pop().unwrap().server_name.as_deref(), sent);
    }
}

#[test]
fn client_certificates() {
    let settings = TlsSettings { client_certificate: true, alpn: vec![Alpn::Http11] };
    let origin = tls_origin(settings, Behaviour::ok("known"));
    let exchange = |certificate| -> io::Result<String> {
        let config = client_config(origin.tls().unwrap(), &[], certificate);
        let mut stream = tls_stream(&origin, config, "localhost");
        stream.write_all(GET)?;
        let (answer, end) = read_all(&mut stream);
        end.map(|()| answer)
    };
    assert!(exchange(true).unwrap().ends_with("known"));
    exchange(false).unwrap_err();
    assert_eq!(origin.count(), 1);
}

#[test]
fn faults_over_tls() {
    let origin = tls_origin(TlsSettings::default(), Behaviour::Fault(Fault::CloseMidBody));
    let config = client_config(origin.tls().unwrap(), &[], false);
    let mut stream = tls_stream(&origin, config, "localhost");
    stream.write_all(GET).unwrap();
    let (answer, end) = read_all(&mut stream);
    assert!(answer.ends_with("0123456789"));
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "no close_notify");

    origin.set_route("/", Behaviour::Fault(Fault::ResetBeforeResponse));
    let config = client_config(origin.tls().unwrap(), &[], false);
    let mut stream = tls_stream(&origin, config, "localhost");
    stream.write_all(GET).unwrap();
    let (_, end) = read_all(&mut stream);
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

/// Runs `test` with an HTTP/2 client on `stream`.
async fn with_h2<S, F>(stream: S, test: impl FnOnce(SendRequest<Bytes>) -> F) -> F::Output
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future,
{
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::select! {
        result = test(client) => result,
        ended = connection => panic!("the connection ended first: {ended:?}"),
    }
}

/// Status and body of `GET path`, and the error that cut it off.
async fn fetch(
    client: SendRequest<Bytes>,
    method: &str,
    body: &'static [u8],
) -> (Option<u16>, Vec<u8>, Option<h2::Error>) {
    let request =
        http::Request::builder().method(method).uri("http://origin/a?b").body(()).unwrap();
    let mut client = client.ready().await.unwrap();
    let (response, mut sender) = client.send_request(request, body.is_empty()).unwrap();
    if !body.is_empty() {
        sender.send_data(Bytes::from_static(body), true).unwrap();
    }
    let response = match response.await {
        Ok(response) => response,
        Err(error) => return (None, Vec::new(), Some(error)),
    };
    let status = Some(response.status().as_u16());
    let mut stream = response.into_body();
    let mut bytes = Vec::new();
    while let Some(data) = stream.data().await {
        match data {
            Ok(data) => {
                stream.flow_control().release_capacity(data.len()).unwrap();
                bytes.extend_from_slice(&data);
            }
            Err(error) => return (status, bytes, Some(error)),
        }
    }
    (status, bytes, None)
}

async fn tcp(origin: &Origin) -> tokio::net::TcpStream {
    tokio::net::TcpStream::connect(origin.addr()).await.unwrap()
}

#[tokio::test]
async fn http2_with_prior_knowledge() {
    let origin = origin(Behaviour::Echo);
    let (status, body, error) =
        with_h2(tcp(&origin).await, |client| fetch(client, "POST", b"hello")).await;
    assert!(error.is_none());
    assert_eq!(status, Some(200));
    let echo: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let expected = serde_json::json!({
        "method": "POST", "target": "/a?b", "version": "HTTP/2.0",
        "headers": [[":scheme", "http"], [":authority", "origin"]], "body": "hello",
    });
    assert_eq!(echo, expected);
}

#[tokio::test]
async fn http2_by_alpn_many_streams_and_a_body_beyond_the_window() {
    const STREAMS: u64 = 50;
    let body = vec![b'x'; 300_000];
    let origin = tls_origin(TlsSettings::default(), Behaviour::ok(body.clone()));
    let config = client_config(origin.tls().unwrap(), &["h2", "http/1.1"], false);
    let connector = tokio_rustls::TlsConnector::from(config);
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, tcp(&origin).await).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    with_h2(stream, async |client| {
        let mut fetches = tokio::task::JoinSet::new();
        for _ in 0..STREAMS {
            fetches.spawn(fetch(client.clone(), "GET", b""));
        }
        for (status, got, error) in fetches.join_all().await {
            assert!(error.is_none());
            assert_eq!(status, Some(200));
            assert!(got == body);
        }
    })
    .await;
    assert_eq!(origin.count(), STREAMS);
    assert_eq!(origin.connections_accepted(), 1);
}

#[tokio::test]
async fn http2_heads_have_no_body() {
    let origin = origin(Behaviour::Respond(Response { status: 404, ..Response::default() }));
    let (status, body, error) =
        with_h2(tcp(&origin).await, |client| fetch(client, "HEAD", b"")).await;
    assert!(error.is_none());
    assert_eq!((status, body), (Some(404), vec![]));
}

#[tokio::test]
async fn http2_faults() {
    let reset = Some(h2::Reason::INTERNAL_ERROR);
    let slow = Fault::SlowBody { chunk_bytes: 3, chunks: 2, interval: PATIENCE / 1000 };
    for (fault, status, body, reason) in [
        (Fault::ResetBeforeResponse, None, "", reset),
        (Fault::MalformedStatusLine, None, "", reset),
        (Fault::CloseMidBody, Some(200), "0123456789", reset),
        (slow, Some(200), "......", None),
        (Fault::Interim { status: 103 }, Some(200), "ok", None),
    ] {
        let origin = faulty(fault.clone());
        let (got_status, got, error) =
            with_h2(tcp(&origin).await, |client| fetch(client, "GET", b"")).await;
        assert_eq!((got_status, &got[..]), (status, body.as_bytes()), "{fault:?}");
        assert_eq!(error.and_then(|error| error.reason()), reason, "{fault:?}");
    }
}

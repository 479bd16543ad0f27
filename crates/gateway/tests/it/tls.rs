//! TLS with clients and with servers.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway::params::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;
use testkit::origin::{Alpn, Behaviour, Fault, Origin, OriginConfig, TlsSettings, Transport};

use crate::harness::{PATIENCE, Running, echo, listener, params, servers, start};

/// An authority, and a folder for what it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Authority { issuer, folder: TempDir::new().unwrap() };
        fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sign(&self, name: &str, hosts: &[&str]) -> Certificate {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let (cert, secret) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        fs::write(&cert, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(&secret, key.serialize_pem()).unwrap();
        Certificate { cert, key: secret }
    }

    /// What a client needs that trusts this authority, with a certificate of its own or without.
    fn client(&self, alpn: &[&[u8]], own: Option<&Certificate>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = CertificateDer::pem_file_iter(&own.cert).unwrap();
                let chain = chain.collect::<Result<_, _>>().unwrap();
                let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|alpn| alpn.to_vec()).collect();
        Arc::new(config)
    }
}

fn https(origin: &Origin, certificates: Vec<Certificate>) -> GatewayParams {
    let mut params = params(&[origin.addr()]);
    params.listeners[0].tls =
        Some(ListenerTls { certificates, tls12: true, client_ca: None, client_required: false });
    params
}

/// The answer to a GET, and the certificate that the gateway showed.
fn get(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<(String, Vec<u8>)> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let server = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::clone(config), server).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    // Fails when the gateway does not say that it closes (RFC 8446 section 6.1).
    stream.read_to_string(&mut answer)?;
    let shown = stream.conn.peer_certificates().unwrap()[0].to_vec();
    Ok((answer, shown))
}

#[test]
fn certificates_are_chosen_by_name_and_requests_pass() {
    let authority = Authority::new();
    let origin = echo();
    let files = [authority.sign("a", &["a.example"]), authority.sign("b", &["*.b.example"])];
    let running = start(https(&origin, files.to_vec()));
    let client = authority.client(&[b"http/1.1"], None);
    let shown: Vec<Vec<u8>> = ["a.example", "x.b.example"]
        .iter()
        .map(|name| {
            let (answer, shown) = get(running.address, &client, name).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            shown
        })
        .collect();
    assert_ne!(shown[0], shown[1]);
    assert_eq!(origin.requests()[0].header("x-forwarded-proto"), Some("https"));
    // Nobody has a certificate for this name.
    assert!(get(running.address, &client, "c.example").is_err());
    // Plain HTTP on the same port is no request.
    let mut plain = running.client();
    plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    plain.everything_raw();
    let refused = "tidegate_connections_refused_total{reason=\"tls-handshake\"}";
    running.wait_until("counted", |running| running.metric(refused) == 2.0);
    assert_eq!(origin.count(), 2);
}

#[test]
fn client_certificates_are_checked() {
    let authority = Authority::new();
    let origin = echo();
    let mut params = https(&origin, vec![authority.sign("a", &["a.example"])]);
    let tls = params.listeners[0].tls.as_mut().unwrap();
    tls.client_ca = Some(authority.path("ca.pem"));
    tls.client_required = true;
    let running = start(params);
    let known = authority.sign("client", &["client"]);
    let other = Authority::new();
    let stranger = other.sign("client", &["client"]);
    assert!(get(running.address, &authority.client(&[], Some(&known)), "a.example").is_ok());
    for own in [None, Some(&stranger)] {
        assert!(get(running.address, &authority.client(&[], own), "a.example").is_err());
    }
    assert_eq!(origin.count(), 1);
}

/// Many streams over TLS, with a large body.
fn http2_over(running: &Running, config: &Arc<ClientConfig>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let session = async {
        let stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
        let name = ServerName::try_from("a.example").unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut answers = Vec::new();
        for _ in 0..50 {
            let request = http::Request::get("https://a.example/large").body(()).unwrap();
            let mut send = send.clone().ready().await.unwrap();
            let (answer, _) = send.send_request(request, true).unwrap();
            // They share one window: each must be read, lest all wait.
            answers.push(tokio::spawn(async move {
                let mut body = answer.await.unwrap().into_body();
                let mut length = 0;
                while let Some(data) = body.data().await {
                    let data = data.unwrap();
                    length += data.len();
                    body.flow_control().release_capacity(data.len()).unwrap();
                }
                length
            }));
        }
        for answer in answers {
            assert_eq!(answer.await.unwrap(), 100_000);
        }
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, session).await.unwrap() });
}

#[test]
fn alpn_chooses_http2() {
    let authority = Authority::new();
    let origin = echo();
    origin.set_route("/large", Behaviour::ok(vec![b'x'; 100_000]));
    let running = start(https(&origin, vec![authority.sign("a", &["a.example"])]));
    http2_over(&running, &authority.client(&[b"h2", b"http/1.1"], None));
    assert_eq!(origin.count(), 50);
    let mut without = https(&origin, vec![authority.sign("a", &["a.example"])]);
    without.listeners[0].http2 = false;
    let running = start(without);
    let client = authority.client(&[b"h2", b"http/1.1"], None);
    assert!(get(running.address, &client, "a.example").unwrap().0.starts_with("HTTP/1.1 200"));
}

#[test]
fn everything_can_be_sent_to_https() {
    let origin = echo();
    let mut params = params(&[origin.addr()]);
    params.listeners[0].redirect_https = Some(443);
    params.listeners.push(Listener { redirect_https: Some(8443), ..listener("other") });
    params.listeners[1].address = "127.0.0.2:0".parse().unwrap();
    let running = start(params);
    for (address, location) in [
        (running.address, "https://shop.example/a?b=c"),
        (running.gateway.addresses()[1].1, "https://shop.example:8443/a?b=c"),
    ] {
        let answer = crate::harness::Client::connect(address).get("/x/../a?b=c");
        assert_eq!((answer.status, answer.field("location")), (308, Some(location)));
    }
    assert_eq!(origin.count(), 0);
}

fn tls_origin(settings: TlsSettings) -> Origin {
    let config =
        OriginConfig::new(Behaviour::Echo).route("/cut", Behaviour::Fault(Fault::CloseMidBody));
    Origin::start(config.transport(Transport::Tls(settings))).unwrap()
}

#[test]
fn servers_are_verified_and_alpn_decides_what_is_spoken() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    for (alpn, protocol, version) in [
        (vec![Alpn::Http2, Alpn::Http11], UpstreamProtocol::Auto, http::Version::HTTP_2),
        (vec![Alpn::Http11], UpstreamProtocol::Auto, http::Version::HTTP_11),
        (vec![], UpstreamProtocol::Auto, http::Version::HTTP_11),
        (vec![Alpn::Http2, Alpn::Http11], UpstreamProtocol::Http1, http::Version::HTTP_11),
        (vec![Alpn::Http2], UpstreamProtocol::Http2, http::Version::HTTP_2),
    ] {
        let origin = tls_origin(TlsSettings { alpn, client_certificate: true });
        let material = origin.tls().unwrap();
        let client = Certificate {
            cert: write("client.pem", &material.client_cert_pem),
            key: write("client.key", &material.client_key_pem),
        };
        let ca = Some(write("ca.pem", &material.ca_pem));
        let mut good = params(&[origin.addr()]);
        let servers = servers(&mut good.upstreams[0]);
        servers.protocol = protocol;
        servers.retry.attempts = 0;
        servers.tls = Some(UpstreamTls {
            ca,
            server_name: Some("localhost".to_owned()),
            client: Some(client),
            insecure: false,
        });
        let running = start(good.clone());
        let mut client = running.client();
        for number in 1..=3 {
            assert_eq!(client.get("/").status, 200);
            assert_eq!(origin.count(), number);
        }
        let seen = &origin.requests()[2];
        assert_eq!((seen.version, seen.connection), (version, 1));
        assert_eq!(seen.server_name.as_deref(), Some("localhost"));
        // A cut is a cut, also when TLS is closed in good order.
        client.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.everything().ends_with("\r\n\r\n0123456789"));
        // Another name, another authority, no certificate of our own.
        let bad: [fn(&mut UpstreamTls); 3] = [
            |tls| tls.server_name = Some("other".to_owned()),
            |tls| tls.ca = None,
            |tls| tls.client = None,
        ];
        for change in bad {
            let mut bad = good.clone();
            let servers = crate::harness::servers(&mut bad.upstreams[0]);
            change(servers.tls.as_mut().unwrap());
            let running = start(bad);
            assert_eq!(running.client().get("/").status, 502);
        }
        assert_eq!(origin.count(), 4);
    }
}

#[test]
fn servers_may_be_at_unix_sockets() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("origin.sock");
    let config = OriginConfig::new(Behaviour::Echo).transport(Transport::Unix(path.clone()));
    let origin = Origin::start(config).unwrap();
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        let mut params = params(&[([127, 0, 0, 1], 1).into()]);
        let servers = servers(&mut params.upstreams[0]);
        servers.servers[0].address = ServerAddress::Unix(path.clone());
        servers.protocol = protocol;
        servers.connect_timeout = Duration::from_secs(5);
        let running = start(params);
        let mut client = running.client();
        for _ in 0..3 {
            assert_eq!(client.get("/").status, 200);
        }
    }
    assert_eq!((origin.count(), origin.connections_accepted()), (6, 2));
}

//! TLS, HTTP/2, Unix sockets, and how connections are used.

use std::fs;
use std::time::Duration;

use load::failure::FailureKind;
use load::params::{ConnectTo, HttpVersion, LoadParams};
use testkit::origin::{Alpn, Behaviour, Origin, OriginConfig, TlsSettings, Transport};

use crate::build::{closed, one, run};

fn tls_origin(alpn: Vec<Alpn>, client_certificate: bool) -> Origin {
    let settings = TlsSettings { alpn, client_certificate };
    let config = OriginConfig::new(Behaviour::Echo).transport(Transport::Tls(settings));
    Origin::start(config).unwrap()
}

fn params(origin: &Origin) -> LoadParams {
    closed(&origin.url(), one("/x"), 3, 30)
}

fn kinds(params: LoadParams) -> (u64, Vec<FailureKind>) {
    let result = run(params);
    (result.totals.failures, result.errors.iter().map(|group| group.kind).collect())
}

#[test]
fn tls_trusts_what_it_is_told_to() {
    let origin = tls_origin(vec![Alpn::Http11], false);
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, &origin.tls().unwrap().ca_pem).unwrap();
    assert_eq!(kinds(params(&origin)), (30, vec![FailureKind::Tls]));
    let mut trusting = params(&origin);
    trusting.http.tls.ca = Some(ca);
    let result = run(trusting.clone());
    assert_eq!(result.totals.failures, 0, "{:?}", result.errors);
    assert_eq!((result.phases.tls.count(), result.phases.connect.count()), (3, 3));
    trusting.http.tls.server_name = Some("wrong.example".to_owned());
    assert_eq!(kinds(trusting).0, 30);
    let mut insecure = params(&origin);
    insecure.http.tls.insecure = true;
    assert_eq!(kinds(insecure), (0, vec![]));
}

#[test]
fn a_client_certificate_is_shown_when_there_is_one() {
    let origin = tls_origin(vec![Alpn::Http11], true);
    let folder = tempfile::tempdir().unwrap();
    let material = origin.tls().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let mut without = params(&origin);
    without.http.tls.ca = Some(write("ca.pem", &material.ca_pem));
    let mut with = without.clone();
    assert_eq!(kinds(without).0, 30);
    with.http.tls.client = Some((
        write("cert.pem", &material.client_cert_pem),
        write("key.pem", &material.client_key_pem),
    ));
    assert_eq!(kinds(with), (0, vec![]));
}

#[test]
fn http2_by_alpn_and_by_prior_knowledge() {
    let over_tls = tls_origin(vec![Alpn::Http2], false);
    let mut tls = params(&over_tls);
    tls.http.tls.insecure = true;
    tls.http.version = HttpVersion::Http2;
    assert_eq!(kinds(tls), (0, vec![]));
    let plain = Origin::start(OriginConfig::new(Behaviour::Echo)).unwrap();
    let mut h2c = params(&plain);
    h2c.http.version = HttpVersion::Http2;
    let result = run(h2c);
    assert_eq!(result.totals.failures, 0, "{:?}", result.errors);
    assert_eq!((plain.count(), plain.connections_accepted()), (30, 3));
    // A target that only speaks HTTP/1.1 is told apart from one that does not answer.
    let old = tls_origin(vec![Alpn::Http11], false);
    let mut refused = params(&old);
    refused.http.tls.insecure = true;
    refused.http.version = HttpVersion::Http2;
    let (failures, kinds) = kinds(refused);
    assert_eq!(failures, 30);
    assert!(matches!(kinds[..], [FailureKind::Tls | FailureKind::Http2]), "{kinds:?}");
}

#[test]
fn a_unix_socket_and_another_address_are_reached() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("origin.sock");
    let config = OriginConfig::new(Behaviour::Echo).transport(Transport::Unix(path.clone()));
    let unix = Origin::start(config).unwrap();
    let mut params = closed("http://shop.example/", one("/x"), 2, 10);
    params.http.connect_to = Some(ConnectTo::Unix(path));
    assert_eq!(kinds(params.clone()), (0, vec![]));
    assert_eq!(unix.requests()[0].header("host"), Some("shop.example"));
    let tcp = Origin::start(OriginConfig::new(Behaviour::Echo)).unwrap();
    let address = tcp.addr();
    params.http.connect_to = Some(ConnectTo::Address(address.ip().to_string(), address.port()));
    assert_eq!(kinds(params), (0, vec![]));
    assert_eq!(tcp.requests()[0].header("host"), Some("shop.example"));
}

#[test]
fn connections_are_kept_or_closed_as_asked() {
    let connections = |change: &dyn Fn(&mut LoadParams)| {
        let origin = Origin::start(OriginConfig::new(Behaviour::Echo)).unwrap();
        let mut params = closed(&origin.url(), one("/x"), 1, 30);
        params.workers = 1;
        change(&mut params);
        assert_eq!(kinds(params), (0, vec![]));
        origin.connections_accepted()
    };
    assert_eq!(connections(&|_| {}), 1);
    assert_eq!(connections(&|params| params.http.keep_alive = false), 30);
    assert_eq!(connections(&|params| params.http.connection_requests = Some(10)), 3);
    assert_eq!(connections(&|params| params.http.connection_age = Some(Duration::ZERO)), 30);
}

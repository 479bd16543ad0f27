use super::*;

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection};
use tempfile::TempDir;

use crate::params::{ListenerTls, UpstreamTls};

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
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs a certificate and writes it and its key; over older ones of the same name.
    fn sign(&self, name: &str, hosts: &[&str]) -> Certificate {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let files = Certificate {
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        };
        fs::write(&files.cert, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    fn upstream(&self) -> UpstreamTls {
        let ca = Some(self.path("ca.pem"));
        UpstreamTls { ca, server_name: None, client: None, insecure: false }
    }
}

fn listener(certificates: Vec<Certificate>) -> ListenerTls {
    ListenerTls { certificates, tls12: true, client_ca: None, client_required: false }
}

const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// What two sides agreed on.
#[derive(Debug)]
struct Agreed {
    leaf: Vec<u8>,
    alpn: Option<Vec<u8>>,
    kind: Option<HandshakeKind>,
    client_certificate: bool,
}

/// A handshake in memory.
fn shake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &str,
) -> Result<Agreed, rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    // A handshake takes three flights; the rest are tickets and alerts.
    for _ in 0..5 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(Agreed {
        leaf: client.peer_certificates().unwrap()[0].to_vec(),
        alpn: client.alpn_protocol().map(<[u8]>::to_vec),
        kind: server.handshake_kind(),
        client_certificate: server.peer_certificates().is_some(),
    })
}

fn leaf(files: &Certificate) -> Vec<u8> {
    chain(&files.cert).unwrap()[0].to_vec()
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let authority = Authority::new();
    let first = authority.sign("first", &["first.example", "both.example"]);
    let wild = authority.sign("wild", &["*.shop.example", "both.example"]);
    let exact = authority.sign("exact", &["www.other.example"]);
    let params = listener(vec![first.clone(), wild.clone(), exact.clone()]);
    let (_, certificates) = CertificateWatch::start(&params.certificates).unwrap();
    let cases = [
        (Some("first.example"), &first),
        (Some("FIRST.example"), &first),
        (Some("both.example"), &first),
        (Some("a.shop.example"), &wild),
        (Some("a.b.shop.example"), &first),
        (Some("shop.example"), &first),
        (Some("www.other.example"), &exact),
        (Some("other.example"), &first),
        (Some("unknown"), &first),
        (Some("not a name"), &first),
        (None, &first),
    ];
    for (name, expected) in cases {
        let chosen = certificates.choose(name).unwrap();
        assert_eq!(chosen.cert[0].to_vec(), leaf(expected), "{name:?}");
    }

    let (server, _watch) = server_config(&params, true).unwrap();
    let client = client_config(&authority.upstream(), ALPN).unwrap();
    assert_eq!(shake(&client, &server, "a.shop.example").unwrap().leaf, leaf(&wild));
    assert!(shake(&client, &server, "unknown.example").is_err());
}

#[test]
fn protocols_and_versions_are_those_configured() {
    let authority = Authority::new();
    let files = authority.sign("site", &["site.example"]);
    let agreed = |http2, alpn, tls12| {
        let params = ListenerTls { tls12, ..listener(vec![files.clone()]) };
        let (server, _watch) = server_config(&params, http2).unwrap();
        shake(&client_config(&authority.upstream(), alpn).unwrap(), &server, "site.example")
    };
    assert_eq!(agreed(true, ALPN, true).unwrap().alpn, Some(b"h2".to_vec()));
    assert_eq!(agreed(false, ALPN, true).unwrap().alpn, Some(b"http/1.1".to_vec()));
    assert_eq!(agreed(true, &[b"http/1.1"], true).unwrap().alpn, Some(b"http/1.1".to_vec()));
    assert_eq!(agreed(true, &[], true).unwrap().alpn, None);
    assert!(agreed(false, &[b"h2"], true).is_err());

    for tls12 in [false, true] {
        let params = ListenerTls { tls12, ..listener(vec![files.clone()]) };
        let (server, _watch) = server_config(&params, true).unwrap();
        let old = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(authorities(&authority.path("ca.pem")).unwrap())
            .with_no_client_auth();
        assert_eq!(shake(&Arc::new(old), &server, "site.example").is_ok(), tls12);
    }
}

#[test]
fn sessions_are_resumed_at_the_same_listener_only() {
    let authority = Authority::new();
    let params = listener(vec![authority.sign("site", &["site.example"])]);
    let (server, _watch) = server_config(&params, true).unwrap();
    let (other, _watch) = server_config(&params, true).unwrap();
    let client = client_config(&authority.upstream(), ALPN).unwrap();
    let kind = |server| shake(&client, server, "site.example").unwrap().kind;
    assert_eq!(kind(&server), Some(HandshakeKind::Full));
    assert_eq!(kind(&server), Some(HandshakeKind::Resumed));
    assert_eq!(kind(&other), Some(HandshakeKind::Full));
}

#[test]
fn client_certificates_are_asked_for() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let site = authority.sign("site", &["site.example"]);
    let own = authority.sign("client", &["client"]);
    let foreign = stranger.sign("client", &["client"]);
    for required in [false, true] {
        let params = ListenerTls {
            client_ca: Some(authority.path("ca.pem")),
            client_required: required,
            ..listener(vec![site.clone()])
        };
        let (server, _watch) = server_config(&params, true).unwrap();
        let with = |client: Option<&Certificate>| {
            let params = UpstreamTls { client: client.cloned(), ..authority.upstream() };
            let client = client_config(&params, ALPN).unwrap();
            shake(&client, &server, "site.example").map(|agreed| agreed.client_certificate).ok()
        };
        assert_eq!(with(Some(&own)), Some(true));
        assert_eq!(with(Some(&foreign)), None);
        assert_eq!(with(None), if required { None } else { Some(false) });
    }
}

#[test]
fn servers_are_verified_unless_told() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let params = listener(vec![authority.sign("site", &["site.example"])]);
    let (server, _watch) = server_config(&params, true).unwrap();
    let with = |params: UpstreamTls, name| {
        shake(&client_config(&params, ALPN).unwrap(), &server, name).is_ok()
    };
    assert!(with(authority.upstream(), "site.example"));
    assert!(!with(authority.upstream(), "other.example"));
    assert!(!with(stranger.upstream(), "site.example"));
    assert!(!with(UpstreamTls { ca: None, ..authority.upstream() }, "site.example"));
    assert!(with(UpstreamTls { insecure: true, ..stranger.upstream() }, "other.example"));
}

#[test]
fn renewed_certificates_are_used_and_broken_ones_are_not() {
    let authority = Authority::new();
    let files = authority.sign("site", &["site.example"]);
    let other = authority.sign("other", &["other.example"]);
    let params = listener(vec![files.clone(), other.clone()]);
    let (server, watch) = server_config(&params, true).unwrap();
    let client = || client_config(&authority.upstream(), ALPN).unwrap();
    let served = || shake(&client(), &server, "site.example").unwrap().leaf;
    let old = leaf(&files);
    assert!(!watch.changed());
    assert_eq!(served(), old);

    // The certificate alone does not fit the key; once the key is there too, both are used.
    let old_key = fs::read(&files.key).unwrap();
    authority.sign("site", &["site.example"]);
    let new_key = fs::read(&files.key).unwrap();
    fs::write(&files.key, old_key).unwrap();
    assert!(watch.changed());
    let error = watch.reload().unwrap_err();
    assert!(matches!(&error.errors[..], [TlsError::Pair { .. }]));
    assert!(error.to_string().contains("site.key"), "{error}");
    assert!(!watch.changed(), "a broken renewal is reported once");
    assert_eq!(served(), old);
    fs::write(&files.key, new_key).unwrap();
    assert!(watch.changed());
    watch.reload().unwrap();
    assert_ne!(served(), old);
    assert_eq!(served(), leaf(&files));

    // One that is gone does not stop the other from being renewed.
    fs::remove_file(&files.cert).unwrap();
    let renewed = authority.sign("other", &["other.example"]);
    let error = watch.reload().unwrap_err();
    assert!(matches!(&error.errors[..], [TlsError::Chain { .. }]));
    assert_eq!(shake(&client(), &server, "other.example").unwrap().leaf, leaf(&renewed));
    assert!(shake(&client(), &server, "site.example").is_ok());
}

#[test]
fn errors_say_which_file_and_why() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let good = authority.sign("good", &["good.example"]);
    let foreign = stranger.sign("foreign", &["good.example"]);
    let empty = authority.path("empty.pem");
    fs::write(&empty, "nothing\n").unwrap();
    let absent = authority.path("absent.pem");
    let error = |cert: &Path, key: &Path| {
        let files = Certificate { cert: cert.into(), key: key.into() };
        server_config(&listener(vec![good.clone(), files]), true).unwrap_err().to_string()
    };
    for (text, words) in [
        (error(&absent, &good.key), ["absent.pem", "No such file"]),
        (error(&empty, &good.key), ["empty.pem", "holds none"]),
        (error(&good.cert, &empty), ["empty.pem", "not encrypted"]),
        (error(&good.cert, &foreign.key), ["foreign.key", "first certificate"]),
    ] {
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    assert!(matches!(server_config(&listener(vec![]), true), Err(TlsError::NoCertificate)));
    let ca = UpstreamTls { ca: Some(empty.clone()), ..authority.upstream() };
    assert!(client_config(&ca, ALPN).unwrap_err().to_string().contains("empty.pem"));
    let asking = ListenerTls { client_ca: Some(absent), ..listener(vec![good]) };
    assert!(server_config(&asking, true).unwrap_err().to_string().contains("absent.pem"));
}

//! Certificates made at start, and the TLS acceptor that uses them.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// How the origin speaks TLS.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The protocols offered by ALPN, most wanted first; empty: no ALPN.
    pub alpn: Vec<Alpn>,
    /// Refuse clients without a certificate of [`TlsMaterial::ca_pem`].
    pub client_certificate: bool,
}

impl Default for TlsSettings {
    /// Both protocols, no client certificate.
    fn default() -> Self {
        Self { alpn: vec![Alpn::Http2, Alpn::Http11], client_certificate: false }
    }
}

/// A protocol that is agreed on in the TLS handshake (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// `http/1.1`
    Http11,
    /// `h2`
    Http2,
}

impl Alpn {
    pub(super) fn id(self) -> &'static [u8] {
        match self {
            Alpn::Http11 => b"http/1.1",
            Alpn::Http2 => b"h2",
        }
    }
}

/// What a client needs to talk to this origin, in PEM.
#[derive(Debug, Clone)]
pub struct TlsMaterial {
    /// The authority that signed the server's certificate, which is for `localhost`, `127.0.0.1`
    /// and `::1`.
    pub ca_pem: String,
    /// A client certificate of the same authority.
    pub client_cert_pem: String,
    /// Its private key (PKCS #8).
    pub client_key_pem: String,
}

/// A new authority, server and client, and the acceptor of that server.
///
/// # Errors
/// What rcgen or rustls say about these certificates.
pub(super) fn acceptor(settings: &TlsSettings) -> io::Result<(TlsAcceptor, TlsMaterial)> {
    let mut params = CertificateParams::new([]).map_err(io::Error::other)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "testkit authority");
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let ca = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;

    let names = ["localhost", "127.0.0.1", "::1"];
    let (server, server_key) = signed(&ca, &names, ExtendedKeyUsagePurpose::ServerAuth)?;
    let (client, client_key) = signed(&ca, &["client"], ExtendedKeyUsagePurpose::ClientAuth)?;
    let material = TlsMaterial {
        ca_pem: ca.pem(),
        client_cert_pem: client.pem(),
        client_key_pem: client_key.serialize_pem(),
    };

    let provider = Arc::new(ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = if settings.client_certificate {
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).map_err(io::Error::other)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
    } else {
        builder.with_no_client_auth()
    };
    let chain: Vec<CertificateDer<'static>> = vec![server.der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let mut config = builder.with_single_cert(chain, key).map_err(io::Error::other)?;
    config.alpn_protocols = settings.alpn.iter().map(|alpn| alpn.id().to_vec()).collect();
    Ok((TlsAcceptor::from(Arc::new(config)), material))
}

/// A certificate of `ca` for `names`, and its key.
fn signed(
    ca: &CertifiedIssuer<'_, KeyPair>,
    names: &[&str],
    usage: ExtendedKeyUsagePurpose,
) -> io::Result<(rcgen::Certificate, KeyPair)> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.signed_by(&key, ca).map_err(io::Error::other)?;
    Ok((certificate, key))
}

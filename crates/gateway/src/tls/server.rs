//! TLS towards clients.

use std::sync::Arc;

use rustls::crypto::ring::Ticketer;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::{CertificateWatch, TlsError, authorities, provider};
use crate::params::ListenerTls;

/// The settings of a listener, and what looks after its certificates. The authorities of client
/// certificates are read once.
///
/// Sessions are resumed by tickets whose keys stay in memory and change every six hours; they are
/// valid at this listener only, so none can be carried from one that asks no certificates to one
/// that does.
///
/// # Errors
/// When a file cannot be read or used.
pub(crate) fn server_config(
    params: &ListenerTls,
    http2: bool,
) -> Result<(Arc<ServerConfig>, CertificateWatch), TlsError> {
    let (watch, certificates) = CertificateWatch::start(&params.certificates)?;
    let versions: &[&SupportedProtocolVersion] =
        if params.tls12 { &[&TLS13, &TLS12] } else { &[&TLS13] };
    let builder =
        ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?;
    let builder = match &params.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            let verifier =
                if params.client_required { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| {
                TlsError::Authority { path: path.clone(), text: error.to_string() }
            })?)
        }
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.ticketer = Ticketer::new()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if http2 {
        config.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok((Arc::new(config), watch))
}

//! TLS settings for rustls, towards clients and towards servers.

mod certificates;
mod client;
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

pub(crate) use certificates::CertificateWatch;
pub(crate) use client::client_config;
pub(crate) use server::server_config;

use crate::params::Certificate;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates cannot be read.
    #[error("cannot read certificates in PEM from {}: {}", path.display(), reason(source))]
    Chain {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A file of a key cannot be read.
    #[error(
        "cannot read a private key in PEM (PKCS #8, PKCS #1 or SEC 1, not encrypted) from {}: {}",
        path.display(),
        reason(source)
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A certificate and its key cannot be used together.
    #[error(
        "the certificate {} cannot be used with the key {}: {source}; \
         the first certificate of the file must be the one that the key belongs to",
        cert.display(),
        key.display()
    )]
    Pair {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// A certificate of a file cannot be an authority's.
    #[error("a certificate in {} is no authority's: {text}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        text: String,
    },
    /// No certificates are configured.
    #[error("a TLS listener needs at least one certificate")]
    NoCertificate,
    /// rustls refuses the settings.
    #[error("rustls refuses the TLS settings: {0}")]
    Settings(#[from] rustls::Error),
}

/// What is wrong with a PEM file, in words.
fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "it holds none".to_owned(),
        pem::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The certificates of a PEM file, at least one.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let error = |source| TlsError::Chain { path: path.to_owned(), source };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(error)?
        .collect::<Result<_, _>>()
        .map_err(error)?;
    if chain.is_empty() { Err(error(pem::Error::NoItemsFound)) } else { Ok(chain) }
}

/// A certificate with its key, known to fit each other.
fn certified_key(files: &Certificate) -> Result<CertifiedKey, TlsError> {
    let chain = chain(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| TlsError::Key { path: files.key.clone(), source })?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|source| TlsError::Pair {
        cert: files.cert.clone(),
        key: files.key.clone(),
        source,
    })
}

/// The authorities of a PEM file.
fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots.add(certificate).map_err(|error| TlsError::Authority {
            path: path.to_owned(),
            text: error.to_string(),
        })?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests;

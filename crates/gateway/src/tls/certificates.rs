//! The certificates of a listener: chosen by server name, renewed while in use.

use std::fmt;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ring::digest::{Context, SHA256};
use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{TlsError, certified_key};
use crate::params::Certificate;

/// What a certificate's files hold, hashed; `None` when they cannot be read.
type Stamp = Option<Vec<u8>>;

/// The certificates in use, in the order of the configuration.
#[derive(Debug)]
pub(super) struct Certificates {
    keys: RwLock<Vec<Arc<CertifiedKey>>>,
}

impl Certificates {
    /// The first certificate for the name; the first of all when there is none or no name.
    ///
    /// The names of each certificate are read again: some microseconds of a handshake that takes
    /// hundreds.
    pub(super) fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let named = name.filter(|_| keys.len() > 1).and_then(|name| {
            let name = ServerName::try_from(name).ok()?;
            keys.iter().find(|key| is_for(key, &name))
        });
        named.or(keys.first()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name())
    }
}

/// Whether a certificate's subject alternative names hold a name, as clients decide it (RFC 6125:
/// a wildcard stands for one label).
fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let leaf = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    leaf.is_ok_and(|leaf| verify_server_name(&leaf, name).is_ok())
}

/// Looks after the files of a listener's certificates. Connections that are there keep what they
/// agreed on; new ones get the renewed certificate.
#[derive(Debug)]
pub(crate) struct CertificateWatch {
    files: Vec<Certificate>,
    /// What the files held when they were last looked at, whether it could be used or not.
    seen: Mutex<Vec<Stamp>>,
    in_use: Arc<Certificates>,
}

/// Certificates that could not be renewed; those in use before still are.
#[derive(Debug)]
pub(crate) struct RenewalError {
    /// What is wrong with each.
    pub(crate) errors: Vec<TlsError>,
}

impl fmt::Display for RenewalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            write!(f, "{}{error}", if index > 0 { "; " } else { "" })?;
        }
        write!(f, " (the certificate in use stays)")
    }
}

impl std::error::Error for RenewalError {}

impl CertificateWatch {
    /// Reads certificates for the first time.
    pub(super) fn start(
        files: &[Certificate],
    ) -> Result<(CertificateWatch, Arc<Certificates>), TlsError> {
        if files.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        // Stamps come first: what changes while it is read is read again.
        let seen = files.iter().map(stamp).collect();
        let keys = files.iter().map(|files| certified_key(files).map(Arc::new));
        let keys = RwLock::new(keys.collect::<Result<_, _>>()?);
        let in_use = Arc::new(Certificates { keys });
        let (files, seen) = (files.to_vec(), Mutex::new(seen));
        Ok((CertificateWatch { files, seen, in_use: Arc::clone(&in_use) }, in_use))
    }

    /// Whether a file holds something else than when it was last read. Reads all files; not for
    /// the data plane.
    pub(crate) fn changed(&self) -> bool {
        self.files.iter().map(stamp).ne(self.seen().iter().cloned())
    }

    /// Reads the certificates whose files changed, and uses those that are good from now on.
    ///
    /// # Errors
    /// About each certificate that cannot be used; the old one stays then, and
    /// [`CertificateWatch::changed`] tells when its files change again.
    pub(crate) fn reload(&self) -> Result<(), RenewalError> {
        let mut seen = self.seen();
        let mut errors = Vec::new();
        for (index, (files, seen)) in self.files.iter().zip(seen.iter_mut()).enumerate() {
            let now = stamp(files);
            if now == *seen {
                continue;
            }
            *seen = now;
            match certified_key(files) {
                Ok(key) => self.in_use.replace(index, Arc::new(key)),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(RenewalError { errors }) }
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Stamp>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Certificates {
    fn replace(&self, index: usize, key: Arc<CertifiedKey>) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = keys.get_mut(index) {
            *place = key;
        }
    }
}

fn stamp(files: &Certificate) -> Stamp {
    let (cert, key) = (fs::read(&files.cert).ok()?, fs::read(&files.key).ok()?);
    let mut hash = Context::new(&SHA256);
    hash.update(&cert.len().to_be_bytes());
    hash.update(&cert);
    hash.update(&key);
    Some(hash.finish().as_ref().to_vec())
}

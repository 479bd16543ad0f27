//! A request as the gateway sees it, whatever protocol it came by.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use tokio::time::Instant;
use traffic::Name;
use wire::{BodyLength, HeadError, RequestHead};

use crate::core::Core;
use crate::failure::FailureKind;
use crate::params::{HashKey, Upstream};
use crate::treatment::Asked;

/// What is known about a client's connection.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Name of the listener.
    pub(crate) listener: Rc<str>,
    /// Who connected, or who a PROXY header says did.
    pub(crate) peer: SocketAddr,
    /// Where to.
    pub(crate) local: SocketAddr,
    /// Whether `Forwarded` and the like are believed.
    pub(crate) trusted: bool,
    /// TLS version.
    pub(crate) tls: Option<&'static str>,
    /// Port of the https listener that everything is redirected to.
    pub(crate) redirect_https: Option<u16>,
}

impl Origin {
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// A request. Filled again for every request of a connection, it allocates nothing.
#[derive(Debug)]
pub(crate) struct Request {
    /// Method, target and fields as they came; later: as they are forwarded.
    pub(crate) head: RequestHead,
    /// Host and port as the client wrote them.
    pub(crate) authority: String,
    /// Lower-case host without port.
    pub(crate) host: String,
    /// Normalised path.
    pub(crate) path: String,
    /// Path and query as they are forwarded.
    pub(crate) target: String,
    /// Where the query begins in `target`, after the `?`.
    query_at: Option<usize>,
    /// The client's address, believed proxies left out.
    pub(crate) client: IpAddr,
    /// The scheme the client used.
    pub(crate) scheme: &'static str,
    pub(crate) id: String,
    /// Authenticated user.
    pub(crate) user: Option<String>,
    /// The variants of experiments that it is served.
    pub(crate) variants: String,
    pub(crate) http2: bool,
    /// The protocol it wants to change to.
    pub(crate) upgrade: Option<String>,
    /// Whether the client understands trailers.
    pub(crate) wants_trailers: bool,
    /// When the head was complete.
    pub(crate) start: Instant,
    /// The same in microseconds since 1970.
    pub(crate) start_us: i64,
}

impl Request {
    pub(crate) fn new() -> Request {
        Request {
            head: RequestHead::default(),
            authority: String::new(),
            host: String::new(),
            path: String::new(),
            target: String::new(),
            query_at: None,
            client: IpAddr::from([0, 0, 0, 0]),
            scheme: "http",
            id: String::new(),
            user: None,
            variants: String::new(),
            http2: false,
            upgrade: None,
            wants_trailers: false,
            start: Instant::now(),
            start_us: 0,
        }
    }

    /// A copy for another exchange.
    pub(crate) fn copy(&self) -> Request {
        Request {
            head: self.head.clone(),
            authority: self.authority.clone(),
            host: self.host.clone(),
            path: self.path.clone(),
            target: self.target.clone(),
            id: self.id.clone(),
            user: self.user.clone(),
            variants: self.variants.clone(),
            upgrade: self.upgrade.clone(),
            ..*self
        }
    }

    /// Takes note of when its head was complete.
    pub(crate) fn begin(&mut self, core: &Core, http2: bool) {
        self.http2 = http2;
        self.start = Instant::now();
        self.start_us = core.unix_us_at(self.start);
    }

    /// Forgets what was made of the request before on the same connection.
    pub(crate) fn forget(&mut self, origin: &Origin) {
        self.client = canonical(origin.peer.ip());
        self.scheme = origin.scheme();
        self.user = None;
        self.variants.clear();
        self.upgrade = None;
        self.wants_trailers = false;
        self.query_at = None;
        for text in
            [&mut self.id, &mut self.authority, &mut self.host, &mut self.path, &mut self.target]
        {
            text.clear();
        }
    }

    /// Makes sense of the target: host, normalised path, query.
    pub(crate) fn understand(&mut self, origin: &Origin) -> Result<(), HeadError> {
        self.forget(origin);
        let target = wire::target::split_target(&self.head.target)?;
        match (target.authority, self.head.fields.get(Name::Host)) {
            (Some(authority), _) => self.authority.push_str(authority),
            (None, Some(host)) => self.authority.push_str(&String::from_utf8_lossy(host)),
            (None, None) => {}
        }
        if !self.authority.is_empty() {
            let (host, _) = wire::target::host_of(&self.authority)?;
            self.host.push_str(host.trim_end_matches('.'));
            self.host.make_ascii_lowercase();
        }
        if target.asterisk {
            self.path.push('*');
        } else {
            wire::target::normalise_path(target.path, &mut self.path)?;
        }
        self.target.push_str(&self.path);
        if let Some(query) = target.query {
            self.target.push('?');
            self.query_at = Some(self.target.len());
            self.target.push_str(query);
        }
        Ok(())
    }

    /// Puts another query behind the path that is forwarded.
    pub(crate) fn set_query(&mut self, query: Option<&str>) {
        if let Some(at) = self.query_at.take() {
            self.target.truncate(at - 1);
        }
        if let Some(query) = query {
            self.target.push('?');
            self.query_at = Some(self.target.len());
            self.target.push_str(query);
        }
    }

    /// The request as experiments look at it.
    pub(crate) fn asked<'a>(&'a self, upstreams: &'a [Upstream]) -> Asked<'a> {
        Asked {
            method: &self.head.method,
            scheme: self.scheme,
            host: &self.host,
            path: &self.path,
            query: self.query(),
            fields: &self.head.fields,
            client: self.client,
            unix_us: self.start_us,
            upstreams,
        }
    }

    /// The query without `?`.
    pub(crate) fn query(&self) -> Option<&str> {
        self.query_at.and_then(|at| self.target.get(at..))
    }

    /// Whether it has no body.
    pub(crate) fn is_empty(&self) -> bool {
        !matches!(self.head.body, BodyLength::Chunked | BodyLength::Length(1..))
    }

    /// Puts another path in front of the query.
    pub(crate) fn set_forwarded_path(&mut self, path: &str) {
        let query = self.query().map(str::to_owned);
        self.target.clear();
        self.target.push_str(path);
        self.query_at = None;
        self.set_query(query.as_deref());
    }

    /// What a balancer hashes.
    pub(crate) fn hash_key(&self, key: &HashKey) -> Option<u64> {
        let hash = policy::balance::hash::hash_key;
        match key {
            HashKey::ClientIp => Some(match self.client {
                IpAddr::V4(ip) => hash(&ip.octets()),
                IpAddr::V6(ip) => hash(&ip.octets()),
            }),
            HashKey::Cookie(name) => wire::cookie::cookie(&self.head.fields, name).map(hash),
            HashKey::Header(name) => self.head.fields.get_named(name).map(hash),
            HashKey::Uri => Some(hash(self.target.as_bytes())),
        }
    }
}

/// IPv4 addresses in IPv6 clothes are taken for what they are.
pub(crate) fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// The failure that a wrong head means.
pub(crate) fn failure_of(error: HeadError) -> FailureKind {
    match error.status() {
        414 => FailureKind::UriTooLong,
        431 => FailureKind::FieldsTooLarge,
        417 => FailureKind::Expectation,
        505 => FailureKind::Version,
        501 => FailureKind::Coding,
        _ => FailureKind::BadRequest,
    }
}

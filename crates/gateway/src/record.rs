//! What is written down about a request once it is over: counters and the access log.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use traffic::{Hit, Name};

use crate::client::Client;
use crate::core::Core;
use crate::failure::FailureKind;
use crate::metrics::Over;
use crate::request::{Origin, Request};
use crate::snapshot::RouteState;
use crate::treatment::{Served, Treatment};
use crate::upstream::local::LocalUpstream;
use crate::upstream::shared::Server;

/// What happened to a request so far.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) route: Option<Arc<RouteState>>,
    pub(crate) upstream: Option<Rc<LocalUpstream>>,
    pub(crate) server: Option<Arc<Server>>,
    pub(crate) attempts: u32,
    pub(crate) cache: Option<&'static str>,
    pub(crate) failure: Option<FailureKind>,
    /// Failure of the attempt before, when another server is tried.
    pub(crate) last_failure: Option<FailureKind>,
    pub(crate) request_bytes: u64,
    /// What experiments decided.
    pub(crate) treatment: Option<Treatment>,
    connect_us: Option<u64>,
    /// When the first server was asked, and when the head of the answer came.
    began: Option<Duration>,
    first_byte: Option<Duration>,
}

impl Record {
    /// Takes note of an attempt.
    pub(crate) fn attempt(
        &mut self,
        upstream: &Rc<LocalUpstream>,
        server: usize,
        number: u32,
        now: Duration,
    ) {
        self.began.get_or_insert(now);
        self.attempts = number;
        self.upstream = Some(Rc::clone(upstream));
        self.server = upstream.servers.get(server).map(|server| Arc::clone(&server.shared));
    }

    /// Takes note of a connection that was opened since `begun`.
    pub(crate) fn connected(&mut self, begun: Instant) {
        self.connect_us = Some(begun.elapsed().as_micros() as u64);
    }

    /// Takes note of the head of an answer.
    pub(crate) fn answered(&mut self, now: Duration) {
        self.first_byte = Some(now);
    }

    /// When the head of the last answer came.
    pub(crate) fn first_byte(&self) -> Option<Duration> {
        self.first_byte
    }

    /// Counts the request and writes its line.
    pub(crate) fn close(
        &mut self,
        core: &Core,
        origin: &Origin,
        request: &Request,
        client: &Client,
    ) {
        let now = Instant::now();
        let took_us = now.saturating_duration_since(request.start).as_micros() as u64;
        let status = client.sent.unwrap_or_else(|| self.failure.map_or(0, FailureKind::status));
        core.metrics.request(&Over {
            route: self.route.as_ref().map(|route| &*route.counters),
            method: &request.head.method,
            status,
            bytes_out: client.body_bytes,
            bytes_in: self.request_bytes,
            took_us,
            cache: self.cache,
            failure: self.failure,
        });
        if let Some((treatment, experiments)) =
            self.treatment.take().zip(core.shared.experiments.as_ref())
        {
            let served = Served {
                route: self.route.as_ref().map_or("", |route| &route.params.name),
                status: client.sent.unwrap_or(0),
                duration_us: took_us,
                bytes: client.body_bytes,
                start_us: request.start_us,
                cache: self.cache,
                is_failed: self.failure.is_some(),
            };
            experiments.served(treatment, &served);
        }
        let mut log = core.log.borrow_mut();
        let Some(log) = log.as_mut() else { return };
        let mut text = [0; 48];
        let ttfb = self.first_byte.zip(self.began);
        let fields = &request.head.fields;
        let hit = Hit {
            start_us: request.start_us,
            duration_us: Some(took_us),
            client: write_ip(&mut text, request),
            user: request.user.as_deref().map(str::as_bytes),
            host: Some(request.authority.as_bytes()),
            method: request.head.method.as_bytes(),
            target: request.head.target.as_bytes(),
            protocol: Some(if request.http2 {
                b"HTTP/2.0"
            } else if client.version == wire::Version::Http10 {
                b"HTTP/1.0"
            } else {
                b"HTTP/1.1"
            }),
            status,
            bytes: Some(client.body_bytes),
            referrer: fields.get(Name::Referer),
            agent: fields.get(Name::UserAgent),
            route: self.route.as_ref().map(|route| route.params.name.as_bytes()),
            upstream: self.upstream.as_ref().map(|upstream| upstream.shared.name.as_bytes()),
            server: self.server.as_ref().map(|server| server.id().as_bytes()),
            attempts: (self.attempts > 0).then_some(self.attempts),
            cache: self.cache.map(str::as_bytes),
            failure: self.failure.map(|kind| kind.label().as_bytes()),
            failure_owner: self.failure.map(|kind| kind.owner().as_str().as_bytes()),
            request_bytes: Some(self.request_bytes),
            request_id: (!request.id.is_empty()).then_some(request.id.as_bytes()),
            scheme: Some(request.scheme.as_bytes()),
            tls: origin.tls.map(str::as_bytes),
            connect_us: self.connect_us,
            ttfb_us: ttfb.map(|(first, began)| first.saturating_sub(began).as_micros() as u64),
            variants: (!request.variants.is_empty()).then_some(request.variants.as_bytes()),
        };
        log.write(&hit);
    }
}

/// The client's address as text, without allocating.
fn write_ip<'a>(text: &'a mut [u8; 48], request: &Request) -> &'a [u8] {
    use std::io::Write;
    let mut rest = &mut text[..];
    let room = rest.len();
    // Forty-eight bytes hold every address.
    let _ = write!(rest, "{}", request.client);
    let left = rest.len();
    &text[..room - left]
}

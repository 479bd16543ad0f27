//! The connections and cookies of one virtual user.

use std::time::Duration;

use bytes::Bytes;
use cookie_store::{CookieStore, RawCookie};
use http::{HeaderMap, Method, StatusCode, header};
use tokio::time::Instant;

use crate::failure::{Failure, FailureKind};
use crate::net::deadline::Deadline;
use crate::net::h1::{Exchange, H1};
use crate::net::h2::{H2, H2Exchange};
use crate::net::{Response, Wanted};
use crate::params::{HttpParams, HttpVersion, Timeouts};
use crate::recorder::micros;
use crate::request::{Ask, Fixed, Target, render_h1, render_h2};
use crate::scenario::{Body, Origin};
use crate::template::RenderContext;
use crate::worker::Worker;

/// Most origins that one user keeps connections to.
const CONNECTIONS_MAX: usize = 8;

/// One user's way to the target.
pub(crate) struct Client {
    connections: Vec<Connection>,
    cookies: Option<Box<CookieStore>>,
    deadline: Deadline,
}

struct Connection {
    origin: Origin,
    protocol: Protocol,
    opened: Instant,
    requests: u32,
}

enum Protocol {
    H1(H1),
    H2(H2),
}

/// A request as it goes over the wire, and what has been learnt about it.
pub(crate) struct Fetched {
    pub(crate) status: StatusCode,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) body: Vec<u8>,
}

/// Bytes that a request took, whether it succeeded or not.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) body: u64,
}

/// How a request is to be made.
pub(crate) struct Fetch<'a> {
    pub(crate) ask: Ask<'a>,
    /// The rendered request, when it is the same every time.
    pub(crate) fixed: Option<&'a Fixed>,
    pub(crate) needs_body: bool,
    pub(crate) needs_headers: bool,
    pub(crate) timeouts: Timeouts,
    pub(crate) started: Instant,
}

impl Client {
    pub(crate) fn new() -> Client {
        Client { connections: Vec::new(), cookies: None, deadline: Deadline::new() }
    }

    /// Makes one request, redirects included.
    pub(crate) async fn fetch(
        &mut self,
        worker: &Worker,
        fetch: Fetch<'_>,
        ctx: &mut RenderContext<'_>,
        traffic: &mut Traffic,
    ) -> Result<Fetched, Failure> {
        let http = worker.http();
        let mut hop: Option<Hop> = None;
        let mut hops = 0;
        loop {
            let ask = hop.as_ref().map_or(fetch.ask, |hop| hop.ask(&fetch.ask));
            let fixed = if hop.is_none() { fetch.fixed } else { None };
            let wanted = Wanted {
                headers: fetch.needs_headers,
                cookies_and_location: http.cookies || http.redirects > 0,
                body: fetch.needs_body,
                is_head: *ask.method == Method::HEAD,
            };
            let mut body = if fetch.needs_body { worker.pool.take() } else { Vec::new() };
            let response =
                self.send(worker, &ask, fixed, wanted, &fetch, ctx, &mut body, traffic).await?;
            if let (true, Some(headers)) = (http.cookies, &response.headers) {
                self.keep_cookies(headers, &ask, ctx);
            }
            let location = match &response.headers {
                Some(headers) if http.redirects > 0 && follows(response.status) => {
                    headers.get(header::LOCATION)
                }
                _ => None,
            };
            let Some(location) = location else {
                return Ok(Fetched { status: response.status, headers: response.headers, body });
            };
            hops += 1;
            if hops > http.redirects {
                let detail = format!("more than {} redirects", http.redirects);
                return Err(Failure::new(FailureKind::Redirect, detail));
            }
            let next = Hop::new(&ask, response.status, location.as_bytes(), ctx)?;
            worker.pool.give(body);
            hop = Some(next);
        }
    }

    /// Sends one request on a kept or a fresh connection.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is the state of one request under way"
    )]
    async fn send(
        &mut self,
        worker: &Worker,
        ask: &Ask<'_>,
        fixed: Option<&Fixed>,
        wanted: Wanted,
        fetch: &Fetch<'_>,
        ctx: &mut RenderContext<'_>,
        body: &mut Vec<u8>,
        traffic: &mut Traffic,
    ) -> Result<Response, Failure> {
        let cookie = self.cookie_field(ask, ctx);
        let mut retried = false;
        loop {
            let (mut connection, fresh) = match self.take_connection(worker, ask.origin) {
                Some(connection) => (connection, false),
                None => (self.connect(worker, ask.origin).await?, true),
            };
            connection.requests += 1;
            let sent_at = Instant::now();
            let result = match &mut connection.protocol {
                Protocol::H1(h1) => {
                    self.exchange_h1(
                        h1, worker, ask, fixed, &cookie, wanted, fetch, ctx, body, traffic,
                    )
                    .await
                }
                Protocol::H2(h2) => {
                    let (request, payload) = render_h2(ask, worker.http(), ctx, &cookie)?;
                    traffic.sent += payload.len() as u64;
                    let exchange = H2Exchange {
                        request,
                        payload,
                        wanted,
                        timeouts: fetch.timeouts,
                        limits: worker.http().limits,
                        started: fetch.started,
                        deadline: &mut self.deadline,
                        body,
                    };
                    h2.exchange(exchange).await.map_err(|failure| (failure, false))
                }
            };
            match result {
                Ok(response) => {
                    traffic.received += response.bytes;
                    traffic.body += response.body_bytes;
                    let ended = Instant::now();
                    let mut recorder = worker.recorder.borrow_mut();
                    recorder.phases.first_byte.record(micros(response.first_byte - sent_at));
                    recorder
                        .phases
                        .body
                        .record(micros(ended.saturating_duration_since(response.first_byte)));
                    drop(recorder);
                    self.keep_connection(worker, connection, response.reusable);
                    return Ok(response);
                }
                Err((failure, unanswered)) => {
                    worker.connections.set(worker.connections.get() - 1);
                    let lost = matches!(failure.kind, FailureKind::Closed | FailureKind::Reset);
                    // The target may close an idle connection just as the next request leaves
                    // (RFC 9112 §9.3.1); clients send idempotent requests again, once.
                    if unanswered && !fresh && !retried && lost && ask.method.is_idempotent() {
                        retried = true;
                        body.clear();
                        continue;
                    }
                    return Err(failure);
                }
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is the state of one request under way"
    )]
    async fn exchange_h1(
        &mut self,
        h1: &mut H1,
        worker: &Worker,
        ask: &Ask<'_>,
        fixed: Option<&Fixed>,
        cookie: &str,
        wanted: Wanted,
        fetch: &Fetch<'_>,
        ctx: &mut RenderContext<'_>,
        body: &mut Vec<u8>,
        traffic: &mut Traffic,
    ) -> Result<Response, (Failure, bool)> {
        let mut rendered = Vec::new();
        let mut payload = Bytes::new();
        let wire: [&[u8]; 2] = match fixed {
            Some(fixed) if cookie.is_empty() => [&fixed.wire, &fixed.body],
            Some(fixed) => {
                rendered = worker.pool.take();
                rendered.extend_from_slice(&fixed.wire[..fixed.blank]);
                rendered.extend_from_slice(b"cookie: ");
                rendered.extend_from_slice(cookie.as_bytes());
                rendered.extend_from_slice(b"\r\n");
                rendered.extend_from_slice(&fixed.wire[fixed.blank..]);
                [&rendered, &fixed.body]
            }
            None => {
                rendered = worker.pool.take();
                let mut scratch = worker.pool.take();
                let result =
                    render_h1(ask, worker.http(), ctx, cookie, &mut rendered, &mut scratch);
                worker.pool.give(scratch);
                // The connection is dropped with the request: nothing was sent on it.
                payload = result.map_err(|failure| (failure, false))?.1;
                [&rendered, &payload]
            }
        };
        traffic.sent += (wire[0].len() + wire[1].len()) as u64;
        let exchange = Exchange {
            wire,
            wanted,
            timeouts: fetch.timeouts,
            limits: worker.http().limits,
            started: fetch.started,
            pool: &worker.pool,
            deadline: &mut self.deadline,
            body,
        };
        let result = h1.exchange(exchange).await.map_err(|error| (error.failure, error.unanswered));
        if rendered.capacity() > 0 {
            worker.pool.give(rendered);
        }
        drop(payload);
        result
    }

    /// A kept connection to `origin` that is still good.
    fn take_connection(&mut self, worker: &Worker, origin: &Origin) -> Option<Connection> {
        let at = self.connections.iter().position(|connection| connection.origin == *origin)?;
        let mut connection = self.connections.swap_remove(at);
        let stale = match &mut connection.protocol {
            Protocol::H1(h1) => h1.is_stale(),
            Protocol::H2(h2) => h2.is_stale(),
        };
        if stale {
            worker.connections.set(worker.connections.get() - 1);
            return None;
        }
        Some(connection)
    }

    fn keep_connection(&mut self, worker: &Worker, connection: Connection, reusable: bool) {
        let http = worker.http();
        let spent = http.connection_requests.is_some_and(|max| connection.requests >= max)
            || http.connection_age.is_some_and(|max| connection.opened.elapsed() >= max);
        if reusable && http.keep_alive && !spent && self.connections.len() < CONNECTIONS_MAX {
            self.connections.push(connection);
        } else {
            worker.connections.set(worker.connections.get() - 1);
        }
    }

    async fn connect(&mut self, worker: &Worker, origin: &Origin) -> Result<Connection, Failure> {
        let http = worker.http();
        let (stream, times) = worker.connector.connect(origin, &mut self.deadline).await?;
        {
            let mut recorder = worker.recorder.borrow_mut();
            recorder.connections_opened += 1;
            let phases = &mut recorder.phases;
            phases.connect.record(micros(times.connect));
            if let Some(dns) = times.dns {
                phases.dns.record(micros(dns));
            }
            if let Some(tls) = times.tls {
                phases.tls.record(micros(tls));
            }
        }
        let protocol = match http.version {
            HttpVersion::Http2 if origin.tls && !stream.negotiated_h2() => {
                return Err(Failure::new(FailureKind::Http2, "the target did not agree to HTTP/2"));
            }
            HttpVersion::Http2 => {
                let handshake = H2::handshake(stream, http.limits);
                let timeout = || {
                    Failure::new(
                        FailureKind::ConnectTimeout,
                        "no HTTP/2 within the connect timeout",
                    )
                };
                Protocol::H2(self.deadline.guard_future(handshake).await.ok_or_else(timeout)??)
            }
            HttpVersion::Http1 => Protocol::H1(H1::new(stream)),
        };
        worker.connections.set(worker.connections.get() + 1);
        worker.connections_max.set(worker.connections_max.get().max(worker.connections.get()));
        Ok(Connection { origin: origin.clone(), protocol, opened: Instant::now(), requests: 0 })
    }

    /// The value of the `Cookie` field; empty when there is none to send.
    fn cookie_field(&self, ask: &Ask<'_>, ctx: &mut RenderContext<'_>) -> String {
        let Some(cookies) = &self.cookies else { return String::new() };
        let Some(url) = url_of(ask, ctx) else { return String::new() };
        let mut field = String::new();
        for (name, value) in cookies.get_request_values(&url) {
            if !field.is_empty() {
                field.push_str("; ");
            }
            field.push_str(name);
            field.push('=');
            field.push_str(value);
        }
        field
    }

    fn keep_cookies(&mut self, headers: &HeaderMap, ask: &Ask<'_>, ctx: &mut RenderContext<'_>) {
        let mut set = headers.get_all(header::SET_COOKIE).iter().peekable();
        if set.peek().is_none() {
            return;
        }
        let Some(url) = url_of(ask, ctx) else { return };
        let set = set
            .filter_map(|field| RawCookie::parse(field.to_str().ok()?).ok())
            .map(RawCookie::into_owned);
        let cookies = self.cookies.get_or_insert_with(Box::default);
        cookies.store_response_cookies(set, &url);
    }

    /// Closes every connection.
    pub(crate) fn close(&mut self, worker: &Worker) {
        worker.connections.set(worker.connections.get() - self.connections.len() as u64);
        self.connections.clear();
    }
}

fn follows(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The URL of a request, for cookies and relative redirects. A template with random parts renders
/// another path than the one that was sent, of the same form.
fn url_of(ask: &Ask<'_>, ctx: &mut RenderContext<'_>) -> Option<url::Url> {
    let scheme = if ask.origin.tls { "https" } else { "http" };
    let mut text = format!("{scheme}://{}{}", ask.origin.authority(), ask.base_path).into_bytes();
    match ask.target {
        Target::Text(target) => text.extend_from_slice(target.as_bytes()),
        Target::Template(template) => template.render(ctx, &mut text).ok()?,
    }
    url::Url::parse(std::str::from_utf8(&text).ok()?).ok()
}

/// Where a redirect leads, and how the request changes on the way.
struct Hop {
    origin: Origin,
    target: String,
    method: Method,
    credentials: bool,
    drops_body: bool,
}

impl Hop {
    fn new(
        ask: &Ask<'_>,
        status: StatusCode,
        location: &[u8],
        ctx: &mut RenderContext<'_>,
    ) -> Result<Hop, Failure> {
        let bad = || Failure::new(FailureKind::Redirect, "the location is not a URL to follow");
        let text = std::str::from_utf8(location).map_err(|_| bad())?;
        let url = url_of(ask, ctx).and_then(|base| base.join(text).ok()).ok_or_else(bad)?;
        let origin = Origin::of_url(&url).ok_or_else(bad)?;
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        // RFC 9110 §15.4: 303 always becomes GET, 301 and 302 do for POST.
        let to_get = status == StatusCode::SEE_OTHER && *ask.method != Method::HEAD
            || *ask.method == Method::POST
                && matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND);
        Ok(Hop {
            method: if to_get { Method::GET } else { ask.method.clone() },
            credentials: ask.credentials && origin == *ask.origin,
            drops_body: to_get || matches!(ask.body, Body::None),
            origin,
            target,
        })
    }

    fn ask<'a>(&'a self, first: &Ask<'a>) -> Ask<'a> {
        Ask {
            method: &self.method,
            origin: &self.origin,
            base_path: "",
            target: Target::Text(&self.target),
            credentials: self.credentials,
            body: if self.drops_body { &Body::None } else { first.body },
            ..*first
        }
    }
}

/// The total timeout of a step replaces that of the run.
pub(crate) fn step_timeouts(http: &HttpParams, timeout: Option<Duration>) -> Timeouts {
    match timeout {
        Some(total) => {
            Timeouts { total, response: http.timeouts.response.min(total), ..http.timeouts }
        }
        None => http.timeouts,
    }
}

//! Answers from the cache, and fetches for it: the sequence that [`crate::cache`] describes.

use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use policy::cache::{CacheStatus, Forward, default_port};
use traffic::{Fields, Name};
use wire::BodyLength;

use crate::answer::{Answer, Body};
use crate::cache::{
    After, Answered, CacheRequest, Entry, Flight, Found, RouteCache, Turn, Verdict, Visit,
};
use crate::client::Client;
use crate::exchange::{Done, Exchange};
use crate::failure::FailureKind;
use crate::outgoing;
use crate::params::{FieldEdits, Route};
use crate::record::Record;
use crate::request::Request;
use crate::snapshot::RouteState;
use crate::upstream::local::LocalUpstream;

/// What the cache looks at of a request. `fields` are those that the client sent.
fn asked<'a>(request: &'a Request, fields: &'a Fields) -> CacheRequest<'a> {
    let port = wire::target::host_of(&request.authority).ok().and_then(|(_, port)| port);
    CacheRequest {
        method: &request.head.method,
        scheme: request.scheme,
        host: &request.host,
        port: port.unwrap_or(if request.scheme == "https" { 443 } else { 80 }),
        path: &request.path,
        query: request.query(),
        fields,
        body: !request.is_empty(),
    }
}

/// The name of this cache in `Cache-Status`.
const STATUS_NAME: &str = "tidegate";

/// What is asked of a server for the cache.
struct Fetch<'a> {
    cache: &'a RouteCache,
    visit: Visit,
    flight: Option<Flight>,
}

impl Exchange<'_> {
    /// Answers from the cache, or from a server for the cache.
    pub(crate) async fn serve_cached(
        &mut self,
        route: &Arc<RouteState>,
        cache: &RouteCache,
        upstream: &Rc<LocalUpstream>,
    ) -> Result<Done, FailureKind> {
        let now = self.core.unix_us() / 1_000_000;
        let mut visit = cache.lookup(&asked(self.request, &self.request.head.fields), now);
        let mut flight = None;
        let mut waited = false;
        loop {
            match &visit.found {
                Found::Hit(entry) => {
                    let entry = Arc::clone(entry);
                    self.record.cache = Some(if waited { "collapsed" } else { "hit" });
                    let status = CacheStatus { collapsed: waited, ..CacheStatus::default() };
                    return self.send_entry(cache, &entry, status, now).await;
                }
                Found::OnlyIfCached => return Err(FailureKind::OnlyIfCached),
                Found::Bypass(why) => {
                    self.record.cache = Some("bypass");
                    if *why == Forward::Bypass {
                        return self.pass(route, upstream).await;
                    }
                    break;
                }
                Found::Stale { entry, may_serve: true, .. } => {
                    let entry = Arc::clone(entry);
                    if let Some(flight) = cache.refresh(&visit, now) {
                        self.refresh(route, upstream, visit, flight);
                    }
                    self.record.cache = Some("stale");
                    return self.send_entry(cache, &entry, CacheStatus::default(), now).await;
                }
                Found::Stale { .. } | Found::Miss { .. } if waited => break,
                Found::Stale { .. } | Found::Miss { .. } => match cache.join(&visit, now) {
                    Turn::Lead(lead) => {
                        flight = Some(lead);
                        break;
                    }
                    Turn::Alone => break,
                    Turn::Follow(follower) => {
                        waited = true;
                        let wait = tokio::time::timeout(cache.collapse_timeout, follower.wait());
                        let after = self.client.watching(wait).await.ok_or(FailureKind::Gone)?;
                        match after {
                            Ok(After::Lead(lead)) => {
                                flight = Some(lead);
                                break;
                            }
                            Ok(After::Ready) => {
                                let fields = &self.request.head.fields;
                                visit = cache.lookup(&asked(self.request, fields), now);
                            }
                            Ok(After::Failed) => {
                                let Some(entry) = visit.in_case_of_error() else { break };
                                return self.send_stale(cache, &entry, now).await;
                            }
                            Ok(After::Alone) | Err(_) => break,
                        }
                    }
                },
            }
        }
        self.fetch(route, upstream, Fetch { cache, visit, flight }).await
    }

    /// Asks a server, and keeps what may be kept.
    async fn fetch(
        &mut self,
        route: &Arc<RouteState>,
        upstream: &Rc<LocalUpstream>,
        fetch: Fetch<'_>,
    ) -> Result<Done, FailureKind> {
        let Fetch { cache, visit, flight } = fetch;
        if !matches!(visit.found, Found::Bypass(_)) {
            self.forget_what_no_key_holds(cache);
        }
        let sent = self.request.head.fields.clone();
        outgoing::prepare(self.view, self.origin, &route.params, self.request)?;
        let unconditional = self.request.head.fields.clone();
        visit.prepare(&mut self.request.head.fields);
        let why = match &visit.found {
            Found::Stale { why, .. } | Found::Miss { why, .. } | Found::Bypass(why) => *why,
            Found::Hit(_) | Found::OnlyIfCached => Forward::Bypass,
        };
        let requested = self.core.unix_us() / 1_000_000;
        let forwarded = self.forward(route, upstream).await;
        let received = self.core.unix_us() / 1_000_000;
        let mut status = CacheStatus::forwarded(why);
        let started = match forwarded {
            Ok(started) => started,
            Err(kind) => {
                let stale = cache.on_failure(&visit, flight);
                let Some(entry) = stale.filter(|_| self.client.sent.is_none()) else {
                    return Err(kind);
                };
                self.record.failure = Some(kind);
                // The client did not ask what the cache has asked.
                self.request.head.fields = sent;
                return self.send_stale(cache, &entry, received).await;
            }
        };
        if started.head.status == 101 {
            return self.upgrade(started).await;
        }
        let answer = self.answer_of(started);
        let length = match answer.body.length() {
            BodyLength::Length(length) => Some(length),
            _ => None,
        };
        let personal = self.depends_on_client(&route.params, &answer.fields);
        let answered = Answered {
            status: answer.status,
            fields: &answer.fields,
            requested,
            received,
            length,
            personal,
        };
        status.forward_status = Some(answer.status);
        let verdict = cache.on_response(&visit, &asked(self.request, &sent), &answered, flight);
        if self.record.cache.is_none() {
            let expired = matches!(visit.found, Found::Stale { .. });
            self.record.cache = Some(if expired { "expired" } else { "miss" });
        }
        match verdict {
            Verdict::Pass(why) => {
                status.detail = why.map(policy::cache::NotKept::as_str);
                self.tell_status(cache, &status);
                self.send(answer).await
            }
            Verdict::Keep(fill) => {
                status.stored = true;
                self.tell_status(cache, &status);
                self.send_and_keep(answer, fill).await
            }
            Verdict::Confirmed(entry) => {
                // The answer has no body; its connection can be used again.
                self.discard(answer);
                status.stored = true;
                self.record.cache = Some("revalidated");
                self.request.head.fields = sent;
                self.send_entry(cache, &entry, status, received).await
            }
            Verdict::Stale(entry) => {
                self.discard(answer);
                self.request.head.fields = sent;
                self.send_stale(cache, &entry, received).await
            }
            Verdict::Again => {
                self.discard(answer);
                self.request.head.fields = unconditional;
                let started = self.forward(route, upstream).await?;
                let answer = self.answer_of(started);
                self.tell_status(cache, &status);
                self.send(answer).await
            }
        }
    }

    /// Leaves out of a request what it shares no key with: servers see one form of the host, and
    /// the parameters that count. Otherwise whoever asks first could shape what all others get.
    fn forget_what_no_key_holds(&mut self, cache: &RouteCache) {
        let request = &mut *self.request;
        if let Ok((_, port)) = wire::target::host_of(&request.authority) {
            let port = port.filter(|port| *port != default_port(request.scheme));
            request.authority.clear();
            request.authority.push_str(&request.host);
            if let Some(port) = port {
                // Writing into memory does not fail.
                let _ = write!(request.authority, ":{port}");
            }
        }
        if let Some(counted) = request.query().and_then(|query| cache.counted_query(query)) {
            request.set_query(counted.as_deref());
        }
    }

    /// Whether an answer depends on a field that tidegate fills in anew for every client. The
    /// cache knows only what clients send.
    fn depends_on_client(&self, rules: &Route, answer: &Fields) -> bool {
        let forwarding = &self.view.params.forwarding;
        let edits = rules.request_fields.set.iter().chain(&rules.request_fields.add);
        let of_client = |(_, value): &&(String, String)| {
            value.contains("{client-ip}") || value.contains("{request-id}")
        };
        let edited = edits.filter(of_client).map(|(name, _)| name);
        let names = edited.chain(&forwarding.request_id).map(String::as_bytes);
        answer.members(Name::Vary).any(|member| match Name::of(member) {
            Name::XForwardedFor if forwarding.x_forwarded => true,
            Name::Forwarded if forwarding.forwarded => true,
            _ => names.clone().any(|name| name.eq_ignore_ascii_case(member)),
        })
    }

    /// Ends an exchange whose answer is not passed on.
    fn discard(&self, answer: Answer) {
        if let Body::Server(started) = answer.body {
            started.finish(self.core);
        }
    }

    /// Adds what the cache did, if the route tells.
    fn tell_status(&mut self, cache: &RouteCache, status: &CacheStatus) {
        if cache.status_header {
            let mut value = Vec::new();
            status.write(STATUS_NAME, &mut value);
            self.told.push_known(Name::CacheStatus, &value);
        }
    }

    /// Sends a stored answer because the server failed.
    async fn send_stale(
        &mut self,
        cache: &RouteCache,
        entry: &Entry,
        now: i64,
    ) -> Result<Done, FailureKind> {
        self.record.cache = Some("stale");
        // What the server failed to do in time, this does not have to make good.
        self.client.total = None;
        let status = CacheStatus { detail: Some("stale-if-error"), ..CacheStatus::default() };
        self.send_entry(cache, entry, status, now).await
    }

    /// Sends a stored answer.
    async fn send_entry(
        &mut self,
        cache: &RouteCache,
        entry: &Entry,
        mut status: CacheStatus,
        now: i64,
    ) -> Result<Done, FailureKind> {
        let made = cache.answer(entry, &asked(self.request, &self.request.head.fields), now);
        status.ttl = Some(entry.meta.ttl(now));
        let mut age = [0; 10];
        let age = decimal(&mut age, made.age);
        if made.fields.is_none() && self.sends_as_stored() {
            let mut more = Vec::with_capacity(128);
            wire::write::write_field(&mut more, "Age", age);
            if cache.status_header {
                more.extend_from_slice(b"Cache-Status: ");
                status.write(STATUS_NAME, &mut more);
                more.extend_from_slice(b"\r\n");
            }
            self.client.send_stored(made.status, &entry.head, &more, made.body.len() as u64)?;
            self.client.send(&made.body).await?;
            self.client.finish(None).await?;
            return Ok(Done::Sent);
        }
        let mut fields = made.fields.unwrap_or_else(|| entry.fields.clone());
        let head = self.request.head.method == "HEAD";
        if !head && made.status != 304 {
            // Said again from the body itself.
            fields.remove(Name::ContentLength);
        }
        fields.push_known(Name::Age, age);
        self.tell_status(cache, &status);
        let (status, body) = (made.status, Body::Bytes(made.body));
        self.send(Answer { status, fields, body, own: false, failure: None }).await
    }

    /// Whether a stored answer goes to this client without any change.
    fn sends_as_stored(&self) -> bool {
        let rules = self.record.route.as_ref().map(|route| &route.params);
        self.told.is_empty()
            && self.client.is_plain()
            && rules.is_some_and(|rules| {
                rules.compression.is_none()
                    && rules.cors.is_none()
                    && rules.response_fields == FieldEdits::default()
            })
    }

    /// Fetches a stale answer again, while the client gets what there is.
    fn refresh(
        &self,
        route: &Arc<RouteState>,
        upstream: &Rc<LocalUpstream>,
        visit: Visit,
        flight: Flight,
    ) {
        let (core, view) = (Rc::clone(self.core), Rc::clone(self.view));
        let (route, upstream) = (Arc::clone(route), Rc::clone(upstream));
        let (mut request, origin) = (self.request.copy(), self.origin.clone());
        // What the client asked about its own copy is not what the cache asks.
        for name in [Name::IfNoneMatch, Name::IfModifiedSince, Name::Range, Name::IfRange] {
            request.head.fields.remove(name);
        }
        request.head.method.clear();
        request.head.method.push_str("GET");
        let task_core = Rc::clone(self.core);
        task_core.spawn_counted(async move {
            let Some(cache) = &route.cache else { return };
            let mut client = Client::nobody(&view.params.limits);
            let mut record = Record::default();
            let mut exchange = Exchange {
                core: &core,
                view: &view,
                origin: &origin,
                client: &mut client,
                request: &mut request,
                record: &mut record,
                told: Fields::new(),
                total: route.params.timeouts.total.map(|total| tokio::time::Instant::now() + total),
            };
            let fetch = Fetch { cache, visit, flight: Some(flight) };
            if let Err(kind) = exchange.fetch(&route, &upstream, fetch).await {
                tracing::debug!(kind = kind.label(), "a stale answer could not be fetched again");
            }
        });
    }
}

/// A number as text, without allocating.
fn decimal(text: &mut [u8; 10], number: u32) -> &[u8] {
    let (mut at, mut rest) = (text.len(), number);
    loop {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &text[at..];
        }
    }
}

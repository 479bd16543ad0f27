//! From a request to the head of a server's answer: choose, connect, send, wait, and try again
//! elsewhere when that is safe.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use policy::retry::{self, AttemptFailure, Decision};
use tokio::time::Instant;
use traffic::Name;
use wire::{BodyLength, ResponseHead};

use crate::client::Client;
use crate::core::Core;
use crate::failure::{FailureKind, Owner};
use crate::hedge::race;
use crate::metrics::{AttemptResult, UpstreamEvent};
use crate::net::peer::Peer;
use crate::open::{Opened, open_in_time, open_kept};
use crate::params::{Balance, RetryOn, Route};
use crate::record::Record;
use crate::request::Request;
use crate::upload::Upload;
use crate::upstream::connect::Announced;
use crate::upstream::local::{LocalUpstream, Pick, Tried};
use crate::upstream::pool::StreamSlot;
use crate::upstream::shared::{InFlight, Passage};

/// What a failed attempt counts as in the latency of a server, at least.
const FAILURE_FEELS: Duration = Duration::from_secs(1);
/// Interim responses of one exchange that are passed on.
const INTERIM_MAX: usize = 16;

/// An answer whose head has come.
pub(crate) struct Started {
    pub(crate) peer: Peer,
    pub(crate) head: ResponseHead,
    /// How long its body is.
    pub(crate) body: BodyLength,
    pub(crate) upload: Upload,
    pub(crate) upstream: Rc<LocalUpstream>,
    pub(crate) server: usize,
    /// Whether the head allows another exchange on the connection.
    keep_alive: bool,
    in_flight: InFlight,
    _slot: Option<StreamSlot>,
}

impl Started {
    /// Ends the exchange; a connection that is at the start of its next one is kept.
    pub(crate) fn finish(self, core: &Core) {
        let clean = self.keep_alive
            && self.upload.is_complete()
            && self.peer.has_read_all()
            && self.peer.has_sent_all();
        if let (true, Peer::Http1(mut connection)) = (clean, self.peer)
            && connection.unread().is_empty()
        {
            connection.release_input();
            let params = &self.upstream.shared.params;
            if let Some(server) = self.upstream.servers.get(self.server)
                && params.proxy_protocol.is_none()
            {
                server.pool.give(connection, core.coarse_now(), params.idle_max);
            }
        }
        core.give_head(self.head);
        drop(self.in_flight);
    }

    /// Gives the connection up to a tunnel, which goes on counting as a request in flight.
    pub(crate) fn into_tunnel(self) -> (Peer, InFlight) {
        (self.peer, self.in_flight)
    }
}

/// What a request is forwarded with.
pub(crate) struct Forwarding<'a> {
    pub(crate) core: &'a Rc<Core>,
    pub(crate) upstream: &'a Rc<LocalUpstream>,
    pub(crate) route: &'a Route,
    pub(crate) request: &'a Request,
    /// When all must be over.
    pub(crate) total: Option<Instant>,
    /// The server that the client sticks to.
    pub(crate) stuck_to: Option<u64>,
    pub(crate) announced: Announced,
}

impl Forwarding<'_> {
    /// What is left of a span that begins now.
    pub(crate) fn left(&self, span: Duration) -> Duration {
        let left = self.total.map(|total| total.saturating_duration_since(Instant::now()));
        left.map_or(span, |left| left.min(span))
    }

    /// The failure that a missed deadline means.
    pub(crate) fn missed(&self, kind: FailureKind) -> FailureKind {
        match self.total {
            Some(total) if Instant::now() >= total => FailureKind::TotalTimeout,
            _ => kind,
        }
    }
}

/// Forwards a request until the head of an answer has come.
pub(crate) async fn forward(
    with: &Forwarding<'_>,
    client: &mut Client,
    record: &mut Record,
) -> Result<Started, FailureKind> {
    let upstream = with.upstream;
    let shared = &upstream.shared;
    let core = with.core;
    let now = core.now();
    let passage = shared.pass_breaker(now).map_err(|_| {
        shared.counters.count(UpstreamEvent::BreakerRefused);
        FailureKind::BreakerOpen
    })?;
    let guard = BreakerGuard { with, passage: Cell::new(Some(passage)) };
    if !shared.has_room() {
        return Err(FailureKind::Adaptive);
    }
    upstream.retries.borrow_mut().deposit(now);
    if shared.params.hedge.is_some() {
        upstream.hedges.borrow_mut().deposit(now);
    }
    let result = attempts(with, client, record).await;
    let ok = match &result {
        Ok(started) => Some(started.head.status < 500),
        Err(kind) => (kind.owner() == Owner::Upstream).then_some(false),
    };
    guard.tell(ok);
    if let (Ok(_), Some(answered)) = (&result, record.first_byte()) {
        shared.counters.answered(core.index, answered.saturating_sub(now).as_micros() as u64);
    }
    result
}

/// Gives the breaker its permit back, also when the request is dropped.
struct BreakerGuard<'a> {
    with: &'a Forwarding<'a>,
    passage: Cell<Option<Passage>>,
}

impl BreakerGuard<'_> {
    fn tell(&self, ok: Option<bool>) {
        let shared = &self.with.upstream.shared;
        if let Some(passage) = self.passage.take()
            && shared.params.breaker.is_some()
        {
            shared.tell_breaker(passage, ok, self.with.core.now());
        }
    }
}

impl Drop for BreakerGuard<'_> {
    fn drop(&mut self) {
        self.tell(None);
    }
}

async fn attempts(
    with: &Forwarding<'_>,
    client: &mut Client,
    record: &mut Record,
) -> Result<Started, FailureKind> {
    let upstream = with.upstream;
    let core = with.core;
    let request = with.request;
    let rules = &upstream.shared.params.retry;
    let (empty, method) = (request.is_empty(), request.head.method.as_str());
    let keep = if rules.attempts > 0 { rules.body_max } else { 0 };
    let limits = &core.view().params.limits;
    let mut upload = Upload::new(empty, with.route.body_max, limits.body_rate_min, keep);
    if request.head.expect_continue {
        upload.announce();
    }
    let key = match &upstream.shared.params.balance {
        Balance::Hash(key) | Balance::Maglev(key) => request.hash_key(key),
        _ => None,
    };
    let mut tried = Tried::default();
    let mut number = 0;
    loop {
        number += 1;
        let (server, began) = match choose(with, client, key, &tried).await {
            Ok(chosen) => chosen,
            // The others went down meanwhile: the last failure is the answer.
            Err(FailureKind::NoServer) if number > 1 => {
                return Err(record.last_failure.take().unwrap_or(FailureKind::NoServer));
            }
            Err(kind) => return Err(kind),
        };
        tried.add(server);
        record.attempt(upstream, server, number, began);
        let hedge = upstream.shared.params.hedge.as_ref();
        let hedge = hedge.filter(|_| number == 1 && empty && retry::is_idempotent(method));
        let (server, result) = match hedge {
            Some(hedge) => {
                let raced = race(with, client, (server, hedge), key, &mut tried).await?;
                record.attempt(upstream, raced.0, number, began);
                raced
            }
            None => (server, attempt(with, client, server, &mut upload, record).await),
        };
        let now = core.now();
        let took = now.saturating_sub(began);
        if result.is_ok() {
            record.answered(now);
        }
        let failure = match &result {
            Ok(opened) => AttemptFailure::Status(opened.head.status),
            Err(kind) => match kind {
                FailureKind::Connect | FailureKind::ConnectTimeout | FailureKind::Tls => {
                    AttemptFailure::Connect
                }
                FailureKind::ResponseTimeout => AttemptFailure::Timeout,
                FailureKind::Reset | FailureKind::BadResponse => AttemptFailure::Reset,
                // The client's fault, or no time is left.
                other => return Err(*other),
            },
        };
        let ended = match &result {
            Ok(opened) if opened.head.status < 500 => AttemptResult::Ok,
            Ok(_) => AttemptResult::Error,
            Err(_) => AttemptResult::Failed,
        };
        let ok = ended == AttemptResult::Ok;
        if let Some(server) = upstream.servers.get(server) {
            server.shared.counters.attempt(core.index, ended, took.as_micros() as u64);
        }
        if upstream.shared.tell_ejector(server, ok, now) {
            upstream.shared.counters.count(UpstreamEvent::Ejection);
        }
        // A server that fails at once must not look fast.
        let felt = if ok { took } else { took.max(FAILURE_FEELS) };
        upstream.observe(server, now, felt);
        upstream.shared.tell_adaptive(now, took, ok);
        let wanted = rules.on.iter().any(|on| match (on, failure) {
            (RetryOn::Connect, AttemptFailure::Connect)
            | (RetryOn::Reset, AttemptFailure::Reset)
            | (RetryOn::Timeout, AttemptFailure::Timeout) => true,
            (RetryOn::Status(wanted), AttemptFailure::Status(status)) => *wanted == status,
            _ => false,
        });
        let again = wanted && upstream.has_untried(&tried, now);
        let pause = again.then(|| pause(with, &upload, failure, number, result.as_ref().ok()));
        match (pause.flatten(), result) {
            (Some(pause), result) => {
                upstream.shared.counters.count(UpstreamEvent::Retry);
                if let Err(kind) = &result {
                    record.last_failure = Some(*kind);
                }
                drop(result);
                upload.restart(empty);
                wait(client, pause).await?;
            }
            (None, Ok(opened)) => return started(with, opened, upload),
            (None, Err(kind)) => return Err(kind),
        }
    }
}

/// How long to wait before another attempt; `None`: there is none.
fn pause(
    with: &Forwarding<'_>,
    upload: &Upload,
    failure: AttemptFailure,
    number: u32,
    opened: Option<&Opened>,
) -> Option<Duration> {
    let rules = &with.upstream.shared.params.retry;
    let core = with.core;
    let asked = opened.and_then(|opened| opened.head.fields.get(Name::RetryAfter));
    let unix = core.unix_us() / 1_000_000;
    let decision = retry::decide(
        &retry::Rules {
            attempts: rules.attempts,
            non_idempotent: rules.non_idempotent,
            backoff: rules.backoff,
            backoff_max: rules.backoff_max,
        },
        &retry::Attempt {
            number,
            failure,
            method: &with.request.head.method,
            body_replayable: upload.can_restart(),
            retry_after: asked.and_then(|value| retry::retry_after(value, unix)),
        },
        &mut *core.rng(),
    );
    let Decision::Again { after } = decision else { return None };
    if with.total.is_some_and(|total| Instant::now() + after >= total) {
        return None;
    }
    let allowed = with.upstream.retries.borrow_mut().try_withdraw(core.now());
    if !allowed {
        with.upstream.shared.counters.count(UpstreamEvent::BudgetExhausted);
    }
    allowed.then_some(after)
}

/// Waits, unless the client goes away.
async fn wait(client: &mut Client, pause: Duration) -> Result<(), FailureKind> {
    if pause.is_zero() {
        return Ok(());
    }
    client.watching(tokio::time::sleep(pause)).await.ok_or(FailureKind::Gone)
}

/// Chooses a server, waiting for room when all are full; tells when it was chosen.
async fn choose(
    with: &Forwarding<'_>,
    client: &mut Client,
    key: Option<u64>,
    tried: &Tried,
) -> Result<(usize, Duration), FailureKind> {
    let upstream = with.upstream;
    let core = with.core;
    let now = core.now();
    if let Some(tag) = with.stuck_to
        && let Some(server) = upstream.stuck_to(tag, tried, now)
    {
        return Ok((server, now));
    }
    match upstream.pick(key, tried, now, &mut *core.rng()) {
        Pick::Server(server) => return Ok((server, now)),
        Pick::None => return Err(FailureKind::NoServer),
        Pick::Full => {}
    }
    // Servers that were tried do not count as room to wait for.
    if upstream
        .servers
        .iter()
        .enumerate()
        .all(|(index, server)| tried.has(index) || !server.shared.is_up(now))
    {
        return Err(FailureKind::NoServer);
    }
    let queued = upstream.shared.queue().ok_or_else(|| {
        upstream.shared.counters.count(UpstreamEvent::QueueRefused);
        FailureKind::PendingFull
    })?;
    let waiting = async {
        loop {
            let mut released = std::pin::pin!(queued.released().notified());
            // In line before looking: two requests that end meanwhile wake two that wait.
            released.as_mut().enable();
            let now = core.now();
            let picked = upstream.pick(key, tried, now, &mut *core.rng());
            match picked {
                Pick::Server(server) => return Ok((server, now)),
                Pick::None => return Err(FailureKind::NoServer),
                Pick::Full => released.await,
            }
        }
    };
    let limit = with.left(upstream.shared.params.limits.pending_timeout);
    let waited = client.watching(tokio::time::timeout(limit, waiting)).await;
    waited.ok_or(FailureKind::Gone)?.unwrap_or_else(|_| {
        upstream.shared.counters.count(UpstreamEvent::QueueRefused);
        Err(with.missed(FailureKind::PendingTimeout))
    })
}

/// One attempt: a connection, the head of the request, and the head of the answer. A kept
/// connection that the server closed at the same moment does not count as a failure.
async fn attempt(
    with: &Forwarding<'_>,
    client: &mut Client,
    server: usize,
    upload: &mut Upload,
    record: &mut Record,
) -> Result<Opened, FailureKind> {
    if let Some(opened) = open_kept(with, server) {
        match answer(with, client, opened, upload).await {
            Err(FailureKind::Reset)
                if retry::is_idempotent(&with.request.head.method) && upload.can_restart() =>
            {
                upload.restart(with.request.is_empty());
            }
            other => return other,
        }
    }
    let begun = Instant::now();
    let opened = client.watching(open_in_time(with, server)).await.ok_or(FailureKind::Gone)?;
    record.connected(begun);
    match answer(with, client, opened?, upload).await {
        // The server took no notice of it (RFC 9113 section 8.7): nothing was sent, so to say.
        Err(FailureKind::Connect) if upload.can_restart() => {
            upload.restart(with.request.is_empty());
            let opened = open_in_time(with, server);
            let opened = client.watching(opened).await.ok_or(FailureKind::Gone)?;
            answer(with, client, opened?, upload).await
        }
        other => other,
    }
}

/// Passes the body on and waits for the head of the answer.
async fn answer(
    with: &Forwarding<'_>,
    client: &mut Client,
    mut opened: Opened,
    upload: &mut Upload,
) -> Result<Opened, FailureKind> {
    let response = response_timeout(with);
    let limit = |span: Duration| {
        let expires = Instant::now() + span;
        with.total.map_or(expires, |total| total.min(expires))
    };
    let mut interim = 0;
    client.deadline.set(limit(response));
    loop {
        let uploading = !upload.is_over();
        if uploading {
            client.deadline.set(limit(client.body_timeout));
        }
        let peer = &mut client.peer;
        let event = client
            .deadline
            .guard(|cx| {
                if uploading {
                    let before = upload.received();
                    if let Poll::Ready(over) = upload.poll(cx, peer, &mut opened.peer) {
                        return Poll::Ready(over.map(|()| Event::Moved));
                    }
                    if upload.received() > before {
                        cx.waker().wake_by_ref();
                        return Poll::Ready(Ok(Event::Moved));
                    }
                } else if peer.poll_flush(cx).is_ready() && peer.poll_gone(cx).is_ready() {
                    return Poll::Ready(Err(FailureKind::Gone));
                }
                opened.poll_head(cx).map(|head| head.map(|()| Event::Head))
            })
            .await;
        match event {
            Some(Ok(Event::Moved)) if upload.is_over() => client.deadline.set(limit(response)),
            Some(Ok(Event::Moved)) => {}
            Some(Ok(Event::Head)) if is_interim(opened.head.status) => {
                interim += 1;
                if interim > INTERIM_MAX {
                    return Err(FailureKind::BadResponse);
                }
                // Our own 100 is sent when the body is wanted.
                if opened.head.status != 100 && client.takes_interim() {
                    let fields = &mut opened.head.fields;
                    // Nominations of a server are its own fault: what cannot be removed is left.
                    let _: Result<(), wire::HeadError> = wire::hop::strip_hop_by_hop(fields);
                    fields.remove(Name::ContentLength);
                    let written = client.peer.write_interim(opened.head.status, fields);
                    written.map_err(|_| FailureKind::Gone)?;
                }
                opened.head.clear();
            }
            Some(Ok(Event::Head)) => {
                return Ok(opened);
            }
            Some(Err(kind)) => return Err(kind),
            None if with.total.is_some_and(|total| Instant::now() >= total) => {
                return Err(FailureKind::TotalTimeout);
            }
            None if uploading && !upload.waits_for_server() => {
                return Err(FailureKind::BodyTimeout);
            }
            None => {
                // A dead connection looks like a slow server: others get a new one.
                if let Some(slot) = &opened.slot {
                    slot.retire();
                }
                return Err(FailureKind::ResponseTimeout);
            }
        }
    }
}

/// How long an attempt may take until the head of its answer.
pub(crate) fn response_timeout(with: &Forwarding<'_>) -> Duration {
    let response = with.route.timeouts.response;
    let per_try = with.upstream.shared.params.retry.per_try;
    per_try.map_or(response, |per_try| per_try.min(response))
}

/// What waiting for an answer came to.
enum Event {
    /// Some of the body was passed on, perhaps the last of it.
    Moved,
    Head,
}

pub(crate) fn is_interim(status: u16) -> bool {
    (100..200).contains(&status) && status != 101
}

/// Makes an answer of an attempt that counts.
fn started(with: &Forwarding<'_>, opened: Opened, upload: Upload) -> Result<Started, FailureKind> {
    let Opened { mut peer, mut head, in_flight, slot, server, .. } = opened;
    let method = with.request.head.method.as_str();
    let bodiless = method == "HEAD" || head.status == 204 || head.status == 304;
    let body = match &mut peer {
        Peer::Http1(connection) => {
            let body = wire::response_body(method, &head).map_err(|_| FailureKind::BadResponse)?;
            // Not asked for, or too early: what is left of the body would go into the tunnel.
            if head.status == 101 && !(upload.is_complete() && is_asked_for(with.request, &head)) {
                return Err(FailureKind::BadResponse);
            }
            if head.status != 101 {
                connection.expect_body(body);
            }
            body
        }
        Peer::Http2(stream) => match head.fields.get(Name::ContentLength) {
            _ if bodiless => BodyLength::None,
            Some(length) => {
                wire::content_length(length).map_or(BodyLength::Chunked, BodyLength::Length)
            }
            None if stream.is_empty() => BodyLength::Length(0),
            None => BodyLength::Chunked,
        },
        Peer::Nobody => BodyLength::None,
    };
    let keep_alive = head.keep_alive && body != BodyLength::UntilClose && head.status != 101;
    // The length stays as a field only where there is no body to measure, and could be one.
    if !bodiless || head.status == 204 {
        head.fields.remove(Name::ContentLength);
    } else if head.fields.all(Name::ContentLength).count() > 1
        && let Some(length) = head.fields.get(Name::ContentLength).map(<[u8]>::to_vec)
    {
        head.fields.set(Name::ContentLength, &length);
    }
    let upstream = Rc::clone(with.upstream);
    Ok(Started { peer, head, body, upload, upstream, server, keep_alive, in_flight, _slot: slot })
}

/// Whether a server changes to a protocol that the client has named.
fn is_asked_for(request: &Request, head: &ResponseHead) -> bool {
    let asked = request.upgrade.as_deref().unwrap_or("").split(',').map(str::trim);
    let chosen = wire::hop::upgrade_of(&head.fields).unwrap_or(b"");
    asked.map(str::as_bytes).any(|name| !name.is_empty() && name.eq_ignore_ascii_case(chosen))
}

/// The address of a client for a PROXY header.
pub(crate) fn announced(request: &Request, peer: SocketAddr, local: SocketAddr) -> Announced {
    let port = if request.client == crate::request::canonical(peer.ip()) { peer.port() } else { 0 };
    (SocketAddr::new(request.client, port), local)
}

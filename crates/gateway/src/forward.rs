//! From a request to the head of a server's answer: choose, connect, send, wait, and try again
//! elsewhere when that is safe.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::client::ResponseFuture;
use policy::retry::{self, AttemptFailure, Decision};
use tokio::time::Instant;
use traffic::Name;
use wire::{BodyLength, ResponseHead};

use crate::client::Client;
use crate::core::Core;
use crate::failure::{FailureKind, Owner};
use crate::metrics::{AttemptResult, UpstreamEvent};
use crate::net::http1::{HeadFailure, Http1};
use crate::net::http2::{self, Http2};
use crate::net::peer::Peer;
use crate::params::{Balance, Hedge, HostHeader, RetryOn, Route, UpstreamProtocol};
use crate::record::Record;
use crate::request::Request;
use crate::upload::Upload;
use crate::upstream::connect::{Announced, connect};
use crate::upstream::local::{LocalUpstream, Pick, Tried};
use crate::upstream::pool::{STREAMS_PER_CONNECTION, StreamSlot};
use crate::upstream::shared::{InFlight, Passage};

/// Bytes of a response head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Most fields of a response head.
const HEAD_FIELDS_MAX: usize = 200;
/// What a failed attempt counts as in the latency of a server, at least.
const FAILURE_FEELS: Duration = Duration::from_secs(1);
/// Interim responses of one exchange that are passed on.
const INTERIM_MAX: usize = 16;
/// HTTP/2 receive windows towards servers: what a server may send ahead of a slow client.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

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

/// A request that was sent (but for its body).
struct Opened {
    peer: Peer,
    response: Option<ResponseFuture>,
    head: ResponseHead,
    in_flight: InFlight,
    slot: Option<StreamSlot>,
    server: usize,
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
                wait(with, client, pause).await?;
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
async fn wait(
    with: &Forwarding<'_>,
    client: &mut Client,
    pause: Duration,
) -> Result<(), FailureKind> {
    let _ = with;
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
            let released = queued.released().notified();
            let now = core.now();
            let picked = upstream.pick(key, tried, now, &mut *core.rng());
            match picked {
                Pick::Server(server) => return Ok((server, now)),
                Pick::None => return Err(FailureKind::NoServer),
                Pick::Full => released.await,
            }
        }
    };
    let limit = upstream.shared.params.limits.pending_timeout;
    let waited = client.watching(tokio::time::timeout(limit, waiting)).await;
    waited.ok_or(FailureKind::Gone)?.unwrap_or_else(|_| {
        upstream.shared.counters.count(UpstreamEvent::QueueRefused);
        Err(FailureKind::PendingTimeout)
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
    let opened = client.watching(open(with, server)).await.ok_or(FailureKind::Gone)?;
    record.connected(begun);
    match answer(with, client, opened?, upload).await {
        // The server took no notice of it (RFC 9113 section 8.7): nothing was sent, so to say.
        Err(FailureKind::Connect) if upload.can_restart() => {
            upload.restart(with.request.is_empty());
            let opened = client.watching(open(with, server)).await.ok_or(FailureKind::Gone)?;
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
    let timeouts = &with.route.timeouts;
    let per_try = with.upstream.shared.params.retry.per_try;
    let response = per_try.map_or(timeouts.response, |per_try| per_try.min(timeouts.response));
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
                    let fields = &opened.head.fields;
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
            None => return Err(FailureKind::ResponseTimeout),
        }
    }
}

/// An attempt of a request without a body, whose client is watched by the caller.
async fn lone_attempt(with: &Forwarding<'_>, server: usize) -> Result<Opened, FailureKind> {
    let answered = async {
        let mut opened = match open_kept(with, server) {
            Some(opened) => opened,
            None => open(with, server).await?,
        };
        loop {
            std::future::poll_fn(|cx| opened.poll_head(cx)).await?;
            if !is_interim(opened.head.status) {
                return Ok(opened);
            }
            opened.head.clear();
        }
    };
    let limit = tokio::time::timeout(with.route.timeouts.response, answered);
    limit.await.unwrap_or(Err(FailureKind::ResponseTimeout))
}

/// Asks a server, and after a while a second one too. The first answer counts; the other
/// connection is given up.
async fn race(
    with: &Forwarding<'_>,
    client: &mut Client,
    (first, hedge): (usize, &Hedge),
    key: Option<u64>,
    tried: &mut Tried,
) -> Result<(usize, Result<Opened, FailureKind>), FailureKind> {
    let (upstream, core) = (with.upstream, with.core);
    let mut one = std::pin::pin!(lone_attempt(with, first));
    let alone = tokio::time::timeout(hedge.after, one.as_mut());
    if let Ok(result) = client.watching(alone).await.ok_or(FailureKind::Gone)? {
        return Ok((first, result));
    }
    let picked = upstream.pick(key, tried, core.now(), &mut *core.rng());
    let second = match picked {
        Pick::Server(second) if upstream.hedges.borrow_mut().try_withdraw(core.now()) => second,
        _ => {
            let result = client.watching(one).await.ok_or(FailureKind::Gone)?;
            return Ok((first, result));
        }
    };
    tried.add(second);
    upstream.shared.counters.count(UpstreamEvent::Hedge);
    let mut two = std::pin::pin!(lone_attempt(with, second));
    let both = async {
        tokio::select! {
            result = one.as_mut() => match result {
                Ok(opened) => (first, Ok(opened)),
                Err(_) => (second, two.as_mut().await),
            },
            result = two.as_mut() => match result {
                Ok(opened) => (second, Ok(opened)),
                Err(_) => (first, one.as_mut().await),
            },
        }
    };
    client.watching(both).await.ok_or(FailureKind::Gone)
}

/// What waiting for an answer came to.
enum Event {
    /// Some of the body was passed on, perhaps the last of it.
    Moved,
    Head,
}

fn is_interim(status: u16) -> bool {
    (100..200).contains(&status) && status != 101
}

/// Sends the request on a connection that is open already.
fn open_kept(with: &Forwarding<'_>, server: usize) -> Option<Opened> {
    let local = with.upstream.servers.get(server)?;
    if with.upstream.shared.params.protocol == UpstreamProtocol::Http2 {
        return None;
    }
    let mut connection = local.pool.take()?;
    start_http1(with, server, &mut connection);
    Some(opened(with, server, Peer::Http1(connection), None, None))
}

fn opened(
    with: &Forwarding<'_>,
    server: usize,
    peer: Peer,
    response: Option<ResponseFuture>,
    slot: Option<StreamSlot>,
) -> Opened {
    Opened {
        peer,
        response,
        head: with.core.take_head(),
        in_flight: InFlight::begin(&with.upstream.shared, server),
        slot,
        server,
    }
}

/// Opens a connection, or a stream on one, and sends the request.
async fn open(with: &Forwarding<'_>, server: usize) -> Result<Opened, FailureKind> {
    let local = with.upstream.servers.get(server).ok_or(FailureKind::Internal)?;
    let params = &with.upstream.shared.params;
    // Counted while connecting too: a slow handshake is load.
    let connecting = InFlight::begin(&with.upstream.shared, server);
    let may_http2 = match params.protocol {
        UpstreamProtocol::Http1 => false,
        UpstreamProtocol::Http2 => true,
        UpstreamProtocol::Auto => with.upstream.tls.is_some(),
    };
    if !may_http2 {
        let tls = with.upstream.tls.as_ref();
        let stream = connect(&local.shared, params, tls, with.announced).await?;
        let mut connection = Box::new(Http1::new(stream, Rc::clone(&with.core.buffers)));
        start_http1(with, server, &mut connection);
        drop(connecting);
        return Ok(opened(with, server, Peer::Http1(connection), None, None));
    }
    if let Some(slot) = local.pool.stream() {
        match start_http2(with, server, slot).await {
            // The connection is about to end.
            Err(FailureKind::Connect) => {}
            other => return other,
        }
    }
    let one_at_a_time = local.pool.opening.lock().await;
    if let Some(slot) = local.pool.stream() {
        drop(one_at_a_time);
        return start_http2(with, server, slot).await;
    }
    let tls = with.upstream.tls.as_ref();
    let stream = connect(&local.shared, params, tls, with.announced).await?;
    if params.protocol == UpstreamProtocol::Auto && !stream.negotiated_h2() {
        drop(one_at_a_time);
        let mut connection = Box::new(Http1::new(stream, Rc::clone(&with.core.buffers)));
        start_http1(with, server, &mut connection);
        return Ok(opened(with, server, Peer::Http1(connection), None, None));
    }
    let (send, connection) = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        // Until the server has told its limit.
        .initial_max_send_streams(STREAMS_PER_CONNECTION)
        .enable_push(false)
        .handshake(stream)
        .await
        .map_err(|_| FailureKind::Connect)?;
    let closed = Rc::new(Cell::new(false));
    let ended = Rc::clone(&closed);
    with.core.spawn(async move {
        // What goes wrong on the connection, every stream on it learns as well.
        let _ = connection.await;
        ended.set(true);
    });
    let slot = local.pool.give_http2(send, closed);
    drop(one_at_a_time);
    start_http2(with, server, slot).await
}

/// Puts the head of the request into the connection's output.
fn start_http1(with: &Forwarding<'_>, server: usize, connection: &mut Http1) {
    let request = with.request;
    let head = &request.head;
    // What the framing of the client was does not matter any more.
    let body = match head.body {
        BodyLength::UntilClose => BodyLength::None,
        other => other,
    };
    connection.start(body, |out| {
        use wire::write::{write_field, write_fields};
        out.extend_from_slice(head.method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(request.target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        write_field(out, b"Host", host_header(with, server).as_bytes());
        write_fields(out, &head.fields);
        if let Some(upgrade) = request.upgrade.as_deref() {
            write_field(out, b"Connection", b"upgrade");
            write_field(out, b"Upgrade", upgrade.as_bytes());
        }
        write_length(out, body);
        out.extend_from_slice(b"\r\n");
    });
    connection.expect_body(BodyLength::None);
}

/// The field that says how long a body is.
pub(crate) fn write_length(out: &mut Vec<u8>, body: BodyLength) {
    match body {
        BodyLength::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            wire::write::write_number(out, length);
            out.extend_from_slice(b"\r\n");
        }
        BodyLength::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        BodyLength::None | BodyLength::UntilClose => {}
    }
}

fn host_header<'a>(with: &'a Forwarding<'_>, server: usize) -> &'a str {
    match &with.upstream.shared.params.host {
        HostHeader::Client => &with.request.authority,
        HostHeader::Fixed(host) => host,
        HostHeader::Server => {
            with.upstream.servers.get(server).map_or("", |server| &server.shared.host)
        }
    }
}

async fn start_http2(
    with: &Forwarding<'_>,
    server: usize,
    slot: StreamSlot,
) -> Result<Opened, FailureKind> {
    let request = with.request;
    let scheme = if with.upstream.tls.is_some() { "https" } else { "http" };
    let authority = host_header(with, server);
    let uri = http::Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(request.target.as_str())
        .build()
        .map_err(|_| FailureKind::BadRequest)?;
    let mut head = http::Request::new(());
    *head.method_mut() = request.head.method.parse().map_err(|_| FailureKind::BadRequest)?;
    *head.uri_mut() = uri;
    *head.version_mut() = http::Version::HTTP_2;
    *head.headers_mut() = http2::header_map(&request.head.fields);
    if request.wants_trailers {
        head.headers_mut().insert(http::header::TE, http::HeaderValue::from_static("trailers"));
    }
    let empty = match request.head.body {
        BodyLength::None | BodyLength::UntilClose | BodyLength::Length(0) => true,
        BodyLength::Length(length) => {
            head.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
            false
        }
        BodyLength::Chunked => false,
    };
    let unusable = |_| {
        slot.retire();
        FailureKind::Connect
    };
    let mut sender = slot.sender().ready().await.map_err(unusable)?;
    let sent = sender.send_request(head, empty).map_err(unusable)?;
    let (response, send) = sent;
    let peer = Peer::Http2(Box::new(Http2::opened((!empty).then_some(send))));
    Ok(opened(with, server, peer, Some(response), Some(slot)))
}

impl Opened {
    /// Reads the head of the answer.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FailureKind>> {
        let head = &mut self.head;
        match &mut self.peer {
            Peer::Http1(connection) => {
                if connection.poll_flush(cx).is_ready() {
                    // A write that failed shows in what can be read, which may be an answer.
                }
                let limits = wire::HeadLimits {
                    line: HEAD_BYTES_MAX,
                    count: HEAD_FIELDS_MAX,
                    bytes: HEAD_BYTES_MAX,
                };
                let parsed = ready!(connection.poll_head(cx, HEAD_BYTES_MAX, |bytes| {
                    let used = wire::parse_response(bytes, &limits, head)?;
                    Ok(used.map(|used| (used, ())))
                }));
                Poll::Ready(parsed.map_err(|failure| match failure {
                    HeadFailure::Ended => FailureKind::Reset,
                    HeadFailure::Malformed(_) => FailureKind::BadResponse,
                }))
            }
            Peer::Http2(stream) => {
                let Some(response) = &mut self.response else {
                    return Poll::Ready(Err(FailureKind::Internal));
                };
                let response = match ready!(Pin::new(response).poll(cx)) {
                    Ok(response) => response,
                    Err(error) if http2::is_unprocessed(&error) => {
                        if let Some(slot) = &self.slot {
                            slot.retire();
                        }
                        return Poll::Ready(Err(FailureKind::Connect));
                    }
                    Err(_) => return Poll::Ready(Err(FailureKind::Reset)),
                };
                let (parts, body) = response.into_parts();
                head.clear();
                head.status = parts.status.as_u16();
                head.keep_alive = true;
                http2::fields_of(&parts.headers, &mut head.fields);
                stream.receive(body);
                self.response = None;
                Poll::Ready(Ok(()))
            }
            Peer::Nobody => Poll::Ready(Err(FailureKind::Internal)),
        }
    }
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
            if head.status == 101 && (with.request.upgrade.is_none() || !upload.is_complete()) {
                return Err(FailureKind::BadResponse);
            }
            if head.status != 101 {
                connection.expect_body(body);
            }
            body
        }
        Peer::Http2(stream) => match head.fields.get(Name::ContentLength) {
            _ if bodiless => BodyLength::None,
            Some(length) => std::str::from_utf8(length)
                .ok()
                .and_then(|length| length.parse().ok())
                .map_or(BodyLength::Chunked, BodyLength::Length),
            None if stream.is_empty() => BodyLength::Length(0),
            None => BodyLength::Chunked,
        },
        Peer::Nobody => BodyLength::None,
    };
    let keep_alive = head.keep_alive && body != BodyLength::UntilClose && head.status != 101;
    // The length stays as a field only where there is no body to measure.
    if !bodiless {
        head.fields.remove(Name::ContentLength);
    }
    let upstream = Rc::clone(with.upstream);
    Ok(Started { peer, head, body, upload, upstream, server, keep_alive, in_flight, _slot: slot })
}

/// The address of a client for a PROXY header.
pub(crate) fn announced(request: &Request, peer: SocketAddr, local: SocketAddr) -> Announced {
    let port = if request.client == crate::request::canonical(peer.ip()) { peer.port() } else { 0 };
    (SocketAddr::new(request.client, port), local)
}

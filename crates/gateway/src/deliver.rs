//! From an answer to the client: last changes of its head, then its body, while the rest of the
//! request may still be on its way to the server.

use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;
use traffic::{Fields, Name};
use wire::BodyLength;

use crate::answer::{Answer, Body};
use crate::cache::Fill;
use crate::client::Client;
use crate::compress::{self, Choice, Encoder};
use crate::exchange::{Done, Exchange};
use crate::failure::FailureKind;
use crate::forward::Started;
use crate::params::{Coding, Route};
use crate::{cors, edit, outgoing};

impl Exchange<'_> {
    /// Sends an answer.
    pub(crate) async fn send(&mut self, answer: Answer) -> Result<Done, FailureKind> {
        self.send_with(answer, None).await
    }

    /// Sends an answer and keeps a copy of its body for the cache.
    pub(crate) async fn send_and_keep(
        &mut self,
        answer: Answer,
        fill: Fill,
    ) -> Result<Done, FailureKind> {
        self.send_with(answer, Some(fill)).await
    }

    async fn send_with(
        &mut self,
        mut answer: Answer,
        mut fill: Option<Fill>,
    ) -> Result<Done, FailureKind> {
        let core = self.core;
        let route = self.record.route.clone();
        let rules = route.as_ref().map(|route| &route.params);
        if answer.failure.is_some() {
            self.record.failure = answer.failure;
        }
        // What is left of the request's body would be taken for the next request.
        if answer.own && !self.client.peer.has_read_all() {
            self.client.close = true;
        }
        let head = self.request.head.method == "HEAD";
        let bodiless = head || matches!(answer.status, 100..=199 | 204 | 304);
        let length = answer.body.length();
        if head
            && answer.own
            && let BodyLength::Length(length) = length
        {
            answer.fields.set(Name::ContentLength, length.to_string().as_bytes());
        }
        let coding = rules.and_then(|rules| self.coding(rules, &mut answer, length));
        let encoder = coding.filter(|_| !bodiless).map(Encoder::new).transpose();
        let encoder = encoder.map_err(|_| FailureKind::Internal)?;
        let length = match &encoder {
            _ if bodiless => BodyLength::None,
            Some(_) => BodyLength::Chunked,
            None => length,
        };
        if let Some(rules) = rules {
            if let Some(cors) = &rules.cors {
                cors::decorate(cors, &self.request.head.fields, &mut answer.fields);
            }
            edit::apply(&rules.response_fields, self.request.values(), &mut answer.fields);
        }
        if self.told.members(Name::CacheControl).any(|it| it == b"private") {
            outgoing::unpublish(&mut answer.fields);
        }
        for field in self.told.iter() {
            answer.fields.push(field.name, field.value);
        }
        if !answer.fields.has(Name::Date) {
            answer.fields.push_known(Name::Date, &core.date());
        }
        if answer.own
            && let Some(server) = &self.view.params.forwarding.server
        {
            answer.fields.set(Name::Server, server.as_bytes());
        }
        self.client.send_head(answer.status, &answer.fields, length, None)?;
        let idle = rules.map_or(Duration::from_secs(60), |rules| rules.timeouts.idle);
        let limits = Limits { idle, total: self.total };
        let sent = send_body(self.client, &mut answer.body, &mut fill, encoder, limits).await;
        if let Body::Server(started) = &answer.body {
            self.record.request_bytes = started.upload.received();
        }
        sent?;
        if let Body::Server(mut started) = answer.body {
            started.head.fields = answer.fields;
            started.finish(core);
        }
        Ok(Done::Sent)
    }

    /// Chooses a coding for the body and changes the fields accordingly.
    fn coding(&self, rules: &Route, answer: &mut Answer, length: BodyLength) -> Option<Coding> {
        let compression = rules.compression.as_ref()?;
        let known = match length {
            BodyLength::Length(length) => Some(length),
            _ => None,
        };
        let request = &self.request.head;
        let (method, fields) = (&request.method, &request.fields);
        let choice =
            compress::choose(compression, method, fields, answer.status, &answer.fields, known);
        compress::prepare(&mut answer.fields, choice);
        match choice {
            Choice::Encode(coding) => Some(coding),
            Choice::Leave | Choice::Identity => None,
        }
    }
}

/// Where the bytes of a body go: to the client, through a coding perhaps.
struct Sink<'a> {
    client: &'a mut Client,
    encoder: Option<Encoder>,
    coded: Vec<u8>,
}

impl Sink<'_> {
    async fn write(&mut self, data: &[u8], flush: bool) -> Result<(), FailureKind> {
        let Some(encoder) = &mut self.encoder else { return self.client.send(data).await };
        let mut coded = encoder.encode(data, &mut self.coded);
        if flush && coded.is_ok() {
            coded = encoder.flush(&mut self.coded);
        }
        coded.map_err(|_| FailureKind::Internal)?;
        self.send_coded().await
    }

    async fn send_coded(&mut self) -> Result<(), FailureKind> {
        let sent = self.client.send(&self.coded).await;
        self.coded.clear();
        sent
    }

    async fn finish(mut self, trailers: Option<&Fields>) -> Result<(), FailureKind> {
        if let Some(encoder) = self.encoder.take() {
            encoder.finish(&mut self.coded).map_err(|_| FailureKind::Internal)?;
            self.send_coded().await?;
        }
        self.client.finish(trailers).await
    }
}

async fn send_body(
    client: &mut Client,
    body: &mut Body,
    fill: &mut Option<Fill>,
    encoder: Option<Encoder>,
    limits: Limits,
) -> Result<(), FailureKind> {
    let mut sink = Sink { client, encoder, coded: Vec::new() };
    match body {
        Body::Empty => {}
        Body::Bytes(bytes) => sink.write(bytes, false).await?,
        Body::Shared(bytes) => sink.write(bytes, false).await?,
        Body::File(file) => {
            while let Some(piece) = file.next().await.map_err(|_| FailureKind::Internal)? {
                sink.write(&piece, false).await?;
            }
        }
        Body::Server(started) => {
            while next_piece(sink.client, started, limits).await? {
                if let Some(fill) = fill {
                    fill.push(started.peer.data());
                }
                // Kept before its last bytes leave: whoever has it all finds it here.
                keep(fill, Fill::is_complete);
                if sink.encoder.is_none() {
                    send_piece(sink.client, started, limits).await?;
                } else {
                    let count = started.peer.data().len();
                    sink.write(started.peer.data(), true).await?;
                    started.peer.consume(count);
                }
            }
            keep(fill, |_| true);
            return sink.finish(started.peer.trailers()).await;
        }
    }
    keep(fill, |_| true);
    sink.finish(None).await
}

/// Ends the filling of the cache when the body is all there.
fn keep(fill: &mut Option<Fill>, is_all: impl FnOnce(&Fill) -> bool) {
    if fill.as_ref().is_some_and(is_all)
        && let Some(fill) = fill.take()
    {
        fill.finish();
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Without a byte of the server.
    idle: Duration,
    total: Option<Instant>,
}

impl Limits {
    fn after(self, span: Duration) -> Instant {
        let expires = Instant::now() + span;
        self.total.map_or(expires, |total| total.min(expires))
    }

    /// The failure that a missed deadline means.
    fn missed(self, kind: FailureKind) -> FailureKind {
        match self.total {
            Some(total) if Instant::now() >= total => FailureKind::TotalTimeout,
            _ => kind,
        }
    }
}

/// Waits for bytes of the server's answer; false at its end. What waits for the client leaves
/// meanwhile, and the rest of the request goes on its way.
async fn next_piece(
    client: &mut Client,
    started: &mut Started,
    limits: Limits,
) -> Result<bool, FailureKind> {
    // Most answers are here already.
    let peer = &mut client.peer;
    let piece = client.deadline.guard_until(
        || limits.after(limits.idle),
        |cx| {
            if let Poll::Ready(piece) = started.peer.poll_body(cx) {
                return Poll::Ready(piece.map_err(|_| FailureKind::BodyCut));
            }
            if !started.upload.is_over()
                && let Poll::Ready(Err(kind)) = started.upload.poll(cx, peer, &mut started.peer)
            {
                return Poll::Ready(Err(kind));
            }
            match peer.poll_flush(cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(Err(FailureKind::Gone)),
                Poll::Ready(Ok(()))
                    if started.upload.is_over() && peer.poll_gone(cx).is_ready() =>
                {
                    return Poll::Ready(Err(FailureKind::Gone));
                }
                _ => {}
            }
            Poll::Pending
        },
    );
    piece.await.unwrap_or_else(|| Err(limits.missed(FailureKind::IdleTimeout)))
}

/// Sends the bytes that are available, straight from the buffer they were read into.
async fn send_piece(
    client: &mut Client,
    started: &mut Started,
    limits: Limits,
) -> Result<(), FailureKind> {
    while !started.peer.data().is_empty() {
        let (peer, send_timeout) = (&mut client.peer, client.send_timeout);
        let expires = || limits.after(send_timeout);
        let written = client.deadline.guard_until(expires, |cx| {
            if !started.upload.is_over()
                && let Poll::Ready(Err(kind)) = started.upload.poll(cx, peer, &mut started.peer)
            {
                return Poll::Ready(Err(kind));
            }
            peer.poll_write_body(cx, started.peer.data()).map_err(|_| FailureKind::Gone)
        });
        let written = written.await.ok_or_else(|| limits.missed(FailureKind::SlowReader))??;
        client.body_bytes += written as u64;
        started.peer.consume(written);
    }
    Ok(())
}

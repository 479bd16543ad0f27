//! Asking a server how it is, again and again.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use policy::health::{Change, Health as State, next_check};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rustls::ClientConfig;
use wire::{BodyLength, HeadLimits, ResponseHead};

use crate::failure::FailureKind;
use crate::net::http1::Http1;
use crate::net::stream::Stream;
use crate::params::{Health, HealthCheck, UpstreamProtocol};
use crate::shared::Shared;
use crate::upstream::connect::connect;
use crate::upstream::shared::{Server, Upstream};

/// Bytes of a body that are looked at.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Limits on the head of an answer.
const HEAD: HeadLimits = HeadLimits { line: 8 << 10, count: 100, bytes: 32 << 10 };

/// Checks a server until the task is dropped. What it finds lives with the server.
pub(crate) async fn watch(
    upstream: Arc<Upstream>,
    server: Arc<Server>,
    tls: Option<Arc<ClientConfig>>,
    shared: Arc<Shared>,
) {
    let Some(health) = upstream.params.health.clone() else { return };
    let mut state = State::new(health.fall, health.rise, server.is_healthy());
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(shared.seed ^ server.tag);
    loop {
        let asked =
            tokio::time::timeout(health.timeout, ask(&upstream, &server, tls.as_ref(), &health));
        let result = asked.await.unwrap_or(Err("no answer in time"));
        let change = state.observe(result.is_ok());
        match change {
            Some(Change::Up) => {
                tracing::info!(upstream = upstream.name(), server = server.id(), "server is up");
            }
            Some(Change::Down) => {
                let why = result.err().unwrap_or("");
                tracing::warn!(
                    upstream = upstream.name(),
                    server = server.id(),
                    why,
                    "server is down"
                );
            }
            None => {}
        }
        if change.is_some() {
            server.set_healthy(state.is_up(), shared.now());
        }
        tokio::time::sleep(next_check(health.every, &mut rng)).await;
    }
}

/// One check.
async fn ask(
    upstream: &Upstream,
    server: &Server,
    tls: Option<&Arc<ClientConfig>>,
    health: &Health,
) -> Result<(), &'static str> {
    let nobody = ([127, 0, 0, 1], 0).into();
    let stream = connect(server, &upstream.params, tls, (nobody, nobody)).await;
    let stream = stream.map_err(FailureKind::label)?;
    let HealthCheck::Http { path, expect, body_contains } = &health.check else { return Ok(()) };
    let http2 = stream.negotiated_h2() || upstream.params.protocol == UpstreamProtocol::Http2;
    let (status, body) = if http2 {
        get_http2(stream, path, &server.host).await?
    } else {
        get_http1(stream, path, &server.host).await?
    };
    if !expect.iter().any(|(from, to)| (*from..=*to).contains(&status)) {
        return Err("another status than expected");
    }
    match body_contains {
        Some(text) if memchr::memmem::find(&body, text.as_bytes()).is_none() => {
            Err("another body than expected")
        }
        _ => Ok(()),
    }
}

async fn get_http1(stream: Stream, path: &str, host: &str) -> Result<(u16, Vec<u8>), &'static str> {
    let mut connection = Http1::new(stream, Rc::default());
    connection.start(BodyLength::None, |out| {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tidegate-health\r\n\
             Accept: */*\r\nConnection: close\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
    });
    let mut head = ResponseHead::default();
    let mut body = Vec::new();
    let answered = std::future::poll_fn(|cx| {
        if connection.poll_flush(cx).is_pending() {
            return Poll::Pending;
        }
        connection.poll_head(cx, HEAD.bytes, |bytes| {
            Ok(wire::parse_response(bytes, &HEAD, &mut head)?.map(|used| (used, ())))
        })
    });
    answered.await.map_err(|_| "no answer")?;
    let length = wire::response_body("GET", &head).map_err(|_| "a malformed answer")?;
    connection.expect_body(length);
    while body.len() < BODY_BYTES_MAX {
        let more = std::future::poll_fn(|cx| connection.poll_body(cx)).await;
        if !more.map_err(|_| "the answer was cut")? {
            break;
        }
        let count = connection.data().len();
        body.extend_from_slice(connection.data());
        connection.consume(count);
    }
    Ok((head.status, body))
}

async fn get_http2(stream: Stream, path: &str, host: &str) -> Result<(u16, Vec<u8>), &'static str> {
    let failed = |_| "no answer over HTTP/2";
    let (send, connection) = h2::client::handshake(stream).await.map_err(failed)?;
    let exchange = async {
        let request = http::Request::get(format!("http://{host}{path}"))
            .header(http::header::USER_AGENT, "tidegate-health")
            .body(())
            .map_err(|_| "the check is no valid request")?;
        let mut send = send.ready().await.map_err(failed)?;
        let (response, _) = send.send_request(request, true).map_err(failed)?;
        let (parts, mut stream) = response.await.map_err(failed)?.into_parts();
        let mut body = Vec::new();
        while let Some(data) = stream.data().await {
            let data = data.map_err(failed)?;
            let _ = stream.flow_control().release_capacity(data.len());
            body.extend_from_slice(&data);
            if body.len() >= BODY_BYTES_MAX {
                break;
            }
        }
        Ok((parts.status.as_u16(), body))
    };
    tokio::select! {
        result = exchange => result,
        _ = connection => Err("the connection ended"),
    }
}

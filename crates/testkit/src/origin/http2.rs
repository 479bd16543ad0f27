//! HTTP/2 (RFC 9113) by the `h2` crate.

use super::behaviour::Fault;
use super::faults::FAULT_BYTES_MAX;
use super::record::Recorded;
use super::route::{Action, Reply};
use super::{BODY_BYTES_MAX, Peer, Shared};
use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

/// What an HTTP/2 client says first (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Most streams at once on one connection.
const STREAMS_MAX: u32 = 1024;

/// Serves the streams of one connection.
///
/// # Errors
/// What broke the connection.
pub(super) async fn serve<S>(stream: S, peer: &Peer, shared: &Arc<Shared>) -> Result<(), h2::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection =
        Builder::new().max_concurrent_streams(STREAMS_MAX).handshake(stream).await?;
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(stream) => {
                    let (request, respond) = stream?;
                    let (peer, shared) = (peer.clone(), Arc::clone(shared));
                    // What breaks one stream is the client's to notice.
                    streams.spawn(async move {
                        let _ = answer(request, respond, &peer, &shared).await;
                    });
                }
                None => return Ok(()),
            },
            Some(_) = streams.join_next() => {}
        }
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    peer: &Peer,
    shared: &Shared,
) -> Result<(), h2::Error> {
    let request = record(request, peer).await?;
    let with_body = request.method != "HEAD";
    let action = shared.decide(&request);
    let _in_flight = shared.recorder.request(request);
    match action {
        Action::Reply(reply) => {
            reply.wait().await;
            let body = if with_body { reply.body.clone() } else { Bytes::new() };
            let mut stream = send_head(&mut respond, &reply, body.is_empty())?;
            if body.is_empty() { Ok(()) } else { send_body(&mut stream, body, true).await }
        }
        Action::Fault(fault) => play(&fault, &mut respond).await,
    }
}

/// The parts of [`Fault`]s that HTTP/2 can show.
async fn play(fault: &Fault, respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    match fault {
        Fault::Silent => {
            poll_fn(|cx| respond.poll_reset(cx)).await?;
        }
        Fault::CloseMidBody | Fault::ResetMidBody => {
            let head = Reply::new(200, &[("content-length", "100")], "");
            let mut stream = send_head(respond, &head, false)?;
            send_body(&mut stream, Bytes::from_static(b"0123456789"), false).await?;
            // The reset must not overtake the data.
            tokio::task::yield_now().await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        Fault::SlowBody { chunk_bytes, chunks, interval } => {
            let chunk = Bytes::from(vec![b'.'; (*chunk_bytes).min(FAULT_BYTES_MAX)]);
            repeat(respond, &chunk, *chunks, *interval).await?;
        }
        Fault::EndlessBody => {
            let chunk = Bytes::from_static(&[b'.'; 1024]);
            repeat(respond, &chunk, usize::MAX, Duration::ZERO).await?;
        }
        Fault::Interim { status } => {
            let mut interim = http::Response::new(());
            *interim.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::CONTINUE);
            respond.send_informational(interim)?;
            let reply = Reply::ok();
            let mut stream = send_head(respond, &reply, false)?;
            send_body(&mut stream, reply.body, true).await?;
        }
        _ => respond.send_reset(Reason::INTERNAL_ERROR),
    }
    Ok(())
}

/// A body of `chunks` times `chunk`, each after `interval`.
async fn repeat(
    respond: &mut SendResponse<Bytes>,
    chunk: &Bytes,
    chunks: usize,
    interval: Duration,
) -> Result<(), h2::Error> {
    let mut stream = send_head(respond, &Reply::ok(), false)?;
    for _ in 0..chunks {
        if interval.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(interval).await;
        }
        send_body(&mut stream, chunk.clone(), false).await?;
    }
    stream.send_data(Bytes::new(), true)
}

/// The request with its whole body.
async fn record(request: Request<RecvStream>, peer: &Peer) -> Result<Recorded, h2::Error> {
    let (head, mut stream) = request.into_parts();
    let pseudo = [
        (":scheme", head.uri.scheme_str()),
        (":authority", head.uri.authority().map(http::uri::Authority::as_str)),
    ];
    let pseudo =
        pseudo.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let regular = head.headers.iter().map(|(name, value)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        if body.len() + data.len() > BODY_BYTES_MAX {
            return Err(Reason::ENHANCE_YOUR_CALM.into());
        }
        body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len())?;
    }
    Ok(Recorded {
        method: head.method.to_string(),
        target: head.uri.path_and_query().map_or_else(|| "*".to_owned(), ToString::to_string),
        version: head.version,
        headers: pseudo.chain(regular).collect(),
        body,
        at: Instant::now(),
        connection: peer.connection,
        server_name: peer.server_name.clone(),
    })
}

/// Sends the head of `reply`. Headers that HTTP/2 cannot carry are left out.
fn send_head(
    respond: &mut SendResponse<Bytes>,
    reply: &Reply,
    end: bool,
) -> Result<SendStream<Bytes>, h2::Error> {
    let mut response = http::Response::new(());
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &reply.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            response.headers_mut().append(name, value);
        }
    }
    respond.send_response(response, end)
}

/// Sends `body` as fast as the client's flow control allows.
async fn send_body(
    stream: &mut SendStream<Bytes>,
    mut body: Bytes,
    end: bool,
) -> Result<(), h2::Error> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(room) => room?.min(body.len()),
            None => return Err(Reason::STREAM_CLOSED.into()),
        };
        let part = body.split_to(room);
        stream.send_data(part, end && body.is_empty())?;
    }
    Ok(())
}

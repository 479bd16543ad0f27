//! One HTTP/2 exchange (RFC 9113) on a connection that one user keeps for itself.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, StatusCode};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::failure::{Failure, FailureKind};
use crate::net::deadline::Deadline;
use crate::net::stream::Stream;
use crate::net::{Response, Wanted};
use crate::params::{Limits, Timeouts};

/// Bytes that the target may send before it waits for us, per stream and per connection.
const WINDOW_BYTES: u32 = 4 << 20;

/// An HTTP/2 connection and the task that drives it.
pub(crate) struct H2 {
    send: SendRequest<Bytes>,
    driver: JoinHandle<()>,
}

impl Drop for H2 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What an exchange needs besides the connection.
pub(crate) struct H2Exchange<'a> {
    pub(crate) request: Request<()>,
    pub(crate) payload: Bytes,
    pub(crate) wanted: Wanted,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) started: Instant,
    pub(crate) deadline: &'a mut Deadline,
    pub(crate) body: &'a mut Vec<u8>,
}

impl H2 {
    /// Starts the protocol on a fresh stream.
    pub(crate) async fn handshake(stream: Stream, limits: Limits) -> Result<H2, Failure> {
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .enable_push(false)
            .handshake::<_, Bytes>(stream)
            .await
            .map_err(|error| failure_of(&error))?;
        let driver = tokio::task::spawn_local(async move {
            // What goes wrong on the connection, every stream on it learns as well.
            let _ = connection.await;
        });
        Ok(H2 { send, driver })
    }

    /// Whether the connection has ended while it was idle.
    pub(crate) fn is_stale(&self) -> bool {
        self.driver.is_finished()
    }

    /// Sends a request and reads its response.
    pub(crate) async fn exchange(&mut self, ask: H2Exchange<'_>) -> Result<Response, Failure> {
        let total = ask.started + ask.timeouts.total;
        ask.deadline.set(total.min(Instant::now() + ask.timeouts.response));
        let timed_out = || {
            if Instant::now() >= total {
                Failure::new(FailureKind::TotalTimeout, "the response was not complete in time")
            } else {
                let detail = format!("no response within {:?}", ask.timeouts.response);
                Failure::new(FailureKind::ResponseTimeout, detail)
            }
        };
        let send = &mut self.send;
        let (request, payload) = (ask.request, ask.payload);
        let response = ask
            .deadline
            .guard_future(async {
                std::future::poll_fn(|cx| send.poll_ready(cx)).await?;
                let (response, mut stream) = send.send_request(request, payload.is_empty())?;
                if !payload.is_empty() {
                    stream.send_data(payload, true)?;
                }
                response.await
            })
            .await
            .ok_or_else(timed_out)?
            .map_err(|error| failure_of(&error))?;
        let first_byte = Instant::now();
        ask.deadline.set(total);
        let (parts, mut stream) = response.into_parts();
        let mut body_bytes = 0_u64;
        while let Some(data) =
            ask.deadline.guard_future(stream.data()).await.ok_or_else(timed_out)?
        {
            let data = data.map_err(|error| failure_of(&error))?;
            body_bytes += data.len() as u64;
            // Fails only when the stream is gone, which the next read tells.
            let _ = stream.flow_control().release_capacity(data.len());
            let limit = if ask.wanted.body {
                ask.body.extend_from_slice(&data);
                ask.limits.kept_body_bytes as u64
            } else {
                ask.limits.body_bytes
            };
            if body_bytes > limit {
                let detail = format!("more than {limit} bytes");
                return Err(Failure::new(FailureKind::BodyTooLarge, detail));
            }
        }
        let head_bytes: usize =
            parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let collect = ask.wanted.headers
            || ask.wanted.body
            || ask.wanted.cookies_and_location
                && (parts.headers.contains_key(http::header::SET_COOKIE)
                    || parts.status.is_redirection());
        Ok(Response {
            status: parts.status,
            reusable: parts.status != StatusCode::SWITCHING_PROTOCOLS,
            headers: collect.then_some(parts.headers),
            first_byte,
            bytes: head_bytes as u64 + body_bytes,
            body_bytes,
        })
    }
}

fn failure_of(error: &h2::Error) -> Failure {
    match error.get_io() {
        Some(io) => Failure::from_io(io),
        None => Failure::new(FailureKind::Http2, error.to_string()),
    }
}

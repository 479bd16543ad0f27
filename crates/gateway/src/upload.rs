//! The body of a request on its way from the client to a server.

use std::task::{Context, Poll, ready};

use tokio::time::Instant;
use traffic::Fields;

use crate::failure::FailureKind;
use crate::net::http1::BodyError;
use crate::net::peer::Peer;

/// How long a body may be slower than the least rate.
const RATE_GRACE_S: f64 = 10.0;

/// A body that is being passed on.
pub(crate) struct Upload {
    /// What was passed on so far, for another attempt; `None`: not kept (any more).
    kept: Option<Vec<u8>>,
    kept_max: usize,
    /// Bytes of `kept` that the current server has.
    replayed: usize,
    received: u64,
    max: u64,
    rate_min: u64,
    begun: Option<Instant>,
    /// Whether the client waits for `100 Continue`.
    expected: bool,
    /// Whether it is the server that does not go on.
    waits_for_server: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Moving,
    /// All has been read; the end must be written.
    Ending,
    Done,
    /// The server takes no more. Its answer decides.
    Refused,
}

impl Upload {
    /// A body of at most `max` bytes, of which `kept_max` are kept for another attempt.
    pub(crate) fn new(empty: bool, max: u64, rate_min: u64, kept_max: usize) -> Upload {
        Upload {
            kept: (kept_max > 0).then(Vec::new),
            kept_max,
            replayed: 0,
            received: 0,
            max,
            rate_min,
            begun: None,
            expected: false,
            waits_for_server: false,
            state: if empty { State::Done } else { State::Moving },
        }
    }

    /// Has the client told to go on before its body is read.
    pub(crate) fn announce(&mut self) {
        self.expected = true;
    }

    /// Whether nothing more will be passed on.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Refused)
    }

    /// Whether the server takes nothing at the moment, rather than that the client sends nothing.
    pub(crate) fn waits_for_server(&self) -> bool {
        self.waits_for_server
    }

    /// Whether the server has the whole body.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Done
    }

    /// Whether another server can be given the same body.
    pub(crate) fn can_restart(&self) -> bool {
        self.received == 0 || self.kept.is_some()
    }

    /// Starts again with another server.
    pub(crate) fn restart(&mut self, empty: bool) {
        self.replayed = 0;
        self.state = if empty { State::Done } else { State::Moving };
    }

    /// Bytes of the body that came from the client.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Moves what can be moved. Ready once nothing more will be passed on.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Peer,
        server: &mut Peer,
    ) -> Poll<Result<(), FailureKind>> {
        if self.is_over() {
            return Poll::Ready(Ok(()));
        }
        let moved = ready!(self.poll_move(cx, client, server));
        if let Err(Stop::Server) = moved {
            self.state = State::Refused;
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(moved.map_err(|stop| match stop {
            Stop::Client(kind) => kind,
            Stop::Server => FailureKind::Reset,
        }))
    }

    fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Peer,
        server: &mut Peer,
    ) -> Poll<Result<(), Stop>> {
        if self.expected {
            client
                .write_interim(100, &Fields::new())
                .map_err(|_| Stop::Client(FailureKind::Gone))?;
            self.expected = false;
        }
        let begun = *self.begun.get_or_insert_with(Instant::now);
        self.waits_for_server = true;
        while let Some(kept) = self.kept.as_ref().filter(|kept| self.replayed < kept.len()) {
            let written = server.poll_write_body(cx, &kept[self.replayed..]);
            self.replayed += ready!(written).map_err(|_| Stop::Server)?;
        }
        while self.state == State::Moving {
            self.waits_for_server = false;
            let more = client.poll_body(cx).map_err(|error| {
                Stop::Client(match error {
                    BodyError::Cut => FailureKind::Gone,
                    BodyError::Malformed => FailureKind::BadBody,
                })
            });
            let more = match more {
                Poll::Ready(more) => more?,
                Poll::Pending => {
                    // What waits must leave before we wait.
                    let sent =
                        client.poll_flush(cx).map_err(|_| Stop::Client(FailureKind::Gone))?;
                    let passed = server.poll_flush(cx).map_err(|_| Stop::Server)?;
                    let _ = (sent, passed);
                    return Poll::Pending;
                }
            };
            if !more {
                self.state = State::Ending;
                break;
            }
            let data = client.data();
            self.waits_for_server = true;
            let count = ready!(server.poll_write_body(cx, data)).map_err(|_| Stop::Server)?;
            self.received += count as u64;
            if let Some(kept) = &mut self.kept {
                if kept.len() + count <= self.kept_max {
                    kept.extend_from_slice(&data[..count]);
                    self.replayed = kept.len();
                } else {
                    self.kept = None;
                }
            }
            client.consume(count);
            if self.received > self.max {
                return Poll::Ready(Err(Stop::Client(FailureKind::BodyTooLarge)));
            }
            let elapsed = begun.elapsed().as_secs_f64();
            if elapsed > RATE_GRACE_S && (self.received as f64) < elapsed * self.rate_min as f64 {
                return Poll::Ready(Err(Stop::Client(FailureKind::BodyTimeout)));
            }
        }
        let whole = ready!(server.poll_finish(cx, client.trailers()));
        match whole {
            Ok(true) => {
                self.state = State::Done;
                Poll::Ready(Ok(()))
            }
            Ok(false) | Err(_) => Poll::Ready(Err(Stop::Server)),
        }
    }
}

/// Who ended it.
enum Stop {
    Client(FailureKind),
    Server,
}

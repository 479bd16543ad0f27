//! Connections to one server that one core keeps.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;

use crate::net::http1::Http1;

/// Most HTTP/2 connections per server and core.
const HTTP2_MAX: usize = 8;
/// Streams on one HTTP/2 connection before another one is opened.
pub(crate) const STREAMS_PER_CONNECTION: usize = 100;

/// An HTTP/2 connection.
pub(crate) struct Http2Connection {
    pub(crate) send: SendRequest<Bytes>,
    streams: Cell<u32>,
    closed: Rc<Cell<bool>>,
    /// Since when it has no streams.
    idle_since: Cell<Option<Duration>>,
}

/// A stream of an HTTP/2 connection that counts against it.
pub(crate) struct StreamSlot {
    connection: Rc<Http2Connection>,
}

impl StreamSlot {
    pub(crate) fn sender(&self) -> SendRequest<Bytes> {
        self.connection.send.clone()
    }

    /// Opens no more streams on the connection; those that are open go on.
    pub(crate) fn retire(&self) {
        self.connection.closed.set(true);
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let streams = &self.connection.streams;
        streams.set(streams.get().saturating_sub(1));
    }
}

/// Idle connections, the last used first.
#[derive(Default)]
pub(crate) struct Pool {
    idle: RefCell<Vec<(Box<Http1>, Duration)>>,
    http2: RefCell<Vec<Rc<Http2Connection>>>,
    /// Held while an HTTP/2 connection is opened, so that waiting requests share it.
    pub(crate) opening: tokio::sync::Mutex<()>,
}

impl Pool {
    /// An idle HTTP/1.1 connection that is still good.
    pub(crate) fn take(&self) -> Option<Box<Http1>> {
        loop {
            let (mut connection, _) = self.idle.borrow_mut().pop()?;
            if connection.stream_mut().is_silent() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection that is between two requests.
    pub(crate) fn give(&self, connection: Box<Http1>, now: Duration, max: usize) {
        let mut idle = self.idle.borrow_mut();
        if max > 0 && idle.len() >= max {
            // The one that was idle longest.
            idle.remove(0);
        }
        if max > 0 {
            idle.push((connection, now));
        }
    }

    /// A stream on an open HTTP/2 connection.
    pub(crate) fn stream(&self) -> Option<StreamSlot> {
        let mut connections = self.http2.borrow_mut();
        connections.retain(|connection| !connection.closed.get());
        let connection = connections.iter().min_by_key(|connection| connection.streams.get())?;
        let allowed = connection.send.current_max_send_streams().min(STREAMS_PER_CONNECTION);
        if connection.streams.get() as usize >= allowed && connections.len() < HTTP2_MAX {
            return None;
        }
        connection.streams.set(connection.streams.get() + 1);
        Some(StreamSlot { connection: Rc::clone(connection) })
    }

    /// Keeps an HTTP/2 connection; `closed` becomes true when it ends.
    pub(crate) fn give_http2(
        &self,
        send: SendRequest<Bytes>,
        closed: Rc<Cell<bool>>,
    ) -> StreamSlot {
        let connection = Rc::new(Http2Connection {
            send,
            streams: Cell::new(1),
            closed,
            idle_since: Cell::new(None),
        });
        self.http2.borrow_mut().push(Rc::clone(&connection));
        StreamSlot { connection }
    }

    /// Closes connections that were idle for too long, and those that are broken.
    pub(crate) fn sweep(&self, now: Duration, idle: Duration) {
        let before = now.saturating_sub(idle);
        self.idle.borrow_mut().retain_mut(|(connection, since)| {
            *since >= before && connection.stream_mut().is_silent()
        });
        self.http2.borrow_mut().retain(|connection| {
            let is_idle = connection.streams.get() == 0;
            let since = is_idle.then(|| connection.idle_since.get().unwrap_or(now));
            connection.idle_since.set(since);
            !connection.closed.get() && since.is_none_or(|since| since >= before)
        });
    }
}

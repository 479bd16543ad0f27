//! Two connections that became one: bytes both ways until either side ends.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::core::Core;
use crate::forward::Started;
use crate::net::deadline::Deadline;
use crate::net::peer::Peer;
use crate::net::stream::Stream;

/// Bytes on their way in one direction.
const BUFFER_BYTES: usize = 16 << 10;
/// How long a tunnel may be silent.
const IDLE_MAX: Duration = Duration::from_secs(3_600);
/// How long one direction may go on once the other has ended.
const HALF_CLOSED_MAX: Duration = Duration::from_secs(60);

/// One direction.
struct Direction {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    read_all: bool,
    done: bool,
    moved: u64,
}

impl Direction {
    /// Begins with bytes that were read before.
    fn new(early: &[u8]) -> Direction {
        let mut buffer = vec![0; BUFFER_BYTES.max(early.len())];
        buffer[..early.len()].copy_from_slice(early);
        Direction { buffer, start: 0, end: early.len(), read_all: false, done: false, moved: 0 }
    }

    /// Moves what can be moved; ready at the end of the direction.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
    ) -> Poll<io::Result<()>> {
        loop {
            while self.start < self.end {
                let waiting = &self.buffer[self.start..self.end];
                let written = ready!(Pin::new(&mut *to).poll_write(cx, waiting))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.start += written;
                self.moved += written as u64;
            }
            if self.read_all {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.done = true;
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut self.buffer);
            match Pin::new(&mut *from).poll_read(cx, &mut buffer)? {
                Poll::Ready(()) => {
                    (self.start, self.end) = (0, buffer.filled().len());
                    self.read_all = self.end == 0;
                }
                Poll::Pending => {
                    ready!(Pin::new(&mut *to).poll_flush(cx))?;
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Runs a tunnel between a client and the server that has agreed to it.
pub(crate) async fn run(core: &Rc<Core>, client: Peer, started: Started) {
    let (server, _in_flight) = started.into_tunnel();
    let (Peer::Http1(client), Peer::Http1(server)) = (client, server) else { return };
    let (mut client, from_client) = client.into_parts();
    let (mut server, from_server) = server.into_parts();
    let mut up = Direction::new(&from_client);
    let mut down = Direction::new(&from_server);
    let mut deadline = Deadline::new();
    let mut ending = std::pin::pin!(core.ending.notified());
    core.metrics.tunnel_opened();
    loop {
        let half = up.done || down.done;
        deadline.set(Instant::now() + if half { HALF_CLOSED_MAX } else { IDLE_MAX });
        let before = up.moved + down.moved;
        let step = deadline.guard(|cx| {
            for (direction, from_client) in [(&mut up, true), (&mut down, false)] {
                if direction.done {
                    continue;
                }
                let polled = if from_client {
                    direction.poll(cx, &mut client, &mut server)
                } else {
                    direction.poll(cx, &mut server, &mut client)
                };
                match polled {
                    Poll::Ready(Ok(())) => return Poll::Ready(true),
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => {}
                }
            }
            Poll::Pending
        });
        let step = tokio::select! {
            step = step => step,
            // A tunnel may last for ever: it must not keep the gateway from stopping.
            () = &mut ending => None,
        };
        match step {
            Some(true) if up.done && down.done => break,
            Some(true) => {}
            // Time went by, but not in silence.
            None if up.moved + down.moved > before && !core.draining.get() => {}
            Some(false) | None => break,
        }
    }
    core.metrics.tunnel_closed(up.moved + down.moved);
}

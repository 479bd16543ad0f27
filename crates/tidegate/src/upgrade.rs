//! A new program in the place of the running one: the old one starts it, hands its listening
//! sockets over, and drains once the new one serves. No connection is refused meanwhile, as the
//! sockets' queues go on.
//!
//! The successor's standard input is one end of a socket pair: descriptors come through it
//! (`SCM_RIGHTS`), and a byte goes back when it is ready.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Tells a successor that it is one.
const MARK: &str = "TIDEGATE_SUCCESSOR";
/// Descriptors of one message.
const BATCH: usize = 64;
/// Most sockets that are handed over.
const SOCKETS_MAX: usize = 4_096;
/// How long a successor may take to serve.
const PATIENCE: Duration = Duration::from_secs(30);

/// The sockets of the predecessor; none when there is no predecessor.
pub(crate) fn inherited() -> io::Result<Vec<TcpListener>> {
    if std::env::var_os(MARK).is_none() {
        return Ok(Vec::new());
    }
    let stdin = io::stdin();
    let mut sockets = Vec::new();
    loop {
        let (last, received) = receive(stdin.as_fd())?;
        sockets.extend(received.into_iter().map(TcpListener::from));
        if last || sockets.len() >= SOCKETS_MAX {
            return Ok(sockets);
        }
    }
}

fn receive(from: BorrowedFd<'_>) -> io::Result<(bool, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let got = recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags)?;
    if got.bytes == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the predecessor is gone"));
    }
    let rights = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    Ok((byte == [1], rights.flatten().collect()))
}

/// Tells the predecessor, if there is one, that requests are served here now.
pub(crate) fn tell_ready() {
    if std::env::var_os(MARK).is_some() {
        // When the predecessor is gone there is nobody to tell.
        let _ = rustix::io::write(io::stdin().as_fd(), b"r");
    }
}

/// Starts a successor, hands the sockets over and waits until it serves.
pub(crate) fn hand_over(sockets: &[TcpListener]) -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new(program()?)
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    let fds: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    let served = hand_over_to(ours, &fds);
    if served.is_err() {
        // It must not go on with half of the sockets. It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
    served
}

fn hand_over_to(mut ours: UnixStream, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut batches = fds.chunks(BATCH).peekable();
    if fds.is_empty() {
        send(&ours, &[], true)?;
    }
    while let Some(batch) = batches.next() {
        send(&ours, batch, batches.peek().is_none())?;
    }
    ours.set_read_timeout(Some(PATIENCE))?;
    let mut byte = [0];
    ours.read_exact(&mut byte)
}

fn send(to: &UnixStream, fds: &[BorrowedFd<'_>], last: bool) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many descriptors in one message"));
    }
    let byte = [u8::from(last)];
    sendmsg(to, &[IoSlice::new(&byte)], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

/// The installed program, also when it has been replaced since we were started.
fn program() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let text = path.to_string_lossy();
    Ok(match text.strip_suffix(" (deleted)") {
        Some(path) => PathBuf::from(path),
        None => path,
    })
}

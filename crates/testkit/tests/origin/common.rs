//! A raw client: what goes over the wire, byte by byte.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use testkit::origin::{Behaviour, Fault, Origin, OriginConfig};

/// Longer than anything here takes; only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An origin that does `behaviour` for every path.
pub(crate) fn origin(behaviour: Behaviour) -> Origin {
    Origin::start(OriginConfig::new(behaviour)).unwrap()
}

/// An origin that answers every request by `fault`.
pub(crate) fn faulty(fault: Fault) -> Origin {
    origin(Behaviour::Fault(fault))
}

/// A TCP connection that has sent `text`.
pub(crate) fn send(origin: &Origin, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(origin.addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

/// A TCP connection that has asked for `/`.
pub(crate) fn get(origin: &Origin) -> TcpStream {
    send(origin, "GET / HTTP/1.1\r\nhost: origin\r\n\r\n")
}

/// All that comes until the end of the stream, and the error if it does not end well.
pub(crate) fn read_all(stream: &mut impl Read) -> (String, io::Result<()>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    (String::from_utf8_lossy(&bytes).into_owned(), end.map(drop))
}

/// What comes until `text` has come.
pub(crate) fn read_until(stream: &mut impl Read, text: &str) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(text.as_bytes()) {
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether nothing more has come, and the stream is open.
pub(crate) fn is_quiet(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// The whole answer to `head` (without its empty line), on a connection of its own.
pub(crate) fn exchange(origin: &Origin, head: &str) -> String {
    let mut stream = send(origin, &format!("{head}\r\nconnection: close\r\n\r\n"));
    let (answer, end) = read_all(&mut stream);
    end.unwrap();
    answer
}

/// The body of an answer.
pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

/// The status line of an answer.
pub(crate) fn status_line(answer: &str) -> &str {
    answer.lines().next().unwrap()
}

//! HTTP/2 frames by hand (RFC 9113 section 4): only so can it be spoken wrong on purpose.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::harness::PATIENCE;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block of literals that are not indexed (RFC 7541 section 6.2.2), of at most 126 bytes
/// each.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            bytes.push(text.len() as u8);
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// What came of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered(u16),
    Reset,
    /// The connection ended, by GOAWAY or without a word.
    Ended,
}

/// A connection on which anything can be said.
pub(crate) struct RawHttp2 {
    stream: TcpStream,
}

impl RawHttp2 {
    pub(crate) fn connect(address: SocketAddr) -> RawHttp2 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
        RawHttp2 { stream }
    }

    /// Says it, also when nobody listens any more.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    fn read(&mut self, bytes: &mut [u8]) -> bool {
        match self.stream.read_exact(bytes) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer"),
            Err(_) => false,
        }
    }

    /// Waits for what becomes of a stream.
    pub(crate) fn outcome(&mut self, of: u32) -> Outcome {
        loop {
            let mut head = [0; 9];
            if !self.read(&mut head) {
                return Outcome::Ended;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let mut payload = vec![0; length];
            if !self.read(&mut payload) {
                return Outcome::Ended;
            }
            match head[3] {
                GOAWAY => return Outcome::Ended,
                RST_STREAM if stream == of => return Outcome::Reset,
                HEADERS if stream == of => return Outcome::Answered(status(&payload)),
                _ => {}
            }
        }
    }
}

/// The status that begins a header block: an entry of the static table, or a literal of three
/// digits, which are five bits each in Huffman's code.
fn status(block: &[u8]) -> u16 {
    match block {
        [indexed @ 0x88..=0x8e, ..] => {
            [200, 204, 206, 304, 400, 404, 500][*indexed as usize - 0x88]
        }
        [0x48 | 0x08, length, rest @ ..] if length & 0x80 != 0 => {
            let mut bits = rest
                .iter()
                .take(usize::from(length & 0x7f))
                .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
            let mut left = u32::from(length & 0x7f) * 8;
            let mut status = 0;
            for _ in 0..3 {
                // 0, 1 and 2 are the codes 0 to 2 of five bits, 3 to 9 those from 0x19 of six.
                let short = bits >> (left - 5) & 31;
                let (digit, used) =
                    if short < 3 { (short, 5) } else { ((bits >> (left - 6) & 63) - 0x19 + 3, 6) };
                status = status * 10 + digit as u16;
                left -= used;
                bits &= (1 << left) - 1;
            }
            status
        }
        other => panic!("no status: {other:?}"),
    }
}

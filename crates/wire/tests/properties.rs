//! Laws for inputs that nobody thought of.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use wire::chunked::{CHUNK_END, write_chunk_head, write_last_chunk};
use wire::proxy_protocol::{ProxyHeader, parse, write_v1, write_v2};

#[path = "../fuzz/check.rs"]
mod check;

/// Bytes that are nearly a message: pieces of the grammar in any order, with noise between.
fn nearly(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => prop::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

const HEAD_PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /a?b HTTP/1.1\r\n",
    "GET http://a/ HTTP/1.0\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 304\r\n",
    "Host: a\r\n",
    "Host: b\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 6\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive, x\r\n",
    "Expect: 100-continue\r\n",
    "X-A:b \t\r\n",
    " folded\r\n",
    "X : y\r\n",
    "\r\n",
    "\r\n\r\n",
    "\r",
    "\n",
    " ",
    ":",
    "HTTP/1.1",
    "GET",
    "*",
];

const CHUNK_PIECES: &[&str] = &[
    "1\r\nx\r\n",
    "A\r\n0123456789\r\n",
    "0\r\n",
    "\r\n",
    "0\r\n\r\n",
    "5",
    "ff",
    ";a=b",
    "\r",
    "\n",
    "hello",
    "X-A: b\r\n",
    "Host: a\r\n",
    "0000000000000001\r\nx\r\n",
    "GET",
];

const PROXY_PIECES: &[&str] = &[
    "PROXY ",
    "TCP4 ",
    "TCP6 ",
    "UNKNOWN",
    "192.0.2.1 ",
    "::1 ",
    "80 ",
    "443",
    "\r\n",
    "\r\n\r\n\0\r\nQUIT\n",
    "\x21\x11\0\x0c",
    "\x21\x21\0\x24",
    "\x20\0\0\0",
    "0123456789ab",
];

const TARGET_PIECES: &[&str] = &[
    "/", ".", "..", "%2e", "%2F", "%2f", "%41", "%3b", ";", "a", "b~", "%25", "%C3%A4", "?", "a=",
    "&", "+", "http://", "[::1]", ":80", "\\", "*", "é",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn bytes_are_read_the_same_however_they_come(data in prop::collection::vec(any::<u8>(), 0..200)) {
        check::any_head(&data);
        check::any_chunked(&data);
        check::any_proxy_protocol(&data);
        check::any_target(&data);
    }

    #[test]
    fn nearly_heads_are_read_the_same_however_they_come(data in nearly(HEAD_PIECES)) {
        check::any_head(&data);
    }

    #[test]
    fn heads_with_any_fields_are_read_the_same_however_they_come(fields in nearly(&HEAD_PIECES[5..16])) {
        check::any_head(&[b"PUT /x HTTP/1.1\r\nHost: a\r\n", &fields[..], b"\r\n"].concat());
        check::any_head(&[b"HTTP/1.1 201 Created\r\n", &fields[..], b"\r\n"].concat());
    }

    #[test]
    fn nearly_chunks_are_read_the_same_however_they_come(data in nearly(CHUNK_PIECES)) {
        check::any_chunked(&data);
    }

    #[test]
    fn nearly_proxy_headers_are_read_the_same_however_they_come(data in nearly(PROXY_PIECES)) {
        check::any_proxy_protocol(&data);
    }

    #[test]
    fn paths_are_normalised_once(data in nearly(TARGET_PIECES)) {
        check::any_target(&data);
        check::any_target(&[b"/", &data[..]].concat());
    }

    #[test]
    fn chunks_that_were_written_are_read(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
        pieces in prop::collection::vec(1_usize..50, 1..5),
    ) {
        let mut out = Vec::new();
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            write_chunk_head(&mut out, chunk.len());
            out.extend_from_slice(chunk);
            out.extend_from_slice(CHUNK_END);
        }
        write_last_chunk(&mut out, None);
        let len = out.len();
        out.extend_from_slice(b"next");
        let decoded = check::decode(&out, &pieces);
        prop_assert_eq!(decoded.end, Ok(len));
        prop_assert_eq!(decoded.body, chunks.concat());
        prop_assert!(decoded.done && decoded.trailers.is_empty());
    }

    #[test]
    fn proxy_headers_that_were_written_are_read(
        source in any::<(IpAddr, u16)>(),
        destination in any::<(IpAddr, u16)>(),
    ) {
        let (source, destination) = (SocketAddr::from(source), SocketAddr::from(destination));
        for write in [write_v1, write_v2] {
            let mut out = Vec::new();
            write(&mut out, source, destination);
            let header = parse(&out);
            let Ok(Some((ProxyHeader::Proxied { source: from, destination: to }, used))) = header else {
                panic!("{header:?}");
            };
            prop_assert_eq!(used, out.len());
            prop_assert_eq!((from.port(), to.port()), (source.port(), destination.port()));
            // An IPv4 address beside an IPv6 one is written as the IPv6 address that maps it.
            prop_assert_eq!(from.ip().to_canonical(), source.ip().to_canonical());
            prop_assert_eq!(to.ip().to_canonical(), destination.ip().to_canonical());
        }
    }
}

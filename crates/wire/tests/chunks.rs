//! Chunked bodies: what is taken, and each family of what is refused.

use wire::HeadError::{self, *};
use wire::chunked::{
    EXTENSION_BYTES_MAX, EXTENSIONS_BYTES_MAX, TRAILERS_BYTES_MAX, TRAILERS_MAX, may_trail,
};

#[path = "../fuzz/check.rs"]
mod check;

fn decode(text: impl AsRef<[u8]>) -> Result<(String, bool), HeadError> {
    let decoded = check::decode(text.as_ref(), &[usize::MAX >> 1]);
    decoded.end.map(|_| (String::from_utf8(decoded.body).unwrap(), decoded.done))
}

#[test]
fn bodies_that_are_taken() {
    let table = [
        ("0\r\n\r\n", "", true),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", true),
        ("5\r\nhello\r\n1\r\n!\r\n000\r\n\r\n", "hello!", true),
        ("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", true),
        ("0000000000000001\r\nx\r\n0\r\n\r\n", "x", true),
        ("1;a;b=c;d=\"e f\"\r\nx\r\n0;z\r\n\r\n", "x", true),
        ("3\r\n\r\n0\r\n0\r\n\r\n", "\r\n0", true),
        ("0\r\nX-A: b\r\nX-C: d\r\n\r\n", "", true),
        ("5\r\nhel", "hel", false),
        ("7fffffffffffffff\r\nhel", "hel", false),
        ("0\r\nX-A", "", false),
    ];
    for (text, body, done) in table {
        assert_eq!(decode(text), Ok((body.to_owned(), done)), "{text:?}");
    }
}

#[test]
fn bodies_that_are_refused() {
    let table = [
        ("\r\n", ChunkSize),
        (";a\r\n", ChunkSize),
        ("+1\r\n", ChunkSize),
        ("-1\r\n", ChunkSize),
        ("0x1\r\n", ChunkSize),
        ("1_0\r\n", ChunkSize),
        ("g\r\n", ChunkSize),
        (" 1\r\n", ChunkSize),
        ("1 \r\n", ChunkSize),
        ("1 ;a\r\n", ChunkSize),
        ("1\t\r\n", ChunkSize),
        ("1\nx", ChunkSize),
        ("00000000000000001\r\n", ChunkSize),
        ("8000000000000000\r\n", ChunkSize),
        ("ffffffffffffffff\r\n", ChunkSize),
        ("1\rx", LineEnd),
        ("1;a\n", LineEnd),
        ("1;a\rb\r\n", LineEnd),
        ("1;a\0\r\n", ChunkExtension),
        ("1;\u{e4}\r\n", ChunkExtension),
        ("1\r\nxy\r\n", ChunkEnd),
        ("1\r\nx\n", ChunkEnd),
        ("1\r\nx\r\r", ChunkEnd),
        ("1\r\nx0\r\n\r\n", ChunkEnd),
        ("0\r\n\n", LineEnd),
        ("0\r\n\rx", LineEnd),
        ("0\r\nX: y\n", LineEnd),
        ("0\r\nX: y\rz\r\n", LineEnd),
        ("0\r\n X: y\r\n", Folded),
        ("0\r\nX : y\r\n", FieldName),
        ("0\r\nX\r\n", FieldName),
        ("0\r\nX: \0\r\n", FieldValue),
        ("0\r\nTransfer-Encoding: chunked\r\n", TrailerField),
        ("0\r\ncontent-length: 5\r\n", TrailerField),
        ("0\r\nHOST: b\r\n", TrailerField),
        ("0\r\nX-Forwarded-Anything: b\r\n", TrailerField),
    ];
    for (text, error) in table {
        assert_eq!(decode(text), Err(error), "{text:?}");
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let chunk = |extension: usize| format!("1;{}\r\nx\r\n", "a".repeat(extension - 1));
    assert_eq!(decode(chunk(EXTENSION_BYTES_MAX)), Ok(("x".to_owned(), false)));
    assert_eq!(decode(chunk(EXTENSION_BYTES_MAX + 1)), Err(ChunkExtension));
    let chunks = EXTENSIONS_BYTES_MAX / EXTENSION_BYTES_MAX;
    assert_eq!(decode(chunk(EXTENSION_BYTES_MAX).repeat(chunks)), Ok(("x".repeat(chunks), false)));
    assert_eq!(decode(chunk(EXTENSION_BYTES_MAX).repeat(chunks) + &chunk(1)), Err(ChunkExtension));

    let trailers = |count: usize| format!("0\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert_eq!(decode(trailers(TRAILERS_MAX)), Ok((String::new(), true)));
    assert_eq!(decode(trailers(TRAILERS_MAX + 1)), Err(TooManyFields));
    let trailer = |bytes: usize| format!("0\r\nX: {}", "a".repeat(bytes - 3));
    assert_eq!(decode(trailer(TRAILERS_BYTES_MAX)), Ok((String::new(), false)));
    assert_eq!(decode(trailer(TRAILERS_BYTES_MAX + 1)), Err(FieldsTooLarge));
}

#[test]
fn trailers_that_are_of_use_may_come() {
    for name in ["Grpc-Status", "grpc-message", "ETag", "Server-Timing", "Digest"] {
        assert!(may_trail(name.as_bytes()), "{name}");
    }
    let decoded = check::decode(b"0\r\nGrpc-Status:  0 \r\n\r\n", &[1]);
    assert_eq!(decoded.trailers, [(b"Grpc-Status".to_vec(), b"0".to_vec())]);
}

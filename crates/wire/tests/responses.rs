//! Response heads and the length of what follows them.

use wire::BodyLength::{self, Chunked, Length, None as NoBody, UntilClose};
use wire::HeadError::{self, *};
use wire::{HeadLimits, ResponseHead, parse_response, response_body};

const LIMITS: HeadLimits = HeadLimits { line: 100, count: 10, bytes: 400 };

fn parse(text: &str) -> Result<ResponseHead, HeadError> {
    let mut head = ResponseHead::default();
    let used = parse_response(text.as_bytes(), &LIMITS, &mut head)?;
    assert_eq!(used, Some(text.len()), "the whole text is one head");
    Ok(head)
}

#[test]
fn status_lines() {
    let table = [
        ("HTTP/1.1 200 OK", Ok((200, "OK"))),
        ("HTTP/1.1 200 ", Ok((200, ""))),
        ("HTTP/1.1 200", Ok((200, ""))),
        ("HTTP/1.0 404 Not  Found\t!", Ok((404, "Not  Found\t!"))),
        ("HTTP/1.1 999 \u{e4}", Ok((999, "\u{e4}"))),
        ("HTTP/1.1  200 OK", Err(StatusLine)),
        ("HTTP/1.1 20 OK", Err(StatusLine)),
        ("HTTP/1.1 2000 OK", Err(StatusLine)),
        ("HTTP/1.1 099 OK", Err(StatusLine)),
        ("HTTP/1.1 +20 OK", Err(StatusLine)),
        ("HTTP/1.1 200\tOK", Err(StatusLine)),
        ("HTTP/1.1 200 O\0K", Err(StatusLine)),
        ("HTTP/1.1 200 O\rK", Err(StatusLine)),
        ("HTTP/1.1", Err(StatusLine)),
        ("HTTP/2.0 200 OK", Err(Version)),
        ("http/1.1 200 OK", Err(Version)),
        ("HTTP/1.1 200 OK\nX: y", Err(LineEnd)),
        ("HTTP/1.1 200 OK\r\n X: y", Err(Folded)),
        ("HTTP/1.1 200 OK\r\nX : y", Err(FieldName)),
        ("HTTP/1.1 200 OK\r\nX: \0", Err(FieldValue)),
    ];
    for (line, expected) in table {
        let head = parse(&format!("{line}\r\n\r\n"));
        let read = head.as_ref().map(|head| (head.status, head.reason.as_str()));
        assert_eq!(read.map_err(|error| *error), expected, "{line:?}");
    }
}

fn body(method: &str, start: &str, lines: &str) -> Result<BodyLength, HeadError> {
    response_body(method, &parse(&format!("{start}\r\n{lines}\r\n")).unwrap())
}

#[test]
fn bodies_end_where_rfc_9112_says() {
    let table = [
        ("HTTP/1.1 200", "", Ok(UntilClose)),
        ("HTTP/1.1 200", "Content-Length: 0\r\n", Ok(Length(0))),
        ("HTTP/1.1 200", "Content-Length: 5\r\nContent-Length: 05\r\n", Ok(Length(5))),
        ("HTTP/1.1 200", "Content-Length: 5\r\nContent-Length: 6\r\n", Err(ContentLengthRepeated)),
        ("HTTP/1.1 200", "Content-Length: 5, 5\r\n", Err(ContentLength)),
        ("HTTP/1.1 200", "Content-Length: x\r\n", Err(ContentLength)),
        ("HTTP/1.1 200", "Transfer-Encoding: chunked\r\n", Ok(Chunked)),
        ("HTTP/1.0 200", "Transfer-Encoding: chunked\r\n", Err(TransferEncoding)),
        ("HTTP/1.1 200", "Transfer-Encoding: gzip, chunked\r\n", Err(TransferCoding)),
        ("HTTP/1.1 200", "Transfer-Encoding: gzip\r\n", Err(TransferCoding)),
        (
            "HTTP/1.1 200",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            Err(LengthAndCoding),
        ),
        ("HTTP/1.1 204", "", Ok(NoBody)),
        ("HTTP/1.1 204", "Content-Length: 5\r\n", Ok(NoBody)),
        ("HTTP/1.1 304", "Content-Length: 5\r\n", Ok(NoBody)),
        ("HTTP/1.1 304", "Content-Length: x\r\n", Err(ContentLength)),
        ("HTTP/1.1 101", "Upgrade: websocket\r\n", Ok(NoBody)),
        ("HTTP/1.1 205", "", Ok(UntilClose)),
    ];
    for (start, lines, expected) in table {
        assert_eq!(body("GET", start, lines), expected, "{start} {lines:?}");
        let of_head = expected.map(|_| NoBody);
        assert_eq!(body("HEAD", start, lines), of_head, "HEAD {start} {lines:?}");
    }
    assert_eq!(body("head", "HTTP/1.1 200", ""), Ok(UntilClose), "methods are case-sensitive");
}

#[test]
fn connections_persist_by_version_and_options() {
    let keeps = |text: &str| parse(text).unwrap().keep_alive;
    assert!(keeps("HTTP/1.1 200 OK\r\n\r\n"));
    assert!(!keeps("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"));
    assert!(!keeps("HTTP/1.0 200 OK\r\n\r\n"));
    assert!(keeps("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"));
}

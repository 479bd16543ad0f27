//! Writing heads. What is written is taken as it is: it comes from a parsed head or a validated
//! configuration, where nothing can end a line.

use std::io::Write as _;

use traffic::Fields;

/// Appends a request head of HTTP/1.1, its empty line included.
pub fn write_request_head(out: &mut Vec<u8>, method: &str, target: &str, fields: &Fields) {
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write_fields(out, fields);
    out.extend_from_slice(b"\r\n");
}

/// Appends a response head of HTTP/1.1, its empty line included.
pub fn write_response_head(out: &mut Vec<u8>, status: u16, fields: &Fields) {
    write_status_line(out, status);
    write_fields(out, fields);
    out.extend_from_slice(b"\r\n");
}

/// Appends a status line with the usual reason phrase.
pub fn write_status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    // Writing into memory does not fail.
    let _ = write!(out, "HTTP/1.1 {status:03} {}\r\n", reason(status));
}

/// Appends field lines; the empty line after them is the caller's.
pub fn write_fields(out: &mut Vec<u8>, fields: &Fields) {
    out.reserve(fields.text_len() + 4 * fields.len() + 2);
    for field in fields.iter() {
        write_field(out, field.name, field.value);
    }
}

/// Appends a field line.
pub fn write_field(out: &mut Vec<u8>, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
    out.extend_from_slice(name.as_ref());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_ref());
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal digits.
pub fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

/// The reason phrase of a status in the registry of RFC 9110 section 16.2.1; empty for others.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written() {
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            let mut out = b"x".to_vec();
            write_number(&mut out, number);
            assert_eq!(out, format!("x{number}").as_bytes());
        }
    }

    #[test]
    fn heads_are_written() {
        let fields: Fields = [("Host", "a"), ("x-b", "")].into_iter().collect();
        let mut out = b"x".to_vec();
        write_request_head(&mut out, "GET", "/a?b", &fields);
        assert_eq!(out, b"xGET /a?b HTTP/1.1\r\nHost: a\r\nx-b: \r\n\r\n");
        out.clear();
        write_response_head(&mut out, 404, &fields);
        assert_eq!(out, b"HTTP/1.1 404 Not Found\r\nHost: a\r\nx-b: \r\n\r\n");
        out.clear();
        write_status_line(&mut out, 799);
        assert_eq!(out, b"HTTP/1.1 799 \r\n");
        out.clear();
        write_status_line(&mut out, 200);
        assert_eq!(out, format!("HTTP/1.1 200 {}\r\n", reason(200)).as_bytes());
    }
}

//! What must hold for any bytes from a peer; shared by the tests and the fuzz targets.
#![allow(dead_code, reason = "each fuzz target uses one of these")]

use std::fmt::Debug;
use std::net::IpAddr;

use traffic::{Fields, Name};
use wire::chunked::{CHUNK_END, ChunkedDecoder, write_chunk_head, write_last_chunk};
use wire::cookie::cookie;
use wire::forwarded::{append_x_forwarded_for, client};
use wire::hop::{strip_hop_by_hop, upgrade_of};
use wire::proxy_protocol::{self, ProxyHeader, write_v1, write_v2};
use wire::target::{host_of, normalise_path, query_parameter, split_target};
use wire::write::{write_request_head, write_response_head};
use wire::{
    BodyLength, HeadError, HeadLimits, RequestHead, ResponseHead, Version, check_fields,
    parse_request, parse_response, response_body,
};

/// Small, so that they are met.
pub(crate) const LIMITS: HeadLimits = HeadLimits { line: 256, count: 16, bytes: 1024 };

/// Beginnings longer than this are not tried one by one.
const PREFIXES_MAX: usize = 2048;

/// What a parser says of all beginnings of `data` must follow from what it says of `data`: more
/// bytes are needed until there is an answer, and the answer stays.
fn answer_stays<T, E: PartialEq + Debug>(
    data: &[u8],
    mut parse: impl FnMut(&[u8]) -> Result<Option<(T, usize)>, E>,
) -> Option<(T, usize)> {
    let answer = parse(data);
    if let Ok(Some((_, used))) = &answer {
        assert!(*used <= data.len(), "no more is used than there is");
    }
    let mut failed = false;
    for end in 0..data.len().min(PREFIXES_MAX) {
        match (&answer, parse(&data[..end])) {
            (Ok(Some((_, used))), Ok(None)) => assert!(end < *used),
            (Ok(Some((_, used))), Ok(Some((_, same)))) => assert!(end >= *used && same == *used),
            (Ok(None), Ok(None)) => {}
            (Err(_), Ok(None)) => assert!(!failed, "an error stays"),
            (Err(error), Err(early)) => {
                assert_eq!(*error, early);
                failed = true;
            }
            _ => panic!("the first {end} bytes are judged otherwise than all"),
        }
    }
    answer.ok().flatten()
}

fn listed(fields: &Fields) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

fn cannot_split(fields: &Fields) {
    for field in fields.iter() {
        assert!(!field.name.is_empty() && field.name.iter().all(u8::is_ascii_graphic));
        assert!(!field.value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'));
    }
}

/// Reads `data` as the head of a request and of a response.
pub(crate) fn any_head(data: &[u8]) {
    any_request(data);
    any_response(data);
}

fn any_request(data: &[u8]) {
    let mut head = RequestHead::default();
    let parsed = answer_stays(data, |buf| {
        let used = parse_request(buf, &LIMITS, &mut head)?;
        Ok::<_, HeadError>(used.map(|used| (head.clone(), used)))
    });
    let Some((head, used)) = parsed else {
        return;
    };
    assert!(data[..used].ends_with(b"\r\n\r\n"));
    assert!(used <= LIMITS.line + LIMITS.bytes + 4 && head.fields.len() <= LIMITS.count);
    assert!(head.target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
    assert!(head.method.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_ne!(head.body, BodyLength::UntilClose);
    assert!(split_target(&head.target).is_ok());
    cannot_split(&head.fields);
    any_fields(&head.fields);

    if head.version == Version::Http11 {
        let (mut out, mut again) = (Vec::new(), RequestHead::default());
        write_request_head(&mut out, &head.method, &head.target, &head.fields);
        let limits = HeadLimits { bytes: 2 * LIMITS.bytes, ..LIMITS };
        assert_eq!(parse_request(&out, &limits, &mut again), Ok(Some(out.len())));
        assert_eq!(listed(&again.fields), listed(&head.fields));
        assert_eq!((again.method, again.target), (head.method, head.target));
        assert_eq!((again.body, again.keep_alive), (head.body, head.keep_alive));
        assert_eq!(again.expect_continue, head.expect_continue);
    }
}

/// What is asked of fields has an answer, and what concerns one connection goes.
fn any_fields(fields: &Fields) {
    assert_eq!(check_fields(fields), Ok(()));
    let mut left = fields.clone();
    let stripped = strip_hop_by_hop(&mut left);
    assert!(!left.has(Name::Connection) && !left.has(Name::TransferEncoding));
    assert!(stripped.is_err() || upgrade_of(&left).is_none());
    assert_eq!(left.all(Name::Host).count(), fields.all(Name::Host).count());
    let peer = IpAddr::from([10, 0, 0, 1]);
    append_x_forwarded_for(&mut left, peer);
    assert_eq!(left.all(Name::XForwardedFor).count(), 1);
    left.remove(Name::Forwarded);
    assert_eq!(client(&left, |_| false), Some(peer), "the last hop is ours");
    assert!(cookie(fields, "a").is_none_or(|value| !value.contains(&b';')));
}

fn any_response(data: &[u8]) {
    let mut head = ResponseHead::default();
    let parsed = answer_stays(data, |buf| {
        let used = parse_response(buf, &LIMITS, &mut head)?;
        Ok::<_, HeadError>(used.map(|used| (head.clone(), used)))
    });
    let Some((head, used)) = parsed else {
        return;
    };
    assert!(data[..used].ends_with(b"\r\n\r\n") && (100..=999).contains(&head.status));
    cannot_split(&head.fields);
    let body = response_body("GET", &head);
    assert_eq!(body.is_ok(), response_body("HEAD", &head).is_ok());

    if head.version == Version::Http11 {
        let (mut out, mut again) = (Vec::new(), ResponseHead::default());
        write_response_head(&mut out, head.status, &head.fields);
        let limits = HeadLimits { bytes: 2 * LIMITS.bytes, ..LIMITS };
        assert_eq!(parse_response(&out, &limits, &mut again), Ok(Some(out.len())));
        assert_eq!(listed(&again.fields), listed(&head.fields));
        assert_eq!((again.status, again.keep_alive), (head.status, head.keep_alive));
        assert_eq!(response_body("GET", &again), body);
    }
}

/// What came of a chunked body.
#[derive(Debug, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes used, or the error.
    pub(crate) end: Result<usize, HeadError>,
    pub(crate) done: bool,
}

/// Decodes `data`, given in pieces of these sizes in turn.
pub(crate) fn decode(data: &[u8], pieces: &[usize]) -> Decoded {
    let (mut decoder, mut trailers) = (ChunkedDecoder::new(), Fields::new());
    let (mut body, mut used) = (Vec::new(), 0);
    let mut end = None;
    'pieces: for size in pieces.iter().cycle() {
        let piece = &data[used..data.len().min(used + (*size).max(1))];
        let mut rest = piece;
        while !rest.is_empty() {
            let step = match decoder.decode(rest, &mut trailers) {
                Ok(step) => step,
                Err(error) => {
                    end = Some(error);
                    break 'pieces;
                }
            };
            let step_len = step.skip + step.data;
            assert!(step_len > 0 || step.done, "every step uses something");
            assert_eq!(step.done, decoder.is_done());
            body.extend_from_slice(&rest[step.skip..step_len]);
            rest = &rest[step_len..];
            used += step_len;
            if step.done {
                break 'pieces;
            }
        }
        if used == data.len() {
            break;
        }
    }
    let trailers = listed(&trailers);
    Decoded { body, trailers, end: end.map_or(Ok(used), Err), done: decoder.is_done() }
}

/// Reads `data` as a chunked body.
pub(crate) fn any_chunked(data: &[u8]) {
    let whole = decode(data, &[usize::MAX >> 1]);
    assert!(whole.body.len() <= data.len());
    for pieces in [&[1][..], &[2, 3, 1, 7], &[64, 1]] {
        assert_eq!(decode(data, pieces), whole);
    }
    if whole.done && whole.end.is_ok() {
        let mut out = Vec::new();
        for chunk in whole.body.chunks(100) {
            write_chunk_head(&mut out, chunk.len());
            out.extend_from_slice(chunk);
            out.extend_from_slice(CHUNK_END);
        }
        let mut trailers = Fields::new();
        whole.trailers.iter().for_each(|(name, value)| trailers.push(name, value));
        write_last_chunk(&mut out, Some(&trailers));
        assert_eq!(decode(&out, &[11]), Decoded { end: Ok(out.len()), ..whole });
    }
}

/// Reads `data` as a PROXY protocol header.
pub(crate) fn any_proxy_protocol(data: &[u8]) {
    let Some((ProxyHeader::Proxied { source, destination }, _)) =
        answer_stays(data, proxy_protocol::parse)
    else {
        return;
    };
    for write in [write_v1, write_v2] {
        let mut out = Vec::new();
        write(&mut out, source, destination);
        let again = ProxyHeader::Proxied { source, destination };
        assert_eq!(proxy_protocol::parse(&out), Ok(Some((again, out.len()))));
    }
}

/// Reads `data` as a request target, a path, a host and a query.
pub(crate) fn any_target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(target) = split_target(&text) {
        let query = target.query.map_or(0, |query| query.len() + 1);
        assert!(target.authority.is_some() || target.path.len() + query == text.len());
        assert!(target.asterisk || target.path.starts_with('/'));
        if !target.asterisk {
            any_path(target.path);
        }
    }
    any_path(&text);
    if let Ok((host, port)) = host_of(&text) {
        assert!(text.starts_with(host) && port.is_some() == (host.len() < text.len()));
        assert_eq!(host_of(host), Ok((host, None)));
    }
    if let Some(value) = query_parameter(&text, "a") {
        assert!(value.len() <= 3 * text.len(), "a replaced byte takes three");
    }
}

fn any_path(path: &str) {
    let (mut once, mut twice) = (String::new(), String::from("x"));
    if normalise_path(path, &mut once).is_ok() {
        assert!(once.starts_with('/') && once.len() <= path.len());
        assert!(!once.contains("//") && once.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(once.split('/').all(|segment| segment != "." && segment != ".."));
        assert_eq!(normalise_path(&once, &mut twice), Ok(()));
        assert_eq!(once, twice, "of {path}");
    }
}

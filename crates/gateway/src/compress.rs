//! Compression of response bodies: content codings of RFC 9110 section 8.4.

use std::io::{self, Write};

use brotli::CompressorWriter;
use flate2::write::GzEncoder;
use traffic::{Fields, Name};

use crate::edit::add_vary;
use crate::params::{Coding, Compression};

/// Effort: what is worth it for bodies that are made once and sent once.
const GZIP_LEVEL: u32 = 5;
const BROTLI_QUALITY: u32 = 4;
const ZSTD_LEVEL: i32 = 3;
/// Logarithm of the window of brotli and zstd: 256 KiB, which bounds the memory of one response to
/// a few MiB. Browsers must take up to 8 MiB (RFC 9659).
const WINDOW_LOG: u32 = 18;
/// Room that brotli writes into at a time.
const BROTLI_BUFFER: usize = 4 << 10;

/// What happens to a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// It is not to be compressed for anybody.
    Leave,
    /// Other clients would get it compressed, which caches must know.
    Identity,
    /// It is compressed.
    Encode(Coding),
}

/// Decides about a response to `request`. `length` is that of the body, when known.
pub(crate) fn choose(
    compression: &Compression,
    method: &str,
    request: &Fields,
    status: u16,
    response: &Fields,
    length: Option<u64>,
) -> Choice {
    if matches!(status, 100..=199 | 204 | 205 | 206 | 304)
        || response.has(Name::ContentEncoding)
        || response.has(Name::ContentRange)
        || length.is_some_and(|length| length < compression.min_bytes)
        || !is_compressible(compression, response.get(Name::ContentType))
        || no_transform(request)
        || no_transform(response)
    {
        return Choice::Leave;
    }
    let secret = request.has(Name::Cookie) || request.has(Name::Authorization);
    if method == "HEAD" || (secret && !compression.with_credentials) {
        return Choice::Identity;
    }
    preferred(&compression.codings, request).map_or(Choice::Identity, Choice::Encode)
}

/// Tells in the response's fields what was chosen. An entity tag becomes weak, as the bytes are no
/// longer the server's, and digests of those bytes go.
pub(crate) fn prepare(response: &mut Fields, choice: Choice) {
    if choice == Choice::Leave {
        return;
    }
    add_vary(response, "Accept-Encoding");
    let Choice::Encode(coding) = choice else { return };
    response.retain(|field| {
        let digests: [&[u8]; 4] = [b"content-digest", b"repr-digest", b"digest", b"content-md5"];
        !matches!(field.known, Name::ContentLength | Name::AcceptRanges)
            && !digests.iter().any(|name| field.name.eq_ignore_ascii_case(name))
    });
    response.push_known(Name::ContentEncoding, token(coding).as_bytes());
    let strong = response.get(Name::ETag).filter(|tag| !tag.starts_with(b"W/"));
    if let Some(weak) = strong.map(|tag| [b"W/", tag].concat()) {
        response.set(Name::ETag, &weak);
    }
}

/// The coding's name in fields.
pub(crate) fn token(coding: Coding) -> &'static str {
    match coding {
        Coding::Gzip => "gzip",
        Coding::Brotli => "br",
        Coding::Zstd => "zstd",
    }
}

/// The coding that the client wants most, the first of equals; `None` when it wants none of them
/// or would rather have the body as it is (RFC 9110 section 12.5.3).
pub(crate) fn preferred(codings: &[Coding], request: &Fields) -> Option<Coding> {
    let quality = |name: &str| {
        let of = |wanted: &str| {
            let mut members = request.members(Name::AcceptEncoding).map(weighted);
            members.find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes())).map(|(_, q)| q)
        };
        // `x-gzip` is an old name of gzip (section 8.4.1.3).
        let old = || if name == "gzip" { of("x-gzip") } else { None };
        of(name).or_else(old).or_else(|| if name == "identity" { None } else { of("*") })
    };
    let identity = quality("identity").unwrap_or(0);
    let mut best: Option<(Coding, u16)> = None;
    for coding in codings {
        let weight = quality(token(*coding)).unwrap_or(0);
        if weight > 0 && weight >= identity && best.is_none_or(|(_, most)| weight > most) {
            best = Some((*coding, weight));
        }
    }
    best.map(|(coding, _)| coding)
}

/// A member of `Accept-Encoding` and its weight in thousandths.
fn weighted(member: &[u8]) -> (&[u8], u16) {
    let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| match part {
        [b'q' | b'Q', b'=', weight @ ..] => Some(thousandths(weight)),
        _ => None,
    });
    (name, weight.unwrap_or(1_000))
}

/// A weight of RFC 9110 section 12.4.2; what is none counts as zero.
fn thousandths(text: &[u8]) -> u16 {
    let (whole, digits) = match text {
        [whole] => (whole, &[][..]),
        [whole, b'.', digits @ ..] => (whole, digits),
        _ => return 0,
    };
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let fraction = (0..3)
        .map(|at| digits.get(at).map_or(0, |digit| u16::from(digit - b'0')))
        .fold(0, |sum, digit| sum * 10 + digit);
    match whole {
        b'0' => fraction,
        b'1' if fraction == 0 => 1_000,
        _ => 0,
    }
}

/// Whether a type is one of those to compress; `text/*` stands for all that begin with `text/`.
fn is_compressible(compression: &Compression, content_type: Option<&[u8]>) -> bool {
    let Some(value) = content_type else { return false };
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    compression.types.iter().map(String::as_bytes).any(|wanted| match wanted.strip_suffix(b"*") {
        Some(start) => {
            essence.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
        }
        None => essence.eq_ignore_ascii_case(wanted),
    })
}

fn no_transform(fields: &Fields) -> bool {
    fields.members(Name::CacheControl).any(|member| member.eq_ignore_ascii_case(b"no-transform"))
}

/// Compresses one body. Every call appends what is ready to `out`; nothing is kept there.
pub(crate) enum Encoder {
    /// gzip.
    Gzip(Box<GzEncoder<Vec<u8>>>),
    /// Brotli.
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    /// Zstandard.
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Encoder {
    /// An encoder for one body.
    ///
    /// # Errors
    /// When the library cannot make one, for want of memory.
    pub(crate) fn new(coding: Coding) -> io::Result<Encoder> {
        let out = Vec::new();
        Ok(match coding {
            Coding::Gzip => {
                Encoder::Gzip(Box::new(GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL))))
            }
            Coding::Brotli => Encoder::Brotli(Box::new(CompressorWriter::new(
                out,
                BROTLI_BUFFER,
                BROTLI_QUALITY,
                WINDOW_LOG,
            ))),
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.window_log(WINDOW_LOG)?;
                Encoder::Zstd(Box::new(encoder))
            }
        })
    }

    /// Takes a piece of the body in.
    ///
    /// # Errors
    /// What the library says; the response cannot be completed then.
    pub(crate) fn encode(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.writer().write_all(chunk)?;
        out.append(self.buffer());
        Ok(())
    }

    /// Gives out all that was taken in, so that the client can read it: after a piece when no more
    /// is there yet. It costs some bytes each time.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.writer().flush()?;
        out.append(self.buffer());
        Ok(())
    }

    /// Ends the body.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut rest = match self {
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Brotli(encoder) => encoder.into_inner(),
            Encoder::Zstd(encoder) => encoder.finish()?,
        };
        out.append(&mut rest);
        Ok(())
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Encoder::Gzip(encoder) => encoder,
            Encoder::Brotli(encoder) => encoder,
            Encoder::Zstd(encoder) => encoder,
        }
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        match self {
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Brotli(encoder) => encoder.get_mut(),
            Encoder::Zstd(encoder) => encoder.get_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    fn compression() -> Compression {
        Compression {
            codings: ALL.to_vec(),
            min_bytes: 100,
            types: vec!["text/*".into(), "application/json".into()],
            with_credentials: false,
        }
    }

    fn fields(pairs: &[(&'static str, &'static str)]) -> Fields {
        pairs.iter().copied().collect()
    }

    fn decode(coding: Coding, encoded: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::new();
        match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(encoded).read_to_end(&mut decoded),
            Coding::Brotli => brotli::Decompressor::new(encoded, 4_096).read_to_end(&mut decoded),
            Coding::Zstd => {
                zstd::stream::read::Decoder::new(encoded).unwrap().read_to_end(&mut decoded)
            }
        }
        .unwrap();
        decoded
    }

    #[test]
    fn the_client_chooses_and_the_operator_breaks_ties() {
        let cases = [
            ("gzip, deflate, br, zstd", Some(Coding::Brotli)),
            ("gzip", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("GZIP;Q=0.5", Some(Coding::Gzip)),
            ("br;q=0.5, gzip;q=0.501", Some(Coding::Gzip)),
            ("br;q=0, *", Some(Coding::Zstd)),
            ("*;q=0", None),
            ("*", Some(Coding::Brotli)),
            ("identity", None),
            ("identity;q=1, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("gzip;q=2", None),
            ("gzip;q=0.0001", None),
            ("gzip;q=", None),
            ("gzip;q=x", None),
            ("gzip ; q=1.000", Some(Coding::Gzip)),
            ("deflate", None),
            ("", None),
        ];
        for (accept, expected) in cases {
            let request = fields(&[("Accept-Encoding", accept)]);
            assert_eq!(preferred(&ALL, &request), expected, "{accept}");
        }
        assert_eq!(preferred(&ALL, &Fields::new()), None);
    }

    #[test]
    fn what_must_not_be_compressed_is_left_alone() {
        let html = ("Content-Type", "text/html; charset=utf-8");
        let gzip = ("Accept-Encoding", "gzip");
        let encode = Choice::Encode(Coding::Gzip);
        let long = Some(1_000);
        type Pairs = Vec<(&'static str, &'static str)>;
        type Case = (&'static str, Pairs, u16, Pairs, Option<u64>, Choice);
        let cases: Vec<Case> = vec![
            ("GET", vec![gzip], 200, vec![html], long, encode),
            ("GET", vec![gzip], 404, vec![html], None, encode),
            ("GET", vec![gzip], 200, vec![("Content-Type", "Application/JSON")], None, encode),
            ("GET", vec![gzip], 200, vec![("Content-Type", "text/event-stream")], None, encode),
            ("GET", vec![gzip, ("Range", "bytes=0-1")], 200, vec![html], long, encode),
            ("GET", vec![], 200, vec![html], long, Choice::Identity),
            ("HEAD", vec![gzip], 200, vec![html], long, Choice::Identity),
            ("GET", vec![gzip, ("Cookie", "a=b")], 200, vec![html], long, Choice::Identity),
            ("GET", vec![gzip, ("Authorization", "x")], 200, vec![html], long, Choice::Identity),
            ("GET", vec![gzip], 200, vec![html], Some(99), Choice::Leave),
            ("GET", vec![gzip], 200, vec![("Content-Type", "image/png")], long, Choice::Leave),
            ("GET", vec![gzip], 200, vec![("Content-Type", "text")], long, Choice::Leave),
            ("GET", vec![gzip], 200, vec![], long, Choice::Leave),
            ("GET", vec![gzip], 200, vec![html, ("Content-Encoding", "br")], long, Choice::Leave),
            ("GET", vec![gzip], 206, vec![html], long, Choice::Leave),
            ("GET", vec![gzip], 304, vec![html], None, Choice::Leave),
            ("GET", vec![gzip], 204, vec![html], None, Choice::Leave),
            (
                "GET",
                vec![gzip],
                200,
                vec![html, ("Cache-Control", "max-age=1, No-Transform")],
                long,
                Choice::Leave,
            ),
        ];
        for (method, request, status, response, length, expected) in cases {
            let (request, response) = (fields(&request), fields(&response));
            let choice = choose(&compression(), method, &request, status, &response, length);
            assert_eq!(choice, expected, "{method} {request:?} {status} {response:?} {length:?}");
        }
        let open = Compression { with_credentials: true, ..compression() };
        let request = fields(&[gzip, ("Cookie", "a=b")]);
        assert_eq!(choose(&open, "GET", &request, 200, &fields(&[html]), long), encode);
    }

    #[test]
    fn fields_tell_what_was_chosen() {
        let original = fields(&[
            ("Content-Length", "1000"),
            ("Accept-Ranges", "bytes"),
            ("ETag", "\"a\""),
            ("Content-Digest", "sha-256=:x:"),
            ("Vary", "Origin"),
        ]);
        let mut left = original.clone();
        prepare(&mut left, Choice::Leave);
        assert_eq!(format!("{left:?}"), format!("{original:?}"));

        let mut identity = original.clone();
        prepare(&mut identity, Choice::Identity);
        assert_eq!(identity.len(), original.len() + 1);
        assert_eq!(identity.members(Name::Vary).last(), Some(&b"Accept-Encoding"[..]));

        let mut encoded = original.clone();
        prepare(&mut encoded, Choice::Encode(Coding::Zstd));
        let expected = fields(&[
            ("Vary", "Origin"),
            ("Vary", "Accept-Encoding"),
            ("Content-Encoding", "zstd"),
            ("ETag", "W/\"a\""),
        ]);
        assert_eq!(format!("{encoded:?}"), format!("{expected:?}"));
        let mut weak = fields(&[("ETag", "W/\"a\"")]);
        prepare(&mut weak, Choice::Encode(Coding::Gzip));
        assert_eq!(weak.get(Name::ETag), Some(&b"W/\"a\""[..]));
    }

    #[test]
    fn text_becomes_smaller() {
        let text = "the tide rises, the tide falls; ".repeat(2_000);
        for coding in ALL {
            let mut out = Vec::new();
            let mut encoder = Encoder::new(coding).unwrap();
            encoder.encode(text.as_bytes(), &mut out).unwrap();
            encoder.finish(&mut out).unwrap();
            assert!(out.len() * 20 < text.len(), "{coding:?}: {}", out.len());
        }
    }

    proptest! {
        #[test]
        fn decoding_gives_the_body_back(
            chunks in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 0..3_000), 1_usize..20, any::<bool>()),
                0..12,
            ),
        ) {
            for coding in ALL {
                let (mut body, mut out) = (Vec::new(), Vec::new());
                let mut encoder = Encoder::new(coding).unwrap();
                for (chunk, times, flush) in &chunks {
                    let chunk = chunk.repeat(*times);
                    encoder.encode(&chunk, &mut out).unwrap();
                    body.extend(chunk);
                    if *flush {
                        encoder.flush(&mut out).unwrap();
                    }
                }
                encoder.finish(&mut out).unwrap();
                prop_assert_eq!(decode(coding, &out), &body[..], "{:?}", coding);
            }
        }

        #[test]
        fn what_is_flushed_can_be_read_at_once(
            chunk in proptest::collection::vec(any::<u8>(), 1..5_000),
        ) {
            for coding in ALL {
                let mut out = Vec::new();
                let mut encoder = Encoder::new(coding).unwrap();
                encoder.encode(&chunk, &mut out).unwrap();
                encoder.flush(&mut out).unwrap();
                let mut read = vec![0; chunk.len()];
                let mut decoder: Box<dyn Read> = match coding {
                    Coding::Gzip => Box::new(flate2::read::GzDecoder::new(&out[..])),
                    Coding::Brotli => Box::new(brotli::Decompressor::new(&out[..], 4_096)),
                    Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(&out[..]).unwrap()),
                };
                let decoded = decoder.read_exact(&mut read);
                prop_assert!(decoded.is_ok(), "{:?}", coding);
                prop_assert_eq!(&read, &chunk);
            }
        }
    }
}

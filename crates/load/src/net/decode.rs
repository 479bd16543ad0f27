//! Content codings: gzip, deflate, br and zstd, with a limit on what comes out.

use std::io::Read;

use crate::failure::{Failure, FailureKind};

/// `Accept-Encoding` when compression is asked for.
pub(crate) const ACCEPT_ENCODING: &str = "gzip, br, zstd";

/// Decodes `body` as its `Content-Encoding` says; `limit` bounds the result in bytes.
pub(crate) fn decode(encoding: &[u8], body: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
    let encoding = encoding.trim_ascii().to_ascii_lowercase();
    let fail = |problem: String| {
        let name = String::from_utf8_lossy(&encoding).into_owned();
        Failure::new(FailureKind::Decode, format!("{name}: {problem}"))
    };
    let mut reader: Box<dyn Read + '_> = match encoding.as_slice() {
        b"" | b"identity" => return Ok(body.to_vec()),
        b"gzip" | b"x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(body)),
        b"deflate" => Box::new(flate2::read::ZlibDecoder::new(body)),
        b"br" => Box::new(brotli_decompressor::Decompressor::new(body, 4096)),
        b"zstd" => Box::new(
            ruzstd::decoding::StreamingDecoder::new(body)
                .map_err(|error| fail(error.to_string()))?,
        ),
        _ => return Err(fail("unknown content coding".to_owned())),
    };
    let mut decoded = Vec::new();
    let taken = reader.by_ref().take(limit as u64 + 1).read_to_end(&mut decoded);
    taken.map_err(|error| fail(error.to_string()))?;
    if decoded.len() > limit {
        return Err(Failure::new(
            FailureKind::BodyTooLarge,
            format!("decodes to more than {limit} bytes"),
        ));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn gzip_decodes_within_the_limit() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&[b'x'; 10_000]).unwrap();
        let wire = encoder.finish().unwrap();
        assert_eq!(decode(b"GZIP", &wire, 10_000).unwrap(), vec![b'x'; 10_000]);
        assert_eq!(decode(b"gzip", &wire, 9_999).unwrap_err().kind, FailureKind::BodyTooLarge);
        assert_eq!(decode(b"gzip", &wire[..20], 10_000).unwrap_err().kind, FailureKind::Decode);
    }

    #[test]
    fn garbage_is_an_error_in_every_coding() {
        for coding in [&b"gzip"[..], b"deflate", b"br", b"zstd", b"snappy"] {
            let failure = decode(coding, b"\x00\xffnot compressed at all", 1 << 20).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Decode, "{failure}");
        }
    }
}

//! Content codings of response bodies.

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::Write;

/// A content coding (RFC 9110 §8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 7932. Stored, not compressed: enough for who reads it.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// Its name in `content-encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Gzip => "gzip",
            Encoding::Brotli => "br",
            Encoding::Zstd => "zstd",
        }
    }

    /// `body` in this coding.
    pub fn encode(self, body: &[u8]) -> Vec<u8> {
        match self {
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                // Writing into a Vec does not fail.
                let _ = encoder.write_all(body);
                encoder.finish().unwrap_or_default()
            }
            Encoding::Brotli => brotli_stored(body),
            Encoding::Zstd => compress_to_vec(body, CompressionLevel::Fastest),
        }
    }
}

/// A brotli stream of uncompressed meta-blocks (RFC 7932 §9.1, §9.2), bits from the lowest up.
/// The first meta-block starts after the one bit of the window size, hence its own shift.
fn brotli_stored(body: &[u8]) -> Vec<u8> {
    /// WBITS = 16 is a single 0.
    const WINDOW_BITS: u32 = 1;
    /// ISLAST = 1, ISLASTEMPTY = 1.
    const LAST_EMPTY: u32 = 0b11;
    /// The longest that four nibbles can tell.
    const BLOCK_BYTES_MAX: usize = 1 << 16;

    let mut stream = Vec::new();
    let mut shift = WINDOW_BITS;
    for block in body.chunks(BLOCK_BYTES_MAX) {
        // ISLAST = 0 (1 bit), MNIBBLES = 4 (2 bits: 00), MLEN − 1 (16 bits), ISUNCOMPRESSED = 1.
        let header = (block.len() as u32 - 1) << 3 | 1 << 19;
        stream.extend_from_slice(&(header << shift).to_le_bytes()[..3]);
        stream.extend_from_slice(block);
        shift = 0;
    }
    stream.push((LAST_EMPTY << shift) as u8);
    stream
}

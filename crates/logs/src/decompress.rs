//! Compressed logs: told by their first bytes, not by their names.

use std::io::{self, BufReader, Cursor, Read};

/// Plain text of a source.
pub type Input = Box<dyn Read + Send>;

/// Bytes that tell the longest magic number.
const MAGIC_BYTES: usize = 6;

/// Most memory that an xz stream may ask for, in KiB: twice what `xz -9` needs.
const XZ_KIB_MAX: u32 = 128 * 1024;

/// The plain text of `raw`: gzip (RFC 1952), Zstandard (RFC 8878), bzip2 and xz streams, also several
/// one after the other, are decompressed; anything else is taken as it is. Also whether it was compressed.
///
/// # Errors
/// The input failed in its first bytes.
pub fn decompressed(mut raw: impl Read + Send + 'static) -> io::Result<(Input, bool)> {
    let mut magic = Vec::with_capacity(MAGIC_BYTES);
    raw.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut magic)?;
    let compression = compression(&magic);
    let whole = Cursor::new(magic).chain(raw);
    let plain: Input = match compression {
        Some(Compression::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        Some(Compression::Zstandard) => Box::new(zstd::stream::read::Decoder::new(whole)?),
        Some(Compression::Bzip2) => Box::new(bzip2::read::MultiBzDecoder::new(whole)),
        Some(Compression::Xz) => {
            let buffered = BufReader::new(whole);
            Box::new(lzma_rust2::XzReader::new_mem_limit(buffered, true, XZ_KIB_MAX))
        }
        None => return Ok((Box::new(whole), false)),
    };
    Ok((plain, true))
}

/// How a source is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstandard,
    Bzip2,
    Xz,
}

/// How a source that begins so is compressed; `None`: not at all.
pub(crate) fn compression(beginning: &[u8]) -> Option<Compression> {
    match beginning {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstandard),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Compression::Bzip2),
        [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Some(Compression::Xz),
        _ => None,
    }
}

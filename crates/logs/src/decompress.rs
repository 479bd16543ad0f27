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
    let kind = magic.clone();
    let whole = Cursor::new(magic).chain(raw);
    let plain: Input = match kind.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::new(whole)?),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Box::new(bzip2::read::MultiBzDecoder::new(whole)),
        [0xfd, b'7', b'z', b'X', b'Z', 0x00] => {
            let buffered = BufReader::new(whole);
            Box::new(lzma_rust2::XzReader::new_mem_limit(buffered, true, XZ_KIB_MAX))
        }
        _ => return Ok((Box::new(whole), false)),
    };
    Ok((plain, true))
}

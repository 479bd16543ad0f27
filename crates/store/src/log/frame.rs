//! Frames: one group of entries each, whole or not there.
//!
//! ```text
//! magic 4 | length of the payload 4 | CRC-32 4 | position 8 | received 8 | entries 4 | payload
//! ```
//!
//! Little-endian. The checksum is over everything behind it. The payload is, for each entry, its
//! length (4) and its bytes. A frame without entries says that the log was closed.

/// What a frame begins with; the last byte is the version.
pub(crate) const MAGIC: [u8; 4] = *b"TGf\x01";
/// Bytes before the payload.
pub(crate) const HEAD_BYTES: usize = 32;
const SUMMED_FROM: usize = 12;
/// Bytes of a payload; a group and one entry more, with room for lengths.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A group of entries that is being put together.
#[derive(Debug)]
pub(crate) struct Builder(Vec<u8>, u32);

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder(vec![0; HEAD_BYTES], 0)
    }

    pub(crate) fn push(&mut self, entry: &[u8]) {
        self.0.extend_from_slice(&(entry.len() as u32).to_le_bytes());
        self.0.extend_from_slice(entry);
        self.1 += 1;
    }

    /// The frame of a group whose first entry has a position.
    pub(crate) fn finish(self, position: u64, received_us: i64) -> Vec<u8> {
        let Builder(mut bytes, entries) = self;
        let payload = bytes.len() - HEAD_BYTES;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&(payload as u32).to_le_bytes());
        head.extend_from_slice(&[0; 4]);
        head.extend_from_slice(&position.to_le_bytes());
        head.extend_from_slice(&received_us.to_le_bytes());
        head.extend_from_slice(&entries.to_le_bytes());
        bytes[..HEAD_BYTES].copy_from_slice(&head);
        let crc = crc32fast::hash(&bytes[SUMMED_FROM..]);
        bytes[SUMMED_FROM - 4..SUMMED_FROM].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// A frame that was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) position: u64,
    pub(crate) received_us: i64,
    pub(crate) entries: u32,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the beginning of some bytes, and how many it has; or what is wrong.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<(Frame<'a>, usize), &'static str> {
        let head = bytes.get(..HEAD_BYTES).ok_or("the head of a record is cut off")?;
        if head.get(..4) != Some(&MAGIC) {
            return Err("no record begins here");
        }
        let word = |at: usize| head.get(at..at + 4).and_then(|it| it.try_into().ok());
        let double = |at: usize| head.get(at..at + 8).and_then(|it| it.try_into().ok());
        let fields = (word(4), word(8), double(12), double(20), word(28));
        let (Some(length), Some(crc), Some(position), Some(received), Some(entries)) = fields
        else {
            return Err("the head of a record is cut off");
        };
        let length = u32::from_le_bytes(length) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return Err("the length of a record is impossible");
        }
        let end = HEAD_BYTES + length;
        let summed = bytes.get(SUMMED_FROM..end).ok_or("a record is cut off")?;
        if crc32fast::hash(summed) != u32::from_le_bytes(crc) {
            return Err("the checksum of a record is wrong");
        }
        let frame = Frame {
            position: u64::from_le_bytes(position),
            received_us: i64::from_le_bytes(received),
            entries: u32::from_le_bytes(entries),
            payload: summed.get(HEAD_BYTES - SUMMED_FROM..).unwrap_or_default(),
        };
        Ok((frame, end))
    }

    /// Its entries; fewer than it says only if it was not written by [`Builder`].
    pub(crate) fn entries(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.payload;
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk::<4>()?;
            let (entry, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = behind;
            Some(entry)
        })
    }
}

/// Whether a whole frame begins anywhere in some bytes.
pub(crate) fn any_frame(bytes: &[u8]) -> bool {
    let mut places = memchr::memmem::find_iter(bytes, &MAGIC);
    places.any(|at| bytes.get(at..).is_some_and(|bytes| Frame::read(bytes).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_written_and_no_bit_goes_unseen() {
        let mut builder = Builder::new();
        builder.push(b"one");
        builder.push(b"");
        let bytes = builder.finish(7, -5);
        let (frame, end) = Frame::read(&bytes).unwrap();
        assert_eq!(
            (frame.position, frame.received_us, frame.entries, end),
            (7, -5, 2, bytes.len())
        );
        assert_eq!(frame.entries().collect::<Vec<_>>(), [&b"one"[..], b""]);
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1_u8 << (bit % 8);
            assert!(Frame::read(&wrong).is_err(), "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert!(Frame::read(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(any_frame(&[b"noise TGf\x01", &bytes[..]].concat()));
        assert!(!any_frame(&[b"noise TGf\x01", &bytes[1..]].concat()));
    }
}

//! Records that are kept: what was read once is read again without the log, exactly as it was.
//!
//! An archive is a Zstandard stream (RFC 8878): `TIDELOG1`, then records one after the other. A record
//! is its length (4 bytes), time (8), zone (2), weight (8), a mask of what it holds (4), the numbers of
//! the mask (8 each) and its texts (a length of 4 bytes, then the bytes); all little-endian.

use std::io::{self, BufRead, Read, Write};

use zstd::stream::{read::Decoder, write::Encoder};

use crate::Record;

/// First bytes of the plain stream.
const MAGIC: &[u8; 8] = b"TIDELOG1";
/// Longest record, in bytes: all its texts come from one line.
pub const ARCHIVED_BYTES_MAX: usize = 4 * crate::LINE_BYTES_MAX;
const LEVEL: i32 = 3;
const TEXTS: usize = 17;
const NUMBERS: usize = 5;
/// Bit of [`Record::time_is_end`], above those of texts and numbers.
const AT_END: u32 = 1 << (TEXTS + NUMBERS);

/// Writes an archive.
pub struct ArchiveWriter<W: Write> {
    out: Encoder<'static, W>,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W) -> io::Result<Self> {
        let mut out = Encoder::new(out, LEVEL)?;
        out.write_all(MAGIC)?;
        Ok(Self { out })
    }

    /// Appends records that [`encode_record`] wrote.
    ///
    /// # Errors
    /// Those of the output.
    pub fn append(&mut self, encoded: &[u8]) -> io::Result<()> {
        self.out.write_all(encoded)
    }

    /// Ends the archive and gives its output back. Without, it cannot be read to its end.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(self) -> io::Result<W> {
        self.out.finish()
    }
}

/// Appends a record to `out`.
pub fn encode_record(record: &Record<'_>, out: &mut Vec<u8>) {
    let texts: [Option<&[u8]>; TEXTS] = [
        Some(record.client),
        record.user,
        record.host,
        record.method,
        record.target,
        record.protocol,
        record.referrer,
        record.agent,
        record.forwarded_for,
        record.upstream,
        record.cache,
        record.tls,
        record.cipher,
        record.mime,
        record.country,
        record.route,
        record.variants,
    ];
    let numbers: [Option<u64>; NUMBERS] = [
        record.status.map(u64::from),
        record.bytes,
        record.request_bytes,
        record.duration_us,
        record.upstream_us,
    ];
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&record.time_us.to_le_bytes());
    out.extend_from_slice(&record.offset_min.to_le_bytes());
    out.extend_from_slice(&record.weight.to_le_bytes());
    let held = texts.iter().map(Option::is_some).chain(numbers.iter().map(Option::is_some));
    let mask = held.enumerate().fold(0, |mask, (bit, held)| mask | u32::from(held) << bit);
    let mask = mask | if record.time_is_end { AT_END } else { 0 };
    out.extend_from_slice(&mask.to_le_bytes());
    for number in numbers.into_iter().flatten() {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for text in texts.into_iter().flatten() {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text);
    }
    let length = (out.len() - begin - 4) as u32;
    if let Some(place) = out.get_mut(begin..begin + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

/// Reads an archive to its end and gives every record to `visit`; says how many there were.
///
/// # Errors
/// Those of `input`; [`io::ErrorKind::InvalidData`] for what is no archive, and
/// [`io::ErrorKind::UnexpectedEof`] for one that was cut off. What came before has been given.
pub fn read_archive(input: impl BufRead, mut visit: impl FnMut(&Record<'_>)) -> io::Result<u64> {
    let mut input = Decoder::with_buffer(input)?;
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(bad());
    }
    let (mut bytes, mut records) = (Vec::new(), 0);
    loop {
        let mut length = [0; 4];
        // The end is where a record could begin.
        if input.read(&mut length[..1])? == 0 {
            return Ok(records);
        }
        input.read_exact(&mut length[1..])?;
        let length = u32::from_le_bytes(length) as usize;
        if length > ARCHIVED_BYTES_MAX {
            return Err(bad());
        }
        bytes.resize(length, 0);
        input.read_exact(&mut bytes)?;
        visit(&decode_record(&bytes).ok_or_else(bad)?);
        records += 1;
    }
}

fn bad() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "this is no archive of records, or it is damaged")
}

/// A record without its length.
fn decode_record(bytes: &[u8]) -> Option<Record<'_>> {
    let mut rest = bytes;
    let time_us = i64::from_le_bytes(*take(&mut rest)?);
    let offset_min = i16::from_le_bytes(*take(&mut rest)?);
    let weight = u64::from_le_bytes(*take(&mut rest)?);
    let mask = u32::from_le_bytes(*take(&mut rest)?);
    let mut numbers = [None; NUMBERS];
    for (bit, number) in numbers.iter_mut().enumerate() {
        if mask >> (TEXTS + bit) & 1 == 1 {
            *number = Some(u64::from_le_bytes(*take(&mut rest)?));
        }
    }
    let mut texts = [None; TEXTS];
    for (bit, text) in texts.iter_mut().enumerate() {
        if mask >> bit & 1 == 1 {
            let length = u32::from_le_bytes(*take(&mut rest)?) as usize;
            let (here, after) = rest.split_at_checked(length)?;
            (*text, rest) = (Some(here), after);
        }
    }
    if !rest.is_empty() {
        return None;
    }
    let [status, bytes, request_bytes, duration_us, upstream_us] = numbers;
    let [
        client,
        user,
        host,
        method,
        target,
        protocol,
        referrer,
        agent,
        forwarded_for,
        upstream,
        cache,
        tls,
        cipher,
        mime,
        country,
        route,
        variants,
    ] = texts;
    Some(Record {
        time_us,
        offset_min,
        time_is_end: mask & AT_END != 0,
        client: client?,
        user,
        host,
        method,
        target,
        protocol,
        status: status.map(u16::try_from).transpose().ok()?,
        bytes,
        request_bytes,
        referrer,
        agent,
        forwarded_for,
        duration_us,
        upstream_us,
        upstream,
        cache,
        tls,
        cipher,
        mime,
        country,
        route,
        variants,
        weight,
    })
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Bytes = Option<Vec<u8>>;

    fn bytes() -> impl Strategy<Value = Bytes> {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20))
    }

    proptest! {
        #[test]
        fn what_was_kept_comes_back(
            times in proptest::collection::vec((any::<i64>(), any::<i16>(), any::<bool>()), 0..20),
            texts in proptest::array::uniform4(bytes()),
            status: Option<u16>,
            numbers in proptest::array::uniform4(any::<Option<u64>>()),
        ) {
            let records: Vec<Record<'_>> = times.iter().map(|(time_us, offset_min, time_is_end)| {
                Record {
                    time_us: *time_us,
                    offset_min: *offset_min,
                    time_is_end: *time_is_end,
                    client: texts[0].as_deref().unwrap_or_default(),
                    user: texts[1].as_deref(),
                    target: texts[2].as_deref(),
                    variants: texts[3].as_deref(),
                    status,
                    bytes: numbers[0],
                    request_bytes: numbers[1],
                    duration_us: numbers[2],
                    upstream_us: numbers[3],
                    weight: times.len() as u64,
                    ..Record::default()
                }
            }).collect();
            let mut encoded = Vec::new();
            records.iter().for_each(|record| encode_record(record, &mut encoded));
            let mut writer = ArchiveWriter::new(Vec::new()).unwrap();
            writer.append(&encoded).unwrap();
            let archive = writer.finish().unwrap();
            let mut index = 0;
            let read = read_archive(archive.as_slice(), |record| {
                assert_eq!(*record, records[index]);
                index += 1;
            });
            prop_assert_eq!(read.unwrap(), records.len() as u64);
            // Cut off anywhere it is an error, or ends between two records of a whole frame.
            let cut = archive.len() / 2;
            prop_assert!(read_archive(&archive[..cut], |_| ()).is_err());
        }

        #[test]
        fn garbage_is_refused(garbage in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read_archive(garbage.as_slice(), |_| ()).is_err());
            let mut writer = ArchiveWriter::new(Vec::new()).unwrap();
            writer.append(&garbage).unwrap();
            let archive = writer.finish().unwrap();
            let read = read_archive(archive.as_slice(), |_| ());
            prop_assert!(garbage.is_empty() || read.is_err());
        }
    }
}

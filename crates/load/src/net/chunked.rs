//! The chunked transfer coding (RFC 9112 §7.1), decoded incrementally.

/// Longest chunk-size line, extensions included, and longest trailer section, in bytes.
const LINE_BYTES_MAX: usize = 16 << 10;

/// Where in the coding the decoder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the digits of a chunk size; whether there was one.
    Size { any: bool },
    /// In a chunk extension, up to the line feed.
    Extension,
    /// After the carriage return of a size line.
    SizeLf,
    /// Within chunk data.
    Data,
    /// At the carriage return after chunk data.
    DataCr,
    /// At the line feed after chunk data.
    DataLf,
    /// At the start of a trailer line.
    TrailerStart,
    /// Within a trailer line.
    Trailer,
    /// At the last line feed.
    EndLf,
    /// After the last byte.
    Done,
}

/// Decodes one chunked body.
#[derive(Debug)]
pub(crate) struct ChunkedDecoder {
    state: State,
    remaining: u64,
    line_bytes: usize,
}

/// A violation of the coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadChunk(pub(crate) &'static str);

impl ChunkedDecoder {
    pub(crate) fn new() -> ChunkedDecoder {
        ChunkedDecoder { state: State::Size { any: false }, remaining: 0, line_bytes: 0 }
    }

    /// Whether the last byte has been seen.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Goes through `input`, hands body bytes to `sink`, and returns how many input bytes it
    /// took: all of them, or fewer when the body ended.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        mut sink: impl FnMut(&[u8]),
    ) -> Result<usize, BadChunk> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let n = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(input.len() - at);
                sink(&input[at..at + n]);
                at += n;
                self.remaining -= n as u64;
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.state = self.step(input[at])?;
            at += 1;
        }
        Ok(at)
    }

    /// Takes one byte outside chunk data.
    fn step(&mut self, byte: u8) -> Result<State, BadChunk> {
        self.line_bytes += 1;
        if self.line_bytes > LINE_BYTES_MAX {
            return Err(BadChunk("chunk line or trailer too long"));
        }
        match (self.state, byte) {
            (State::Size { .. }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                self.remaining = self
                    .remaining
                    .checked_mul(16)
                    .and_then(|size| size.checked_add(digit))
                    .ok_or(BadChunk("chunk size too large"))?;
                Ok(State::Size { any: true })
            }
            (State::Size { any: true }, b';' | b' ' | b'\t') => Ok(State::Extension),
            (State::Size { any: true } | State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size { .. }, _) => Err(BadChunk("chunk size is not a hexadecimal number")),
            (State::Extension, b'\n') => Err(BadChunk("bare line feed in a chunk line")),
            (State::Extension, _) => Ok(State::Extension),
            (State::SizeLf, b'\n') => {
                self.line_bytes = 0;
                Ok(if self.remaining == 0 { State::TrailerStart } else { State::Data })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                self.line_bytes = 0;
                Ok(State::Size { any: false })
            }
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart | State::Trailer, b'\n') => Ok(State::TrailerStart),
            (State::TrailerStart | State::Trailer, _) => Ok(State::Trailer),
            (State::EndLf, b'\n') => Ok(State::Done),
            (State::SizeLf | State::DataCr | State::DataLf | State::EndLf, _) => {
                Err(BadChunk("missing line end in the chunked coding"))
            }
            (State::Data | State::Done, _) => Ok(self.state),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(input: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), BadChunk> {
        let mut decoder = ChunkedDecoder::new();
        let (mut body, mut taken) = (Vec::new(), 0);
        for piece in input.chunks(step.max(1)) {
            taken += decoder.decode(piece, |bytes| body.extend_from_slice(bytes))?;
        }
        Ok((body, taken, decoder.is_done()))
    }

    #[test]
    fn bodies_decode_however_they_arrive() {
        let wire = b"4;x=y\r\nWiki\r\n5\r\npedia\r\n0\r\nTrailer: z\r\n\r\nNEXT";
        for step in 1..wire.len() {
            let (body, taken, done) = decode(wire, step).unwrap();
            assert_eq!((body.as_slice(), taken, done), (&b"Wikipedia"[..], wire.len() - 4, true));
        }
        assert_eq!(decode(b"0\r\n\r\n", 100).unwrap(), (vec![], 5, true));
    }

    #[test]
    fn violations_are_refused() {
        for wire in [
            &b"x\r\n"[..],
            b"\r\n",
            b"-1\r\n",
            b"0x5\r\n",
            b"5\nhello",
            b"fffffffffffffffff\r\n",
            b"1\r\nab\r\n",
            b"1\r\na\n",
            b"1;a\nb\r\n",
        ] {
            assert!(decode(wire, 3).is_err(), "{wire:?}");
        }
        assert!(decode(&[b'0'; LINE_BYTES_MAX + 1], 64).is_err());
    }

    proptest! {
        #[test]
        fn encoding_then_decoding_is_the_identity(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..10),
            step in 1..20_usize,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let (body, taken, done) = decode(&wire, step).unwrap();
            prop_assert_eq!((body, taken, done), (chunks.concat(), wire.len(), true));
        }

        #[test]
        fn any_bytes_decode_or_fail(wire in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&wire, 7);
        }
    }
}

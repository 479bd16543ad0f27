//! Taking escapes back.

use crate::Record;
use memchr::memchr;

/// How a format writes bytes that it cannot write plainly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// `\xhh`, `\"`, `\\` and C's letters: Apache, nginx, tidegate. What is none of them stays.
    Backslash,
    /// JSON (RFC 8259 §7).
    Json,
    /// JSON whose `\u00hh` stands for the byte `hh`, as tidegate keeps bytes that are not UTF-8.
    JsonBytes,
    /// `""` for a quote (RFC 4180 §2.7).
    DoubledQuote,
    /// W3C logs: `+` or `%20` for the spaces of the agent.
    Plus,
    /// `#hh`: HAProxy.
    Hash,
    /// Not at all.
    Nothing,
}

impl Escape {
    /// Whether the line may have any, by the byte that they begin with.
    #[inline]
    pub(super) fn may_be_in(self, line: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Plus => true,
            other => memchr(other.mark(), line).is_some(),
        }
    }

    fn mark(self) -> u8 {
        match self {
            Self::DoubledQuote => b'"',
            Self::Hash => b'#',
            _ => b'\\',
        }
    }
}

/// The record with its escapes taken back into `room`, which must be as long as the line: no text
/// grows when its escapes are taken back. `None` if JSON has an escape that is none.
pub(super) fn plain<'a>(
    record: Record<'a>,
    query: Option<&'a [u8]>,
    escape: Escape,
    room: &'a mut [u8],
) -> Option<Record<'a>> {
    let mut room = room;
    let mut record = record;
    if let (Some(query), Some(target)) = (query, record.target) {
        let length = target.len() + 1 + query.len();
        let (here, rest) = std::mem::take(&mut room).split_at_mut_checked(length)?;
        room = rest;
        here.get_mut(..target.len())?.copy_from_slice(target);
        *here.get_mut(target.len())? = b'?';
        here.get_mut(target.len() + 1..)?.copy_from_slice(query);
        record.target = Some(here);
    }
    if escape == Escape::Plus {
        if let Some(agent) = record.agent.filter(|agent| memchr(b' ', agent).is_none()) {
            let here = room.get_mut(..agent.len())?;
            let length = unplus(agent, here);
            record.agent = here.get(..length);
        }
        return Some(record);
    }
    if escape == Escape::Nothing {
        return Some(record);
    }
    let mark = escape.mark();
    let mut fits = true;
    let record = map_texts(record, |text| {
        if memchr(mark, text).is_none() {
            return text;
        }
        let taken = std::mem::take(&mut room).split_at_mut_checked(text.len());
        let Some((here, rest)) = taken else {
            fits = false;
            return text;
        };
        room = rest;
        let length = match escape {
            Escape::Backslash => backslashes(text, here),
            Escape::DoubledQuote => doubled(text, here),
            Escape::Hash => hashes(text, here),
            Escape::Json => json(text, here, false),
            Escape::JsonBytes | Escape::Plus | Escape::Nothing => json(text, here, true),
        };
        fits &= length.is_some();
        here.get(..length.unwrap_or(0)).unwrap_or_default()
    });
    fits.then_some(record)
}

fn map_texts<'a>(record: Record<'a>, mut map: impl FnMut(&'a [u8]) -> &'a [u8]) -> Record<'a> {
    Record {
        client: map(record.client),
        user: record.user.map(&mut map),
        host: record.host.map(&mut map),
        method: record.method.map(&mut map),
        target: record.target.map(&mut map),
        protocol: record.protocol.map(&mut map),
        referrer: record.referrer.map(&mut map),
        agent: record.agent.map(&mut map),
        forwarded_for: record.forwarded_for.map(&mut map),
        upstream: record.upstream.map(&mut map),
        cache: record.cache.map(&mut map),
        tls: record.tls.map(&mut map),
        cipher: record.cipher.map(&mut map),
        mime: record.mime.map(&mut map),
        country: record.country.map(&mut map),
        route: record.route.map(&mut map),
        variants: record.variants.map(&mut map),
        ..record
    }
}

/// Writes to the front of a slice that is long enough.
struct Out<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.room.get_mut(self.length..self.length + bytes.len())?.copy_from_slice(bytes);
        self.length += bytes.len();
        Some(())
    }
}

fn backslashes(text: &[u8], room: &mut [u8]) -> Option<usize> {
    let mut out = Out { room, length: 0 };
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest) {
        out.put(rest.get(..at)?)?;
        let behind = rest.get(at + 1..)?;
        let (plain, after): (u8, _) = match behind {
            [b'x', digits @ ..] if hex_pair(digits).is_some() => {
                (hex_pair(digits)?, digits.get(2..)?)
            }
            [byte @ (b'"' | b'\\'), after @ ..] => (*byte, after),
            [b'n', after @ ..] => (b'\n', after),
            [b'r', after @ ..] => (b'\r', after),
            [b't', after @ ..] => (b'\t', after),
            other => (b'\\', other),
        };
        out.put(&[plain])?;
        rest = after;
    }
    out.put(rest)?;
    Some(out.length)
}

fn hashes(text: &[u8], room: &mut [u8]) -> Option<usize> {
    let mut out = Out { room, length: 0 };
    let mut rest = text;
    while let Some(at) = memchr(b'#', rest) {
        out.put(rest.get(..at)?)?;
        let byte = hex_pair(rest.get(at + 1..)?);
        out.put(&[byte.unwrap_or(b'#')])?;
        rest = rest.get(at + if byte.is_some() { 3 } else { 1 }..)?;
    }
    out.put(rest)?;
    Some(out.length)
}

/// The byte that two hexadecimal digits at the front stand for.
fn hex_pair(text: &[u8]) -> Option<u8> {
    let [high, low, ..] = text else { return None };
    Some(hex(*high)? << 4 | hex(*low)?)
}

fn doubled(text: &[u8], room: &mut [u8]) -> Option<usize> {
    let mut out = Out { room, length: 0 };
    let mut rest = text;
    while let Some(at) = memchr(b'"', rest) {
        out.put(rest.get(..=at)?)?;
        rest = rest.get(at + 1..)?;
        rest = rest.strip_prefix(b"\"").unwrap_or(rest);
    }
    out.put(rest)?;
    Some(out.length)
}

fn unplus(text: &[u8], room: &mut [u8]) -> usize {
    let (mut rest, mut length) = (text, 0);
    while let [first, behind @ ..] = rest {
        let (plain, after) = match (first, behind) {
            (b'+', after) => (b' ', after),
            (b'%', digits) => match (hex_pair(digits), digits.get(2..)) {
                (Some(byte), Some(after)) => (byte, after),
                _ => (b'%', behind),
            },
            _ => (*first, behind),
        };
        if let Some(place) = room.get_mut(length) {
            *place = plain;
            length += 1;
        }
        rest = after;
    }
    length
}

/// Takes JSON's escapes back into `room`; the length of the plain text, or `None` when an escape is none.
pub(super) fn json(text: &[u8], room: &mut [u8], low_codes_are_bytes: bool) -> Option<usize> {
    let mut out = Out { room, length: 0 };
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest) {
        out.put(rest.get(..at)?)?;
        let (escape, mut behind) = rest.get(at + 1..)?.split_first()?;
        match escape {
            b'"' | b'\\' | b'/' => out.put(&[*escape])?,
            b'b' => out.put(b"\x08")?,
            b'f' => out.put(b"\x0c")?,
            b'n' => out.put(b"\n")?,
            b'r' => out.put(b"\r")?,
            b't' => out.put(b"\t")?,
            b'u' => {
                let mut code = hex4(behind)?;
                behind = behind.get(4..)?;
                if (0xd800..0xdc00).contains(&code) {
                    let low = hex4(behind.strip_prefix(b"\\u")?)?;
                    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    behind = behind.get(6..)?;
                    code = 0x1_0000 + ((code - 0xd800) << 10) + low;
                }
                match u8::try_from(code) {
                    Ok(byte) if low_codes_are_bytes => out.put(&[byte])?,
                    _ => out.put(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes())?,
                }
            }
            _ => return None,
        }
        rest = behind;
    }
    out.put(rest)?;
    Some(out.length)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn hex4(text: &[u8]) -> Option<u32> {
    text.get(..4)?
        .iter()
        .try_fold(0, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_taken_back() {
        use Escape as E;
        for (escape, text, plain_text) in [
            (E::Backslash, &br#"/say\"hi\"\\\x2F\xzz\q\"#[..], Some(&br#"/say"hi"\/\xzz\q\"#[..])),
            (
                E::Json,
                br#"\"\\\/\b\n\u00e9\u5b57\ud83d\ude00"#,
                Some("\"\\/\u{8}\n\u{e9}字😀".as_bytes()),
            ),
            (E::JsonBytes, br"\u00e9", Some(b"\xe9")),
            (E::Json, br"\ud800", None),
            (E::Json, br"\x", None),
            (E::DoubledQuote, br#"a""b"#, Some(br#"a"b"#)),
            (E::Hash, br##"#22a#23#zz#C3#A9\x22#4"##, Some(b"\"a##zz\xc3\xa9\\x22#4")),
            (E::Nothing, br"\x22#22+", Some(br"\x22#22+")),
        ] {
            let record = Record { target: Some(text), ..Record::default() };
            let mut room = vec![0; text.len()];
            let record = plain(record, None, escape, &mut room);
            assert_eq!(record.map(|record| record.target), plain_text.map(Some), "{text:?}");
        }
        let record = Record {
            agent: Some(b"Mozilla/5.0+(a;%20b)"),
            target: Some(b"/a"),
            ..Record::default()
        };
        let mut room = vec![0; 64];
        let record = plain(record, Some(b"q=1"), Escape::Plus, &mut room).unwrap();
        assert_eq!(
            (record.agent, record.target),
            (Some(&b"Mozilla/5.0 (a; b)"[..]), Some(&b"/a?q=1"[..]))
        );
    }
}

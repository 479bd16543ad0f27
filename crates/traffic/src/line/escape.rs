//! How values are written so that none ends its field or its line, and how they are read back.

use std::borrow::Cow;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes text for between quotes: `"`, `\`, control characters and all that is not ASCII become
/// `\xhh`, byte by byte.
pub(super) fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    escaped(out, bytes, |byte| matches!(byte, b'"' | b'\\') | !(0x20..0x7f).contains(&byte));
}

/// Writes a word: spaces are escaped too.
pub(super) fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    escaped(out, bytes, |byte| matches!(byte, b'"' | b'\\') | !(0x21..0x7f).contains(&byte));
}

/// Writes a value between quotes of its own, or as a word. A lone `-` means "none" in a log, so
/// that a value `-` is escaped; an empty word is two quotes, as Apache writes it; a word does not
/// begin with the `[` of a time.
pub(super) fn value(out: &mut Vec<u8>, bytes: &[u8], quoted: bool) {
    match bytes {
        b"-" => out.extend_from_slice(b"\\x2d"),
        b"" if !quoted => out.extend_from_slice(b"\"\""),
        _ if quoted => text(out, bytes),
        [b'[', rest @ ..] => {
            out.extend_from_slice(b"\\x5b");
            word(out, rest);
        }
        _ => word(out, bytes),
    }
}

fn escaped(out: &mut Vec<u8>, bytes: &[u8], must: impl Fn(u8) -> bool) {
    // No early exit, so that the compiler makes vector instructions of it: nearly all text is plain.
    if !bytes.iter().fold(false, |found, byte| found | must(*byte)) {
        out.extend_from_slice(bytes);
        return;
    }
    for byte in bytes {
        if must(*byte) {
            out.extend_from_slice(b"\\x");
            hex(out, *byte);
        } else {
            out.push(*byte);
        }
    }
}

/// Writes the inside of a JSON string. What is not UTF-8, and characters that nobody sees or that
/// turn the direction of text, become `\u00hh`, byte by byte; other characters stay.
pub(super) fn json_text(out: &mut Vec<u8>, bytes: &[u8]) {
    let plain = |byte: &u8| !matches!(byte, b'"' | b'\\') & (0x20..0x7f).contains(byte);
    if bytes.iter().fold(true, |all, byte| all & plain(byte)) {
        out.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut utf8 = [0; 4];
            let utf8 = character.encode_utf8(&mut utf8).as_bytes();
            match character {
                '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
                _ if is_hidden(character) => utf8.iter().for_each(|byte| json_byte(out, *byte)),
                _ => out.extend_from_slice(utf8),
            }
        }
        chunk.invalid().iter().for_each(|byte| json_byte(out, *byte));
    }
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and format characters of no
/// width or for bidirectional text (Unicode 16, general category Cf in the general punctuation).
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn json_byte(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(b"\\u00");
    hex(out, byte);
}

fn hex(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

/// Takes back the escapes of a text line, `\xhh`. A backslash before anything else stays.
pub fn unescape_text(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        if let [b'x', high, low, after @ ..] = behind
            && *first == b'\\'
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            plain.push((high << 4 | low) as u8);
            rest = after;
        } else {
            plain.push(*first);
        }
    }
    Cow::Owned(plain)
}

pub(super) fn number(out: &mut Vec<u8>, value: u64) {
    if value < 10 {
        out.push(b'0' + value as u8);
        return;
    }
    let mut digits = [0; 20];
    let (mut at, mut rest) = (digits.len(), value);
    while rest > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Microseconds as seconds with six decimals.
pub(super) fn seconds(out: &mut Vec<u8>, us: u64) {
    number(out, us / 1_000_000);
    out.push(b'.');
    six_digits(out, (us % 1_000_000) as u32);
}

/// A number below a million with all its six digits.
pub(super) fn six_digits(out: &mut Vec<u8>, value: u32) {
    let digit = |power: u32| b'0' + (value / power % 10) as u8;
    let digits = [100_000, 10_000, 1_000, 100, 10, 1].map(digit);
    out.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_look_as_documented() {
        for (bytes, quoted, expected) in [
            (&b"a b"[..], true, "a b"),
            (b"a b", false, "a\\x20b"),
            (b"a\"b\\c", true, "a\\x22b\\x5cc"),
            (b"\x00\x1f\x7f\r\n", true, "\\x00\\x1f\\x7f\\x0d\\x0a"),
            ("é\u{202e}".as_bytes(), true, "\\xc3\\xa9\\xe2\\x80\\xae"),
            (b"-", true, "\\x2d"),
            (b"-", false, "\\x2d"),
            (b"--", false, "--"),
            (b"[a]", true, "[a]"),
            (b"[a]", false, "\\x5ba]"),
            (b"", true, ""),
            (b"", false, "\"\""),
        ] {
            assert_eq!(written(|out| value(out, bytes, quoted)), expected);
        }
        for (bytes, expected) in [
            (&b"a \"b\\"[..], "a \\\"b\\\\"),
            (b"\n\x7f", "\\u000a\\u007f"),
            ("é字".as_bytes(), "é字"),
            (b"\xe9\xc3", "\\u00e9\\u00c3"),
            // C1, bidirectional override and isolate, zero width, line separator.
            ("\u{85}".as_bytes(), "\\u00c2\\u0085"),
            ("\u{202e}\u{2066}".as_bytes(), "\\u00e2\\u0080\\u00ae\\u00e2\\u0081\\u00a6"),
            ("\u{feff}".as_bytes(), "\\u00ef\\u00bb\\u00bf"),
            ("\u{2028}".as_bytes(), "\\u00e2\\u0080\\u00a8"),
        ] {
            assert_eq!(written(|out| json_text(out, bytes)), expected);
        }
        assert_eq!(*unescape_text(b"a\\x2Fb\\xzz\\x4\\"), *b"a/b\\xzz\\x4\\");
    }

    #[test]
    fn numbers_are_those_of_the_standard_library() {
        for value in [0, 9, 10, 99, 1_000_000, 1_000_001, u64::MAX] {
            assert_eq!(written(|out| number(out, value)), value.to_string());
            let expected = format!("{}.{:06}", value / 1_000_000, value % 1_000_000);
            assert_eq!(written(|out| seconds(out, value)), expected);
        }
    }

    proptest! {
        #[test]
        fn text_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for quoted in [false, true] {
                let mut out = Vec::new();
                value(&mut out, &bytes, quoted);
                prop_assert!(out.iter().all(|byte| (0x20..0x7f).contains(byte)));
                if quoted || !bytes.is_empty() {
                    prop_assert!(!out.contains(&b'"') && (quoted || !out.contains(&b' ')));
                    prop_assert_eq!(&*unescape_text(&out), &bytes[..]);
                }
            }
        }

        #[test]
        fn json_has_no_control_byte_and_is_utf8(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut out = Vec::new();
            json_text(&mut out, &bytes);
            let text = std::str::from_utf8(&out);
            prop_assert!(text.is_ok_and(|text| !text.chars().any(is_hidden)));
        }
    }
}

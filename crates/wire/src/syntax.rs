//! Characters of RFC 9110 section 5.6 and RFC 3986.

/// Whether this is a token character (RFC 9110 section 5.6.2).
pub(crate) const fn is_token(byte: u8) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let others = b"!#$%&'*+-.^_`|~";
        let mut byte = 0;
        while byte < 256 {
            table[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let mut index = 0;
        while index < others.len() {
            table[others[index] as usize] = true;
            index += 1;
        }
        table
    };
    TABLE[byte as usize]
}

/// Whether these bytes are a token: at least one, all token characters.
pub(crate) fn is_token_text(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token(*byte))
}

/// Whether there is no control character but HTAB: what a field value may hold (RFC 9110 section
/// 5.5). Looks at every byte, so that the compiler can look at many at once.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |bad, &byte| bad | ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f))
}

/// Whether a target may hold these bytes: visible ASCII without `#`.
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |bad, &byte| bad | (byte <= b' ') | (byte >= 0x7f) | (byte == b'#'))
}

/// Without surrounding spaces and tabs (RFC 9110 section 5.6.3).
pub(crate) fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

/// The number that 1 to `digits_max` decimal digits spell; nothing else is one.
pub(crate) fn decimal(bytes: &[u8], digits_max: usize) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > digits_max {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

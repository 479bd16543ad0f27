//! Byte ranges of a kept body: RFC 9110 section 14.

/// What a `Range` asks of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: another unit, several ranges, or no range at all.
    Whole,
    /// These bytes.
    Part {
        /// First byte.
        start: u64,
        /// After the last byte.
        end: u64,
    },
    /// Nothing that is there: 416.
    Outside,
}

/// Reads a `Range` for a body of `length` bytes.
pub fn wanted(range: &[u8], length: u64) -> Wanted {
    let parse = || {
        let text = std::str::from_utf8(range).ok()?;
        let (unit, set) = text.split_once('=')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = set.trim().split_once('-')?;
        Some((first.trim(), last.trim()))
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match parse() {
        Some(("", suffix)) => match number(suffix) {
            None => Wanted::Whole,
            Some(0) => Wanted::Outside,
            Some(_) if length == 0 => Wanted::Outside,
            Some(suffix) => Wanted::Part { start: length.saturating_sub(suffix), end: length },
        },
        Some((first, last)) => {
            let end = if last.is_empty() { Some(u64::MAX) } else { number(last) };
            match (number(first), end) {
                (Some(first), Some(last)) if first > last => Wanted::Whole,
                (Some(first), Some(_)) if first >= length => Wanted::Outside,
                (Some(start), Some(last)) => {
                    Wanted::Part { start, end: last.saturating_add(1).min(length) }
                }
                _ => Wanted::Whole,
            }
        }
        None => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_range_is_read_and_the_rest_is_the_whole() {
        let part = |start, end| Wanted::Part { start, end };
        for (text, expected) in [
            ("bytes=0-1", part(0, 2)),
            ("Bytes=1-", part(1, 10)),
            ("bytes=-1", part(9, 10)),
            ("bytes=-99", part(0, 10)),
            ("bytes=5-99", part(5, 10)),
            ("bytes=9-99999999999999999999999", part(9, 10)),
            ("bytes=0-0,2-3", Wanted::Whole),
            ("bytes=3-2", Wanted::Whole),
            ("bytes=a-2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
            ("bytes", Wanted::Whole),
            ("bytes=10-", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
        ] {
            assert_eq!(wanted(text.as_bytes(), 10), expected, "{text}");
        }
        assert_eq!(wanted(b"bytes=0-", 0), Wanted::Outside);
        assert_eq!(wanted(b"bytes=-5", 0), Wanted::Outside);
    }

    proptest! {
        #[test]
        fn a_part_lies_within(text in "bytes=[0-9]{0,20}-[0-9]{0,20}", length in any::<u64>()) {
            if let Wanted::Part { start, end } = wanted(text.as_bytes(), length) {
                prop_assert!(start < end && end <= length);
            }
        }
    }
}

//! Dictionaries of structured fields (RFC 9651), as far as a targeted cache field needs them:
//! the whole text is checked, and what is not an integer, a string or true keeps no value.

/// The value of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bare {
    /// Absent, or `?1`.
    True,
    /// An integer.
    Integer(i64),
    /// A string, unescaped.
    Text(Vec<u8>),
    /// Anything else, and `?0`.
    Other,
}

/// Members in their order, the last of each key only; `None` when the text is no dictionary.
pub(super) fn dictionary(text: &[u8]) -> Option<Vec<(Vec<u8>, Bare)>> {
    let mut reader = Reader { rest: text };
    let mut members: Vec<(Vec<u8>, Bare)> = Vec::new();
    reader.spaces();
    while !reader.rest.is_empty() {
        let key = reader.key()?;
        let value = if reader.take(b'=') { reader.member()? } else { Bare::True };
        reader.parameters()?;
        members.retain(|(known, _)| *known != key);
        members.push((key, value));
        reader.white();
        if reader.rest.is_empty() {
            break;
        }
        if !reader.take(b',') {
            return None;
        }
        reader.white();
        if reader.rest.is_empty() {
            return None; // A comma at the end.
        }
    }
    Some(members)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn while_in(&mut self, accepted: impl Fn(u8) -> bool) -> &[u8] {
        let end = self.rest.iter().position(|byte| !accepted(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn spaces(&mut self) {
        self.while_in(|byte| byte == b' ');
    }

    fn white(&mut self) {
        self.while_in(|byte| byte == b' ' || byte == b'\t');
    }

    fn key(&mut self) -> Option<Vec<u8>> {
        let first = *self.rest.first()?;
        if !(first.is_ascii_lowercase() || first == b'*') {
            return None;
        }
        let key = self.while_in(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
        });
        Some(key.to_vec())
    }

    fn member(&mut self) -> Option<Bare> {
        if !self.take(b'(') {
            return self.bare();
        }
        loop {
            self.spaces();
            if self.take(b')') {
                return Some(Bare::Other);
            }
            self.bare()?;
            self.parameters()?;
            if !matches!(self.rest.first(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.spaces();
            self.key()?;
            if self.take(b'=') {
                self.bare()?;
            }
        }
        Some(())
    }

    fn bare(&mut self) -> Option<Bare> {
        match *self.rest.first()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b'?' => {
                self.next();
                match self.next()? {
                    b'1' => Some(Bare::True),
                    b'0' => Some(Bare::Other),
                    _ => None,
                }
            }
            b':' => {
                self.next();
                self.while_in(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
                self.take(b':').then_some(Bare::Other)
            }
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => {
                self.while_in(|byte| {
                    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte)
                });
                Some(Bare::Other)
            }
            // Dates (`@`) and display strings (`%`) mean nothing to a cache: taken for invalid.
            _ => None,
        }
    }

    fn string(&mut self) -> Option<Bare> {
        self.next();
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'"' => return Some(Bare::Text(text)),
                b'\\' => match self.next()? {
                    byte @ (b'"' | b'\\') => text.push(byte),
                    _ => return None,
                },
                byte @ 0x20..=0x7e => text.push(byte),
                _ => return None,
            }
        }
    }

    fn number(&mut self) -> Option<Bare> {
        let negative = self.take(b'-');
        let digits = self.while_in(|byte| byte.is_ascii_digit()).to_vec();
        if digits.is_empty() {
            return None;
        }
        if self.take(b'.') {
            let fraction = self.while_in(|byte| byte.is_ascii_digit()).len();
            return (digits.len() <= 12 && (1..=3).contains(&fraction)).then_some(Bare::Other);
        }
        if digits.len() > 15 {
            return None;
        }
        let value = digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        Some(Bare::Integer(if negative { -value } else { value }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dictionaries_are_read() {
        let read = dictionary(br#"max-age=60;x=1, no-store, a=("x" 1;q=2), s="a\"b", max-age=5"#);
        let expected = vec![
            (b"no-store".to_vec(), Bare::True),
            (b"a".to_vec(), Bare::Other),
            (b"s".to_vec(), Bare::Text(b"a\"b".to_vec())),
            (b"max-age".to_vec(), Bare::Integer(5)),
        ];
        assert_eq!(read, Some(expected));
        assert_eq!(dictionary(b""), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_dictionary_is_refused() {
        for text in [
            "Max-Age=60",
            "max-age=",
            "max-age=60,",
            ",a",
            "a b",
            "a=\"x",
            "a=1.",
            "a=(1",
            "a=1234567890123456",
            "a=?2",
            "max-age=60 no-store",
            "a=\"\u{e4}\"",
        ] {
            assert_eq!(dictionary(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[a-c=;,\"?:().0-9 \\\\-]{0,40}") {
            let _ = dictionary(text.as_bytes());
        }
    }
}

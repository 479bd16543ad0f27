//! GoAccess's `~h{…}`: the client is the first address of a list, whose parts the bytes of a set part.
//!
//! Source: GoAccess manual, "Custom Log/Date format", the specifier for X-Forwarded-For.

/// The list, with what parts its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forwarded {
    /// What may be before, between and behind the addresses, besides commas.
    pub(super) set: Vec<u8>,
    /// What ends the list, if it is not of the set.
    pub(super) until: Option<u8>,
}

impl Forwarded {
    fn is_between(&self, byte: u8) -> bool {
        byte == b',' || self.set.contains(&byte)
    }

    /// The first address, or the first word where there is none, and what follows the list.
    pub(super) fn read<'a>(&self, text: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let end = self.until.and_then(|until| memchr::memchr(until, text));
        let (list, after) = text.split_at(end.unwrap_or(text.len()));
        let (mut first, mut words, mut rest): (Option<&[u8]>, _, _) = (None, 0, list);
        loop {
            let gap = rest.iter().take_while(|byte| self.is_between(**byte)).count();
            let (gap, from) = rest.split_at(gap);
            let is_end = |byte: &u8| *byte == b' ' || self.is_between(*byte);
            let length = from.iter().position(is_end).unwrap_or(from.len());
            let (word, behind) = from.split_at(length);
            // Spaces and quotes alone do not make the next field another address of the list.
            let goes_on = gap.iter().any(|byte| !b" \"'".contains(byte));
            if word.is_empty() || words > 0 && !(goes_on && is_address(word)) {
                let rest = if end.is_some() { after } else { from };
                return (first.unwrap_or_default(), rest);
            }
            if first.is_none_or(|first| !is_address(first) && is_address(word)) {
                first = Some(word);
            }
            (rest, words) = (behind, words + 1);
        }
    }
}

fn is_address(word: &[u8]) -> bool {
    std::str::from_utf8(word).is_ok_and(|word| word.parse::<std::net::IpAddr>().is_ok())
}

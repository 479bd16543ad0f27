//! Attributes of units: each text is stored once, and each combination of them.

use super::limits::{ATTRIBUTE_TEXTS_MAX, ATTRIBUTES_MAX};
use crate::event::{ATTRIBUTE_BYTES_MAX, Attributes, DecodeError, Reader, Writer};
use std::collections::HashMap;

/// In place of texts that are too many.
const OTHER: &str = "(other)";

/// The number of a combination; 0 is "nothing known".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AttributesId(pub(super) u16);

/// The texts and their combinations in one shard.
#[derive(Debug, Default)]
pub(super) struct Interner {
    texts: Vec<Box<str>>,
    by_text: HashMap<Box<str>, u16>,
    /// Numbers of texts, in the order of [`Attributes::all`].
    combinations: Vec<[u16; 4]>,
    by_combination: HashMap<[u16; 4], u16>,
}

impl Interner {
    /// The number of a combination; beyond [`ATTRIBUTES_MAX`] new ones are not told apart.
    pub(super) fn intern(&mut self, attributes: &Attributes<'_>) -> AttributesId {
        let texts = attributes.all();
        if texts == [""; 4] {
            return AttributesId(0);
        }
        let combination = texts.map(|text| self.text(text));
        if let Some(&number) = self.by_combination.get(&combination) {
            return AttributesId(number);
        }
        if self.combinations.len() >= ATTRIBUTES_MAX {
            return AttributesId(0);
        }
        self.combinations.push(combination);
        let number = self.combinations.len() as u16;
        self.by_combination.insert(combination, number);
        AttributesId(number)
    }

    /// The number of a text; beyond [`ATTRIBUTE_TEXTS_MAX`] that of `(other)`.
    fn text(&mut self, text: &str) -> u16 {
        if let Some(&number) = self.by_text.get(text) {
            return number;
        }
        if self.texts.len() >= ATTRIBUTE_TEXTS_MAX && text != OTHER {
            return self.text(OTHER);
        }
        let number = self.texts.len() as u16;
        self.texts.push(text.into());
        self.by_text.insert(text.into(), number);
        number
    }

    pub(super) fn get(&self, id: AttributesId) -> Attributes<'_> {
        let index = usize::from(id.0).checked_sub(1);
        let Some(combination) = index.and_then(|at| self.combinations.get(at)) else {
            return Attributes::default();
        };
        let [browser, country, route, cache] = self.texts_of(combination);
        Attributes { browser, country, route, cache }
    }

    fn texts_of(&self, combination: &[u16; 4]) -> [&str; 4] {
        combination.map(|number| self.texts.get(usize::from(number)).map_or("", |text| &**text))
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        let of_text = |bytes: usize| 2 * (bytes + size_of::<Box<str>>()) + size_of::<u16>();
        let each = 2 * size_of::<[u16; 4]>() + size_of::<u16>();
        self.texts.iter().map(|text| of_text(text.len())).sum::<usize>()
            + self.combinations.capacity() * each
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.number(self.combinations.len() as u64);
        let texts = self.combinations.iter().flat_map(|combination| self.texts_of(combination));
        texts.for_each(|text| out.text(text));
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Interner, DecodeError> {
        let mut interner = Interner::default();
        for _ in 0..from.count(ATTRIBUTES_MAX, "number of attributes")? {
            let mut next = || from.text(ATTRIBUTE_BYTES_MAX, "attribute");
            let attributes =
                Attributes { browser: next()?, country: next()?, route: next()?, cache: next()? };
            interner.intern(&attributes);
        }
        Ok(interner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_combinations_are_bounded_and_survive_writing() {
        let mut interner = Interner::default();
        let nothing = Attributes::default();
        assert_eq!(interner.intern(&nothing), AttributesId(0));
        for number in 0..ATTRIBUTES_MAX + 10 {
            let (route, country) = ((number / 2).to_string(), ["", "DE"][number % 2]);
            let attributes =
                Attributes { route: &route, country, browser: "firefox", cache: "hit" };
            let id = interner.intern(&attributes);
            assert_eq!(interner.intern(&attributes), id);
            // Four texts are those of the browser, the cache and the two countries.
            let known = number / 2 < ATTRIBUTE_TEXTS_MAX - 4;
            let told = Attributes { route: if known { &route } else { OTHER }, ..attributes };
            assert_eq!(interner.get(id), told, "{number}");
        }
        assert_eq!(interner.texts.len(), ATTRIBUTE_TEXTS_MAX + 1);
        for number in 0..ATTRIBUTES_MAX + 10 {
            let browser = (number % 2_000).to_string();
            let route = (number / 2_000).to_string();
            interner.intern(&Attributes { browser: &browser, route: &route, ..nothing });
        }
        assert!(interner.combinations.len() <= ATTRIBUTES_MAX);
        let mut out = Writer::default();
        interner.write(&mut out);
        let again = Interner::read(&mut Reader(&out.0)).unwrap();
        for number in 0..=interner.combinations.len() as u16 {
            assert_eq!(again.get(AttributesId(number)), interner.get(AttributesId(number)));
        }
    }
}

//! Combinations of attributes, each stored once.

use super::limits::ATTRIBUTES_MAX;
use crate::event::{ATTRIBUTE_BYTES_MAX, Attributes, DecodeError, Reader, Writer};
use std::collections::HashMap;

/// The number of a combination; 0 is "nothing known".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AttributesId(pub(super) u16);

type Texts = [Box<str>; 4];

/// The combinations of one shard.
#[derive(Debug, Default)]
pub(super) struct Interner {
    numbers: HashMap<Texts, u16>,
    texts: Vec<Texts>,
}

impl Interner {
    /// The number of a combination; beyond [`ATTRIBUTES_MAX`] new ones are not told apart.
    pub(super) fn intern(&mut self, attributes: &Attributes<'_>) -> AttributesId {
        let texts = attributes.all();
        if texts == [""; 4] {
            return AttributesId(0);
        }
        let texts = texts.map(Box::from);
        if let Some(&number) = self.numbers.get(&texts) {
            return AttributesId(number);
        }
        if self.texts.len() >= ATTRIBUTES_MAX {
            return AttributesId(0);
        }
        self.texts.push(texts.clone());
        let number = self.texts.len() as u16;
        self.numbers.insert(texts, number);
        AttributesId(number)
    }

    pub(super) fn get(&self, id: AttributesId) -> Attributes<'_> {
        let index = usize::from(id.0).checked_sub(1);
        let Some([browser, country, route, cache]) = index.and_then(|at| self.texts.get(at)) else {
            return Attributes::default();
        };
        Attributes { browser, country, route, cache }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.number(self.texts.len() as u64);
        self.texts.iter().flatten().for_each(|text| out.text(text));
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

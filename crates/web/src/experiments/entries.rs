//! Entries of batches, read so that an error names the one that is wrong.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::body::Object;

/// What a batch is of.
pub(super) trait OneEntry: DeserializeOwned {
    /// The field that has them.
    const FIELD: &'static str;
}

/// Objects, one by one, so that an error names the one that is wrong.
pub(super) fn entries<'de, D: Deserializer<'de>, T: OneEntry>(from: D) -> Result<Vec<T>, D::Error> {
    struct Entries<T>(PhantomData<T>);
    impl<'de, T: OneEntry> Visitor<'de> for Entries<T> {
        type Value = Vec<T>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(out, "a list of {}", T::FIELD)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            loop {
                let next = sequence.next_element::<Object<T>>().map_err(|error| {
                    A::Error::custom(format!("{}[{}]: {error}", T::FIELD, all.len()))
                })?;
                let Some(Object(entry)) = next else { return Ok(all) };
                all.push(entry);
            }
        }
    }
    from.deserialize_seq(Entries(PhantomData))
}

/// A number.
pub(super) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let value = Value::deserialize(from)?;
    value.as_f64().ok_or_else(|| D::Error::custom("`value` must be a number"))
}

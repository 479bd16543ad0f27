//! Sticky bucketing: assignments that are kept per attribute and value.

use super::payload::Fields;
use super::{HashAttribute, User};
use crate::targeting::growthbook::js;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;

/// The kept assignments: by `attribute||value`, the key of the variation by `experiment__version`.
pub type StickyDocs = HashMap<String, HashMap<String, String>>;

/// An assignment to keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StickyWrite {
    /// Name of the attribute.
    pub attribute_name: String,
    /// Its value.
    pub attribute_value: String,
    /// `experiment__version`.
    pub experiment: String,
    /// Key of the variation.
    pub variation: String,
}

impl StickyWrite {
    /// The key of the document that it belongs to.
    #[must_use]
    pub fn doc(&self) -> String {
        format!("{}||{}", self.attribute_name, self.attribute_value)
    }
}

/// What the kept assignments say.
pub(super) enum Kept {
    Nothing,
    Variation(usize),
    /// Assigned under a version that is excluded.
    Blocked,
}

/// The value of an attribute in the key of a document: texts as they are, all else as JSON.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(_) => js::number_to_string(js::to_number(value)),
        value => value.to_string(),
    }
}

pub(super) fn experiment_key(key: &str, version: u32) -> String {
    format!("{key}__{version}")
}

/// Looks an experiment up; what is kept for the hashed attribute beats what is kept for the
/// fallback. Without a named fallback the SDK looks at `id`.
pub(super) fn kept(user: &User<'_>, docs: &StickyDocs, key: &str, fields: &Fields) -> Kept {
    let of = |attribute: HashAttribute<'_, '_>| {
        let value = value_text(&attribute.told());
        docs.get(&format!("{}||{value}", attribute.name))
    };
    let own = of(user.hash_attribute(fields.hash_attribute.as_deref(), None));
    let fallback = user.hash_attribute(fields.fallback_attribute.as_deref(), None);
    let fallback = fallback.value.and_then(|_| of(fallback));
    let find = |id: &str| [own, fallback].into_iter().flatten().find_map(|doc| doc.get(id));

    let min_version = fields.min_bucket_version.unwrap_or(0);
    let prefix = experiment_key(key, 0);
    let prefix = prefix.strip_suffix('0').unwrap_or(&prefix);
    let blocked = |id: &String| {
        let version = id.strip_prefix(prefix).and_then(|version| version.parse::<u32>().ok());
        version.is_some_and(|version| version < min_version && *id == experiment_key(key, version))
    };
    if [own, fallback].into_iter().flatten().flat_map(HashMap::keys).any(blocked) {
        return Kept::Blocked;
    }
    let Some(variation) = find(&experiment_key(key, fields.bucket_version.unwrap_or(0))) else {
        return Kept::Nothing;
    };
    let meta = fields.meta.iter().flatten();
    let index = meta.map(|meta| meta.key.as_ref()).position(|key| key == Some(variation));
    index.map_or(Kept::Nothing, Kept::Variation)
}

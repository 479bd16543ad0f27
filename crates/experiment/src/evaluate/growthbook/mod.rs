//! Evaluation of GrowthBook features, with the semantics of its JavaScript SDK 1.8.0: what a
//! client is told here is what it would find itself.
//!
//! Left out: inline experiments of the payload (`experiments`, which change pages in browsers), URL
//! patterns, and contextual bandits.

mod experiment;
mod feature;
mod payload;
mod sticky;

pub use feature::{Evaluation, Exposure, FeatureResult, FeatureSource};
pub use payload::{Features, PayloadError};
pub use sticky::{StickyDocs, StickyWrite};

use crate::targeting::growthbook::js;
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashMap;

/// Who features are evaluated for.
#[derive(Debug, Clone, Copy)]
pub struct User<'a> {
    /// What is known.
    pub attributes: &'a Map<String, Value>,
    /// The URL that is visited, whose query may force variations (`?experiment=1`); empty for none.
    pub url: &'a str,
    /// Index of a variation by experiment.
    pub forced_variations: Option<&'a HashMap<String, i64>>,
    /// Value by feature.
    pub forced_features: Option<&'a Map<String, Value>>,
    /// Kept assignments; `None` turns sticky bucketing off.
    pub sticky: Option<&'a StickyDocs>,
    /// Nobody is in an experiment unless forced.
    pub qa_mode: bool,
}

impl<'a> User<'a> {
    /// Somebody of whom only attributes are known.
    #[must_use]
    pub fn new(attributes: &'a Map<String, Value>) -> User<'a> {
        User {
            attributes,
            url: "",
            forced_variations: None,
            forced_features: None,
            sticky: None,
            qa_mode: false,
        }
    }

    /// The attribute that is hashed and its value: `id` unless named, the fallback when it has no
    /// value. `None` when neither has one.
    fn hash_attribute<'n>(
        &self,
        name: Option<&'n str>,
        fallback: Option<&'n str>,
    ) -> HashAttribute<'n, 'a> {
        let name = name.filter(|name| !name.is_empty()).unwrap_or("id");
        let value = |name: &str| self.attributes.get(name).filter(|value| js::truthy(value));
        if let Some(found) = value(name) {
            return HashAttribute { name, value: Some(found) };
        }
        let fallback = fallback.filter(|name| !name.is_empty());
        match fallback.and_then(|name| value(name).map(|value| (name, value))) {
            Some((name, found)) => HashAttribute { name, value: Some(found) },
            None => HashAttribute { name, value: None },
        }
    }
}

/// An attribute, as far as it has a value that can be hashed.
#[derive(Debug, Clone, Copy)]
struct HashAttribute<'n, 'a> {
    name: &'n str,
    value: Option<&'a Value>,
}

impl<'a> HashAttribute<'_, 'a> {
    /// The value as text, for hashing.
    fn text(&self) -> Option<Cow<'a, str>> {
        self.value.map(js::to_string)
    }

    /// The value as it is told; an empty text for none.
    fn told(&self) -> Value {
        self.value.cloned().unwrap_or_else(|| Value::String(String::new()))
    }
}

/// The result of an experiment, as SDKs report it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentResult {
    /// Key of the variation: from its meta, else its index.
    pub key: String,
    /// Key of the feature.
    pub feature_id: String,
    /// Whether the user is in the experiment.
    pub in_experiment: bool,
    /// Whether the hash decided, so that it is counted.
    pub hash_used: bool,
    /// Index of the variation.
    pub variation_id: usize,
    /// Value of the variation.
    pub value: Value,
    /// The attribute that was hashed.
    pub hash_attribute: String,
    /// Its value.
    pub hash_value: Value,
    /// Whether a kept assignment decided.
    pub sticky_bucket_used: bool,
    /// Where the hash fell, 0 to below 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<f64>,
    /// Name of the variation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether later rules decide the value.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub passthrough: bool,
}

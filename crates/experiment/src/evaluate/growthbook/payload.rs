//! Features as the SDK's API delivers them.

use crate::model::limits::{EXPERIMENTS_MAX, FEATURES_MAX, RANGES_MAX, RULES_MAX, VARIANTS_MAX};
use crate::targeting::growthbook::{Condition, ConditionError, SavedGroups};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The features of a payload, made ready.
#[derive(Debug, Clone, Default)]
pub struct Features {
    pub(super) features: HashMap<String, Feature>,
    pub(super) groups: SavedGroups,
}

/// Why a payload cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// It does not have the shape of a payload.
    #[error("{place}: {message}")]
    Shape {
        /// Where.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A condition cannot be read.
    #[error("{place}: {error}")]
    Condition {
        /// Where.
        place: String,
        /// What is wrong.
        error: ConditionError,
    },
    /// There is too much of something.
    #[error("{place}: at most {max} are allowed")]
    TooMany {
        /// Where.
        place: String,
        /// How many there may be.
        max: usize,
    },
}

/// A feature.
#[derive(Debug, Clone)]
pub(super) struct Feature {
    pub(super) default: Value,
    pub(super) rules: Vec<Rule>,
}

/// A rule of a feature.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) fields: Fields,
    pub(super) condition: Option<Condition>,
    pub(super) parents: Vec<Parent>,
}

/// A prerequisite.
#[derive(Debug, Clone)]
pub(super) struct Parent {
    pub(super) feature: String,
    pub(super) condition: Condition,
    pub(super) gate: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPayload {
    #[serde(default)]
    features: Map<String, Value>,
    #[serde(default)]
    saved_groups: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFeature {
    #[serde(default)]
    default_value: Value,
    rules: Option<Vec<Value>>,
}

#[derive(Debug, Clone, Deserialize)]
struct RawParent {
    id: String,
    condition: Option<Value>,
    #[serde(default)]
    gate: Option<bool>,
}

/// What a rule says, besides conditions. `null` counts as absent, but for `force`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fields {
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) force: Option<Value>,
    pub(super) variations: Option<Vec<Value>>,
    pub(super) key: Option<String>,
    pub(super) weights: Option<Vec<f64>>,
    pub(super) coverage: Option<f64>,
    pub(super) range: Option<[f64; 2]>,
    pub(super) ranges: Option<Vec<[f64; 2]>>,
    pub(super) namespace: Option<(String, f64, f64)>,
    pub(super) filters: Option<Vec<Filter>>,
    pub(super) hash_attribute: Option<String>,
    pub(super) fallback_attribute: Option<String>,
    pub(super) hash_version: Option<i64>,
    pub(super) seed: Option<String>,
    pub(super) meta: Option<Vec<Meta>>,
    pub(super) disable_sticky_bucketing: Option<bool>,
    pub(super) bucket_version: Option<u32>,
    pub(super) min_bucket_version: Option<u32>,
    condition: Option<Value>,
    parent_conditions: Option<Vec<RawParent>>,
}

/// Namespaces and other filters of who is included.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filter {
    #[serde(default)]
    pub(super) seed: String,
    pub(super) ranges: Vec<[f64; 2]>,
    pub(super) hash_version: Option<i64>,
    pub(super) attribute: Option<String>,
}

/// What is known about a variation.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Meta {
    pub(super) key: Option<String>,
    pub(super) name: Option<String>,
    pub(super) passthrough: Option<bool>,
}

/// Tells `null` from absent.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

fn read<'de, T: Deserialize<'de>>(place: &str, value: &'de Value) -> Result<T, PayloadError> {
    let shape = |message: String| PayloadError::Shape { place: place.to_owned(), message };
    if !value.is_object() {
        return Err(shape("must be an object".to_owned()));
    }
    T::deserialize(value).map_err(|error| shape(error.to_string()))
}

fn at_most(place: &str, count: usize, max: usize) -> Result<(), PayloadError> {
    if count > max { Err(PayloadError::TooMany { place: place.to_owned(), max }) } else { Ok(()) }
}

impl Features {
    /// Reads a payload: an object with `features` and, perhaps, `savedGroups`.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(payload: &Value) -> Result<Features, PayloadError> {
        let raw: RawPayload = read("payload", payload)?;
        at_most("features", raw.features.len(), FEATURES_MAX)?;
        let groups = raw.saved_groups.unwrap_or_default();
        at_most("savedGroups", groups.len(), EXPERIMENTS_MAX)?;
        let groups = SavedGroups::new(&groups)
            .map_err(|error| PayloadError::Condition { place: "savedGroups".to_owned(), error })?;
        let mut features = HashMap::with_capacity(raw.features.len());
        for (key, value) in &raw.features {
            features.insert(key.clone(), feature(&format!("features.{key}"), value)?);
        }
        Ok(Features { features, groups })
    }

    /// The keys of the features.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.features.keys().map(String::as_str)
    }
}

fn feature(place: &str, value: &Value) -> Result<Feature, PayloadError> {
    let raw: RawFeature = read(place, value)?;
    let rules = raw.rules.unwrap_or_default();
    at_most(&format!("{place}.rules"), rules.len(), RULES_MAX)?;
    let each = rules.iter().enumerate();
    let rules = each.map(|(index, raw)| rule(&format!("{place}.rules[{index}]"), raw));
    Ok(Feature { default: raw.default_value, rules: rules.collect::<Result<_, _>>()? })
}

fn rule(place: &str, value: &Value) -> Result<Rule, PayloadError> {
    let mut fields: Fields = read(place, value)?;
    at_most(place, fields.variations.as_ref().map_or(0, Vec::len), VARIANTS_MAX)?;
    at_most(place, fields.ranges.as_ref().map_or(0, Vec::len), RANGES_MAX)?;
    let filters = fields.filters.iter().flatten().map(|filter| filter.ranges.len()).sum();
    at_most(place, filters, RANGES_MAX)?;
    let condition = |value: &Value| {
        let error = |error| PayloadError::Condition { place: place.to_owned(), error };
        Condition::new(value).map_err(error)
    };
    let parent = |raw: RawParent| {
        let always = Value::Object(Map::new());
        let condition = condition(raw.condition.as_ref().unwrap_or(&always))?;
        Ok(Parent { feature: raw.id, condition, gate: raw.gate.unwrap_or(false) })
    };
    let parents = fields.parent_conditions.take().unwrap_or_default();
    at_most(place, parents.len(), RULES_MAX)?;
    Ok(Rule {
        condition: fields.condition.take().as_ref().map(condition).transpose()?,
        parents: parents.into_iter().map(parent).collect::<Result<_, _>>()?,
        fields,
    })
}

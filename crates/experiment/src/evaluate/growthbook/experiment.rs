//! The life of one experiment rule, in the order of the SDK.

use super::feature::{Exposure, State};
use super::payload::{Fields, Filter, Rule};
use super::sticky::{self, Kept, StickyWrite, experiment_key};
use super::{ExperimentResult, User};
use crate::targeting::growthbook::js;
use policy::assign::growthbook::{
    Version, bucket_ranges, choose_variation, hash, in_namespace, in_range,
};
use serde_json::Value;

/// An experiment that a rule describes.
pub(super) struct Run<'r> {
    pub(super) key: &'r str,
    pub(super) feature: &'r str,
    pub(super) variations: &'r [Value],
    pub(super) rule: &'r Rule,
}

/// How a variation came about.
#[derive(Default)]
struct How {
    hash_used: bool,
    bucket: Option<f64>,
    sticky: bool,
}

impl Run<'_> {
    /// Runs it for a user; records exposure and assignment.
    pub(super) fn run(&self, user: &User<'_>, state: &mut State<'_>) -> ExperimentResult {
        let fields = &self.rule.fields;
        let out = |sticky| self.result(user, None, &How { sticky, ..How::default() });
        let forced =
            |variation: i64| self.result(user, usize::try_from(variation).ok(), &How::default());
        let count = self.variations.len();
        if count < 2 {
            return out(false);
        }
        if let Some(variation) = query_override(self.key, user.url, count) {
            return forced(variation);
        }
        if let Some(variation) = user.forced_variations.and_then(|all| all.get(self.key)) {
            return forced(*variation);
        }
        let attribute = user.hash_attribute(fields.hash_attribute.as_deref(), self.fallback(user));
        let Some(value) = attribute.text() else { return out(false) };

        let sticky = user.sticky.is_some() && !fields.disable_sticky_bucketing.unwrap_or(false);
        let kept = match &state.docs {
            Some(docs) if sticky => sticky::kept(user, docs, self.key, fields),
            _ => Kept::Nothing,
        };
        let found = match kept {
            Kept::Variation(variation) => Some(variation),
            Kept::Nothing | Kept::Blocked => None,
        };
        if found.is_none() {
            let excluded = match (&fields.filters, &fields.namespace) {
                (Some(filters), _) => filtered_out(filters, user),
                (None, Some((id, start, end))) => !in_namespace(&value, id, *start, *end),
                (None, None) => false,
            };
            let condition = self.rule.condition.as_ref();
            let groups = &state.features.groups;
            if excluded || condition.is_some_and(|each| !each.matches(user.attributes, groups)) {
                return out(false);
            }
        }
        let seed = or(fields.seed.as_deref(), self.key);
        let Some(point) = point(seed, &value, fields.hash_version, 1) else { return out(false) };
        if matches!(kept, Kept::Blocked) {
            return out(true);
        }
        let assigned = found.or_else(|| {
            let coverage = fields.coverage.unwrap_or(1.0);
            match &fields.ranges {
                Some(ranges) => choose_variation(point, ranges),
                None => {
                    let ranges = bucket_ranges(count, coverage, fields.weights.as_deref());
                    choose_variation(point, &ranges)
                }
            }
        });
        if assigned.is_none() || user.qa_mode {
            return out(false);
        }
        let how = How { hash_used: true, bucket: Some(point), sticky: found.is_some() };
        let result = self.result(user, assigned, &how);
        if sticky {
            state.keep(StickyWrite {
                attribute_name: attribute.name.to_owned(),
                attribute_value: sticky::value_text(&attribute.told()),
                experiment: experiment_key(self.key, fields.bucket_version.unwrap_or(0)),
                variation: result.key.clone(),
            });
        }
        state.expose(Exposure { experiment: self.key.to_owned(), result: result.clone() });
        result
    }

    /// The attribute to fall back to, which sticky bucketing only has.
    fn fallback(&self, user: &User<'_>) -> Option<&str> {
        let fields = &self.rule.fields;
        let sticky = user.sticky.is_some() && !fields.disable_sticky_bucketing.unwrap_or(false);
        fields.fallback_attribute.as_deref().filter(|_| sticky)
    }

    /// A result; the first variation, and not in the experiment, for an index that is none.
    fn result(&self, user: &User<'_>, index: Option<usize>, how: &How) -> ExperimentResult {
        let fields = &self.rule.fields;
        let index = index.filter(|&index| index < self.variations.len());
        let at = index.unwrap_or(0);
        let attribute = user.hash_attribute(fields.hash_attribute.as_deref(), self.fallback(user));
        let meta = fields.meta.as_ref().and_then(|meta| meta.get(at)).cloned().unwrap_or_default();
        let named = |text: Option<String>| text.filter(|text| !text.is_empty());
        ExperimentResult {
            key: named(meta.key).unwrap_or_else(|| at.to_string()),
            feature_id: self.feature.to_owned(),
            in_experiment: index.is_some(),
            hash_used: how.hash_used,
            variation_id: at,
            value: self.variations.get(at).cloned().unwrap_or(Value::Null),
            hash_attribute: attribute.name.to_owned(),
            hash_value: attribute.told(),
            sticky_bucket_used: how.sticky,
            bucket: how.bucket,
            name: named(meta.name),
            passthrough: meta.passthrough.unwrap_or(false),
        }
    }
}

fn or<'a>(text: Option<&'a str>, other: &'a str) -> &'a str {
    text.filter(|text| !text.is_empty()).unwrap_or(other)
}

/// Where a value falls; `None` for an unknown version.
fn point(seed: &str, value: &str, version: Option<i64>, default: i64) -> Option<f64> {
    let version = version.filter(|&version| version != 0).unwrap_or(default);
    Version::from_number(version).map(|version| hash(seed, value, version))
}

/// Whether one of the filters keeps the user out.
pub(super) fn filtered_out(filters: &[Filter], user: &User<'_>) -> bool {
    filters.iter().any(|filter| {
        let value = user.hash_attribute(filter.attribute.as_deref(), None).text();
        let point = value.and_then(|value| point(&filter.seed, &value, filter.hash_version, 2));
        point.is_none_or(|point| !filter.ranges.iter().any(|range| in_range(point, *range)))
    })
}

/// Whether a forced value is for this user.
pub(super) fn in_rollout(fields: &Fields, feature: &str, user: &User<'_>) -> bool {
    if fields.range.is_none() && fields.coverage.is_none_or(|coverage| coverage == 0.0) {
        return fields.coverage.is_none();
    }
    let sticky = user.sticky.is_some() && !fields.disable_sticky_bucketing.unwrap_or(false);
    let fallback = fields.fallback_attribute.as_deref().filter(|_| sticky);
    let value = user.hash_attribute(fields.hash_attribute.as_deref(), fallback).text();
    let seed = or(fields.seed.as_deref(), feature);
    let point = value.and_then(|value| point(seed, &value, fields.hash_version, 1));
    point.is_some_and(|point| match fields.range {
        Some(range) => in_range(point, range),
        // Here the SDK counts the end as in.
        None => fields.coverage.is_some_and(|coverage| point <= coverage),
    })
}

/// The variation that the query of a URL asks for, as the SDK reads it: not decoded, the first one
/// of the name.
fn query_override(key: &str, url: &str, variations: usize) -> Option<i64> {
    let query = url.split('?').nth(1)?;
    let query = query.split('#').next()?;
    let mut pairs = query.split('&').map(|pair| {
        let mut parts = pair.split('=');
        (parts.next(), parts.next())
    });
    let (_, value) = pairs.find(|(name, _)| *name == Some(key))?;
    let number = js::parse_int(value?)?;
    // Within the count, so it fits.
    (number >= 0.0 && number < variations as f64).then_some(number as i64)
}

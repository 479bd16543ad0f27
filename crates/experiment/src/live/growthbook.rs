//! Our experiments as GrowthBook's clients see them: one feature per experiment, whose value is
//! that of the variant, or the variant's key.
//!
//! Clients that evaluate by themselves can only do so for what their SDK knows: a hash of
//! GrowthBook's, one id, conditions on attributes. Every other experiment is left out of the
//! payload, and is decided here when the client evaluates remotely.

use crate::model::{
    Action, Experiment, ExperimentSet, Identity, Phase, Share, Status, UnixMillis, Variant,
};
use crate::targeting::{Condition, Field, Test};
use policy::assign::HashVersion;
use serde_json::{Map, Value, json};

/// The value of a variant.
#[must_use]
pub fn value_of(variant: &Variant) -> Value {
    let value = variant.actions.iter().find_map(|action| match action {
        Action::Value(value) => Some(value.clone()),
        _ => None,
    });
    value.unwrap_or_else(|| Value::String(variant.key.clone()))
}

/// The attribute that clients hash.
#[must_use]
pub fn hash_attribute(experiment: &Experiment) -> &str {
    let unit = &experiment.unit;
    let source = match unit.identity {
        Identity::User => unit.user.as_ref(),
        Identity::Device | Identity::Linked => unit.device.as_ref(),
    };
    source.map_or("id", |source| source.name())
}

/// The payload of the SDK API at a time: `features`, `experiments` and `dateUpdated`, by which
/// clients tell one payload from another.
#[must_use]
pub fn payload(set: &ExperimentSet, since: UnixMillis, now: UnixMillis) -> Value {
    let mut features = Map::new();
    let mut updated = since;
    for experiment in &set.experiments {
        let phases = experiment.phases.iter().map(|phase| phase.since);
        let schedule = [experiment.schedule.start, experiment.schedule.end];
        let times = phases.chain(schedule.into_iter().flatten());
        updated = times.filter(|&time| time <= now).fold(updated, UnixMillis::max);
        if let Some(rules) = rules(set, experiment, now) {
            let feature = json!({ "defaultValue": null, "rules": rules });
            features.insert(experiment.key.clone(), feature);
        }
    }
    json!({ "features": features, "experiments": [], "dateUpdated": date(updated) })
}

/// A time as clients expect it: `2026-01-31T12:00:00.000Z`.
#[must_use]
pub fn date(time: UnixMillis) -> String {
    let time =
        i64::try_from(time).ok().and_then(|time| jiff::Timestamp::from_millisecond(time).ok());
    format!("{:.3}", time.unwrap_or_default())
}

/// The rules of an experiment that is running and that a client can evaluate.
fn rules(set: &ExperimentSet, experiment: &Experiment, now: UnixMillis) -> Option<Vec<Value>> {
    let hash_version = hash_version(experiment.hash)?;
    let unit = &experiment.unit;
    let first = experiment.phases.first()?.since;
    let running = experiment.status == Status::Running
        && experiment.schedule.start.unwrap_or(0).max(first) <= now
        && experiment.schedule.end.is_none_or(|end| now < end);
    let held_out = set.holdouts.iter().any(|holdout| {
        holdout.experiments.is_empty() || holdout.experiments.contains(&experiment.key)
    });
    if !running
        || held_out
        || unit.identity == Identity::Linked
        || !experiment.prerequisites.is_empty()
    {
        return None;
    }
    let number = experiment.phase_at(now);
    let phase = experiment.phases.get(number)?;
    let attribute = hash_attribute(experiment);
    let salt = phase.salt.as_ref().or(experiment.salts.variant.as_ref());
    let values: Vec<Value> = experiment.variants.iter().map(value_of).collect();
    let meta: Vec<Value> = experiment
        .variants
        .iter()
        .map(|variant| json!({ "key": variant.key, "name": variant.key }))
        .collect();
    let mut rule = json!({
        "id": format!("{}:{number}", experiment.key),
        "key": experiment.key,
        "seed": salt.unwrap_or(&experiment.key),
        "hashAttribute": attribute,
        "hashVersion": hash_version,
        "variations": values,
        "meta": meta,
        "phase": number.to_string(),
    });
    let fields = rule.as_object_mut()?;
    divide(fields, experiment, phase)?;
    if !experiment.layers.is_empty() {
        fields.insert("filters".to_owned(), filters(set, experiment, attribute)?);
    }
    if let Some(condition) = &experiment.targeting {
        fields.insert("condition".to_owned(), condition_of(condition)?);
    }
    match experiment.sticky {
        Some(sticky) if sticky.ignore_targeting => return None,
        Some(sticky) => {
            fields.insert("bucketVersion".to_owned(), sticky.version.into());
            fields.insert("minBucketVersion".to_owned(), sticky.min_version.into());
        }
        None => {
            fields.insert("disableStickyBucketing".to_owned(), true.into());
        }
    }
    let mut rules = forced(experiment, attribute);
    rules.push(rule);
    Some(rules)
}

fn hash_version(hash: HashVersion) -> Option<u8> {
    match hash {
        HashVersion::Growthbook1 => Some(1),
        HashVersion::Growthbook2 => Some(2),
        _ => None,
    }
}

/// Weights and coverage, or ranges.
fn divide(fields: &mut Map<String, Value>, experiment: &Experiment, phase: &Phase) -> Option<()> {
    if phase.ranges.is_empty() {
        fields.insert("weights".to_owned(), json!(phase.shares()));
        fields.insert("coverage".to_owned(), json!(experiment.coverage.fraction()));
        return Some(());
    }
    let single = phase.ranges.iter().map(|ranges| match ranges.as_slice() {
        [range] => Some(*range),
        _ => None,
    });
    let ranges: Vec<[f64; 2]> = single.collect::<Option<_>>()?;
    fields.insert("ranges".to_owned(), json!(ranges));
    Some(())
}

fn filters(set: &ExperimentSet, experiment: &Experiment, attribute: &str) -> Option<Value> {
    let each = experiment.layers.iter().map(|slot| {
        let layer = set.layers.iter().find(|layer| layer.key == slot.layer)?;
        let ranges: Vec<[f64; 2]> =
            slot.ranges.iter().map(|range| range.map(Share::fraction)).collect();
        Some(json!({
            "seed": layer.salt.as_ref().unwrap_or(&layer.key),
            "hashVersion": hash_version(layer.hash)?,
            "attribute": attribute,
            "ranges": ranges,
        }))
    });
    each.collect::<Option<Vec<_>>>().map(Value::Array)
}

/// Rules for units with a fixed variant, which are not counted.
fn forced(experiment: &Experiment, attribute: &str) -> Vec<Value> {
    let rule = |variant: &Variant| {
        let of = experiment.overrides.iter().filter(|each| each.variant == variant.key);
        let units: Vec<&str> = of.map(|each| each.unit.as_str()).collect();
        let condition = json!({ attribute: { "$in": units } });
        (!units.is_empty()).then(|| json!({ "condition": condition, "force": value_of(variant) }))
    };
    experiment.variants.iter().filter_map(rule).collect()
}

/// A condition on attributes in GrowthBook's language; `None` for what it cannot say with the same
/// meaning.
fn condition_of(condition: &Condition) -> Option<Value> {
    let list = |name: &str, conditions: &[Condition]| {
        let each: Option<Vec<Value>> = conditions.iter().map(condition_of).collect();
        Some(json!({ name: each? }))
    };
    match condition {
        Condition::Growthbook(condition) => Some(condition.clone()),
        Condition::All(conditions) => list("$and", conditions),
        // No condition at all: GrowthBook's `$or` of nothing holds, ours does not.
        Condition::Any(conditions) if conditions.is_empty() => None,
        Condition::Any(conditions) => list("$or", conditions),
        Condition::Not(inner) => Some(json!({ "$not": condition_of(inner)? })),
        Condition::Match { field: Field::Attribute(name), is, ignore_case: false } => {
            let test = match is {
                Test::Exists(exists) => json!({ "$exists": exists }),
                Test::In(list) if !is_number_like(list) => json!({ "$in": list }),
                Test::Eq(text) if !is_number_like(std::slice::from_ref(text)) => {
                    json!({ "$in": [text] })
                }
                _ => return None,
            };
            Some(json!({ name.as_str(): test }))
        }
        Condition::Match { .. } => None,
    }
}

/// Whether a text could also be met by a number or a truth value, which GrowthBook tells apart.
fn is_number_like(texts: &[String]) -> bool {
    texts.iter().any(|text| {
        text.is_empty() || text.parse::<f64>().is_ok() || matches!(text.as_str(), "true" | "false")
    })
}

/// A feature for a client that evaluates remotely: the value that was decided, and the exposure
/// that the client reports when it uses it.
#[must_use]
pub fn decided(experiment: &Experiment, variant: u16, unit: &str, counted: bool) -> Option<Value> {
    let index = usize::from(variant);
    let value = value_of(experiment.variants.get(index)?);
    let mut rule = json!({ "id": experiment.key, "force": value });
    if counted {
        let values: Vec<Value> = experiment.variants.iter().map(value_of).collect();
        let key = &experiment.variants.get(index)?.key;
        let track = json!({
            "experiment": { "key": experiment.key, "variations": values },
            "result": {
                "key": key, "name": key, "featureId": experiment.key, "value": value,
                "variationId": index, "inExperiment": true, "hashUsed": true,
                "hashAttribute": hash_attribute(experiment), "hashValue": unit,
                "stickyBucketUsed": false,
            },
        });
        rule.as_object_mut()?.insert("tracks".to_owned(), json!([track]));
    }
    Some(json!({ "defaultValue": null, "rules": [rule] }))
}

//! GrowthBook: rules of features that are experiments.

use experiment::model::{Layer, LayerSlot, Share};
use experiment::targeting::Condition;
use policy::assign::HashVersion;
use serde_json::Value;

use super::{ImportError, ImportOptions, Imported, draft, name, shape};

pub(super) fn read(
    value: &Value,
    options: &ImportOptions,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    let features = value.get("features").unwrap_or(value).as_object();
    let features = features.ok_or_else(|| shape("features", "there should be an object"))?;
    for (feature, definition) in features {
        let rules = definition.get("rules").and_then(Value::as_array);
        let rules = rules.map(Vec::as_slice).unwrap_or_default();
        let experiments: Vec<&Value> =
            rules.iter().filter(|rule| rule.get("variations").is_some()).collect();
        if experiments.is_empty() {
            imported.note(feature, "has no experiment");
        }
        if experiments.len() < rules.len() && !experiments.is_empty() {
            imported.note(feature, "its other rules (forced values, rollouts) are left out");
        }
        for rule in experiments {
            one(feature, rule, options, imported);
        }
    }
    Ok(())
}

fn one(feature: &str, rule: &Value, options: &ImportOptions, imported: &mut Imported) {
    let text = |key: &str| rule.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let key = text("key").unwrap_or(feature);
    for (part, why) in [
        ("parentConditions", "it depends on another feature's value"),
        ("range", "a range of its own is no experiment's"),
        ("fallbackAttribute", "a fallback attribute is hashed for some"),
    ] {
        if rule.get(part).is_some_and(|part| !part.is_null()) {
            imported.note(key, &format!("left out: {why}"));
            return;
        }
    }
    let variations = rule.get("variations").and_then(Value::as_array);
    let Some(variations) = variations else {
        imported.note(key, "left out: its variations are no list");
        return;
    };
    let hash = match rule.get("hashVersion").map(Value::as_i64) {
        None | Some(Some(1)) => HashVersion::Growthbook1,
        Some(Some(2)) => HashVersion::Growthbook2,
        Some(_) => {
            imported.note(key, "left out: its hash version is unknown");
            return;
        }
    };
    let meta =
        |index: usize| rule.get("meta").and_then(|meta| meta.get(index)?.get("key")?.as_str());
    let variants = variations.iter().enumerate().map(|(index, value)| {
        (meta(index).map_or_else(|| index.to_string(), str::to_owned), Some(value.clone()))
    });
    let attribute = text("hashAttribute").unwrap_or("id");
    let mut experiment = draft(key, hash, attribute, variants.collect(), options);
    if let Some(seed) = text("seed") {
        experiment.salts.variant = Some(seed.to_owned());
    }
    if let Err(why) = divide(rule, variations.len(), &mut experiment) {
        imported.note(key, &format!("left out: {why}"));
        return;
    }
    experiment.targeting = rule
        .get("condition")
        .filter(|condition| condition.as_object().is_some_and(|it| !it.is_empty()))
        .map(|condition| Condition::Growthbook(condition.clone()));
    match layers(rule, imported) {
        Ok(slots) => experiment.layers = slots,
        Err(why) => {
            imported.note(key, &format!("left out: {why}"));
            return;
        }
    }
    imported.add(experiment);
}

/// Weights and coverage, or ranges.
fn divide(
    rule: &Value,
    count: usize,
    experiment: &mut experiment::model::Experiment,
) -> Result<(), String> {
    let numbers = |value: &Value| -> Option<Vec<f64>> {
        value.as_array()?.iter().map(Value::as_f64).collect()
    };
    let Some(phase) = experiment.phases.first_mut() else { return Ok(()) };
    if let Some(ranges) = rule.get("ranges").and_then(Value::as_array) {
        let pairs = ranges.iter().map(|range| match numbers(range)?[..] {
            [start, end] => Some(vec![[start, end]]),
            _ => None,
        });
        phase.ranges = pairs.collect::<Option<_>>().ok_or("its ranges are no pairs of numbers")?;
        return Ok(());
    }
    // The SDK divides equally when weights do not fit.
    let weights = rule.get("weights").and_then(&numbers).filter(|weights| {
        let sum: f64 = weights.iter().sum();
        weights.len() == count && (0.99..=1.01).contains(&sum)
    });
    phase.weights = match weights {
        None => vec![1; count],
        Some(weights) => weights.iter().map(|weight| (weight * 1e6).round() as u32).collect(),
    };
    if let Some(coverage) = rule.get("coverage").and_then(Value::as_f64) {
        experiment.coverage = Share::try_from(coverage.clamp(0.0, 1.0))?;
    }
    Ok(())
}

/// Namespaces and filters.
fn layers(rule: &Value, imported: &mut Imported) -> Result<Vec<LayerSlot>, String> {
    let mut slots = Vec::new();
    let share = |value: &Value| {
        value.as_f64().and_then(|it| Share::try_from(it).ok()).ok_or("a range is no share")
    };
    let pair = |range: &Value| match range.as_array().map(Vec::as_slice) {
        Some([start, end]) => Ok([share(start)?, share(end)?]),
        _ => Err("a range is no pair"),
    };
    if let Some(filters) = rule.get("filters").and_then(Value::as_array) {
        for filter in filters {
            let seed = filter.get("seed").and_then(Value::as_str).unwrap_or_default();
            let version = filter.get("hashVersion").and_then(Value::as_i64).unwrap_or(2);
            if version != 2 || filter.get("attribute").is_some_and(|it| !it.is_null()) {
                return Err("a filter has another hash or attribute".to_owned());
            }
            let ranges = filter.get("ranges").and_then(Value::as_array);
            let ranges = ranges.into_iter().flatten().map(&pair).collect::<Result<_, _>>()?;
            slots.push(slot(seed, HashVersion::Growthbook2, seed.to_owned(), ranges, imported));
        }
    } else if let Some(namespace) = rule.get("namespace").and_then(Value::as_array) {
        let [id, start, end] = namespace.as_slice() else {
            return Err("its namespace is no list of three".to_owned());
        };
        let id = id.as_str().ok_or("its namespace has no name")?;
        let ranges = vec![[share(start)?, share(end)?]];
        let salt = format!("__{id}");
        slots.push(slot(id, HashVersion::Growthbook1, salt, ranges, imported));
    }
    Ok(slots)
}

fn slot(
    key: &str,
    hash: HashVersion,
    salt: String,
    ranges: Vec<[Share; 2]>,
    imported: &mut Imported,
) -> LayerSlot {
    let key = name(if key.is_empty() { "filter" } else { key });
    let layers = &mut imported.declared.set.layers;
    if !layers.iter().any(|layer| layer.key == key) {
        layers.push(Layer { key: key.clone(), hash, salt: Some(salt) });
    }
    LayerSlot { layer: key, ranges }
}

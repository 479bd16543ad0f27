//! GrowthBook: rules of features that are experiments.

use experiment::model::{Experiment, Layer, LayerSlot, Share};
use experiment::targeting::Condition;
use policy::assign::growthbook::{bucket_ranges, choose_variation};
use policy::assign::{BUCKETS, HashVersion};
use serde_json::{Map, Value, json};

use super::{ImportError, ImportOptions, Imported, draft, name, shape};

/// Where the SDK's hashes can fall: at multiples of this part of 1.
const POINTS: u32 = 10_000;

/// What is the same for all features of a file.
struct File<'a> {
    options: &'a ImportOptions,
    groups: Map<String, Value>,
}

pub(super) fn read(
    value: &Value,
    options: &ImportOptions,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    let features = value.get("features").unwrap_or(value).as_object();
    let features = features.ok_or_else(|| shape("features", "there should be an object"))?;
    let groups = value.get("features").and_then(|_| value.get("savedGroups"));
    let groups = groups.and_then(Value::as_object).cloned().unwrap_or_default();
    let file = File { options, groups };
    for (feature, definition) in features {
        let rules = definition.get("rules").and_then(Value::as_array);
        let rules = rules.map(Vec::as_slice).unwrap_or_default();
        let count = rules.iter().filter(|rule| is_experiment(rule)).count();
        if count == 0 {
            imported.note(feature, "has no experiment");
        } else if count < rules.len() {
            imported.note(feature, "its other rules (forced values, rollouts) are left out");
        }
        let mut before = Before::default();
        for rule in rules {
            if is_experiment(rule) {
                let text = rule.get("key").and_then(Value::as_str).filter(|key| !key.is_empty());
                let key = text.unwrap_or(feature);
                if let Err(why) = one(key, rule, &before, &file, imported) {
                    imported.note(key, &format!("left out: {why}"));
                }
            }
            before.add(rule);
        }
    }
    Ok(())
}

/// A forced value of the same rule has its way.
fn is_experiment(rule: &Value) -> bool {
    rule.get("variations").is_some() && rule.get("force").is_none()
}

/// The rules before one: whom they take, it does not get.
#[derive(Default)]
struct Before {
    /// Who is forced, all others come.
    conditions: Vec<Value>,
    /// It cannot be said who is left.
    opaque: bool,
}

impl Before {
    fn add(&mut self, rule: &Value) {
        // A value for whoever meets a condition, and nothing else.
        let said = |(key, value): (&String, &Value)| {
            matches!(key.as_str(), "id" | "condition" | "force") || value.is_null()
        };
        let plain = rule.as_object().is_some_and(|rule| rule.iter().all(said));
        let forced = rule.get("force").is_some_and(|force| !force.is_null());
        match rule.get("condition") {
            Some(condition) if plain && forced && !is_empty(condition) => {
                self.conditions.push(condition.clone());
            }
            _ => self.opaque = true,
        }
    }
}

fn is_empty(condition: &Value) -> bool {
    condition.is_null() || condition.as_object().is_some_and(Map::is_empty)
}

fn one(
    key: &str,
    rule: &Value,
    before: &Before,
    file: &File<'_>,
    imported: &mut Imported,
) -> Result<(), String> {
    let text = |key: &str| rule.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    for (part, why) in [
        ("parentConditions", "it depends on another feature's value"),
        ("range", "a range of its own is no experiment's"),
        ("fallbackAttribute", "a fallback attribute is hashed for some"),
    ] {
        if rule.get(part).is_some_and(|part| !part.is_null()) {
            return Err(why.to_owned());
        }
    }
    if before.opaque {
        return Err("a rule before it takes some units, by more than a condition".to_owned());
    }
    let variations = rule.get("variations").and_then(Value::as_array);
    let variations = variations.ok_or("its variations are no list")?;
    let hash = match rule.get("hashVersion").map(Value::as_i64) {
        None | Some(Some(1)) => HashVersion::Growthbook1,
        Some(Some(2)) => HashVersion::Growthbook2,
        Some(_) => return Err("its hash version is unknown".to_owned()),
    };
    let meta =
        |index: usize| rule.get("meta").and_then(|meta| meta.get(index)?.get("key")?.as_str());
    let variants = variations.iter().enumerate().map(|(index, value)| {
        (meta(index).map_or_else(|| index.to_string(), str::to_owned), Some(value.clone()))
    });
    let attribute = text("hashAttribute").unwrap_or("id");
    let mut experiment = draft(key, hash, attribute, variants.collect(), file.options);
    if let Some(seed) = text("seed") {
        experiment.salts.variant = Some(seed.to_owned());
    }
    divide(rule, variations.len(), &mut experiment)?;
    experiment.targeting = targeting(rule, before, &file.groups)?;
    experiment.layers = layers(rule, attribute, imported)?;
    imported.add(experiment);
    Ok(())
}

/// Weights and coverage, or ranges.
fn divide(rule: &Value, count: usize, experiment: &mut Experiment) -> Result<(), String> {
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
    let given = rule.get("weights").and_then(&numbers).filter(|weights| {
        let sum: f64 = weights.iter().sum();
        weights.len() == count && (0.99..=1.01).contains(&sum)
    });
    let given = given.unwrap_or_else(|| vec![1.0 / count as f64; count]);
    if given.iter().any(|weight| !(0.0..=1.0).contains(weight)) {
        return Err("a weight is no share".to_owned());
    }
    let coverage = rule.get("coverage").and_then(Value::as_f64).unwrap_or(1.0).clamp(0.0, 1.0);
    let wanted = bucket_ranges(count, coverage, Some(&given));
    let share = Share::try_from(coverage)?;
    let equal = vec![1; count];
    let millionths: Vec<u32> =
        given.iter().map(|weight| (weight * f64::from(BUCKETS)).round() as u32).collect();
    for weights in [equal, millionths] {
        if same(&wanted, &ours(&weights, share)) {
            (phase.weights, experiment.coverage) = (weights, share);
            return Ok(());
        }
    }
    // Weights that do not sum to 1 leave a gap, which weights of ours cannot say.
    let within = |[start, end]: [f64; 2]| vec![[start.min(1.0), end.min(1.0)]];
    phase.ranges = wanted.into_iter().map(within).collect();
    Ok(())
}

/// The ranges that weights and coverage of ours mean.
fn ours(weights: &[u32], coverage: Share) -> Vec<[f64; 2]> {
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let shares: Vec<f64> = weights.iter().map(|&weight| f64::from(weight) / total).collect();
    bucket_ranges(weights.len(), coverage.fraction(), Some(&shares))
}

/// Whether everybody gets the same of both.
fn same(one: &[[f64; 2]], other: &[[f64; 2]]) -> bool {
    let mut points = (0..POINTS).map(|point| f64::from(point) / f64::from(POINTS));
    points.all(|point| choose_variation(point, one) == choose_variation(point, other))
}

/// Its condition, and that no rule before it holds.
fn targeting(
    rule: &Value,
    before: &Before,
    groups: &Map<String, Value>,
) -> Result<Option<Condition>, String> {
    let own = rule.get("condition").filter(|condition| !is_empty(condition)).cloned();
    let others = before.conditions.iter().map(|each| json!({ "$not": each }));
    let mut all: Vec<Value> = own.into_iter().chain(others).collect();
    for condition in &mut all {
        resolve(condition, groups)?;
    }
    let all = if all.len() > 1 { Some(json!({ "$and": all })) } else { all.pop() };
    Ok(all.map(Condition::Growthbook))
}

/// Puts the values of saved groups in the place of their names.
fn resolve(condition: &mut Value, groups: &Map<String, Value>) -> Result<(), String> {
    match condition {
        Value::Array(values) => values.iter_mut().try_for_each(|each| resolve(each, groups)),
        Value::Object(object) => {
            if object.contains_key("$savedGroup") {
                return Err("its condition is on a typed saved group".to_owned());
            }
            for (by_name, by_values) in [("$inGroup", "$in"), ("$notInGroup", "$nin")] {
                let Some(id) = object.remove(by_name) else { continue };
                let values = id.as_str().and_then(|id| groups.get(id)).filter(|it| it.is_array());
                let values =
                    values.ok_or("the file does not have a saved group of its condition")?;
                if object.insert(by_values.to_owned(), values.clone()).is_some() {
                    return Err(format!("its condition has {by_name} beside {by_values}"));
                }
            }
            object.values_mut().try_for_each(|each| resolve(each, groups))
        }
        _ => Ok(()),
    }
}

/// Namespaces and filters.
fn layers(
    rule: &Value,
    attribute: &str,
    imported: &mut Imported,
) -> Result<Vec<LayerSlot>, String> {
    let pair = |range: &Value| match range.as_array().map(Vec::as_slice) {
        Some([start, end]) => Ok([share(start)?, share(end)?]),
        _ => Err("a range is no pair"),
    };
    let mut slots = Vec::new();
    let filters = rule.get("filters").and_then(Value::as_array);
    let namespace = rule.get("namespace").and_then(Value::as_array);
    if filters.is_some_and(Vec::is_empty) && namespace.is_some() {
        return Err("SDKs differ on an empty list of filters beside a namespace".to_owned());
    }
    if let Some(filters) = filters {
        for filter in filters {
            let text = |key: &str| filter.get(key).and_then(Value::as_str);
            // Of a filter that names none it is `id`, whatever the experiment hashes.
            if text("attribute").filter(|it| !it.is_empty()).unwrap_or("id") != attribute {
                return Err("a filter hashes another attribute".to_owned());
            }
            let hash = match filter.get("hashVersion").map(Value::as_i64) {
                Some(Some(1)) => HashVersion::Growthbook1,
                None | Some(Some(2)) => HashVersion::Growthbook2,
                Some(_) => return Err("a filter has an unknown hash version".to_owned()),
            };
            let seed = text("seed").unwrap_or_default();
            let ranges = filter.get("ranges").and_then(Value::as_array);
            let ranges = ranges.into_iter().flatten().map(&pair).collect::<Result<_, _>>()?;
            slots.push(slot(seed, hash, seed.to_owned(), ranges, imported));
        }
    } else if let Some(namespace) = namespace {
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

/// The end of a range in millionths: the least that is not below it, so that the same hashes are
/// beyond it.
fn share(value: &Value) -> Result<Share, &'static str> {
    let number = value.as_f64().ok_or("a range is no share")?.clamp(0.0, 1.0);
    let nearest = (number * f64::from(BUCKETS)).round() as u32;
    let below = f64::from(nearest) / f64::from(BUCKETS) < number;
    Share::from_ppm(nearest + u32::from(below)).ok_or("a range is no share")
}

/// A part of a layer of this hash and salt.
fn slot(
    id: &str,
    hash: HashVersion,
    salt: String,
    ranges: Vec<[Share; 2]>,
    imported: &mut Imported,
) -> LayerSlot {
    let layers = &mut imported.declared.set.layers;
    let mut layer =
        Layer { key: name(if id.is_empty() { "filter" } else { id }), hash, salt: Some(salt) };
    let first = layer.key.clone();
    for number in 2_u32.. {
        match layers.iter().find(|each| each.key == layer.key) {
            Some(known) if known.deals_as(&layer) => break,
            // Another one of the same name.
            Some(_) => layer.key = format!("{first}-{number}"),
            None => {
                layers.push(layer.clone());
                break;
            }
        }
    }
    LayerSlot { layer: layer.key, ranges }
}

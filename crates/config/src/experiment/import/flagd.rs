//! flagd: flags whose targeting is one fractional split by targeting key.

use policy::assign::HashVersion;
use serde_json::{Value, json};

use super::{ImportError, ImportOptions, Imported, draft, shape, whole};

pub(super) fn read(
    value: &Value,
    options: &ImportOptions,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    let flags = value.get("flags").and_then(Value::as_object);
    let flags = flags.ok_or_else(|| shape("flags", "there should be an object"))?;
    for (key, flag) in flags {
        if let Err(why) = one(key, flag, options, imported) {
            imported.note(key, &format!("left out: {why}"));
        }
    }
    Ok(())
}

fn one(
    key: &str,
    flag: &Value,
    options: &ImportOptions,
    imported: &mut Imported,
) -> Result<(), String> {
    if flag.get("state").and_then(Value::as_str) == Some("DISABLED") {
        return Err("it is disabled".to_owned());
    }
    let fractional = flag.get("targeting").and_then(|it| it.get("fractional"));
    let fractional = fractional.and_then(Value::as_array);
    let Some(parts) = fractional else {
        return Err("its targeting is no fractional split".to_owned());
    };
    let by = parts.first().filter(|part| part.is_object());
    let joined = json!({"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]});
    let hash = match by {
        None => options.flagd,
        // What is joined by hand is hashed as text, by every release.
        Some(by) if *by == joined => HashVersion::FlagdString,
        Some(_) => return Err("it is split by something else than the targeting key".to_owned()),
    };
    let known = flag.get("variants").and_then(Value::as_object);
    let (mut variants, mut weights) = (Vec::new(), Vec::new());
    for part in parts.iter().skip(usize::from(by.is_some())) {
        let part = part.as_array().ok_or("a part of the split is no list")?;
        let name = part.first().and_then(Value::as_str).ok_or("a part names no variant")?;
        let weight = part.get(1).map_or(Some(1), whole).ok_or("a weight is no whole number")?;
        variants.push((name.to_owned(), known.and_then(|known| known.get(name)).cloned()));
        weights.push(weight);
    }
    let mut experiment = draft(key, hash, "targetingKey", variants, options);
    if let Some(phase) = experiment.phases.first_mut() {
        phase.weights = weights;
    }
    imported.add(experiment);
    Ok(())
}

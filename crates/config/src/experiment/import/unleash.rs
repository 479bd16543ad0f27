//! Unleash: features with variants behind one flexible rollout.

use experiment::model::Share;
use experiment::targeting::{Condition, Field, Test};
use policy::assign::HashVersion;
use serde_json::Value;

use super::{ImportError, ImportOptions, Imported, draft, shape, whole};

pub(super) fn read(
    value: &Value,
    options: &ImportOptions,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    let features = value.get("features").and_then(Value::as_array);
    let features = features.ok_or_else(|| shape("features", "there should be a list"))?;
    for (index, feature) in features.iter().enumerate() {
        let name = feature.get("name").and_then(Value::as_str);
        let place = format!("features[{index}]");
        let name = name.ok_or_else(|| shape(&place, "there should be a name"))?;
        if let Err(why) = one(name, feature, options, imported) {
            imported.note(name, &format!("left out: {why}"));
        }
    }
    Ok(())
}

fn one(
    name: &str,
    feature: &Value,
    options: &ImportOptions,
    imported: &mut Imported,
) -> Result<(), String> {
    let list = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    if !list(feature, "dependencies").is_empty() {
        return Err("it depends on another feature".to_owned());
    }
    let strategies = list(feature, "strategies");
    let strategies: Vec<&Value> =
        strategies.iter().filter(|it| it.get("disabled") != Some(&Value::Bool(true))).collect();
    let strategy = match strategies[..] {
        [] => None,
        [one] => Some(one),
        _ => return Err("it has several strategies".to_owned()),
    };
    let parameter = |key: &str| {
        let value = strategy?.get("parameters")?.get(key)?;
        value.as_str().map(str::to_owned).or_else(|| value.as_f64().map(|it| it.to_string()))
    };
    let kind = strategy.and_then(|it| it.get("name")).and_then(Value::as_str);
    if !matches!(kind, None | Some("default" | "flexibleRollout")) {
        return Err(format!("its strategy is {}", kind.unwrap_or_default()));
    }
    let group = parameter("groupId").unwrap_or_else(|| name.to_owned());
    // Variants of the strategy are hashed with its group, those of the feature with its name.
    let own = strategy.map(|it| list(it, "variants")).unwrap_or_default();
    let (variants, salt) = if own.is_empty() {
        (list(feature, "variants"), name.to_owned())
    } else {
        (own, group.clone())
    };
    if variants.len() < 2 {
        return Err("it has no variants to compare".to_owned());
    }
    let overridden = |variant: &Value| !list(variant, "overrides").is_empty();
    if variants.iter().any(overridden) {
        return Err("its variants have overrides".to_owned());
    }
    let stickiness = |value: Option<String>| value.filter(|it| it != "default");
    let rollout = stickiness(parameter("stickiness"));
    let of_variants = variants.first().and_then(|it| it.get("stickiness")?.as_str());
    let of_variants = stickiness(of_variants.map(str::to_owned));
    let attribute = of_variants.clone().or(rollout.clone()).unwrap_or_else(|| "userId".to_owned());
    if attribute == "random" || of_variants.is_some() && rollout.is_some() && of_variants != rollout
    {
        return Err("who is in and which variant are not hashed from the same id".to_owned());
    }
    let mut weights = Vec::new();
    let mut named = Vec::new();
    for variant in &variants {
        let weight = variant.get("weight").and_then(whole);
        weights.push(weight.ok_or("a weight is no whole number")?);
        let key = variant.get("name").and_then(Value::as_str).ok_or("a variant has no name")?;
        named.push((key.to_owned(), variant.get("payload").map(payload)));
    }
    let mut experiment = draft(name, HashVersion::Unleash, &attribute, named, options);
    experiment.salts.variant = Some(salt);
    experiment.salts.coverage = Some(group);
    if let Some(phase) = experiment.phases.first_mut() {
        phase.weights = weights;
    }
    if let Some(rollout) = parameter("rollout") {
        let percent: f64 = rollout.parse().map_err(|_| "its rollout is no number")?;
        experiment.coverage = Share::try_from(percent / 100.0)?;
    }
    let constraints = strategy.map(|it| list(it, "constraints")).unwrap_or_default();
    if strategy.is_some_and(|it| !list(it, "segments").is_empty()) {
        return Err("it is for segments".to_owned());
    }
    let all: Vec<Condition> = constraints.iter().map(constraint).collect::<Result<_, _>>()?;
    experiment.targeting = (!all.is_empty()).then_some(Condition::All(all));
    imported.add(experiment);
    Ok(())
}

fn payload(payload: &Value) -> Value {
    let value = payload.get("value").cloned().unwrap_or_default();
    let json = payload.get("type").and_then(Value::as_str) == Some("json");
    let parsed = value.as_str().filter(|_| json).and_then(|text| serde_json::from_str(text).ok());
    parsed.unwrap_or(value)
}

fn constraint(constraint: &Value) -> Result<Condition, String> {
    let text = |key: &str| constraint.get(key).and_then(Value::as_str);
    let field = text("contextName").ok_or("a constraint names no field")?;
    let values: Vec<String> = constraint
        .get("values")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect();
    let ignore_case = constraint.get("caseInsensitive") == Some(&Value::Bool(true));
    let field = Field::Attribute(field.to_owned());
    let operator = text("operator").unwrap_or_default();
    let any = |test: fn(String) -> Test| {
        let is = |value: &String| Condition::Match {
            field: field.clone(),
            is: test(value.clone()),
            ignore_case,
        };
        Condition::Any(values.iter().map(is).collect())
    };
    let one = |is: Test| Condition::Match { field: field.clone(), is, ignore_case: false };
    let found = match operator {
        "IN" => one(Test::In(values.clone())),
        "NOT_IN" => one(Test::NotIn(values.clone())),
        "STR_STARTS_WITH" => any(Test::Prefix),
        "STR_ENDS_WITH" => any(Test::Suffix),
        "STR_CONTAINS" => any(Test::Contains),
        other => return Err(format!("a constraint uses {other}")),
    };
    let inverted = constraint.get("inverted") == Some(&Value::Bool(true));
    Ok(if inverted { Condition::Not(Box::new(found)) } else { found })
}

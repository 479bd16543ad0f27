//! The plan for programs: schema `tidegate.plan/1`, `docs/reference/plan.md`.

use plan::choose::answer::SCHEMA;
use plan::forecast::{Forecast, Score};
use serde_json::{Map, Value, json};

use super::{Sizing, demand};

/// The answer, and what it rests on under keys of their own. Without a policy `refused` says why.
///
/// # Errors
/// When the answer cannot be serialised, which is a bug.
pub fn plan_json(sizing: &Sizing) -> Result<Value, serde_json::Error> {
    let mut whole = match &sizing.outcome {
        Ok(answer) => match serde_json::to_value(answer)? {
            Value::Object(whole) => whole,
            other => Map::from_iter([("answer".to_owned(), other)]),
        },
        Err(reason) => Map::from_iter([
            ("schema".to_owned(), Value::from(SCHEMA)),
            ("refused".to_owned(), Value::from(reason.as_str())),
        ]),
    };
    let of_answer = sizing.outcome.iter().flat_map(|answer| &answer.findings);
    let findings: Vec<&String> = sizing.findings.iter().chain(of_answer).collect();
    whole.insert("findings".to_owned(), json!(findings));
    whole.insert("demand".to_owned(), demand::json(sizing));
    whole.insert("forecast".to_owned(), sizing.forecast.as_ref().map_or(Value::Null, forecast));
    whole.insert("system".to_owned(), serde_json::to_value(&sizing.params)?);
    Ok(Value::Object(whole))
}

fn forecast(forecast: &Forecast) -> Value {
    let score = |score: &Score| {
        json!({
            "name": score.name,
            "wmape": score.wmape,
            "mase": score.mase,
            "coverage": score.coverage,
            "pinball": score.pinball,
        })
    };
    let quantile = |(q, values): &(f64, Vec<f64>)| json!({ "q": q, "requests": values });
    json!({
        "first": demand::time(forecast.start_s),
        "step-s": forecast.step_s,
        "name": forecast.name,
        "requests": forecast.mean,
        "quantiles": forecast.quantiles.iter().map(quantile).collect::<Vec<_>>(),
        "scores": forecast.scores.iter().map(score).collect::<Vec<_>>(),
    })
}

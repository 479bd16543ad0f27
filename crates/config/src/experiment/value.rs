//! Values that tables of experiments have in common.

use std::time::Duration;

use experiment::model::{Share, UnixMillis};
use serde_json::{Map, Number, Value};
use toml::de::DeValue;
use traffic::Ratio;

use crate::errors::Code;
use crate::read::{Node, Table};

/// A share of units, zero included.
pub(super) fn share(node: &Node<'_>) -> Option<Share> {
    let ratio: Ratio = node.parsed(Code::BadShare, "10%")?;
    Share::try_from(ratio.get()).ok()
}

/// A share as a fraction, which may be above one (`"150%"`).
pub(super) fn fraction(node: &Node<'_>) -> Option<f64> {
    if !matches!(node.value(), DeValue::String(_)) {
        node.wrong_type("text such as \"5%\"");
        return None;
    }
    let text = node.text()?.text;
    let percent = text.trim().strip_suffix('%').map(str::trim_end);
    let value: Option<f64> = percent.unwrap_or(text.trim()).parse().ok();
    let value = value.map(|value| if percent.is_some() { value / 100.0 } else { value });
    let value = value.filter(|value| value.is_finite() && *value >= 0.0);
    if value.is_none() {
        let message = format!("`{}` is not a share such as \"5%\"", text.escape_debug());
        node.sink.add(node.problem(Code::BadShare, message, ""));
    }
    value
}

/// A finite number.
pub(super) fn number(node: &Node<'_>) -> Option<f64> {
    let value = match node.value() {
        DeValue::Float(float) => float.as_str().replace('_', "").parse().ok(),
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|it| it as f64)
        }
        _ => {
            node.wrong_type("a number");
            return None;
        }
    };
    let value = value.filter(|value: &f64| value.is_finite());
    if value.is_none() {
        let message = format!("`{}` is not a finite number", node.key.text);
        node.sink.add(node.problem(Code::BadNumber, message, ""));
    }
    value
}

/// Microseconds of a duration.
pub(super) fn micros(node: &Node<'_>) -> Option<i64> {
    i64::try_from(node.duration()?.as_micros()).ok()
}

/// Milliseconds of a duration.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A moment: a TOML date and time with its offset, or the same as text.
pub(super) fn moment(node: &Node<'_>) -> Option<UnixMillis> {
    let text = match node.value() {
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::String(text) => text.to_string(),
        _ => {
            node.wrong_type("a date and time such as 2026-01-31T08:00:00Z");
            return None;
        }
    };
    let moment = text.parse::<jiff::Timestamp>().ok();
    let millis = moment.and_then(|moment| UnixMillis::try_from(moment.as_millisecond()).ok());
    if millis.is_none() {
        let message = format!("`{}` is not a moment", text.escape_debug());
        let problem = node.problem(Code::BadDate, message, "");
        node.sink.add(problem.help("write date, time and offset: 2026-01-31T08:00:00Z"));
    }
    millis
}

/// Texts of a list, or the text itself.
pub(super) fn strings(node: &Node<'_>) -> Vec<String> {
    node.list_or_one().iter().filter_map(Node::owned_text).collect()
}

/// The same of a key, if it is there.
pub(super) fn strings_of<'a>(table: &mut Table<'a>, key: &'a str) -> Vec<String> {
    table.get(key).map(|node| strings(&node)).unwrap_or_default()
}

/// Any value as JSON.
pub(super) fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => {
            let number = i64::from_str_radix(integer.as_str(), integer.radix());
            number.map_or(Value::Null, Value::from)
        }
        DeValue::Float(float) => {
            let number = float.as_str().replace('_', "").parse().ok();
            number.and_then(Number::from_f64).map_or(Value::Null, Value::Number)
        }
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(moment) => Value::String(moment.to_string()),
        DeValue::Array(values) => values.iter().map(|each| json(each.get_ref())).collect(),
        DeValue::Table(table) => {
            let pairs = table.iter();
            let pairs = pairs.map(|(key, each)| (key.get_ref().to_string(), json(each.get_ref())));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
    }
}

//! Versions as GrowthBook pads them into text.

use super::js::number_to_string;
use serde_json::Value;

/// A text that orders versions by its code units: numbers padded to five places, a release after
/// its pre-releases.
pub(super) fn padded(value: &Value) -> String {
    let text = match value {
        Value::Number(number) => number_to_string(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) if !text.is_empty() => text.clone(),
        _ => "0".to_owned(),
    };
    let text = text.strip_prefix('v').unwrap_or(&text);
    let text = text.split_once('+').map_or(text, |(before, _)| before);
    let mut parts: Vec<&str> = text.split(['-', '.']).collect();
    if parts.len() == 3 {
        parts.push("~");
    }
    let pad = |part: &&str| {
        let number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if number { format!("{part:>5}") } else { (*part).to_owned() }
    };
    parts.iter().map(pad).collect::<Vec<_>>().join("-")
}

//! The few conversions of ECMAScript that conditions depend on, for JSON values.

use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Ordering;

/// `!!value`.
pub(crate) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(_) => {
            let number = to_number(value);
            number != 0.0 && !number.is_nan()
        }
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// `String(value)`.
pub(crate) fn to_string(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed("null"),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Number(_) => Cow::Owned(number_to_string(to_number(value))),
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(values) => {
            let join = |value: &Value| match value {
                Value::Null => String::new(),
                value => to_string(value).into_owned(),
            };
            Cow::Owned(values.iter().map(join).collect::<Vec<_>>().join(","))
        }
        Value::Object(_) => Cow::Borrowed("[object Object]"),
    }
}

/// The text of an id that is hashed, as the SDK has it: that of a number is JavaScript's. `None` for
/// what the SDK takes for no id, 0 among it.
#[must_use]
pub fn hashed_text(id: &Value) -> Option<String> {
    let is_id = matches!(id, Value::String(_) | Value::Number(_)) && truthy(id);
    is_id.then(|| to_string(id).into_owned())
}

/// `Number(value)`.
pub(crate) fn to_number(value: &Value) -> f64 {
    match value {
        Value::Null | Value::Bool(false) => 0.0,
        Value::Bool(true) => 1.0,
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Value::String(text) => text_to_number(text),
        Value::Array(_) => text_to_number(&to_string(value)),
        Value::Object(_) => f64::NAN,
    }
}

/// White space of ECMAScript, which has the byte order mark and not the next line.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| (c.is_whitespace() && c != '\u{85}') || c == '\u{FEFF}')
}

fn text_to_number(text: &str) -> f64 {
    let text = trim(text);
    let radix = |digits: &str, radix: u32| {
        let valid = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        let value =
            |sum, c: char| sum * f64::from(radix) + f64::from(c.to_digit(radix).unwrap_or(0));
        if valid { digits.chars().fold(0.0, value) } else { f64::NAN }
    };
    match text.get(..2) {
        Some("0x" | "0X") => return radix(&text[2..], 16),
        Some("0o" | "0O") => return radix(&text[2..], 8),
        Some("0b" | "0B") => return radix(&text[2..], 2),
        _ => {}
    }
    match text {
        "" => 0.0,
        "Infinity" | "+Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        // Rust also reads words such as "inf" and "nan".
        _ if text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) => {
            text.parse().unwrap_or(f64::NAN)
        }
        _ => f64::NAN,
    }
}

/// `Number.prototype.toString`: the shortest digits, with an exponent from 10²¹ and below 10⁻⁶.
pub(crate) fn number_to_string(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    if !number.is_finite() {
        return if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    if (1e-6..1e21).contains(&number.abs()) {
        return format!("{number}");
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

/// `one === other` for values read from two places: objects and arrays are never the same.
pub(crate) fn strictly_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Number(_), Value::Number(_)) => to_number(one) == to_number(other),
        (Value::String(one), Value::String(other)) => one == other,
        _ => false,
    }
}

/// How `<` and `>` order two values; `None` when one is not a number, and neither holds.
pub(crate) fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    let text = |value: &Value| match value {
        Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Some(to_string(value).into_owned())
        }
        _ => None,
    };
    match (text(one), text(other)) {
        (Some(one), Some(other)) => Some(compare_texts(&one, &other)),
        (one_text, other_text) => {
            let number = |value: &Value, text: Option<String>| {
                text.map_or_else(|| to_number(value), |text| text_to_number(&text))
            };
            number(one, one_text).partial_cmp(&number(other, other_text))
        }
    }
}

/// Texts compare by UTF-16 code units.
pub(crate) fn compare_texts(one: &str, other: &str) -> Ordering {
    one.encode_utf16().cmp(other.encode_utf16())
}

/// `JSON.stringify(one) === JSON.stringify(other)`: numbers by value, keys in the same order.
pub(crate) fn same_json(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same_json(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            let (one, other) = (in_order(one), in_order(other));
            let same = |((a, x), (b, y)): (&(&String, &Value), &(&String, &Value))| {
                a == b && same_json(x, y)
            };
            one.len() == other.len() && one.iter().zip(&other).all(same)
        }
        _ => strictly_equal(one, other),
    }
}

/// Keys that are array indices first, by number; the others as they were written.
fn in_order(object: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let index = |key: &str| {
        let number = key.parse::<u32>().ok().filter(|&number| number < u32::MAX);
        number.filter(|number| number.to_string() == key)
    };
    let mut entries: Vec<_> = object.iter().collect();
    entries.sort_by_key(|(key, _)| index(key).map_or((1, 0), |number| (0, number)));
    entries
}

/// `parseInt(text)` as far as variations go: leading digits, after white space and a sign.
pub(crate) fn parse_int(text: &str) -> Option<f64> {
    let text = trim(text);
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (if text.starts_with('-') { -1.0 } else { 1.0 }, rest),
        None => (1.0, text),
    };
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        _ => (digits, 10),
    };
    let mut numbers = digits.chars().map_while(|c| c.to_digit(radix)).peekable();
    numbers.peek()?;
    Some(sign * numbers.fold(0.0, |sum, digit| sum * f64::from(radix) + f64::from(digit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Printed by Node.js 20.
    #[test]
    fn numbers_as_text() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (123456789012345680000.0, "123456789012345680000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (0.000001, "0.000001"),
            (1e-7, "1e-7"),
            (-1.25e-7, "-1.25e-7"),
            (5e-324, "5e-324"),
            (12345678901234567890.0, "12345678901234567000"),
        ] {
            assert_eq!(number_to_string(number), text);
        }
    }

    #[test]
    fn ids() {
        let text = |id: Value| hashed_text(&id);
        assert_eq!(text(json!(1.0)), Some("1".to_owned()));
        assert_eq!(text(json!(1e21)), Some("1e+21".to_owned()));
        assert_eq!(text(json!("0")), Some("0".to_owned()));
        for none in [json!(0), json!(-0.0), json!(""), json!(null), json!([1])] {
            assert_eq!(text(none.clone()), None, "{none}");
        }
    }

    #[test]
    fn texts_as_numbers() {
        for (text, number) in [
            ("", 0.0),
            (" \n", 0.0),
            ("12", 12.0),
            (" -1.5e3 ", -1500.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("0x1F", 31.0),
            ("0b101", 5.0),
            ("Infinity", f64::INFINITY),
        ] {
            assert_eq!(text_to_number(text), number, "{text:?}");
        }
        for text in ["a", "1a", "inf", "nan", "0x", "-0x1", "1 2", "1e", "--1", "infinity", "."] {
            assert!(text_to_number(text).is_nan(), "{text:?}");
        }
        assert_eq!(to_number(&json!([7])), 7.0);
        assert_eq!(to_number(&json!([])), 0.0);
        assert!(to_number(&json!([1, 2])).is_nan());
        assert!(to_number(&json!({})).is_nan());
    }

    #[test]
    fn values_as_text() {
        assert_eq!(to_string(&json!([1, null, ["a", true], {}])), "1,,a,true,[object Object]");
        assert_eq!(to_string(&json!(null)), "null");
    }

    #[test]
    fn json_is_compared_with_the_order_of_keys() {
        assert!(same_json(&json!({"a": 1, "b": [1.0]}), &json!({"a": 1.0, "b": [1]})));
        assert!(!same_json(&json!({"a": 1, "b": 2}), &json!({"b": 2, "a": 1})));
        assert!(same_json(&json!({"2": 1, "1": 2}), &json!({"1": 2, "2": 1})));
    }

    #[test]
    fn integers_at_the_beginning_of_a_text() {
        for (text, number) in [("1", 1.0), (" 2b", 2.0), ("-3", -3.0), ("0x10", 16.0), ("1.9", 1.0)]
        {
            assert_eq!(parse_int(text), Some(number), "{text}");
        }
        assert_eq!(parse_int("b"), None);
        assert_eq!(parse_int(""), None);
    }
}

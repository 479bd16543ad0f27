//! Bodies of requests.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use experiment::model::limits::UNIT_BYTES_MAX;
use http_body_util::LengthLimitError;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// How long a body may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How deep attributes nest.
pub(super) const ATTRIBUTES_DEPTH_MAX: usize = 8;
/// Attributes of one unit, the nested ones included.
pub(super) const ATTRIBUTES_MAX: usize = 1_000;

/// Status and words of a refusal.
pub(super) type Refused = (StatusCode, String);

/// Reads a body of so many bytes at most.
pub(super) async fn bytes(body: Body, max: usize) -> Result<Vec<u8>, Refused> {
    let read = tokio::time::timeout(TIMEOUT, axum::body::to_bytes(body, max)).await;
    let late = format!("the body did not come within {} s", TIMEOUT.as_secs());
    let read = read.map_err(|_| (StatusCode::REQUEST_TIMEOUT, late))?;
    let wrong = |error: axum::Error| {
        if error.into_inner().is::<LengthLimitError>() {
            (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {max} bytes"))
        } else {
            let why = "the body is cut short, or its chunks are broken".to_owned();
            (StatusCode::BAD_REQUEST, why)
        }
    };
    Ok(read.map_err(wrong)?.to_vec())
}

/// Reads a JSON object of a shape.
pub(super) async fn json<T: DeserializeOwned>(body: Body, max: usize) -> Result<T, Refused> {
    let bytes = bytes(body, max).await?;
    parse::<Object<T>>(&bytes).map(|object| object.0)
}

/// JSON of a shape.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    let wrong = |error: serde_json::Error| match error.classify() {
        serde_json::error::Category::Data => format!("the body is not as it must be: {error}"),
        _ => format!("the body is not JSON: {error}"),
    };
    serde_json::from_slice(bytes).map_err(|error| (StatusCode::BAD_REQUEST, wrong(error)))
}

/// A JSON object. What is derived would also take an array, by position.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Object<T>, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = T;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        from.deserialize_map(Entries(std::marker::PhantomData)).map(Object)
    }
}

/// Refuses an id that cannot be one.
pub(super) fn check_id(what: &str, id: &str) -> Result<(), String> {
    if !(1..=UNIT_BYTES_MAX).contains(&id.len()) {
        return Err(format!("`{what}` has {} bytes: 1 to {UNIT_BYTES_MAX} are allowed", id.len()));
    }
    // Ids are written to logs, cookies and tables.
    if id.chars().any(char::is_control) {
        return Err(format!("`{what}` has control characters"));
    }
    Ok(())
}

/// Refuses attributes that are too deep or too many.
pub(super) fn check_attributes(attributes: &Map<String, Value>) -> Result<(), String> {
    fn count(value: &Value, depth: usize, total: &mut usize) -> Result<(), String> {
        *total += 1;
        if depth > ATTRIBUTES_DEPTH_MAX {
            return Err(format!("attributes may nest {ATTRIBUTES_DEPTH_MAX} deep at most"));
        }
        if *total > ATTRIBUTES_MAX {
            return Err(format!("{ATTRIBUTES_MAX} attributes are allowed at most"));
        }
        match value {
            Value::Array(values) => values.iter().try_for_each(|it| count(it, depth + 1, total)),
            Value::Object(values) => values.values().try_for_each(|it| count(it, depth + 1, total)),
            _ => Ok(()),
        }
    }
    let mut total = 0;
    attributes.values().try_for_each(|value| count(value, 1, &mut total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_attributes_are_bounded() {
        assert!(check_id("unit", "josé-42").is_ok());
        let long = "x".repeat(UNIT_BYTES_MAX + 1);
        for id in ["", "a\r\nSet-Cookie: x=1", "a\0", &long] {
            assert!(check_id("unit", id).is_err(), "{id:?}");
        }
        let nested = |depth: usize| {
            let text = format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
            check_attributes(&serde_json::from_str(&text).unwrap())
        };
        assert!(nested(ATTRIBUTES_DEPTH_MAX - 1).is_ok());
        assert!(nested(ATTRIBUTES_DEPTH_MAX).is_err());
        let many = |count: usize| {
            let values: Vec<Value> = (0..count).map(Value::from).collect();
            check_attributes(&Map::from_iter([("a".to_owned(), Value::Array(values))]))
        };
        assert!(many(ATTRIBUTES_MAX - 1).is_ok() && many(ATTRIBUTES_MAX).is_err());
    }
}

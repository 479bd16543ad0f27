//! Answers.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

/// `{"error": WHY}`.
pub(super) fn failed(status: StatusCode, why: &str) -> Response {
    let mut response = json_answer(status, &json!({ "error": why }));
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

/// Come again in a second.
pub(super) fn again(why: &str) -> Response {
    again_after(why, Duration::ZERO)
}

/// Come again after a time, a second at least. Has the fields of our errors and of the OpenFeature
/// protocol's.
pub(super) fn again_after(why: &str, wait: Duration) -> Response {
    let errors = json!({ "error": why, "errorCode": "GENERAL", "errorDetails": why });
    let mut response = json_answer(StatusCode::TOO_MANY_REQUESTS, &errors);
    let seconds = (wait.as_secs_f64().ceil() as u64).max(1);
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

/// JSON that nobody stores.
pub(super) fn json_answer(status: StatusCode, value: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, value.to_string()).into_response()
}

/// JSON with an entity tag; 304 for a client that has it.
pub(super) fn tagged(request: &HeaderMap, etag: &str, body: String) -> Response {
    let mut response = if has(request, etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// Whether `If-None-Match` has a tag (RFC 9110, section 13.1.2: compared weakly).
fn has(request: &HeaderMap, etag: &str) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH).into_iter();
    let mut tags = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    tags.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}

/// A tag of several texts.
pub(super) fn etag_of(parts: &[&str]) -> String {
    let mut hasher = Xxh3::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    format!("\"{:032x}\"", hasher.digest128())
}

/// JSON in one way only: keys in order, no space.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            let entry = |(key, value): (&String, &Value)| {
                format!("{}:{}", Value::String(key.clone()), canonical(value))
            };
            format!("{{{}}}", entries.into_iter().map(entry).collect::<Vec<_>>().join(","))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        let etag = etag_of(&["a", "b"]);
        assert_ne!(etag, etag_of(&["ab", ""]));
        for (sent, expected) in [
            (etag.clone(), true),
            (format!("W/{etag}"), true),
            (format!("\"x\", {etag}"), true),
            ("*".to_owned(), true),
            ("\"x\"".to_owned(), false),
            (etag.trim_matches('"').to_owned(), false),
        ] {
            let value = HeaderValue::from_str(&sent).unwrap();
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, value)]);
            assert_eq!(has(&headers, &etag), expected, "{sent}");
        }
    }

    #[test]
    fn one_value_has_one_text() {
        let read = |text| canonical(&serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(
            read(r#"{"b":[1,{"d":2,"c":3}],"a":"x"}"#),
            r#"{"a":"x","b":[1,{"c":3,"d":2}]}"#
        );
        assert_eq!(read(r#"{"a":1,"b":2}"#), read(r#"{ "b": 2, "a": 1 }"#));
        assert_ne!(read(r#"{"a":1}"#), read(r#"{"a":"1"}"#));
    }
}

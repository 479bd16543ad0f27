//! JSON bodies of requests.

use std::time::Duration;

use axum::body::Body;
use serde_json::{Map, Value};

use crate::{Purge, PurgeWhat, Set};

/// Largest body.
const BODY_BYTES_MAX: usize = 16 << 10;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads an object. An error is a sentence for the client.
pub(crate) async fn object(body: Body) -> Result<Map<String, Value>, String> {
    let bytes = tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, BODY_BYTES_MAX))
        .await
        .map_err(|_| format!("the body did not come within {} s", BODY_TIMEOUT.as_secs()))?
        .map_err(|_| format!("the body is cut short or larger than {BODY_BYTES_MAX} bytes"))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("the body must be a JSON object".to_owned()),
        Err(error) => Err(format!("the body is not JSON: {error}")),
    }
}

/// `{"url" | "prefix" | "tag": TEXT}` or `{"all": true}`, and `"soft": BOOL`.
pub(crate) fn purge(object: &Map<String, Value>) -> Result<Purge, String> {
    const ONE: &str = "name exactly one of `url`, `prefix`, `tag` and `all`";
    let (mut what, mut soft) = (None, false);
    for (key, value) in object {
        let text = || match value.as_str() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(format!("`{key}` must be text that is not empty")),
        };
        let named = match key.as_str() {
            "soft" => {
                soft = value.as_bool().ok_or("`soft` must be true or false")?;
                continue;
            }
            "url" => PurgeWhat::Url(text()?),
            "prefix" => PurgeWhat::Prefix(text()?),
            "tag" => PurgeWhat::Tag(text()?),
            "all" if *value == Value::Bool(true) => PurgeWhat::All,
            "all" => return Err("`all` must be true".to_owned()),
            _ => return Err(format!("unknown key `{key}`: {ONE}, and `soft`")),
        };
        if what.replace(named).is_some() {
            return Err(ONE.to_owned());
        }
    }
    Ok(Purge { what: what.ok_or(ONE)?, soft })
}

/// `{"state": "up" | "drain" | "down"}` or `{"weight": 0 … 65535}`.
pub(crate) fn set(object: &Map<String, Value>) -> Result<Set, String> {
    let mut entries = object.iter();
    match (entries.next().map(|(key, value)| (key.as_str(), value)), entries.next()) {
        (Some(("state", value)), None) => match value.as_str() {
            Some("up") => Ok(Set::Up),
            Some("drain") => Ok(Set::Drain),
            Some("down") => Ok(Set::Down),
            _ => Err("`state` must be \"up\", \"drain\" or \"down\"".to_owned()),
        },
        (Some(("weight", value)), None) => value
            .as_u64()
            .and_then(|weight| u16::try_from(weight).ok())
            .map(Set::Weight)
            .ok_or_else(|| "`weight` must be a whole number from 0 to 65535".to_owned()),
        _ => Err("name `state` or `weight`, and nothing else".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(read: impl Fn(&Map<String, Value>) -> Result<T, String>, json: &str) -> Option<T> {
        read(serde_json::from_str::<Value>(json).unwrap().as_object().unwrap()).ok()
    }

    #[test]
    fn purges_name_one_thing() {
        let url = PurgeWhat::Url("http://h/a".to_owned());
        assert_eq!(read(purge, r#"{"url":"http://h/a"}"#), Some(Purge { what: url, soft: false }));
        let tag = PurgeWhat::Tag("t".to_owned());
        assert_eq!(
            read(purge, r#"{"soft":true,"tag":"t"}"#),
            Some(Purge { what: tag, soft: true })
        );
        let all = PurgeWhat::All;
        assert_eq!(read(purge, r#"{"all":true}"#), Some(Purge { what: all, soft: false }));
        for json in [
            "{}",
            r#"{"soft":true}"#,
            r#"{"all":false}"#,
            r#"{"url":""}"#,
            r#"{"url":1}"#,
            r#"{"url":"a","tag":"b"}"#,
            r#"{"urls":"a"}"#,
            r#"{"all":true,"soft":1}"#,
        ] {
            assert_eq!(read(purge, json), None, "{json}");
        }
    }

    #[test]
    fn servers_are_told_one_thing() {
        for (json, told) in [
            (r#"{"state":"up"}"#, Some(Set::Up)),
            (r#"{"state":"drain"}"#, Some(Set::Drain)),
            (r#"{"state":"down"}"#, Some(Set::Down)),
            (r#"{"weight":65535}"#, Some(Set::Weight(65_535))),
            (r#"{"weight":65536}"#, None),
            (r#"{"weight":-1}"#, None),
            (r#"{"weight":"1"}"#, None),
            (r#"{"state":"UP"}"#, None),
            (r#"{"state":"up","weight":1}"#, None),
            ("{}", None),
        ] {
            assert_eq!(read(set, json), told, "{json}");
        }
    }
}

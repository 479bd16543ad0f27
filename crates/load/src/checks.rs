//! Deciding whether a response is a success, and taking values from it.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

use crate::failure::{Failure, FailureKind};
use crate::scenario::{Check, SaveFrom, Step};

/// Longest value that is saved, in bytes.
pub(crate) const SAVED_BYTES_MAX: usize = 64 << 10;

/// What checks and saves look at.
pub(crate) struct Answer<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: Option<&'a HeaderMap>,
    /// The decoded body; empty unless the step needs it.
    pub(crate) body: &'a [u8],
    pub(crate) service_time: Duration,
    /// The body as JSON, parsed at most once.
    json: Option<Result<serde_json::Value, Failure>>,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(
        status: StatusCode,
        headers: Option<&'a HeaderMap>,
        body: &'a [u8],
        service_time: Duration,
    ) -> Answer<'a> {
        Answer { status, headers, body, service_time, json: None }
    }

    fn header(&self, name: &header::HeaderName) -> Option<&'a [u8]> {
        self.headers?.get(name).map(header::HeaderValue::as_bytes)
    }

    fn json(&mut self) -> Result<&serde_json::Value, Failure> {
        let body = self.body;
        let parsed = self.json.get_or_insert_with(|| {
            serde_json::from_slice(body)
                .map_err(|_| Failure::new(FailureKind::Check, "the body is not JSON"))
        });
        parsed.as_ref().map_err(Clone::clone)
    }
}

/// Judges an answer: first the status, then the checks in order.
pub(crate) fn judge(
    step: &Step,
    checks_status: bool,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    if !checks_status && answer.status.as_u16() >= 400 {
        return Err(status_failure(answer.status));
    }
    step.checks.iter().try_for_each(|check| run_check(check, answer))
}

/// The failure that a status of 400 or above is by default.
pub(crate) fn status_failure(status: StatusCode) -> Failure {
    let kind = if status == StatusCode::TOO_MANY_REQUESTS {
        FailureKind::RateLimited
    } else {
        FailureKind::Status
    };
    Failure::new(kind, status.as_u16().to_string())
}

fn run_check(check: &Check, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let fail = |detail: String| Err(Failure::new(FailureKind::Check, detail));
    match check {
        Check::Status(ranges) if ranges.iter().any(|range| range.contains(answer.status)) => Ok(()),
        Check::Status(_) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
            Err(status_failure(answer.status))
        }
        Check::Status(_) => fail(format!("status {} was not expected", answer.status.as_u16())),
        Check::Header { name, value } => match (answer.header(name), value) {
            (None, _) => fail(format!("header `{name}` is missing")),
            (Some(found), Some(value)) if found != value.as_bytes() => {
                fail(format!("header `{name}` is not `{value}`"))
            }
            (Some(_), _) => Ok(()),
        },
        Check::BodyContains(text) => match memchr::memmem::find(answer.body, text.as_bytes()) {
            Some(_) => Ok(()),
            None => fail(format!("the body does not contain `{}`", shorten(text))),
        },
        Check::BodyMatches(regex) if regex.is_match(answer.body) => Ok(()),
        Check::BodyMatches(regex) => {
            fail(format!("the body does not match `{}`", shorten(regex.as_str())))
        }
        Check::Json { pointer, equals } => match answer.json()?.pointer(pointer) {
            Some(found) if json_equal(found, equals) => Ok(()),
            Some(_) => fail(format!("`{pointer}` is not {}", shorten(&equals.to_string()))),
            None => fail(format!("`{pointer}` is missing in the body")),
        },
        Check::MaxTime(limit) if answer.service_time <= *limit => Ok(()),
        Check::MaxTime(limit) => fail(format!("slower than {limit:?}")),
    }
}

/// Equality of JSON values, where 1 and 1.0 are the same number.
fn json_equal(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    match (a, b) {
        (serde_json::Value::Number(a), serde_json::Value::Number(b)) => {
            a == b || a.as_f64() == b.as_f64()
        }
        _ => a == b,
    }
}

/// Takes the step's values from an answer.
pub(crate) fn save(
    step: &Step,
    answer: &mut Answer<'_>,
    names: &[String],
    saved: &mut [Option<String>],
) -> Result<(), Failure> {
    for save in &step.saves {
        let found = match &save.from {
            SaveFrom::Json(pointer) => match answer.json()?.pointer(pointer) {
                Some(serde_json::Value::String(text)) => Some(text.clone()),
                Some(value) => Some(value.to_string()),
                None => None,
            },
            SaveFrom::Header(name) => answer.header(name).and_then(text_of),
            SaveFrom::Cookie(name) => answer.headers.and_then(|headers| cookie_of(headers, name)),
            SaveFrom::Regex(regex) => regex
                .captures(answer.body)
                .and_then(|groups| groups.get(1).or_else(|| groups.get(0)))
                .and_then(|found| text_of(found.as_bytes())),
        };
        let name = &names[save.slot];
        match found {
            Some(value) if value.len() <= SAVED_BYTES_MAX => saved[save.slot] = Some(value),
            Some(_) => {
                let detail =
                    format!("the value for `{name}` is longer than {SAVED_BYTES_MAX} bytes");
                return Err(Failure::new(FailureKind::Value, detail));
            }
            None => {
                let detail = format!("no value for `{name}` in the response");
                return Err(Failure::new(FailureKind::Value, detail));
            }
        }
    }
    Ok(())
}

fn text_of(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get_all(header::SET_COOKIE).iter().find_map(|field| {
        let cookie = cookie_store::RawCookie::parse(field.to_str().ok()?).ok()?;
        (cookie.name() == name).then(|| cookie.value().to_owned())
    })
}

/// At most 60 characters, for details that stand in a table.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Method};
    use serde_json::json;

    use super::*;
    use crate::scenario::{Body, Save, StatusRange};
    use crate::template::Template;

    fn step(checks: Vec<Check>, saves: Vec<Save>) -> Step {
        Step {
            endpoint: 0,
            method: Method::GET,
            origin: None,
            target: Template::literal("/"),
            headers: Vec::new(),
            body: Body::None,
            checks,
            saves,
            timeout: None,
        }
    }

    fn check(check: Check, status: u16, body: &[u8]) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        headers.insert("x-kind", "shop".parse().unwrap());
        headers.insert(header::SET_COOKIE, "sid=s1; Path=/".parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        let mut answer = Answer::new(status, Some(&headers), body, Duration::from_millis(20));
        let checks_status = matches!(check, Check::Status(_));
        judge(&step(vec![check], vec![]), checks_status, &mut answer)
    }

    #[test]
    fn checks_hold_or_say_why_not() {
        let status = Check::Status(vec![StatusRange { low: 200, high: 299 }]);
        assert_eq!(check(status.clone(), 204, b""), Ok(()));
        assert_eq!(check(status.clone(), 404, b"").unwrap_err().kind, FailureKind::Check);
        assert_eq!(check(status, 429, b"").unwrap_err().kind, FailureKind::RateLimited);
        let kind = HeaderName::from_static("x-kind");
        let header = |value: Option<&str>| Check::Header {
            name: kind.clone(),
            value: value.map(str::to_owned),
        };
        assert_eq!(check(header(None), 200, b""), Ok(()));
        assert!(check(header(Some("mall")), 200, b"").unwrap_err().detail.contains("mall"));
        assert_eq!(check(Check::BodyContains("tide".to_owned()), 200, b"high tide"), Ok(()));
        assert!(check(Check::BodyContains("ebb".to_owned()), 200, b"high tide").is_err());
        let regex = regex::bytes::Regex::new("^h.*e$").unwrap();
        assert_eq!(check(Check::BodyMatches(regex), 200, b"high tide"), Ok(()));
        let json = |pointer: &str, equals| Check::Json { pointer: pointer.to_owned(), equals };
        assert_eq!(check(json("/a/0", json!(1.0)), 200, br#"{"a":[1]}"#), Ok(()));
        assert!(
            check(json("/a/1", json!(1)), 200, br#"{"a":[1]}"#)
                .unwrap_err()
                .detail
                .contains("missing")
        );
        assert!(
            check(json("/a", json!(1)), 200, b"<html>").unwrap_err().detail.contains("not JSON")
        );
        assert_eq!(check(Check::MaxTime(Duration::from_millis(20)), 200, b""), Ok(()));
        assert!(check(Check::MaxTime(Duration::from_millis(19)), 200, b"").is_err());
        assert_eq!(check(Check::MaxTime(Duration::MAX), 503, b"").unwrap_err().detail, "503");
    }

    #[test]
    fn values_are_saved_from_everywhere() {
        let save_from = |from: SaveFrom| {
            let mut headers = HeaderMap::new();
            headers.insert(header::SET_COOKIE, "sid=s1; Path=/".parse().unwrap());
            let body = br#"{"token":"t-1","n":7}"#;
            let mut answer = Answer::new(StatusCode::OK, Some(&headers), body, Duration::ZERO);
            let mut saved = [None];
            let step = step(vec![], vec![Save { slot: 0, from }]);
            save(&step, &mut answer, &["v".to_owned()], &mut saved)
                .map(|()| saved[0].clone().unwrap())
        };
        assert_eq!(save_from(SaveFrom::Json("/token".to_owned())).unwrap(), "t-1");
        assert_eq!(save_from(SaveFrom::Json("/n".to_owned())).unwrap(), "7");
        assert_eq!(save_from(SaveFrom::Cookie("sid".to_owned())).unwrap(), "s1");
        let regex = |text| SaveFrom::Regex(regex::bytes::Regex::new(text).unwrap());
        assert_eq!(save_from(regex(r"t-(\d)")).unwrap(), "1");
        assert_eq!(save_from(regex(r"t-\d")).unwrap(), "t-1");
        let missing = save_from(SaveFrom::Json("/nope".to_owned())).unwrap_err();
        assert_eq!((missing.kind, missing.detail.contains("`v`")), (FailureKind::Value, true));
    }
}

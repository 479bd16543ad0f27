//! Measurements of the load: what a page says, fetched over plain HTTP.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Longest page, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
/// How long a page may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Requests per second out of a text: a number, `{"rate": 12.5}`, or the answer of Prometheus to an
/// instant query, whose values are added. `None` for anything else and for negative numbers.
pub(super) fn rate_of(text: &str) -> Option<f64> {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let rate = match serde_json::from_str::<Value>(text.trim()).ok()? {
        Value::Object(page) if page.contains_key("rate") => number(page.get("rate")?)?,
        Value::Object(page) => {
            let data = page.get("data")?;
            let sample = |sample: &Value| number(sample.get("value")?.get(1)?);
            match data.get("resultType")?.as_str()? {
                "scalar" => number(data.get("result")?.get(1)?)?,
                "vector" => {
                    let values = data.get("result")?.as_array()?.iter().map(sample);
                    // No series at all is no measurement.
                    let values: Vec<f64> = values.collect::<Option<_>>()?;
                    (!values.is_empty()).then(|| values.iter().sum())?
                }
                _ => return None,
            }
        }
        value => number(&value)?,
    };
    (rate.is_finite() && rate >= 0.0).then_some(rate)
}

/// Whether a page can be fetched: `http://host[:port]/…`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn page(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|_| format!("`{text}` is no URL"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(_)) => Ok(uri),
        (Some("https"), _) => {
            Err("only http:// is fetched: put a proxy before it, or POST /load instead".to_owned())
        }
        _ => Err(format!("`{text}` is no URL such as http://prometheus:9090/api/v1/query?query=…")),
    }
}

/// The rate that a page tells.
pub(super) async fn fetch(uri: &Uri) -> io::Result<f64> {
    let fetched = tokio::time::timeout(TIMEOUT, body_of(uri)).await;
    let text = fetched.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    rate_of(&text).ok_or_else(|| io::Error::other("it tells no rate"))
}

async fn body_of(uri: &Uri) -> io::Result<String> {
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(80);
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((name, port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let path = uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    let request = Request::get(path)
        .header(hyper::header::HOST, format!("{host}:{port}"))
        .header(hyper::header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        if !response.status().is_success() {
            return Err(io::Error::other(format!("it answered {}", response.status())));
        }
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let bytes = body.map_err(io::Error::other)?.to_bytes();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    // The exchange needs the connection to be driven beside it, and nothing of it afterwards.
    tokio::pin!(exchange, connection);
    tokio::select! {
        done = &mut exchange => done,
        ended = &mut connection => {
            ended.map_err(io::Error::other)?;
            exchange.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_where_they_stand() {
        for text in ["12.5", " 12.5\n", r#"{"rate":12.5}"#, r#"{"rate":"12.5"}"#] {
            assert_eq!(rate_of(text), Some(12.5), "{text}");
        }
        let vector = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"pod":"a"},"value":[1700000000.1,"10"]},{"metric":{},"value":[1700000000.1,"2.5"]}]}}"#;
        assert_eq!(rate_of(vector), Some(12.5));
        let scalar = r#"{"data":{"resultType":"scalar","result":[1700000000.1,"3"]}}"#;
        assert_eq!(rate_of(scalar), Some(3.0));
        for text in [
            "",
            "-1",
            "NaN",
            "{}",
            r#"{"rate":null}"#,
            r#"{"rate":-1}"#,
            r#"{"data":{"resultType":"vector","result":[]}}"#,
            r#"{"data":{"resultType":"vector","result":[{"value":[1,"NaN"]}]}}"#,
            r#"{"data":{"resultType":"matrix","result":[]}}"#,
        ] {
            assert_eq!(rate_of(text), None, "{text}");
        }
    }

    #[test]
    fn only_plain_pages_are_fetched() {
        assert!(page("http://127.0.0.1:9090/api/v1/query?query=x").is_ok());
        for wrong in ["https://prometheus/", "prometheus:9090", "", "ftp://x/"] {
            assert!(page(wrong).is_err(), "{wrong}");
        }
    }
}

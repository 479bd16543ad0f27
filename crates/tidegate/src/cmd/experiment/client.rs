//! Asking the API of experiments of a tidegate that runs.

use std::net::SocketAddr;
use std::time::Duration;

use experiment::automation::{Answer, Command};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::reach::{environment, who};
use crate::exit::{Exit, Failed};

/// How long an answer may take; it may look at every unit.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Asks; `None` when nobody listens there.
///
/// # Errors
/// What the other one says, or why it could not be asked.
pub(crate) fn ask(
    address: SocketAddr,
    token: Option<&str>,
    command: &Command,
) -> Result<Option<Answer>, Failed> {
    let body = serde_json::to_vec(command).map_err(|error| Failed::bug(&error))?;
    let Some((status, text)) = post_json(address, "/v1/experiments", token, body)? else {
        return Ok(None);
    };
    if status.is_success() {
        let answer = serde_json::from_slice(&text);
        let odd =
            |error| environment(&format!("{address} is no tidegate of this version: {error}"));
        return answer.map(Some).map_err(odd);
    }
    let why: Option<String> = serde_json::from_slice(&text)
        .ok()
        .and_then(|value: serde_json::Value| value.get("error")?.as_str().map(str::to_owned));
    let why = why.unwrap_or_else(|| format!("{address} answers {status}"));
    let exit = match status {
        StatusCode::CONFLICT => Exit::No,
        StatusCode::TOO_MANY_REQUESTS => Exit::Environment,
        status if status.is_client_error() => Exit::Usage,
        _ => Exit::Environment,
    };
    Err(Failed { exit, message: format!("error: {why}") })
}

/// Sends JSON to the API; `None` when nobody listens there.
///
/// # Errors
/// When there is no answer.
pub(crate) fn post_json(
    address: SocketAddr,
    path: &str,
    token: Option<&str>,
    body: Vec<u8>,
) -> Result<Option<(StatusCode, Bytes)>, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::environment(&error))?;
    runtime.block_on(async {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
        let Ok(Ok(stream)) = connecting.await else { return Ok(None) };
        let exchange = exchange(stream, address, (path, token), body);
        match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(error)) => Err(environment(&format!("{address}: {error}"))),
            Err(_) => Err(environment(&format!("{address} does not answer"))),
        }
    })
}

async fn exchange(
    stream: TcpStream,
    address: SocketAddr,
    (path, token): (&str, Option<&str>),
    body: Vec<u8>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender.
    let connection = tokio::spawn(connection);
    let mut request = Request::post(path)
        .header(HOST, address.to_string())
        .header(CONTENT_TYPE, "application/json")
        .header("x-operator", who().as_str());
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let response = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
    let status = response.status();
    let text = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
    connection.abort();
    Ok((status, text))
}

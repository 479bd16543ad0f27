//! How each [`Fault`] looks on an HTTP/1 connection.

use super::Wire;
use super::behaviour::Fault;
use super::http1::render;
use super::route::Reply;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Most bytes of headers, body or garbage that a fault with a size sends.
pub const FAULT_BYTES_MAX: usize = 64 << 20;

/// A head that promises 100 bytes of body, and 10 of them.
const HALF_BODY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0123456789";
/// One of many header lines, 64 bytes long.
const FILLER: &[u8; 64] = b"x-filler: 0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdef\r\n";

/// Answers a request by `fault`; whether the connection goes on.
///
/// # Errors
/// What the stream says; endless faults end so, when the client leaves.
pub(super) async fn play<S: Wire>(fault: &Fault, stream: &mut S) -> io::Result<bool> {
    let ok = || render(&Reply::ok(), true, false);
    match fault {
        Fault::Silent => {
            // Until the client leaves.
            tokio::io::copy(stream, &mut tokio::io::sink()).await?;
            Ok(false)
        }
        Fault::ResetBeforeResponse => reset(stream),
        Fault::CloseBeforeResponse => Ok(false),
        Fault::CloseMidHeader => send(stream, b"HTTP/1.1 200 OK\r\ncontent-le", true).await,
        Fault::CloseMidBody => send(stream, HALF_BODY, true).await,
        Fault::ResetMidBody => {
            send(stream, HALF_BODY, false).await?;
            reset(stream)
        }
        Fault::SlowBody { chunk_bytes, chunks, interval } => {
            slow_body(stream, *chunk_bytes, *chunks, *interval).await
        }
        Fault::EndlessHeaders => repeat(stream, b"HTTP/1.1 200 OK\r\n", FILLER).await,
        Fault::EndlessBody => {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            repeat(stream, head, b"10\r\n0123456789abcdef\r\n").await
        }
        Fault::HugeHeaders { bytes } => {
            let lines = (*bytes).min(FAULT_BYTES_MAX).div_ceil(FILLER.len());
            let head = [b"HTTP/1.1 200 OK\r\n", FILLER.repeat(lines).as_slice()].concat();
            let whole = [&head, b"content-length: 2\r\n\r\nok".as_slice()].concat();
            send(stream, &whole, false).await
        }
        Fault::MalformedStatusLine => {
            send(stream, b"HTTP/1.1 OK\r\ncontent-length: 2\r\n\r\nok", true).await
        }
        Fault::GarbageBytes { bytes, seed } => {
            let mut garbage = vec![0; (*bytes).min(FAULT_BYTES_MAX)];
            Xoshiro256PlusPlus::seed_from_u64(*seed).fill_bytes(&mut garbage);
            send(stream, &garbage, true).await
        }
        Fault::BadChunk => {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n";
            send(stream, head, false).await
        }
        Fault::WrongContentLength { declared } => {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {declared}\r\n\r\nhello");
            send(stream, answer.as_bytes(), false).await
        }
        Fault::CloseAfterResponse => {
            send(stream, &ok(), false).await?;
            stream.shutdown().await?;
            Ok(false)
        }
        Fault::ExtraBytesAfterResponse => {
            send(stream, &[ok(), b"stray bytes".to_vec()].concat(), false).await
        }
        Fault::Interim { status } => {
            let interim = render(&Reply::new(*status, &[], ""), false, false);
            send(stream, &[interim, ok()].concat(), false).await
        }
        Fault::Raw { bytes, close } => send(stream, bytes, *close).await,
    }
}

/// Sends `bytes`; whether the connection goes on.
async fn send<S: Wire>(stream: &mut S, bytes: &[u8], close: bool) -> io::Result<bool> {
    stream.write_all(bytes).await?;
    stream.flush().await?;
    Ok(!close)
}

fn reset<S: Wire>(stream: &S) -> io::Result<bool> {
    stream.reset_on_close()?;
    Ok(false)
}

/// Sends `part` after `head` until the client leaves.
async fn repeat<S: Wire>(stream: &mut S, head: &[u8], part: &[u8]) -> io::Result<bool> {
    const PARTS: usize = 256;
    stream.write_all(head).await?;
    let parts = part.repeat(PARTS);
    loop {
        stream.write_all(&parts).await?;
    }
}

async fn slow_body<S: Wire>(
    stream: &mut S,
    chunk_bytes: usize,
    chunks: usize,
    interval: Duration,
) -> io::Result<bool> {
    let chunk = vec![b'.'; chunk_bytes.min(FAULT_BYTES_MAX)];
    let length = chunk.len().saturating_mul(chunks);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    send(stream, head.as_bytes(), false).await?;
    for _ in 0..chunks {
        tokio::time::sleep(interval).await;
        send(stream, &chunk, false).await?;
    }
    Ok(true)
}

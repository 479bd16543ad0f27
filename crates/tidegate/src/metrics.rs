//! A Prometheus endpoint for a run under way.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a scraper may take to ask or to read.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Longest request head, in bytes.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Serves the latest page until dropped. One scraper at a time: they come every few seconds.
pub(crate) struct Metrics {
    page: Arc<Mutex<String>>,
    over: Arc<AtomicBool>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Metrics {
    /// Listens at `address`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub(crate) fn serve(address: SocketAddr) -> io::Result<Metrics> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        eprintln!("metrics at http://{address}/metrics");
        let page = Arc::new(Mutex::new(String::new()));
        let over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn({
            let (page, over) = (Arc::clone(&page), Arc::clone(&over));
            move || {
                for stream in listener.incoming() {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    if let Ok(stream) = stream {
                        let text = page.lock().unwrap_or_else(PoisonError::into_inner).clone();
                        // A scraper that goes away comes again.
                        let _ = answer(stream, &text);
                    }
                }
            }
        })?;
        Ok(Metrics { page, over, address, thread: Some(thread) })
    }

    /// The page from now on.
    pub(crate) fn publish(&self, text: String) {
        *self.page.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over.
        let woken = TcpStream::connect_timeout(&self.address, TIMEOUT).is_ok();
        if let (true, Some(thread)) = (woken, self.thread.take()) {
            // A panic in there has been printed already.
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, page: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut head = Vec::new();
    let mut bytes = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let n = stream.read(&mut bytes)?;
        if n == 0 || head.len() > HEAD_BYTES_MAX {
            return Ok(());
        }
        head.extend_from_slice(&bytes[..n]);
    }
    let found = head.starts_with(b"GET /metrics ") || head.starts_with(b"GET / ");
    let (status, body) = if found { ("200 OK", page) } else { ("404 Not Found", "see /metrics\n") };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

//! The shop's till: tells tidegate what was sold, in numbered batches, as any shop would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cmd::post_json;
use crate::demo::cart::{Desk, PRICE, Sale};

/// How often the till is emptied.
const EVERY: Duration = Duration::from_millis(200);
/// Orders of a batch.
const BATCH_MAX: usize = 500;

/// Empties the till until it is dropped, and once more then.
pub(crate) struct Till {
    close: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Till {
    /// # Errors
    /// When there is no thread.
    pub(crate) fn open(desk: Arc<Desk>, api: SocketAddr) -> std::io::Result<Till> {
        let (close, closed) = sync_channel::<()>(0);
        let thread = std::thread::Builder::new().name("till".to_owned()).spawn(move || {
            let (mut sequence, mut waiting) = (0, Vec::new());
            loop {
                let over = closed.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
                waiting.extend(desk.take_sales());
                while !waiting.is_empty() {
                    let count = waiting.len().min(BATCH_MAX);
                    // What was not acknowledged is sent again, under the same number.
                    if !is_recorded(api, sequence, &waiting[..count]) {
                        break;
                    }
                    waiting.drain(..count);
                    sequence += 1;
                }
                if over {
                    break;
                }
            }
        })?;
        Ok(Till { close: Some(close), thread: Some(thread) })
    }
}

impl Drop for Till {
    fn drop(&mut self) {
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already.
            let _ = thread.join();
        }
    }
}

/// Sends a batch; whether it is on the disk.
fn is_recorded(api: SocketAddr, sequence: u64, sales: &[Sale]) -> bool {
    let batch = batch(sequence, sales).to_string();
    let sent = post_json(api, "/v1/events", None, batch.into_bytes());
    matches!(sent, Ok(Some((status, _))) if status.is_success())
}

fn batch(sequence: u64, sales: &[Sale]) -> Value {
    let event = |sale: &Sale| {
        let id = format!("order-{}", sale.number);
        json!({ "unit": sale.visitor, "name": "purchase", "value": PRICE, "id": id })
    };
    let events: Vec<Value> = sales.iter().map(event).collect();
    json!({ "producer": "shop", "epoch": 1, "sequence": sequence, "events": events })
}

//! Collects an answer while it is passed on.

use std::sync::Arc;

use bytes::Bytes;
use policy::cache::{Meta, Variant};
use traffic::Fields;

use super::collapse::Flight;
use super::entry::Entry;
use super::key::Key;
use super::purge::Subject;
use super::store::Store;

/// Room is asked for in steps of this many bytes.
const STEP: u64 = 64 * 1024;

/// An answer on its way into the store. Dropped before [`Fill::finish`], nothing is kept, and the
/// next request that waits takes over.
#[derive(Debug)]
pub struct Fill {
    store: Arc<Store>,
    draft: Option<Box<Draft>>,
    body: Vec<u8>,
    reserved: u64,
    max: u64,
    /// How long the body is, when that is known.
    length: Option<u64>,
    flight: Option<Flight>,
}

/// All but the body.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) key: Key,
    pub(super) request: Fields,
    pub(super) status: u16,
    pub(super) fields: Fields,
    pub(super) meta: Meta,
    pub(super) variant: Variant,
    pub(super) subject: Subject,
}

impl Fill {
    /// `None`, and `flight` told, when the answer is known to be too large.
    pub(super) fn begin(
        store: &Arc<Store>,
        draft: Draft,
        max: u64,
        length: Option<u64>,
        flight: Option<Flight>,
    ) -> Option<Fill> {
        let mut fill = Fill {
            store: Arc::clone(store),
            draft: Some(Box::new(draft)),
            body: Vec::new(),
            reserved: 0,
            max,
            length,
            flight,
        };
        match length {
            Some(length) if length > max => fill.give_up(),
            Some(length) if fill.reserve(length) => {
                fill.body.reserve_exact(usize::try_from(length).unwrap_or(0));
            }
            // Given up for lack of room, or of unknown length.
            Some(_) | None => {}
        }
        fill.draft.is_some().then_some(fill)
    }

    /// Whether the answer is still being kept.
    pub fn is_on(&self) -> bool {
        self.draft.is_some()
    }

    /// Whether all has come that was announced.
    pub fn is_complete(&self) -> bool {
        self.length == Some(self.body.len() as u64)
    }

    /// Takes the next bytes of the body. Gives up beyond the largest body that is kept.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.draft.is_none() {
            return;
        }
        let length = (self.body.len() + bytes.len()) as u64;
        if length > self.max || !self.reserve(length) {
            self.give_up();
            return;
        }
        self.body.extend_from_slice(bytes);
    }

    /// Makes sure of room for this many bytes in all.
    fn reserve(&mut self, length: u64) -> bool {
        if length <= self.reserved {
            return true;
        }
        let more = (length - self.reserved).max(STEP.min(self.max.saturating_sub(self.reserved)));
        let fits = self.store.reserve(more);
        if fits {
            self.reserved += more;
        } else {
            self.give_up();
        }
        fits
    }

    fn give_up(&mut self) {
        self.body = Vec::new();
        let now = self.draft.take().map(|draft| draft.meta.received);
        if let Some(flight) = self.flight.take() {
            flight.alone(now);
        }
    }

    /// The body is complete: keeps the answer and tells those who wait. `None` when it has been
    /// given up, has another length than announced, or has been purged meanwhile.
    pub fn finish(mut self) -> Option<Arc<Entry>> {
        let draft = self.draft.take()?;
        if self.length.is_some_and(|length| length != self.body.len() as u64) {
            return None;
        }
        let body = Bytes::from(std::mem::take(&mut self.body).into_boxed_slice());
        let of_use = draft.meta.is_of_use(draft.meta.received);
        let remember = (!of_use).then_some(draft.meta.received);
        let entry =
            Entry::new(draft.status, draft.fields, body, draft.meta, draft.variant, draft.subject);
        let entry = Arc::new(entry);
        let kept = self.store.insert(&draft.key, &entry, &draft.request);
        if let Some(flight) = self.flight.take() {
            match remember {
                None if kept => flight.ready(),
                None => flight.alone(None),
                Some(now) => flight.alone(Some(now)),
            }
        }
        kept.then_some(entry)
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        self.store.release(self.reserved);
    }
}

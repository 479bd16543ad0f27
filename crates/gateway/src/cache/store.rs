//! The answers that are kept, shared by all cores.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use traffic::Fields;

use super::collapse::Flights;
use super::entry::Entry;
use super::key::Key;
use super::purge::{Purge, Purges, Standing};

/// Most variants of one key; beyond, the oldest goes.
pub const VARIANTS_MAX: usize = 16;

/// Answers that are being received may take this part of the store's bytes besides (but always
/// one largest answer).
const FILLING_SHARE: u64 = 4;

/// Most shards of the table.
const SHARDS_MAX: u64 = 64;

/// Bytes that an answer takes on average: a guess that only sizes tables.
const TYPICAL_BYTES: u64 = 16 * 1024;

/// The variants of one key, newest first.
type Variants = Arc<[Arc<Entry>]>;

#[derive(Clone)]
struct Weigh;

impl Weighter<Vec<u8>, Variants> for Weigh {
    fn weight(&self, key: &Vec<u8>, variants: &Variants) -> u64 {
        let own = key.len() as u64 + 64;
        variants.iter().map(|entry| entry.weight()).sum::<u64>() + own
    }
}

/// A store, bounded in bytes, shared by all cores and by the routes that name it. Which keys stay
/// is decided by S3-FIFO (quick_cache). Keys are hashed with a secret (SipHash), so that nobody
/// can choose keys that collide.
pub struct Store {
    table: Cache<Vec<u8>, Variants, Weigh, RandomState>,
    /// Held while the variants of a key are changed; never across a wait.
    changing: Mutex<()>,
    purges: Purges,
    pub(super) flights: Arc<Flights>,
    hasher: RandomState,
    filling: AtomicU64,
    filling_max: u64,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("keys", &self.keys()).field("bytes", &self.bytes()).finish()
    }
}

impl Store {
    /// * `max_bytes`: of everything that is kept
    /// * `max_object`: the largest body of any route that uses the store
    pub fn new(max_bytes: u64, max_object: u64) -> Arc<Store> {
        // A shard must have room for a few of the largest.
        let shards = (max_bytes / max_object.saturating_mul(4).max(1)).clamp(1, SHARDS_MAX);
        let shards = 1_usize << shards.ilog2();
        let items = (max_bytes / TYPICAL_BYTES).clamp(64, 1 << 20);
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(usize::try_from(items).unwrap_or(64).max(shards * 32))
            .weight_capacity(max_bytes)
            .build();
        let hasher = RandomState::new();
        let table = match options {
            Ok(options) => {
                Cache::with_options(options, Weigh, hasher.clone(), DefaultLifecycle::default())
            }
            // Both capacities are set above; this has the same bounds without the shards.
            Err(_) => {
                Cache::with(64, max_bytes, Weigh, hasher.clone(), DefaultLifecycle::default())
            }
        };
        Arc::new(Store {
            table,
            changing: Mutex::new(()),
            purges: Purges::new(),
            flights: Arc::default(),
            hasher,
            filling: AtomicU64::new(0),
            filling_max: (max_bytes / FILLING_SHARE).max(max_object),
        })
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.table.len()
    }

    /// Bytes that are kept, about.
    pub fn bytes(&self) -> u64 {
        self.table.weight()
    }

    /// How many fetches are under way or known not to be shared.
    pub fn flights(&self) -> usize {
        self.flights.len()
    }

    pub(super) fn clock(&self) -> u64 {
        self.purges.clock()
    }

    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        self.hasher.hash_one(bytes)
    }

    /// The variants of a key that are not gone, newest first.
    pub(super) fn variants(&self, key: &Key) -> Option<Variants> {
        let variants = self.table.get(key.bytes.as_slice())?;
        if variants.iter().all(|entry| self.standing(entry) != Standing::Gone) {
            return Some(variants);
        }
        self.change(&key.bytes, |variants| {
            variants.retain(|entry| self.standing(entry) != Standing::Gone);
        });
        self.table.get(key.bytes.as_slice())
    }

    /// The newest of the variants that a request selects.
    pub(super) fn select(variants: &Variants, request: &Fields) -> Option<Arc<Entry>> {
        variants.iter().find(|entry| entry.variant.matches(request)).cloned()
    }

    pub(super) fn standing(&self, entry: &Entry) -> Standing {
        self.purges.standing(&entry.subject)
    }

    /// Keeps an answer in the place of those that `request`, which it answers, selects. Not when
    /// it has been purged since its fetch began.
    pub(super) fn insert(&self, key: &Key, entry: &Arc<Entry>, request: &Fields) -> bool {
        let mut kept = false;
        self.change(&key.bytes, |variants| {
            // Within the lock that a purge of the URL takes when it has said so.
            kept = self.purges.may_keep(&entry.subject);
            if !kept {
                return;
            }
            variants.retain(|other| {
                !other.variant.matches(request) && self.standing(other) != Standing::Gone
            });
            variants.insert(0, Arc::clone(entry));
            variants.truncate(VARIANTS_MAX);
        });
        kept
    }

    /// Removes one variant.
    pub(super) fn remove(&self, key: &Key, entry: &Arc<Entry>) {
        self.change(&key.bytes, |variants| variants.retain(|other| !Arc::ptr_eq(other, entry)));
    }

    fn change(&self, key: &[u8], change: impl FnOnce(&mut Vec<Arc<Entry>>)) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.table.peek(key);
        let mut variants: Vec<Arc<Entry>> = old.as_deref().map(<[_]>::to_vec).unwrap_or_default();
        change(&mut variants);
        if !variants.is_empty() {
            self.table.insert(key.to_vec(), variants.into());
        } else if old.is_some() {
            self.table.remove(key);
        }
    }

    /// Purges everything.
    pub fn purge_all(&self, purge: Purge) {
        self.purges.all(purge);
        if purge == Purge::Hard {
            self.table.clear();
        }
    }

    /// Purges what carries a tag.
    pub fn purge_tag(&self, tag: &str, purge: Purge) {
        self.purges.tag(self.hash(tag.as_bytes()), purge);
    }

    /// Purges what begins so.
    ///
    /// * `prefix`: of a URL with its host (`http://host/a`; the scheme's port goes without
    ///   saying), or of a path on any host (`/a`)
    pub fn purge_prefix(&self, prefix: &str, purge: Purge) {
        self.purges.prefix(&with_port(prefix), purge);
    }

    /// Purges a URL; returns the clock's reading after.
    pub(super) fn purge_url(&self, url: &[u8], purge: Purge) -> u64 {
        let at = self.purges.url(self.hash(url), purge);
        if purge == Purge::Hard {
            self.change(url, Vec::clear);
        }
        at
    }

    /// Room for bytes of an answer that is being received.
    pub(super) fn reserve(&self, bytes: u64) -> bool {
        let before = self.filling.fetch_add(bytes, Relaxed);
        let fits = before.saturating_add(bytes) <= self.filling_max;
        if !fits {
            self.filling.fetch_sub(bytes, Relaxed);
        }
        fits
    }

    pub(super) fn release(&self, bytes: u64) {
        self.filling.fetch_sub(bytes, Relaxed);
    }

    /// Bytes of answers that are being received.
    pub fn filling(&self) -> u64 {
        self.filling.load(Relaxed)
    }
}

/// A URL's beginning with its port said, as entries have it. What names no complete host stays.
fn with_port(prefix: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = prefix.split_once("://") else { return Cow::Borrowed(prefix) };
    let Some((authority, path)) = rest.split_once('/') else { return Cow::Borrowed(prefix) };
    match wire::target::host_of(authority) {
        Ok((host, None)) => {
            let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
            Cow::Owned(format!("{scheme}://{host}:{}/{path}", policy::cache::default_port(&scheme)))
        }
        _ => Cow::Borrowed(prefix),
    }
}

//! What has been declared invalid, in bounded memory.
//!
//! A clock counts purges. Every kept answer remembers what the clock said when its fetch began;
//! it is covered by every purge that came later. So nothing has to be searched for, and an answer
//! whose fetch began before a purge is not used after it, whenever it is stored.
//! URLs and tags are remembered by hash in tables: two that share a place are purged together. Kept
//! answers whose key is their URL are taken out one by one instead, so that many purged URLs (every
//! POST is one) cost no others; only what is being fetched for such a key looks at a table.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{PoisonError, RwLock};

const URL_PLACES: usize = 1 << 14;
const TAG_PLACES: usize = 1 << 12;

/// Most purges by prefix that are remembered; beyond, the oldest is taken to cover everything.
pub const PREFIXES_MAX: usize = 128;

/// Whether what is purged is gone, or stale at once but still of use: to be confirmed by the
/// origin, or in place of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purge {
    /// Gone.
    Hard,
    /// Stale.
    Soft,
}

/// Where an answer stands after all purges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Valid,
    Stale,
    Gone,
}

/// What purges are matched with.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// `http://host:port/path?query`, the query as far as it counts.
    pub(super) url: Box<str>,
    /// Where the path begins in it.
    pub(super) path_at: usize,
    pub(super) url_hash: u64,
    pub(super) tag_hashes: Box<[u64]>,
    /// Whether nothing but the URL is in its key: then a hard purge of the URL takes it out of the
    /// store, and need not be remembered for it.
    pub(super) is_exact: bool,
    /// The clock when the body was asked for.
    pub(super) born: u64,
    /// The clock when it was last asked for or confirmed.
    pub(super) confirmed: u64,
}

/// The clock's last reading of each kind.
#[derive(Default)]
struct Last {
    hard: AtomicU64,
    soft: AtomicU64,
}

impl Last {
    fn note(&self, purge: Purge, at: u64) {
        match purge {
            Purge::Hard => self.hard.fetch_max(at, SeqCst),
            Purge::Soft => self.soft.fetch_max(at, SeqCst),
        };
    }

    fn standing(&self, subject: &Subject) -> Standing {
        if self.hard.load(SeqCst) > subject.born {
            Standing::Gone
        } else if self.soft.load(SeqCst) > subject.confirmed {
            Standing::Stale
        } else {
            Standing::Valid
        }
    }
}

struct Prefix {
    text: String,
    purge: Purge,
    at: u64,
}

pub(super) struct Purges {
    clock: AtomicU64,
    all: Last,
    urls: Box<[Last]>,
    /// Hard purges of URLs, for what is being fetched.
    fetches: Box<[AtomicU64]>,
    tags: Box<[Last]>,
    prefixes: RwLock<Vec<Prefix>>,
    last_prefix: AtomicU64,
}

impl Purges {
    pub(super) fn new() -> Purges {
        let places = |count| std::iter::repeat_with(Last::default).take(count).collect();
        Purges {
            clock: AtomicU64::new(0),
            all: Last::default(),
            urls: places(URL_PLACES),
            fetches: std::iter::repeat_with(AtomicU64::default).take(URL_PLACES).collect(),
            tags: places(TAG_PLACES),
            prefixes: RwLock::new(Vec::new()),
            last_prefix: AtomicU64::new(0),
        }
    }

    /// The clock's reading; to be taken before a lookup or a fetch.
    pub(super) fn clock(&self) -> u64 {
        self.clock.load(SeqCst)
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, SeqCst) + 1
    }

    pub(super) fn all(&self, purge: Purge) {
        self.all.note(purge, self.tick());
    }

    /// The clock's reading after the purge is returned.
    pub(super) fn url(&self, hash: u64, purge: Purge) -> u64 {
        let at = self.tick();
        place(&self.urls, hash).note(purge, at);
        if purge == Purge::Hard {
            place(&self.fetches, hash).fetch_max(at, SeqCst);
        }
        at
    }

    pub(super) fn tag(&self, hash: u64, purge: Purge) {
        place(&self.tags, hash).note(purge, self.tick());
    }

    /// * `text`: the beginning of a URL, or of a path on any host when it begins with `/`
    pub(super) fn prefix(&self, text: &str, purge: Purge) {
        let mut prefixes = self.prefixes.write().unwrap_or_else(PoisonError::into_inner);
        // Within the lock: the list is in the order of the clock.
        let at = self.tick();
        if prefixes.len() == PREFIXES_MAX {
            let oldest = prefixes.remove(0);
            self.all.note(oldest.purge, oldest.at);
        }
        prefixes.retain(|known| known.text != text || known.purge != purge);
        prefixes.push(Prefix { text: text.to_owned(), purge, at });
        self.last_prefix.store(at, SeqCst);
    }

    /// Whether what was fetched, or confirmed, may be kept: nothing has purged it since.
    pub(super) fn may_keep(&self, subject: &Subject) -> bool {
        let url = place(&self.fetches, subject.url_hash).load(SeqCst);
        url <= subject.confirmed && self.standing(subject) != Standing::Gone
    }

    pub(super) fn standing(&self, subject: &Subject) -> Standing {
        if self.clock() <= subject.born {
            return Standing::Valid;
        }
        let url = place(&self.urls, subject.url_hash).standing(subject);
        let url = if subject.is_exact && url == Standing::Gone { Standing::Valid } else { url };
        let tags = subject.tag_hashes.iter().map(|hash| place(&self.tags, *hash).standing(subject));
        let mut standing = Standing::Valid;
        for other in [self.all.standing(subject), url].into_iter().chain(tags) {
            match other {
                Standing::Gone => return Standing::Gone,
                Standing::Stale => standing = Standing::Stale,
                Standing::Valid => {}
            }
        }
        if self.last_prefix.load(SeqCst) > subject.born {
            match self.prefix_standing(subject) {
                Standing::Valid => {}
                other => return other,
            }
        }
        standing
    }

    fn prefix_standing(&self, subject: &Subject) -> Standing {
        let path = subject.url.get(subject.path_at..).unwrap_or_default();
        let mut standing = Standing::Valid;
        for prefix in self.prefixes.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let whole = if prefix.text.starts_with('/') { path } else { &subject.url };
            if !whole.starts_with(&*prefix.text) {
                continue;
            }
            match prefix.purge {
                Purge::Hard if prefix.at > subject.born => return Standing::Gone,
                Purge::Soft if prefix.at > subject.confirmed => standing = Standing::Stale,
                _ => {}
            }
        }
        standing
    }
}

fn place<T>(table: &[T], hash: u64) -> &T {
    // The tables' lengths are powers of two, and not zero.
    &table[hash as usize & (table.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(purges: &Purges) -> Subject {
        Subject {
            url: "http://a.test:80/p/q".into(),
            path_at: 16,
            url_hash: 1,
            tag_hashes: [2, 3].into(),
            is_exact: false,
            born: purges.clock(),
            confirmed: purges.clock(),
        }
    }

    #[test]
    fn a_purge_covers_what_was_asked_for_before_it() {
        type Action = fn(&Purges, Purge);
        let actions: [(Action, bool); 8] = [
            (|p, how| p.all(how), true),
            (
                |p, how| {
                    p.url(1, how);
                },
                true,
            ),
            (
                |p, how| {
                    p.url(2, how);
                },
                false,
            ),
            (|p, how| p.tag(3, how), true),
            (|p, how| p.tag(1, how), false),
            (|p, how| p.prefix("/p", how), true),
            (|p, how| p.prefix("http://a.test:80/", how), true),
            (|p, how| p.prefix("/q", how), false),
        ];
        for (index, (action, covers)) in actions.into_iter().enumerate() {
            for (how, worse) in [(Purge::Hard, Standing::Gone), (Purge::Soft, Standing::Stale)] {
                let purges = Purges::new();
                let before = subject(&purges);
                action(&purges, how);
                let expected = if covers { worse } else { Standing::Valid };
                assert_eq!(purges.standing(&before), expected, "{index}");
                assert_eq!(purges.standing(&subject(&purges)), Standing::Valid);
                // Confirmed later: a soft purge is over, a hard one is not.
                let confirmed = Subject { confirmed: purges.clock(), ..before };
                let expected = if how == Purge::Hard { expected } else { Standing::Valid };
                assert_eq!(purges.standing(&confirmed), expected, "{index}");
            }
        }
    }

    #[test]
    fn forgotten_prefixes_cover_everything_before_them() {
        let purges = Purges::new();
        let old = subject(&purges);
        for index in 0..PREFIXES_MAX {
            purges.prefix(&format!("/other/{index}"), Purge::Hard);
        }
        assert_eq!(purges.standing(&old), Standing::Valid);
        let young = subject(&purges);
        purges.prefix("/one-more", Purge::Hard);
        assert_eq!(purges.standing(&old), Standing::Gone);
        assert_eq!(purges.standing(&young), Standing::Valid);
    }
}

//! What is remembered of clients that met refusals or looked for weak places.

use foldhash::HashMap;

use super::distinct::Distinct;
use super::path::PathKind;

/// Paths not found that one client's set holds exactly; beyond, they are estimated.
const MISSING_EXACT_MAX: usize = 4096;

/// One client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Suspect {
    /// Requests answered with 404.
    pub(crate) not_found: u64,
    /// Distinct paths of those.
    pub(crate) missing: Distinct,
    /// Requests for paths that only scanners ask for.
    pub(crate) probes: u64,
    /// How many of those were answered with 2xx.
    pub(crate) probes_found: u64,
    /// How many of those were refused with 4xx; with 404, where people log in, who may mistype. A redirect tells
    /// nothing: it may be an accepted login, or the way to HTTPS.
    pub(crate) probes_in_vain: u64,
    /// Kinds of such paths, as bits of [`PathKind::Probe`].
    pub(crate) probe_kinds: u64,
    /// Kinds of those that were answered with 2xx.
    pub(crate) found_kinds: u64,
}

/// By number of the client. There are at most as many as clients with a number.
#[derive(Debug, Default)]
pub(crate) struct Suspects(HashMap<u32, Suspect>);

impl Suspects {
    /// Looks at one request; `path` is a hash of its path.
    #[inline]
    pub(crate) fn see(
        &mut self,
        client: u32,
        status: u16,
        (kind, is_login): (PathKind, bool),
        path: u64,
        weight: u64,
    ) {
        if status != 404 && !matches!(kind, PathKind::Probe(_)) {
            return;
        }
        let suspect = self.0.entry(client).or_default();
        if status == 404 {
            suspect.not_found += weight;
            suspect.missing.insert(path, MISSING_EXACT_MAX);
        }
        if let PathKind::Probe(probe) = kind {
            suspect.probes += weight;
            suspect.probe_kinds |= 1 << probe;
            if status / 100 == 2 {
                suspect.probes_found += weight;
                suspect.found_kinds |= 1 << probe;
            } else if status == 404 || status / 100 == 4 && !is_login {
                suspect.probes_in_vain += weight;
            }
        }
    }

    /// Adds all of `other`, whose numbers are those here by `clients`.
    pub(crate) fn merge(&mut self, other: &Self, clients: &[u32]) {
        for (client, theirs) in &other.0 {
            let client = clients.get(*client as usize).copied().unwrap_or(0);
            let ours = self.0.entry(client).or_default();
            ours.not_found += theirs.not_found;
            ours.missing.merge(&theirs.missing, MISSING_EXACT_MAX);
            ours.probes += theirs.probes;
            ours.probes_found += theirs.probes_found;
            ours.probes_in_vain += theirs.probes_in_vain;
            ours.probe_kinds |= theirs.probe_kinds;
            ours.found_kinds |= theirs.found_kinds;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Suspect)> {
        self.0.iter().map(|(client, suspect)| (*client, suspect))
    }

    pub(crate) fn get(&self, client: u32) -> Option<&Suspect> {
        self.0.get(&client)
    }
}

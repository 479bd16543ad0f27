//! Clients that look for weak places: known probes, or many different paths that are not there. Probes for
//! several places that all were answered are a finding too: about the site more than about the client.

use super::rules;
use super::{Finding, FindingKind, Ranked, Severity, shown};
use crate::report::aggregate::{Aggregate, Kind};
use crate::report::anonymise::address;
use crate::report::path::probe_names;

/// Probes that found nothing, from which on a client is a scanner. Those that found something do not
/// count: the site has such a place, and people use it.
const PROBES_MIN: u64 = 3;
/// The same, from which on it matters much.
const PROBES_HIGH: u64 = 20;
/// Kinds of places that a client found, from which on what was served must be looked at.
const FOUND_KINDS_MIN: usize = 3;
/// Different paths not found, from which on a client is a scanner …
const MISSING_MIN: u64 = 30;
/// … if this share of its requests found nothing.
const MISSING_SHARE_MIN: f64 = 0.5;

pub(super) fn find(seen: &Aggregate) -> Vec<Ranked> {
    let clients = seen.keys(Kind::Client);
    let mut found = Vec::new();
    for (id, suspect) in seen.suspects.iter().filter(|(id, _)| *id != 0) {
        let hits = clients.counters.get(id as usize).map_or(0, |counter| counter.hits).max(1);
        let in_vain = suspect.probes_in_vain;
        let missing = suspect.missing.count();
        let share = suspect.not_found as f64 / hits as f64;
        let is_prober = in_vain >= PROBES_MIN;
        let is_guesser = missing >= MISSING_MIN && share >= MISSING_SHARE_MIN;
        let is_finder = probe_names(suspect.found_kinds).len() >= FOUND_KINDS_MIN;
        if !is_prober && !is_guesser && !is_finder {
            continue;
        }
        let paths = if missing == 1 { "path" } else { "paths" };
        let mut evidence =
            format!("{hits} requests, {} not found on {missing} {paths}", suspect.not_found);
        if is_prober || is_finder {
            let names = probe_names(suspect.probe_kinds).join(", ");
            evidence += &format!("; {} probes for {names}", suspect.probes);
        }
        if (is_prober || is_finder) && suspect.probes_found > 0 {
            evidence += &format!(
                ", {} of them answered with 2xx: check what was served",
                suspect.probes_found
            );
        }
        let is_grave =
            is_finder || is_prober && (in_vain >= PROBES_HIGH || suspect.probes_found > 0);
        let rule = if is_prober || is_guesser {
            rules::deny(address(clients.text(id)).map(Into::into))
        } else {
            // Perhaps it is who looks after the site.
            rules::none()
        };
        found.push(Ranked {
            strength: in_vain + missing + if is_finder { suspect.probes_found } else { 0 },
            finding: Finding {
                kind: FindingKind::Scanner,
                severity: if is_grave { Severity::High } else { Severity::Medium },
                subject: shown(&clients.name(id)),
                evidence,
                rule: rule.tidegate,
                nginx: rule.nginx,
            },
        });
    }
    found
}

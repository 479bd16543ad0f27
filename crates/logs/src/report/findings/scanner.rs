//! Clients that look for weak places: known probes, or many different paths that are not there.

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
/// Different paths not found, from which on a client is a scanner …
const MISSING_MIN: u64 = 30;
/// … if this share of its requests found nothing.
const MISSING_SHARE_MIN: f64 = 0.5;

pub(super) fn find(seen: &Aggregate) -> Vec<Ranked> {
    let clients = seen.keys(Kind::Client);
    let mut found = Vec::new();
    for (id, suspect) in seen.suspects.iter().filter(|(id, _)| *id != 0) {
        let hits = clients.counters.get(id as usize).map_or(0, |counter| counter.hits).max(1);
        let in_vain = suspect.probes - suspect.probes_found;
        let missing = suspect.missing.count();
        let share = suspect.not_found as f64 / hits as f64;
        let is_prober = in_vain >= PROBES_MIN;
        let is_guesser = missing >= MISSING_MIN && share >= MISSING_SHARE_MIN;
        if !is_prober && !is_guesser {
            continue;
        }
        let paths = if missing == 1 { "path" } else { "paths" };
        let mut evidence =
            format!("{hits} requests, {} not found on {missing} {paths}", suspect.not_found);
        if is_prober {
            let names = probe_names(suspect.probe_kinds).join(", ");
            evidence += &format!("; {} probes for {names}", suspect.probes);
        }
        if is_prober && suspect.probes_found > 0 {
            evidence += &format!(
                ", {} of them answered with 2xx: check what was served",
                suspect.probes_found
            );
        }
        let is_grave = is_prober && (in_vain >= PROBES_HIGH || suspect.probes_found > 0);
        let rule = rules::deny(address(clients.text(id)).map(Into::into));
        found.push(Ranked {
            strength: in_vain + missing,
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

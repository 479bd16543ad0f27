//! Clients that try passwords: many refused logins, many of them within a minute.

use std::collections::BTreeMap;

use super::rules;
use super::{Finding, FindingKind, Ranked, Severity, shown};
use crate::report::aggregate::{Aggregate, Kind};
use crate::report::anonymise::address;

/// Refused logins of a client at one path, at least …
const REFUSED_MIN: u64 = 10;
/// … and so many of them within a step (a minute, unless the log is very long).
const BURST_MIN: u64 = 5;
/// Refused logins that matter much.
const REFUSED_HIGH: u64 = 50;

pub(super) fn find(seen: &Aggregate) -> Vec<Ranked> {
    let Some(step_s) = seen.logins.step_s() else { return Vec::new() };
    let (clients, paths) = (seen.keys(Kind::Client), seen.keys(Kind::Path));
    let mut tries: BTreeMap<(u32, u32), (u64, u64)> = BTreeMap::new();
    for cell in seen.logins.cells() {
        let (refused, burst) = tries.entry((cell.client, cell.other)).or_default();
        *refused += u64::from(cell.hits);
        *burst = (*burst).max(u64::from(cell.hits));
    }
    let is_found = |refused: u64, burst: u64| refused >= REFUSED_MIN && burst >= BURST_MIN;
    tries
        .into_iter()
        .filter(|(_, (refused, burst))| is_found(*refused, *burst))
        .map(|((client, path), (refused, burst))| {
            let rule = match address(clients.text(client)) {
                Some(ip) => rules::deny(Some(ip.into())),
                None => rules::limit_clients(BURST_MIN),
            };
            Ranked {
                strength: refused,
                finding: Finding {
                    kind: FindingKind::BruteForce,
                    severity: if refused >= REFUSED_HIGH {
                        Severity::High
                    } else {
                        Severity::Medium
                    },
                    subject: shown(&clients.name(client)),
                    evidence: format!(
                        "{refused} refused logins at {}, up to {burst} within {step_s} s",
                        shown(&paths.name(path))
                    ),
                    rule: rule.tidegate,
                    nginx: rule.nginx,
                },
            }
        })
        .collect()
}

//! Clients that say that they are a search engine's crawler. A log alone cannot prove that they are not:
//! the operators tell to look up the address's name, and that name's address. Without other signs the
//! finding only asks for that.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::rules;
use super::{Finding, FindingKind, Ranked, Severity, shown};
use crate::report::agent::{Agent, Class, classify};
use crate::report::aggregate::{Aggregate, Kind};
use crate::report::anonymise::address;
use crate::report::keys::OTHER_ID;
use crate::report::rates::Cell;

/// Who says how to recognise its crawlers: the operator, the endings of their names, and networks
/// from which they have come for years.
const OPERATORS: &[(&str, &[&str], &[&str])] = &[
    (
        "Google",
        &[".googlebot.com", ".google.com", ".googleusercontent.com"],
        &["66.249.64.0/19", "2001:4860:4801::/48"],
    ),
    ("Microsoft", &[".search.msn.com"], &["157.55.39.0/24", "207.46.13.0/24", "40.77.167.0/24"]),
    ("Apple", &[".applebot.apple.com"], &["17.0.0.0/8"]),
    (
        "Yandex",
        &[".yandex.ru", ".yandex.net", ".yandex.com"],
        &["5.255.192.0/18", "77.88.0.0/18", "95.108.128.0/17"],
    ),
    ("Baidu", &[".crawl.baidu.com", ".crawl.baidu.jp"], &["180.76.0.0/16", "220.181.0.0/16"]),
];

/// Clients named as examples.
const EXAMPLES: usize = 5;
/// Probes in vain from which on a client is no search engine's crawler.
const PROBES_MIN: u64 = 3;

/// What one client said.
#[derive(Default)]
struct Said {
    /// Operators whose crawler it claims to be, by place in the table.
    claims: BTreeSet<usize>,
    hits: u64,
    /// Whether it was also a browser or a tool.
    others: bool,
}

pub(super) fn find(seen: &Aggregate) -> Vec<Ranked> {
    let (clients, agents) = (seen.keys(Kind::Client), seen.keys(Kind::Agent));
    // What each agent claims, and whether it is a crawler at all.
    let known: Vec<(Option<usize>, bool)> = (0..=agents.len() as u32)
        .map(|id| classify(agents.text(id)))
        .map(|agent| (claim(&agent), agent.class == Class::Crawler))
        .collect();
    let cells = || {
        let cells =
            seen.rates.cells().filter(|cell| cell.client != OTHER_ID && cell.other != OTHER_ID);
        cells.filter_map(|cell| Some((cell, known.get(cell.other as usize)?)))
    };
    let mut said: BTreeMap<u32, Said> = BTreeMap::new();
    // The keys of `said`, quicker to ask: there are millions of cells.
    let mut is_said = vec![false; clients.len() + 1];
    for (cell, (claim, _)) in cells() {
        if let Some(operator) = claim {
            said.entry(cell.client).or_default().claims.insert(*operator);
            if let Some(is_said) = is_said.get_mut(cell.client as usize) {
                *is_said = true;
            }
        }
    }
    // What the same clients say besides.
    let others = |cell: &Cell| is_said.get(cell.client as usize).copied().unwrap_or(false);
    for (cell, (claim, is_crawler)) in cells().filter(|(cell, _)| others(cell)) {
        if let Some(client) = said.get_mut(&cell.client) {
            client.hits += u64::from(cell.hits);
            client.others |= claim.is_none() && !is_crawler;
        }
    }

    let mut found = Vec::new();
    let mut unproven: BTreeMap<usize, Vec<(u64, String)>> = BTreeMap::new();
    for (id, client) in &said {
        let (text, name) = (clients.text(*id), shown(&clients.name(*id)));
        let probes = seen.suspects.get(*id).map_or(0, |suspect| suspect.probes_in_vain);
        for operator in &client.claims {
            if is_proven(*operator, text) {
                continue;
            }
            let several = client.claims.len() > 1;
            if !client.others && !several && probes < PROBES_MIN {
                unproven.entry(*operator).or_default().push((client.hits, name.clone()));
                continue;
            }
            let rule = rules::deny(address(text).map(Into::into));
            let mut signs = Vec::new();
            if client.others {
                signs.push("also says that it is a browser or a tool".to_owned());
            }
            if several {
                signs.push(format!("claims to be crawlers of {} operators", client.claims.len()));
            }
            if probes >= PROBES_MIN {
                signs.push(format!("made {probes} probes for weak places"));
            }
            found.push(Ranked {
                strength: client.hits,
                finding: Finding {
                    kind: FindingKind::SpoofedCrawler,
                    severity: if probes >= PROBES_MIN { Severity::High } else { Severity::Medium },
                    subject: name.clone(),
                    evidence: format!(
                        "{} requests; claims to be a crawler of {} from outside of its known networks, and {}",
                        client.hits,
                        OPERATORS[*operator].0,
                        signs.join(", ")
                    ),
                    rule: rule.tidegate,
                    nginx: rule.nginx,
                },
            });
        }
    }
    found.extend(unproven.into_iter().map(|(operator, clients)| verify(operator, clients)));
    found
}

/// Asks to verify those that may well be what they say.
fn verify(operator: usize, mut clients: Vec<(u64, String)>) -> Ranked {
    clients.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let hits: u64 = clients.iter().map(|(hits, _)| hits).sum();
    let examples: Vec<&str> =
        clients.iter().take(EXAMPLES).map(|(_, name)| name.as_str()).collect();
    let (name, endings, _) = OPERATORS[operator];
    let rule = rules::none();
    let (requests, all, claim) = match (hits, clients.len()) {
        (1, _) => ("request", "1 client".to_owned(), "claims"),
        (_, 1) => ("requests", "1 client".to_owned(), "claim"),
        (_, n) => ("requests", format!("{n} clients"), "claim"),
    };
    Ranked {
        strength: hits,
        finding: Finding {
            kind: FindingKind::SpoofedCrawler,
            severity: Severity::Low,
            subject: name.to_owned(),
            evidence: format!(
                "{hits} {requests} of {all} {claim} to be a crawler of {name} from networks not in the built-in \
                 table, which is short: verify by reverse DNS that their names end in {}. Most active: {}",
                endings.join(" or "),
                examples.join(", ")
            ),
            rule: rule.tidegate,
            nginx: rule.nginx,
        },
    }
}

/// Whose search crawler an agent claims to be, by place in the table.
fn claim(agent: &Agent) -> Option<usize> {
    // Others of Google fetch for people, from anywhere in its cloud.
    let is_search = ["googlebot", "bingbot", "applebot", "yandexbot", "baiduspider"]
        .iter()
        .any(|name| agent.name.to_ascii_lowercase().starts_with(name));
    let operator = agent.operator.filter(|_| is_search)?;
    OPERATORS.iter().position(|(name, _, _)| *name == operator)
}

/// Whether the client's name or address is one of the operator's.
fn is_proven(operator: usize, client: &[u8]) -> bool {
    let (_, endings, networks) = OPERATORS[operator];
    match address(client) {
        None => {
            let name = String::from_utf8_lossy(client).to_ascii_lowercase();
            endings.iter().any(|ending| name.ends_with(ending))
        }
        Some(ip) => networks.iter().any(|network| within(network, ip)),
    }
}

fn within(network: &str, ip: IpAddr) -> bool {
    network.parse::<IpNet>().is_ok_and(|network| network.contains(&ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_of_the_table_is_one() {
        for (_, _, networks) in OPERATORS {
            assert!(networks.iter().all(|network| network.parse::<IpNet>().is_ok()));
        }
    }

    #[test]
    fn names_and_addresses_that_prove() {
        assert!(is_proven(0, b"crawl-66-249-66-1.googlebot.com") && is_proven(0, b"66.249.66.1"));
        assert!(!is_proven(0, b"googlebot.com.evil.example") && !is_proven(0, b"192.0.2.1"));
    }
}

//! Clients, networks and agents that ask far more often than the others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use foldhash::HashMap;
use ipnet::IpNet;

use super::rules::{self, Rule};
use super::{Finding, FindingKind, Ranked, Severity, shown};
use crate::report::agent::{Class, classify};
use crate::report::aggregate::{Aggregate, Kind};
use crate::report::anonymise::address;
use crate::report::keys::OTHER_ID;
use crate::report::model::timestamp;
use crate::report::rates::Cell;

/// Peaks to compare with: fewer say nothing.
const OTHERS_MIN: usize = 10;
/// Lowest peak that is found, in requests per minute: one per second.
const PEAK_MIN: u64 = 60;
/// Robust standard deviations above the others' median, on the logarithm of peaks.
const Z_MIN: f64 = 6.0;
/// Smallest deviation on that scale, since most peaks may be equal.
const DEVIATION_MIN: f64 = 0.5;
/// A peak, in requests per minute, that matters much.
const PEAK_HIGH: u64 = 600;
/// A median absolute deviation times this is the standard deviation of a normal distribution.
const MAD: f64 = 1.4826;

pub(super) fn clients(seen: &Aggregate) -> Vec<Ranked> {
    let names = seen.keys(Kind::Client);
    let peaks = peaks(seen, |cell| (cell.client != OTHER_ID).then_some(cell.client));
    outstanding(
        seen,
        FindingKind::ClientRate,
        &peaks,
        |id| shown(&names.name(*id)),
        |_, allowed| rules::limit_clients(allowed),
    )
}

pub(super) fn networks(seen: &Aggregate) -> Vec<Ranked> {
    let clients = seen.keys(Kind::Client);
    let network = |id: u32| address(clients.text(id)).and_then(network_of);
    let networks: Vec<Option<IpNet>> = (0..=clients.len() as u32).map(network).collect();
    // A network of one client is that client.
    let mut members: HashMap<IpNet, usize> = HashMap::default();
    networks.iter().flatten().for_each(|network| *members.entry(*network).or_default() += 1);
    let peaks = peaks(seen, |cell| networks.get(cell.client as usize).copied().flatten());
    let mut found =
        outstanding(seen, FindingKind::NetworkRate, &peaks, ToString::to_string, |network, _| {
            rules::deny(Some(*network))
        });
    found.retain(|ranked| {
        let network = ranked.finding.subject.parse::<IpNet>();
        network.is_ok_and(|network| members.get(&network).is_some_and(|members| *members > 1))
    });
    found
}

/// Only crawlers, monitors and tools: a browser's agent is that of many people.
pub(super) fn agents(seen: &Aggregate) -> Vec<Ranked> {
    let names = seen.keys(Kind::Agent);
    let is_program = |id: u32| id != OTHER_ID && classify(names.text(id)).class != Class::Browser;
    let programs: Vec<bool> = (0..=names.len() as u32).map(is_program).collect();
    let is_program = |id: u32| programs.get(id as usize).copied().unwrap_or(false);
    let peaks = peaks(seen, |cell| is_program(cell.other).then_some(cell.other));
    outstanding(
        seen,
        FindingKind::AgentRate,
        &peaks,
        |id| shown(&names.name(*id)),
        |id, allowed| rules::limit_agent(&names.name(*id), allowed),
    )
}

/// The most requests within a step, and when; the first of equals.
type Peak = (u64, i64);

fn peaks<K: Ord + Copy + std::hash::Hash>(
    seen: &Aggregate,
    key: impl Fn(&Cell) -> Option<K>,
) -> BTreeMap<K, Peak> {
    let mut sums: HashMap<(K, i64), u64> = HashMap::default();
    for cell in seen.rates.cells() {
        if let Some(key) = key(cell) {
            *sums.entry((key, seen.rates.begin_s(cell))).or_default() += u64::from(cell.hits);
        }
    }
    let mut peaks: BTreeMap<K, Peak> = BTreeMap::new();
    for ((key, at_s), hits) in sums {
        let peak = peaks.entry(key).or_insert((hits, at_s));
        if (hits, -at_s) > (peak.0, -peak.1) {
            *peak = (hits, at_s);
        }
    }
    peaks
}

fn outstanding<K>(
    seen: &Aggregate,
    kind: FindingKind,
    peaks: &BTreeMap<K, Peak>,
    name: impl Fn(&K) -> String,
    rule: impl Fn(&K, u64) -> Rule,
) -> Vec<Ranked> {
    let Some(step_s) = seen.rates.step_s().filter(|_| peaks.len() > OTHERS_MIN) else {
        return Vec::new();
    };
    let minutes = (step_s / 60).max(1) as u64;
    let mut sorted: Vec<u64> = peaks.values().map(|(hits, _)| *hits).collect();
    sorted.sort_unstable();
    let log = |hits: u64| (hits as f64).ln();
    let median = sorted[sorted.len() / 2];
    let mut deviations: Vec<f64> =
        sorted.iter().map(|hits| (log(*hits) - log(median)).abs()).collect();
    deviations.sort_unstable_by(f64::total_cmp);
    let deviation = (MAD * deviations[deviations.len() / 2]).max(DEVIATION_MIN);
    let z = |hits: u64| (log(hits) - log(median)) / deviation;
    let is_outstanding = |hits: u64| hits >= PEAK_MIN * minutes && z(hits) >= Z_MIN;
    // What nobody else ever needs: twice the highest peak that does not stand out.
    let usual = sorted.iter().rev().find(|hits| !is_outstanding(**hits)).copied().unwrap_or(median);
    let allowed = (2 * usual).div_ceil(minutes).max(PEAK_MIN);
    peaks
        .iter()
        .filter(|(_, (hits, _))| is_outstanding(*hits))
        .map(|(key, (hits, at_s))| {
            let rule = rule(key, allowed);
            let is_grave = *hits >= PEAK_HIGH * minutes;
            Ranked {
                strength: *hits,
                finding: Finding {
                    kind,
                    severity: if is_grave { Severity::Medium } else { Severity::Low },
                    subject: name(key),
                    evidence: format!(
                        "{hits} requests within {step_s} s at {}; the median of {} peaks is {median}, robust z {:.1}",
                        timestamp(at_s * 1_000_000),
                        peaks.len(),
                        z(*hits)
                    ),
                    rule: rule.tidegate,
                    nginx: rule.nginx,
                },
            }
        })
        .collect()
}

/// The /24 of an IPv4 address, the /48 of an IPv6 address.
fn network_of(ip: IpAddr) -> Option<IpNet> {
    let length = if ip.is_ipv4() { 24 } else { 48 };
    IpNet::new(ip, length).ok().map(|network| network.trunc())
}

//! Clients, networks and agents that ask far more often than the others.

use std::net::IpAddr;

use foldhash::{HashMap, HashSet};
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

pub(super) fn clients(seen: &Aggregate, peaks: &[Peak]) -> Vec<Ranked> {
    let names = seen.keys(Kind::Client);
    outstanding(
        seen,
        FindingKind::ClientRate,
        peaks,
        |id| shown(&names.name(id)),
        |_, allowed| rules::limit_clients(allowed),
    )
}

/// The peaks of clients, for [`clients`] and [`networks`].
pub(super) fn client_peaks(seen: &Aggregate) -> Vec<Peak> {
    let keys = seen.keys(Kind::Client).len() + 1;
    peaks(seen, keys, |cell| (cell.client != OTHER_ID).then_some(cell.client))
}

/// Without the clients that stand out by themselves: nobody's neighbour is to blame for them.
pub(super) fn networks(seen: &Aggregate, peaks_of_clients: &[Peak]) -> Vec<Ranked> {
    let clients = seen.keys(Kind::Client);
    let told: HashSet<u32> = Scale::of(seen, peaks_of_clients)
        .map(|scale| {
            let loud = peaks_of_clients.iter().filter(|(_, hits, _)| scale.stands_out(*hits));
            loud.map(|(client, ..)| *client).collect()
        })
        .unwrap_or_default();
    // Networks by number, and how many clients each has.
    let mut numbers: HashMap<IpNet, u32> = HashMap::default();
    let (mut networks, mut members) = (Vec::new(), Vec::new());
    let number_of = |id: u32| {
        if told.contains(&id) {
            return None;
        }
        let network = address(clients.text(id)).and_then(network_of)?;
        let number = *numbers.entry(network).or_insert_with(|| {
            networks.push(network);
            members.push(0_u64);
            networks.len() as u32 - 1
        });
        members[number as usize] += 1;
        Some(number)
    };
    let of_client: Vec<Option<u32>> = (0..=clients.len() as u32).map(number_of).collect();
    let network = |cell: &Cell| of_client.get(cell.client as usize).copied().flatten();
    let peaks = peaks(seen, networks.len(), network);
    let name = |number: u32| networks.get(number as usize).map(ToString::to_string);
    let mut found = outstanding(
        seen,
        FindingKind::NetworkRate,
        &peaks,
        |number| name(number).unwrap_or_default(),
        |number, _| rules::deny(networks.get(number as usize).copied()),
    );
    // A network of one client is that client.
    let is_one = |network: &IpNet| {
        numbers.get(network).is_none_or(|number| members.get(*number as usize) == Some(&1))
    };
    found.retain(|ranked| ranked.finding.subject.parse().is_ok_and(|network| !is_one(&network)));
    found
}

/// Only crawlers, monitors and tools: a browser's agent is that of many people.
pub(super) fn agents(seen: &Aggregate) -> Vec<Ranked> {
    let names = seen.keys(Kind::Agent);
    let is_program = |id: u32| id != OTHER_ID && classify(names.text(id)).class != Class::Browser;
    let programs: Vec<bool> = (0..=names.len() as u32).map(is_program).collect();
    let is_program = |id: u32| programs.get(id as usize).copied().unwrap_or(false);
    let peaks = peaks(seen, programs.len(), |cell| is_program(cell.other).then_some(cell.other));
    outstanding(
        seen,
        FindingKind::AgentRate,
        &peaks,
        |id| shown(&names.name(id)),
        |id, allowed| rules::limit_agent(&names.name(id), allowed),
    )
}

/// Number of the client, network or agent; the most requests within a step, and when: the first of equals.
pub(super) type Peak = (u32, u64, i64);

/// The peak of each of the numbers below `keys` that `key` gives to a cell.
fn peaks(seen: &Aggregate, keys: usize, key: impl Fn(&Cell) -> Option<u32>) -> Vec<Peak> {
    let cells = || seen.rates.cells().filter_map(|cell| Some((key(&cell)? as usize, cell)));
    // The cells of each number together, each as its step and hits: there are millions of cells, and
    // many small vectors are sorted faster than a large one.
    let mut begins = vec![0; keys + 1];
    cells().for_each(|(key, _)| begins[key + 1] += 1);
    (1..=keys).for_each(|key| begins[key] += begins[key - 1]);
    let mut ends = begins.clone();
    let mut moments = vec![0_u64; begins[keys]];
    for (key, cell) in cells() {
        let step = cell.step.cast_unsigned() ^ (1 << 31);
        moments[ends[key]] = u64::from(step) << 32 | u64::from(cell.hits);
        ends[key] += 1;
    }
    (0..keys)
        .filter_map(|key| {
            let moments = &mut moments[begins[key]..ends[key]];
            moments.sort_unstable();
            let steps = moments.chunk_by(|a, b| a >> 32 == b >> 32).map(|same| {
                let hits: u64 = same.iter().map(|moment| u64::from(*moment as u32)).sum();
                (hits, same[0] >> 32)
            });
            // The first of equals.
            let (hits, step) =
                steps.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
            let step = (step as u32 ^ (1 << 31)).cast_signed();
            Some((key as u32, hits, seen.rates.begin_s(step)))
        })
        .collect()
}

/// What peaks are compared with.
struct Scale {
    step_s: i64,
    /// Minutes in a step.
    minutes: u64,
    median: u64,
    /// Robust standard deviation of the peaks' logarithms.
    deviation: f64,
}

impl Scale {
    /// `None` if there is too little to compare with.
    fn of(seen: &Aggregate, peaks: &[Peak]) -> Option<Self> {
        let step_s = seen.rates.step_s().filter(|_| peaks.len() > OTHERS_MIN)?;
        let mut sorted: Vec<u64> = peaks.iter().map(|(_, hits, _)| *hits).collect();
        sorted.sort_unstable();
        let median = sorted[sorted.len() / 2];
        let mut deviations: Vec<f64> =
            sorted.iter().map(|hits| ((*hits as f64).ln() - (median as f64).ln()).abs()).collect();
        deviations.sort_unstable_by(f64::total_cmp);
        let deviation = (MAD * deviations[deviations.len() / 2]).max(DEVIATION_MIN);
        Some(Self { step_s, minutes: (step_s / 60).max(1) as u64, median, deviation })
    }

    fn z(&self, hits: u64) -> f64 {
        ((hits as f64).ln() - (self.median as f64).ln()) / self.deviation
    }

    fn stands_out(&self, hits: u64) -> bool {
        hits >= PEAK_MIN * self.minutes && self.z(hits) >= Z_MIN
    }
}

fn outstanding(
    seen: &Aggregate,
    kind: FindingKind,
    peaks: &[Peak],
    name: impl Fn(u32) -> String,
    rule: impl Fn(u32, u64) -> Rule,
) -> Vec<Ranked> {
    let Some(scale) = Scale::of(seen, peaks) else { return Vec::new() };
    let Scale { step_s, minutes, median, .. } = scale;
    // What nobody else ever needs: twice the highest peak that does not stand out.
    let quiet = peaks.iter().map(|(_, hits, _)| *hits).filter(|hits| !scale.stands_out(*hits));
    let allowed = (2 * quiet.max().unwrap_or(median)).div_ceil(minutes).max(PEAK_MIN);
    peaks
        .iter()
        .filter(|(_, hits, _)| scale.stands_out(*hits))
        .map(|(key, hits, at_s)| {
            let rule = rule(*key, allowed);
            let is_grave = *hits >= PEAK_HIGH * minutes;
            Ranked {
                strength: *hits,
                finding: Finding {
                    kind,
                    severity: if is_grave { Severity::Medium } else { Severity::Low },
                    subject: name(*key),
                    evidence: format!(
                        "{hits} requests within {step_s} s at {}; the median of {} peaks is {median}, robust z {:.1}",
                        timestamp(at_s * 1_000_000),
                        peaks.len(),
                        scale.z(*hits)
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

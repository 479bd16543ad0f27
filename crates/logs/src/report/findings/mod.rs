//! What an operator should look at, with the figures that say so and a rule to paste. Nothing is ever
//! applied by itself, and every rule should be read first: behind one address there may be many people.

mod brute_force;
mod error_burst;
mod rate;
mod rules;
mod scanner;
mod spoofed;

use serde::Serialize;

use super::aggregate::Aggregate;

/// Findings of one kind that are listed, the gravest.
pub const FINDINGS_PER_KIND_MAX: usize = 20;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A client looks for weak places.
    Scanner,
    /// A client tries passwords.
    BruteForce,
    /// A client says that it is a crawler and may not be.
    SpoofedCrawler,
    /// A client asks far more often than the others.
    ClientRate,
    /// A network (/24, or /48 of IPv6) asks far more often than the others.
    NetworkRate,
    /// A crawler or a tool asks far more often than the others.
    AgentRate,
    /// Far more requests than usual failed for a while.
    ErrorBurst,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Worth looking at.
    Medium,
    /// Worth acting on.
    High,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What was found.
    pub kind: FindingKind,
    /// How much it matters.
    pub severity: Severity,
    /// The client, network, agent, crawler or time that it is about.
    pub subject: String,
    /// The figures, as a sentence.
    pub evidence: String,
    /// A piece of a gateway file of tidegate; empty where no rule helps.
    pub rule: String,
    /// The same for nginx.
    pub nginx: String,
}

/// A finding and how strong it is among those of its kind and severity.
struct Ranked {
    strength: u64,
    finding: Finding,
}

/// All findings, gravest first.
pub(super) fn find(seen: &Aggregate) -> Vec<Finding> {
    let mut all = Vec::new();
    let peaks = rate::client_peaks(seen);
    for kind in [
        scanner::find(seen),
        brute_force::find(seen),
        spoofed::find(seen),
        rate::clients(seen, &peaks),
        rate::networks(seen, &peaks),
        rate::agents(seen),
        error_burst::find(seen),
    ] {
        let mut ranked = kind;
        ranked.sort_by(|a, b| {
            let grade = |one: &Ranked| (one.finding.severity, one.strength);
            grade(b).cmp(&grade(a)).then_with(|| a.finding.subject.cmp(&b.finding.subject))
        });
        all.extend(ranked.into_iter().take(FINDINGS_PER_KIND_MAX).map(|ranked| ranked.finding));
    }
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all
}

/// A text of the log without what could change how a terminal shows it.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(200).collect()
}

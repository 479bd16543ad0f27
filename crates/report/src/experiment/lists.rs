//! Lists: experiments, and what was done to one.

use experiment::automation::{Listed, Stage};
use experiment::ledger::AuditEntry;
use experiment::model::Status;

use super::status::moment;
use crate::format::{count, percent};
use crate::table::{Style, Table};

/// Experiments, one a line.
#[must_use]
pub fn list_text(experiments: &[Listed], style: Style) -> String {
    if experiments.is_empty() {
        return "there are no experiments\n".to_owned();
    }
    let mut table = Table::new(&["experiment", "status", "variants"], &["units", "days"]);
    for experiment in experiments {
        let shares: Vec<String> = experiment
            .variants
            .iter()
            .map(|(key, share)| format!("{key} {}", percent(*share)))
            .collect();
        table.row([
            experiment.key.clone(),
            state(experiment),
            shares.join(", "),
            count(experiment.units),
            format!("{:.1}", experiment.days),
        ]);
    }
    format!("{}\n{}", style.bold("Experiments"), table.render())
}

fn state(experiment: &Listed) -> String {
    let status = match experiment.status {
        Status::Draft => "draft",
        Status::Running => "running",
        Status::Paused => "paused",
        Status::Stopped => "stopped",
    };
    match &experiment.stage {
        Stage::Testing => status.to_owned(),
        Stage::RollingOut { variant, .. } => format!("{status}, rolling out {variant}"),
        Stage::Shipped { variant, .. } => format!("{status}, {variant} is shipped"),
    }
}

/// What was done, newest first.
#[must_use]
pub fn audit_text(entries: &[AuditEntry], style: Style) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["when", "who", "what", "why"], &[]).narrow(90);
    for entry in entries {
        table.row([
            moment(entry.time_ms),
            entry.who.clone(),
            entry.action.clone(),
            entry.reason.clone(),
        ]);
    }
    format!("\n{}\n{}", style.bold("What was done"), table.render())
}

//! What people ask for, the same over HTTP and in the own process.

use super::{Action, Declared, Listed, OperateError, Operator, State};
use crate::analysis::{Analysis, Depth};
use crate::ledger::{AuditEntry, Change, KIND_EXPERIMENT};
use crate::model::{Share, Status, UnixMillis};
use serde::{Deserialize, Serialize};

/// Bytes of a reason.
pub const REASON_BYTES_MAX: usize = 1_000;
/// Lines of the audit log of one answer.
pub const AUDIT_MAX: usize = 100;

/// The word of the audit log for a document that was written.
const PUT: &str = "put";
/// The word for a variant that was shipped.
const SHIP: &str = "ship";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Command {
    /// All experiments.
    List,
    /// What one shows. Nothing changes.
    Status {
        /// Its key.
        experiment: String,
    },
    /// Takes over experiments.
    Create {
        /// Them and what belongs to them.
        declared: Box<Declared>,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Takes over experiments of another system, each on its own.
    Import {
        /// Them and what belongs to them.
        declared: Box<Declared>,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Does what automation would do now.
    Decide {
        /// Key of the experiment.
        experiment: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Rolls out the winner, or a variant by force.
    Ship {
        /// Key of the experiment.
        experiment: String,
        /// Key of the variant; the winner when absent.
        #[serde(default)]
        variant: Option<String>,
        /// Units that stay with the control; those of the policy when absent.
        #[serde(default)]
        hold_back: Option<Share>,
        /// Ships what has not won.
        #[serde(default)]
        force: bool,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Takes a variant back.
    RollBack {
        /// Key of the experiment.
        experiment: String,
        /// Key of the variant.
        variant: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Takes the last change of shares back.
    Revert {
        /// Key of the experiment.
        experiment: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Starts, pauses or stops an experiment.
    Set {
        /// Key of the experiment.
        experiment: String,
        /// Its new status.
        status: Status,
        /// Why.
        #[serde(default)]
        reason: String,
    },
}

/// What one experiment shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Shown {
    /// The analysis.
    pub analysis: Analysis,
    /// What automation did, or would do.
    pub action: Action,
    /// Where its automation is.
    pub state: State,
    /// What a variant was shipped upon, as long as it is out.
    pub decision: Option<Analysis>,
    /// The newest lines of the audit log about it.
    pub audit: Vec<AuditEntry>,
}

/// The answer to a [`Command`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// All experiments.
    Experiments(Vec<Listed>),
    /// One experiment.
    Shown(Box<Shown>),
    /// It was done: what, in words.
    Done(String),
    /// What became of an import.
    #[serde(rename_all = "kebab-case")]
    Imported {
        /// Keys of the experiments that were taken.
        taken: Vec<String>,
        /// The others: key and reason.
        left_out: Vec<String>,
    },
}

impl Command {
    /// Whether it only looks.
    #[must_use]
    pub fn only_looks(&self) -> bool {
        matches!(self, Command::List | Command::Status { .. })
    }

    fn reason(&self) -> &str {
        match self {
            Command::List | Command::Status { .. } => "",
            Command::Create { reason, .. }
            | Command::Import { reason, .. }
            | Command::Decide { reason, .. }
            | Command::Ship { reason, .. }
            | Command::RollBack { reason, .. }
            | Command::Revert { reason, .. }
            | Command::Set { reason, .. } => reason,
        }
    }
}

impl Operator {
    /// Does what somebody asks for.
    ///
    /// # Errors
    /// [`OperateError`].
    pub fn run(
        &self,
        command: &Command,
        who: &str,
        now: UnixMillis,
    ) -> Result<Answer, OperateError> {
        let reason = command.reason();
        if reason.len() > REASON_BYTES_MAX {
            let most = format!("a reason has {REASON_BYTES_MAX} bytes at most");
            return Err(OperateError::Refused(most));
        }
        let reason = if reason.is_empty() { "no reason was given" } else { reason };
        let change = Change { who, reason, time_ms: now };
        let done = |what: String| Ok(Answer::Done(what));
        match command {
            Command::List => Ok(Answer::Experiments(self.list(now)?)),
            Command::Status { experiment } => {
                let report = self.report(experiment, now, Depth::Units)?;
                self.shown(experiment, report)
            }
            Command::Decide { experiment, .. } => {
                let report = self.decide(experiment, &change)?;
                self.shown(experiment, report)
            }
            Command::Create { declared, .. } => {
                self.adopt(declared, &change)?;
                let keys: Vec<&str> =
                    declared.set.experiments.iter().map(|it| it.key.as_str()).collect();
                done(format!("taken: {}", keys.join(", ")))
            }
            Command::Import { declared, .. } => {
                let super::Taken { taken, left_out } = self.import(declared, &change)?;
                Ok(Answer::Imported { taken, left_out })
            }
            Command::Ship { experiment, variant, hold_back, force, .. } => {
                let action =
                    self.ship(experiment, variant.as_deref(), *hold_back, *force, &change)?;
                done(format!("{} {}", action.name(), action.what()))
            }
            Command::RollBack { experiment, variant, .. } => {
                let action = self.roll_back(experiment, variant, &change)?;
                done(format!("{} {}", action.name(), action.what()))
            }
            Command::Revert { experiment, .. } => {
                let what = self.revert(experiment, &change)?;
                done(format!("taken back: {what}"))
            }
            Command::Set { experiment, status, .. } => {
                self.set_status(experiment, *status, &change)?;
                done(format!("\"{experiment}\" is {}", word(*status)))
            }
        }
    }

    fn shown(&self, key: &str, report: super::Report) -> Result<Answer, OperateError> {
        let audit = self.control().audit(Some(&format!("{KIND_EXPERIMENT}/{key}")), AUDIT_MAX)?;
        let super::Report { analysis, action, state, .. } = report;
        let decision = state.stage.variant().and_then(|_| self.decision(key, &audit));
        let audit = told(audit);
        Ok(Answer::Shown(Box::new(Shown { analysis, action, state, decision, audit })))
    }

    /// The kept analysis of the last time that a variant was shipped.
    fn decision(&self, key: &str, audit: &[AuditEntry]) -> Option<Analysis> {
        let shipped = audit.iter().find(|entry| entry.action == SHIP)?.time_ms;
        let kept = self.control().results(key, AUDIT_MAX).ok()?;
        let body = kept.into_iter().find(|kept| kept.time_ms == shipped)?.body;
        serde_json::from_str(&body).ok()
    }
}

/// Without the lines about documents that an action was written to: its own line says it all.
fn told(audit: Vec<AuditEntry>) -> Vec<AuditEntry> {
    let is_told = |line: &AuditEntry| {
        let same = |other: &&AuditEntry| {
            (other.time_ms, &other.who, &other.reason) == (line.time_ms, &line.who, &line.reason)
        };
        line.action == PUT && audit.iter().filter(same).any(|other| other.action != PUT)
    };
    let keep: Vec<bool> = audit.iter().map(|line| !is_told(line)).collect();
    audit.into_iter().zip(keep).filter_map(|(line, keep)| keep.then_some(line)).collect()
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Draft => "a draft",
        Status::Running => "running",
        Status::Paused => "paused",
        Status::Stopped => "stopped",
    }
}

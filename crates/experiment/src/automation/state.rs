//! Where the automation of an experiment is.

use crate::analysis::{Analysis, MetricView};
use crate::model::{Experiment, Phase, Share, UnixMillis};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Changes that can be taken back, the newest last; older ones are forgotten.
pub const UNDO_MAX: usize = 32;

/// How far an experiment has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Stage {
    /// It compares.
    #[default]
    Testing,
    /// The winner gets more and more of the units.
    RollingOut {
        /// Key of the winner.
        variant: String,
        /// Units that stay with the control.
        hold_back: Share,
    },
    /// The winner has all but the units that are held back.
    Shipped {
        /// Key of the winner.
        variant: String,
        /// Units that stay with the control.
        hold_back: Share,
    },
}

impl Stage {
    /// The variant that is being rolled out, or has been.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        match self {
            Stage::Testing => None,
            Stage::RollingOut { variant, .. } | Stage::Shipped { variant, .. } => Some(variant),
        }
    }
}

/// What was there before a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Undo {
    /// What the change was, in a word.
    pub action: String,
    /// The weights or ranges of before.
    pub phase: Phase,
    /// The coverage of before.
    pub coverage: Share,
    /// The stage of before.
    pub stage: Stage,
    /// What was rolled back before.
    pub rolled_back: Vec<String>,
}

/// Where the automation of an experiment is; kept with the experiment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct State {
    /// How far the experiment has come.
    pub stage: Stage,
    /// The first phase that a test may be judged by: before, units were moved to another variant.
    pub valid_from: usize,
    /// When the last step began.
    pub since: UnixMillis,
    /// Variants that were rolled back.
    pub rolled_back: Vec<String>,
    /// Information fractions of the planned looks that were taken.
    pub looks: Vec<f64>,
    /// What the last of them showed.
    pub last_look: Vec<MetricView>,
    /// The topic that was told last, so that it is told once.
    pub told: String,
    /// What can be taken back.
    pub undo: Vec<Undo>,
}

impl State {
    /// The phases that an analysis takes: all of a test since units were moved last; of a roll-out
    /// only the current one, since earlier ones have lost units that were moved to the winner.
    #[must_use]
    pub fn phases(&self, experiment: &Experiment) -> Range<usize> {
        let count = experiment.phases.len();
        match self.stage {
            Stage::Testing => self.valid_from.min(count)..count,
            Stage::RollingOut { .. } | Stage::Shipped { .. } => count.saturating_sub(1)..count,
        }
    }

    /// Notes the look that an analysis was, if it was one.
    pub fn looked(&mut self, analysis: &Analysis) {
        if let Some(fraction) = analysis.look {
            self.looks.push(fraction);
            self.last_look.clone_from(&analysis.metrics);
        }
    }

    /// Indices of the variants that were rolled back.
    #[must_use]
    pub fn left_out(&self, experiment: &Experiment) -> Vec<u16> {
        self.rolled_back.iter().filter_map(|key| experiment.variant_index(key)).collect()
    }
}

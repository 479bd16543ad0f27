//! What is kept about experiments, as documents of the store.

use crate::analysis::Plan;
use crate::ledger::{Change, Control, ControlError, KIND_EXPERIMENT};
use crate::metric::MetricSpec;
use crate::model::{Experiment, ExperimentSet, Holdout, Layer, Status};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Documents that are [`MetricSpec`]s, by name.
pub const KIND_METRIC: &str = "metric";
/// Documents that are [`Plan`]s, by key of the experiment.
pub const KIND_PLAN: &str = "plan";
/// Documents that are [`super::State`]s, by key of the experiment.
pub const KIND_AUTOMATION: &str = "automation";
/// Documents that are [`Experiment`]s as a file declared them last, by key.
pub(super) const KIND_DECLARED: &str = "declared";
/// Documents that are [`Layer`]s.
pub const KIND_LAYER: &str = "layer";
/// Documents that are [`Holdout`]s.
pub const KIND_HOLDOUT: &str = "holdout";

/// Experiments with all that belongs to them, as a file declares them or an import brings them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Declared {
    /// Experiments, layers and holdouts.
    pub set: ExperimentSet,
    /// Metrics.
    pub metrics: Vec<MetricSpec>,
    /// Plans by key of the experiment; the default one for others.
    pub plans: Vec<(String, Plan)>,
}

/// A line of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Listed {
    /// Key of the experiment.
    pub key: String,
    /// What it is about.
    pub description: String,
    /// Where it is in its life.
    pub status: Status,
    /// How far its automation has come.
    pub stage: super::Stage,
    /// Its variants and their shares of all units now.
    pub variants: Vec<(String, f64)>,
    /// Units that were exposed.
    pub units: u64,
    /// Days since it began.
    pub days: f64,
}

/// Why a document cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ControlError),
    /// It is not what it should be.
    #[error("the stored {kind} \"{key}\" cannot be read ({why}): restore an earlier version")]
    Unreadable {
        /// Its kind.
        kind: String,
        /// Its key.
        key: String,
        /// What is wrong.
        why: String,
    },
}

/// A document and its version.
pub(super) type Versioned<T> = (T, u64);

/// Typed documents.
pub(super) struct Documents<'a>(pub(super) &'a dyn Control);

impl Documents<'_> {
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        kind: &str,
        key: &str,
    ) -> Result<Option<Versioned<T>>, DocumentError> {
        let Some(document) = self.0.get(kind, key)? else { return Ok(None) };
        let body = document.body.as_deref().unwrap_or_default();
        let value = serde_json::from_str(body).map_err(|error| unreadable(kind, key, &error))?;
        Ok(Some((value, document.version)))
    }

    pub(super) fn all<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>, DocumentError> {
        let documents = self.0.list(kind)?;
        let each = documents.iter().map(|document| {
            let body = document.body.as_deref().unwrap_or_default();
            serde_json::from_str(body).map_err(|error| unreadable(kind, &document.key, &error))
        });
        each.collect()
    }

    /// Writes a document, unless it is there with the same content.
    pub(super) fn put<T: Serialize>(
        &self,
        kind: &str,
        key: &str,
        value: &T,
        expected: Option<u64>,
        change: &Change<'_>,
    ) -> Result<(), DocumentError> {
        let body = serde_json::to_string(value).map_err(|error| unreadable(kind, key, &error))?;
        let now = self.0.get(kind, key)?;
        if now.is_some_and(|document| document.body.as_deref() == Some(&body)) {
            return Ok(());
        }
        self.0.put(kind, key, Some(&body), expected, change)?;
        Ok(())
    }

    pub(super) fn set(&self) -> Result<ExperimentSet, DocumentError> {
        Ok(ExperimentSet {
            experiments: self.all::<Experiment>(KIND_EXPERIMENT)?,
            layers: self.all::<Layer>(KIND_LAYER)?,
            holdouts: self.all::<Holdout>(KIND_HOLDOUT)?,
        })
    }

    pub(super) fn plan(&self, key: &str) -> Result<Plan, DocumentError> {
        Ok(self.get(KIND_PLAN, key)?.map(|(plan, _)| plan).unwrap_or_default())
    }
}

fn unreadable(kind: &str, key: &str, error: &serde_json::Error) -> DocumentError {
    DocumentError::Unreadable { kind: kind.to_owned(), key: key.to_owned(), why: error.to_string() }
}

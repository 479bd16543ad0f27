//! Experiments of other systems, with their hashes: whoever has a variant keeps it.
//!
//! What cannot be taken over exactly is left out and told in [`Imported::notes`]; nothing is
//! approximated. Experiments come as drafts, so that nothing begins before somebody looked.

mod flagd;
mod growthbook;
mod unleash;

use std::path::Path;

use experiment::analysis::Plan;
use experiment::automation::Declared;
use experiment::model::{
    Action, Experiment, ExperimentSet, Identity, Phase, Salts, Share, Source, Status, UnitSource,
    Variant,
};
use policy::assign::HashVersion;
use serde_json::Value;

use crate::step::read_limited;

/// Most bytes of a file of definitions.
pub const IMPORT_BYTES_MAX: u64 = 64 << 20;

/// A kind of definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// GrowthBook's features, as its SDK API gives them.
    Growthbook,
    /// Unleash's features, as its client API gives them.
    Unleash,
    /// flagd's flags.
    Flagd,
}

impl System {
    /// All, with their words.
    pub const ALL: [(&'static str, System); 3] = [
        ("growthbook", System::Growthbook),
        ("unleash", System::Unleash),
        ("flagd", System::Flagd),
    ];
}

/// What the definitions do not say.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportOptions {
    /// Where the hashed id is found in requests; by the name of the attribute, as a cookie, when
    /// absent.
    pub unit: Option<Source>,
    /// How flagd hashed: `flagd-string` until 2026, `flagd-cbor` since.
    pub flagd: HashVersion,
}

impl Default for ImportOptions {
    fn default() -> ImportOptions {
        ImportOptions { unit: None, flagd: HashVersion::FlagdCbor }
    }
}

/// Experiments and what was left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Imported {
    /// Experiments, all drafts, and their layers.
    pub declared: Declared,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Why a file cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// It has another shape.
    #[error("{place}: {message}")]
    Shape {
        /// Where.
        place: String,
        /// What is wrong.
        message: String,
    },
}

/// Reads a file of definitions.
///
/// # Errors
/// [`ImportError`].
pub fn import_file(
    system: System,
    path: &Path,
    options: &ImportOptions,
) -> Result<Imported, ImportError> {
    let bytes = read_limited(path, IMPORT_BYTES_MAX).map_err(ImportError::Unreadable)?;
    let value = serde_json::from_slice(&bytes).map_err(|error| ImportError::Shape {
        place: path.display().to_string(),
        message: format!("it is no JSON: {error}"),
    })?;
    import(system, &value, options)
}

/// Reads definitions.
///
/// # Errors
/// [`ImportError::Shape`].
pub fn import(
    system: System,
    value: &Value,
    options: &ImportOptions,
) -> Result<Imported, ImportError> {
    let mut imported = Imported::default();
    match system {
        System::Growthbook => growthbook::read(value, options, &mut imported)?,
        System::Unleash => unleash::read(value, options, &mut imported)?,
        System::Flagd => flagd::read(value, options, &mut imported)?,
    }
    let ExperimentSet { experiments, layers, .. } = &mut imported.declared.set;
    let slots = experiments.iter().flat_map(|each| &each.layers);
    // Those of experiments that were left out.
    layers.retain(|layer| slots.clone().any(|slot| slot.layer == layer.key));
    Ok(imported)
}

impl Imported {
    /// Takes an experiment, if it is one that can be run here.
    fn add(&mut self, experiment: Experiment) {
        let key = experiment.key.clone();
        if self.declared.set.experiments.iter().any(|known| known.key == key) {
            self.notes.push(format!("{key}: there are two experiments of this name; one is taken"));
            return;
        }
        self.declared.set.experiments.push(experiment);
        let problems = experiment::model::validate(&self.declared.set);
        if problems.is_empty() {
            self.declared.plans.push((key, Plan::default()));
            return;
        }
        self.declared.set.experiments.pop();
        for problem in problems {
            self.notes.push(format!("{key}: left out: {}", problem.message));
        }
    }

    fn note(&mut self, key: &str, what: &str) {
        self.notes.push(format!("{key}: {what}"));
    }
}

/// A draft with everything that is the same for all systems.
fn draft(
    original: &str,
    hash: HashVersion,
    attribute: &str,
    variants: Vec<(String, Option<Value>)>,
    options: &ImportOptions,
) -> Experiment {
    let key = name(original);
    let salt = (key != original).then(|| original.to_owned());
    let source = options.unit.clone().unwrap_or_else(|| Source::Cookie(name(attribute)));
    let action = |value: Option<Value>| value.map(Action::Value).into_iter().collect();
    let each =
        |(key, value): (String, Option<Value>)| Variant { key: name(&key), actions: action(value) };
    Experiment {
        description: format!("imported: {original}"),
        key,
        status: Status::Draft,
        unit: UnitSource {
            device: Some(source),
            user: None,
            identity: Identity::Device,
            create: false,
        },
        hash,
        salts: Salts { coverage: salt.clone(), variant: salt },
        variants: variants.into_iter().map(each).collect(),
        phases: vec![Phase { since: 0, weights: Vec::new(), ranges: Vec::new(), salt: None }],
        coverage: Share::ALL,
        layers: Vec::new(),
        targeting: None,
        prerequisites: Vec::new(),
        schedule: Default::default(),
        sticky: None,
        overrides: Vec::new(),
        primary: None,
        metrics: Vec::new(),
        guardrails: Vec::new(),
        policy: Default::default(),
    }
}

/// A key that can stand in cookies, headers and file names.
fn name(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.chars().map(|c| if allowed(c) { c } else { '-' }).take(128).collect()
}

fn shape(place: &str, message: &str) -> ImportError {
    ImportError::Shape { place: place.to_owned(), message: message.to_owned() }
}

/// A whole weight, or `None`.
fn whole(value: &Value) -> Option<u32> {
    let number = value.as_f64().filter(|it| it.fract() == 0.0 && (0.0..=1e9).contains(it))?;
    Some(number as u32)
}

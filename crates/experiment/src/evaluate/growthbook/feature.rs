//! Features: rules one after the other.

use super::experiment::{Run, filtered_out, in_rollout};
use super::payload::{Features, Rule};
use super::sticky::{StickyDocs, StickyWrite};
use super::{ExperimentResult, User};
use crate::model::limits::EVALUATIONS_MAX;
use crate::targeting::growthbook::js;
use serde::Serialize;
use serde_json::{Map, Value};

/// Where the value of a feature comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FeatureSource {
    /// There is no such feature.
    UnknownFeature,
    /// No rule applied.
    DefaultValue,
    /// A rule forced it.
    Force,
    /// An experiment.
    Experiment,
    /// The caller forced it.
    Override,
    /// A prerequisite that is a gate failed.
    Prerequisite,
    /// Prerequisites go round in a circle.
    CyclicPrerequisite,
}

/// The value of a feature, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FeatureResult {
    /// The value.
    pub value: Value,
    /// Where it comes from.
    pub source: FeatureSource,
    /// Id of the rule; empty for none.
    pub rule_id: String,
    /// Key of the experiment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
    /// Its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_result: Option<ExperimentResult>,
}

impl FeatureResult {
    /// Whether the value counts as true in JavaScript.
    #[must_use]
    pub fn on(&self) -> bool {
        js::truthy(&self.value)
    }

    fn new(value: Value, source: FeatureSource) -> FeatureResult {
        FeatureResult {
            value,
            source,
            rule_id: String::new(),
            experiment: None,
            experiment_result: None,
        }
    }
}

/// A user saw a variation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// Key of the experiment.
    pub experiment: String,
    /// Its result.
    pub result: ExperimentResult,
}

/// The value of a feature and what follows from having asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The value.
    pub result: FeatureResult,
    /// Exposures, those of prerequisites included, each once.
    pub exposures: Vec<Exposure>,
    /// Assignments to keep.
    pub keep: Vec<StickyWrite>,
}

/// What an evaluation changes.
pub(super) struct State<'f> {
    pub(super) features: &'f Features,
    pub(super) docs: Option<StickyDocs>,
    exposures: Vec<Exposure>,
    keep: Vec<StickyWrite>,
    evaluations: usize,
}

impl State<'_> {
    /// Keeps an assignment unless it is kept already.
    pub(super) fn keep(&mut self, write: StickyWrite) {
        let docs = self.docs.get_or_insert_default();
        let doc = docs.entry(write.doc()).or_default();
        let before = doc.insert(write.experiment.clone(), write.variation.clone());
        if before.as_ref() != Some(&write.variation) {
            self.keep.push(write);
        }
    }

    /// Counts an exposure once.
    pub(super) fn expose(&mut self, exposure: Exposure) {
        let same = |other: &Exposure| {
            let (one, other_result) = (&exposure.result, &other.result);
            other.experiment == exposure.experiment
                && one.variation_id == other_result.variation_id
                && one.hash_attribute == other_result.hash_attribute
                && one.hash_value == other_result.hash_value
        };
        if !self.exposures.iter().any(same) {
            self.exposures.push(exposure);
        }
    }
}

/// The features that are being evaluated, for circles.
#[derive(Clone, Copy)]
struct Path<'p> {
    feature: &'p str,
    before: Option<&'p Path<'p>>,
}

impl Path<'_> {
    fn has(&self, feature: &str) -> bool {
        let chain = std::iter::successors(Some(self), |path| path.before);
        chain.into_iter().any(|path| path.feature == feature)
    }
}

/// What the prerequisites of a rule say.
enum Prerequisites {
    Met,
    Skip,
    Gate,
    Circle,
}

impl Features {
    /// Evaluates a feature for a user.
    #[must_use]
    pub fn evaluate(&self, feature: &str, user: &User<'_>) -> Evaluation {
        let docs = user.sticky.cloned();
        let mut state =
            State { features: self, docs, exposures: Vec::new(), keep: Vec::new(), evaluations: 0 };
        let result = self.feature(feature, user, &mut state, None);
        Evaluation { result, exposures: state.exposures, keep: state.keep }
    }

    fn feature(
        &self,
        key: &str,
        user: &User<'_>,
        state: &mut State<'_>,
        path: Option<&Path<'_>>,
    ) -> FeatureResult {
        let nothing = |source| FeatureResult::new(Value::Null, source);
        state.evaluations += 1;
        if path.is_some_and(|path| path.has(key)) || state.evaluations > EVALUATIONS_MAX {
            return nothing(FeatureSource::CyclicPrerequisite);
        }
        let path = Path { feature: key, before: path };
        if let Some(value) = user.forced_features.and_then(|forced| forced.get(key)) {
            return FeatureResult::new(value.clone(), FeatureSource::Override);
        }
        let Some(feature) = self.features.get(key) else {
            return nothing(FeatureSource::UnknownFeature);
        };
        for rule in &feature.rules {
            match self.prerequisites(rule, user, state, &path) {
                Prerequisites::Met => {}
                Prerequisites::Skip => continue,
                Prerequisites::Gate => return nothing(FeatureSource::Prerequisite),
                Prerequisites::Circle => return nothing(FeatureSource::CyclicPrerequisite),
            }
            if let Some(result) = self.rule(rule, key, user, state) {
                return result;
            }
        }
        FeatureResult::new(feature.default.clone(), FeatureSource::DefaultValue)
    }

    fn prerequisites(
        &self,
        rule: &Rule,
        user: &User<'_>,
        state: &mut State<'_>,
        path: &Path<'_>,
    ) -> Prerequisites {
        for parent in &rule.parents {
            let result = self.feature(&parent.feature, user, state, Some(path));
            if result.source == FeatureSource::CyclicPrerequisite {
                return Prerequisites::Circle;
            }
            let object = Map::from_iter([("value".to_owned(), result.value)]);
            if !parent.condition.matches(&object, &self.groups) {
                return if parent.gate { Prerequisites::Gate } else { Prerequisites::Skip };
            }
        }
        Prerequisites::Met
    }

    /// The result of a rule; `None` when the next one is asked.
    fn rule(
        &self,
        rule: &Rule,
        key: &str,
        user: &User<'_>,
        state: &mut State<'_>,
    ) -> Option<FeatureResult> {
        let fields = &rule.fields;
        if fields.filters.as_ref().is_some_and(|filters| filtered_out(filters, user)) {
            return None;
        }
        let rule_id = fields.id.clone().unwrap_or_default();
        if let Some(value) = &fields.force {
            let condition = rule.condition.as_ref();
            let passes = condition.is_none_or(|each| each.matches(user.attributes, &self.groups));
            return (passes && in_rollout(fields, key, user)).then(|| FeatureResult {
                rule_id,
                ..FeatureResult::new(value.clone(), FeatureSource::Force)
            });
        }
        let experiment = fields.key.as_deref().filter(|key| !key.is_empty()).unwrap_or(key);
        let variations = fields.variations.as_deref()?;
        let result = Run { key: experiment, feature: key, variations, rule }.run(user, state);
        (result.in_experiment && !result.passthrough).then(|| FeatureResult {
            value: result.value.clone(),
            source: FeatureSource::Experiment,
            rule_id,
            experiment: Some(experiment.to_owned()),
            experiment_result: Some(result),
        })
    }
}

//! Taking over experiments of another system: each on its own.

use super::{Declared, OperateError, Operator};
use crate::ledger::Change;
use crate::model::{ExperimentSet, Layer};
use std::collections::HashMap;

/// What became of experiments that were imported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// Keys of those that were taken.
    pub taken: Vec<String>,
    /// The others: key and reason.
    pub left_out: Vec<String>,
}

impl Operator {
    /// Takes over experiments of another system. Layers that would meet one of the same key with
    /// another hash or salt get another key; an experiment that cannot be taken is left out, and
    /// the others are taken.
    ///
    /// # Errors
    /// As [`Operator::adopt`], but for problems of single experiments.
    pub fn import(&self, declared: &Declared, change: &Change<'_>) -> Result<Taken, OperateError> {
        let mut declared = declared.clone();
        keep_layers_apart(&mut declared.set, &self.documents().set()?.layers);
        let keys = declared.set.experiments.iter().map(|it| it.key.clone());
        match self.adopt(&declared, change) {
            Ok(()) => return Ok(Taken { taken: keys.collect(), left_out: Vec::new() }),
            Err(OperateError::Problems(_)) => {}
            Err(other) => return Err(other),
        }
        let mut taken = Taken::default();
        for experiment in &declared.set.experiments {
            let key = &experiment.key;
            match self.adopt(&alone(&declared, key), change) {
                Ok(()) => taken.taken.push(key.clone()),
                Err(OperateError::Problems(problems)) => {
                    let why: Vec<String> = problems.iter().map(ToString::to_string).collect();
                    taken.left_out.push(format!("{key}: left out: {}", why.join("; ")));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(taken)
    }
}

/// One experiment with what belongs to it.
fn alone(declared: &Declared, key: &str) -> Declared {
    let mut one = declared.clone();
    one.set.experiments.retain(|each| each.key == key);
    one.plans.retain(|(of, _)| of == key);
    let slots = one.set.experiments.iter().flat_map(|each| &each.layers);
    let used: Vec<String> = slots.map(|slot| slot.layer.clone()).collect();
    one.set.layers.retain(|layer| used.contains(&layer.key));
    one
}

/// Renames layers of `set` that would replace another one of `there`.
fn keep_layers_apart(set: &mut ExperimentSet, there: &[Layer]) {
    let mut renamed = HashMap::new();
    let all: Vec<Layer> = there.iter().chain(&set.layers).cloned().collect();
    for layer in &mut set.layers {
        let differs = |each: &&Layer| each.key == layer.key && !each.deals_as(layer);
        if !there.iter().any(|each| differs(&each)) {
            continue;
        }
        // The salt may be the key that is about to change.
        layer.salt.get_or_insert_with(|| layer.key.clone());
        let free = |key: &String| {
            all.iter().filter(|each| each.key == *key).all(|each| each.deals_as(layer))
        };
        let Some(key) = (2..).map(|number: u32| format!("{}-{number}", layer.key)).find(free)
        else {
            continue;
        };
        renamed.insert(std::mem::replace(&mut layer.key, key.clone()), key);
    }
    let slots = set.experiments.iter_mut().flat_map(|each| &mut each.layers);
    for slot in slots {
        if let Some(key) = renamed.get(&slot.layer) {
            slot.layer.clone_from(key);
        }
    }
}

//! Saved groups: lists and conditions that conditions refer to.

use super::condition::{Condition, ConditionError, depth};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The saved groups of a payload, made ready.
#[derive(Debug, Clone, Default)]
pub struct SavedGroups(HashMap<String, Group>);

#[derive(Debug, Clone)]
pub(super) enum Group {
    /// Values, of the attribute that the condition is on; `typed` ones may name their own.
    List {
        values: Vec<Value>,
        attribute: Option<String>,
        typed: bool,
    },
    Condition(Condition),
    /// Anything else matches nobody.
    Unknown,
}

impl SavedGroups {
    /// No groups.
    #[must_use]
    pub fn none() -> &'static SavedGroups {
        static NONE: std::sync::LazyLock<SavedGroups> =
            std::sync::LazyLock::new(SavedGroups::default);
        &NONE
    }

    /// The groups of a payload: bare lists, or objects of type `list` or `condition`.
    ///
    /// # Errors
    /// When the condition of a group is not one.
    pub fn new(groups: &Map<String, Value>) -> Result<SavedGroups, ConditionError> {
        let each = groups.iter().map(|(id, group)| Ok((id.clone(), read(group)?)));
        each.collect::<Result<_, _>>().map(SavedGroups)
    }

    pub(super) fn get(&self, id: &str) -> Option<&Group> {
        self.0.get(id)
    }
}

fn read(group: &Value) -> Result<Group, ConditionError> {
    let list = |values: &Vec<Value>, attribute: Option<String>, typed| Group::List {
        values: values.clone(),
        attribute,
        typed,
    };
    Ok(match (group, group.get("type").and_then(Value::as_str)) {
        (Value::Array(values), _) => list(values, None, false),
        (_, Some("list")) => {
            let attribute = group.get("attributeKey").and_then(Value::as_str).map(str::to_owned);
            let values = group.get("values").and_then(Value::as_array);
            values.map_or(Group::Unknown, |values| list(values, attribute, true))
        }
        (_, Some("condition")) => match group.get("condition") {
            Some(condition @ Value::Object(_)) => {
                Group::Condition(Condition::at(condition, depth(1))?)
            }
            _ => Group::Unknown,
        },
        _ => Group::Unknown,
    })
}

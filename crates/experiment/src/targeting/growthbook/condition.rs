//! Reading and evaluating conditions.

use super::groups::{Group, SavedGroups};
use super::js::{compare, compare_texts, same_json, strictly_equal, to_number, to_string, truthy};
use super::pattern::pattern;
use super::version::padded;
use crate::model::limits::{CONDITION_DEPTH_MAX, LIST_MAX};
use crate::targeting::condition::Order;
use regex::Regex;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A condition, made ready.
#[derive(Debug, Clone)]
pub struct Condition(Vec<Clause>);

/// Why a condition cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It is not an object.
    #[error("a condition must be an object, not {0}")]
    NotAnObject(&'static str),
    /// The value of an operator has the wrong type.
    #[error("{operator} must have {wanted}")]
    Operand {
        /// The operator.
        operator: String,
        /// What it takes.
        wanted: &'static str,
    },
    /// It nests too deep.
    #[error("conditions may nest {CONDITION_DEPTH_MAX} deep at most")]
    TooDeep,
    /// A list is too long.
    #[error("a list may have {LIST_MAX} values at most")]
    TooLong,
    /// A regular expression is not one, or needs what takes more than linear time.
    #[error("the regular expression {0:?} is not valid, or uses look-around or back-references")]
    Regex(String),
}

#[derive(Debug, Clone)]
enum Clause {
    Or(Vec<Condition>),
    Nor(Vec<Condition>),
    And(Vec<Condition>),
    Not(Condition),
    SavedGroup { id: String, attribute: Option<String> },
    Path(Vec<String>, Test),
    Never,
}

/// What a value is held against.
#[derive(Debug, Clone)]
enum Test {
    Text(String),
    Number(f64),
    Bool(bool),
    Null,
    Json(Value),
    Operators(Vec<Operator>),
}

#[derive(Debug, Clone)]
enum Operator {
    Version(Order, String),
    Is(Value),
    IsNot(Value),
    Compare(Order, Value),
    Exists(bool),
    In { values: Vec<Value>, fold: bool, negate: bool },
    InGroup { id: String, negate: bool },
    Not(Test),
    Size(Test),
    ElemMatch(Element),
    All { tests: Vec<Test>, fold: bool },
    Regex(Regex),
    Type(String),
    Never,
}

#[derive(Debug, Clone)]
enum Element {
    Value(Test),
    Object(Condition),
}

/// How deep a condition may still nest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depth(usize);

pub(super) fn depth(used: usize) -> Depth {
    Depth(CONDITION_DEPTH_MAX.saturating_sub(used))
}

impl Depth {
    fn deeper(self) -> Result<Depth, ConditionError> {
        self.0.checked_sub(1).map(Depth).ok_or(ConditionError::TooDeep)
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// Where the SDK would throw, and where a limit is exceeded.
    pub fn new(condition: &Value) -> Result<Condition, ConditionError> {
        Condition::at(condition, depth(0))
    }

    pub(super) fn at(condition: &Value, depth: Depth) -> Result<Condition, ConditionError> {
        let deeper = depth.deeper()?;
        let object =
            condition.as_object().ok_or(ConditionError::NotAnObject(type_name(condition)))?;
        let each = |operator: &str, value: &Value| {
            let wanted = "a list of conditions";
            let error = || ConditionError::Operand { operator: operator.to_owned(), wanted };
            let list = value.as_array().ok_or_else(error)?;
            if list.len() > LIST_MAX {
                return Err(ConditionError::TooLong);
            }
            list.iter().map(|each| Condition::at(each, deeper)).collect()
        };
        let clause = |(key, value): (&String, &Value)| {
            Ok(match key.as_str() {
                "$or" => Clause::Or(each(key, value)?),
                "$nor" => Clause::Nor(each(key, value)?),
                "$and" => Clause::And(each(key, value)?),
                "$not" => Clause::Not(Condition::at(value, deeper)?),
                "$savedGroup" => saved_group(value),
                path => {
                    let path = path.split('.').map(str::to_owned).collect();
                    Clause::Path(path, test(value, deeper)?)
                }
            })
        };
        object.iter().map(clause).collect::<Result<_, _>>().map(Condition)
    }

    /// Whether some attributes meet the condition.
    #[must_use]
    pub fn matches(&self, attributes: &Map<String, Value>, groups: &SavedGroups) -> bool {
        self.holds(Object::Map(attributes), Scope { groups, visited: None })
    }

    fn holds(&self, object: Object<'_>, scope: Scope<'_>) -> bool {
        self.0.iter().all(|clause| clause.holds(object, scope))
    }
}

fn saved_group(reference: &Value) -> Clause {
    let id = reference.get("id").and_then(Value::as_str);
    match (id, reference.get("attributeKey")) {
        (Some(id), None) => Clause::SavedGroup { id: id.to_owned(), attribute: None },
        (Some(id), Some(Value::String(attribute))) => {
            Clause::SavedGroup { id: id.to_owned(), attribute: Some(attribute.clone()) }
        }
        _ => Clause::Never,
    }
}

fn test(value: &Value, depth: Depth) -> Result<Test, ConditionError> {
    let deeper = depth.deeper()?;
    Ok(match value {
        Value::String(text) => Test::Text(text.clone()),
        Value::Number(_) => Test::Number(to_number(value)),
        Value::Bool(value) => Test::Bool(*value),
        Value::Null => Test::Null,
        Value::Object(object) if operators_only(object) => {
            let each = object.iter().map(|(name, operand)| operator(name, operand, deeper));
            Test::Operators(each.collect::<Result<_, _>>()?)
        }
        Value::Array(_) | Value::Object(_) => Test::Json(value.clone()),
    })
}

fn operators_only(object: &Map<String, Value>) -> bool {
    !object.is_empty() && object.keys().all(|key| key.starts_with('$'))
}

fn operator(name: &str, operand: &Value, depth: Depth) -> Result<Operator, ConditionError> {
    let version = |order| Ok(Operator::Version(order, padded(operand)));
    let compare = |order| Ok(Operator::Compare(order, operand.clone()));
    // A list is needed; without one nothing matches.
    let list = |make: &dyn Fn(Vec<Value>) -> Operator| match operand {
        Value::Array(values) if values.len() > LIST_MAX => Err(ConditionError::TooLong),
        Value::Array(values) => Ok(make(values.clone())),
        _ => Ok(Operator::Never),
    };
    let within = |fold, negate| list(&move |values| Operator::In { values, fold, negate });
    let in_group = |negate| Ok(Operator::InGroup { id: to_string(operand).into_owned(), negate });
    let all = |fold| match operand {
        Value::Array(values) => {
            let tests = values.iter().map(|each| test(each, depth)).collect::<Result<_, _>>()?;
            Ok(Operator::All { tests, fold })
        }
        _ => Ok(Operator::Never),
    };
    let regex = |fold| match operand {
        Value::String(text) => {
            let error = || ConditionError::Regex(text.clone());
            Ok(Operator::Regex(pattern(text, fold).ok_or_else(error)?))
        }
        _ => Ok(Operator::Never),
    };
    match name {
        "$veq" => version(Order::Eq),
        "$vne" => version(Order::Ne),
        "$vgt" => version(Order::Gt),
        "$vgte" => version(Order::Ge),
        "$vlt" => version(Order::Lt),
        "$vlte" => version(Order::Le),
        "$eq" => Ok(Operator::Is(operand.clone())),
        "$ne" => Ok(Operator::IsNot(operand.clone())),
        "$lt" => compare(Order::Lt),
        "$lte" => compare(Order::Le),
        "$gt" => compare(Order::Gt),
        "$gte" => compare(Order::Ge),
        "$exists" => Ok(Operator::Exists(truthy(operand))),
        "$in" => within(false, false),
        "$ini" => within(true, false),
        "$nin" => within(false, true),
        "$nini" => within(true, true),
        "$inGroup" => in_group(false),
        "$notInGroup" => in_group(true),
        "$not" => test(operand, depth).map(Operator::Not),
        "$size" => test(operand, depth).map(Operator::Size),
        "$elemMatch" => {
            let wanted = "an object";
            let error = || ConditionError::Operand { operator: name.to_owned(), wanted };
            let object = operand.as_object().ok_or_else(error)?;
            Ok(Operator::ElemMatch(if operators_only(object) {
                Element::Value(test(operand, depth)?)
            } else {
                Element::Object(Condition::at(operand, depth)?)
            }))
        }
        "$all" => all(false),
        "$alli" => all(true),
        "$regex" => regex(false),
        "$regexi" => regex(true),
        "$type" => {
            Ok(operand.as_str().map_or(Operator::Never, |name| Operator::Type(name.to_owned())))
        }
        _ => Ok(Operator::Never),
    }
}

/// What paths are looked up in: the attributes, or an element of a list.
#[derive(Clone, Copy)]
enum Object<'a> {
    Map(&'a Map<String, Value>),
    Value(&'a Value),
}

/// The groups, and those that are being resolved already.
#[derive(Clone, Copy)]
struct Scope<'a> {
    groups: &'a SavedGroups,
    visited: Option<&'a Visited<'a>>,
}

struct Visited<'a> {
    id: &'a str,
    before: Option<&'a Visited<'a>>,
}

impl Scope<'_> {
    fn visits(&self, id: &str) -> bool {
        let chain = std::iter::successors(self.visited, |visited| visited.before);
        chain.into_iter().any(|visited| visited.id == id)
    }
}

/// Looks a value up; what is not there is `null`, as the SDK says. A list has its indices and its
/// length.
fn look_up<'a>(object: Object<'a>, path: &[String]) -> Cow<'a, Value> {
    let Some((first, rest)) = path.split_first() else { return Cow::Owned(Value::Null) };
    let found = match object {
        Object::Map(map) | Object::Value(Value::Object(map)) => map.get(first),
        Object::Value(Value::Array(list)) if first == "length" && rest.is_empty() => {
            return Cow::Owned(Value::from(list.len()));
        }
        Object::Value(Value::Array(list)) => {
            let index = first.parse::<usize>().ok().filter(|index| index.to_string() == *first);
            index.and_then(|index| list.get(index))
        }
        Object::Value(_) => None,
    };
    match found {
        Some(value) if rest.is_empty() => Cow::Borrowed(value),
        Some(value) => look_up(Object::Value(value), rest),
        None => Cow::Owned(Value::Null),
    }
}

impl Clause {
    fn holds(&self, object: Object<'_>, scope: Scope<'_>) -> bool {
        let or = |conditions: &[Condition]| {
            conditions.is_empty() || conditions.iter().any(|each| each.holds(object, scope))
        };
        match self {
            Clause::Or(conditions) => or(conditions),
            Clause::Nor(conditions) => !or(conditions),
            Clause::And(conditions) => conditions.iter().all(|each| each.holds(object, scope)),
            Clause::Not(condition) => !condition.holds(object, scope),
            Clause::Path(path, test) => test.holds(&look_up(object, path), scope, false),
            Clause::Never => false,
            Clause::SavedGroup { id, attribute } => {
                if scope.visits(id) {
                    return false;
                }
                match scope.groups.get(id) {
                    Some(Group::List { values, attribute: own, typed: true }) => {
                        let Some(name) = attribute.as_ref().or(own.as_ref()) else { return false };
                        let path: Vec<String> = name.split('.').map(str::to_owned).collect();
                        is_in(&look_up(object, &path), values, false)
                    }
                    Some(Group::Condition(condition)) => {
                        let visited = Visited { id, before: scope.visited };
                        let scope = Scope { groups: scope.groups, visited: Some(&visited) };
                        condition.holds(object, scope)
                    }
                    _ => false,
                }
            }
        }
    }
}

impl Test {
    fn holds(&self, value: &Value, scope: Scope<'_>, fold: bool) -> bool {
        match self {
            Test::Text(text) if fold => to_string(value).to_lowercase() == text.to_lowercase(),
            Test::Text(text) => to_string(value) == text.as_str(),
            Test::Number(number) => to_number(value) == *number,
            Test::Bool(wanted) => !value.is_null() && truthy(value) == *wanted,
            Test::Null => value.is_null(),
            Test::Json(json) => same_json(value, json),
            Test::Operators(operators) => operators.iter().all(|each| each.holds(value, scope)),
        }
    }
}

impl Operator {
    fn holds(&self, value: &Value, scope: Scope<'_>) -> bool {
        match self {
            Operator::Version(order, wanted) => order.holds(compare_texts(&padded(value), wanted)),
            Operator::Is(wanted) => strictly_equal(value, wanted),
            Operator::IsNot(wanted) => !strictly_equal(value, wanted),
            Operator::Compare(order, wanted) => {
                compare(value, wanted).is_some_and(|ordering| order.holds(ordering))
            }
            Operator::Exists(exists) => *exists != value.is_null(),
            Operator::In { values, fold, negate } => is_in(value, values, *fold) != *negate,
            Operator::InGroup { id, negate } => match scope.groups.get(id) {
                None => *negate,
                Some(Group::List { values, .. }) => is_in(value, values, false) != *negate,
                Some(_) => false,
            },
            Operator::Not(test) => !test.holds(value, scope, false),
            Operator::Size(test) => {
                let size = value.as_array().map(|list| Value::from(list.len()));
                size.is_some_and(|size| test.holds(&size, scope, false))
            }
            Operator::ElemMatch(element) => {
                let list = value.as_array().map_or(&[][..], Vec::as_slice);
                list.iter().filter(|each| !each.is_null()).any(|each| match element {
                    Element::Value(test) => test.holds(each, scope, false),
                    Element::Object(condition) => condition.holds(Object::Value(each), scope),
                })
            }
            Operator::All { tests, fold } => value.as_array().is_some_and(|list| {
                tests.iter().all(|test| list.iter().any(|each| test.holds(each, scope, *fold)))
            }),
            Operator::Regex(regex) => regex.is_match(&to_string(value)),
            Operator::Type(name) => type_name(value) == name,
            Operator::Never => false,
        }
    }
}

/// Whether the value, or one of its elements, is in a list.
fn is_in(value: &Value, list: &[Value], fold: bool) -> bool {
    let same = |one: &Value, other: &Value| match (one, other) {
        (Value::String(one), Value::String(other)) if fold => {
            one.to_lowercase() == other.to_lowercase()
        }
        _ => strictly_equal(one, other),
    };
    let listed = |value: &Value| list.iter().any(|each| same(value, each));
    value.as_array().map_or_else(|| listed(value), |values| values.iter().any(listed))
}

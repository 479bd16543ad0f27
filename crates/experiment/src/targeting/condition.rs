//! Conditions as they are written.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// A condition. In JSON: `{"match": {"field": "header:x-plan", "is": {"in": ["pro", "team"]}}}`,
/// `{"all": [...]}`, `{"any": [...]}`, `{"not": {...}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Condition {
    /// Every one holds; so does none at all.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A test of one field.
    Match {
        /// What is tested.
        field: Field,
        /// How. Of an attribute that is a list, one element is enough; a field that is absent
        /// passes `ne`, `not-in` and `exists: false` only.
        is: Test,
        /// Whether capitals and small letters are the same. Not for regular expressions, which
        /// have `(?i)`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ignore_case: bool,
    },
    /// A condition in GrowthBook's language, on the attributes.
    Growthbook(Value),
}

impl Condition {
    /// Calls `see` with each field that is tested.
    pub fn each_field<'a>(&'a self, see: &mut dyn FnMut(&'a Field)) {
        match self {
            Condition::All(all) | Condition::Any(all) => {
                all.iter().for_each(|each| each.each_field(see));
            }
            Condition::Not(inner) => inner.each_field(see),
            Condition::Match { field, .. } => see(field),
            // On attributes alone.
            Condition::Growthbook(_) => {}
        }
    }
}

/// What is tested: `path`, `host`, `country`, `client`, `header:NAME`, `cookie:NAME`,
/// `query:NAME`, or `attribute:NAME`, whose name may be a path of keys joined by dots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Field {
    /// The path.
    Path,
    /// The host.
    Host,
    /// The country.
    Country,
    /// The client's address.
    Client,
    /// A header, in lower case.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A parameter of the query.
    Query(String),
    /// What the application says about the unit.
    Attribute(String),
}

impl TryFrom<String> for Field {
    type Error = String;

    fn try_from(text: String) -> Result<Field, String> {
        let field = match text.as_str() {
            "path" => Some(Field::Path),
            "host" => Some(Field::Host),
            "country" => Some(Field::Country),
            "client" => Some(Field::Client),
            other => match other.split_once(':') {
                Some((_, "")) | None => None,
                Some(("header", name)) => Some(Field::Header(name.to_ascii_lowercase())),
                Some(("cookie", name)) => Some(Field::Cookie(name.to_owned())),
                Some(("query", name)) => Some(Field::Query(name.to_owned())),
                Some(("attribute", name)) => Some(Field::Attribute(name.to_owned())),
                Some(_) => None,
            },
        };
        field.ok_or_else(|| {
            format!(
                "unknown field \"{text}\"; there are path, host, country, client, header:NAME, \
                 cookie:NAME, query:NAME and attribute:NAME"
            )
        })
    }
}

impl From<Field> for String {
    fn from(field: Field) -> String {
        field.to_string()
    }
}

impl fmt::Display for Field {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Path => out.write_str("path"),
            Field::Host => out.write_str("host"),
            Field::Country => out.write_str("country"),
            Field::Client => out.write_str("client"),
            Field::Header(name) => write!(out, "header:{name}"),
            Field::Cookie(name) => write!(out, "cookie:{name}"),
            Field::Query(name) => write!(out, "query:{name}"),
            Field::Attribute(name) => write!(out, "attribute:{name}"),
        }
    }
}

/// How a field is tested: `{"prefix": "/shop"}`, `{"number": ["ge", 18]}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// It is this text.
    Eq(String),
    /// It is not this text.
    Ne(String),
    /// It is one of these.
    In(Vec<String>),
    /// It is none of these.
    NotIn(Vec<String>),
    /// It has a match of this regular expression (syntax of the `regex` crate).
    Regex(String),
    /// It begins so.
    Prefix(String),
    /// It ends so.
    Suffix(String),
    /// It has this somewhere.
    Contains(String),
    /// As a number, it compares so.
    Number(Order, f64),
    /// As a version (SemVer), it compares so.
    Version(Order, String),
    /// As an address, it is in one of these networks.
    Cidr(Vec<IpNet>),
    /// It is there, or is not.
    Exists(bool),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

impl Order {
    /// Whether an ordering is meant.
    #[must_use]
    pub fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Order::Eq => ordering.is_eq(),
            Order::Ne => ordering.is_ne(),
            Order::Lt => ordering.is_lt(),
            Order::Le => ordering.is_le(),
            Order::Gt => ordering.is_gt(),
            Order::Ge => ordering.is_ge(),
        }
    }
}

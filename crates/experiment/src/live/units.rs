//! Which ids an API client speaks of.

use crate::model::{Identity, UnitSource};
use serde_json::{Map, Value};

/// Ids that a client names, besides those in attributes that are named like a source.
#[derive(Debug, Clone, Copy, Default)]
pub struct Named<'a> {
    /// Whoever is randomised, of whatever kind: OpenFeature's targeting key.
    pub unit: Option<&'a str>,
    /// A device.
    pub device: Option<&'a str>,
    /// A user.
    pub user: Option<&'a str>,
}

/// Device and user of an experiment's units: what is named, else the attribute with the name of
/// the cookie, header, parameter or claim, else the targeting key for the id that is hashed.
#[must_use]
pub fn ids<'a>(
    source: &UnitSource,
    named: &Named<'a>,
    attributes: &'a Map<String, Value>,
) -> (Option<&'a str>, Option<&'a str>) {
    let attribute = |source: &Option<crate::model::Source>| {
        attributes.get(source.as_ref()?.name()).and_then(Value::as_str)
    };
    let device = named.device.or_else(|| attribute(&source.device));
    let user = named.user.or_else(|| attribute(&source.user));
    match source.identity {
        Identity::User => (device, user.or(named.unit)),
        Identity::Device | Identity::Linked => (device.or(named.unit), user),
    }
}

//! Who is randomised.

use serde::{Deserialize, Serialize};

/// Where an id is found in a request: a name only, reading it is the gateway's business.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A cookie.
    Cookie(String),
    /// A request header.
    Header(String),
    /// A parameter of the query.
    Query(String),
    /// A claim of the bearer token, such as `sub`.
    Claim(String),
}

impl Source {
    /// The name of the cookie, header, parameter or claim.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Source::Cookie(name)
            | Source::Header(name)
            | Source::Query(name)
            | Source::Claim(name) => name,
        }
    }
}

/// Which id is hashed when somebody is known by more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// The device's: nothing changes at login; a person may see two variants on two devices.
    #[default]
    Device,
    /// The user's: whoever is not logged in does not take part.
    User,
    /// The device's until login and the one that was first linked with the user from then on:
    /// nothing changes at login, and other devices follow once they are logged in.
    Linked,
}

/// Where units come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UnitSource {
    /// Id of the device or the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Source>,
    /// Id of the user who is logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Source>,
    /// Which of them is hashed.
    #[serde(default)]
    pub identity: Identity,
    /// Whether a device without an id is given one: a signed cookie of the first party.
    #[serde(default)]
    pub create: bool,
}

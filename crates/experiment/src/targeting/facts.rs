//! What is known about a request and its unit.

use serde_json::{Map, Value};
use std::borrow::Cow;
use std::net::IpAddr;

/// What conditions ask for. Whoever answers requests implements it on what it has; what does not
/// exist is absent.
pub trait Facts {
    /// The path, decoded or not as the gateway matches routes.
    fn path(&self) -> &str {
        ""
    }
    /// The host that was asked for, without port, in lower case.
    fn host(&self) -> &str {
        ""
    }
    /// A header; the name is in lower case.
    fn header(&self, _name: &str) -> Option<Cow<'_, str>> {
        None
    }
    /// A cookie.
    fn cookie(&self, _name: &str) -> Option<Cow<'_, str>> {
        None
    }
    /// A parameter of the query, decoded.
    fn query(&self, _name: &str) -> Option<Cow<'_, str>> {
        None
    }
    /// The country as ISO 3166-1 alpha-2 in upper case, from the header that the site trusts.
    fn country(&self) -> Option<&str> {
        None
    }
    /// The client's address.
    fn client(&self) -> Option<IpAddr> {
        None
    }
    /// What the application says about the unit.
    fn attributes(&self) -> Option<&Map<String, Value>> {
        None
    }
}

/// Nothing is known.
impl Facts for () {}

/// Facts in plain collections.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlainFacts {
    /// The path.
    pub path: String,
    /// The host.
    pub host: String,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// Cookies.
    pub cookies: Vec<(String, String)>,
    /// Parameters of the query.
    pub query: Vec<(String, String)>,
    /// The country.
    pub country: Option<String>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// What the application says about the unit.
    pub attributes: Map<String, Value>,
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<Cow<'a, str>> {
    let pair = pairs.iter().find(|(each, _)| each == name);
    pair.map(|(_, value)| Cow::Borrowed(value.as_str()))
}

impl Facts for PlainFacts {
    fn path(&self) -> &str {
        &self.path
    }
    fn host(&self) -> &str {
        &self.host
    }
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        first(&self.headers, name)
    }
    fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        first(&self.cookies, name)
    }
    fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        first(&self.query, name)
    }
    fn country(&self) -> Option<&str> {
        self.country.as_deref()
    }
    fn client(&self) -> Option<IpAddr> {
        self.client
    }
    fn attributes(&self) -> Option<&Map<String, Value>> {
        Some(&self.attributes)
    }
}

//! What a variant does.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that the gateway, or the application, does for the units of a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// Sends requests to another upstream.
    Upstream(String),
    /// Replaces the beginning of the path.
    PathRewrite {
        /// What the path begins with; a path that does not is left alone.
        prefix: String,
        /// What it begins with instead.
        replacement: String,
    },
    /// Sets a header of the request to the upstream.
    RequestHeader {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// Sets a header of the response.
    ResponseHeader {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// Answers with a redirect.
    Redirect {
        /// Where to: a path or a URL.
        location: String,
        /// 302, 303 or 307: never a permanent one, which browsers would keep.
        status: u16,
    },
    /// The value that the decision API gives to applications.
    Value(Value),
}

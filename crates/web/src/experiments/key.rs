//! The key in a path.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

/// A key of a path. One that is no text is one that nothing has: [`char::REPLACEMENT_CHARACTER`].
pub(super) struct Key(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Key, Infallible> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        Ok(Key(path.map_or_else(|_| char::REPLACEMENT_CHARACTER.to_string(), |Path(key)| key)))
    }
}

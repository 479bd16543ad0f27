//! The signed cookie that keeps a client with its server.
//!
//! Its value is `TAG.SIGNATURE`, both base64url: eight bytes that stand for the server (a hash of
//! its address, so nobody learns it) and the first 128 bits of HMAC-SHA-256 (RFC 2104, RFC 4868)
//! over the upstream's name and the tag. Nobody without the key can choose a server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use traffic::{Fields, Name};

use crate::params;

/// Bytes of a server's tag.
const TAG_LEN: usize = 8;
/// Bytes of a signature.
const SIGNATURE_LEN: usize = 16;
/// Cookies of one request that are looked at.
const COOKIES_MAX: usize = 16;

/// Makes and reads the cookies of one upstream.
pub(crate) struct Stickiness {
    cookie: String,
    /// `; Path=/; …`, what follows the value.
    attributes: String,
    upstream: String,
    key: hmac::Key,
}

impl Stickiness {
    /// The cookies of an upstream of this name. Without a secret in the parameters,
    /// `process_secret` signs, which the process draws once.
    pub(crate) fn new(
        params: &params::Sticky,
        upstream: &str,
        process_secret: &[u8],
    ) -> Stickiness {
        let secret = params.secret.as_deref().unwrap_or(process_secret);
        let mut attributes = String::from("; Path=/; HttpOnly; SameSite=Lax");
        if let Some(age) = params.max_age {
            attributes.push_str(&format!("; Max-Age={}", age.as_secs()));
        }
        Stickiness {
            cookie: params.cookie.clone(),
            attributes,
            upstream: upstream.to_owned(),
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
        }
    }

    /// The tag of the server that the client belongs to, by the first of its cookies of the right
    /// name whose signature holds.
    pub(crate) fn read(&self, request: &Fields) -> Option<u64> {
        let cookies = request.all(Name::Cookie).flat_map(|value| value.split(|byte| *byte == b';'));
        cookies
            .filter_map(|pair| {
                pair.trim_ascii().strip_prefix(self.cookie.as_bytes())?.strip_prefix(b"=")
            })
            .take(COOKIES_MAX)
            .find_map(|value| self.read_value(value))
    }

    /// The tag that a cookie's value holds, if its signature does.
    fn read_value(&self, value: &[u8]) -> Option<u64> {
        let dot = value.iter().position(|byte| *byte == b'.')?;
        let (tag, signature) = (value.get(..dot)?, value.get(dot + 1..)?);
        let tag: [u8; TAG_LEN] = decode(tag)?;
        let signature: [u8; SIGNATURE_LEN] = decode(signature)?;
        let right = self.sign(tag);
        let different =
            right.iter().zip(&signature).fold(0, |bits, (one, other)| bits | (one ^ other));
        (std::hint::black_box(different) == 0).then_some(u64::from_be_bytes(tag))
    }

    /// The value of `Set-Cookie` that binds the client to the server of this tag; `https` tells
    /// whether the client spoke it.
    pub(crate) fn issue(&self, tag: u64, https: bool) -> String {
        let tag = tag.to_be_bytes();
        let (cookie, attributes) = (&self.cookie, &self.attributes);
        let (value, signature) =
            (URL_SAFE_NO_PAD.encode(tag), URL_SAFE_NO_PAD.encode(self.sign(tag)));
        let secure = if https { "; Secure" } else { "" };
        format!("{cookie}={value}.{signature}{attributes}{secure}")
    }

    fn sign(&self, tag: [u8; TAG_LEN]) -> [u8; SIGNATURE_LEN] {
        let mut context = hmac::Context::with_key(&self.key);
        // The tag has a fixed length, so name and tag cannot be told apart wrongly.
        context.update(self.upstream.as_bytes());
        context.update(&tag);
        first(context.sign().as_ref())
    }
}

/// What stands for a server, known by its address as text.
pub(crate) fn tag_of(server: &str) -> u64 {
    u64::from_be_bytes(first(digest::digest(&digest::SHA256, server.as_bytes()).as_ref()))
}

/// The first bytes of a hash.
fn first<const N: usize>(hash: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
    bytes
}

/// Exactly so many bytes of base64url.
fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    // Longer text is refused before it is decoded.
    if text.len() > N.div_ceil(3) * 4 {
        return None;
    }
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn stickiness(upstream: &str, secret: Option<&[u8]>) -> Stickiness {
        let params = params::Sticky {
            cookie: "tide".into(),
            max_age: Some(Duration::from_secs(3_600)),
            secret: secret.map(<[u8]>::to_vec),
        };
        Stickiness::new(&params, upstream, b"process")
    }

    fn value(issued: &str) -> &str {
        issued.split(['=', ';']).nth(1).unwrap()
    }

    #[test]
    fn a_cookie_says_how_it_is_to_be_kept() {
        let sticky = stickiness("shop", Some(b"secret"));
        let issued = sticky.issue(tag_of("10.0.0.1:80"), true);
        let (start, attributes) = issued.split_once(';').unwrap();
        assert!(start.starts_with("tide=") && start.len() == "tide=".len() + 11 + 1 + 22);
        assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax; Max-Age=3600; Secure");
        assert!(!sticky.issue(1, false).contains("Secure"));
    }

    #[test]
    fn the_right_one_of_several_cookies_is_read() {
        let sticky = stickiness("shop", None);
        let good = sticky.issue(7, true);
        let good = value(&good);
        let header = format!("a=b; tidex={good}; tide=junk; tide={good}; c");
        let fields: Fields = [("Cookie", header.as_str())].into_iter().collect();
        assert_eq!(sticky.read(&fields), Some(7));
        assert_eq!(sticky.read(&Fields::new()), None);
        let other: Fields = [("Cookie", "Tide=x; a=b")].into_iter().collect();
        assert_eq!(sticky.read(&other), None);
    }

    #[test]
    fn cookies_of_another_upstream_or_key_are_refused() {
        let issued = stickiness("shop", Some(b"secret")).issue(7, true);
        let read = |sticky: Stickiness| sticky.read_value(value(&issued).as_bytes());
        assert_eq!(read(stickiness("shop", Some(b"secret"))), Some(7));
        assert_eq!(read(stickiness("shop2", Some(b"secret"))), None);
        assert_eq!(read(stickiness("shop", Some(b"secret2"))), None);
        assert_eq!(read(stickiness("shop", None)), None);
    }

    proptest! {
        #[test]
        fn what_is_issued_is_read_and_what_is_changed_is_refused(
            tag: u64, at in 0_usize..34, bit in 0_u8..8,
        ) {
            let sticky = stickiness("shop", Some(b"secret"));
            let issued = sticky.issue(tag, true);
            let mut text = value(&issued).as_bytes().to_vec();
            prop_assert_eq!(sticky.read_value(&text), Some(tag));
            prop_assert_eq!(text.len(), 34);
            text[at] ^= 1 << bit;
            prop_assert_eq!(sticky.read_value(&text), None);
        }

        #[test]
        fn no_other_text_is_read(text in "[A-Za-z0-9_-]{0,12}\\.?[A-Za-z0-9_=-]{0,24}") {
            let sticky = stickiness("shop", Some(b"secret"));
            prop_assert_eq!(sticky.read_value(text.as_bytes()), None);
        }
    }
}

//! What this instance vouches for: ids of devices in cookies, and links that choose a variant.
//!
//! Both carry an HMAC-SHA-256 (RFC 2104) under the instance's secret, as base64url (RFC 4648).
//! Whatever a client changes is no longer vouched for.

use crate::model::UnixMillis;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};

/// Bytes of the id of a device.
const ID_BYTES: usize = 16;
/// Name of the parameter of a link, and of the cookie that keeps it.
pub const LINK_NAME: &str = "tidegate-variant";
/// Choices of one link.
pub const LINK_CHOICES_MAX: usize = 8;
/// Bytes of a link that is looked at.
const LINK_BYTES_MAX: usize = 4_096;
/// How long a link may be valid.
pub const LINK_MAX_MS: UnixMillis = 90 * 86_400_000;

/// Signs and verifies.
pub struct Signer {
    key: hmac::Key,
    random: SystemRandom,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// A signer with a secret; all instances behind one name need the same.
    #[must_use]
    pub fn new(secret: &[u8]) -> Signer {
        Signer { key: hmac::Key::new(hmac::HMAC_SHA256, secret), random: SystemRandom::new() }
    }

    /// A new id of a device, 128 random bits as text. `None` when the system has no randomness.
    #[must_use]
    pub fn new_id(&self) -> Option<String> {
        let mut bytes = [0; ID_BYTES];
        self.random.fill(&mut bytes).ok()?;
        Some(BASE64.encode(bytes))
    }

    /// The value of a cookie of this name that holds an id: `ID.SIGNATURE`.
    #[must_use]
    pub fn seal(&self, cookie: &str, id: &str) -> String {
        format!("{id}.{}", BASE64.encode(self.signature(&["unit", cookie, id])))
    }

    /// The id in the value of a cookie of this name, when it was made by [`Signer::seal`].
    #[must_use]
    pub fn open<'a>(&self, cookie: &str, value: &'a str) -> Option<&'a str> {
        let (id, signature) = value.rsplit_once('.')?;
        self.verifies(&["unit", cookie, id], signature).then_some(id)
    }

    /// What a link that chooses a variant carries as [`LINK_NAME`]:
    /// `EXPERIMENT:VARIANT:SECONDS:SIGNATURE`, the seconds being those since 1970 after which it
    /// means nothing.
    #[must_use]
    pub fn link(&self, experiment: &str, variant: &str, expires: UnixMillis) -> String {
        let expires = (expires / 1_000).to_string();
        let signature = BASE64.encode(self.signature(&["link", experiment, variant, &expires]));
        format!("{experiment}:{variant}:{expires}:{signature}")
    }

    /// Experiments and variants that a link chooses, several with commas between; what is not
    /// vouched for or too old is left out. With them, when the first of them ends.
    #[must_use]
    pub fn choices<'a>(&self, link: &'a str, now: UnixMillis) -> Choices<'a> {
        let mut choices = Choices::default();
        if link.len() > LINK_BYTES_MAX {
            return choices;
        }
        for each in link.split(',').take(LINK_CHOICES_MAX) {
            let mut parts = each.split(':');
            let next = [(); 4].map(|()| parts.next());
            let ([Some(experiment), Some(variant), Some(expires), Some(signature)], None) =
                (next, parts.next())
            else {
                continue;
            };
            let Ok(seconds) = expires.parse::<UnixMillis>() else { continue };
            let until = seconds.saturating_mul(1_000);
            if now < until && self.verifies(&["link", experiment, variant, expires], signature) {
                choices.variants.push((experiment, variant));
                choices.links.push(each);
                choices.until = Some(choices.until.map_or(until, |before| before.min(until)));
            }
        }
        choices
    }

    fn signature(&self, parts: &[&str]) -> hmac::Tag {
        hmac::sign(&self.key, &message(parts))
    }

    fn verifies(&self, parts: &[&str], signature: &str) -> bool {
        let sent = BASE64.decode(signature);
        sent.is_ok_and(|sent| hmac::verify(&self.key, &message(parts), &sent).is_ok())
    }
}

/// Each part with its length before it, so that no two lists of parts are the same message.
fn message(parts: &[&str]) -> Vec<u8> {
    let mut message = Vec::new();
    for part in parts {
        message.extend_from_slice(&(part.len() as u64).to_le_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    message
}

/// What a link chooses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choices<'a> {
    /// Experiments and variants.
    pub variants: Vec<(&'a str, &'a str)>,
    /// The links that are vouched for, one for each.
    pub links: Vec<&'a str>,
    /// When the first of them ends.
    pub until: Option<UnixMillis>,
}

/// A secret from text of any length.
#[must_use]
pub fn secret_of(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn signer() -> Signer {
        Signer::new(&secret_of("a secret for tests"))
    }

    #[test]
    fn ids_come_back() {
        let signer = signer();
        let id = signer.new_id().unwrap();
        assert_eq!(id.len(), 22);
        assert_ne!(id, signer.new_id().unwrap());
        let value = signer.seal("uid", &id);
        assert_eq!(signer.open("uid", &value), Some(id.as_str()));
        assert_eq!(signer.open("other", &value), None, "a cookie of another name");
        assert_eq!(Signer::new(&secret_of("other")).open("uid", &value), None);
        for forged in ["", ".", "x", &id, &format!("{id}."), &format!("{id}.AAAA")] {
            assert_eq!(signer.open("uid", forged), None, "{forged}");
        }
    }

    #[test]
    fn links_choose_until_they_end() {
        let signer = signer();
        let link = signer.link("checkout", "new", 2_000_000);
        let choices = signer.choices(&link, 1_999_999);
        assert_eq!(choices.variants, [("checkout", "new")]);
        assert_eq!(choices.until, Some(2_000_000));
        assert_eq!(signer.choices(&link, 2_000_000), Choices::default());
        for forged in [
            link.replace("new", "old"),
            link.replace("2000", "3000"),
            link.replace("checkout", "check:out"),
            format!("{link}:"),
            format!("{link}A"),
        ] {
            assert_eq!(signer.choices(&forged, 0), Choices::default(), "{forged}");
        }
        let both = format!("{link},nonsense,{}", signer.link("b", "x", 1_000_000));
        let choices = signer.choices(&both, 0);
        assert_eq!(choices.variants, [("checkout", "new"), ("b", "x")]);
        assert_eq!(choices.until, Some(1_000_000));
    }

    proptest! {
        #[test]
        fn nothing_else_is_vouched_for(text in ".{0,80}", now: u64) {
            prop_assert_eq!(signer().open("uid", &text), None);
            prop_assert_eq!(signer().choices(&text, now), Choices::default());
        }

        #[test]
        fn one_changed_character_is_enough(id in "[A-Za-z0-9_-]{1,40}", at: prop::sample::Index) {
            let value = signer().seal("uid", &id);
            let at = at.index(value.len());
            let changed = if value.as_bytes()[at] == b'B' { "C" } else { "B" };
            let mut forged = value.clone();
            forged.replace_range(at..=at, changed);
            // The last character of base64 carries bits that are not part of the signature; a
            // decoder that is strict refuses them.
            prop_assert_eq!(signer().open("uid", &forged), None);
        }
    }
}

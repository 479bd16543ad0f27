//! Basic authentication: RFC 7617.

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use traffic::{Fields, Name};

use crate::params::BasicAuth;

/// Longest credentials that are looked at, in bytes of base64.
const CREDENTIALS_MAX: usize = 1_024;

/// Base64 with or without padding, as clients send both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The user who proved to be one; `None`: answer 401 with [`challenge`].
///
/// A password is compared in constant time, and an unknown user costs what a known one does.
pub(crate) fn check<'a>(basic: &'a BasicAuth, request: &Fields) -> Option<&'a str> {
    let (name, password) = credentials(request)?;
    let known = basic.users.iter().find(|(user, _)| user.as_bytes() == name);
    let (user, secret) = known.or(basic.users.first())?;
    let (salt, expected) = stored(secret)?;
    let mut hash = Context::new(&SHA256);
    hash.update(salt.as_bytes());
    hash.update(b":");
    hash.update(&password);
    let right = same(hash.finish().as_ref(), &expected);
    (right & known.is_some()).then_some(user)
}

/// The value of `WWW-Authenticate`.
pub(crate) fn challenge(basic: &BasicAuth) -> String {
    let mut value = String::from("Basic realm=\"");
    for char in basic.realm.chars().filter(|char| !char.is_control()) {
        if matches!(char, '"' | '\\') {
            value.push('\\');
        }
        value.push(char);
    }
    value.push_str("\", charset=\"UTF-8\"");
    value
}

/// User name and password of the only `Authorization` field.
fn credentials(request: &Fields) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut values = request.all(Name::Authorization);
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, encoded) = value.split_at_checked(5)?;
    let encoded = encoded.strip_prefix(b" ")?.trim_ascii();
    if !scheme.eq_ignore_ascii_case(b"Basic") || encoded.len() > CREDENTIALS_MAX {
        return None;
    }
    let mut name = BASE64.decode(encoded).ok()?;
    let colon = name.iter().position(|byte| *byte == b':')?;
    let password = name.split_off(colon + 1);
    name.truncate(colon);
    Some((name, password))
}

/// Salt and hash of `sha256:SALT:HEX`.
fn stored(secret: &str) -> Option<(&str, [u8; SHA256_OUTPUT_LEN])> {
    let (salt, hex) = secret.strip_prefix("sha256:")?.rsplit_once(':')?;
    let mut hash = [0; SHA256_OUTPUT_LEN];
    if hex.len() != 2 * hash.len() {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some((salt, hash))
}

/// Whether two hashes are the same, looking at every byte.
fn same(one: &[u8], other: &[u8]) -> bool {
    let different = one.iter().zip(other).fold(0, |bits, (one, other)| bits | (one ^ other));
    one.len() == other.len() && std::hint::black_box(different) == 0
}

/// What configuration holds for a password.
///
/// Kept beside [`check`] so that both agree on the form.
#[cfg(test)]
fn secret(salt: &str, password: &str) -> String {
    let hash = ring::digest::digest(&SHA256, format!("{salt}:{password}").as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{salt}:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic() -> BasicAuth {
        BasicAuth {
            realm: "the \"back\" office".into(),
            users: vec![
                ("Aladdin".into(), secret("salt", "open sesame")),
                ("zoë".into(), secret("a:b", "p:w:")),
                ("broken".into(), "sha256:salt:ab".into()),
            ],
        }
    }

    fn request(user: &str, password: &str) -> Fields {
        authorization(&format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
        ))
    }

    fn authorization(value: &str) -> Fields {
        [("Authorization", value)].into_iter().collect()
    }

    #[test]
    fn the_example_of_rfc_7617_is_understood() {
        let fields = authorization("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(check(&basic(), &fields), Some("Aladdin"));
        let fields = authorization("bAsIc  QWxhZGRpbjpvcGVuIHNlc2FtZQ ");
        assert_eq!(check(&basic(), &fields), Some("Aladdin"));
    }

    #[test]
    fn the_hash_is_sha_256_over_salt_and_password() {
        // printf 'salt:open sesame' | sha256sum
        let hex = "f333851b9975f01dd0313f032d87b0424736756c1a7481fb7582a6a483c0b148";
        assert_eq!(secret("salt", "open sesame"), format!("sha256:salt:{hex}"));
    }

    #[test]
    fn only_the_right_password_of_a_known_user_passes() {
        let cases = [
            ("Aladdin", "open sesame", Some("Aladdin")),
            ("Aladdin", "open sesam", None),
            ("Aladdin", "", None),
            ("aladdin", "open sesame", None),
            ("nobody", "open sesame", None),
            ("zoë", "p:w:", Some("zoë")),
            ("broken", "", None),
            ("", "", None),
        ];
        for (user, password, expected) in cases {
            assert_eq!(check(&basic(), &request(user, password)), expected, "{user}:{password}");
        }
        let nobody = BasicAuth { realm: String::new(), users: Vec::new() };
        assert_eq!(check(&nobody, &request("", "")), None);
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("Basic {}", "QQ".repeat(CREDENTIALS_MAX));
        for value in ["", "Basic", "Basic ", "Basic !!", "Basic QUFB", "Bearer QTpi", "é", &long] {
            assert_eq!(check(&basic(), &authorization(value)), None, "{value}");
        }
        assert_eq!(check(&basic(), &Fields::new()), None);
        let mut twice = request("Aladdin", "open sesame");
        twice.push_known(Name::Authorization, b"Basic QTpi");
        assert_eq!(check(&basic(), &twice), None);
    }

    #[test]
    fn the_realm_is_quoted() {
        let challenge = challenge(&basic());
        assert_eq!(challenge, r#"Basic realm="the \"back\" office", charset="UTF-8""#);
        let odd = BasicAuth { realm: "a\r\nSet-Cookie: x".into(), users: Vec::new() };
        assert_eq!(super::challenge(&odd), r#"Basic realm="aSet-Cookie: x", charset="UTF-8""#);
    }
}

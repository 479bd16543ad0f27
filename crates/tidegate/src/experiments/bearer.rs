//! Claims of bearer tokens: JSON Web Tokens (RFC 7519) with `HS256`, `RS256` or `ES256`
//! (RFC 7518). A claim is read only from a token whose signature holds and whose time is now.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use experiment::live::params::BearerKey;
use ring::{hmac, signature};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;

/// Bytes of a token that is looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How far clocks may be apart, in seconds.
const LEEWAY_S: i64 = 60;

enum Key {
    Hs256(hmac::Key),
    Public { algorithm: &'static str, key: signature::UnparsedPublicKey<Vec<u8>> },
}

/// Verifies tokens.
pub(super) struct Verifier(Vec<Key>);

impl Verifier {
    /// # Errors
    /// When a key cannot be read.
    pub(super) fn new(keys: &[BearerKey]) -> Result<Verifier, String> {
        keys.iter().map(key).collect::<Result<_, _>>().map(Verifier)
    }

    /// The text of a claim of the token in `Authorization`; numbers as their texts.
    pub(super) fn claim(&self, authorization: &str, name: &str, now_s: i64) -> Option<String> {
        let (scheme, token) = authorization.split_once(' ')?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let claims = self.claims(token)?;
        // A time that is no number (RFC 7519, section 2) says nothing that could be believed.
        let time = |name: &str, otherwise| claims.get(name).map_or(Some(otherwise), Value::as_f64);
        let (now, leeway) = (now_s as f64, LEEWAY_S as f64);
        let (end, start) = (time("exp", f64::INFINITY)?, time("nbf", f64::NEG_INFINITY)?);
        if now >= end + leeway || now < start - leeway {
            return None;
        }
        match claims.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn claims(&self, token: &str) -> Option<Value> {
        let (signed, sent) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part| serde_json::from_slice::<Value>(&BASE64.decode(part).ok()?).ok();
        let header = json(header)?;
        // Extensions that must be understood are not.
        if header.get("crit").is_some() {
            return None;
        }
        let algorithm = header.get("alg")?.as_str()?;
        let sent = BASE64.decode(sent).ok()?;
        let holds = |key: &Key| match key {
            Key::Hs256(key) => {
                algorithm == "HS256" && hmac::verify(key, signed.as_bytes(), &sent).is_ok()
            }
            Key::Public { algorithm: own, key } => {
                algorithm == *own && key.verify(signed.as_bytes(), &sent).is_ok()
            }
        };
        self.0.iter().any(holds).then(|| json(claims)).flatten()
    }
}

fn key(key: &BearerKey) -> Result<Key, String> {
    let public = |algorithm, how: &'static dyn signature::VerificationAlgorithm, pem: &str| {
        let info = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| format!("a key for {algorithm} is no public key in PEM: {error}"))?;
        let bits = bits_of(&info)
            .ok_or_else(|| format!("a key for {algorithm} is no public key (RFC 5280)"))?;
        let key = signature::UnparsedPublicKey::new(how, bits.to_vec());
        Ok(Key::Public { algorithm, key })
    };
    match key {
        BearerKey::Hs256(secret) => {
            Ok(Key::Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())))
        }
        BearerKey::Rs256(pem) => public("RS256", &signature::RSA_PKCS1_2048_8192_SHA256, pem),
        BearerKey::Es256(pem) => public("ES256", &signature::ECDSA_P256_SHA256_FIXED, pem),
    }
}

/// The key in a `SubjectPublicKeyInfo`: a sequence of the algorithm and a bit string.
fn bits_of(info: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const BIT_STRING: u8 = 0x03;
    let (content, _) = element(SEQUENCE, info)?;
    let (_, rest) = element(SEQUENCE, content)?;
    let (bits, _) = element(BIT_STRING, rest)?;
    // The first byte counts unused bits; there are none in keys.
    bits.strip_prefix(&[0])
}

/// Content of a DER element of a kind, and what comes after it.
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first().filter(|(first, _)| **first == tag)?;
    debug_assert_eq!(first, tag);
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        let length = digits.iter().try_fold(0_usize, |sum, &digit| {
            sum.checked_mul(256)?.checked_add(usize::from(digit))
        })?;
        (length, rest)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    fn part(json: &str) -> String {
        BASE64.encode(json)
    }

    fn hs256(secret: &str, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", part(header), part(claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        format!("Bearer {signed}.{}", BASE64.encode(hmac::sign(&key, signed.as_bytes())))
    }

    const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

    #[test]
    fn only_what_is_signed_and_now() {
        let verifier = Verifier::new(&[BearerKey::Hs256("s3cret".into())]).unwrap();
        let claims = r#"{"sub":"u1","n":7,"exp":1000,"nbf":500}"#;
        let token = hs256("s3cret", HEADER, claims);
        assert_eq!(verifier.claim(&token, "sub", 700).as_deref(), Some("u1"));
        assert_eq!(verifier.claim(&token, "n", 700).as_deref(), Some("7"));
        assert_eq!(verifier.claim(&token, "other", 700), None);
        assert_eq!(verifier.claim(&token, "sub", 1_061), None, "too late");
        assert_eq!(verifier.claim(&token, "sub", 400), None, "too early");
        for odd in [r#""exp":"9999""#, r#""exp":null"#, r#""nbf":"1""#, r#""nbf":[1]"#] {
            let token = hs256("s3cret", HEADER, &format!(r#"{{"sub":"u1",{odd}}}"#));
            assert_eq!(verifier.claim(&token, "sub", 700), None, "{odd}");
        }
        for forged in [
            hs256("other", HEADER, claims),
            hs256("s3cret", r#"{"alg":"none"}"#, claims),
            hs256("s3cret", r#"{"alg":"HS256","crit":["b64"]}"#, claims),
            token.replace("Bearer", "Basic"),
            format!("Bearer {}.{}.", part(r#"{"alg":"none"}"#), part(claims)),
            "Bearer".to_owned(),
            "Bearer a.b".to_owned(),
        ] {
            assert_eq!(verifier.claim(&forged, "sub", 700), None, "{forged}");
        }
        assert_eq!(Verifier::new(&[]).unwrap().claim(&token, "sub", 700), None);
    }

    /// The example of RFC 7515, appendix A.1, whose secret is given as base64url.
    #[test]
    fn published_example() {
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64.decode(secret).unwrap());
        let verifier = Verifier(vec![Key::Hs256(key)]);
        let claim = verifier.claim(&format!("Bearer {token}"), "iss", 1_300_819_000);
        assert_eq!(claim.as_deref(), Some("joe"));
    }

    #[test]
    fn public_keys() {
        let random = SystemRandom::new();
        let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(how, pkcs8.as_ref(), &random).unwrap();
        // id-ecPublicKey on prime256v1 (RFC 5480), then the point.
        let mut info = vec![0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d];
        info.extend([0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
        info.extend([0x03, 0x42, 0x00]);
        info.extend(pair.public_key().as_ref());
        let text = base64::engine::general_purpose::STANDARD.encode(&info);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
        let verifier = Verifier::new(&[BearerKey::Es256(pem.clone())]).unwrap();
        let signed = format!("{}.{}", part(r#"{"alg":"ES256"}"#), part(r#"{"sub":"u2"}"#));
        let sent = BASE64.encode(pair.sign(&random, signed.as_bytes()).unwrap());
        let token = format!("Bearer {signed}.{sent}");
        assert_eq!(verifier.claim(&token, "sub", 0).as_deref(), Some("u2"));
        // The public key must not be taken for a shared secret.
        assert_eq!(verifier.claim(&hs256(&pem, HEADER, r#"{"sub":"x"}"#), "sub", 0), None);
        assert!(Verifier::new(&[BearerKey::Rs256("nonsense".into())]).is_err());
    }
}

//! The secret that signs cookies and links.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use experiment::live::params::{SECRET_BYTES_MAX, SECRET_BYTES_MIN, ServiceParams};
use experiment::live::secret_of;
use ring::rand::{SecureRandom, SystemRandom};

/// Its file in the data folder.
const FILE: &str = "secret";

/// The secret that is configured, else the one in the data folder, which is made if need be: only
/// its owner can read it.
pub(super) fn of(params: &ServiceParams) -> Result<Vec<u8>, String> {
    if let Some(secret) = &params.secret {
        return Ok(secret_of(secret));
    }
    let path = params.data.join(FILE);
    let fail = |error: std::io::Error| format!("{}: {error}", path.display());
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match made {
        Ok(mut file) => {
            let mut bytes = [0; 32];
            let random = SystemRandom::new().fill(&mut bytes);
            random.map_err(|_| "the system has no randomness for a secret".to_owned())?;
            let text = BASE64.encode(bytes);
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)?;
            Ok(secret_of(&text))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let file = OpenOptions::new().read(true).open(&path).map_err(fail)?;
            let mut text = String::new();
            file.take(SECRET_BYTES_MAX as u64).read_to_string(&mut text).map_err(fail)?;
            let text = text.trim();
            if text.len() < SECRET_BYTES_MIN {
                let shown = path.display();
                return Err(format!(
                    "{shown}: the secret is shorter than {SECRET_BYTES_MIN} bytes: restore the \
                     file, or remove it, after which visitors get new ids"
                ));
            }
            Ok(secret_of(text))
        }
        Err(error) => Err(fail(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let address = ([127, 0, 0, 1], 0).into();
        let mut params = ServiceParams::new(address, folder.path().to_owned());
        let made = of(&params).unwrap();
        assert_eq!(of(&params).unwrap(), made);
        params.secret = Some("one that was configured".to_owned());
        assert_ne!(of(&params).unwrap(), made);
        params.secret = None;
        std::fs::write(folder.path().join("secret"), "short").unwrap();
        assert!(of(&params).is_err());
    }
}

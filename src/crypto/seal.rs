//! Credentials at rest: XChaCha20-Poly1305, whose 24-byte nonce may be chosen at random.
//!
//! A sealed value is `key id (4 bytes) ‖ nonce (24 bytes) ‖ ciphertext`. The place it is stored in goes in as
//! associated data, so that a value copied to another row does not open there.

use std::{fs, io::Write, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::secret::digest;

const KEY_ID: usize = 4;
const NONCE: usize = 24;

/// The key that seals credentials.
pub struct SealingKey {
    cipher: XChaCha20Poly1305,
    id: [u8; KEY_ID],
}

/// Why a sealing key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not a key.
    #[error(
        "secrets.key is not a sealing key: it must be 32 bytes in base64 (remove the file to have a new one made)"
    )]
    Malformed,
    /// The file cannot be read or created.
    #[error("the sealing key file {path} cannot be used")]
    File {
        /// The file.
        path: String,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
}

/// Why a sealed value cannot be opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealed with a key that is not configured.
    #[error(
        "a stored credential was sealed with another key than secrets.key: restore that key, or enter the credential again"
    )]
    OtherKey,
    /// Changed, cut or moved to another place.
    #[error("a stored credential does not open: it was changed or belongs to another row")]
    Damaged,
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SealingKey(…)")
    }
}

impl SealingKey {
    /// Returns the key for its base64 text.
    ///
    /// # Errors
    /// Fails unless the text is 32 bytes in base64.
    pub fn from_base64(text: &SecretString) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(
            STANDARD
                .decode(text.expose_secret().trim())
                .map_err(|_| KeyError::Malformed)?,
        );
        let cipher = XChaCha20Poly1305::new_from_slice(&bytes).map_err(|_| KeyError::Malformed)?;
        let mut id = [0; KEY_ID];
        for (to, from) in id.iter_mut().zip(digest(&bytes)) {
            *to = from;
        }
        Ok(Self { cipher, id })
    }

    /// Returns the key in `path`, which is created with a random key and mode 0600 if it does not exist.
    ///
    /// # Errors
    /// Fails when the file cannot be read or created, or holds no key.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let error = |source| KeyError::File {
            path: path.display().to_string(),
            source,
        };
        match fs::read_to_string(path) {
            Ok(text) => Self::from_base64(&text.into()),
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {
                let mut bytes = Zeroizing::new([0_u8; 32]);
                rand::rng().fill_bytes(bytes.as_mut_slice());
                let text = Zeroizing::new(STANDARD.encode(bytes.as_slice()));
                write_private(path, text.as_bytes()).map_err(error)?;
                Self::from_base64(&text.as_str().into())
            }
            Err(other) => Err(error(other)),
        }
    }

    /// Returns `secret` sealed for `place` (table, column and row).
    ///
    /// # Errors
    /// Fails only on a text of more than 256 GiB.
    pub fn seal(&self, place: &str, secret: &SecretString) -> Result<Vec<u8>, SealError> {
        let mut nonce = XNonce::default();
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload {
            msg: secret.expose_secret().as_bytes(),
            aad: place.as_bytes(),
        };
        let sealed = self
            .cipher
            .encrypt(&nonce, payload)
            .map_err(|_| SealError::Damaged)?;
        Ok([self.id.as_slice(), nonce.as_slice(), &sealed].concat())
    }

    /// Returns the secret that was sealed for `place`.
    ///
    /// # Errors
    /// Fails on another key, another place, or changed bytes.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<SecretString, SealError> {
        let (id, rest) = sealed.split_at_checked(KEY_ID).ok_or(SealError::Damaged)?;
        if id != self.id {
            return Err(SealError::OtherKey);
        }
        let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or(SealError::Damaged)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| SealError::Damaged)?;
        let payload = Payload {
            msg: sealed,
            aad: place.as_bytes(),
        };
        let opened = self
            .cipher
            .decrypt(&nonce, payload)
            .map_err(|_| SealError::Damaged)?;
        String::from_utf8(opened)
            .map(SecretString::from)
            .map_err(|_| SealError::Damaged)
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_base64(&STANDARD.encode([byte; 32]).into()).unwrap()
    }

    #[test]
    fn opens_only_with_its_key_in_its_place_unchanged() {
        let sealed = key(1)
            .seal("connections.token:7", &"glpat-x".into())
            .unwrap();
        assert!(!sealed.windows(5).any(|window| window == b"glpat"));
        let open = |key: &SealingKey, place, sealed: &[u8]| {
            key.open(place, sealed)
                .map(|secret| secret.expose_secret().to_owned())
        };
        assert_eq!(
            open(&key(1), "connections.token:7", &sealed).unwrap(),
            "glpat-x"
        );
        assert_eq!(
            open(&key(2), "connections.token:7", &sealed),
            Err(SealError::OtherKey)
        );
        assert_eq!(
            open(&key(1), "connections.token:8", &sealed),
            Err(SealError::Damaged)
        );
        for at in 4..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(
                open(&key(1), "connections.token:7", &changed),
                Err(SealError::Damaged)
            );
        }
        for length in 0..sealed.len() {
            assert!(open(&key(1), "connections.token:7", &sealed[..length]).is_err());
        }
    }

    #[test]
    fn makes_a_private_key_file_once() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config/secret.key");
        let first = SealingKey::load_or_create(&path).unwrap();
        let again = SealingKey::load_or_create(&path).unwrap();
        assert_eq!(first.id, again.id);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::write(&path, "not a key").unwrap();
        assert!(matches!(
            SealingKey::load_or_create(&path),
            Err(KeyError::Malformed)
        ));
    }
}

//! Sealed credentials, webhook signatures and token digests; plain bytes in, plain bytes out.

mod seal;
mod secret;
mod signature;

pub use seal::{KeyError, SealError, SealingKey};
pub use secret::{digest, fingerprint, random_code, random_salt, random_token, same_secret};
pub use signature::{SignatureError, SigningKey, TOLERANCE, check_time};

//! OpenID Connect: people sign in where they have an account already (authorization code with PKCE, state and nonce).

mod claims;
mod client;

pub use claims::{ClaimError, Claims};
pub use client::{OidcError, Provider};

//! How often somebody may try to sign in: per account, so that a password is not guessed, and per address, so that many are not.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::crypto::digest;

/// Attempts on one account that may come at once; after them one in [`PAUSE`].
const ACCOUNT_BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Attempts from one address that may come at once; an office has one address.
const ADDRESS_BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);
/// Pause until one more attempt on an account may come.
const PAUSE: Duration = Duration::from_secs(30);
/// Pause until one more attempt from an address may come.
const ADDRESS_PAUSE: Duration = Duration::from_secs(5);
/// Keys that are remembered before those that rested are forgotten.
const MANY: usize = 10_000;

/// Counts attempts.
#[derive(Debug, Clone)]
pub struct Attempts {
    accounts: Arc<DefaultKeyedRateLimiter<[u8; 32]>>,
    addresses: Arc<DefaultKeyedRateLimiter<IpAddr>>,
}

impl Default for Attempts {
    fn default() -> Self {
        let quota = |burst, pause| {
            Quota::with_period(pause)
                .unwrap_or(Quota::per_minute(burst))
                .allow_burst(burst)
        };
        Self {
            accounts: Arc::new(RateLimiter::keyed(quota(ACCOUNT_BURST, PAUSE))),
            addresses: Arc::new(RateLimiter::keyed(quota(ADDRESS_BURST, ADDRESS_PAUSE))),
        }
    }
}

impl Attempts {
    /// Returns whether one more attempt may be made; it is counted if so. An account counts whether it exists or not.
    pub fn may(&self, account: &str, address: Option<IpAddr>) -> bool {
        if self.accounts.len() > MANY {
            self.accounts.retain_recent();
        }
        let account = digest(account.trim().to_lowercase().as_bytes());
        self.may_from(address) && self.accounts.check_key(&account).is_ok()
    }

    /// Returns whether one more attempt may come from an address; it is counted if so.
    pub fn may_from(&self, address: Option<IpAddr>) -> bool {
        if self.addresses.len() > MANY {
            self.addresses.retain_recent();
        }
        address.is_none_or(|address| self.addresses.check_key(&network(address)).is_ok())
    }
}

/// Returns what counts as one address: with IPv6 the first half, all of which one customer of a provider has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << 64)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_addresses_have_limits_of_their_own() {
        let attempts = Attempts::default();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..ACCOUNT_BURST.get() {
            assert!(attempts.may("Ann", Some(address)));
        }
        assert!(!attempts.may(" ann ", Some(address)), "case is none");
        assert!(!attempts.may("ann", None), "from wherever");
        assert!(attempts.may("bob", Some(address)));
        let others = (0..).take_while(|n| attempts.may(&format!("user{n}"), Some(address)));
        assert!(others.count() < usize::try_from(ADDRESS_BURST.get()).unwrap());
        assert!(attempts.may("carol", "192.0.2.2".parse().ok()));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}

//! Accounts in a messenger are looked for a few at a time: each is a call.

use rand::seq::IteratorRandom;

/// Accounts that are looked for in one step.
const ASKED: usize = 20;

/// Returns a few of those whose accounts are looked for, others each time, so that those whom nobody finds keep nobody waiting for ever.
pub(super) fn a_few<T>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    all.into_iter().sample(&mut rand::rng(), ASKED)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn everybody_has_his_turn() {
        assert_eq!(a_few(0..3).len(), 3);
        assert_eq!(a_few(0..100).len(), ASKED);
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            seen.extend(a_few(0..100));
        }
        assert_eq!(seen.len(), 100);
    }
}

//! An item of ours and one of a portal's own CRM, kept equal: what both were when they were last compared tells who changed what.

use std::collections::BTreeSet;

/// Who observes an item and who is responsible, in the portal's ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    /// Who observes.
    pub observers: BTreeSet<String>,
    /// Who is responsible, where that is somebody.
    pub responsible: Option<String>,
}

/// What has to be done so that both are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Equalized {
    /// Who begins to observe here.
    pub add: BTreeSet<String>,
    /// Who ends to observe here.
    pub remove: BTreeSet<String>,
    /// Who becomes responsible here.
    pub responsible: Option<String>,
    /// The portal's whole list, where that has to be another one.
    pub their_observers: Option<BTreeSet<String>>,
    /// Who becomes responsible there.
    pub their_responsible: Option<String>,
}

impl Equalized {
    /// Returns whether both are equal already, as far as they can be.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the portal has to be changed.
    pub fn changes_theirs(&self) -> bool {
        self.their_observers.is_some() || self.their_responsible.is_some()
    }
}

/// Compares an item of ours with one of a portal's, both with what they had when they were last compared.
///
/// A change of either side is kept: who was added to one is added to the other, who was removed from one is removed from the other. Where
/// both name another responsible person, ours counts. Users of the portal whom nobody here is (`is_known`) are left as the portal has
/// them. Doing it again with what came of it changes nothing, so an event may come twice, late or never.
///
/// The portal makes whoever is responsible an observer of the chat's sake, and we do not: he is no difference on either side.
pub fn equalize(
    seen: &Side,
    ours: &Side,
    theirs: &Side,
    is_known: impl Fn(&str) -> bool,
) -> Equalized {
    let responsible = responsible(seen, ours, theirs, &is_known);
    let leads = |user: &String| Some(user) == responsible.as_ref();
    let all = seen.observers.iter().chain(&ours.observers);
    let all: BTreeSet<&String> = all.chain(&theirs.observers).collect();
    let (mut add, mut remove) = (BTreeSet::new(), BTreeSet::new());
    let mut whole = theirs.observers.clone();
    for user in all {
        let here = ours.observers.contains(user);
        let there = theirs.observers.contains(user);
        if !is_known(user) || leads(user) || here == there {
            continue;
        }
        let was = seen.observers.contains(user);
        // Only one side has him: if he was there before, the other one removed him, and else this one added him.
        match (here, was) {
            (true, false) => drop(whole.insert(user.clone())),
            (true, true) => drop(remove.insert(user.clone())),
            (false, false) => drop(add.insert(user.clone())),
            (false, true) => drop(whole.remove(user)),
        }
    }
    let differs = |side: &Side| side.responsible != responsible && responsible.is_some();
    Equalized {
        add,
        remove,
        their_observers: (whole != theirs.observers).then_some(whole),
        their_responsible: responsible.clone().filter(|_| differs(theirs)),
        responsible: responsible.clone().filter(|_| differs(ours)),
    }
}

/// Returns who should be responsible on both sides, or none where nobody knows.
fn responsible(
    seen: &Side,
    ours: &Side,
    theirs: &Side,
    is_known: &impl Fn(&str) -> bool,
) -> Option<String> {
    let theirs = theirs.responsible.clone().filter(|user| is_known(user));
    match (&ours.responsible, theirs) {
        (Some(here), Some(there)) if *here != there && seen.responsible.as_ref() == Some(here) => {
            Some(there)
        }
        (Some(here), _) => Some(here.clone()),
        (None, there) => there,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn side(observers: &str, responsible: &str) -> Side {
        Side {
            observers: observers.chars().map(String::from).collect(),
            responsible: responsible.chars().next().map(String::from),
        }
    }

    fn set(users: &str) -> BTreeSet<String> {
        users.chars().map(String::from).collect()
    }

    fn known(user: &str) -> bool {
        user != "x"
    }

    #[test]
    fn changes_of_both_sides_are_kept() {
        for (seen, ours, theirs, add, remove, whole) in [
            ("ab", "ab", "ab", "", "", None),
            // Added on one side.
            ("a", "ab", "a", "", "", Some("ab")),
            ("a", "a", "ab", "b", "", None),
            // Removed on one side.
            ("ab", "a", "ab", "", "", Some("a")),
            ("ab", "ab", "a", "", "b", None),
            // Both at once, in one exchange.
            ("ab", "ac", "bd", "d", "a", Some("cd")),
            ("", "a", "a", "", "", None),
            ("a", "", "", "", "", None),
            // The first comparison makes one list of two.
            ("", "a", "b", "b", "", Some("ab")),
            // Whom nobody here is stays as the portal has him.
            ("x", "", "x", "", "", None),
            ("", "", "x", "", "", None),
            ("x", "a", "x", "", "", Some("ax")),
            // The last one goes.
            ("a", "", "a", "", "", Some("")),
        ] {
            let side = |observers| side(observers, "r");
            let equalized = equalize(&side(seen), &side(ours), &side(theirs), known);
            let expected = Equalized {
                add: set(add),
                remove: set(remove),
                their_observers: whole.map(set),
                ..Equalized::default()
            };
            assert_eq!(equalized, expected, "{seen} {ours} {theirs}");
        }
    }

    #[test]
    fn the_responsible_follows_who_changed_him() {
        for (seen, ours, theirs, here, there) in [
            ("r", "r", "r", None, None),
            ("r", "s", "r", None, Some("s")),
            ("r", "r", "s", Some("s"), None),
            // Both: ours counts.
            ("r", "s", "t", None, Some("s")),
            ("", "s", "t", None, Some("s")),
            ("", "", "t", Some("t"), None),
            ("r", "", "r", Some("r"), None),
            ("", "s", "", None, Some("s")),
            // Somebody whom nobody here is.
            ("r", "r", "x", None, Some("r")),
            ("", "", "x", None, None),
        ] {
            let side = |responsible| side("", responsible);
            let equalized = equalize(&side(seen), &side(ours), &side(theirs), known);
            let text = |user: Option<&str>| user.map(str::to_owned);
            assert_eq!(equalized.responsible, text(here), "{seen} {ours} {theirs}");
            assert_eq!(
                equalized.their_responsible,
                text(there),
                "{seen} {ours} {theirs}"
            );
        }
    }

    #[test]
    fn whoever_is_responsible_is_no_difference() {
        // As the portal does it: the responsible entered the chat and so became an observer.
        let equalized = equalize(&side("a", "r"), &side("a", "r"), &side("ar", "r"), known);
        assert!(equalized.is_nothing(), "{equalized:?}");
        // And he stays in the list when it is written.
        let equalized = equalize(&side("a", "r"), &side("ab", "r"), &side("ar", "r"), known);
        assert_eq!(equalized.their_observers, Some(set("abr")));
    }

    /// What both are after it was done.
    fn done(ours: &Side, theirs: &Side, equalized: &Equalized) -> (Side, Side) {
        let mut ours = ours.clone();
        ours.observers.extend(equalized.add.iter().cloned());
        ours.observers
            .retain(|user| !equalized.remove.contains(user));
        let here = equalized.responsible.clone();
        ours.responsible = here.or(ours.responsible);
        let mut theirs = theirs.clone();
        let whole = equalized.their_observers.clone();
        theirs.observers = whole.unwrap_or(theirs.observers);
        let there = equalized.their_responsible.clone();
        theirs.responsible = there.or(theirs.responsible);
        (ours, theirs)
    }

    fn any_side() -> impl Strategy<Value = Side> {
        let users = proptest::collection::btree_set("[a-e]", 0..5);
        (users, proptest::option::of("[a-e]")).prop_map(|(observers, responsible)| Side {
            observers,
            responsible,
        })
    }

    proptest! {
        #[test]
        fn both_are_equal_afterwards_and_stay_so(seen in any_side(), ours in any_side(), theirs in any_side()) {
            let equalized = equalize(&seen, &ours, &theirs, |_| true);
            let (ours, theirs) = done(&ours, &theirs, &equalized);
            prop_assert_eq!(&ours.responsible, &theirs.responsible);
            let led = ours.responsible.clone();
            let without = |side: &Side| -> BTreeSet<String> {
                side.observers.iter().filter(|user| Some(*user) != led.as_ref()).cloned().collect()
            };
            prop_assert_eq!(without(&ours), without(&theirs));
            // An echo, with what was seen before or after.
            for before in [&seen, &theirs, &ours] {
                let echo = equalize(before, &ours, &theirs, |_| true);
                prop_assert!(echo.is_nothing(), "{echo:?}");
            }
        }
    }
}

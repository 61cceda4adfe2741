//! Relations that nobody commands: those that move with an issue, and those that follow from addresses.
//!
//! Both follow from how things stand and not from what was told last, so deciding again on what was decided changes nothing.

use crate::domain::ItemId;

/// Addresses of one issue that are looked at; the rest is left out and said so.
pub const MAX_ADDRESSES: usize = 100;

/// How a contact stands towards an issue, and towards another one that was moved there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The contact.
    pub contact: ItemId,
    /// Whether it is related to the issue that was moved.
    pub on_old: bool,
    /// Whether it is related to the issue.
    pub on_new: bool,
    /// Whether the last person who decided about it, on the issue or on one that became it, removed it.
    pub removed_by_hand: bool,
}

/// Where a moved issue's contacts are kept now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// In the same group.
    SameHolder,
    /// In another group, which may be another tenant's.
    OtherHolder,
}

/// What a move does to relations.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Carried {
    /// Contacts that leave the old issue: all that it has.
    pub leave: Vec<ItemId>,
    /// Those of them that come to the new one.
    pub arrive: Vec<ItemId>,
    /// Contacts that leave the new one: they were related by themselves before it was known what a person decided on the old one.
    pub dropped: Vec<ItemId>,
}

impl Carried {
    /// Returns whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.leave.is_empty() && self.arrive.is_empty() && self.dropped.is_empty()
    }
}

/// Decides which relations of a moved issue go along.
pub fn carry(standings: &[Standing], destination: Destination) -> Carried {
    let those = |chosen: fn(&Standing) -> bool| -> Vec<ItemId> {
        let chosen = standings.iter().filter(|standing| chosen(standing));
        chosen.map(|standing| standing.contact).collect()
    };
    let leave = those(|standing| standing.on_old);
    match destination {
        Destination::OtherHolder => Carried {
            leave,
            ..Carried::default()
        },
        Destination::SameHolder => Carried {
            leave,
            arrive: those(|standing| {
                standing.on_old && !standing.on_new && !standing.removed_by_hand
            }),
            dropped: those(|standing| standing.on_new && standing.removed_by_hand),
        },
    }
}

/// Decides which contacts, whose addresses an issue shows, are related to it: not those that a person removed.
pub fn relate(standings: &[Standing]) -> Vec<ItemId> {
    standings
        .iter()
        .filter(|standing| !standing.on_new && !standing.removed_by_hand)
        .map(|standing| standing.contact)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(contact: i64, [on_old, on_new, removed_by_hand]: [bool; 3]) -> Standing {
        Standing {
            contact: ItemId(contact),
            on_old,
            on_new,
            removed_by_hand,
        }
    }

    /// Every way in which a contact can stand: its number tells which.
    fn all() -> Vec<Standing> {
        let bits = |number: i64| [number & 1 != 0, number & 2 != 0, number & 4 != 0];
        (0..8)
            .map(|number| standing(number, bits(number)))
            .collect()
    }

    fn ids(ids: &[i64]) -> Vec<ItemId> {
        ids.iter().copied().map(ItemId).collect()
    }

    #[test]
    fn what_is_on_the_old_issue_leaves_it_and_arrives_unless_a_person_removed_it() {
        let carried = carry(&all(), Destination::SameHolder);
        assert_eq!(carried.leave, ids(&[1, 3, 5, 7]));
        assert_eq!(carried.arrive, ids(&[1]));
        assert_eq!(carried.dropped, ids(&[6, 7]));
    }

    #[test]
    fn nothing_arrives_where_other_contacts_are_kept() {
        let carried = carry(&all(), Destination::OtherHolder);
        assert_eq!(carried.leave, ids(&[1, 3, 5, 7]));
        assert_eq!((carried.arrive, carried.dropped), (ids(&[]), ids(&[])));
    }

    #[test]
    fn what_is_there_or_was_removed_by_hand_is_not_related_by_itself() {
        assert_eq!(relate(&all()), ids(&[0, 1]));
    }

    #[test]
    fn deciding_again_changes_nothing() {
        for destination in [Destination::SameHolder, Destination::OtherHolder] {
            let carried = carry(&all(), destination);
            let after: Vec<Standing> = all()
                .into_iter()
                .map(|before| Standing {
                    on_old: before.on_old && !carried.leave.contains(&before.contact),
                    on_new: (before.on_new || carried.arrive.contains(&before.contact))
                        && !carried.dropped.contains(&before.contact),
                    ..before
                })
                .collect();
            assert!(carry(&after, destination).is_empty(), "{destination:?}");
        }
    }
}

//! What holds for every sequence of changes here and in the messenger, whatever of it is told, how often and when.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::{
    domain::{ItemId, ItemKind, PersonId},
    rules::{
        Added, Inviter, Newcomer, ObserverChange, Policies, Responsible, Watched, Watching, put_in,
    },
};

/// People, each with an account of the same number.
const PEOPLE: usize = 6;

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    /// Added on a page or by a command.
    Add(usize),
    /// Removed there.
    Remove(usize),
    /// The list is saved.
    Save(Vec<usize>),
    /// Made responsible.
    Reassign(usize),
    /// Added in the messenger, by somebody who may add observers or not.
    Invite { who: usize, may: bool },
    /// Left, or was removed there.
    Leave(usize),
    /// An event arrives, is a repeat of an old one, or overtook others: the chat is looked at. The process dies after so many calls.
    Look { calls: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || 0..PEOPLE;
    let step = prop_oneof![
        3 => who().prop_map(Step::Add),
        3 => who().prop_map(Step::Remove),
        1 => prop::collection::vec(0..PEOPLE, 0..PEOPLE).prop_map(Step::Save),
        2 => who().prop_map(Step::Reassign),
        3 => (who(), any::<bool>()).prop_map(|(who, may)| Step::Invite { who, may }),
        4 => who().prop_map(Step::Leave),
        4 => (0..4_usize).prop_map(|calls| Step::Look { calls }),
    ];
    prop::collection::vec(step, 0..40)
}

/// The database, and a messenger that does as it is told.
struct World {
    list: Watched,
    seen: Vec<SeenMember>,
    room: BTreeMap<String, bool>,
    /// Whether he may add observers who added them.
    may: BTreeMap<String, bool>,
    /// Those who were seen there and left since, with nothing else having happened to them.
    left: BTreeSet<usize>,
}

fn at() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

fn person(number: usize) -> PersonId {
    PersonId(i64::try_from(number).unwrap())
}

fn user(person: PersonId) -> String {
    format!("user-{person}")
}

impl World {
    fn new() -> Self {
        Self {
            list: Watched {
                item: ItemId(1),
                kind: ItemKind::Contact,
                observable: true,
                responsible: None,
                observers: Vec::new(),
                hidden_before: Vec::new(),
                chat: None,
                hides_history: Some(false),
            },
            seen: Vec::new(),
            room: BTreeMap::from([("bot".to_owned(), false)]),
            may: BTreeMap::new(),
            left: BTreeSet::new(),
        }
    }

    /// Stores what was decided, as the store does.
    fn store(&mut self, watching: &Watching) {
        let wanted = put_in(&watching.changes).into_iter();
        let wanted = wanted.map(|(_, person)| person);
        for wanted in wanted.chain(watching.again.iter().copied()) {
            self.seen.retain(|one| one.user != user(wanted));
        }
        for change in &watching.changes {
            match *change {
                ObserverChange::Added(_, new) => self.list.observers.push(new),
                ObserverChange::Removed(_, old) => {
                    self.list.observers.retain(|one| one.person != old.person);
                }
                ObserverChange::Changed { after, .. } => {
                    let known = self.list.observers.iter_mut();
                    let same = known.into_iter().find(|one| one.person == after.person);
                    *same.unwrap() = after;
                }
                ObserverChange::Responsible { after, .. } => self.list.responsible = after,
                ObserverChange::Requested { .. } => {}
            }
        }
    }

    fn how(by: usize) -> Added {
        Added {
            by: Some(person(by)),
            at: at(),
            in_chat: true,
            history: None,
        }
    }

    fn happen(&mut self, step: &Step) {
        match step {
            Step::Add(who) | Step::Reassign(who) | Step::Invite { who, .. } => {
                self.left.remove(who);
            }
            Step::Save(list) => self.left.retain(|who| !list.contains(who)),
            Step::Remove(_) | Step::Leave(_) | Step::Look { .. } => {}
        }
        let policies = Policies::default();
        let decided = match step {
            Step::Add(who) => self.list.add(&[person(*who)], Self::how(0)),
            Step::Remove(who) => self.list.remove(&[person(*who)], None),
            Step::Save(list) => {
                let list: Vec<PersonId> = list.iter().map(|who| person(*who)).collect();
                self.list.save(&list, Self::how(0))
            }
            Step::Reassign(who) => {
                Ok(self
                    .list
                    .reassign(Some(person(*who)), (None, at()), policies))
            }
            Step::Invite { who, may } => {
                let user = user(person(*who));
                if !self.room.contains_key(&user) {
                    self.room.insert(user.clone(), false);
                    self.may.insert(user, *may);
                }
                return;
            }
            Step::Leave(who) => {
                let user = user(person(*who));
                let was_there = self.room.remove(&user).is_some();
                // Whoever is wanted on purpose and was not seen there yet is put in, should he have been there for a moment.
                if was_there && self.seen.iter().any(|one| one.user == user) {
                    self.left.insert(*who);
                }
                return;
            }
            Step::Look { calls } => {
                self.look(*calls);
                return;
            }
        };
        self.store(&decided.unwrap());
    }

    fn wanted(&self) -> Vec<WantedMember> {
        let responsible = self.list.responsible.filter(|one| one.in_chat);
        let observers = self.list.observers.iter().filter(|one| one.in_chat);
        let leader = responsible.map(|one| one.person);
        let people: BTreeSet<PersonId> = leader
            .into_iter()
            .chain(observers.map(|one| one.person))
            .collect();
        people
            .into_iter()
            .map(|person| WantedMember {
                user: user(person),
                show_history: true,
                leads: leader == Some(person),
            })
            .collect()
    }

    /// Looks at the chat as a worker does, which dies after so many calls. Returns whether there was anything to do.
    fn look(&mut self, mut calls: usize) -> bool {
        let there: Vec<Present> = self
            .room
            .iter()
            .map(|(user, leads)| Present {
                user: user.clone(),
                leads: *leads,
            })
            .collect();
        let seen = self.seen.clone();
        let compared = Compared {
            bot: "bot",
            seen: &seen,
            there: &there,
        };
        let comings = compared.comings();
        let list_before = (self.list.observers.clone(), self.list.responsible);
        for number in 0..PEOPLE {
            let person = person(number);
            if comings.left.contains(&user(person)) {
                let watching = self.list.left(person, Policies::default());
                self.store(&watching);
            }
            if comings.came.contains(&user(person)) {
                let newcomer = Newcomer {
                    person,
                    is_employee: true,
                    shows_history: true,
                };
                let may = self.may.get(&user(person)).copied().unwrap_or_default();
                let inviter = Inviter {
                    person: PersonId(99),
                    may_read: may,
                    may_edit: may,
                };
                let how = (Policies::default(), at());
                let watching = self.list.joined(newcomer, Some(inviter), how);
                self.store(&watching);
            }
        }
        let orders = compared.orders(&self.wanted());
        let is_settled = orders.add.is_empty()
            && orders.remove.is_empty()
            && orders.lead.is_none()
            && list_before == (self.list.observers.clone(), self.list.responsible);
        self.seen = orders.seen;
        let mut call = || {
            let alive = calls > 0;
            calls = calls.saturating_sub(1);
            alive
        };
        for user in orders.remove {
            if !call() {
                return !is_settled;
            }
            self.room.remove(&user);
            self.seen.retain(|one| one.user != user);
        }
        for one in orders.add {
            if !call() {
                return !is_settled;
            }
            self.room.insert(one.user.clone(), false);
            self.seen.push(SeenMember {
                user: one.user,
                standing: MemberStanding::Wanted,
            });
        }
        if let Some(lead) = orders.lead
            && call()
        {
            for (user, leads) in &mut self.room {
                *leads = *user == lead;
            }
        }
        !is_settled
    }

    fn is_in(&self, number: usize) -> bool {
        self.room.contains_key(&user(person(number)))
    }

    fn observes(&self, number: usize) -> bool {
        self.list.observer(person(number)).is_some()
    }
}

/// The table of observers and chats, told of what happens at once: who observes, who is responsible, and whether he is in the chat.
#[derive(Default)]
struct Table {
    observers: BTreeMap<usize, bool>,
    responsible: Option<(usize, bool)>,
    guests: BTreeSet<usize>,
}

impl Table {
    fn happen(&mut self, step: &Step) {
        match step {
            // Rows 3 and 7.
            Step::Add(who) => self.add(*who),
            // Row 4.
            Step::Remove(who) => {
                self.observers.remove(who);
            }
            // Row 8.
            Step::Save(list) => {
                self.observers.retain(|who, _| list.contains(who));
                for who in list {
                    if !self.observers.contains_key(who) {
                        self.add(*who);
                    }
                }
            }
            // Row 9.
            Step::Reassign(who) => {
                if let Some((before, is_in)) = self.responsible.filter(|(now, _)| now != who) {
                    self.observers.entry(before).or_insert(is_in);
                }
                if self.responsible.is_none_or(|(now, _)| now != *who) {
                    self.responsible = Some((*who, true));
                    self.guests.remove(who);
                }
            }
            // Row 5.
            Step::Invite { who, .. } if self.is_in(*who) => {}
            Step::Invite { who, may } => {
                let responsible = self.responsible.filter(|(now, _)| now == who);
                if responsible.is_some() {
                    self.responsible = Some((*who, true));
                } else if *may || self.observers.contains_key(who) {
                    self.observers.insert(*who, true);
                } else {
                    self.guests.insert(*who);
                }
            }
            // Row 6.
            Step::Leave(who) => {
                self.guests.remove(who);
                if !self.is_in(*who) {
                    return;
                }
                if let Some(is_in) = self.observers.get_mut(who) {
                    *is_in = false;
                }
                self.responsible = self
                    .responsible
                    .map(|(now, is_in)| (now, is_in && now != *who));
            }
            Step::Look { .. } => {}
        }
    }

    fn add(&mut self, who: usize) {
        self.guests.remove(&who);
        self.observers.insert(who, true);
        let responsible = self.responsible;
        self.responsible = responsible.map(|(now, is_in)| (now, is_in || now == who));
    }

    fn is_in(&self, who: usize) -> bool {
        self.guests.contains(&who)
            || self.observers.get(&who).copied().unwrap_or_default()
            || self.responsible == Some((who, true))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Where every change is looked at, though workers die in between, everything is as the table says.
    #[test]
    fn what_is_looked_at_is_as_the_table_says(steps in steps()) {
        let mut world = World::new();
        let mut table = Table::default();
        for step in &steps {
            world.happen(step);
            table.happen(step);
            while world.look(usize::MAX) {}
            for who in 0..PEOPLE {
                prop_assert_eq!(world.observes(who), table.observers.contains_key(&who), "{} after {:?}", who, step);
                prop_assert_eq!(world.is_in(who), table.is_in(who), "{} after {:?}", who, step);
            }
            let lead = world.list.responsible.filter(|one| one.in_chat).map(|one| user(one.person));
            let leads: Vec<String> = world.room.iter().filter(|(_, leads)| **leads).map(|(user, _)| user.clone()).collect();
            if let Some(lead) = lead {
                prop_assert_eq!(leads, [lead]);
            }
        }
    }

    /// Where events are lost, repeated and late, a look in the end puts everybody where his last change wants him, and a second one
    /// finds nothing to do.
    #[test]
    fn losses_end_with_a_look(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.happen(step);
        }
        world.look(usize::MAX);
        // Who is responsible and observes as well may come back as both.
        world.look(usize::MAX);
        prop_assert!(!world.look(usize::MAX), "a settled chat is left alone");
        prop_assert!(world.room.contains_key("bot"));
        let wanted: BTreeSet<String> = world.wanted().into_iter().map(|one| one.user).collect();
        for one in &wanted {
            prop_assert!(world.room.contains_key(one), "{} is missing", one);
        }
        for one in world.seen.iter().filter(|one| !wanted.contains(&one.user)) {
            prop_assert_eq!(one.standing, MemberStanding::Guest, "{} was not put out", &one.user);
        }
        for who in 0..PEOPLE {
            last_change_counts(&world, &steps, who)?;
        }
        for who in &world.left {
            prop_assert!(!world.is_in(*who), "{} left and was put back", who);
        }
    }
}

/// Holds that somebody is where the last thing that happened to him by itself puts him.
fn last_change_counts(world: &World, steps: &[Step], who: usize) -> Result<(), TestCaseError> {
    let concerns = |step: &&Step| match step {
        Step::Add(one) | Step::Remove(one) | Step::Leave(one) | Step::Invite { who: one, .. } => {
            *one == who
        }
        // These concern several.
        Step::Save(_) | Step::Reassign(_) => true,
        Step::Look { .. } => false,
    };
    match steps.iter().rfind(concerns) {
        Some(Step::Add(_)) => {
            prop_assert!(
                world.observes(who) && world.is_in(who),
                "{} was added last",
                who
            );
        }
        Some(Step::Reassign(one)) if *one == who => {
            let responsible = world.list.responsible;
            let is_it =
                matches!(responsible, Some(Responsible { person: now, .. }) if now == person(who));
            prop_assert!(is_it, "{} was made responsible last", who);
        }
        _ => {}
    }
    Ok(())
}

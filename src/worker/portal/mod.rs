//! Items of a portal's own CRM are kept equal with ours: an event of either side, and now and then a look at all, end in one comparison.
//!
//! What both were when they were last compared is what the portal was read to be, and never what it should become: whatever is lost between
//! two steps is then done at the next look.

mod watch;

pub(super) use watch::have_equalized;
pub use watch::keep_equal;

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;

use super::{Remote, Worker, strangers::a_few, trouble::Trouble};
use crate::{
    connector::{
        bitrix24::{self, PortalItem, PortalWrite},
        messenger::{Calls, Messenger},
    },
    domain::{ItemId, OperationId, PersonId, Queue, RootId, Via},
    queue::{self, NewEffect, Signal},
    rules::{
        Added, Equalized, Following, ObserverChange, Policies, Refused, Side, Watching, equalize,
        follow_ups,
    },
    store::{
        StoreError, identity,
        observer::{self, Seen},
        operation::Act,
        policy,
        portal::{self, Compared, Link},
        room::{self, Subject},
    },
};

/// One comparison.
pub(super) struct Equalizing<'a> {
    pub(super) worker: &'a Worker,
    pub(super) remote: &'a Remote<Messenger>,
    pub(super) root: RootId,
    pub(super) item: ItemId,
}

/// What changes about who watches our item.
struct Decided {
    watching: Watching,
    /// Whether it has to be compared again, since more changes than the portal asked for.
    again: bool,
    /// Why something does not change.
    problem: Option<String>,
}

/// Whose accounts the users of a portal are.
type Accounts = HashMap<String, PersonId>;

impl Equalizing<'_> {
    /// Compares the item with the portal's, takes over what changed there, and writes there what changed here.
    pub(super) async fn run(&self) -> Result<&'static str, Trouble> {
        let Messenger::Bitrix24(client) = &self.remote.client else {
            return Err(Trouble::Hopeless("only Bitrix24 has items".to_owned()));
        };
        let mut connection = self.worker.pool.acquire().await?;
        let link = portal::find(&mut connection, self.root, self.item).await?;
        let subject = room::subject(&mut connection, self.root, self.item).await?;
        drop(connection);
        let (Some(link), Some(subject)) = (link, subject) else {
            return Ok("the items are not linked any more");
        };
        let theirs = match client
            .portal_item(link.entity_type, &link.remote_id)
            .await?
        {
            Ok(Some(theirs)) => theirs,
            Ok(None) => return self.give_up("the portal has no such item any more").await,
            Err(refusal) => return self.give_up(&refusal.to_string()).await,
        };
        self.introduce(client, &theirs).await?;
        let Some((equalized, accounts)) = self.take_over(&link, &subject, &theirs).await? else {
            return Ok("the items are not linked any more");
        };
        if !equalized.changes_theirs() {
            return Ok("both items are equal");
        }
        self.write(client, &link, (&theirs, &equalized, &accounts))
            .await
    }

    async fn give_up(&self, problem: &str) -> Result<&'static str, Trouble> {
        let mut connection = self.worker.pool.acquire().await?;
        portal::set_problem(&mut connection, (self.root, self.item), problem).await?;
        Ok("the portal does not show the item")
    }

    /// Gives people the accounts whose addresses the portal vouches for: ours whom it has to know, and its users whom nobody here is yet.
    async fn introduce(
        &self,
        client: &bitrix24::Client,
        theirs: &PortalItem,
    ) -> Result<(), Trouble> {
        let mut connection = self.worker.pool.acquire().await?;
        let observers = observer::of_items(&mut connection, self.root, &[self.item.0]).await?;
        let observers = observers.into_values().flatten();
        let people: Vec<PersonId> = observers.map(|observer| observer.person).collect();
        let here = (self.root, self.item);
        let ours = portal::strangers(&mut connection, self.remote.id, here, &people).await?;
        let users: Vec<String> = users_of(theirs).into_iter().collect();
        let known = room::accounts(&mut connection, self.remote.id, &users).await?;
        drop(connection);
        for (person, email) in a_few(&ours) {
            if let Some(user) = client.user_by_email(email).await? {
                let mut connection = self.worker.pool.acquire().await?;
                let account = (self.remote.id, user.as_str(), user.as_str());
                identity::link(&mut connection, *person, account).await?;
            }
        }
        let unknown = users.iter().filter(|user| !known.contains_key(*user));
        for user in a_few(unknown) {
            let facts = client.user(user).await?;
            let Some(email) = facts.and_then(|facts| facts.email) else {
                continue;
            };
            let mut connection = self.worker.pool.acquire().await?;
            if let Some(person) = identity::by_email(&mut connection, &email).await? {
                let account = (self.remote.id, user.as_str(), user.as_str());
                identity::link(&mut connection, person, account).await?;
            }
        }
        Ok(())
    }

    /// Decides under a lock, and changes ours, in one transaction. Returns what the portal has to be told, with whose accounts its users are.
    async fn take_over(
        &self,
        link: &Link,
        subject: &Subject,
        theirs: &PortalItem,
    ) -> Result<Option<(Equalized, Accounts)>, Trouble> {
        let mut tx = self.worker.pool.begin().await?;
        let locked = observer::lock(&mut tx, self.root, &[self.item.0], None).await?;
        let Some(seen) = locked.first() else {
            return Ok(None);
        };
        let (ours, accounts) = self.sides(&mut tx, seen, theirs).await?;
        let there = canonical(theirs, &accounts);
        let equalized = equalize(&link.seen, &ours, &there, |user| {
            accounts.contains_key(user)
        });
        let policy = policy::of_group(&mut tx, self.root, subject.group).await?;
        let decided = self.decide(seen, policy.policies, (&equalized, &accounts));
        self.change_ours(&mut tx, (subject, seen), &decided.watching)
            .await?;
        let compared = Compared {
            seen: &there,
            problem: decided.problem.as_deref(),
            again: decided.again,
        };
        portal::remember(&mut tx, (self.root, self.item), &compared).await?;
        tx.commit().await?;
        let wake = &self.worker.wake;
        wake.announce(Signal::Work(Queue::Call, self.remote.id));
        if !decided.watching.changes.is_empty() {
            wake.announce(Signal::Customers(subject.group));
        }
        Ok(Some((equalized, accounts)))
    }

    /// Returns our side in the portal's ids, and whose accounts its users are.
    async fn sides(
        &self,
        connection: &mut PgConnection,
        seen: &Seen,
        theirs: &PortalItem,
    ) -> Result<(Side, Accounts), StoreError> {
        let watched = &seen.watched;
        let observers = watched.observers.iter().map(|observer| observer.person);
        let responsible = watched.responsible.map(|responsible| responsible.person);
        let people: Vec<PersonId> = observers.clone().chain(responsible).collect();
        let users = portal::users(connection, self.remote.id, &people).await?;
        let ours = Side {
            observers: observers
                .filter_map(|one| users.get(&one).cloned())
                .collect(),
            responsible: responsible.and_then(|one| users.get(&one).cloned()),
        };
        let mut all = users_of(theirs);
        all.extend(users.values().cloned());
        let all: Vec<String> = all.into_iter().collect();
        let accounts = room::accounts(connection, self.remote.id, &all).await?;
        let people = accounts
            .into_iter()
            .filter(|(_, account)| account.active && !account.is_bot)
            .map(|(user, account)| (user, account.person));
        Ok((ours, people.collect()))
    }

    /// Decides what changes about who watches our item.
    fn decide(
        &self,
        seen: &Seen,
        policies: Policies,
        (equalized, accounts): (&Equalized, &Accounts),
    ) -> Decided {
        let now = self.worker.clock.now();
        let watched = &seen.watched;
        let person = |user: &String| accounts.get(user).copied();
        let watching = match equalized.responsible.as_ref().and_then(person) {
            Some(to) => watched.reassign(Some(to), (None, now), policies),
            None => Watching::default(),
        };
        let settled: BTreeSet<PersonId> = watching.changes.iter().filter_map(observing).collect();
        let mut decided = Decided {
            // The one before observes on, or goes: that is news for the portal.
            again: !settled.is_empty(),
            watching,
            problem: None,
        };
        let named = |users: &BTreeSet<String>| -> Vec<PersonId> {
            let people = users.iter().filter_map(person);
            people.filter(|person| !settled.contains(person)).collect()
        };
        let how = Added {
            by: None,
            at: now,
            in_chat: true,
            history: None,
        };
        for decision in [
            watched.add(&named(&equalized.add), how),
            watched.remove(&named(&equalized.remove), None),
        ] {
            match decision {
                Ok(more) => decided.watching.extend(more),
                Err(refused) => decided.problem = Some(reason(refused)),
            }
        }
        decided
    }

    /// Changes who watches our item, with what follows from it.
    async fn change_ours(
        &self,
        connection: &mut PgConnection,
        (subject, seen): (&Subject, &Seen),
        watching: &Watching,
    ) -> Result<(), Trouble> {
        if watching.changes.is_empty() {
            return Ok(());
        }
        let now = self.worker.clock.now();
        let act = Act {
            root: self.root,
            group: subject.group,
            operation: OperationId(self.worker.clock.id()),
            actor: None,
            via: Via::Chat,
            at: now,
            undoes: None,
            command: None,
        };
        observer::apply(connection, &act, &watching.changes).await?;
        let mut following = Following::default();
        following.add(self.item, seen.chat(), watching);
        let people = following.people();
        let reachable = policy::reachable(connection, self.remote.id, &people).await?;
        let what = (act.actor, act.via, act.operation);
        let clock = &*self.worker.clock;
        let effects: Vec<NewEffect> = follow_ups(&following, &reachable, what)
            .into_iter()
            .map(|follow_up| NewEffect::following(follow_up, None, clock))
            .collect();
        if !effects.is_empty() {
            queue::enqueue(connection, self.root, effects, now, self.worker.lease).await?;
        }
        Ok(())
    }

    /// Writes the portal's item, and remembers it as it is read back.
    async fn write(
        &self,
        client: &bitrix24::Client,
        link: &Link,
        (theirs, equalized, accounts): (&PortalItem, &Equalized, &Accounts),
    ) -> Result<&'static str, Trouble> {
        let observers = equalized
            .their_observers
            .as_ref()
            .map(|wanted| whole_list(theirs, wanted, accounts));
        let write = PortalWrite {
            observers,
            responsible: equalized.their_responsible.clone(),
        };
        let written = client
            .write_portal_item(link.entity_type, &link.remote_id, &write)
            .await?;
        let written = match written {
            Ok(Some(written)) => written,
            Ok(None) => return self.give_up("the portal has no such item any more").await,
            Err(refusal) => return self.give_up(&refusal.to_string()).await,
        };
        let is_so = is_written(&write, &written);
        let problem = (!is_so).then_some("the portal did not take everything that was written");
        let there = canonical(&written, accounts);
        let mut connection = self.worker.pool.acquire().await?;
        portal::remember_written(&mut connection, (self.root, self.item), &there, problem).await?;
        Ok(if is_so {
            "the portal's item was changed"
        } else {
            "the portal's item was changed in part"
        })
    }
}

fn users_of(item: &PortalItem) -> BTreeSet<String> {
    let users = item.observers.iter().chain(&item.responsible);
    users.cloned().collect()
}

/// Returns the id that counts for a user: of several accounts of one person the first.
fn counting(user: &String, accounts: &Accounts) -> String {
    let Some(person) = accounts.get(user) else {
        return user.clone();
    };
    let same = accounts.iter().filter(|(_, other)| *other == person);
    same.map(|(user, _)| user).min().unwrap_or(user).clone()
}

/// Returns the portal's side with one id for each person, the one that ours has.
fn canonical(item: &PortalItem, accounts: &Accounts) -> Side {
    let observers = item.observers.iter();
    let responsible = item.responsible.as_ref();
    Side {
        observers: observers.map(|user| counting(user, accounts)).collect(),
        responsible: responsible.map(|user| counting(user, accounts)),
    }
}

/// Returns the portal's whole list as it is to be, in the order that it has.
fn whole_list(theirs: &PortalItem, wanted: &BTreeSet<String>, accounts: &Accounts) -> Vec<String> {
    let kept = theirs.observers.iter();
    let mut list: Vec<String> = kept
        .filter(|user| wanted.contains(&counting(user, accounts)))
        .cloned()
        .collect();
    let there: BTreeSet<String> = list.iter().map(|user| counting(user, accounts)).collect();
    list.extend(wanted.difference(&there).cloned());
    list
}

fn is_written(write: &PortalWrite, written: &PortalItem) -> bool {
    let set = |users: &[String]| users.iter().cloned().collect::<BTreeSet<_>>();
    let observers = write.observers.as_ref();
    // The portal makes its responsible person an observer by itself.
    let observe = observers.is_none_or(|wanted| {
        let mut there = set(&written.observers);
        let mut wanted = set(wanted);
        if let Some(responsible) = &written.responsible {
            there.remove(responsible);
            wanted.remove(responsible);
        }
        there == wanted
    });
    let responsible = write.responsible.as_ref();
    observe && responsible.is_none_or(|wanted| written.responsible.as_ref() == Some(wanted))
}

fn reason(refused: Refused) -> String {
    match refused {
        Refused::NotFound => "there is no such item".to_owned(),
        Refused::Denied(reason) => reason,
        Refused::Invalid(reasons) => reasons.join(", "),
    }
}

/// Returns whose observing a change decides.
fn observing(change: &ObserverChange) -> Option<PersonId> {
    match change {
        ObserverChange::Added(_, observer) | ObserverChange::Removed(_, observer) => {
            Some(observer.person)
        }
        _ => None,
    }
}

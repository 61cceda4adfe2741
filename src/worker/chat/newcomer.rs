//! Who those are who are in a chat, and what those may do who added them.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Seen, Settling};
use crate::{
    connector::messenger::{Calls, Member},
    crm::CrmError,
    domain::PersonId,
    rules::{
        Comings, Compared, Inviter, MemberStanding, Newcomer, Policies, Right, Watched, Watching,
    },
    store::{
        chat::Chat,
        identity,
        room::{self as rooms, Subject},
    },
    worker::{strangers::a_few, trouble::Trouble},
};

/// What somebody may do with the items of the chat's group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights {
    person: PersonId,
    may_read: bool,
    may_edit: bool,
}

impl Settling<'_> {
    /// Finds accounts of those who should be in the chat and have none that is known, by the addresses that the messenger vouches for.
    pub(super) async fn acquaint(&self, chat: &Chat) -> Result<(), Trouble> {
        if !self.remote.client.abilities().finds_by_email {
            return Ok(());
        }
        let mut connection = self.worker.pool.acquire().await?;
        let seats = rooms::seats(&mut connection, (self.root, chat.item), chat.connection).await?;
        drop(connection);
        let strangers = seats.iter().filter(|seat| seat.user.is_none());
        let addresses = strangers.filter_map(|seat| Some((seat.person, seat.email.as_deref()?)));
        for (person, email) in a_few(addresses) {
            let Some(user) = self.remote.client.user_by_email(email).await? else {
                continue;
            };
            let Some(facts) = self.remote.client.user(&user).await? else {
                continue;
            };
            let mut connection = self.worker.pool.acquire().await?;
            let account = (chat.connection, &*user, &*facts.username);
            identity::link(&mut connection, person, account).await?;
        }
        Ok(())
    }

    /// Finds out whom the accounts in a room belong to, and what those may do who added somebody.
    pub(super) async fn recognise(
        &self,
        seen: &mut Seen,
        subject: &Subject,
    ) -> Result<(), Trouble> {
        let there = seen.present();
        let mut users: Vec<String> = there.iter().map(|one| one.user.clone()).collect();
        users.extend(seen.before.iter().map(|one| one.user.clone()));
        let adders = seen.members.iter().filter_map(|one| one.added_by.clone());
        users.extend(adders);
        let mut connection = self.worker.pool.acquire().await?;
        seen.accounts = rooms::accounts(&mut connection, self.remote.id, &users).await?;
        drop(connection);
        // Of whom it is known by now who he is, he counts as one who came.
        let accounts = &seen.accounts;
        seen.before.retain(|one| {
            one.standing != MemberStanding::Stranger || !accounts.contains_key(&one.user)
        });
        let compared = Compared {
            bot: &seen.bot,
            seen: &seen.before,
            there: &there,
        };
        let comings = compared.comings();
        let strangers: Vec<&Member> = comings
            .came
            .iter()
            .filter(|user| !seen.accounts.contains_key(*user))
            .filter_map(|user| seen.member(user))
            .filter(|member| !member.is_bot && !member.is_guest)
            // All, however many: they are asked about now or never, since the next look knows that they are there.
            .collect();
        let met = self.meet(&strangers).await?;
        if met {
            let mut connection = self.worker.pool.acquire().await?;
            seen.accounts = rooms::accounts(&mut connection, self.remote.id, &users).await?;
        }
        seen.rights = self.rights(seen, &comings, subject).await?;
        Ok(())
    }

    /// Recognises people by the addresses that the messenger vouches for. Returns whether somebody was.
    async fn meet(&self, strangers: &[&Member]) -> Result<bool, Trouble> {
        let mut met = false;
        if !self.remote.client.abilities().finds_by_email {
            return Ok(met);
        }
        for member in strangers {
            let facts = self.remote.client.user(&member.remote_id).await?;
            let Some(facts) = facts.filter(|facts| !facts.is_bot && !facts.is_guest) else {
                continue;
            };
            let Some(email) = &facts.email else {
                continue;
            };
            let mut connection = self.worker.pool.acquire().await?;
            if let Some(person) = identity::by_email(&mut connection, email).await? {
                let account = (self.remote.id, &*facts.remote_id, &*facts.username);
                identity::link(&mut connection, person, account).await?;
                met = true;
            }
        }
        Ok(met)
    }

    /// Returns what those may do who added somebody, by their accounts. Nobody is asked about anybody else.
    async fn rights(
        &self,
        seen: &Seen,
        comings: &Comings,
        subject: &Subject,
    ) -> Result<HashMap<String, Rights>, Trouble> {
        let adders: HashSet<&str> = comings
            .came
            .iter()
            .filter_map(|user| seen.member(user).map(adder))
            .filter(|user| *user != seen.bot)
            .collect();
        let mut rights = HashMap::new();
        for user in adders {
            let Some(account) = seen.accounts.get(user).filter(|account| !account.is_bot) else {
                continue;
            };
            let access = self
                .worker
                .crm
                .group_access(account.person, self.root, subject.group)
                .await;
            let (may_read, may_edit) = match access {
                Ok(access) => (
                    access.allows(Right::ViewContacts),
                    access.allows(Right::CreateContacts),
                ),
                Err(CrmError::NotFound) => (false, false),
                Err(error) => return Err(error.into()),
            };
            let right = Rights {
                person: account.person,
                may_read: may_read && account.active,
                may_edit: may_edit && account.active,
            };
            rights.insert(user.to_owned(), right);
        }
        Ok(rights)
    }

    /// Returns what follows for the list from who left and who came, by who did it.
    pub(super) fn happened(
        &self,
        watched: &Watched,
        comings: &Comings,
        seen: &Seen,
        policies: Policies,
    ) -> Vec<(Option<PersonId>, Watching)> {
        let mut happened: BTreeMap<Option<PersonId>, Watching> = BTreeMap::new();
        let still_there: HashSet<PersonId> = seen
            .members
            .iter()
            .filter_map(|member| seen.accounts.get(&member.remote_id))
            .map(|account| account.person)
            .collect();
        let left: HashSet<PersonId> = comings
            .left
            .iter()
            .filter_map(|user| seen.accounts.get(user))
            .map(|account| account.person)
            // Another account of his may be there.
            .filter(|person| !still_there.contains(person))
            .collect();
        for person in left {
            let watching = watched.left(person, policies);
            happened.entry(None).or_default().extend(watching);
        }
        let now = self.worker.clock.now();
        let mut done = HashSet::new();
        for member in comings.came.iter().filter_map(|user| seen.member(user)) {
            let Some(account) = seen.accounts.get(&member.remote_id) else {
                continue;
            };
            if !done.insert(account.person) {
                continue;
            }
            let newcomer = Newcomer {
                person: account.person,
                is_employee: account.active
                    && !account.is_bot
                    && !member.is_bot
                    && !member.is_guest,
                shows_history: true,
            };
            let rights = seen.rights.get(adder(member));
            let inviter = rights.map(|rights| inviter(watched, *rights));
            let by = inviter.map(|inviter| inviter.person);
            let watching = watched.joined(newcomer, inviter, (policies, now));
            happened.entry(by).or_default().extend(watching);
        }
        happened
            .into_iter()
            .filter(|(_, watching)| !watching.changes.is_empty() || !watching.told.is_empty())
            .collect()
    }
}

/// Returns who added somebody to a chat: he himself, where the messenger names nobody.
fn adder(member: &Member) -> &str {
    member.added_by.as_deref().unwrap_or(&member.remote_id)
}

/// Returns what somebody may do with one item: whoever is responsible may change its observers, and whoever observes it may read it.
fn inviter(watched: &Watched, rights: Rights) -> Inviter {
    let responsible = watched.is_responsible(rights.person);
    let observes = watched.observer(rights.person).is_some();
    Inviter {
        person: rights.person,
        may_read: rights.may_read || responsible || observes,
        may_edit: rights.may_edit || responsible,
    }
}

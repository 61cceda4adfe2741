//! A chat is made to be as the list says, and what people did in it is taken over to the list.
//!
//! The messenger is asked with no transaction open, what it says is decided on in one transaction, and then come the calls that close the
//! difference. Everything about one chat happens in its lane, so that nobody else looks meanwhile.

mod difference;
mod newcomer;
mod room;

use std::collections::HashMap;

use tokio::time::Instant;

use super::{Remote, Worker, trouble::Trouble};
use crate::{
    connector::messenger::{Calls, Member, Messenger, Presence, Refusal},
    domain::{ChatId, ChatState, OperationId, RootId, Via},
    queue::{self, NewEffect, Signal},
    rules::{
        Compared, Following, MemberStanding, Orders, Present, SeenMember, WantedMember, Watching,
        follow_ups,
    },
    store::{
        chat::{self, Chat},
        member::{self, Remembered},
        observer,
        operation::{self, Act, Told},
        policy,
        room::{self as rooms, Account, Seat, Subject},
    },
};
use newcomer::Rights;

/// A chat that is being compared with the list.
#[derive(Clone, Copy)]
pub(super) struct Settling<'a> {
    pub(super) worker: &'a Worker,
    pub(super) remote: &'a Remote<Messenger>,
    pub(super) root: RootId,
    pub(super) chat: ChatId,
    /// When work began under the lease.
    pub(super) since: Instant,
}

/// A room as the messenger has it, and what is known of those who are in it.
struct Seen {
    /// The bot's id.
    bot: String,
    members: Vec<Member>,
    /// Who was there when it was last looked at.
    before: Vec<SeenMember>,
    /// Whom the accounts belong to.
    accounts: HashMap<String, Account>,
    /// What those may do who added somebody.
    rights: HashMap<String, Rights>,
}

impl Seen {
    fn present(&self) -> Vec<Present> {
        let present = |member: &Member| Present {
            user: member.remote_id.clone(),
            leads: member.is_admin,
        };
        self.members.iter().map(present).collect()
    }

    fn member(&self, user: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.remote_id == user)
    }

    /// Returns what is remembered of those who are there.
    fn remembered(&self, seen: &[SeenMember]) -> Vec<Remembered> {
        seen.iter()
            .map(|one| {
                let member = self.member(&one.user);
                let is_known = self.accounts.contains_key(&one.user);
                Remembered {
                    user: one.user.clone(),
                    standing: match one.standing {
                        MemberStanding::Guest if !is_known => MemberStanding::Stranger,
                        standing => standing,
                    },
                    invited: member.is_some_and(|member| member.presence == Presence::Invited),
                    added_by: member.and_then(|member| member.added_by.clone()),
                }
            })
            .collect()
    }
}

impl Settling<'_> {
    /// Compares the chat with the list, takes over what people did in it, and closes the difference.
    pub(super) async fn settle(&self) -> Result<&'static str, Trouble> {
        let mut connection = self.worker.pool.acquire().await?;
        let Some(found) = chat::find(&mut connection, self.root, self.chat).await? else {
            return Ok("there is no such chat any more");
        };
        let subject = rooms::subject(&mut connection, self.root, found.item).await?;
        let known = rooms::known_state(&mut connection, (self.root, self.chat)).await?;
        drop(connection);
        match (found.state, subject) {
            (ChatState::Gone, _) => Ok("the room is gone"),
            // Who may be there goes on counting after an item was archived: whoever stops observing it leaves.
            (ChatState::Closed, subject) | (ChatState::Open, subject @ None) => {
                match (self.close(&found, known).await?, subject) {
                    (None, _) => Ok("there is no room"),
                    (Some(_), None) => Ok("closed, as far as the messenger closes rooms"),
                    (Some(room), Some(subject)) => self.compare(found, subject, room).await,
                }
            }
            (ChatState::Open, Some(subject)) => {
                self.acquaint(&found).await?;
                let Some(room) = self.room(&found, &subject, known).await? else {
                    return Ok("the room cannot be made");
                };
                self.compare(found, subject, room).await
            }
        }
    }

    async fn compare(
        &self,
        chat: Chat,
        subject: Subject,
        room: String,
    ) -> Result<&'static str, Trouble> {
        let Some(seen) = self.look(&subject, &room).await? else {
            return self.gone(&chat, Some(&subject)).await;
        };
        let (orders, wanted) = self.take_over(&chat, &subject, &seen).await?;
        self.close_difference(&chat, &subject, (&room, &seen), (orders, &wanted))
            .await
    }

    /// Asks who is there, and who those are who were not before. Returns none where the room is gone.
    async fn look(&self, subject: &Subject, room: &str) -> Result<Option<Seen>, Trouble> {
        let bot = self.remote.bot_id(&self.worker.pool).await?.to_owned();
        let members = match self.remote.client.members(room).await? {
            Ok(members) => members,
            Err(Refusal::ChatGone) => return Ok(None),
            Err(refusal) => return Err(Trouble::Hopeless(refusal.to_string())),
        };
        let mut connection = self.worker.pool.acquire().await?;
        let before = member::seen(&mut connection, self.root, self.chat).await?;
        drop(connection);
        let mut seen = Seen {
            bot,
            members,
            before,
            accounts: HashMap::new(),
            rights: HashMap::new(),
        };
        self.recognise(&mut seen, subject).await?;
        Ok(Some(seen))
    }

    /// Takes over who left and who came, in one transaction; returns what has to be done, and who should be there.
    async fn take_over(
        &self,
        chat: &Chat,
        subject: &Subject,
        seen: &Seen,
    ) -> Result<(Orders, Vec<WantedMember>), Trouble> {
        let there = seen.present();
        let compared = Compared {
            bot: &seen.bot,
            seen: &seen.before,
            there: &there,
        };
        let now = self.worker.clock.now();
        let mut tx = self.worker.pool.begin().await?;
        let policy = policy::of_group(&mut tx, self.root, subject.group).await?;
        let locked = observer::lock(&mut tx, self.root, &[chat.item.0], None).await?;
        let mut following = Vec::new();
        if let Some(item) = locked.first() {
            let happened = self.happened(&item.watched, &compared.comings(), seen, policy.policies);
            for (by, watching) in happened {
                let act = Act {
                    actor: by,
                    ..self.act(subject)
                };
                observer::apply(&mut tx, &act, &watching.changes).await?;
                following.push((act, watching));
            }
        }
        let seats = rooms::seats(&mut tx, (self.root, chat.item), chat.connection).await?;
        let wanted: Vec<WantedMember> = seats.iter().filter_map(wanted).collect();
        let orders = compared.orders(&wanted);
        let remembered = seen.remembered(&orders.seen);
        member::remember(&mut tx, (self.root, self.chat), &remembered, now).await?;
        let changed = following
            .iter()
            .any(|(_, watching): &(Act, Watching)| !watching.changes.is_empty());
        self.follow_up(&mut tx, chat, following).await?;
        tx.commit().await?;
        if changed {
            // Whoever looks at the item sees it.
            let holder = Signal::Customers(subject.group);
            self.worker.wake.announce(holder);
        }
        Ok((orders, wanted))
    }

    /// Has those told whom it concerns.
    async fn follow_up(
        &self,
        connection: &mut sqlx::PgConnection,
        chat: &Chat,
        happened: Vec<(Act, Watching)>,
    ) -> Result<(), Trouble> {
        let mut effects = Vec::new();
        for (act, watching) in happened {
            let mut following = Following::default();
            following.add(chat.item, None, &watching);
            let people = following.people();
            let reachable = policy::reachable(connection, chat.connection, &people).await?;
            let what = (act.actor, act.via, act.operation);
            effects.extend(
                follow_ups(&following, &reachable, what)
                    .into_iter()
                    .map(|follow_up| NewEffect::following(follow_up, None, &*self.worker.clock)),
            );
        }
        if effects.is_empty() {
            return Ok(());
        }
        let now = self.worker.clock.now();
        queue::enqueue(connection, self.root, effects, now, self.worker.lease).await?;
        Ok(())
    }

    /// Returns the frame of what follows from a look at the chat.
    fn act(&self, subject: &Subject) -> Act {
        Act {
            root: self.root,
            group: subject.group,
            operation: OperationId(self.worker.clock.id()),
            actor: None,
            via: Via::Chat,
            at: self.worker.clock.now(),
            undoes: None,
            command: None,
        }
    }

    /// Tells the item's history of what stands in the way.
    async fn note(
        &self,
        connection: &mut sqlx::PgConnection,
        (chat, subject): (&Chat, &Subject),
        action: &'static str,
        problem: &str,
    ) -> Result<(), Trouble> {
        let mut detail = serde_json::Map::new();
        detail.insert("problem".to_owned(), problem.into());
        let told = Told {
            item: Some(chat.item),
            action,
            detail,
        };
        operation::append(connection, &self.act(subject), vec![told]).await?;
        Ok(())
    }

    /// Writes down that the room is gone: nothing more is tried until somebody opens the chat anew.
    async fn gone(&self, chat: &Chat, subject: Option<&Subject>) -> Result<&'static str, Trouble> {
        let problem = Refusal::ChatGone.to_string();
        let now = self.worker.clock.now();
        let mut tx = self.worker.pool.begin().await?;
        rooms::set_gone(&mut tx, (self.root, self.chat), &problem, now).await?;
        if let Some(subject) = subject {
            self.note(&mut tx, (chat, subject), "chat_gone", &problem)
                .await?;
        }
        tx.commit().await?;
        Ok("the room is gone")
    }
}

/// Returns a seat as an account, where one is known.
fn wanted(seat: &Seat) -> Option<WantedMember> {
    Some(WantedMember {
        user: seat.user.clone()?,
        show_history: seat.show_history,
        leads: seat.leads,
    })
}

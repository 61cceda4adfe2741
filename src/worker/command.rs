//! The commands that people type in the chat of an item. The rules are those of every other way to change who watches it.

use sqlx::PgConnection;

use super::{hear::Hearing, trouble::Trouble};
use crate::{
    crm::CrmError,
    domain::{ChatId, ConnectionId, OperationId, PersonId, RootId, Via},
    queue::{self, NewEffect},
    quick_action::{Action, CommandName, Found, code_span},
    rules::{Added, Following, ObserverOutcome, Refused, Right, Watched, Watching, follow_ups},
    store::{
        chat::{self, Chat},
        member,
        observer::{self, Seen},
        operation::{Act, Commanded},
        policy::{self, Policy},
        room::{self, Account, Subject},
        said,
    },
};

/// People that one command may name.
const MAX_PEOPLE: usize = 100;

/// Somebody who gives commands in a chat, with what had to be asked about him.
pub(super) struct Commander<'a> {
    hearing: &'a Hearing<'a>,
    root: RootId,
    chat: Chat,
    subject: Subject,
    person: PersonId,
    /// Whether he may see the items of the group.
    may_read: bool,
    /// Whether he may change them.
    may_edit: bool,
}

/// Somebody whom a command names.
struct Person {
    typed: String,
    known: Option<PersonId>,
}

impl<'a> Commander<'a> {
    /// Asks what somebody may do; none where there is nothing to give commands about.
    pub(super) async fn enter(
        hearing: &'a Hearing<'a>,
        (root, chat): (RootId, ChatId),
        account: Account,
    ) -> Result<Option<Self>, Trouble> {
        let mut connection = hearing.worker.pool.acquire().await?;
        let Some(chat) = chat::find(&mut connection, root, chat).await? else {
            return Ok(None);
        };
        let Some(subject) = room::subject(&mut connection, root, chat.item).await? else {
            return Ok(None);
        };
        drop(connection);
        let access = hearing
            .worker
            .crm
            .group_access(account.person, root, subject.group)
            .await;
        let (may_read, may_edit) = match access {
            Ok(access) => (
                access.allows(Right::ViewContacts),
                access.allows(Right::CreateContacts),
            ),
            Err(CrmError::NotFound) => (false, false),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Self {
            hearing,
            root,
            chat,
            subject,
            person: account.person,
            may_read: may_read && account.active,
            may_edit: may_edit && account.active,
        }))
    }

    /// Runs commands one after the other, each on what the one before left; returns a line for each.
    pub(super) async fn run(
        &self,
        connection: &mut PgConnection,
        commands: &[Found],
    ) -> Result<Vec<String>, Trouble> {
        let mut lines = Vec::new();
        let policy = policy::of_group(connection, self.root, self.subject.group).await?;
        for command in commands {
            let item = [self.chat.item.0];
            let locked = observer::lock(connection, self.root, &item, None).await?;
            let Some(seen) = locked.into_iter().next() else {
                lines.push("- this item was deleted".to_owned());
                continue;
            };
            lines.push(self.run_one(connection, (&seen, &policy), command).await?);
        }
        Ok(lines)
    }

    async fn run_one(
        &self,
        connection: &mut PgConnection,
        (seen, policy): (&Seen, &Policy),
        command: &Found,
    ) -> Result<String, Trouble> {
        let word = match &command.action {
            Action::Known(name) => name.word(),
            Action::Unknown { word, .. } => word.as_str(),
        };
        let watched = &seen.watched;
        let change = match word {
            "help" => return Ok(help()),
            "observers" => return self.list(connection, watched).await,
            "add_observers" => Change::Add,
            "remove_observers" => Change::Remove,
            "responsible" => Change::Responsible,
            other => {
                return Ok(format!(
                    "- {} is no command of a chat: try `help`",
                    code_span(other)
                ));
            }
        };
        if !self.may_edit && !watched.is_responsible(self.person) {
            return Ok(format!(
                "- **{word}**: you may not change who observes this item"
            ));
        }
        let people = self.people(connection, &command.argument).await?;
        if people.is_empty() {
            return Ok(format!(
                "- **{word}**: name people, as in `{word} @name` or by their e-mail addresses"
            ));
        }
        let decided = self.decide(change, watched, &people, policy);
        let watching = match decided {
            Ok(watching) => watching,
            Err(refused) => return Ok(format!("- **{word}**: {}", reason(refused))),
        };
        self.commit(connection, (seen, policy), change, &watching)
            .await?;
        Ok(answer(word, &people, &watching, change))
    }

    fn decide(
        &self,
        change: Change,
        watched: &Watched,
        people: &[Person],
        policy: &Policy,
    ) -> Result<Watching, Refused> {
        let known: Vec<PersonId> = people.iter().filter_map(|person| person.known).collect();
        let (by, at) = (Some(self.person), self.hearing.worker.clock.now());
        match (change, &known[..]) {
            (_, []) => Ok(Watching::default()),
            (Change::Add, known) => {
                let how = Added {
                    by,
                    at,
                    in_chat: true,
                    history: None,
                };
                watched.add(known, how)
            }
            (Change::Remove, known) => watched.remove(known, by),
            (Change::Responsible, [person]) if people.len() == 1 => {
                Ok(watched.reassign(Some(*person), (by, at), policy.policies))
            }
            (Change::Responsible, _) => Err(Refused::because(
                "name one person: an item has one responsible",
            )),
        }
    }

    /// Stores what was decided, with its history, the look at the chat and the notices.
    async fn commit(
        &self,
        connection: &mut PgConnection,
        (seen, policy): (&Seen, &Policy),
        change: Change,
        watching: &Watching,
    ) -> Result<(), Trouble> {
        let clock = &*self.hearing.worker.clock;
        let act = Act {
            root: self.root,
            group: self.subject.group,
            operation: OperationId(clock.id()),
            actor: Some(self.person),
            via: Via::Chat,
            at: clock.now(),
            undoes: None,
            command: Some(Commanded {
                word: change.word(),
                issue: None,
                delivery: self.hearing.delivery.id,
            }),
        };
        observer::apply(connection, &act, &watching.changes).await?;
        let again = watching.again.iter();
        let again: Vec<_> = again
            .map(|person| (self.chat.id, self.chat.connection, *person))
            .collect();
        member::forget(connection, self.root, &again).await?;
        let mut following = Following::default();
        following.add(self.chat.item, seen.chat(), watching);
        let people = following.people();
        let messenger = policy
            .messenger
            .map_or(self.chat.connection, |(messenger, _)| messenger);
        let reachable = policy::reachable(connection, messenger, &people).await?;
        let what = (act.actor, act.via, act.operation);
        let delivery = Some(self.hearing.delivery.id);
        let effects: Vec<NewEffect> = follow_ups(&following, &reachable, what)
            .into_iter()
            .map(|follow_up| NewEffect::following(follow_up, delivery, clock))
            .collect();
        if !effects.is_empty() {
            let lease = self.hearing.worker.lease;
            queue::enqueue(connection, self.root, effects, act.at, lease).await?;
        }
        Ok(())
    }

    /// Names those who watch the item.
    async fn list(
        &self,
        connection: &mut PgConnection,
        watched: &Watched,
    ) -> Result<String, Trouble> {
        let is_there =
            watched.is_responsible(self.person) || watched.observer(self.person).is_some();
        if !self.may_read && !is_there {
            return Ok("- **observers**: you may not see this item".to_owned());
        }
        let responsible = watched.responsible.map(|one| one.person);
        let people: Vec<PersonId> = responsible
            .into_iter()
            .chain(watched.observers.iter().map(|one| one.person))
            .collect();
        let names = said::names(connection, &people).await?;
        let name = |person: PersonId| {
            let found = names.iter().find(|(known, _)| *known == person);
            code_span(found.map_or("somebody", |(_, name)| name))
        };
        let responsible = responsible.map_or_else(|| "nobody".to_owned(), name);
        let observers: Vec<String> = watched
            .observers
            .iter()
            .map(|one| {
                let away = if one.in_chat {
                    ""
                } else {
                    " (not in the chat)"
                };
                format!("{}{away}", name(one.person))
            })
            .collect();
        let observers = if observers.is_empty() {
            "nobody".to_owned()
        } else {
            observers.join(", ")
        };
        Ok(format!(
            "- responsible: {responsible}; observers: {observers}"
        ))
    }

    /// Finds the people whom an argument names.
    async fn people(
        &self,
        connection: &mut PgConnection,
        argument: &str,
    ) -> Result<Vec<Person>, Trouble> {
        let on: ConnectionId = self.chat.connection;
        let typed: Vec<String> = argument
            .split([' ', ',', '\t'])
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .take(MAX_PEOPLE)
            .map(str::to_owned)
            .collect();
        let found = said::find_people(connection, on, &typed).await?;
        Ok(typed
            .into_iter()
            .map(|typed| Person {
                known: found.get(&typed).copied(),
                typed,
            })
            .collect())
    }
}

/// What a command changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Remove,
    Responsible,
}

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::Add => "add_observers",
            Self::Remove => "remove_observers",
            Self::Responsible => "responsible",
        }
    }
}

fn reason(refused: Refused) -> String {
    match refused {
        Refused::NotFound => "there is no such item".to_owned(),
        Refused::Denied(reason) => reason,
        Refused::Invalid(reasons) => reasons.join(", "),
    }
}

/// Writes what came of each person that was named.
fn answer(word: &str, people: &[Person], watching: &Watching, change: Change) -> String {
    let parts: Vec<String> = people
        .iter()
        .map(|person| {
            let outcome = person.known.and_then(|known| {
                let outcomes = watching.outcomes.iter();
                outcomes.into_iter().find(|(one, _)| *one == known)
            });
            let what = match (person.known, outcome.map(|(_, outcome)| outcome)) {
                (None, _) => "is not known",
                (Some(_), Some(ObserverOutcome::Added)) => "observes now",
                (Some(_), Some(ObserverOutcome::Back)) => "observes and comes back to the chat",
                (Some(_), Some(ObserverOutcome::AlreadyThere)) => "observes already",
                (Some(_), Some(ObserverOutcome::Removed)) => "observes no longer",
                (Some(_), Some(ObserverOutcome::NotThere)) => "did not observe",
                (Some(_), Some(ObserverOutcome::Waiting)) => "has to be approved",
                (Some(_), Some(ObserverOutcome::NotByThat)) => "cannot observe",
                (Some(_), None) if change != Change::Responsible => "was named twice",
                (Some(_), None) if watching.changes.is_empty() => "is responsible already",
                (Some(_), None) => "is responsible now",
            };
            format!("{} {what}", code_span(&person.typed))
        })
        .collect();
    format!("- **{word}**: {}", parts.join(", "))
}

fn help() -> String {
    let commands = [
        "`add_observers @name …`",
        "`remove_observers @name …`",
        "`observers`",
        "`responsible @name`",
        "`help`",
    ];
    let help = CommandName::Help.word();
    format!(
        "- **{help}**: {}; written as `!crm COMMAND`, `/crm COMMAND`, or with a mention of me before it",
        commands.join(", ")
    )
}

//! The commands that people type in the chat of an item, which is understood. They are decided by the same rules as those in comments, and
//! answered in the same words.

use sqlx::PgConnection;

use super::{hear::Hearing, trouble::Trouble};
use crate::{
    connector::gitlab,
    crm::CrmError,
    domain::{ChatId, GroupId, Level, PersonId, RootId, Via},
    queue::{self, NewEffect},
    quick_action::{Action, CATALOGUE, CommandName, Found, code_span},
    rules::{Access, Operation, Place, Snapshot, follow_ups, needs, plan},
    store::{
        chat::{self, Chat},
        commanded::{self, Spoken},
        history,
        operation::{self, Act, Commanded},
        room::{self, Account, Subject},
    },
};

/// Somebody who gives commands in a chat, with what had to be asked about him.
pub(super) struct Commander<'a> {
    hearing: &'a Hearing<'a>,
    root: RootId,
    chat: Chat,
    subject: Subject,
    person: PersonId,
    access: Access,
}

/// The commands that need no issue.
const IN_CHATS: [CommandName; 6] = [
    CommandName::AddObservers,
    CommandName::RemoveObservers,
    CommandName::Observers,
    CommandName::Responsible,
    CommandName::CreateChat,
    CommandName::Undo,
];

/// Nobody's standing.
const NOBODY: Access = Access {
    active: false,
    crm_enabled: false,
    contact_group: Level::None,
    project: Level::None,
    issue_readable: false,
};

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
        let crm = &hearing.worker.crm;
        let asked = crm.group_access(account.person, root, subject.group).await;
        let access = match asked {
            Ok(access) => access,
            Err(CrmError::NotFound) => NOBODY,
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Self {
            hearing,
            root,
            chat,
            subject,
            person: account.person,
            access,
        }))
    }

    /// Returns the group that holds the chat's item.
    pub(super) fn group(&self) -> GroupId {
        self.subject.group
    }

    /// Runs commands one after the other, each on what the one before left; returns a line for each.
    pub(super) async fn run(
        &self,
        connection: &mut PgConnection,
        commands: &[Found],
    ) -> Result<Vec<String>, Trouble> {
        let (here, elsewhere): (Vec<Found>, Vec<Found>) =
            commands.iter().cloned().partition(works_in_chats);
        let needs = needs(&here);
        let spoken = Spoken {
            root: self.root,
            group: self.subject.group,
            issue: None,
            place: Place::Chat(self.chat.item),
            actor: self.person,
            is_member: self.access.contact_group > Level::None,
            on: Some(self.chat.connection),
        };
        let operations = if needs.undo > 0 {
            let whose = (self.chat.item, self.person);
            history::standing_in_chat(connection, self.root, whose).await?
        } else {
            Vec::new()
        };
        let past: Vec<i64> = operations
            .iter()
            .take(needs.undo)
            .flat_map(|operation| operation.items().map(|item| item.0))
            .collect();
        let snapshot = Snapshot {
            access: self.access,
            contacts: Vec::new(),
            organizations: Vec::new(),
            operations,
            ids: Vec::new(),
            watch: commanded::snapshot(connection, spoken, &needs.watch, &past).await?,
        };
        let plan = plan(&here, snapshot, &*self.hearing.worker.clock);
        for operation in &plan.operations {
            self.commit(connection, operation).await?;
        }
        let bot = &self.hearing.remote.bot;
        let mut lines = gitlab::render(&plan.lines, 0, bot, false).lines;
        lines.extend(elsewhere.iter().filter_map(|command| match command.action {
            Action::Known(CommandName::Help) => Some(help()),
            Action::Known(name) => {
                let word = code_span(name.word());
                Some(format!("- {word}: works on issues, not in a chat"))
            }
            Action::Unknown { .. } => None,
        }));
        Ok(lines)
    }

    /// Stores what was decided, with its history, the look at the chat and the notices.
    async fn commit(
        &self,
        connection: &mut PgConnection,
        operation: &Operation,
    ) -> Result<(), Trouble> {
        let clock = &*self.hearing.worker.clock;
        let delivery = self.hearing.delivery.id;
        let act = Act {
            root: self.root,
            group: self.subject.group,
            operation: operation.id,
            actor: Some(self.person),
            via: Via::Chat,
            at: clock.now(),
            undoes: operation.undoes,
            command: Some(Commanded {
                word: operation.command.word(),
                issue: None,
                delivery,
            }),
        };
        let following = commanded::apply(connection, &act, operation).await?;
        if act.undoes.is_some() {
            operation::mark_undone(connection, &act).await?;
        }
        let place = (act.root, act.group);
        let reachable = commanded::reachable(connection, place, &following).await?;
        let why = (act.actor, act.via, act.operation);
        let effects: Vec<NewEffect> = follow_ups(&following, &reachable, why)
            .into_iter()
            .map(|follow_up| NewEffect::following(follow_up, Some(delivery), clock))
            .collect();
        if !effects.is_empty() {
            let lease = self.hearing.worker.lease;
            queue::enqueue(connection, self.root, effects, act.at, lease).await?;
        }
        Ok(())
    }
}

/// Returns whether a command needs no issue. Unknown ones are answered with the nearest name.
fn works_in_chats(command: &Found) -> bool {
    match command.action {
        Action::Known(name) => IN_CHATS.contains(&name),
        Action::Unknown { .. } => true,
    }
}

/// Explains the commands that work in a chat, and how they are written there.
fn help() -> String {
    let commands: Vec<String> = CATALOGUE
        .iter()
        .filter(|spec| IN_CHATS.contains(&spec.name))
        .map(|spec| code_span(&format!("{} {}", spec.word, spec.parameters)))
        .collect();
    format!(
        "- {}: {}; written as `!crm COMMAND`, `/crm COMMAND`, or after a mention of me",
        code_span(CommandName::Help.word()),
        commands.join(", ")
    )
}

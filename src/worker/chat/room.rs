//! The room itself: made once, found again after a crash, opened and closed.

use super::Settling;
use crate::{
    connector::messenger::{Calls, NewChat, Put, Refusal, RemoteChat},
    domain::ChatState,
    store::{
        chat::Chat,
        room::{self as rooms, Known, Subject},
    },
    worker::trouble::Trouble,
};

/// Longest title of a room, in characters: what the narrowest messenger takes.
const TITLE: usize = 200;

/// Returns what a room is to be called.
pub(super) fn title(subject: &Subject) -> String {
    subject.title.chars().take(TITLE).collect()
}

/// Returns the name under which a room is made, so that it is made once: no other chat had it, nor will have, in whatever database.
fn key(settling: &Settling<'_>, chat: &Chat) -> String {
    let made = chat.created_at.timestamp_micros();
    format!("chat-{}-{}-{made:x}", settling.root, chat.id)
}

impl Settling<'_> {
    /// Returns the id of the room, which is made and opened where it has to be; none where the messenger refuses.
    pub(super) async fn room(
        &self,
        chat: &Chat,
        subject: &Subject,
        known: Option<ChatState>,
    ) -> Result<Option<String>, Trouble> {
        let Some(room) = &chat.remote_id else {
            return self.make_room(chat, subject).await;
        };
        if known == Some(ChatState::Closed) {
            match self.remote.client.set_open(room, true).await? {
                Put::Done | Put::AlreadySo => self.keep_state(chat, ChatState::Open).await?,
                // Comparing finds that out, too.
                Put::Refused(Refusal::ChatGone) => {}
                // Nobody could write in it.
                Put::Refused(refusal) => return Err(Trouble::Hopeless(refusal.to_string())),
            }
        }
        Ok(Some(room.clone()))
    }

    async fn make_room(&self, chat: &Chat, subject: &Subject) -> Result<Option<String>, Trouble> {
        let mut connection = self.worker.pool.acquire().await?;
        let seats = rooms::seats(&mut connection, (self.root, chat.item), chat.connection).await?;
        drop(connection);
        let members: Vec<String> = seats.iter().filter_map(|seat| seat.user.clone()).collect();
        let leader = seats.iter().find(|seat| seat.leads);
        let title = title(subject);
        let new = NewChat {
            key: &key(self, chat),
            title: &title,
            history: chat.history,
            members: &members,
            admin: leader.and_then(|seat| seat.user.as_deref()),
        };
        let made = match self.remote.client.create_chat(&new).await? {
            // One who cannot be there keeps nobody else out: who is missing is put in one by one, and named.
            Err(Refusal::UnknownUser | Refusal::InactiveUser | Refusal::Banned) => {
                let empty = NewChat {
                    members: &[],
                    admin: None,
                    ..new
                };
                self.remote.client.create_chat(&empty).await?
            }
            made => made,
        };
        let RemoteChat { remote_id, url } = match made {
            Ok(room) => room,
            Err(refusal) => {
                self.cannot_be_made((chat, subject), refusal).await?;
                return Ok(None);
            }
        };
        let mut tx = self.worker.pool.begin().await?;
        let place = (self.root, self.chat);
        rooms::set_made(&mut tx, place, &remote_id, url.as_deref(), &title).await?;
        tx.commit().await?;
        Ok(Some(remote_id))
    }

    async fn cannot_be_made(
        &self,
        (chat, subject): (&Chat, &Subject),
        refusal: Refusal,
    ) -> Result<(), Trouble> {
        let problem = format!("the room cannot be made: {refusal}");
        let mut tx = self.worker.pool.begin().await?;
        if chat.problem.as_ref() != Some(&problem) {
            self.note(&mut tx, (chat, subject), "chat_problem", &problem)
                .await?;
        }
        let (place, now) = ((self.root, self.chat), self.worker.clock.now());
        rooms::set_settled(&mut tx, place, &Known::default(), Some(&problem), now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Closes the room; returns its id, or none where there is none any more. Who is in it stays, to read on.
    pub(super) async fn close(
        &self,
        chat: &Chat,
        known: Option<ChatState>,
    ) -> Result<Option<String>, Trouble> {
        let Some(room) = &chat.remote_id else {
            return Ok(None);
        };
        if known != Some(ChatState::Closed) {
            match self.remote.client.set_open(room, false).await? {
                Put::Refused(Refusal::ChatGone) => {
                    self.gone(chat, None).await?;
                    return Ok(None);
                }
                Put::Done | Put::AlreadySo | Put::Refused(_) => {
                    self.keep_state(chat, ChatState::Closed).await?;
                }
            }
        }
        Ok(Some(room.clone()))
    }

    async fn keep_state(&self, chat: &Chat, state: ChatState) -> Result<(), Trouble> {
        let known = Known {
            title: chat.known_title.clone(),
            admin: chat.known_admin.clone(),
            state: Some(state),
        };
        let mut connection = self.worker.pool.acquire().await?;
        let (place, now) = ((self.root, self.chat), self.worker.clock.now());
        let problem = chat.problem.as_deref();
        rooms::set_settled(&mut connection, place, &known, problem, now).await?;
        Ok(())
    }
}

//! The calls that close the difference between a room and those who should be in it.

use std::collections::BTreeMap;

use super::{MemberStanding, Orders, Remembered, Seen, Settling, Subject, WantedMember, room};
use crate::{
    connector::messenger::{Calls, Put, Refusal},
    domain::{FollowUp, Queue},
    queue::{self, NewEffect, Signal},
    store::{
        chat::Chat,
        member,
        room::{self as rooms, Known, Seat},
    },
    worker::trouble::Trouble,
};

/// What was done in a room, and what was refused.
#[derive(Default)]
struct Done {
    put_in: Vec<Remembered>,
    put_out: Vec<String>,
    /// Refusals, with how many people they are about.
    refused: BTreeMap<String, usize>,
    /// Whether there was no time for all.
    unfinished: bool,
    gone: bool,
    title: Option<String>,
    admin: Option<String>,
}

impl Done {
    /// Takes note of a refusal. Returns true where the thing was done.
    fn judge(&mut self, put: &Put) -> bool {
        match put {
            Put::Done | Put::AlreadySo => true,
            Put::Refused(Refusal::ChatGone) => {
                self.gone = true;
                false
            }
            Put::Refused(refusal) => {
                *self.refused.entry(refusal.to_string()).or_default() += 1;
                false
            }
        }
    }

    fn problem(&self, strangers: usize) -> Option<String> {
        let mut parts: Vec<String> = self
            .refused
            .iter()
            .map(|(refusal, count)| match count {
                1 => refusal.clone(),
                count => format!("{refusal} ({count} times)"),
            })
            .collect();
        if strangers > 0 {
            let s = if strangers == 1 { "" } else { "s" };
            parts.push(format!(
                "{strangers} person{s} without a known account in the messenger"
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

impl Settling<'_> {
    /// Makes the calls that are ordered, as far as the lease allows, and writes down what came of them, also of those before one that failed.
    pub(super) async fn close_difference(
        &self,
        chat: &Chat,
        subject: &Subject,
        (room, seen): (&str, &Seen),
        (orders, wanted): (Orders, &[WantedMember]),
    ) -> Result<&'static str, Trouble> {
        let mut done = Done {
            title: chat.known_title.clone(),
            admin: chat.known_admin.clone(),
            ..Done::default()
        };
        let members = self.put(room, &orders, seen, &mut done).await;
        let rest = match members {
            Ok(()) if !done.gone => {
                self.put_rest((chat, subject), room, &orders, &mut done)
                    .await
            }
            other => other,
        };
        self.keep((chat, subject), &done, wanted, rest.is_ok())
            .await?;
        rest?;
        if done.gone {
            return self.gone(chat, Some(subject)).await;
        }
        let changed = !done.put_in.is_empty() || !done.put_out.is_empty();
        Ok(match (done.unfinished, changed) {
            (true, _) => "settled in part: the rest follows",
            (false, true) => "settled",
            (false, false) => "was settled",
        })
    }

    /// Puts people out and in.
    async fn put(
        &self,
        room: &str,
        orders: &Orders,
        seen: &Seen,
        done: &mut Done,
    ) -> Result<(), Trouble> {
        for user in orders.remove.iter().filter(|user| **user != seen.bot) {
            if self.is_late(done) {
                return Ok(());
            }
            let put = self.remote.client.remove(room, user).await?;
            if done.judge(&put) {
                done.put_out.push(user.clone());
            }
        }
        let asks_first = self.remote.client.abilities().asks_first;
        for one in &orders.add {
            if done.gone || self.is_late(done) {
                return Ok(());
            }
            let put = self
                .remote
                .client
                .add(room, &one.user, one.show_history)
                .await?;
            if done.judge(&put) {
                done.put_in.push(Remembered {
                    user: one.user.clone(),
                    standing: MemberStanding::Wanted,
                    invited: asks_first,
                    added_by: Some(seen.bot.clone()),
                });
            }
        }
        Ok(())
    }

    /// Sets leader and title.
    async fn put_rest(
        &self,
        (chat, subject): (&Chat, &Subject),
        room: &str,
        orders: &Orders,
        done: &mut Done,
    ) -> Result<(), Trouble> {
        if let Some(lead) = &orders.lead
            && self.remote.client.abilities().has_admin
        {
            match self.remote.client.set_admin(room, lead).await? {
                Put::Refused(Refusal::NoAdmin) => {}
                put => {
                    if done.judge(&put) {
                        done.admin = Some(lead.clone());
                    }
                }
            }
        }
        let title = room::title(subject);
        if chat.known_title.as_deref() != Some(&*title) && !done.gone {
            let put = self.remote.client.rename(room, &title).await?;
            if done.judge(&put) {
                done.title = Some(title);
            }
        }
        Ok(())
    }

    /// Returns whether the lease is too old to go on.
    fn is_late(&self, done: &mut Done) -> bool {
        done.unfinished |= self.worker.is_worn(self.since);
        done.unfinished
    }

    /// Writes down what was done.
    async fn keep(
        &self,
        (chat, subject): (&Chat, &Subject),
        done: &Done,
        wanted: &[WantedMember],
        is_whole: bool,
    ) -> Result<(), Trouble> {
        let (place, now) = ((self.root, self.chat), self.worker.clock.now());
        let mut tx = self.worker.pool.begin().await?;
        member::remove(&mut tx, place, &done.put_out).await?;
        member::add(&mut tx, place, &done.put_in, now).await?;
        if is_whole && !done.gone {
            let seats = rooms::seats(&mut tx, (self.root, chat.item), chat.connection).await?;
            let strangers = seats
                .iter()
                .filter(|seat| is_stranger(seat, wanted))
                .count();
            let problem = done.problem(strangers);
            if problem != chat.problem
                && let Some(problem) = &problem
            {
                self.note(&mut tx, (chat, subject), "chat_problem", problem)
                    .await?;
            }
            let known = Known {
                title: done.title.clone(),
                admin: done.admin.clone(),
                state: Some(chat.state),
            };
            rooms::set_settled(&mut tx, place, &known, problem.as_deref(), now).await?;
        }
        if is_whole && done.unfinished {
            let again = self.again();
            queue::enqueue(&mut tx, self.root, vec![again], now, self.worker.lease).await?;
        }
        tx.commit().await?;
        if done.unfinished {
            let signal = Signal::Work(Queue::Call, self.remote.id);
            self.worker.wake.announce(signal);
        }
        Ok(())
    }

    /// Returns the effect that goes on where this one had no time to.
    fn again(&self) -> NewEffect {
        let look = FollowUp::look_at_chat(self.chat, self.remote.id);
        NewEffect::following(look, None, &*self.worker.clock)
    }
}

/// Returns whether somebody should be there and has no account that is known.
fn is_stranger(seat: &Seat, wanted: &[WantedMember]) -> bool {
    let user = seat.user.as_deref();
    user.is_none_or(|user| wanted.iter().all(|one| one.user != user))
}

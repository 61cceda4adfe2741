//! Messages of people: commands in the chat of an item, which is understood, and words to the bot alone.
//!
//! A message's commands, what they change, the answer and the delivery are committed together, and the message is remembered: should it
//! come again, whoever sends it, it runs nothing.

use std::fmt::Write;

use super::{command::Commander, hear::Hearing, trouble::Trouble};
use crate::{
    connector::messenger::{Calls, Message, Refusal, chat_lane},
    crypto::random_code,
    domain::{ChatId, ChatMessage, Effect, Queue, ReplyId, RootId},
    queue::{self, InboxVerdict, Signal},
    quick_action::{Dialect, Found, parse},
    store::{
        chat,
        identity::{self, CODE_MINUTES},
        member,
        room::{self, Account},
        said::{self, Said},
    },
};

/// Acts on a message.
pub(super) async fn message(
    hearing: &Hearing<'_>,
    message: &ChatMessage,
) -> Result<InboxVerdict, Trouble> {
    if message.by_bot {
        return hearing.ignore("written by another bot").await;
    }
    let mut connection = hearing.worker.pool.acquire().await?;
    let on = hearing.remote.id;
    let accounts =
        room::accounts(&mut connection, on, std::slice::from_ref(&message.author)).await?;
    let account = accounts.get(&message.author).copied();
    let of_item = chat::of_room(&mut connection, on, &message.chat).await?;
    drop(connection);
    if account.is_some_and(|account| account.is_bot) {
        return hearing.ignore("written by another bot").await;
    }
    match (of_item, account) {
        (Some(place), account) => {
            let commands = commands(hearing, &message.text);
            if commands.is_empty() {
                return hearing.ignore("no commands in it").await;
            }
            match recognised(hearing, message, Some(place), account).await? {
                Some(account) => in_chat(hearing, message, place, (account, &commands)).await,
                None => give_code(hearing, message).await,
            }
        }
        (None, account) => Box::pin(alone(hearing, message, account)).await,
    }
}

/// Returns the commands of a message, in the spellings of a messenger: `!crm …` beside the three that trackers have.
fn commands(hearing: &Hearing<'_>, text: &str) -> Vec<Found> {
    let mut spelled = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("!crm") {
            Some(rest) if rest.starts_with([' ', '\n']) || rest.is_empty() => {
                spelled.push_str("/crm");
                spelled.push_str(rest);
            }
            _ => spelled.push_str(line),
        }
    }
    let dialect = Dialect {
        bot: Some(&hearing.remote.bot),
        slash: true,
    };
    parse(&spelled, &dialect).commands
}

/// Runs the commands of somebody who is known.
async fn in_chat(
    hearing: &Hearing<'_>,
    message: &ChatMessage,
    (root, chat): (RootId, ChatId),
    (account, commands): (Account, &[Found]),
) -> Result<InboxVerdict, Trouble> {
    let Some(commander) = Commander::enter(hearing, (root, chat), account).await? else {
        return hearing.ignore("the chat's item is deleted").await;
    };
    let on = hearing.remote.id;
    let mut tx = hearing.worker.pool.begin().await?;
    if said::is_known(&mut tx, on, &message.id).await? {
        tx.rollback().await?;
        return hearing.ignore("its commands were run before").await;
    }
    let lines = commander.run(&mut tx, commands).await?;
    let reply = ReplyId(hearing.worker.clock.id());
    let said = Said {
        message: &message.id,
        reply,
        lines: &lines,
    };
    said::remember(&mut tx, on, &said, hearing.worker.clock.now()).await?;
    let answer = Effect::Answer {
        room: message.chat.clone(),
        message: message.id.clone(),
        // A thread is gone on with, and a message outside of one begins one.
        thread: message.thread.clone().unwrap_or_else(|| message.id.clone()),
        reply,
    };
    let effect = hearing.effect(chat_lane(hearing.remote.id, &message.chat), answer);
    let queue = effect.effect.queue();
    let now = hearing.worker.clock.now();
    queue::enqueue(&mut tx, root, vec![effect], now, hearing.worker.lease).await?;
    let (count, s) = (commands.len(), if commands.len() == 1 { "" } else { "s" });
    let verdict = InboxVerdict::Done(format!("{count} command{s} run"));
    let verdict = hearing.settle(tx, verdict).await?;
    hearing.announce(queue);
    hearing.announce(Queue::Call);
    let holder = Signal::Customers(commander.group());
    hearing.worker.wake.announce(holder);
    Ok(verdict)
}

/// Returns who somebody is: known before, or recognised now by an address that the messenger vouches for.
async fn recognised(
    hearing: &Hearing<'_>,
    message: &ChatMessage,
    of_item: Option<(RootId, ChatId)>,
    account: Option<Account>,
) -> Result<Option<Account>, Trouble> {
    let client = &hearing.remote.client;
    if account.is_some() || !client.abilities().finds_by_email {
        return Ok(account);
    }
    let facts = client.user(&message.author).await?;
    let Some(facts) = facts.filter(|facts| facts.active && !facts.is_bot && !facts.is_guest) else {
        return Ok(None);
    };
    let Some(email) = &facts.email else {
        return Ok(None);
    };
    let on = hearing.remote.id;
    let mut tx = hearing.worker.pool.begin().await?;
    let Some(person) = identity::by_email(&mut tx, email).await? else {
        return Ok(None);
    };
    let named = (on, &*facts.remote_id, &*facts.username);
    identity::link(&mut tx, person, named).await?;
    let mut chats = member::of_stranger(&mut tx, on, &facts.remote_id).await?;
    // Where he is being met at this moment he is no stranger yet.
    chats.extend(of_item.filter(|chat| !chats.contains(chat)));
    // Also where a look waits already: it may begin before the account is committed, and would hold him for a stranger.
    hearing.settle_chats(&mut tx, &chats).await?;
    tx.commit().await?;
    hearing.announce(Queue::Call);
    Ok(Some(Account {
        person,
        active: true,
        is_bot: false,
    }))
}

/// Answers what somebody wrote to the bot alone.
async fn alone(
    hearing: &Hearing<'_>,
    message: &ChatMessage,
    account: Option<Account>,
) -> Result<InboxVerdict, Trouble> {
    let is_alone = message.direct || is_of_two(hearing, message).await?;
    if !is_alone {
        return hearing.ignore("in a room that is no item's chat").await;
    }
    match recognised(hearing, message, None, account).await? {
        Some(_) => {
            hearing
                .ignore("somebody who is known wrote to the bot alone")
                .await
        }
        None => give_code(hearing, message).await,
    }
}

/// Asks whether nobody but the two is in a room.
async fn is_of_two(hearing: &Hearing<'_>, message: &ChatMessage) -> Result<bool, Trouble> {
    let members = hearing.remote.client.members(&message.chat).await?;
    let bot = hearing.remote.bot_id(&hearing.worker.pool).await?;
    Ok(members.is_ok_and(|members| {
        members
            .iter()
            .all(|member| member.remote_id == bot || member.remote_id == message.author)
    }))
}

/// Gives somebody who is unknown a code, alone.
async fn give_code(hearing: &Hearing<'_>, message: &ChatMessage) -> Result<InboxVerdict, Trouble> {
    let Some(facts) = hearing.remote.client.user(&message.author).await? else {
        return hearing.ignore("the messenger knows no such user").await;
    };
    if facts.is_bot || facts.is_guest || !facts.active {
        return hearing.ignore("written by a bot or a guest").await;
    }
    let on = hearing.remote.id;
    let mut tx = hearing.worker.pool.begin().await?;
    let account = (on, &*facts.remote_id, &*facts.username);
    let (code, now) = (random_code(), hearing.worker.clock.now());
    if !identity::give_code(&mut tx, (&code, hearing.delivery.id), account, now).await? {
        tx.rollback().await?;
        return hearing.ignore("has enough codes for now").await;
    }
    tx.commit().await?;
    let text = introduction(&code);
    let told = Message {
        key: hearing.delivery.id.0,
        markdown: &text,
        answers: None,
        tag: Some("liaison-code"),
    };
    hearing.remote.pace().await;
    let outcome = match hearing.remote.client.tell(&message.author, &told).await? {
        Ok(_) => "a stranger was given a code",
        Err(Refusal::UnknownUser | Refusal::InactiveUser | Refusal::Banned) => {
            "the messenger does not reach him"
        }
        Err(refusal) => return Err(Trouble::Hopeless(refusal.to_string())),
    };
    let tx = hearing.worker.pool.begin().await?;
    hearing
        .settle(tx, InboxVerdict::Done(outcome.to_owned()))
        .await
}

/// Returns what somebody is told who is unknown.
fn introduction(code: &str) -> String {
    let mut text = "I do not know yet who you are. Sign in to Liaison and enter this code, or give it to your administrator:\n\n".to_owned();
    let _ = write!(
        text,
        "- code: `{code}`\n- in the API: `personLink(input: {{ code: \"{code}\" }})`\n- on the command line: `liaison person link {code} --person USERNAME`\n\n"
    );
    let _ = write!(
        text,
        "It works once, for {CODE_MINUTES} minutes. Write to me again for another one."
    );
    text
}

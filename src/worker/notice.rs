//! A person is told, alone, what an operation did that concerns him: one message for all of it.

use super::{Remote, Worker, trouble::Trouble};
use crate::{
    connector::messenger::{Calls, Message, Messenger, Refusal},
    domain::{Effect, Happening, News},
    queue::Pending,
    quick_action::code_span,
    store::notice::{self, Named, Recipient},
};

/// Tells a person his news.
pub(super) async fn tell(
    worker: &Worker,
    remote: &Remote<Messenger>,
    pending: &Pending,
) -> Result<&'static str, Trouble> {
    let Ok(Effect::Notify {
        person,
        by,
        operation,
        news,
        ..
    }) = &pending.effect
    else {
        return Ok("nothing to tell");
    };
    let root = pending.claimed.root;
    let mut connection = worker.pool.acquire().await?;
    let recipient = notice::recipient(&mut connection, remote.id, *person).await?;
    let Some(Recipient { user }) = recipient else {
        return Ok("he has no account there, wants no notices, or is gone");
    };
    let items: Vec<i64> = news
        .iter()
        .flat_map(|news| news.items.iter().map(|item| item.0))
        .collect();
    let named = notice::items(&mut connection, root, &items).await?;
    let by = match by {
        Some(by) => notice::name(&mut connection, *by).await?,
        None => None,
    };
    drop(connection);
    let written: Vec<String> = news
        .iter()
        .filter_map(|news| write(news, &named, by.as_deref(), worker))
        .collect();
    if written.is_empty() {
        return Ok("what he would be told about is gone");
    }
    remote.pace().await;
    let tag = format!("liaison-{operation}");
    let message = Message {
        key: pending.id.0,
        markdown: &written.join("\n"),
        answers: None,
        tag: Some(&tag),
    };
    match remote.client.tell(&user, &message).await? {
        Ok(_) => Ok("told"),
        Err(Refusal::UnknownUser | Refusal::InactiveUser | Refusal::Banned) => {
            Ok("the messenger does not reach him")
        }
        Err(refusal) => Err(Trouble::Hopeless(refusal.to_string())),
    }
}

/// Writes one line of a notice; none where its items are all gone.
fn write(news: &News, named: &[Named], by: Option<&str>, worker: &Worker) -> Option<String> {
    let items: Vec<String> = news
        .items
        .iter()
        .filter_map(|item| named.iter().find(|named| named.item == *item))
        .map(|named| link(named, worker))
        .collect();
    if items.is_empty() {
        return None;
    }
    let more = news.count.saturating_sub(news.items.len() as u64);
    let mut list = items.join(", ");
    if more > 0 {
        list = format!("{list} and {more} more");
    }
    let by = by
        .map(|name| format!(" (by {})", code_span(name)))
        .unwrap_or_default();
    Some(match news.what {
        Happening::Observing => format!("- You now observe {list}{by}."),
        Happening::ObservingNoLonger => format!("- You no longer observe {list}{by}."),
        Happening::Responsible => format!("- You are now responsible for {list}{by}."),
        Happening::ResponsibleNoLonger => {
            format!("- You are no longer responsible for {list}{by}.")
        }
        Happening::AskedToApprove => format!(
            "- Somebody was added to the chat of {list}{by} and may observe it once you add him."
        ),
    })
}

/// Returns an item's title, and the address of its page.
fn link(named: &Named, worker: &Worker) -> String {
    let path = format!("groups/{}/-/crm/items/{}", named.group_path, named.item);
    let title = code_span(&named.title);
    match worker.public_url.join(&path) {
        Ok(url) => format!("{title} ({url})"),
        Err(_) => title,
    }
}

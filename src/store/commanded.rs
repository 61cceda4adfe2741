//! What commands about people and items need, in a comment or in a chat, and what they change.

use sqlx::PgConnection;

use super::{
    StoreError, chat,
    observer::{self, Seen},
    operation::{self, Act, Told},
    person, policy,
};
use crate::{
    domain::{ChatHistory, ConnectionId, GroupId, IssueId, ItemId, ItemKind, PersonId, RootId},
    quick_action::ItemRef,
    rules::{Change, Following, KnownItem, Operation, Place, WatchNeeds, WatchSnapshot},
};

/// Where commands stand and who gives them.
#[derive(Debug, Clone, Copy)]
pub struct Spoken {
    /// Tenant.
    pub root: RootId,
    /// The group that holds the items.
    pub group: GroupId,
    /// The issue, if they stand on one.
    pub issue: Option<IssueId>,
    /// Where they stand.
    pub place: Place,
    /// Whoever gives them.
    pub actor: PersonId,
    /// Whether he is anybody in the tree.
    pub is_member: bool,
    /// The connection on which they were typed, by whose usernames people are named.
    pub on: Option<ConnectionId>,
}

/// Loads what commands need; `past` are items of operations that may be taken back.
pub async fn snapshot(
    connection: &mut PgConnection,
    spoken: Spoken,
    needs: &WatchNeeds,
    past: &[i64],
) -> Result<WatchSnapshot, StoreError> {
    let nothing = needs.items.is_empty() && !needs.here && past.is_empty();
    if nothing {
        return Ok(WatchSnapshot {
            place: spoken.place,
            actor: Some(spoken.actor),
            ..WatchSnapshot::default()
        });
    }
    let policy = policy::of_group(connection, spoken.root, spoken.group).await?;
    let rows = rows(connection, spoken, needs, past).await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id.0).collect();
    let messenger = policy.messenger.map(|(_, kind)| kind);
    let seen = observer::lock(connection, spoken.root, &ids, messenger).await?;
    let items: Vec<KnownItem> = seen
        .into_iter()
        .filter_map(|seen| {
            let row = rows.iter().find(|row| row.id == seen.watched.item)?;
            Some(known(seen, row, spoken))
        })
        .collect();
    let named = person::named(connection, spoken.on, &needs.people).await?;
    let found: Vec<PersonId> = named.iter().map(|(_, person)| person.id).collect();
    let colleagues = person::colleagues(connection, spoken.root, &found).await?;
    Ok(WatchSnapshot {
        place: spoken.place,
        actor: Some(spoken.actor),
        people: named
            .into_iter()
            .filter(|(_, person)| colleagues.contains(&person.id))
            .map(|(typed, person)| (typed, person.id))
            .collect(),
        usernames: usernames(connection, &items).await?,
        items,
        policies: policy.policies,
        messenger: policy.messenger.map(|(on, _)| on),
    })
}

struct Row {
    id: ItemId,
    kind: String,
    active: bool,
    email: Option<String>,
    title: String,
    related: bool,
}

async fn rows(
    connection: &mut PgConnection,
    spoken: Spoken,
    needs: &WatchNeeds,
    past: &[i64],
) -> Result<Vec<Row>, StoreError> {
    let mut ids = past.to_vec();
    let (mut emails, mut names) = (Vec::new(), Vec::new());
    for item in &needs.items {
        match item {
            ItemRef::Id { id, .. } => ids.push(id.0),
            ItemRef::Contact(email) => emails.push(email.clone()),
            ItemRef::Organization(name) => names.push(name.clone()),
        }
    }
    if let (Place::Chat(item), true) = (spoken.place, needs.here) {
        ids.push(item.0);
    }
    let issue = spoken.issue.filter(|_| needs.here);
    let rows = sqlx::query_as!(
        Row,
        r#"WITH wanted AS (
               SELECT unnest($3::bigint[]) AS id
               UNION SELECT items.id FROM items WHERE root_id = $1 AND group_id = $2 AND kind = 'contact' AND email IS NOT NULL
                                                  AND lower(email) IN (SELECT lower(typed) FROM unnest($4::text[]) AS typed)
               UNION SELECT items.id FROM items WHERE root_id = $1 AND group_id = $2 AND kind = 'organization'
                                                  AND lower(title) IN (SELECT lower(typed) FROM unnest($5::text[]) AS typed)
               UNION SELECT item_id FROM issue_items WHERE root_id = $1 AND issue_id = $6)
           SELECT items.id AS "id: ItemId", items.kind, items.state = 'active' AS "active!", items.email, items.title,
                  (SELECT true FROM issue_items WHERE root_id = $1 AND issue_id = $7 AND item_id = items.id LIMIT 1) IS NOT NULL AS "related!"
           FROM items WHERE items.root_id = $1 AND items.group_id = $2 AND items.id = ANY (ARRAY (SELECT id FROM wanted))
           ORDER BY items.id"#,
        spoken.root.0,
        spoken.group.0,
        &ids,
        &emails,
        &names,
        issue.map(|issue| issue.0),
        spoken.issue.map(|issue| issue.0),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

fn known(seen: Seen, row: &Row, spoken: Spoken) -> KnownItem {
    let known_by = match ItemKind::from_word(&row.kind) {
        ItemKind::Contact => row.email.clone(),
        ItemKind::Organization => Some(row.title.clone()),
        _ => None,
    };
    KnownItem {
        watched: seen.watched,
        chat_on: seen.chat_on,
        known_by,
        active: row.active,
        related: row.related,
        is_member: spoken.is_member,
    }
}

async fn usernames(
    connection: &mut PgConnection,
    items: &[KnownItem],
) -> Result<Vec<(PersonId, String)>, StoreError> {
    let mut people: Vec<PersonId> = items
        .iter()
        .flat_map(|item| {
            let observers = item.watched.observers.iter().map(|one| one.person);
            let responsible = item.watched.responsible.map(|one| one.person);
            observers.chain(responsible)
        })
        .collect();
    people.sort_unstable();
    people.dedup();
    if people.is_empty() {
        return Ok(Vec::new());
    }
    let names = person::names(connection, &people).await?;
    Ok(names
        .into_iter()
        .map(|(person, username, _)| (person, username))
        .collect())
}

/// Makes what a command changes about people and chats, and tells the history; returns what follows.
pub async fn apply(
    connection: &mut PgConnection,
    act: &Act,
    operation: &Operation,
) -> Result<Following, StoreError> {
    let changes: Vec<_> = operation
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::Watch(change) => Some(*change),
            _ => None,
        })
        .collect();
    if !changes.is_empty() {
        observer::apply(connection, act, &changes).await?;
    }
    let mut following = operation.following.clone();
    for change in &operation.changes {
        let Change::CreateChat { item, on } = *change else {
            continue;
        };
        let new = chat::NewChat {
            item,
            connection: on,
            history: ChatHistory::All,
            by: act.actor,
            at: act.at,
        };
        following
            .chats
            .insert((chat::create(connection, act.root, new).await?, on));
        let told = Told {
            item: Some(item),
            action: "chat_created",
            detail: serde_json::Map::new(),
        };
        operation::append(connection, act, vec![told]).await?;
    }
    Ok(following)
}

/// Returns who of those that something follows for can be told, over the group's messenger.
pub async fn reachable(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    following: &Following,
) -> Result<Vec<(PersonId, ConnectionId)>, StoreError> {
    let people = following.people();
    if people.is_empty() {
        return Ok(Vec::new());
    }
    match policy::of_group(connection, root, group).await?.messenger {
        Some((messenger, _)) => policy::reachable(connection, messenger, &people).await,
        None => Ok(Vec::new()),
    }
}

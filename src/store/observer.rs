//! Who observes items and who is responsible for them: looked at under a lock, and changed together with the history.

use std::collections::HashMap;

use serde_json::Map;
use sqlx::PgConnection;

use super::{
    StoreError, member,
    operation::{self, Act},
    watch_history::told,
};
use crate::{
    domain::{ChatId, ConnectionId, ConnectionKind, GroupId, ItemId, ItemKind, PersonId, RootId},
    rules::{Observer, ObserverChange, Responsible, Watched, put_in},
};

/// An item, who watches it, and the messenger of its chat.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What decisions look at.
    pub watched: Watched,
    /// The connection of its chat.
    pub chat_on: Option<ConnectionId>,
}

impl Seen {
    /// Returns its chat and the connection that it is on.
    pub fn chat(&self) -> Option<(ChatId, ConnectionId)> {
        self.watched.chat.zip(self.chat_on)
    }
}

/// Locks items in the order of their ids against other changes of who watches them, and returns those that exist.
///
/// `messenger` is the kind of the group's messenger, which chats that are not made yet will be in.
pub async fn lock(
    connection: &mut PgConnection,
    root: RootId,
    items: &[i64],
    messenger: Option<ConnectionKind>,
) -> Result<Vec<Seen>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT items.id AS "id: ItemId", items.kind, items.responsible_id AS "responsible: PersonId", items.responsible_in_chat,
                  coalesce(item_types.observers, items.kind NOT IN ('estimate', 'signing_document')) AS "observable!",
                  chats.id AS "chat?: ChatId", chats.connection_id AS "chat_on?: ConnectionId", connections.kind AS "messenger?"
           FROM items
           LEFT JOIN item_types ON item_types.root_id = items.root_id AND item_types.id = items.type_id
           LEFT JOIN chats ON chats.root_id = items.root_id AND chats.item_id = items.id
           LEFT JOIN connections ON connections.id = chats.connection_id
           WHERE items.root_id = $1 AND items.id = ANY($2) ORDER BY items.id FOR NO KEY UPDATE OF items"#,
        root.0,
        items,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut observers = of_items(connection, root, items).await?;
    let mut hidden = hidden_before(connection, root, items).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let kind = row.messenger.and_then(|word| word.parse().ok());
            let watched = Watched {
                item: row.id,
                kind: ItemKind::from_word(&row.kind),
                observable: row.observable,
                responsible: row.responsible.map(|person| Responsible {
                    person,
                    in_chat: row.responsible_in_chat,
                }),
                observers: observers.remove(&row.id).unwrap_or_default(),
                hidden_before: hidden.remove(&row.id).unwrap_or_default(),
                chat: row.chat,
                hides_history: kind.or(messenger).map(ConnectionKind::hides_history),
            };
            Seen {
                watched,
                chat_on: row.chat_on,
            }
        })
        .collect())
}

/// Returns who observes items, in the order in which they came.
pub async fn of_items(
    connection: &mut PgConnection,
    root: RootId,
    items: &[i64],
) -> Result<HashMap<ItemId, Vec<Observer>>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT item_id AS "item: ItemId", person_id AS "person: PersonId", in_chat, show_history, added_by AS "added_by: PersonId", added_at
           FROM observers WHERE root_id = $1 AND item_id = ANY($2) ORDER BY item_id, added_at, person_id"#,
        root.0,
        items,
    )
    .fetch_all(connection)
    .await?;
    let mut found: HashMap<ItemId, Vec<Observer>> = HashMap::new();
    for row in rows {
        found.entry(row.item).or_default().push(Observer {
            person: row.person,
            in_chat: row.in_chat,
            show_history: row.show_history,
            added_by: row.added_by,
            added_at: row.added_at,
        });
    }
    Ok(found)
}

/// Returns which of some items a group holds.
pub async fn those_in_group(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    items: &[i64],
) -> Result<Vec<i64>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM items WHERE root_id = $1 AND id = ANY($3) AND group_id = $2 ORDER BY id",
        root.0,
        group.0,
        items,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

/// Returns who of some people waits to observe an item, and forgets them where they are turned away.
pub async fn requests(
    connection: &mut PgConnection,
    (root, item): (RootId, ItemId),
    people: &[PersonId],
    forget: bool,
) -> Result<Vec<PersonId>, StoreError> {
    let ids: Vec<i64> = people.iter().map(|person| person.0).collect();
    let found = sqlx::query_scalar!(
        r#"WITH gone AS (
               DELETE FROM observer_requests WHERE $4 AND root_id = $1 AND item_id = $2 AND person_id = ANY($3) RETURNING person_id)
           SELECT person_id AS "person!: PersonId" FROM observer_requests WHERE root_id = $1 AND item_id = $2 AND person_id = ANY($3)
           UNION SELECT person_id FROM gone"#,
        root.0,
        item.0,
        &ids,
        forget,
    )
    .fetch_all(connection)
    .await?;
    Ok(found)
}

/// Returns who waits to observe an item, in the order in which they were added to its chat.
pub async fn waiting(
    connection: &mut PgConnection,
    (root, item): (RootId, ItemId),
) -> Result<Vec<PersonId>, StoreError> {
    let people = sqlx::query_scalar!(
        r#"SELECT person_id AS "person: PersonId" FROM observer_requests
           WHERE root_id = $1 AND item_id = $2 ORDER BY requested_at, person_id"#,
        root.0,
        item.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(people)
}

/// Returns whether whoever is responsible for an item is to be in its chat.
pub async fn responsible_in_chat(
    connection: &mut PgConnection,
    (root, item): (RootId, ItemId),
) -> Result<bool, StoreError> {
    let is_in = sqlx::query_scalar!(
        "SELECT responsible_in_chat FROM items WHERE root_id = $1 AND id = $2",
        root.0,
        item.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(is_in.unwrap_or(true))
}

/// Returns from whom the past of an item's chat was hidden when he last observed it.
async fn hidden_before(
    connection: &mut PgConnection,
    root: RootId,
    items: &[i64],
) -> Result<HashMap<ItemId, Vec<PersonId>>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT item AS "item!: ItemId", person AS "person!: PersonId"
           FROM (SELECT DISTINCT ON (item_id, detail ->> 'person') item_id AS item, (detail ->> 'person')::bigint AS person,
                        (detail ->> 'show_history')::boolean AS shown
                 FROM history WHERE root_id = $1 AND item_id = ANY($2) AND action = 'observer_removed'
                 ORDER BY item_id, detail ->> 'person', id DESC) AS last
           WHERE NOT shown"#,
        root.0,
        items,
    )
    .fetch_all(connection)
    .await?;
    let mut found: HashMap<ItemId, Vec<PersonId>> = HashMap::new();
    for row in rows {
        found.entry(row.item).or_default().push(row.person);
    }
    Ok(found)
}

/// Makes changes that were decided on under [`lock`], and tells the history.
pub async fn apply(
    connection: &mut PgConnection,
    act: &Act,
    changes: &[ObserverChange],
) -> Result<(), StoreError> {
    let mut removed = Vec::new();
    let mut stored = Vec::new();
    let mut responsible = Vec::new();
    let mut requested = Vec::new();
    for change in changes {
        match *change {
            ObserverChange::Removed(item, observer) => removed.push((item, observer.person)),
            ObserverChange::Added(item, observer)
            | ObserverChange::Changed {
                item,
                after: observer,
                ..
            } => stored.push((item, observer)),
            ObserverChange::Responsible { item, after, .. } => responsible.push((item, after)),
            ObserverChange::Requested { item, person, by } => requested.push((item, person, by)),
        }
    }
    member::forget(connection, act.root, &put_in(changes)).await?;
    remove(connection, act.root, &removed).await?;
    store(connection, act.root, &stored).await?;
    give(connection, act, &responsible).await?;
    request(connection, act, &requested).await?;
    operation::append(connection, act, changes.iter().map(told).collect()).await
}

async fn remove(
    connection: &mut PgConnection,
    root: RootId,
    removed: &[(ItemId, PersonId)],
) -> Result<(), StoreError> {
    if removed.is_empty() {
        return Ok(());
    }
    let (items, people): (Vec<i64>, Vec<i64>) = removed
        .iter()
        .map(|(item, person)| (item.0, person.0))
        .unzip();
    sqlx::query!(
        "DELETE FROM observers USING unnest($2::bigint[], $3::bigint[]) AS gone (item, person)
         WHERE root_id = $1 AND item_id = gone.item AND person_id = gone.person",
        root.0,
        &items,
        &people,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores who observes, as he does. What waited for approval is decided by it.
async fn store(
    connection: &mut PgConnection,
    root: RootId,
    stored: &[(ItemId, Observer)],
) -> Result<(), StoreError> {
    if stored.is_empty() {
        return Ok(());
    }
    let items: Vec<i64> = stored.iter().map(|(item, _)| item.0).collect();
    let observers = || stored.iter().map(|(_, observer)| observer);
    let people: Vec<i64> = observers().map(|one| one.person.0).collect();
    let in_chat: Vec<bool> = observers().map(|one| one.in_chat).collect();
    let shown: Vec<bool> = observers().map(|one| one.show_history).collect();
    let by: Vec<Option<i64>> = observers().map(|one| one.added_by.map(|by| by.0)).collect();
    let at: Vec<_> = observers().map(|one| one.added_at).collect();
    sqlx::query!(
        "WITH decided AS (
             DELETE FROM observer_requests USING unnest($2::bigint[], $3::bigint[]) AS come (item, person)
             WHERE root_id = $1 AND item_id = come.item AND person_id = come.person)
         INSERT INTO observers (root_id, item_id, person_id, in_chat, show_history, added_by, added_at)
         SELECT $1, item, person, in_chat, shown, (SELECT id FROM people WHERE id = by), at
         FROM unnest($2::bigint[], $3::bigint[], $4::boolean[], $5::boolean[], $6::bigint[], $7::timestamptz[])
              AS new (item, person, in_chat, shown, by, at)
         ON CONFLICT (root_id, item_id, person_id) DO UPDATE SET in_chat = excluded.in_chat, show_history = excluded.show_history",
        root.0,
        &items,
        &people,
        &in_chat,
        &shown,
        &by as &[Option<i64>],
        &at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives items that come back to whoever was responsible for them, if he is still known.
pub async fn put_responsible(
    connection: &mut PgConnection,
    act: &Act,
    given: &[(ItemId, Responsible)],
) -> Result<(), StoreError> {
    let given: Vec<_> = given.iter().map(|(item, to)| (*item, Some(*to))).collect();
    give(connection, act, &given).await
}

async fn give(
    connection: &mut PgConnection,
    act: &Act,
    given: &[(ItemId, Option<Responsible>)],
) -> Result<(), StoreError> {
    if given.is_empty() {
        return Ok(());
    }
    let items: Vec<i64> = given.iter().map(|(item, _)| item.0).collect();
    let people: Vec<Option<i64>> = given
        .iter()
        .map(|(_, to)| to.map(|to| to.person.0))
        .collect();
    let in_chat: Vec<bool> = given
        .iter()
        .map(|(_, to)| to.is_none_or(|to| to.in_chat))
        .collect();
    sqlx::query!(
        "UPDATE items SET responsible_id = (SELECT people.id FROM people WHERE people.id = new.person), responsible_in_chat = new.in_chat, updated_at = $5
         FROM unnest($2::bigint[], $3::bigint[], $4::boolean[]) AS new (item, person, in_chat)
         WHERE root_id = $1 AND items.id = new.item",
        act.root.0,
        &items,
        &people as &[Option<i64>],
        &in_chat,
        act.at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn request(
    connection: &mut PgConnection,
    act: &Act,
    requested: &[(ItemId, PersonId, PersonId)],
) -> Result<(), StoreError> {
    if requested.is_empty() {
        return Ok(());
    }
    let items: Vec<i64> = requested.iter().map(|(item, ..)| item.0).collect();
    let people: Vec<i64> = requested.iter().map(|(_, person, _)| person.0).collect();
    let by: Vec<i64> = requested.iter().map(|(.., by)| by.0).collect();
    sqlx::query!(
        "INSERT INTO observer_requests (root_id, item_id, person_id, requested_by, requested_at)
         SELECT $1, item, person, by, $5 FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS new (item, person, by)
         ON CONFLICT DO NOTHING",
        act.root.0,
        &items,
        &people,
        &by,
        act.at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Has nobody observe some items any more, since they go, and tells the history.
pub async fn end(
    connection: &mut PgConnection,
    act: &Act,
    items: &[i64],
) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH gone AS (
             DELETE FROM observers WHERE root_id = $1 AND item_id = ANY($2)
             RETURNING item_id, person_id, in_chat, show_history, added_by, added_at)
         INSERT INTO history (root_id, operation, at, actor_id, via, group_id, item_id, action, detail)
         SELECT $1, $3, $4, $5, $6, $7, item_id, 'observer_removed',
                $8::jsonb || jsonb_build_object('person', person_id, 'in_chat', in_chat, 'show_history', show_history,
                                                'added_by', added_by, 'added_at', added_at)
         FROM gone ORDER BY item_id, added_at, person_id",
        act.root.0,
        items,
        act.operation.0,
        act.at,
        act.actor.map(|actor| actor.0),
        act.via.word(),
        act.group.0,
        act.detail(Map::new()),
    )
    .execute(connection)
    .await?;
    Ok(())
}

//! Lists of items of any kind: filtered, sorted, page by page; and the same filters for what is done to all that match.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::{
    StoreError,
    search::{Holder, patterns},
};
use crate::{
    domain::{IssueId, ItemId, ItemKind, ItemTypeId, PersonId, RecordKind, RootId},
    rules::Observer,
};

/// Which items of a group are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemFilter {
    /// Words of kinds; none for all but contacts and organizations, which have lists of their own.
    pub kinds: Option<Vec<String>>,
    /// The type of custom items.
    pub item_type: Option<ItemTypeId>,
    /// Whether they are in use; none for whatever they are.
    pub active: Option<bool>,
    /// Words that must all be found in an item.
    pub search: Option<String>,
    /// Whoever observes them.
    pub observed_by: Option<PersonId>,
    /// Whoever is responsible for them.
    pub responsible: Option<PersonId>,
}

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemSort {
    /// When they were created, the newest first.
    Newest,
    /// When they were created.
    Oldest,
    /// When they last changed, the latest first.
    Updated,
    /// What they are called.
    Title,
}

/// Where a page begins: behind the item with this key and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// Its title in small letters.
    pub title: String,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Its id.
    pub id: ItemId,
}

impl ItemFilter {
    fn kinds(&self) -> Vec<String> {
        self.kinds.clone().unwrap_or_else(|| {
            let records = ItemKind::ALL
                .into_iter()
                .filter(|kind| RecordKind::of(*kind).is_some());
            records.map(|kind| kind.word().to_owned()).collect()
        })
    }

    /// Returns patterns that must all match, one for each word: those of the lists.
    fn patterns(&self) -> Vec<String> {
        patterns(&self.search.as_deref().unwrap_or_default().to_lowercase())
    }
}

/// Returns the ids of the items that match, above one of them, in the order of ids.
pub async fn ids_above(
    connection: &mut PgConnection,
    (root, group): Holder,
    filter: &ItemFilter,
    (above, limit): (i64, i64),
) -> Result<Vec<i64>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM items
         WHERE root_id = $1 AND group_id = $2 AND id > $3 AND kind = ANY($4)
           AND ($5::bigint IS NULL OR type_id = $5)
           AND ($6::boolean IS NULL OR (state = 'active') = $6)
           AND search_text LIKE ALL($7)
           AND ($8::bigint IS NULL OR responsible_id = $8)
           AND ($9::bigint IS NULL
                OR EXISTS (SELECT FROM observers WHERE observers.root_id = $1 AND item_id = items.id AND person_id = $9))
         ORDER BY id LIMIT $10",
        root.0,
        group.0,
        above,
        &filter.kinds(),
        filter.item_type.map(|id| id.0),
        filter.active,
        &filter.patterns(),
        filter.responsible.map(|person| person.0),
        filter.observed_by.map(|person| person.0),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

/// Returns how many items match.
pub async fn count(
    connection: &mut PgConnection,
    holder: Holder,
    filter: &ItemFilter,
) -> Result<i64, StoreError> {
    count_up_to(connection, holder, filter, i64::MAX).await
}

/// Returns how many items match, and stops counting at so many.
pub async fn count_up_to(
    connection: &mut PgConnection,
    (root, group): Holder,
    filter: &ItemFilter,
    most: i64,
) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT FROM items
               WHERE root_id = $1 AND group_id = $2 AND kind = ANY($3)
                 AND ($4::bigint IS NULL OR type_id = $4)
                 AND ($5::boolean IS NULL OR (state = 'active') = $5)
                 AND search_text LIKE ALL($6)
                 AND ($7::bigint IS NULL OR responsible_id = $7)
                 AND ($8::bigint IS NULL
                      OR EXISTS (SELECT FROM observers WHERE observers.root_id = $1 AND item_id = items.id AND person_id = $8))
               LIMIT $9) AS matching"#,
        root.0,
        group.0,
        &filter.kinds(),
        filter.item_type.map(|id| id.0),
        filter.active,
        &filter.patterns(),
        filter.responsible.map(|person| person.0),
        filter.observed_by.map(|person| person.0),
        most,
    )
    .fetch_one(connection)
    .await?;
    Ok(count)
}

/// Returns a page of the items that match, in the order of the list.
pub async fn page(
    connection: &mut PgConnection,
    (root, group): Holder,
    filter: &ItemFilter,
    (sort, after, limit): (ItemSort, Option<&After>, i64),
) -> Result<Vec<ItemId>, StoreError> {
    // The words of each sort are its index's, to the letter.
    let (beyond, order) = match sort {
        ItemSort::Newest => ("id < $9", "id DESC"),
        ItemSort::Oldest => ("id > $9", "id"),
        ItemSort::Updated => ("(updated_at, id) < ($10, $9)", "updated_at DESC, id DESC"),
        ItemSort::Title => (
            r#"((lower(title) COLLATE "C"), id) > ($11, $9)"#,
            r#"(lower(title) COLLATE "C"), id"#,
        ),
    };
    let records = if filter.kinds.is_none() {
        "kind NOT IN ('contact', 'organization')"
    } else {
        "true"
    };
    let sql = format!(
        "SELECT id FROM items
         WHERE root_id = $1 AND group_id = $2 AND {records} AND kind = ANY($3) AND ($4::bigint IS NULL OR type_id = $4)
           AND ($5::boolean IS NULL OR (state = 'active') = $5) AND search_text LIKE ALL($6)
           AND ($7::bigint IS NULL OR responsible_id = $7)
           AND ($8::bigint IS NULL
                OR EXISTS (SELECT FROM observers WHERE observers.root_id = $1 AND item_id = items.id AND person_id = $8))
           AND ($9::bigint IS NULL OR {beyond}) AND ($10::timestamptz IS NULL OR true) AND ($11::text IS NULL OR true)
         ORDER BY {order} LIMIT $12"
    );
    let ids = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(root.0)
        .bind(group.0)
        .bind(filter.kinds())
        .bind(filter.item_type.map(|id| id.0))
        .bind(filter.active)
        .bind(filter.patterns())
        .bind(filter.responsible.map(|person| person.0))
        .bind(filter.observed_by.map(|person| person.0))
        .bind(after.map(|after| after.id.0))
        .bind(after.map(|after| after.updated_at))
        .bind(after.map(|after| after.title.clone()))
        .bind(limit)
        .fetch_all(connection)
        .await?;
    Ok(ids)
}

/// Returns where the page behind an item begins.
pub async fn after(
    connection: &mut PgConnection,
    (root, group): Holder,
    item: ItemId,
) -> Result<Option<After>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT lower(title) AS "title!", updated_at FROM items WHERE root_id = $1 AND group_id = $2 AND id = $3"#,
        root.0,
        group.0,
        item.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| After {
        title: row.title,
        updated_at: row.updated_at,
        id: item,
    }))
}

/// Returns the items that a person observes, the newest first, below an id.
pub async fn observed(
    connection: &mut PgConnection,
    person: PersonId,
    (below, limit): (i64, i64),
) -> Result<Vec<(RootId, ItemId)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", item_id AS "item: ItemId" FROM observers
           WHERE person_id = $1 AND item_id < $2 ORDER BY item_id DESC LIMIT $3"#,
        person.0,
        below,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.root, row.item)).collect())
}

/// Returns the items that a person observes or is responsible for, the newest first.
pub async fn watched(
    connection: &mut PgConnection,
    person: PersonId,
    limit: i64,
) -> Result<Vec<ItemId>, StoreError> {
    let items = sqlx::query_scalar!(
        r#"SELECT item AS "item!: ItemId" FROM (
               (SELECT item_id AS item FROM observers WHERE person_id = $1 ORDER BY root_id DESC, item_id DESC LIMIT $2)
               UNION
               (SELECT id FROM items WHERE responsible_id = $1 ORDER BY root_id DESC, id DESC LIMIT $2)) AS watched
           ORDER BY item DESC LIMIT $2"#,
        person.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(items)
}

/// Returns the items that issues are related to, up to `limit` of each, the oldest first.
pub async fn of_issues(
    connection: &mut PgConnection,
    issues: &[(RootId, IssueId)],
    limit: i64,
) -> Result<Vec<(RootId, IssueId, ItemId)>, StoreError> {
    let (roots, ids): (Vec<i64>, Vec<i64>) =
        issues.iter().map(|(root, issue)| (root.0, issue.0)).unzip();
    let rows = sqlx::query!(
        r#"SELECT wanted.root AS "root!: RootId", wanted.issue AS "issue!: IssueId", slice.item_id AS "item: ItemId"
           FROM unnest($1::bigint[], $2::bigint[]) AS wanted (root, issue)
           CROSS JOIN LATERAL (
               SELECT item_id FROM issue_items WHERE root_id = wanted.root AND issue_id = wanted.issue ORDER BY item_id LIMIT $3) AS slice
           ORDER BY slice.item_id"#,
        &roots,
        &ids,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.root, row.issue, row.item))
        .collect())
}

/// Returns the contacts and organizations that items are about.
pub async fn linked(
    connection: &mut PgConnection,
    items: &[(RootId, ItemId)],
) -> Result<Vec<(RootId, ItemId, ItemId)>, StoreError> {
    let (roots, ids): (Vec<i64>, Vec<i64>) =
        items.iter().map(|(root, item)| (root.0, item.0)).unzip();
    let rows = sqlx::query!(
        r#"SELECT wanted.root AS "root!: RootId", wanted.item AS "item!: ItemId", linked_id AS "linked: ItemId"
           FROM unnest($1::bigint[], $2::bigint[]) AS wanted (root, item)
           JOIN item_links ON item_links.root_id = wanted.root AND item_links.item_id = wanted.item
           ORDER BY linked_id"#,
        &roots,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.root, row.item, row.linked))
        .collect())
}

/// Returns who observes items of any tenants, in the order in which they came.
pub async fn observers(
    connection: &mut PgConnection,
    items: &[(RootId, ItemId)],
) -> Result<Vec<(RootId, ItemId, Observer)>, StoreError> {
    let (roots, ids): (Vec<i64>, Vec<i64>) =
        items.iter().map(|(root, item)| (root.0, item.0)).unzip();
    let rows = sqlx::query!(
        r#"SELECT wanted.root AS "root!: RootId", wanted.item AS "item!: ItemId", person_id AS "person: PersonId", in_chat, show_history,
                  added_by AS "added_by: PersonId", added_at
           FROM unnest($1::bigint[], $2::bigint[]) AS wanted (root, item)
           JOIN observers ON observers.root_id = wanted.root AND observers.item_id = wanted.item
           ORDER BY added_at, person_id"#,
        &roots,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let observer = Observer {
                person: row.person,
                in_chat: row.in_chat,
                show_history: row.show_history,
                added_by: row.added_by,
                added_at: row.added_at,
            };
            (row.root, row.item, observer)
        })
        .collect())
}

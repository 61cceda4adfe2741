//! Which contacts and organizations an item is about, changed together with the history.

use serde_json::{Map, json};
use sqlx::PgConnection;

use super::{
    StoreError,
    operation::{self, Act, Told},
};
use crate::domain::{GroupId, ItemId, RootId};

/// An item, and a contact or organization that it is about.
pub type Link = (ItemId, ItemId);

/// Links items to contacts and organizations; returns the links that were not there before.
pub async fn add(
    connection: &mut PgConnection,
    act: &Act,
    links: &[Link],
) -> Result<Vec<Link>, StoreError> {
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let (items, linked) = columns(links);
    let rows = sqlx::query!(
        r#"INSERT INTO item_links (root_id, item_id, linked_id)
           SELECT $1, item, linked FROM unnest($2::bigint[], $3::bigint[]) AS new (item, linked) ORDER BY item, linked
           ON CONFLICT DO NOTHING RETURNING item_id AS "item: ItemId", linked_id AS "linked: ItemId""#,
        act.root.0,
        &items,
        &linked,
    )
    .fetch_all(&mut *connection)
    .await?;
    let come: Vec<Link> = rows.into_iter().map(|row| (row.item, row.linked)).collect();
    tell(connection, act, "item_linked", &come).await?;
    Ok(come)
}

/// Ends links; returns those that there were.
pub async fn remove(
    connection: &mut PgConnection,
    act: &Act,
    links: &[Link],
) -> Result<Vec<Link>, StoreError> {
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let (items, linked) = columns(links);
    let rows = sqlx::query!(
        r#"DELETE FROM item_links USING unnest($2::bigint[], $3::bigint[]) AS old (item, linked)
           WHERE root_id = $1 AND item_id = old.item AND linked_id = old.linked
           RETURNING item_id AS "item: ItemId", linked_id AS "linked: ItemId""#,
        act.root.0,
        &items,
        &linked,
    )
    .fetch_all(&mut *connection)
    .await?;
    let gone: Vec<Link> = rows.into_iter().map(|row| (row.item, row.linked)).collect();
    tell(connection, act, "item_unlinked", &gone).await?;
    Ok(gone)
}

async fn tell(
    connection: &mut PgConnection,
    act: &Act,
    action: &'static str,
    links: &[Link],
) -> Result<(), StoreError> {
    let told = links.iter().map(|(item, linked)| {
        let mut detail = Map::new();
        detail.insert("linked".to_owned(), json!(linked));
        Told {
            item: Some(*item),
            action,
            detail,
        }
    });
    operation::append(connection, act, told.collect()).await
}

/// Returns the links that some items have, in either direction.
pub async fn touching(
    connection: &mut PgConnection,
    root: RootId,
    items: &[i64],
) -> Result<Vec<Link>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT item_id AS "item!: ItemId", linked_id AS "linked!: ItemId" FROM item_links WHERE root_id = $1 AND item_id = ANY($2)
           UNION
           SELECT item_id, linked_id FROM item_links WHERE linked_id = ANY($2) AND root_id = $1
           ORDER BY 1, 2"#,
        root.0,
        items,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.item, row.linked)).collect())
}

/// Hands the links of items over to another one, or ends them where there is none.
pub async fn hand_over(
    connection: &mut PgConnection,
    act: &Act,
    items: &[i64],
    heir: Option<ItemId>,
) -> Result<(), StoreError> {
    let gone = touching(connection, act.root, items).await?;
    remove(connection, act, &gone).await?;
    if let Some(heir) = heir {
        let instead = |item: ItemId| if items.contains(&item.0) { heir } else { item };
        let mut come: Vec<Link> = gone
            .iter()
            .map(|(item, linked)| (instead(*item), instead(*linked)))
            .filter(|(item, linked)| item != linked)
            .collect();
        come.sort_unstable();
        come.dedup();
        add(connection, act, &come).await?;
    }
    Ok(())
}

/// Returns which of some items are contacts or organizations of a group.
pub async fn linkable(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    items: &[i64],
) -> Result<Vec<ItemId>, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT id AS "id: ItemId" FROM items
           WHERE root_id = $1 AND id = ANY($3) AND group_id = $2 AND kind IN ('contact', 'organization') ORDER BY id FOR SHARE"#,
        root.0,
        group.0,
        items,
    )
    .fetch_all(connection)
    .await?;
    Ok(found)
}

fn columns(links: &[Link]) -> (Vec<i64>, Vec<i64>) {
    links
        .iter()
        .map(|(item, linked)| (item.0, linked.0))
        .unzip()
}

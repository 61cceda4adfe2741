//! Contacts and organizations, and which contacts issues have.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::{
    domain::{ContactDraft, DeliveryId, GroupId, IssueId, ItemId, PersonId, RootId},
    rules::{Change, Contact, Needs},
};

/// What a decision looks for.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The group that holds the contacts.
    pub group: GroupId,
    /// The issue.
    pub issue: IssueId,
    /// What the commands name.
    pub needs: &'a Needs,
    /// Contacts of earlier operations that may be taken back.
    pub past: Vec<i64>,
}

/// Loads the contacts that decisions need, for each of them in their order: those with the named addresses, and those of the issue where
/// all are to be listed or an earlier operation may be taken back.
pub async fn contacts(
    connection: &mut PgConnection,
    root: RootId,
    wanted: &[Wanted<'_>],
) -> Result<Vec<Vec<Contact>>, StoreError> {
    let mut found: Vec<Vec<Contact>> = wanted.iter().map(|_| Vec::new()).collect();
    let (mut named, mut emails) = (Vec::new(), Vec::new());
    let mut listed: Vec<i64> = Vec::new();
    let (mut before, mut past) = (Vec::new(), Vec::new());
    for (number, wanted) in (0_i64..).zip(wanted) {
        named.extend(wanted.needs.emails.iter().map(|_| number));
        emails.extend(wanted.needs.emails.iter().map(String::as_str));
        listed.extend(wanted.needs.list.then_some(number));
        before.extend(wanted.past.iter().map(|_| number));
        past.extend(&wanted.past);
    }
    if named.is_empty() && listed.is_empty() && past.is_empty() {
        return Ok(found);
    }
    let groups: Vec<i64> = wanted.iter().map(|wanted| wanted.group.0).collect();
    let issues: Vec<i64> = wanted.iter().map(|wanted| wanted.issue.0).collect();
    // Decisions are numbered from 0, arrays of Postgres from 1. Everything is looked up one by one: a join may read all items or relations of
    // the tenant, by a plan from when there were few.
    let rows = sqlx::query!(
        r#"WITH wanted AS (
               SELECT named.number, known.id FROM unnest($4::bigint[], $5::text[]) AS named (number, email)
               CROSS JOIN LATERAL (
                   SELECT id FROM items
                   WHERE root_id = $1 AND group_id = ($2::bigint[])[named.number + 1] AND kind = 'contact' AND lower(email) = lower(named.email)
                   LIMIT 1) AS known
               UNION
               SELECT listed.number, related.item_id FROM unnest($6::bigint[]) AS listed (number)
               CROSS JOIN LATERAL (
                   SELECT item_id FROM issue_items WHERE root_id = $1 AND issue_id = ($3::bigint[])[listed.number + 1]
                   OFFSET 0) AS related
               UNION
               SELECT * FROM unnest($7::bigint[], $8::bigint[]))
           SELECT wanted.number AS "number!", contact.id AS "id!: ItemId", contact.first_name AS "first_name!", contact.last_name AS "last_name!",
                  contact.email AS "email?", contact.state = 'active' AS "active!",
                  (SELECT true FROM issue_items
                   WHERE root_id = $1 AND issue_id = ($3::bigint[])[wanted.number + 1] AND item_id = contact.id LIMIT 1) IS NOT NULL AS "related!"
           FROM wanted
           CROSS JOIN LATERAL (
               SELECT * FROM items
               WHERE items.root_id = $1 AND items.id = wanted.id AND group_id = ($2::bigint[])[wanted.number + 1] AND kind = 'contact'
               LIMIT 1) AS contact"#,
        root.0,
        &groups,
        &issues,
        &named,
        &emails as &[&str],
        &listed,
        &before,
        &past,
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        let whose = usize::try_from(row.number).unwrap_or(usize::MAX);
        if let Some(contacts) = found.get_mut(whose) {
            contacts.push(Contact {
                id: row.id,
                first_name: row.first_name,
                last_name: row.last_name,
                email: row.email,
                active: row.active,
                related: row.related,
            });
        }
    }
    Ok(found)
}

/// Returns the organizations that decisions need, for each of them in their order: those with the named names, without regard to case.
pub async fn organizations(
    connection: &mut PgConnection,
    root: RootId,
    wanted: &[Wanted<'_>],
) -> Result<Vec<Vec<(ItemId, String)>>, StoreError> {
    let mut found: Vec<Vec<(ItemId, String)>> = wanted.iter().map(|_| Vec::new()).collect();
    let (mut numbers, mut groups, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (number, wanted) in (0_i64..).zip(wanted) {
        for name in &wanted.needs.organizations {
            numbers.push(number);
            groups.push(wanted.group.0);
            names.push(name.as_str());
        }
    }
    if names.is_empty() {
        return Ok(found);
    }
    let rows = sqlx::query!(
        r#"SELECT DISTINCT named.number AS "number!", known.id AS "id!: ItemId", known.title AS "title!"
           FROM unnest($2::bigint[], $3::bigint[], $4::text[]) AS named (number, group_id, name)
           CROSS JOIN LATERAL (
               SELECT id, title FROM items
               WHERE root_id = $1 AND items.group_id = named.group_id AND kind = 'organization' AND lower(title) = lower(named.name)
               LIMIT 1) AS known"#,
        root.0,
        &numbers,
        &groups,
        &names as &[&str],
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        let whose = usize::try_from(row.number).unwrap_or(usize::MAX);
        if let Some(organizations) = found.get_mut(whose) {
            organizations.push((row.id, row.title));
        }
    }
    Ok(found)
}

/// Returns ids for items that are about to be created.
pub async fn reserve_ids(
    connection: &mut PgConnection,
    count: usize,
) -> Result<Vec<ItemId>, StoreError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let ids = sqlx::query_scalar!(
        r#"SELECT nextval(pg_get_serial_sequence('items', 'id')) AS "id!: ItemId" FROM generate_series(1, $1::bigint)"#,
        i64::try_from(count).unwrap_or_default(),
    )
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

/// Where and when changes happen, for all that one transaction makes.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Tenant.
    pub root: RootId,
    /// The moment.
    pub now: DateTime<Utc>,
}

/// What the changes of one comment are about, and who makes them.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// The group that holds the contacts.
    pub group: GroupId,
    /// The issue.
    pub issue: IssueId,
    /// The person.
    pub actor: PersonId,
    /// What brought the comment.
    pub delivery: DeliveryId,
}

/// Changes of different comments that are made with one statement.
type Run<'a> = Vec<(Scene, &'a Change)>;

/// Applies the changes of each scene in their order, equal ones of all scenes with one statement. Scenes are about different issues.
///
/// # Errors
/// Fails with a conflict where a change meets another one, also one of another scene; the caller rolls back.
pub async fn apply(
    connection: &mut PgConnection,
    moment: Moment,
    mut scenes: Vec<(Scene, Vec<&Change>)>,
) -> Result<(), StoreError> {
    let first = |scenes: &[(Scene, Vec<&Change>)]| {
        let mut firsts = scenes.iter().filter_map(|(_, changes)| changes.first());
        firsts.next().map(|change| std::mem::discriminant(*change))
    };
    while let Some(kind) = first(&scenes) {
        let mut run = Run::new();
        for (scene, changes) in &mut scenes {
            let same = changes
                .iter()
                .take_while(|change| std::mem::discriminant(**change) == kind);
            let same = same.count();
            run.extend(changes.drain(..same).map(|change| (*scene, change)));
        }
        match run.first() {
            Some((_, Change::Relate(_))) => relate(&mut *connection, moment, &run).await?,
            Some((_, Change::Unrelate(_))) => unrelate(&mut *connection, moment, &run).await?,
            Some((_, Change::Delete(_))) => delete(&mut *connection, moment, run).await?,
            Some((_, Change::Create { .. })) => create(&mut *connection, moment, &run).await?,
            None => {}
        }
    }
    Ok(())
}

async fn relate(
    connection: &mut PgConnection,
    moment: Moment,
    run: &Run<'_>,
) -> Result<(), StoreError> {
    let issues: Vec<i64> = run.iter().map(|(scene, _)| scene.issue.0).collect();
    let items: Vec<i64> = run.iter().map(|(_, change)| change.item().0).collect();
    let actors: Vec<i64> = run.iter().map(|(scene, _)| scene.actor.0).collect();
    sqlx::query!(
        "INSERT INTO issue_items (root_id, issue_id, item_id, added_by, added_at)
         SELECT $1, issue_id, item_id, actor_id, $5 FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS related (issue_id, item_id, actor_id)
         ON CONFLICT DO NOTHING",
        moment.root.0,
        &issues,
        &items,
        &actors,
        moment.now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn unrelate(
    connection: &mut PgConnection,
    moment: Moment,
    run: &Run<'_>,
) -> Result<(), StoreError> {
    let issues: Vec<i64> = run.iter().map(|(scene, _)| scene.issue.0).collect();
    let items: Vec<i64> = run.iter().map(|(_, change)| change.item().0).collect();
    sqlx::query!(
        "DELETE FROM issue_items WHERE ctid = ANY(ARRAY(
             SELECT related.ctid FROM unnest($2::bigint[], $3::bigint[]) AS mine (issue_id, item_id)
             CROSS JOIN LATERAL (
                 SELECT ctid FROM issue_items
                 WHERE root_id = $1 AND issue_items.issue_id = mine.issue_id AND issue_items.item_id = mine.item_id
                 LIMIT 1) AS related))",
        moment.root.0,
        &issues,
        &items,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes contacts that are on no other issue; one that was put on another meanwhile is a conflict.
async fn delete(
    connection: &mut PgConnection,
    moment: Moment,
    mut run: Run<'_>,
) -> Result<(), StoreError> {
    run.sort_by_key(|(_, change)| change.item());
    let groups: Vec<i64> = run.iter().map(|(scene, _)| scene.group.0).collect();
    let issues: Vec<i64> = run.iter().map(|(scene, _)| scene.issue.0).collect();
    let items: Vec<i64> = run.iter().map(|(_, change)| change.item().0).collect();
    // The lock comes first and by itself: a relation that is being made holds the contact, and is seen once it is committed.
    sqlx::query!(
        r#"SELECT held.one AS "one!" FROM unnest($2::bigint[], $3::bigint[]) AS mine (group_id, id)
           CROSS JOIN LATERAL (
               SELECT 1 AS one FROM items WHERE items.root_id = $1 AND items.id = mine.id AND items.group_id = mine.group_id
               LIMIT 1 FOR UPDATE) AS held"#,
        moment.root.0,
        &groups,
        &items,
    )
    .fetch_all(&mut *connection)
    .await?;
    let deleted = sqlx::query!(
        "DELETE FROM items WHERE ctid = ANY(ARRAY(
             SELECT free.ctid FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS mine (group_id, issue_id, id)
             CROSS JOIN LATERAL (
                 SELECT ctid FROM items
                 WHERE items.root_id = $1 AND items.id = mine.id AND items.group_id = mine.group_id
                   AND NOT EXISTS (SELECT FROM issue_items
                                   WHERE issue_items.root_id = $1 AND issue_items.item_id = mine.id AND issue_items.issue_id <> mine.issue_id)
                 LIMIT 1) AS free))",
        moment.root.0,
        &groups,
        &issues,
        &items,
    )
    .execute(connection)
    .await?;
    if deleted.rows_affected() == run.len() as u64 {
        Ok(())
    } else {
        Err(StoreError::Conflict {
            constraint: "issue_items".to_owned(),
        })
    }
}

async fn create(
    connection: &mut PgConnection,
    moment: Moment,
    run: &Run<'_>,
) -> Result<(), StoreError> {
    let created: Vec<(Scene, ItemId, &ContactDraft, Option<ItemId>)> = run
        .iter()
        .filter_map(|(scene, change)| match change {
            Change::Create {
                id,
                draft,
                organization,
            } => Some((*scene, *id, draft, *organization)),
            Change::Relate(_) | Change::Unrelate(_) | Change::Delete(_) => None,
        })
        .collect();
    let groups: Vec<i64> = created.iter().map(|new| new.0.group.0).collect();
    let ids: Vec<i64> = created.iter().map(|new| new.1.0).collect();
    let first_names: Vec<&str> = created.iter().map(|new| &*new.2.first_name).collect();
    let last_names: Vec<&str> = created.iter().map(|new| &*new.2.last_name).collect();
    let emails: Vec<&str> = created.iter().map(|new| &*new.2.email).collect();
    let organizations: Vec<Option<i64>> = created.iter().map(|new| new.3.map(|id| id.0)).collect();
    sqlx::query!(
        "INSERT INTO items (root_id, id, group_id, kind, title, first_name, last_name, email, organization_id, created_at, updated_at)
         SELECT $1, id, group_id, 'contact', first_name || ' ' || last_name, first_name, last_name, email, organization_id, $8, $8
         FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[])
              AS new (id, group_id, first_name, last_name, email, organization_id)
         -- In one order for all who create several, so that they cannot wait for each other in a circle.
         ORDER BY group_id, lower(email)",
        moment.root.0,
        &ids,
        &groups,
        &first_names as &[&str],
        &last_names as &[&str],
        &emails as &[&str],
        &organizations as &[Option<i64>],
        moment.now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Creates a contact outside of any issue; returns its id.
pub async fn insert_contact(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    draft: &ContactDraft,
    active: bool,
    now: DateTime<Utc>,
) -> Result<ItemId, StoreError> {
    let id = sqlx::query_scalar!(
        r#"INSERT INTO items (root_id, group_id, kind, state, title, first_name, last_name, email, created_at, updated_at)
           VALUES ($1, $2, 'contact', CASE WHEN $3 THEN 'active' ELSE 'inactive' END, $4, $5, $6, $7, $8, $8)
           RETURNING id AS "id: ItemId""#,
        root.0,
        group.0,
        active,
        format!("{} {}", draft.first_name, draft.last_name),
        draft.first_name,
        draft.last_name,
        draft.email,
        now,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}

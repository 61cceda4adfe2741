//! People and their identities on connections. Identities are told apart by immutable remote ids alone.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{ConnectionId, PersonId, RemoteUser, RootId};

/// Creates or changes a declared person; returns his id.
pub async fn declare(
    connection: &mut PgConnection,
    username: &str,
    email: Option<&str>,
    now: DateTime<Utc>,
) -> Result<PersonId, StoreError> {
    // Whoever was met under this name in a tracker chose it himself, and is somebody else.
    sqlx::query!(
        "UPDATE people SET username = username || '-' || id WHERE lower(username) = lower($1) AND NOT managed",
        username,
    )
    .execute(&mut *connection)
    .await?;
    let id = sqlx::query_scalar!(
        r#"INSERT INTO people (username, name, email, managed, created_at) VALUES ($1, $1, $2, true, $3)
           ON CONFLICT (lower(username)) DO UPDATE SET email = excluded.email, managed = true, active = true
           RETURNING id AS "id: PersonId""#,
        username,
        email,
        now,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// Removes the declared identities of a person, before those that are declared now are given to him.
pub async fn clear_identities(
    connection: &mut PgConnection,
    person: PersonId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM identities WHERE person_id = $1 AND managed",
        person.0
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives a declared identity to a person, taking it from whoever had it.
pub async fn declare_identity(
    connection: &mut PgConnection,
    person: PersonId,
    on: ConnectionId,
    remote_id: &str,
    username: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO identities (connection_id, remote_id, person_id, username, managed) VALUES ($1, $2, $3, $4, true)
         ON CONFLICT (connection_id, remote_id) DO UPDATE
         SET person_id = excluded.person_id, username = excluded.username, managed = true",
        on.0,
        remote_id,
        person.0,
        username,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a person of a tracker's user who is seen for the first time.
///
/// A username that another person has already is told apart by the connection and remote id, which never make two people one.
pub async fn meet(
    connection: &mut PgConnection,
    on: ConnectionId,
    user: &RemoteUser,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let name = if user.name.trim().is_empty() {
        &user.username
    } else {
        &user.name
    };
    let distinct = format!("{}-{on}-{}", user.username, user.id);
    sqlx::query!(
        "WITH person AS (
             INSERT INTO people (username, name, created_at)
             SELECT CASE WHEN EXISTS (SELECT FROM people WHERE lower(username) = lower($3)) THEN $6 ELSE $3 END, $4, $7
             WHERE NOT EXISTS (SELECT FROM identities WHERE connection_id = $1 AND remote_id = $2)
             RETURNING id)
         INSERT INTO identities (connection_id, remote_id, person_id, username, is_bot)
         SELECT $1, $2, person.id, $3, $5 FROM person",
        on.0,
        user.id,
        user.username,
        name,
        user.is_bot,
        distinct,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the active person with a username, without regard to case.
pub async fn find(
    connection: &mut PgConnection,
    username: &str,
) -> Result<Option<PersonId>, StoreError> {
    let id = sqlx::query_scalar!(
        r#"SELECT id AS "id: PersonId" FROM people WHERE lower(username) = lower($1) AND active"#,
        username,
    )
    .fetch_optional(connection)
    .await?;
    Ok(id)
}

/// Returns the usernames and names of people.
pub async fn names(
    connection: &mut PgConnection,
    people: &[PersonId],
) -> Result<Vec<(PersonId, String, String)>, StoreError> {
    let ids: Vec<i64> = people.iter().map(|person| person.0).collect();
    let rows = sqlx::query!(
        r#"SELECT id AS "id: PersonId", username, name FROM people WHERE id = ANY($1)"#,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.username, row.name))
        .collect())
}

/// Somebody who was named, and may be made an observer or responsible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Colleague {
    /// The person.
    pub id: PersonId,
    /// His username here.
    pub username: String,
}

/// Returns which of some people belong to a tenant: active employees with a membership in it, or an account on one of its trackers and
/// messengers. Bots do not.
pub async fn colleagues(
    connection: &mut PgConnection,
    root: RootId,
    people: &[PersonId],
) -> Result<Vec<PersonId>, StoreError> {
    let ids: Vec<i64> = people.iter().map(|person| person.0).collect();
    let found = sqlx::query_scalar!(
        r#"SELECT people.id AS "id: PersonId" FROM people
           WHERE people.id = ANY($2) AND people.active
             AND (EXISTS (SELECT FROM memberships WHERE root_id = $1 AND person_id = people.id)
                  OR EXISTS (SELECT FROM identities
                             JOIN groups ON groups.root_id = $1
                                        AND identities.connection_id IN (groups.connection_id, groups.messenger_id)
                             WHERE identities.person_id = people.id AND NOT is_bot))"#,
        root.0,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(found)
}

/// Returns which of some people are known in a tenant: as [`colleagues`], or as observers or responsible there, whatever became of them.
pub async fn known_in(
    connection: &mut PgConnection,
    root: RootId,
    people: &[PersonId],
) -> Result<Vec<PersonId>, StoreError> {
    let mut known = colleagues(connection, root, people).await?;
    let ids: Vec<i64> = people.iter().map(|person| person.0).collect();
    let watching = sqlx::query_scalar!(
        r#"SELECT person AS "person!: PersonId" FROM unnest($2::bigint[]) AS person
           WHERE EXISTS (SELECT FROM observers WHERE person_id = person AND root_id = $1)
              OR EXISTS (SELECT FROM items WHERE responsible_id = person AND root_id = $1)"#,
        root.0,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    known.extend(watching);
    Ok(known)
}

/// Returns the people behind names that somebody typed: usernames on the connection where he typed them, usernames here, e-mail addresses.
/// A name that several people have names nobody.
pub async fn named(
    connection: &mut PgConnection,
    on: Option<ConnectionId>,
    names: &[String],
) -> Result<Vec<(String, Colleague)>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH found AS (
               SELECT typed, person_id, 1 AS rank FROM unnest($1::text[]) AS typed
               JOIN identities ON identities.connection_id = $2 AND lower(identities.username) = lower(ltrim(typed, '@'))
               UNION SELECT typed, id, 2 FROM unnest($1::text[]) AS typed JOIN people ON lower(people.username) = lower(ltrim(typed, '@'))
               UNION SELECT typed, id, 2 FROM unnest($1::text[]) AS typed JOIN people ON lower(people.email) = lower(typed)),
           best AS (
               SELECT typed, min(person_id) AS person FROM found
               WHERE rank = (SELECT min(rank) FROM found AS other WHERE other.typed = found.typed)
               GROUP BY typed HAVING count(DISTINCT person_id) = 1)
           SELECT typed AS "typed!", people.id AS "id: PersonId", people.username FROM best JOIN people ON people.id = best.person"#,
        names,
        on.map(|on| on.0),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let colleague = Colleague {
                id: row.id,
                username: row.username,
            };
            (row.typed, colleague)
        })
        .collect())
}

/// Returns those of whom a tenant knows and whose username or a word of whose name begins so, as (username, name): members, those of whom the
/// tracker told a level there, those who watch its items, and those with an account on a tracker that is its alone. An account on one that other
/// tenants use too is not enough to be shown.
pub async fn suggest(
    connection: &mut PgConnection,
    root: RootId,
    typed: &str,
    limit: i64,
) -> Result<Vec<(String, String)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT username, name FROM people
           WHERE active
             AND (starts_with(lower(username), lower($2)) OR starts_with(lower(name), lower($2))
                  OR position(' ' || lower($2) IN lower(name)) > 0)
             AND (EXISTS (SELECT FROM memberships WHERE root_id = $1 AND person_id = people.id)
                  OR EXISTS (SELECT FROM identities
                             JOIN access_levels ON access_levels.root_id = $1 AND access_levels.connection_id = identities.connection_id
                                               AND remote_user_id = identities.remote_id AND level > 0
                             WHERE identities.person_id = people.id AND NOT is_bot)
                  OR EXISTS (SELECT FROM observers WHERE root_id = $1 AND person_id = people.id)
                  OR EXISTS (SELECT FROM items WHERE root_id = $1 AND responsible_id = people.id)
                  OR EXISTS (SELECT FROM identities
                             JOIN (SELECT connection_id FROM groups WHERE connection_id IS NOT NULL GROUP BY connection_id
                                   HAVING bool_and(root_id = $1)) AS own USING (connection_id)
                             WHERE identities.person_id = people.id AND NOT is_bot))
           ORDER BY lower(username) LIMIT $3"#,
        root.0,
        typed,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.username, row.name))
        .collect())
}

/// Returns up to so many active people, by their usernames, as (id, username, name).
pub async fn list(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<(PersonId, String, String)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: PersonId", username, name FROM people WHERE active ORDER BY lower(username) LIMIT $1"#,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.username, row.name))
        .collect())
}

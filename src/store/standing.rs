//! What is known about somebody's standing towards groups that hold contacts, projects and issues, many at a time.
//!
//! Levels come from what a tracker told lately; where nothing is known that is fresh enough, it says so, and somebody asks.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{StoreError, road::Fresh};
use crate::domain::{
    ConnectionId, GroupId, IssueFacts, IssueId, Level, PersonId, ProjectId, RootId, Visibility,
};

/// A person's account on a connection, and his level somewhere, if it was asked lately.
pub type Known = (String, Option<Level>);

/// Which group's contacts are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Those that the group uses, wherever they are held.
    Anywhere,
    /// Those that the group itself holds.
    Here,
}

/// A person's standing towards the group that holds the contacts.
#[derive(Debug)]
pub struct GroupStanding {
    /// False once the person was deactivated.
    pub active: bool,
    /// Whether the CRM is on, for the group and for the one that holds the contacts.
    pub crm_enabled: bool,
    /// The group that holds the contacts.
    pub holder: GroupId,
    /// That group in the tracker that tells levels, if one does.
    pub tracker: Option<(ConnectionId, String)>,
    /// The person's accounts there.
    pub known: Vec<Known>,
}

/// A person's standing towards an issue.
#[derive(Debug)]
pub struct IssueStanding {
    /// The group of its project.
    pub group: GroupId,
    /// The issue as last heard of.
    pub facts: IssueFacts,
    /// Who may read its project.
    pub visibility: Visibility,
    /// Whether it was asked lately where the project is.
    pub placed: bool,
    /// The tracker.
    pub connection: ConnectionId,
    /// The project there.
    pub project: String,
    /// The person's accounts there, with his levels in the project.
    pub known: Vec<Known>,
}

/// A person's standing towards a project.
#[derive(Debug)]
pub struct ProjectStanding {
    /// False once the person was deactivated.
    pub active: bool,
    /// Who may read it.
    pub visibility: Visibility,
    /// Whether it was asked lately where it is.
    pub placed: bool,
    /// The tracker.
    pub connection: ConnectionId,
    /// The project there.
    pub remote: String,
    /// The person's accounts there, with his levels.
    pub known: Vec<Known>,
}

/// Returns the tenant of a group that is named from outside.
pub async fn root_of_group(
    connection: &mut PgConnection,
    group: GroupId,
) -> Result<Option<RootId>, StoreError> {
    let root = sqlx::query_scalar!(
        r#"SELECT root_id AS "root: RootId" FROM groups WHERE id = $1"#,
        group.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(root)
}

/// Returns the tenant of an issue that is named from outside.
pub async fn root_of_issue(
    connection: &mut PgConnection,
    issue: IssueId,
) -> Result<Option<RootId>, StoreError> {
    let root = sqlx::query_scalar!(
        r#"SELECT root_id AS "root: RootId" FROM issues WHERE id = $1"#,
        issue.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(root)
}

/// Returns a person's standing towards issues; those that do not exist are left out.
pub async fn towards_issues(
    connection: &mut PgConnection,
    issues: &[IssueId],
    person: PersonId,
    fresh: Fresh,
) -> Result<Vec<(RootId, IssueId, IssueStanding)>, StoreError> {
    let ids: Vec<i64> = issues.iter().map(|issue| issue.0).collect();
    let rows = sqlx::query!(
        r#"SELECT issues.root_id AS "root: RootId", issues.id AS "id: IssueId", issues.remote_id, issues.iid, issues.title, issues.state,
                  issues.confidential, issues.author_remote_id, issues.assignee_remote_ids, issues.remote_updated_at,
                  projects.group_id AS "group: GroupId", projects.connection_id AS "connection: ConnectionId", projects.remote_id AS project,
                  projects.visibility, projects.checked_at >= $3 AS "placed!",
                  identities.remote_id AS "account?", lately.level AS "level?"
           FROM issues
           JOIN projects ON projects.root_id = issues.root_id AND projects.id = issues.project_id
           LEFT JOIN identities ON identities.person_id = $2 AND identities.connection_id = projects.connection_id
           LEFT JOIN access_levels AS lately
                  ON lately.root_id = issues.root_id AND lately.connection_id = projects.connection_id
                 AND lately.remote_user_id = identities.remote_id
                 AND lately.scope = 'project' AND lately.remote_scope_id = projects.remote_id AND lately.checked_at >= $4
           WHERE issues.id = ANY($1) ORDER BY issues.id"#,
        &ids,
        person.0,
        fresh.places,
        fresh.levels,
    )
    .fetch_all(connection)
    .await?;
    let mut standings: Vec<(RootId, IssueId, IssueStanding)> = Vec::new();
    for row in rows {
        let known = known(row.account, row.level);
        if let Some((_, _, standing)) = standings.last_mut().filter(|(_, id, _)| *id == row.id) {
            standing.known.extend(known);
            continue;
        }
        let standing = IssueStanding {
            group: row.group,
            facts: IssueFacts {
                remote_id: row.remote_id,
                iid: row.iid,
                title: row.title,
                state: row.state,
                confidential: row.confidential,
                author: row.author_remote_id,
                assignees: row.assignee_remote_ids,
                updated_at: row.remote_updated_at,
            },
            visibility: Visibility::from_word(&row.visibility),
            placed: row.placed,
            connection: row.connection,
            project: row.project,
            known: known.into_iter().collect(),
        };
        standings.push((row.root, row.id, standing));
    }
    Ok(standings)
}

/// Returns a person's standing towards the contacts of groups; groups that do not exist are left out, and all where the person does not.
pub async fn towards_groups(
    connection: &mut PgConnection,
    (groups, held): (&[(RootId, GroupId)], Held),
    person: PersonId,
    fresh: Fresh,
) -> Result<Vec<(RootId, GroupId, GroupStanding)>, StoreError> {
    let (roots, ids): (Vec<i64>, Vec<i64>) =
        groups.iter().map(|(root, group)| (root.0, group.0)).unzip();
    let rows = sqlx::query!(
        r#"SELECT home.root_id AS "root: RootId", home.id AS "id: GroupId", people.active,
                  home.crm_enabled AND holder.crm_enabled AS "crm_enabled!", holder.id AS "holder: GroupId",
                  holder.connection_id AS "connection: ConnectionId", coalesce(holder.remote_id, holder.remote_path) AS remote,
                  identities.remote_id AS "account?", lately.level AS "level?"
           FROM unnest($1::bigint[], $2::bigint[]) AS wanted (root, id)
           JOIN groups AS home ON home.root_id = wanted.root AND home.id = wanted.id
           JOIN groups AS holder ON holder.root_id = home.root_id AND holder.id = CASE WHEN $5 THEN home.id ELSE home.contact_group_id END
           JOIN people ON people.id = $3
           LEFT JOIN identities ON identities.person_id = $3 AND identities.connection_id = holder.connection_id
           LEFT JOIN access_levels AS lately
                  ON lately.root_id = holder.root_id AND lately.connection_id = holder.connection_id
                 AND lately.remote_user_id = identities.remote_id
                 AND lately.scope = 'group' AND lately.remote_scope_id = coalesce(holder.remote_id, holder.remote_path)
                 AND lately.checked_at >= $4
           ORDER BY home.id"#,
        &roots,
        &ids,
        person.0,
        fresh.levels,
        held == Held::Here,
    )
    .fetch_all(connection)
    .await?;
    let mut standings: Vec<(RootId, GroupId, GroupStanding)> = Vec::new();
    for row in rows {
        let known = known(row.account, row.level);
        if let Some((_, _, standing)) = standings.last_mut().filter(|(_, id, _)| *id == row.id) {
            standing.known.extend(known);
            continue;
        }
        let standing = GroupStanding {
            active: row.active,
            crm_enabled: row.crm_enabled,
            holder: row.holder,
            tracker: row.connection.zip(row.remote),
            known: known.into_iter().collect(),
        };
        standings.push((row.root, row.id, standing));
    }
    Ok(standings)
}

/// Returns a person's standing towards projects; those that do not exist are left out.
pub async fn towards_projects(
    connection: &mut PgConnection,
    projects: &[(RootId, ProjectId)],
    person: PersonId,
    fresh: Fresh,
) -> Result<Vec<(RootId, ProjectId, ProjectStanding)>, StoreError> {
    let (roots, ids): (Vec<i64>, Vec<i64>) = projects
        .iter()
        .map(|(root, project)| (root.0, project.0))
        .unzip();
    let rows = sqlx::query!(
        r#"SELECT projects.root_id AS "root: RootId", projects.id AS "id: ProjectId", people.active, projects.visibility,
                  projects.checked_at >= $4 AS "placed!", projects.connection_id AS "connection: ConnectionId", projects.remote_id AS remote,
                  identities.remote_id AS "account?", lately.level AS "level?"
           FROM unnest($1::bigint[], $2::bigint[]) AS wanted (root, id)
           JOIN projects ON projects.root_id = wanted.root AND projects.id = wanted.id
           JOIN people ON people.id = $3
           LEFT JOIN identities ON identities.person_id = $3 AND identities.connection_id = projects.connection_id
           LEFT JOIN access_levels AS lately
                  ON lately.root_id = projects.root_id AND lately.connection_id = projects.connection_id
                 AND lately.remote_user_id = identities.remote_id
                 AND lately.scope = 'project' AND lately.remote_scope_id = projects.remote_id AND lately.checked_at >= $5
           ORDER BY projects.id"#,
        &roots,
        &ids,
        person.0,
        fresh.places,
        fresh.levels,
    )
    .fetch_all(connection)
    .await?;
    let mut standings: Vec<(RootId, ProjectId, ProjectStanding)> = Vec::new();
    for row in rows {
        let known = known(row.account, row.level);
        if let Some((_, _, standing)) = standings.last_mut().filter(|(_, id, _)| *id == row.id) {
            standing.known.extend(known);
            continue;
        }
        let standing = ProjectStanding {
            active: row.active,
            visibility: Visibility::from_word(&row.visibility),
            placed: row.placed,
            connection: row.connection,
            remote: row.remote,
            known: known.into_iter().collect(),
        };
        standings.push((row.root, row.id, standing));
    }
    Ok(standings)
}

/// Returns the levels that Liaison's own memberships give a person in groups, inherited ones included; the highest counts. Groups in which
/// he has none are left out.
pub async fn own_levels(
    connection: &mut PgConnection,
    groups: &[(RootId, GroupId)],
    person: PersonId,
    now: DateTime<Utc>,
) -> Result<Vec<(GroupId, Level)>, StoreError> {
    let (roots, ids): (Vec<i64>, Vec<i64>) =
        groups.iter().map(|(root, group)| (root.0, group.0)).unzip();
    let rows = sqlx::query!(
        r#"WITH RECURSIVE up (root, wanted, id) AS (
               SELECT * FROM unnest($1::bigint[], $2::bigint[], $2::bigint[])
               UNION
               SELECT up.root, up.wanted, groups.parent_id FROM up
               JOIN groups ON groups.root_id = up.root AND groups.id = up.id WHERE groups.parent_id IS NOT NULL)
           SELECT up.wanted AS "group!: GroupId", max(level) AS "level!"
           FROM up JOIN memberships ON memberships.root_id = up.root AND memberships.group_id = up.id
           WHERE person_id = $3 AND (expires_at IS NULL OR expires_at > $4)
           GROUP BY up.wanted"#,
        &roots,
        &ids,
        person.0,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.group, Level::from_number(row.level.into())))
        .collect())
}

/// Returns in which of some tenants a person is anybody: their trackers lately told of a level of his somewhere, or they gave him one
/// themselves.
pub async fn memberships(
    connection: &mut PgConnection,
    roots: &[RootId],
    person: PersonId,
    (fresh, now): (Fresh, DateTime<Utc>),
) -> Result<Vec<RootId>, StoreError> {
    let roots: Vec<i64> = roots.iter().map(|root| root.0).collect();
    let found = sqlx::query_scalar!(
        r#"SELECT root AS "root!: RootId" FROM unnest($1::bigint[]) AS root
           WHERE EXISTS (SELECT FROM memberships WHERE root_id = root AND person_id = $2 AND (expires_at IS NULL OR expires_at > $4))
              OR EXISTS (SELECT FROM identities
                         JOIN access_levels AS lately ON lately.root_id = root AND lately.connection_id = identities.connection_id
                                                     AND lately.remote_user_id = identities.remote_id
                         WHERE identities.person_id = $2 AND lately.level > 5 AND lately.checked_at >= $3)"#,
        &roots,
        person.0,
        fresh.levels,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(found)
}

fn known(account: Option<String>, level: Option<i16>) -> Option<Known> {
    let level = level.map(|number| Level::from_number(number.into()));
    account.map(|account| (account, level))
}

//! What is known about somebody's standing towards a group that holds contacts, and towards an issue.
//!
//! Levels come from what a tracker told lately; where nothing is known that is fresh enough, it says so, and somebody asks.

use sqlx::PgConnection;

use super::{StoreError, road::Fresh};
use crate::domain::{
    ConnectionId, GroupId, IssueFacts, IssueId, Level, PersonId, RootId, Visibility,
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

/// Returns a person's standing towards a group's contacts, or none where there is no such group or person.
pub async fn towards_group(
    connection: &mut PgConnection,
    (root, group, held): (RootId, GroupId, Held),
    person: PersonId,
    fresh: Fresh,
) -> Result<Option<GroupStanding>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT people.active, home.crm_enabled AND holder.crm_enabled AS "crm_enabled!", holder.id AS "holder: GroupId",
                  holder.connection_id AS "connection: ConnectionId", coalesce(holder.remote_id, holder.remote_path) AS remote,
                  identities.remote_id AS "account?", lately.level AS "level?"
           FROM groups AS home
           JOIN groups AS holder ON holder.root_id = $1 AND holder.id = CASE WHEN $3 THEN home.id ELSE home.contact_group_id END
           JOIN people ON people.id = $4
           LEFT JOIN identities ON identities.person_id = $4 AND identities.connection_id = holder.connection_id
           LEFT JOIN access_levels AS lately
                  ON lately.root_id = $1 AND lately.connection_id = holder.connection_id AND lately.remote_user_id = identities.remote_id
                 AND lately.scope = 'group' AND lately.remote_scope_id = coalesce(holder.remote_id, holder.remote_path)
                 AND lately.checked_at >= $5
           WHERE home.root_id = $1 AND home.id = $2"#,
        root.0,
        group.0,
        held == Held::Here,
        person.0,
        fresh.levels,
    )
    .fetch_all(connection)
    .await?;
    let mut standing = None;
    for row in rows {
        let standing = standing.get_or_insert_with(|| GroupStanding {
            active: row.active,
            crm_enabled: row.crm_enabled,
            holder: row.holder,
            tracker: row.connection.zip(row.remote),
            known: Vec::new(),
        });
        standing.known.extend(known(row.account, row.level));
    }
    Ok(standing)
}

/// Returns a person's standing towards an issue, or none where there is no such issue.
pub async fn towards_issue(
    connection: &mut PgConnection,
    (root, issue): (RootId, IssueId),
    person: PersonId,
    fresh: Fresh,
) -> Result<Option<IssueStanding>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT issues.remote_id, issues.iid, issues.title, issues.state, issues.confidential, issues.author_remote_id,
                  issues.assignee_remote_ids, issues.remote_updated_at,
                  projects.group_id AS "group: GroupId", projects.connection_id AS "connection: ConnectionId", projects.remote_id AS project,
                  projects.visibility, projects.checked_at >= $4 AS "placed!",
                  identities.remote_id AS "account?", lately.level AS "level?"
           FROM issues
           JOIN projects ON projects.root_id = $1 AND projects.id = issues.project_id
           LEFT JOIN identities ON identities.person_id = $3 AND identities.connection_id = projects.connection_id
           LEFT JOIN access_levels AS lately
                  ON lately.root_id = $1 AND lately.connection_id = projects.connection_id AND lately.remote_user_id = identities.remote_id
                 AND lately.scope = 'project' AND lately.remote_scope_id = projects.remote_id AND lately.checked_at >= $5
           WHERE issues.root_id = $1 AND issues.id = $2"#,
        root.0,
        issue.0,
        person.0,
        fresh.places,
        fresh.levels,
    )
    .fetch_all(connection)
    .await?;
    let mut standing = None;
    for row in rows {
        let standing = standing.get_or_insert_with(|| IssueStanding {
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
            known: Vec::new(),
        });
        standing.known.extend(known(row.account, row.level));
    }
    Ok(standing)
}

fn known(account: Option<String>, level: Option<i16>) -> Option<Known> {
    let level = level.map(|number| Level::from_number(number.into()));
    account.map(|account| (account, level))
}

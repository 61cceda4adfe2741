//! What a comment is about, in one statement: where it stands, who wrote it, and what is known of it.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};

use super::{StoreError, comment::SeenComment};
use crate::{
    domain::{
        Comment, ConnectionId, GroupId, IssueFacts, IssueId, Level, PersonId, ProjectId, ReplyId,
        RootId, Visibility, WebhookId,
    },
    quick_action::Signature,
};

/// The place of a comment and the person behind it, as far as known.
#[derive(Debug)]
pub struct Surroundings {
    /// The project, if its place was asked lately and it was found in the webhook's group.
    pub project: Option<Place>,
    /// The person, if met before.
    pub actor: Option<Actor>,
    /// What an earlier version of the comment did.
    pub seen: Option<SeenComment>,
    /// When the webhook was made: what is older was never sent here.
    pub webhook_since: DateTime<Utc>,
}

/// A project in the tree.
#[derive(Debug)]
pub struct Place {
    /// The project.
    pub project: ProjectId,
    /// Who may read it.
    pub visibility: Visibility,
    /// Whether it is in the group of the webhook or below.
    pub within: bool,
    /// Whether the CRM is on, for its group and for the group that holds the contacts.
    pub crm_enabled: bool,
    /// The group that holds its contacts.
    pub contact_group: GroupId,
    /// That group in the tracker, where the tracker tells levels.
    pub contact_group_remote: Option<String>,
    /// The issue, if met before, and whether what is known of it is what the comment says.
    pub issue: Option<(IssueId, bool)>,
    /// Whether the issue is confidential, where something newer is known than what the comment says.
    pub newer_confidential: Option<bool>,
}

/// The person behind a comment.
#[derive(Debug)]
pub struct Actor {
    /// The person.
    pub person: PersonId,
    /// False once deactivated.
    pub active: bool,
    /// Whether the account is a bot's.
    pub is_bot: bool,
    /// Level in the project, if asked lately.
    pub project_level: Option<Level>,
    /// Level in the group that holds the contacts, if asked lately.
    pub contact_level: Option<Level>,
}

/// Which knowledge is fresh enough.
#[derive(Debug, Clone, Copy)]
pub struct Fresh {
    /// Places of projects asked at this moment or later.
    pub places: DateTime<Utc>,
    /// Levels asked at this moment or later.
    pub levels: DateTime<Utc>,
    /// Whether the tracker was asked since the work began. Then its word on the path counts and not the event's,
    /// which may be from before a renaming.
    pub asked: bool,
}

/// Returns the surroundings of a comment that came through a webhook.
#[expect(
    clippy::too_many_lines,
    reason = "one statement and its row; parts of either say nothing alone"
)]
pub async fn surroundings(
    connection: &mut PgConnection,
    (root, on, webhook): (RootId, ConnectionId, WebhookId),
    comment: &Comment,
    fresh: Fresh,
) -> Result<Surroundings, StoreError> {
    let row = sqlx::query!(
        r#"SELECT webhooks.created_at AS webhook_since,
                  projects.id AS "project?: ProjectId", projects.visibility AS "visibility?",
                  (home.path = scope.path OR starts_with(home.path, scope.path || '/')) AS "within",
                  (home.crm_enabled AND holder.crm_enabled) AS "crm_enabled",
                  holder.id AS "contact_group?: GroupId",
                  CASE WHEN holder.connection_id = $2 THEN holder.remote_id END AS "contact_group_remote",
                  issues.id AS "issue?: IssueId", issues.title AS "title?", issues.state AS "state?", issues.confidential AS "confidential?",
                  issues.author_remote_id AS "author?", issues.assignee_remote_ids AS "assignees?", issues.remote_updated_at AS "issue_version?",
                  people.id AS "person?: PersonId", people.active AS "active?", identities.is_bot AS "is_bot?",
                  in_project.level AS "project_level?", in_holder.level AS "contact_level?",
                  comments.version AS "version?", comments.commands AS "commands?: Json<Vec<Signature>>",
                  comments.reply_id AS "reply?: ReplyId", comments.reply_lines AS "reply_lines?: Json<Vec<String>>",
                  comments.is_internal AS "is_internal?", comments.reply_internal AS "reply_internal?", comments.reply_names AS "reply_names?"
           FROM webhooks
           JOIN groups AS scope ON scope.root_id = webhooks.root_id AND scope.id = webhooks.group_id
           LEFT JOIN projects ON projects.root_id = $1 AND projects.connection_id = $2 AND projects.remote_id = $4
                             AND projects.checked_at >= $9 AND (projects.path = $5 OR $11)
           LEFT JOIN groups AS home ON home.root_id = $1 AND home.id = projects.group_id
           LEFT JOIN groups AS holder ON holder.root_id = $1 AND holder.id = home.contact_group_id
           LEFT JOIN issues ON issues.root_id = $1 AND issues.project_id = projects.id AND issues.iid = $6
           LEFT JOIN comments ON comments.root_id = $1 AND comments.connection_id = $2 AND comments.remote_id = $7
           LEFT JOIN identities ON identities.connection_id = $2 AND identities.remote_id = $8
           LEFT JOIN people ON people.id = identities.person_id
           LEFT JOIN access_levels AS in_project
                  ON in_project.root_id = $1 AND in_project.connection_id = $2 AND in_project.remote_user_id = $8
                 AND in_project.scope = 'project' AND in_project.remote_scope_id = $4 AND in_project.checked_at >= $10
           LEFT JOIN access_levels AS in_holder
                  ON in_holder.root_id = $1 AND in_holder.connection_id = $2 AND in_holder.remote_user_id = $8
                 AND in_holder.scope = 'group' AND in_holder.remote_scope_id = holder.remote_id AND in_holder.checked_at >= $10
           WHERE webhooks.root_id = $1 AND webhooks.id = $3"#,
        root.0,
        on.0,
        webhook.0,
        comment.project.id,
        // A path that differs from what was known before asks for another look: the project was moved or renamed.
        comment.project.path,
        comment.issue.iid,
        comment.remote_id,
        comment.actor.id,
        fresh.places,
        fresh.levels,
        fresh.asked,
    )
    .fetch_one(connection)
    .await?;
    let unchanged = row.title.as_ref() == Some(&comment.issue.title)
        && row.state.as_ref() == Some(&comment.issue.state)
        && row.confidential == Some(comment.issue.confidential)
        && row.author.as_ref() == Some(&comment.issue.author)
        && row.assignees.as_ref() == Some(&comment.issue.assignees);
    let newer_known = row.issue_version > Some(comment.issue.updated_at);
    let level = |number: Option<i16>| number.map(|number| Level::from_number(number.into()));
    Ok(Surroundings {
        webhook_since: row.webhook_since,
        project: row
            .project
            .zip(row.contact_group)
            .map(|(project, contact_group)| Place {
                project,
                visibility: Visibility::from_word(row.visibility.as_deref().unwrap_or_default()),
                within: row.within.unwrap_or_default(),
                crm_enabled: row.crm_enabled.unwrap_or_default(),
                contact_group,
                contact_group_remote: row.contact_group_remote,
                issue: row.issue.map(|issue| (issue, unchanged || newer_known)),
                newer_confidential: row.confidential.filter(|_| newer_known),
            }),
        actor: row.person.map(|person| Actor {
            person,
            active: row.active.unwrap_or_default(),
            is_bot: row.is_bot.unwrap_or_default(),
            project_level: level(row.project_level),
            contact_level: level(row.contact_level),
        }),
        seen: row
            .version
            .zip(row.reply)
            .map(|(version, reply)| SeenComment {
                version,
                commands: row
                    .commands
                    .map(|Json(commands)| commands)
                    .unwrap_or_default(),
                reply,
                reply_lines: row.reply_lines.map(|Json(lines)| lines).unwrap_or_default(),
                is_internal: row.is_internal.unwrap_or_default(),
                reply_internal: row.reply_internal.unwrap_or_default(),
                reply_names: row.reply_names.unwrap_or_default(),
            }),
    })
}

/// Stores what an event says of an issue, unless something newer is known; returns the issue's id.
pub async fn put_issue(
    connection: &mut PgConnection,
    root: RootId,
    project: ProjectId,
    issue: &IssueFacts,
) -> Result<IssueId, StoreError> {
    let id = sqlx::query_scalar!(
        r#"INSERT INTO issues (root_id, project_id, remote_id, iid, title, state, confidential, author_remote_id, assignee_remote_ids, remote_updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
           ON CONFLICT (root_id, project_id, iid) DO UPDATE
           SET remote_id = excluded.remote_id, title = excluded.title, state = excluded.state, confidential = excluded.confidential,
               author_remote_id = excluded.author_remote_id, assignee_remote_ids = excluded.assignee_remote_ids,
               remote_updated_at = excluded.remote_updated_at
           WHERE issues.remote_updated_at <= excluded.remote_updated_at
           RETURNING id AS "id: IssueId""#,
        root.0,
        project.0,
        issue.remote_id,
        issue.iid,
        issue.title,
        issue.state,
        issue.confidential,
        issue.author,
        &issue.assignees,
        issue.updated_at,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(id) = id {
        return Ok(id);
    }
    let known = sqlx::query_scalar!(
        r#"SELECT id AS "id: IssueId" FROM issues WHERE root_id = $1 AND project_id = $2 AND iid = $3"#,
        root.0,
        project.0,
        issue.iid,
    )
    .fetch_one(connection)
    .await?;
    Ok(known)
}

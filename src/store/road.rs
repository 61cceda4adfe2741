//! What comments are about, in one statement for all: where each stands, who wrote it, and what is known of it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};

use super::{StoreError, comment::SeenComment};
use crate::{
    domain::{
        Comment, ConnectionId, GroupId, IssueFacts, IssueId, Level, PersonId, ProjectId, Reactions,
        Replies, ReplyId, RootId, Visibility, WebhookId,
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
    /// Which comments of the project's group are answered.
    pub replies: Replies,
    /// Whether reactions are put on them.
    pub reactions: Reactions,
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

/// Returns the surroundings of comments of one tenant, each with the webhook that it came through, in their order.
///
/// # Errors
/// Fails where a webhook is not of the tenant.
#[expect(
    clippy::too_many_lines,
    reason = "one statement and its row; parts of either say nothing alone"
)]
pub async fn surroundings(
    connection: &mut PgConnection,
    (root, on): (RootId, ConnectionId),
    comments: &[(WebhookId, &Comment)],
    fresh: Fresh,
) -> Result<Vec<Surroundings>, StoreError> {
    let webhooks: Vec<i64> = comments.iter().map(|(webhook, _)| webhook.0).collect();
    let stated = || comments.iter().map(|(_, comment)| *comment);
    let projects: Vec<&str> = stated().map(|comment| &*comment.project.id).collect();
    let paths: Vec<&str> = stated().map(|comment| &*comment.project.path).collect();
    let iids: Vec<i64> = stated().map(|comment| comment.issue.iid).collect();
    let ids: Vec<&str> = stated().map(|comment| &*comment.remote_id).collect();
    let actors: Vec<&str> = stated().map(|comment| &*comment.actor.id).collect();
    let rows = sqlx::query!(
        // Comment by comment, each through whole keys: a join of all may read whole tables, by a plan from when they were empty.
        r#"SELECT known.webhook_since AS "webhook_since!", known.project AS "project?: ProjectId", known.visibility AS "visibility?",
                  known.within AS "within?", known.crm_enabled AS "crm_enabled?",
                  known.contact_group AS "contact_group?: GroupId", known.contact_group_remote AS "contact_group_remote?",
                  known.answering AS "answering?: Vec<Option<String>>",
                  known.issue AS "issue?: IssueId", known.title AS "title?", known.state AS "state?", known.confidential AS "confidential?",
                  known.author AS "author?", known.assignees AS "assignees?", known.issue_version AS "issue_version?",
                  known.person AS "person?: PersonId", known.active AS "active?", known.is_bot AS "is_bot?",
                  known.project_level AS "project_level?", known.contact_level AS "contact_level?",
                  known.version AS "version?", known.commands AS "commands?: Json<Vec<Signature>>",
                  known.reply AS "reply?: ReplyId", known.reply_lines AS "reply_lines?: Json<Vec<String>>",
                  known.is_internal AS "is_internal?", known.reply_internal AS "reply_internal?", known.reply_names AS "reply_names?"
           FROM unnest($3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[])
                WITH ORDINALITY AS posted (webhook, project, path, iid, remote_id, actor, number)
           CROSS JOIN LATERAL (
               SELECT webhooks.created_at AS webhook_since, projects.id AS project, projects.visibility,
                      (home.path = scope.path OR starts_with(home.path, scope.path || '/')) AS within,
                      (home.crm_enabled AND holder.crm_enabled) AS crm_enabled, holder.id AS contact_group,
                      CASE WHEN holder.connection_id = $2 THEN holder.remote_id END AS contact_group_remote,
                      -- Climbed only where the group does not say it all itself: this is read for every comment.
                      CASE WHEN home.parent_id IS NULL OR (home.replies IS NOT NULL AND home.reactions IS NOT NULL)
                           THEN ARRAY[home.replies, home.reactions]
                           ELSE (WITH RECURSIVE up AS (
                                     SELECT home.parent_id, home.replies, home.reactions, 0 AS height
                                     UNION ALL
                                     SELECT groups.parent_id, groups.replies, groups.reactions, height + 1
                                     FROM up JOIN groups ON groups.root_id = $1 AND groups.id = up.parent_id)
                                 SELECT ARRAY[(array_agg(replies ORDER BY height) FILTER (WHERE replies IS NOT NULL))[1],
                                              (array_agg(reactions ORDER BY height) FILTER (WHERE reactions IS NOT NULL))[1]]
                                 FROM up) END AS answering,
                      issues.id AS issue, issues.title, issues.state, issues.confidential, issues.author_remote_id AS author,
                      issues.assignee_remote_ids AS assignees, issues.remote_updated_at AS issue_version,
                      people.id AS person, people.active, identities.is_bot,
                      in_project.level AS project_level, in_holder.level AS contact_level,
                      comments.version, comments.commands, comments.reply_id AS reply, comments.reply_lines,
                      comments.is_internal, comments.reply_internal, comments.reply_names
               FROM webhooks
               JOIN groups AS scope ON scope.root_id = webhooks.root_id AND scope.id = webhooks.group_id
               -- A path that differs from what was known before asks for another look: the project was moved or renamed.
               LEFT JOIN projects ON projects.root_id = $1 AND projects.connection_id = $2 AND projects.remote_id = posted.project
                                 AND projects.checked_at >= $9 AND (projects.path = posted.path OR $11)
               LEFT JOIN groups AS home ON home.root_id = $1 AND home.id = projects.group_id
               LEFT JOIN groups AS holder ON holder.root_id = $1 AND holder.id = home.contact_group_id
               LEFT JOIN issues ON issues.root_id = $1 AND issues.project_id = projects.id AND issues.iid = posted.iid
               LEFT JOIN comments ON comments.root_id = $1 AND comments.connection_id = $2 AND comments.remote_id = posted.remote_id
               LEFT JOIN identities ON identities.connection_id = $2 AND identities.remote_id = posted.actor
               LEFT JOIN people ON people.id = identities.person_id
               LEFT JOIN access_levels AS in_project
                      ON in_project.root_id = $1 AND in_project.connection_id = $2 AND in_project.remote_user_id = posted.actor
                     AND in_project.scope = 'project' AND in_project.remote_scope_id = posted.project AND in_project.checked_at >= $10
               LEFT JOIN access_levels AS in_holder
                      ON in_holder.root_id = $1 AND in_holder.connection_id = $2 AND in_holder.remote_user_id = posted.actor
                     AND in_holder.scope = 'group' AND in_holder.remote_scope_id = holder.remote_id AND in_holder.checked_at >= $10
               WHERE webhooks.root_id = $1 AND webhooks.id = posted.webhook
               LIMIT 1) AS known
           ORDER BY posted.number"#,
        root.0,
        on.0,
        &webhooks,
        &projects as &[&str],
        &paths as &[&str],
        &iids,
        &ids as &[&str],
        &actors as &[&str],
        fresh.places,
        fresh.levels,
        fresh.asked,
    )
    .fetch_all(connection)
    .await?;
    if rows.len() != comments.len() {
        return Err(sqlx::Error::RowNotFound.into());
    }
    let level = |number: Option<i16>| number.map(|number| Level::from_number(number.into()));
    let known = stated().zip(rows).map(|(comment, row)| {
        let answering = |at: usize| row.answering.as_ref()?.get(at)?.as_deref();
        let replies = answering(0).and_then(Replies::from_word);
        let reactions = answering(1).and_then(Reactions::from_word);
        let unchanged = row.title.as_ref() == Some(&comment.issue.title)
            && row.state.as_ref() == Some(&comment.issue.state)
            && row.confidential == Some(comment.issue.confidential)
            && row.author.as_ref() == Some(&comment.issue.author)
            && row.assignees.as_ref() == Some(&comment.issue.assignees);
        let newer_known = row.issue_version > Some(comment.issue.updated_at);
        Surroundings {
            webhook_since: row.webhook_since,
            project: row
                .project
                .zip(row.contact_group)
                .map(|(project, contact_group)| Place {
                    project,
                    visibility: Visibility::from_word(
                        row.visibility.as_deref().unwrap_or_default(),
                    ),
                    within: row.within.unwrap_or_default(),
                    crm_enabled: row.crm_enabled.unwrap_or_default(),
                    contact_group,
                    contact_group_remote: row.contact_group_remote,
                    issue: row.issue.map(|issue| (issue, unchanged || newer_known)),
                    replies: replies.unwrap_or(Replies::Always),
                    reactions: reactions.unwrap_or(Reactions::Always),
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
        }
    });
    Ok(known.collect())
}

/// Stores what events say of issues, unless something newer is known; returns the ids of the issues, in their order.
///
/// They are different issues: a statement changes no row twice.
pub async fn put_issues(
    connection: &mut PgConnection,
    root: RootId,
    issues: &[(ProjectId, &IssueFacts)],
) -> Result<Vec<IssueId>, StoreError> {
    if issues.is_empty() {
        return Ok(Vec::new());
    }
    let projects: Vec<i64> = issues.iter().map(|(project, _)| project.0).collect();
    let facts = || issues.iter().map(|(_, facts)| *facts);
    let ids: Vec<&str> = facts().map(|facts| &*facts.remote_id).collect();
    let iids: Vec<i64> = facts().map(|facts| facts.iid).collect();
    let titles: Vec<&str> = facts().map(|facts| &*facts.title).collect();
    let states: Vec<&str> = facts().map(|facts| &*facts.state).collect();
    let confidential: Vec<bool> = facts().map(|facts| facts.confidential).collect();
    let authors: Vec<&str> = facts().map(|facts| &*facts.author).collect();
    // An array of arrays would have to be as long in every row.
    let assignees: Vec<Json<&Vec<String>>> = facts().map(|facts| Json(&facts.assignees)).collect();
    let updated: Vec<DateTime<Utc>> = facts().map(|facts| facts.updated_at).collect();
    let put = sqlx::query!(
        r#"INSERT INTO issues (root_id, project_id, remote_id, iid, title, state, confidential, author_remote_id, assignee_remote_ids, remote_updated_at)
           SELECT $1, project_id, remote_id, iid, title, state, confidential, author, ARRAY(SELECT jsonb_array_elements_text(assignees)), updated
           FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::boolean[], $8::text[], $9::jsonb[], $10::timestamptz[])
                AS told (project_id, remote_id, iid, title, state, confidential, author, assignees, updated)
           -- In one order for all who lock several issues, so that they cannot wait for each other in a circle.
           ORDER BY project_id, iid
           ON CONFLICT (root_id, project_id, iid) DO UPDATE
           SET remote_id = excluded.remote_id, title = excluded.title, state = excluded.state, confidential = excluded.confidential,
               author_remote_id = excluded.author_remote_id, assignee_remote_ids = excluded.assignee_remote_ids,
               remote_updated_at = excluded.remote_updated_at
           WHERE issues.remote_updated_at <= excluded.remote_updated_at
           RETURNING id AS "id: IssueId", project_id AS "project: ProjectId", iid"#,
        root.0,
        &projects,
        &ids as &[&str],
        &iids,
        &titles as &[&str],
        &states as &[&str],
        &confidential,
        &authors as &[&str],
        &assignees as &[Json<&Vec<String>>],
        &updated,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut known: HashMap<(ProjectId, i64), IssueId> = put
        .into_iter()
        .map(|row| ((row.project, row.iid), row.id))
        .collect();
    if known.len() < issues.len() {
        let newer = sqlx::query!(
            r#"SELECT known.id AS "id!: IssueId", told.project_id AS "project!: ProjectId", told.iid AS "iid!"
               FROM unnest($2::bigint[], $3::bigint[]) AS told (project_id, iid)
               CROSS JOIN LATERAL (
                   SELECT id FROM issues
                   WHERE issues.root_id = $1 AND issues.project_id = told.project_id AND issues.iid = told.iid
                   LIMIT 1) AS known"#,
            root.0,
            &projects,
            &iids,
        )
        .fetch_all(connection)
        .await?;
        known.extend(
            newer
                .into_iter()
                .map(|row| ((row.project, row.iid), row.id)),
        );
    }
    issues
        .iter()
        .map(|(project, facts)| known.get(&(*project, facts.iid)).copied())
        .collect::<Option<Vec<IssueId>>>()
        .ok_or_else(|| sqlx::Error::RowNotFound.into())
}

/// The same for one issue.
pub async fn put_issue(
    connection: &mut PgConnection,
    root: RootId,
    project: ProjectId,
    issue: &IssueFacts,
) -> Result<IssueId, StoreError> {
    let put = put_issues(connection, root, &[(project, issue)]).await?;
    put.into_iter()
        .next()
        .ok_or_else(|| sqlx::Error::RowNotFound.into())
}

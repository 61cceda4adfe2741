//! The settings of a group: its CRM on or off, which group holds its contacts, its messenger and policies.

use sqlx::PgConnection;

use super::{StoreError, operation::Act};
use crate::{
    domain::{
        ChatPreset, ConnectionId, GroupId, InvitePolicy, Reactions, Reassignment, RelationSource,
        Replies, RootId,
    },
    rules::{GroupState, PolicyState},
};

/// Locks a group's settings, and those of the whole tree against another change of contact sources; returns them.
pub async fn lock(
    connection: &mut PgConnection,
    root: RootId,
    group: GroupId,
) -> Result<Option<GroupState>, StoreError> {
    sqlx::query!(
        "SELECT FROM groups WHERE root_id = $1 AND id IN ($1, $2) ORDER BY id FOR NO KEY UPDATE",
        root.0,
        group.0,
    )
    .fetch_all(&mut *connection)
    .await?;
    read(connection, root, group).await
}

/// Returns a group's settings.
pub async fn read(
    connection: &mut PgConnection,
    root: RootId,
    group: GroupId,
) -> Result<Option<GroupState>, StoreError> {
    let state = sqlx::query!(
        r#"SELECT crm_enabled, contact_source_id AS "contact_source: GroupId", automatic_relations, managed,
                  messenger_id AS "messenger: ConnectionId", chat_preset, invite_policy, reassignment, replies, reactions
           FROM groups WHERE root_id = $1 AND id = $2"#,
        root.0,
        group.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(state.map(|state| GroupState {
        crm_enabled: state.crm_enabled,
        contact_source: state.contact_source,
        automatic_relations: state.automatic_relations.map(|words| {
            words
                .iter()
                .filter_map(|word| RelationSource::from_word(word))
                .collect()
        }),
        policies: PolicyState {
            messenger: state.messenger,
            preset: state.chat_preset.as_deref().and_then(ChatPreset::from_word),
            invites: state
                .invite_policy
                .as_deref()
                .and_then(InvitePolicy::from_word),
            reassignment: state
                .reassignment
                .as_deref()
                .and_then(Reassignment::from_word),
            replies: state.replies.as_deref().and_then(Replies::from_word),
            reactions: state.reactions.as_deref().and_then(Reactions::from_word),
        },
        managed: state.managed,
    }))
}

/// Stores a group's settings.
pub async fn write(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    state: &GroupState,
) -> Result<(), StoreError> {
    let sources: Option<Vec<String>> = state.automatic_relations.as_ref().map(|sources| {
        sources
            .iter()
            .map(|source| source.word().to_owned())
            .collect()
    });
    sqlx::query!(
        "UPDATE groups SET crm_enabled = $3, contact_source_id = $4, automatic_relations = $5,
                messenger_id = $6, chat_preset = $7, invite_policy = $8, reassignment = $9, replies = $10, reactions = $11
         WHERE root_id = $1 AND id = $2",
        root.0,
        group.0,
        state.crm_enabled,
        state.contact_source.map(|group| group.0),
        sources.as_deref(),
        state.policies.messenger.map(|id| id.0),
        state.policies.preset.map(ChatPreset::word),
        state.policies.invites.map(InvitePolicy::word),
        state.policies.reassignment.map(Reassignment::word),
        state.policies.replies.map(Replies::word),
        state.policies.reactions.map(Reactions::word),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Has a group and those below it follow the nearest contact source above them; returns the groups whose contacts are held elsewhere now.
pub async fn follow(
    connection: &mut PgConnection,
    root: RootId,
    group: GroupId,
) -> Result<Vec<i64>, StoreError> {
    let ids = sqlx::query_scalar!(
        "WITH RECURSIVE tree (id, holder) AS (
             SELECT groups.id, coalesce(groups.contact_source_id, above.contact_group_id, groups.id)
             FROM groups LEFT JOIN groups AS above ON above.root_id = $1 AND above.id = groups.parent_id
             WHERE groups.root_id = $1 AND groups.id = $2
             UNION ALL
             SELECT below.id, coalesce(below.contact_source_id, tree.holder)
             FROM tree JOIN groups AS below ON below.root_id = $1 AND below.parent_id = tree.id)
         UPDATE groups SET contact_group_id = tree.holder FROM tree
         WHERE groups.root_id = $1 AND groups.id = tree.id AND groups.contact_group_id <> tree.holder
         RETURNING groups.id",
        root.0,
        group.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

/// Relates the issues of some groups no longer to contacts that are not where the groups keep theirs; returns how many relations that were.
pub async fn drop_strangers(
    connection: &mut PgConnection,
    act: &Act,
    groups: &[i64],
) -> Result<u64, StoreError> {
    let told = sqlx::query!(
        "WITH strangers AS (
             SELECT issue_items.issue_id, issue_items.item_id, items.group_id
             FROM projects
             JOIN groups ON groups.root_id = $1 AND groups.id = projects.group_id
             JOIN issues ON issues.root_id = $1 AND issues.project_id = projects.id
             JOIN issue_items ON issue_items.root_id = $1 AND issue_items.issue_id = issues.id
             JOIN items ON items.root_id = $1 AND items.id = issue_items.item_id
             WHERE projects.root_id = $1 AND projects.group_id = ANY($2) AND items.group_id <> groups.contact_group_id),
         gone AS (
             DELETE FROM issue_items USING strangers
             WHERE issue_items.root_id = $1 AND issue_items.issue_id = strangers.issue_id AND issue_items.item_id = strangers.item_id
             RETURNING issue_items.issue_id, issue_items.item_id, added_by, added_at, strangers.group_id)
         INSERT INTO history (root_id, operation, at, actor_id, via, group_id, issue_id, item_id, action, detail)
         SELECT $1, $3, $4, $5, $6, group_id, issue_id, item_id, 'item_unrelated', jsonb_build_object('added_by', added_by, 'added_at', added_at)
         FROM gone ORDER BY item_id, issue_id",
        act.root.0,
        groups,
        act.operation.0,
        act.at,
        act.actor.map(|actor| actor.0),
        act.via.word(),
    )
    .execute(connection)
    .await?;
    Ok(told.rows_affected())
}

//! A group's policies, and its messenger: its own, or what the nearest group above says.

use sqlx::PgConnection;

use super::StoreError;
use crate::{
    domain::{
        ChatPreset, ConnectionId, ConnectionKind, GroupId, InvitePolicy, PersonId, Reactions,
        Reassignment, Replies, RootId,
    },
    rules::Policies,
};

/// What counts for a group.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policy {
    /// The policies.
    pub policies: Policies,
    /// The messenger in which chats of its items are made and its people are told things.
    pub messenger: Option<(ConnectionId, ConnectionKind)>,
}

/// Returns what counts for a group.
pub async fn of_group(
    connection: &mut PgConnection,
    root: RootId,
    group: GroupId,
) -> Result<Policy, StoreError> {
    let row = sqlx::query!(
        r#"WITH RECURSIVE up AS (
               SELECT parent_id, messenger_id, chat_preset, invite_policy, reassignment, 0 AS height
               FROM groups WHERE root_id = $1 AND id = $2
               UNION ALL
               SELECT groups.parent_id, groups.messenger_id, groups.chat_preset, groups.invite_policy, groups.reassignment, height + 1
               FROM up JOIN groups ON groups.root_id = $1 AND groups.id = up.parent_id)
           SELECT connections.id AS "messenger?: ConnectionId", connections.kind AS "kind?", preset, invites, reassignment
           FROM (SELECT (array_agg(messenger_id ORDER BY height) FILTER (WHERE messenger_id IS NOT NULL))[1] AS messenger,
                        (array_agg(chat_preset ORDER BY height) FILTER (WHERE chat_preset IS NOT NULL))[1] AS preset,
                        (array_agg(invite_policy ORDER BY height) FILTER (WHERE invite_policy IS NOT NULL))[1] AS invites,
                        (array_agg(up.reassignment ORDER BY height) FILTER (WHERE up.reassignment IS NOT NULL))[1] AS reassignment
                 FROM up) AS nearest
           LEFT JOIN connections ON connections.id = nearest.messenger"#,
        root.0,
        group.0,
    )
    .fetch_one(connection)
    .await?;
    let fallback = Policies::default();
    let preset = row.preset.as_deref().and_then(ChatPreset::from_word);
    let invites = row.invites.as_deref().and_then(InvitePolicy::from_word);
    let reassignment = row
        .reassignment
        .as_deref()
        .and_then(Reassignment::from_word);
    let kind = row.kind.and_then(|word| word.parse().ok());
    Ok(Policy {
        policies: Policies {
            preset: preset.unwrap_or(fallback.preset),
            invites: invites.unwrap_or(fallback.invites),
            reassignment: reassignment.unwrap_or(fallback.reassignment),
        },
        messenger: row.messenger.zip(kind),
    })
}

/// Returns which people can be told something over a messenger: active ones with an account there who did not ask for quiet.
pub async fn reachable(
    connection: &mut PgConnection,
    messenger: ConnectionId,
    people: &[PersonId],
) -> Result<Vec<(PersonId, ConnectionId)>, StoreError> {
    let ids: Vec<i64> = people.iter().map(|person| person.0).collect();
    let found = sqlx::query_scalar!(
        r#"SELECT people.id AS "id: PersonId" FROM people
           WHERE people.id = ANY($2) AND people.active AND NOT people.quiet
             AND (SELECT true FROM identities WHERE person_id = people.id AND connection_id = $1 AND NOT is_bot LIMIT 1)"#,
        messenger.0,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(found
        .into_iter()
        .map(|person| (person, messenger))
        .collect())
}

/// What the configuration says of a group; what it leaves open is left to the groups above.
#[derive(Debug, Clone, Copy, Default)]
pub struct Declared {
    /// The messenger.
    pub messenger: Option<ConnectionId>,
    /// What leaving a chat means.
    pub preset: Option<ChatPreset>,
    /// Who makes observers by adding people to a chat.
    pub invites: Option<InvitePolicy>,
    /// What becomes of a responsible person who is replaced.
    pub reassignment: Option<Reassignment>,
    /// Which comments are answered.
    pub replies: Option<Replies>,
    /// Whether reactions are put on comments.
    pub reactions: Option<Reactions>,
}

/// Makes the policies of a declared group what the configuration says.
pub async fn declare(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    declared: Declared,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE groups SET messenger_id = $3, chat_preset = $4, invite_policy = $5, reassignment = $6, replies = $7, reactions = $8
         WHERE root_id = $1 AND id = $2",
        root.0,
        group.0,
        declared.messenger.map(|id| id.0),
        declared.preset.map(ChatPreset::word),
        declared.invites.map(InvitePolicy::word),
        declared.reassignment.map(Reassignment::word),
        declared.replies.map(Replies::word),
        declared.reactions.map(Reactions::word),
    )
    .execute(connection)
    .await?;
    Ok(())
}

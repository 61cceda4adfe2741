//! The settings of a group: its CRM switched and pointed at the group that holds its contacts, its messenger and policies chosen.

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{Asker, Crm, CrmError, error::Failure, items::detail};
use crate::{
    domain::{ConnectionId, GroupId, OperationId, RelationSource, RootId},
    rules::{Access, GroupSettings, GroupState, Refused, configure},
    store::{
        connection, group_settings,
        operation::{self, Told},
        road::Fresh,
        standing::{self, Held},
    },
};

/// What follows from changing a group's CRM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupReport {
    /// Groups that keep their contacts somewhere else now.
    pub groups_affected: u64,
    /// Relations between issues and contacts that are lost, since the contacts are not where the issues' groups keep theirs.
    pub relations_removed: u64,
    /// By which the change is found in the history; none where nothing changed.
    pub operation: Option<OperationId>,
}

impl Crm {
    /// Returns what [`Self::set_group`] would do, and leaves everything as it is.
    ///
    /// # Errors
    /// As [`Self::set_group`].
    pub async fn preview_group(
        &self,
        asker: Asker,
        group: GroupId,
        settings: GroupSettings,
    ) -> Result<GroupReport, CrmError> {
        let report = self
            .decide(|fresh| self.set_group_once(asker, group, &settings, (fresh, false)))
            .await?;
        Ok(GroupReport {
            operation: None,
            ..report
        })
    }

    /// Switches the CRM of a group, says where it keeps its contacts, and chooses its messenger and policies.
    ///
    /// # Errors
    /// [`CrmError::Denied`] below Maintainer; [`CrmError::Invalid`] where the contact source is of another root group or has its CRM off.
    pub async fn set_group(
        &self,
        asker: Asker,
        group: GroupId,
        settings: GroupSettings,
    ) -> Result<GroupReport, CrmError> {
        self.decide(|fresh| self.set_group_once(asker, group, &settings, (fresh, true)))
            .await
    }

    /// Does it in a transaction, which is committed or not: what is said before is what is done after.
    async fn set_group_once(
        &self,
        asker: Asker,
        group: GroupId,
        settings: &GroupSettings,
        (fresh, commit): (Fresh, bool),
    ) -> Result<GroupReport, Failure> {
        let mut tx = self.pool.begin().await?;
        let root = standing::root_of_group(&mut tx, group).await?;
        let root = root.ok_or(Refused::NotFound)?;
        let place = (root, group, Held::Here);
        let (access, _) = self
            .towards_group(&mut tx, asker.person, place, fresh)
            .await?;
        let source = settings.contact_source.flatten();
        let source = self.source(&mut tx, asker, (root, source), fresh).await?;
        let state = group_settings::lock(&mut tx, root, group).await?;
        let state = state.ok_or(Refused::NotFound)?;
        let messengers = messengers(&mut tx, root, settings).await?;
        let wanted = configure(&access, (group, &state), settings, source, &messengers)?;
        if wanted == state {
            return Ok(GroupReport::default());
        }
        let act = self.act(asker, root, group);
        group_settings::write(&mut tx, (root, group), &wanted).await?;
        let affected = group_settings::follow(&mut tx, root, group).await?;
        let removed = group_settings::drop_strangers(&mut tx, &act, &affected).await?;
        let told = Told {
            item: None,
            action: "group_configured",
            detail: detail([("before", said(&state)), ("after", said(&wanted))]),
        };
        operation::append(&mut tx, &act, vec![told]).await?;
        if commit {
            tx.commit().await?;
            self.tell(&act).await;
        } else {
            tx.rollback().await?;
        }
        Ok(GroupReport {
            groups_affected: affected.len() as u64,
            relations_removed: removed,
            operation: Some(act.operation),
        })
    }

    /// Returns what the asker may do with the contacts of the group that is to be the source, if it is in the same root group.
    async fn source(
        &self,
        connection: &mut PgConnection,
        asker: Asker,
        (root, source): (RootId, Option<GroupId>),
        fresh: Fresh,
    ) -> Result<Option<Access>, Failure> {
        let Some(source) = source else {
            return Ok(None);
        };
        let place = (root, source, Held::Here);
        match self
            .towards_group(connection, asker.person, place, fresh)
            .await
        {
            Ok((access, _)) => Ok(Some(access)),
            Err(Failure::Refused(Refused::NotFound)) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

/// Returns the messengers that a tenant may use, where one is to be chosen.
async fn messengers(
    connection: &mut PgConnection,
    root: RootId,
    settings: &GroupSettings,
) -> Result<Vec<ConnectionId>, Failure> {
    if settings.policies.messenger.flatten().is_none() {
        return Ok(Vec::new());
    }
    let known = connection::of_tenant(connection, root).await?.into_iter();
    let messengers = known.filter(|known| known.kind.is_messenger());
    Ok(messengers.map(|known| known.id).collect())
}

fn said(state: &GroupState) -> Value {
    let words = |sources: &Vec<RelationSource>| -> Vec<&str> {
        sources.iter().map(|source| source.word()).collect()
    };
    json!({
        "crm_enabled": state.crm_enabled,
        "contact_source": state.contact_source,
        "automatic_relations": state.automatic_relations.as_ref().map(words),
        "messenger": state.policies.messenger,
        "chat_preset": state.policies.preset,
        "invite_policy": state.policies.invites,
        "reassignment": state.policies.reassignment,
        "replies": state.policies.replies,
        "reactions": state.policies.reactions,
    })
}

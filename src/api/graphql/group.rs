//! Groups: their contacts and organizations, and how they keep them.

use async_graphql::{Context, ID, Object, Result};

use super::{Refusal, Scope, id::GroupGid, loader::GroupAccess};
use crate::{
    domain::{GroupId, Level},
    rules::Access,
    store::tree::{self, GroupNode},
};

/// A group that the asker may see.
pub(super) struct Group {
    node: GroupNode,
    access: Access,
}

impl Group {
    /// Returns the group at a path, if the asker may see it.
    pub(super) async fn at(scope: Scope<'_>, path: &str) -> Result<Option<Self>, Refusal> {
        if scope.viewer.bearer().is_none() {
            return Ok(None);
        }
        let node = tree::group_at(&mut *scope.connection().await?, path).await?;
        Self::seen(scope, node).await
    }

    /// Returns the group with an id, if the asker may see it.
    pub(super) async fn find(scope: Scope<'_>, id: GroupId) -> Result<Option<Self>, Refusal> {
        let node = scope.rows.load_one(id).await?;
        Self::seen(scope, node).await
    }

    async fn seen(scope: Scope<'_>, node: Option<GroupNode>) -> Result<Option<Self>, Refusal> {
        let Some(node) = node else {
            return Ok(None);
        };
        let access = scope.rows.load_one(GroupAccess(node.root, node.id)).await?;
        let seen = access.filter(|access| access.active && access.contact_group.max(access.project) >= Level::Guest);
        Ok(seen.map(|access| Self { node, access }))
    }
}

impl Group {
    /// Returns its id.
    pub(super) fn id(&self) -> GroupId {
        self.node.id
    }
}

/// A group.
#[Object]
impl Group {
    /// Global id.
    #[graphql(name = "id")]
    async fn global_id(&self) -> ID {
        GroupGid::of(self.node.id)
    }

    /// Name.
    async fn name(&self) -> &str {
        &self.node.name
    }

    /// Full path.
    async fn full_path(&self) -> ID {
        ID(self.node.path.clone())
    }

    /// Whether the CRM is on for this group.
    async fn crm_enabled(&self) -> bool {
        self.node.crm_enabled
    }

    /// The group that this one and those below it keep their contacts in, where that is not where the parent's are.
    async fn crm_source_group(&self, context: &Context<'_>) -> Result<Option<Group>> {
        match self.node.contact_source {
            None => Ok(None),
            Some(source) => Ok(Self::find(Scope::of(context)?, source).await?),
        }
    }

    /// Whether issues are related by themselves to the contacts whose addresses open or head them.
    async fn crm_relates_automatically(&self) -> bool {
        self.node.relates_automatically
    }
}

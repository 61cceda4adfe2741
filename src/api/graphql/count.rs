//! How many nodes a connection has in all; counted only where it is asked for.

use async_graphql::{Context, Object, Result};

use super::{Scope, loader::IssueItems};
use crate::domain::{IssueId, ItemKind, RootId};

/// What is counted.
pub(super) enum Count {
    /// The contacts or organizations of an issue.
    OfIssue(RootId, IssueId, ItemKind),
    /// Nothing that the asker may see.
    Nothing,
}

/// What is beside the nodes.
#[Object]
impl Count {
    /// How many there are on all pages.
    async fn count(&self, context: &Context<'_>) -> Result<i64> {
        match *self {
            Self::Nothing => Ok(0),
            Self::OfIssue(root, issue, kind) => {
                let counted = Scope::of(context)?.rows.load_one(IssueItems { root, issue, kind }).await?;
                Ok(counted.unwrap_or_default())
            }
        }
    }
}

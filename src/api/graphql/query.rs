//! Where queries begin.

use async_graphql::{Context, ID, Object, Result};

use super::{
    Refusal, Scope, Viewer,
    group::Group,
    id::{BulkJobGid, IssueGid, ItemGid},
    issue::{Issue, Project},
    item::Item,
    preview::CommandPreview,
    user::CurrentUser,
    watching::BulkJob,
};
use crate::crm::CrmError;

/// The root of queries.
pub(super) struct Query;

/// What can be asked.
#[Object]
impl Query {
    /// The person whose token the request carries.
    async fn current_user(&self, context: &Context<'_>) -> Option<CurrentUser> {
        let viewer = context.data_opt::<Viewer>()?;
        viewer.bearer().cloned().map(CurrentUser)
    }

    /// A group by its full path.
    async fn group(&self, context: &Context<'_>, full_path: ID) -> Result<Option<Group>> {
        let scope = Scope::of(context)?;
        Ok(Group::at(scope, &full_path).await?)
    }

    /// A project by its full path.
    async fn project(&self, context: &Context<'_>, full_path: ID) -> Result<Option<Project>> {
        let scope = Scope::of(context)?;
        Ok(Project::at(scope, &full_path).await?)
    }

    /// An issue by its global id.
    async fn issue(&self, context: &Context<'_>, id: IssueGid) -> Result<Option<Issue>> {
        let scope = Scope::of(context)?;
        Ok(Issue::find(scope, id.read()?).await?)
    }

    /// An item by its global id.
    async fn item(&self, context: &Context<'_>, id: ItemGid) -> Result<Option<Item>> {
        let scope = Scope::of(context)?;
        Ok(Item::find(scope, id.read()?).await?)
    }

    /// A change of many items, for whoever may see the items that it changes.
    async fn bulk_job(&self, context: &Context<'_>, id: BulkJobGid) -> Result<Option<BulkJob>> {
        let scope = Scope::of(context)?;
        scope.rows.loader().single()?;
        match scope.api.crm.bulk_job(scope.asker()?, id.read()?).await {
            Ok(job) => Ok(Some(BulkJob(job))),
            Err(CrmError::NotFound) => Ok(None),
            Err(other) => Err(Refusal::from(other).into()),
        }
    }

    /// What the commands of a comment by the asker would do on an issue, and what would be answered. Changes nothing.
    async fn command_preview(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Global id of the issue.")] issue_id: IssueGid,
        #[graphql(desc = "The comment's text.")] text: String,
    ) -> Result<CommandPreview> {
        let scope = Scope::of(context)?;
        scope.rows.loader().single()?;
        let preview = scope
            .api
            .crm
            .preview(scope.asker()?, issue_id.read()?, &text)
            .await;
        Ok(CommandPreview(preview.map_err(Refusal::from)?))
    }
}

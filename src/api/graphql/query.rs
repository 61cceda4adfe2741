//! Where queries begin.

use async_graphql::{Context, ID, Object, Result};

use super::{
    Refusal, Scope, Viewer,
    group::Group,
    id::IssueGid,
    issue::{Issue, Project},
    preview::CommandPreview,
    user::CurrentUser,
};

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

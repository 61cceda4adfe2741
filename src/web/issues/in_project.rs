//! `/{project}/-/issues/{iid}`: the way from an issue's address in the tracker to its page here.

use axum::{
    Extension, Router,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

use crate::{
    rules::Right,
    store::tree,
    web::{Web, dispatch::Place, frame::base, params::Path, problem::Problem, visit::SignedIn},
};

/// Returns the route within a project.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/issues/{iid}", get(find))
}

async fn find(
    visitor: SignedIn,
    Extension(Place(project)): Extension<Place>,
    Path(iid): Path<i64>,
) -> Result<Response, Problem> {
    let mut connection = visitor.connection().await?;
    let projects = tree::projects_at(&mut connection, &project).await?;
    let mut issues = Vec::new();
    for project in &projects {
        issues.extend(tree::issue_at(&mut connection, project.id, iid).await?);
    }
    drop(connection);
    let ids: Vec<_> = issues.iter().map(|issue| issue.id).collect();
    let person = visitor.bearer.person;
    let access = visitor.web.crm.issues_access(person, &ids).await?;
    let may_see = |issue: &&tree::IssueNode| {
        access
            .get(&issue.id)
            .is_some_and(|access| access.allows(Right::ViewIssueContacts))
    };
    let issue = issues.iter().find(may_see).ok_or(Problem::NotFound)?;
    let home = projects.iter().find(|project| project.id == issue.project);
    let home = home.ok_or(Problem::NotFound)?.group;
    let mut connection = visitor.connection().await?;
    let group = tree::groups(&mut connection, &[home]).await?.pop();
    let group = group.ok_or(Problem::NotFound)?;
    let path = format!("{}/issues/{}", base(&group.path), issue.id);
    Ok(Redirect::to(&path).into_response())
}

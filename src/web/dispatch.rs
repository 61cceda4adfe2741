//! Which page a path means. Paths of groups have any number of segments, which no pattern of a router can say, so they are cut at `/-/`
//! first: `/groups/{path}/-/crm/contacts` is the page `/crm/contacts` within a group, and `/{path}/-/issues/7` the issue of a project.

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, Uri, header};
use tower::ServiceExt;

use super::{Web, guard, problem::Problem};

/// The path of the group, or of the project, that a page is within.
#[derive(Debug, Clone)]
pub(super) struct Place(pub(super) String);

/// The address that was asked for, before it was cut.
#[derive(Debug, Clone)]
struct Asked(Uri);

#[derive(Clone)]
struct Ways {
    in_groups: Router,
    in_projects: Router,
    others: Router,
}

/// Returns the routes of pages within groups and projects; all else is answered by `others`.
pub(super) fn router(
    web: &Web,
    (in_groups, in_projects): (Router<Web>, Router<Web>),
    others: &Router,
) -> Router {
    let or_back = |pages: Router<Web>| {
        guard::signed_in(web, pages)
            .fallback(back)
            .layer(axum::Extension(others.clone()))
    };
    let ways = Ways {
        in_groups: or_back(in_groups),
        in_projects: or_back(in_projects),
        others: others.clone(),
    };
    Router::new().fallback(dispatch).with_state(ways)
}

async fn dispatch(State(ways): State<Ways>, mut request: Request) -> Response {
    let (pages, (place, page)) = if let Some(cut) = cut(request.uri()) {
        (ways.in_groups, cut)
    } else if let Some(cut) = cut_project(request.uri()) {
        (ways.in_projects, cut)
    } else {
        return elsewhere(ways.others, request).await;
    };
    let asked = Asked(std::mem::replace(request.uri_mut(), page));
    request.extensions_mut().insert(asked);
    request.extensions_mut().insert(Place(place));
    go(pages, request).await
}

/// Answers what is no page of a group after all.
async fn back(axum::Extension(others): axum::Extension<Router>, mut request: Request) -> Response {
    if let Some(Asked(uri)) = request.extensions_mut().remove() {
        *request.uri_mut() = uri;
    }
    elsewhere(others, request).await
}

async fn elsewhere(others: Router, request: Request) -> Response {
    let is_browser = wants_html(request.headers());
    let response = go(others, request).await;
    if response.status() == StatusCode::NOT_FOUND && is_browser {
        return Problem::NotFound.into_response();
    }
    response
}

async fn go(router: Router, request: Request) -> Response {
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Returns path and query that were asked for.
pub(super) fn original_path(request: &Request) -> String {
    let asked = request.extensions().get::<Asked>();
    let uri = asked.map_or(request.uri(), |Asked(uri)| uri);
    uri.path_and_query()
        .map_or_else(|| uri.path().to_owned(), ToString::to_string)
}

/// Returns the group of an address and the address of the page within it.
fn cut(uri: &Uri) -> Option<(String, Uri)> {
    let (group, page) = uri.path().strip_prefix("/groups/")?.split_once("/-/")?;
    let page = match uri.query() {
        Some(query) => format!("/{page}?{query}"),
        None => format!("/{page}"),
    };
    Some((group.to_owned(), page.parse().ok()?))
}

/// Returns the project of an address and the address of the page within it.
fn cut_project(uri: &Uri) -> Option<(String, Uri)> {
    let (project, page) = uri.path().strip_prefix('/')?.split_once("/-/")?;
    let page = page.strip_prefix("issues/")?;
    Some((project.to_owned(), format!("/issues/{page}").parse().ok()?))
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accepted| accepted.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_groups_have_any_length() {
        for (path, expected) in [
            (
                "/groups/acme/-/crm/contacts?a=/-/",
                Some(("acme", "/crm/contacts?a=/-/")),
            ),
            ("/groups/acme/a/b/-/issues", Some(("acme/a/b", "/issues"))),
            ("/groups/acme/-/a/-/b", Some(("acme", "/a/-/b"))),
            ("/groups/acme", None),
            ("/acme/shop/-/issues/1", None),
        ] {
            let found = cut(&path.parse().unwrap());
            let found = found
                .as_ref()
                .map(|(group, page)| (group.clone(), page.to_string()));
            let expected = expected.map(|(group, page)| (group.to_owned(), page.to_owned()));
            assert_eq!(found, expected, "{path}");
        }
        for (path, expected) in [
            ("/acme/shop/-/issues/1", Some(("acme/shop", "/issues/1"))),
            ("/acme/shop/-/autocomplete_sources/contacts", None),
            ("/-/issues/1", None),
        ] {
            let found = cut_project(&path.parse().unwrap());
            let found = found
                .as_ref()
                .map(|(project, page)| (project.as_str(), page.path()));
            assert_eq!(found, expected, "{path}");
        }
    }
}

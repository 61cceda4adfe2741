//! Which page a path means. Paths of groups have any number of segments, which no pattern of a router can say, so they are cut at `/-/`
//! first: `/groups/{path}/-/crm/contacts` is the page `/crm/contacts` within a group.

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, Uri, header};
use tower::ServiceExt;

use super::{Web, guard, problem::Problem};

/// The path of the group that a page is within.
#[derive(Debug, Clone)]
pub(super) struct Place(pub(super) String);

/// The address that was asked for, before it was cut.
#[derive(Debug, Clone)]
struct Asked(Uri);

#[derive(Clone)]
struct Ways {
    in_groups: Router,
    others: Router,
}

/// Returns the routes of pages within groups; all else is answered by `others`.
pub(super) fn router(web: &Web, in_groups: Router<Web>, others: Router) -> Router {
    let in_groups = guard::signed_in(web, in_groups);
    let in_groups = in_groups
        .fallback(back)
        .layer(axum::Extension(others.clone()));
    Router::new()
        .fallback(dispatch)
        .with_state(Ways { in_groups, others })
}

async fn dispatch(State(ways): State<Ways>, mut request: Request) -> Response {
    let Some((group, page)) = cut(request.uri()) else {
        return elsewhere(ways.others, request).await;
    };
    let asked = Asked(std::mem::replace(request.uri_mut(), page));
    request.extensions_mut().insert(asked);
    request.extensions_mut().insert(Place(group));
    go(ways.in_groups, request).await
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
    }
}

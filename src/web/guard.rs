//! What stands before and after every page: where the request comes from, whose it is, and what the browser may do with the answer.
//!
//! **Forged requests.** A change is a POST. A browser says where it comes from: `Sec-Fetch-Site` where it knows that header, else
//! `Origin`. Only "from this very origin" is taken, also to sign in; a request that says nothing is refused. The session's cookie is
//! `SameSite=Lax` besides. GET changes nothing.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, header};
use url::Url;

use super::{Web, body, cookie::Cookie, flash::Flash, form, login, problem::Problem};

/// Scripts, styles and images of this service, its own forms, and nothing else from nowhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Returns routes that everybody may use, guarded.
pub(super) fn open(web: &Web, routes: Router<Web>) -> Router {
    guarded(&web.public_url, routes).with_state(web.clone())
}

/// Returns routes that only this service's own forms reach, and whose answers tell the browser what it may do with them.
pub(super) fn guarded<S: Clone + Send + Sync + 'static>(
    public_url: &Url,
    routes: Router<S>,
) -> Router<S> {
    routes.route_layer(from_fn_with_state(public_url.clone(), guard))
}

/// Returns routes for whoever is signed in, guarded. Handlers find him by [`super::visit::SignedIn`].
pub(super) fn signed_in(web: &Web, routes: Router<Web>) -> Router {
    let routes = routes.route_layer(from_fn_with_state(web.clone(), know));
    guarded(&web.public_url, routes).with_state(web.clone())
}

/// Refuses what a foreign page sent, reads the body, and tells the browser what it may do with the answer.
async fn guard(State(public_url): State<Url>, request: Request, next: Next) -> Response {
    let has_flash = Cookie::Flash.read(request.headers(), &public_url).is_some();
    let is_fragment = request.headers().contains_key("hx-request");
    let answered = async {
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::POST if is_own(request.headers(), &public_url) => {}
            _ => return Err(Problem::Foreign),
        }
        let request = body::collect(request).await?;
        Ok(next.run(request).await)
    };
    let mut response = answered.await.unwrap_or_else(IntoResponse::into_response);
    // It is said once, on a whole page.
    let is_page = response.status().is_success() && is_html(response.headers());
    if has_flash && is_page && !is_fragment {
        let gone = Cookie::Flash.clear(&public_url);
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Finds out who is there. Nobody who sends a form is asked to sign in with the form kept, so that nothing that was typed is lost. What a
/// button does is not done later, perhaps in the name of somebody else: it has to be pressed again.
async fn know(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let token = Cookie::Session.read(request.headers(), &web.public_url);
    let found = match &token {
        Some(token) => web.sessions.find(token).await,
        None => Ok(None),
    };
    match found {
        Ok(Some(bearer)) => {
            request.extensions_mut().insert(bearer);
            next.run(request).await
        }
        Ok(None) => ask_to_sign_in(&web, request).await,
        Err(error) => Problem::from(error).into_response(),
    }
}

async fn ask_to_sign_in(web: &Web, request: Request) -> Response {
    let asked = super::dispatch::original_path(&request);
    if *request.method() != Method::POST || !body::is_form(request.headers()) {
        return Problem::SignIn(asked).into_response();
    }
    if !form::shows_itself(&asked) {
        let page = login::page_before(web, request.headers());
        let text = "Your session had ended, so nothing was changed. Sign in, and press it again.";
        return Flash::warning(text).then(&login::sign_in_path(&page), &web.public_url);
    }
    // It was read by the guard, within its limits.
    match to_bytes(Body::new(request.into_body()), body::MAX_FORM).await {
        Ok(body) => login::with_kept_form(web, &asked, &String::from_utf8_lossy(&body)).await,
        Err(_) => Problem::Malformed.into_response(),
    }
}

/// Returns whether a request was made by a page of this service.
fn is_own(headers: &HeaderMap, public_url: &Url) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = text("origin") else {
        return false;
    };
    if origin == public_url.origin().ascii_serialization() {
        return true;
    }
    // Reached under another name than the configured one. No page can make a browser send a wrong host, and the session's cookie is not
    // sent to another one.
    let Ok(origin) = Url::parse(origin) else {
        return false;
    };
    let (Some(host), Some(asked)) = (origin.host_str(), text("host")) else {
        return false;
    };
    let host = match origin.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    host.eq_ignore_ascii_case(asked)
}

fn is_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_service_may_send_forms() {
        let public: Url = "https://liaison.example.com/".parse().unwrap();
        for (headers, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "same-site")], false),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://liaison.example.com"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "https://liaison.example.com")], true),
            (
                &[("origin", "https://liaison.example.com.evil.example")],
                false,
            ),
            (
                &[
                    ("origin", "http://10.0.0.5:8080"),
                    ("host", "10.0.0.5:8080"),
                ],
                true,
            ),
            (
                &[
                    ("origin", "http://10.0.0.5:8081"),
                    ("host", "10.0.0.5:8080"),
                ],
                false,
            ),
            (
                &[
                    ("origin", "https://evil.example"),
                    ("host", "liaison.example.com"),
                ],
                false,
            ),
            (&[("origin", "null"), ("host", "null")], false),
            (&[("host", "liaison.example.com")], false),
            (&[], false),
        ] {
            let headers = headers
                .iter()
                .map(|(name, value)| {
                    (
                        http::HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            assert_eq!(is_own(&headers, &public), expected, "{headers:?}");
        }
    }
}

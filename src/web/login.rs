//! Signing in and out. A form that was sent after its session had ended waits in the login page and comes back as it was typed.

use std::net::{IpAddr, SocketAddr};

use askama::Template;
use axum::{
    Router,
    extract::{ConnectInfo, FromRequestParts, State},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::{
    Web,
    cookie::Cookie,
    flash::Flash,
    form::{RESTORED, Typed},
    frame::{Frame, html},
    params::Query,
    problem::Problem,
};
use crate::{domain::PersonId, store::person};

/// Where one signs in at an OpenID provider.
pub(super) const OPENID: &str = "/users/auth/openid_connect";
/// Where an OpenID provider sends people back to.
pub const OPENID_BACK: &str = "/users/auth/openid_connect/callback";
/// Where one signs in.
const SIGN_IN: &str = "/users/sign_in";
/// Largest form that waits while somebody signs in, in bytes.
pub(super) const MAX_KEPT: usize = 256 << 10;
/// Largest number of people whom a demo offers.
const MAX_PEOPLE: i64 = 50;
/// One text for whoever does not exist, has no password, or typed a wrong one.
const WRONG: &str = "The username or the password is wrong.";
const TOO_OFTEN: &str = "Too many attempts. Wait a minute, then try again.";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    error: Option<&'static str>,
    username: String,
    return_to: String,
    kept: String,
    /// Where one signs in with an account of elsewhere.
    elsewhere: Option<String>,
    people: Vec<(PersonId, String, String)>,
}

#[derive(Template)]
#[template(path = "login_link.html")]
struct LinkPage {
    frame: Frame,
    token: String,
    return_to: String,
}

/// The form that waited, on its way back.
#[derive(Template)]
#[template(path = "login_kept.html")]
struct KeptPage {
    frame: Frame,
    path: String,
    fields: Vec<(String, String)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Place {
    pub(super) return_to: String,
    token: String,
}

/// What is typed to sign in. The password is no part of any `Debug`.
#[derive(Default, Deserialize)]
pub(super) struct Input {
    #[serde(default)]
    username: String,
    password: Option<SecretString>,
    #[serde(default)]
    person: Option<i64>,
    #[serde(default)]
    token: String,
    #[serde(default)]
    pub(super) return_to: String,
    /// A form that waits, as it was sent.
    #[serde(default)]
    pub(super) kept: String,
}

impl Input {
    /// Returns what leads on to a page once somebody is signed in, or to a form that waits for it.
    pub(super) fn leading_to(return_to: String, kept: String) -> Self {
        Self {
            return_to,
            kept,
            ..Self::default()
        }
    }
}

/// Where a request comes from, as far as it is known.
pub(super) struct Address(pub(super) Option<IpAddr>);

impl FromRequestParts<Web> for Address {
    type Rejection = Problem;

    /// A proxy on this very machine says for whom it asks; nobody else is believed.
    async fn from_request_parts(parts: &mut Parts, _: &Web) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map(|ConnectInfo(address)| address.ip());
        let forwarded = parts
            .headers
            .get("x-forwarded-for")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.rsplit(',').next())
            .and_then(|value| value.trim().parse().ok())
            .filter(|_| peer.is_some_and(|peer| peer.is_loopback()));
        Ok(Self(forwarded.or(peer)))
    }
}

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(SIGN_IN, get(page).post(sign_in))
        .route("/users/sign_in/link", get(link_page).post(use_link))
        .route("/users/sign_in/demo", post(as_anybody))
        .route("/users/sign_out", post(sign_out))
        .route("/users/sign_out/everywhere", post(sign_out_everywhere))
}

/// Returns the address of the login page that leads on to another one.
pub(super) fn sign_in_path(return_to: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("return_to", return_to);
    format!("{SIGN_IN}?{}", query.finish())
}

/// Returns where one signs in with an account of elsewhere.
fn elsewhere(return_to: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("return_to", return_to);
    format!("{OPENID}?{}", query.finish())
}

/// Returns the page of ours on which something was pressed, as the browser says.
pub(super) fn page_before(web: &Web, headers: &HeaderMap) -> String {
    let referer = headers.get(header::REFERER);
    let referer = referer.and_then(|value| value.to_str().ok()?.parse::<Url>().ok());
    let page = referer.map_or_else(String::new, |url| match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    });
    own_path(&page, &web.public_url).to_owned()
}

/// Answers a form whose session has ended with the login page, in which it waits.
pub(super) async fn with_kept_form(web: &Web, path: &str, form: &str) -> Response {
    if form.len() > MAX_KEPT {
        return Problem::SignIn(path.to_owned()).into_response();
    }
    let error = "Your session has ended. Sign in again; what you typed is kept.";
    let input = Input::leading_to(path.to_owned(), form.to_owned());
    login_page(web, &input, Some(error))
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn page(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(place): Query<Place>,
) -> Result<Response, Problem> {
    if let Some(token) = Cookie::Session.read(&headers, &web.public_url)
        && web.sessions.find(&token).await?.is_some()
    {
        return Ok(Redirect::to(own_path(&place.return_to, &web.public_url)).into_response());
    }
    let input = Input {
        return_to: place.return_to,
        ..Input::default()
    };
    let mut page = form(&web, &input, None).await?;
    page.frame.flash = Flash::read(&headers, &web.public_url);
    Ok(html(&page))
}

/// Answers with the login page and why nobody is signed in yet.
pub(super) async fn login_page(
    web: &Web,
    input: &Input,
    error: Option<&'static str>,
) -> Result<Response, Problem> {
    let mut response = html(&form(web, input, error).await?);
    *response.status_mut() = if error == Some(TOO_OFTEN) {
        StatusCode::TOO_MANY_REQUESTS
    } else {
        StatusCode::UNAUTHORIZED
    };
    Ok(response)
}

async fn form(web: &Web, input: &Input, error: Option<&'static str>) -> Result<LoginPage, Problem> {
    let people = if web.demo {
        let mut connection = web.crm.pool.acquire().await?;
        person::list(&mut connection, MAX_PEOPLE).await?
    } else {
        Vec::new()
    };
    Ok(LoginPage {
        frame: Frame::bare("Sign in"),
        error,
        username: input.username.clone(),
        return_to: own_path(&input.return_to, &web.public_url).to_owned(),
        kept: input.kept.clone(),
        elsewhere: web.openid.is_some().then(|| elsewhere(&input.return_to)),
        people,
    })
}

async fn sign_in(
    State(web): State<Web>,
    Address(address): Address,
    headers: HeaderMap,
    form: Typed<Input>,
) -> Result<Response, Problem> {
    let input = form.values;
    if !web.attempts.may(&input.username, address) {
        return login_page(&web, &input, Some(TOO_OFTEN)).await;
    }
    let password = input.password.clone().unwrap_or_default();
    match web.passwords.check(&input.username, password).await? {
        Some(person) => begin(&web, person, &headers, &input).await,
        None => login_page(&web, &input, Some(WRONG)).await,
    }
}

/// Shows a button, since programs that look into mails open links too and would use it up.
async fn link_page(State(web): State<Web>, Query(place): Query<Place>) -> Response {
    html(&LinkPage {
        frame: Frame::bare("Sign in"),
        return_to: own_path(&place.return_to, &web.public_url).to_owned(),
        token: place.token,
    })
}

async fn use_link(
    State(web): State<Web>,
    Address(address): Address,
    headers: HeaderMap,
    form: Typed<Input>,
) -> Result<Response, Problem> {
    let input = form.values;
    if !web.attempts.may_from(address) {
        return Err(Problem::TooMany);
    }
    match web.sessions.take_link(&input.token).await? {
        Some(person) => begin(&web, person, &headers, &input).await,
        None => {
            let error = "The link is used up or too old. Ask for a new one.";
            login_page(&web, &input, Some(error)).await
        }
    }
}

async fn as_anybody(
    State(web): State<Web>,
    headers: HeaderMap,
    form: Typed<Input>,
) -> Result<Response, Problem> {
    let input = form.values;
    let person = input.person.map(PersonId);
    let person = person.filter(|_| web.demo).ok_or(Problem::NotFound)?;
    begin(&web, person, &headers, &input).await
}

/// Begins a session and goes on to where somebody wanted to go; a form that waited is shown again.
pub(super) async fn begin(
    web: &Web,
    person: PersonId,
    headers: &HeaderMap,
    input: &Input,
) -> Result<Response, Problem> {
    let before = Cookie::Session.read(headers, &web.public_url);
    let token = web.sessions.begin(person, before.as_deref()).await?;
    let seconds = web.sessions.longest.num_seconds();
    let cookie = Cookie::Session.set(token.expose_secret(), seconds, &web.public_url);
    let path = own_path(&input.return_to, &web.public_url);
    let next = if input.kept.is_empty() {
        Redirect::to(path).into_response()
    } else {
        let fields = form_urlencoded::parse(input.kept.as_bytes()).into_owned();
        html(&KeptPage {
            frame: Frame::bare("Your form is back"),
            path: path.to_owned(),
            fields: fields
                .filter(|(name, _)| name != RESTORED)
                .chain([(RESTORED.to_owned(), "1".to_owned())])
                .collect(),
        })
    };
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), next).into_response())
}

async fn sign_out(State(web): State<Web>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(token) = Cookie::Session.read(&headers, &web.public_url) {
        web.sessions.end(&token).await?;
    }
    Ok(signed_out(&web, "You are signed out."))
}

async fn sign_out_everywhere(
    State(web): State<Web>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(token) = Cookie::Session.read(&headers, &web.public_url)
        && let Some(bearer) = web.sessions.find(&token).await?
    {
        web.sessions.end_all(bearer.person).await?;
    }
    Ok(signed_out(&web, "You are signed out everywhere."))
}

fn signed_out(web: &Web, text: &str) -> Response {
    let next = Flash::done(text).then(SIGN_IN, &web.public_url);
    let gone = Cookie::Session.clear(&web.public_url);
    (AppendHeaders([(header::SET_COOKIE, gone)]), next).into_response()
}

/// Returns a path of this service, or `/` where the text is something else: nobody is led away by a link to the login page.
fn own_path<'a>(text: &'a str, public_url: &Url) -> &'a str {
    let is_plain =
        text.starts_with('/') && !text.chars().any(|char| char.is_control() || char == '\\');
    let is_own = || {
        public_url
            .join(text)
            .is_ok_and(|url| url.origin() == public_url.origin())
    };
    if is_plain && is_own() { text } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_paths_are_returned_to() {
        let public: Url = "https://liaison.example.com".parse().unwrap();
        for (text, expected) in [
            (
                "/groups/acme/-/crm/contacts?sort=email_asc",
                "/groups/acme/-/crm/contacts?sort=email_asc",
            ),
            ("", "/"),
            ("https://evil.example/", "/"),
            ("//evil.example/", "/"),
            ("/\\evil.example/", "/"),
            ("/\t/evil.example/", "/"),
            ("javascript:alert(1)", "/"),
            ("groups/acme", "/"),
        ] {
            assert_eq!(own_path(text, &public), expected, "{text}");
        }
    }
}

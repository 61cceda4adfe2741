//! Signing in at an OpenID provider: there and back.
//!
//! A cookie holds the secret with which the browser began, and where it wanted to go. It is `SameSite=Lax`, so it comes along when the
//! provider sends the browser back, and no other browser has it. A form that waits for whoever signs in is kept under the same secret.

use std::net::IpAddr;

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{AppendHeaders, IntoResponse, Redirect, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::Url;

use super::{
    Web,
    cookie::Cookie,
    form::Typed,
    frame::{Frame, html},
    login::{self, Address, Input, Place},
    params::Query,
    problem::Problem,
};
use crate::{
    auth::{FORM_LASTS, OpenIdError},
    crypto::random_token,
};

/// How long one may take at the provider, in seconds.
const LASTS: i64 = FORM_LASTS.num_seconds();
const UNKNOWN: &str =
    "Nobody here has this account. Ask a Maintainer whether you are known under it.";
const FAILED: &str = "The provider did not confirm who you are. Try again.";

/// What the provider sends a browser back with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    state: String,
    code: String,
}

/// The last page before the provider's. A form may not lead away from here (`form-action`), not even by a redirect; a page may.
#[derive(Template)]
#[template(path = "login_openid.html")]
struct OnwardPage {
    frame: Frame,
    url: String,
}

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(login::OPENID, get(begin).post(begin_with_form))
        .route(login::OPENID_BACK, get(finish))
}

async fn begin(
    State(web): State<Web>,
    Address(address): Address,
    Query(place): Query<Place>,
) -> Result<Response, Problem> {
    let input = Input::leading_to(place.return_to, String::new());
    match set_out(&web, address, &input).await? {
        Ok((url, cookie)) => Ok((cookie, Redirect::to(url.as_str())).into_response()),
        Err(error) => failed(&web, error, &input).await,
    }
}

async fn begin_with_form(
    State(web): State<Web>,
    Address(address): Address,
    form: Typed<Input>,
) -> Result<Response, Problem> {
    let input = form.values;
    if input.kept.len() > login::MAX_KEPT {
        return Err(Problem::TooLarge);
    }
    match set_out(&web, address, &input).await? {
        Ok((url, cookie)) => {
            let onward = AppendHeaders([(header::REFRESH, format!("0; url={url}"))]);
            let page = html(&OnwardPage {
                frame: Frame::bare("Sign in"),
                url: url.into(),
            });
            Ok((cookie, onward, page).into_response())
        }
        Err(error) => failed(&web, error, &input).await,
    }
}

type SetCookie = AppendHeaders<[(HeaderName, HeaderValue); 1]>;

/// Begins a sign-in; returns where the browser goes, and what it takes along.
async fn set_out(
    web: &Web,
    address: Option<IpAddr>,
    input: &Input,
) -> Result<Result<(Url, SetCookie), OpenIdError>, Problem> {
    let provider = web.openid.as_ref().ok_or(Problem::NotFound)?;
    if !web.attempts.may_from(address) {
        return Err(Problem::TooMany);
    }
    let secret = random_token("");
    let secret = secret.expose_secret();
    let url = match provider.begin(secret).await {
        Ok(url) => url,
        Err(error) => return Ok(Err(error)),
    };
    if !input.kept.is_empty() && !web.sessions.keep_form(secret, &input.kept).await? {
        return Err(Problem::TooMany);
    }
    let place = URL_SAFE_NO_PAD.encode(&input.return_to);
    let cookie = Cookie::OpenId.set(&format!("{secret}.{place}"), LASTS, &web.public_url);
    Ok(Ok((url, AppendHeaders([(header::SET_COOKIE, cookie)]))))
}

async fn finish(
    State(web): State<Web>,
    Address(address): Address,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<Response, Problem> {
    let provider = web.openid.as_ref().ok_or(Problem::NotFound)?;
    if !web.attempts.may_from(address) {
        return Err(Problem::TooMany);
    }
    let cookie = Cookie::OpenId.read(&headers, &web.public_url);
    let (secret, place) = cookie
        .as_deref()
        .and_then(|cookie| cookie.split_once('.'))
        .unwrap_or_default();
    let found = provider.finish(secret, (&answer.state, &answer.code)).await;
    let return_to = URL_SAFE_NO_PAD.decode(place).unwrap_or_default();
    let return_to = String::from_utf8(return_to).unwrap_or_default();
    let kept = web.sessions.take_form(secret).await?.unwrap_or_default();
    let input = Input::leading_to(return_to, kept);
    let mut response = match found {
        Ok(Some(person)) => login::begin(&web, person, &headers, &input).await?,
        Ok(None) => login::login_page(&web, &input, Some(UNKNOWN)).await?,
        Err(error) => failed(&web, error, &input).await?,
    };
    let gone = Cookie::OpenId.clear(&web.public_url);
    response.headers_mut().append(header::SET_COOKIE, gone);
    Ok(response)
}

async fn failed(web: &Web, error: OpenIdError, input: &Input) -> Result<Response, Problem> {
    match error {
        OpenIdError::Store(error) => Err(error.into()),
        OpenIdError::Provider(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "nobody was signed in by the provider"
            );
            login::login_page(web, input, Some(FAILED)).await
        }
    }
}

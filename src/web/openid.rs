//! Signing in at an OpenID provider: there and back.
//!
//! A cookie holds the secret with which the browser began, and where it wanted to go. It is `SameSite=Lax`, so it comes along when the
//! provider sends the browser back, and no other browser has it.

use axum::{
    Router,
    extract::State,
    response::{AppendHeaders, IntoResponse, Redirect, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{
    Web,
    cookie::Cookie,
    login::{self, Address, Input, Place},
    params::Query,
    problem::Problem,
};
use crate::{auth::OpenIdError, crypto::random_token};

/// How long one may take at the provider, in seconds.
const LASTS: i64 = 600;
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

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(login::OPENID, get(begin))
        .route(login::OPENID_BACK, get(finish))
}

async fn begin(
    State(web): State<Web>,
    Address(address): Address,
    Query(place): Query<Place>,
) -> Result<Response, Problem> {
    let provider = web.openid.as_ref().ok_or(Problem::NotFound)?;
    if !web.attempts.may_from(address) {
        return Err(Problem::TooMany);
    }
    let secret = random_token("");
    let url = match provider.begin(secret.expose_secret()).await {
        Ok(url) => url,
        Err(error) => return failed(&web, error).await,
    };
    let place = URL_SAFE_NO_PAD.encode(place.return_to);
    let value = format!("{}.{place}", secret.expose_secret());
    let cookie = Cookie::OpenId.set(&value, LASTS, &web.public_url);
    let headers = AppendHeaders([(header::SET_COOKIE, cookie)]);
    Ok((headers, Redirect::to(url.as_str())).into_response())
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
    let kept = Cookie::OpenId.read(&headers, &web.public_url);
    let (secret, place) = kept
        .as_deref()
        .and_then(|kept| kept.split_once('.'))
        .unwrap_or_default();
    let found = provider.finish(secret, (&answer.state, &answer.code)).await;
    let mut response = match found {
        Ok(Some(person)) => {
            let return_to = URL_SAFE_NO_PAD.decode(place).unwrap_or_default();
            let input = Input::returning_to(String::from_utf8(return_to).unwrap_or_default());
            login::begin(&web, person, &headers, &input).await?
        }
        Ok(None) => login::login_page(&web, &Input::default(), Some(UNKNOWN)).await?,
        Err(error) => failed(&web, error).await?,
    };
    let gone = Cookie::OpenId.clear(&web.public_url);
    response.headers_mut().append(header::SET_COOKIE, gone);
    Ok(response)
}

async fn failed(web: &Web, error: OpenIdError) -> Result<Response, Problem> {
    match error {
        OpenIdError::Store(error) => Err(error.into()),
        OpenIdError::Provider(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "nobody was signed in by the provider"
            );
            login::login_page(web, &Input::default(), Some(FAILED)).await
        }
    }
}

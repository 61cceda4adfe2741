//! `/-/user_settings/personal_access_tokens`: API tokens of whoever is signed in, on GitLab's path. A new one is shown once.

use askama::Template;
use axum::{
    Router,
    response::Response,
    routing::{get, post},
};
use chrono::TimeDelta;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{
    Web,
    flash::Flash,
    form::{Errors, Typed, refused},
    frame::{Frame, html},
    moment::Moment,
    params::Path,
    problem::Problem,
    visit::SignedIn,
};
use crate::{
    crypto::{digest, random_token},
    store::token,
};

/// Where the page is.
pub(super) const PATH: &str = "/-/user_settings/personal_access_tokens";
/// Tokens in force that one person may have.
const MOST: usize = 100;
/// Longest name, in characters.
const MAX_NAME: usize = 255;
/// Longest that a token may be in force, in days.
const LONGEST: i64 = 36_500;

/// What is typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Input {
    name: String,
    /// Days after which it ends; empty for never.
    days: String,
}

impl Input {
    /// As the form first shows it.
    fn blank() -> Self {
        Self {
            days: "90".to_owned(),
            ..Self::default()
        }
    }
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    tokens: Vec<Line>,
    input: Input,
    errors: Errors,
    /// The one that was just made.
    made: Option<String>,
}

/// A token in force.
struct Line {
    id: i64,
    name: String,
    created: Moment,
    /// The day on which it ends.
    expires: Option<String>,
}

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(PATH, get(list).post(create))
        .route(&format!("{PATH}/{{id}}/revoke"), post(revoke))
}

async fn list(visitor: SignedIn) -> Result<Response, Problem> {
    page(&visitor, (Input::blank(), Errors::default()), None).await
}

async fn create(visitor: SignedIn, form: Typed<Input>) -> Result<Response, Problem> {
    let input = form.values;
    if form.is_restored {
        return page(&visitor, (input, Errors::default()), None).await;
    }
    let mut errors = Errors::default();
    let name = input.name.trim();
    if name.is_empty() {
        errors.push("Name can't be blank");
    } else if name.chars().count() > MAX_NAME || name.contains('\0') {
        errors.push(format!(
            "Name is too long (maximum is {MAX_NAME} characters)"
        ));
    }
    let days = match input.days.trim() {
        "" => None,
        typed => match typed.parse::<i64>() {
            Ok(days) if (1..=LONGEST).contains(&days) => Some(days),
            _ => {
                errors.push(format!(
                    "Days must be a number from 1 to {LONGEST}, or empty"
                ));
                None
            }
        },
    };
    if in_force(&visitor).await?.len() >= MOST {
        errors.push(format!("You have {MOST} tokens: revoke one first"));
    }
    if !errors.is_empty() {
        return Ok(refused(page(&visitor, (input, errors), None).await?));
    }
    let made = random_token("lia_");
    let now = visitor.web.crm.clock.now();
    let times = (now, days.map(|days| now + TimeDelta::days(days)));
    let hash = digest(made.expose_secret().as_bytes());
    let mut connection = visitor.connection().await?;
    token::create(&mut connection, visitor.bearer.person, name, &hash, times).await?;
    drop(connection);
    let shown = Some(made.expose_secret().to_owned());
    page(&visitor, (Input::blank(), Errors::default()), shown).await
}

async fn revoke(visitor: SignedIn, Path(id): Path<i64>) -> Result<Response, Problem> {
    let mut connection = visitor.connection().await?;
    let own = (id, Some(visitor.bearer.person));
    let now = visitor.web.crm.clock.now();
    if !token::revoke(&mut connection, own, now).await? {
        return Err(Problem::NotFound);
    }
    drop(connection);
    let flash = Flash::done("The token is revoked: nothing can use it any more.");
    Ok(visitor.say(flash, PATH))
}

/// Returns the visitor's tokens that are in force, the newest first.
async fn in_force(visitor: &SignedIn) -> Result<Vec<Line>, Problem> {
    let mut connection = visitor.connection().await?;
    let all = token::list(&mut connection, Some(visitor.bearer.person)).await?;
    let now = visitor.web.crm.clock.now();
    let in_force = all
        .into_iter()
        .filter(|token| token.revoked_at.is_none() && token.expires_at.is_none_or(|end| end > now));
    Ok(in_force
        .map(|token| Line {
            id: token.id,
            name: token.name,
            created: visitor.moment(token.created_at),
            expires: token.expires_at.map(|at| at.format("%Y-%m-%d").to_string()),
        })
        .collect())
}

async fn page(
    visitor: &SignedIn,
    (input, errors): (Input, Errors),
    made: Option<String>,
) -> Result<Response, Problem> {
    Ok(html(&TokensPage {
        frame: visitor.frame("API tokens"),
        tokens: in_force(visitor).await?,
        input,
        errors,
        made,
    }))
}

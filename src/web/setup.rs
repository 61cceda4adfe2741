//! `/-/setup`: the pages for whoever starts from nothing, served until the service has something to work with.
//!
//! Every form carries the code that the service printed; nothing else says who somebody is here, so no foreign page can send one.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::{any, get, post},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{
    Web, assets,
    form::{Errors, Typed, refused},
    frame::{Frame, html},
    guard,
    params::Query,
    problem::Problem,
};
use crate::setup::{Choice, Connected, Done, FirstError, FirstSetUp};

/// Where the set-up is.
const PATH: &str = "/-/setup";
/// Labels of the fields, by which errors find them.
const LABELS: [&str; 6] = [
    "Address of GitLab",
    "Access token",
    "Group",
    "Your username",
    "Password",
    "Address of Liaison",
];

/// What the pages are made of.
#[derive(Debug, Clone)]
struct Pages {
    setup: Arc<FirstSetUp>,
    /// Whether the address of Liaison is to be asked for.
    asks_address: bool,
}

/// What is typed on any of the pages. Token and password are no part of any `Debug`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Input {
    code: String,
    url: String,
    token: SecretString,
    group: String,
    username: String,
    password: SecretString,
    public_url: String,
}

#[derive(Template)]
#[template(path = "setup/code.html")]
struct CodePage {
    frame: Frame,
    is_wrong: bool,
}

#[derive(Template)]
#[template(path = "setup/tracker.html")]
struct TrackerPage {
    frame: Frame,
    code: String,
    url: String,
    errors: Errors,
}

#[derive(Template)]
#[template(path = "setup/group.html")]
struct GroupPage {
    frame: Frame,
    code: String,
    tracker: Connected,
    input: Input,
    asks_address: bool,
    errors: Errors,
}

#[derive(Template)]
#[template(path = "setup/done.html")]
struct DonePage {
    frame: Frame,
    done: Done,
}

/// Returns the routes of a set-up. Whatever else is asked for leads to it. `asks_address` says whether it is not known yet under which
/// address people reach Liaison, in the place of which `public_url` stands.
pub fn router(setup: Arc<FirstSetUp>, public_url: &Url, asks_address: bool) -> Router {
    let routes = Router::new()
        .route(PATH, get(page))
        .route("/-/setup/tracker", post(connect))
        .route("/-/setup/back", post(back))
        .route("/-/setup/group", post(finish))
        .merge(assets::routes())
        .fallback(elsewhere);
    guard::guarded(public_url, routes).with_state(Pages {
        setup,
        asks_address,
    })
}

/// Returns the routes after the set-up: whoever loads one of its pages again is led to the front page.
pub(super) fn over() -> Router<Web> {
    let over = async || Redirect::to("/");
    Router::new()
        .route(PATH, get(over))
        .route("/-/setup/{step}", any(over))
}

async fn elsewhere(method: Method) -> Response {
    if method == Method::GET {
        Redirect::to(PATH).into_response()
    } else {
        Problem::NotFound.into_response()
    }
}

async fn page(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Query(input): Query<Input>,
) -> Response {
    pages.step(&headers, input, Errors::default())
}

async fn connect(State(pages): State<Pages>, headers: HeaderMap, form: Typed<Input>) -> Response {
    let mut input = form.values;
    let setup = &pages.setup;
    if !setup.is_code(&input.code) {
        return pages.step(&headers, input, Errors::default());
    }
    let token = std::mem::take(&mut input.token);
    match setup.connect(&input.url, token).await {
        Ok(()) => pages.step(&headers, input, Errors::default()),
        Err(error) => pages.refused(&headers, input, error),
    }
}

async fn back(State(pages): State<Pages>, headers: HeaderMap, form: Typed<Input>) -> Response {
    let mut input = form.values;
    if pages.setup.is_code(&input.code) {
        input.url = pages
            .setup
            .connected()
            .map_or_else(String::new, |tracker| tracker.url.into());
        pages.setup.disconnect();
    }
    pages.step(&headers, input, Errors::default())
}

async fn finish(State(pages): State<Pages>, headers: HeaderMap, form: Typed<Input>) -> Response {
    let mut input = form.values;
    if !pages.setup.is_code(&input.code) {
        return pages.step(&headers, input, Errors::default());
    }
    let public_url = pages.asks_address.then(|| input.public_url.clone());
    let choice = Choice {
        group: input.group.clone(),
        username: input.username.clone(),
        password: std::mem::take(&mut input.password),
        public_url,
    };
    match pages.setup.finish(choice).await {
        Ok(done) => {
            let frame = Frame::bare("Liaison is set up");
            let mut page = html(&DonePage { frame, done });
            // What the browser asks next is for the service.
            let close = HeaderValue::from_static("close");
            page.headers_mut().insert(header::CONNECTION, close);
            page
        }
        Err(error) => pages.refused(&headers, input, error),
    }
}

impl Pages {
    /// Returns the page of the step that comes next.
    fn step(&self, headers: &HeaderMap, mut input: Input, errors: Errors) -> Response {
        let frame = Frame::bare("Set up Liaison");
        if !self.setup.is_code(&input.code) {
            let is_wrong = !input.code.is_empty();
            let mut page = html(&CodePage { frame, is_wrong });
            if is_wrong {
                *page.status_mut() = StatusCode::FORBIDDEN;
            }
            return page;
        }
        let code = std::mem::take(&mut input.code);
        let Some(tracker) = self.setup.connected() else {
            return html(&TrackerPage {
                frame,
                code,
                url: input.url,
                errors,
            });
        };
        if input.public_url.is_empty() {
            input.public_url = reached_at(headers);
        }
        html(&GroupPage {
            frame,
            code,
            tracker,
            input,
            asks_address: self.asks_address,
            errors,
        })
    }

    fn refused(&self, headers: &HeaderMap, input: Input, error: FirstError) -> Response {
        match error {
            FirstError::Refused(sentences) => {
                refused(self.step(headers, input, Errors::new(sentences)))
            }
            FirstError::Store(error) => Problem::from(error).into_response(),
        }
    }
}

/// Returns the address under which a browser reached this page, for the first guess.
fn reached_at(headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST.as_str()).unwrap_or_default();
    let scheme = text("x-forwarded-proto").filter(|scheme| *scheme == "https");
    format!("{}://{host}", scheme.unwrap_or("http"))
}

//! Style sheet and scripts: compiled in, under names that change with what is in them, so that browsers keep them for good.

use std::sync::LazyLock;

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::header;

use super::{params::Path, problem::Problem};
use crate::crypto::fingerprint;

/// A file as it is served.
#[derive(Debug)]
struct Asset {
    name: String,
    kind: &'static str,
    text: &'static str,
}

/// The files of every page.
#[derive(Debug)]
pub(super) struct Assets {
    style: Asset,
    htmx: Asset,
    script: Asset,
    icon: Asset,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: Asset::new(
        "style",
        "css",
        "text/css",
        include_str!("../../web/assets/style.css"),
    ),
    htmx: Asset::new(
        "htmx",
        "js",
        "text/javascript",
        include_str!("../../web/assets/htmx.js"),
    ),
    script: Asset::new(
        "script",
        "js",
        "text/javascript",
        include_str!("../../web/assets/script.js"),
    ),
    icon: Asset::new(
        "icon",
        "svg",
        "image/svg+xml",
        include_str!("../../web/assets/icon.svg"),
    ),
});

impl Asset {
    fn new(stem: &str, ending: &str, kind: &'static str, text: &'static str) -> Self {
        let hash = URL_SAFE_NO_PAD.encode(fingerprint([text.as_bytes()]));
        let name = format!("{stem}-{hash}.{ending}");
        Self { name, kind, text }
    }

    fn path(&self) -> String {
        format!("/-/assets/{}", self.name)
    }
}

impl Assets {
    /// Returns the files.
    pub(super) fn get() -> &'static Self {
        &ASSETS
    }

    /// Returns the path of the style sheet.
    pub(super) fn style(&self) -> String {
        self.style.path()
    }

    /// Returns the path of htmx.
    pub(super) fn htmx(&self) -> String {
        self.htmx.path()
    }

    /// Returns the path of what htmx does not do.
    pub(super) fn script(&self) -> String {
        self.script.path()
    }

    /// Returns the path of the icon.
    pub(super) fn icon(&self) -> String {
        self.icon.path()
    }
}

/// Returns the route of the files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/-/assets/{name}", get(file))
}

async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    let all = [&ASSETS.style, &ASSETS.htmx, &ASSETS.script, &ASSETS.icon];
    let found = all.into_iter().find(|asset| asset.name == name);
    let asset = found.ok_or(Problem::NotFound)?;
    let headers = [
        (
            header::CONTENT_TYPE,
            format!("{}; charset=utf-8", asset.kind),
        ),
        (
            header::CACHE_CONTROL,
            "public, max-age=31536000, immutable".to_owned(),
        ),
    ];
    Ok((headers, asset.text).into_response())
}

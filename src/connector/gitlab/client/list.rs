//! Lists that come in pages.
//!
//! Keyset paging is asked for, which neither skips nor doubles what moves while the pages are read; where GitLab has none for a list it
//! pages by offset. The next page is what its `Link` header says, of which only the query is used: the address stays ours.

use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use url::{Url, form_urlencoded};

use super::{CallError, Client, Request, parse};

/// Most pages of a list; a hundred entries each.
const MAX_PAGES: usize = 5_000;

type Query = Vec<(String, String)>;

impl Client {
    /// Returns all entries of a list.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        call: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, CallError> {
        let own = query.iter().copied().chain([("per_page", "100")]);
        let by_offset: Query = own
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let mut by_key = by_offset.clone();
        by_key.push(("pagination".into(), "keyset".into()));
        match self.pages(call, path, by_key).await {
            // "Keyset pagination is not yet available for this type of request".
            Err(CallError::Status { status, .. }) if status == StatusCode::METHOD_NOT_ALLOWED => {
                self.pages(call, path, by_offset).await
            }
            done => done,
        }
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        call: &'static str,
        path: &[&str],
        first: Query,
    ) -> Result<Vec<T>, CallError> {
        let mut entries = Vec::new();
        let mut next = Some(first);
        for _ in 0..MAX_PAGES {
            let Some(query) = next.take() else { break };
            let query: Vec<(&str, &str)> = query
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let mut request = Request::get(call, path);
            request.query = &query;
            let answer = self.accepted(request).await?;
            let page: Vec<T> = parse(call, &answer.body)?;
            next = following(&answer.headers).filter(|_| !page.is_empty());
            entries.extend(page);
        }
        Ok(entries)
    }
}

/// Returns the query of the next page, from `Link: <https://…?id_after=7&…>; rel="next", <…>; rel="first"` (RFC 8288).
fn following(headers: &HeaderMap) -> Option<Query> {
    let links = headers.get_all(header::LINK).iter();
    let links = links.filter_map(|value| value.to_str().ok());
    let next = links
        .flat_map(|value| value.split(", <"))
        .find(|link| link.contains("rel=\"next\""))?;
    let address = next.trim_start_matches('<').split('>').next()?;
    let url = Url::parse(address).ok()?;
    let pairs = form_urlencoded::parse(url.query()?.as_bytes());
    Some(pairs.into_owned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_what_the_link_says_and_nothing_else_of_it() {
        for (link, next) in [
            (
                "<https://gitlab.example.com/api/v4/groups/7/projects?id_after=42&pagination=keyset>; rel=\"next\", <https://gitlab.example.com/first>; rel=\"first\"",
                Some(vec![("id_after", "42"), ("pagination", "keyset")]),
            ),
            (
                "<https://a.example/x?page=1>; rel=\"first\", <https://elsewhere.example/y?page=3>; rel=\"next\"",
                Some(vec![("page", "3")]),
            ),
            ("<https://a.example/x?page=1>; rel=\"last\"", None),
            ("<not an address>; rel=\"next\"", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::LINK, link.parse().unwrap());
            let found = following(&headers);
            let found = found.as_ref().map(|query| {
                let pairs = query.iter();
                pairs
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect::<Vec<_>>()
            });
            assert_eq!(found, next, "{link}");
        }
    }
}

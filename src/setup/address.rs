//! Addresses as people type them.

use url::Url;

/// Reads an address that people type, with or without `https://`, of which only scheme, host, port and path count.
pub(super) fn web_address(text: &str) -> Option<Url> {
    let text = text.trim();
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let mut url: Url = whole.parse().ok()?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || text.is_empty() {
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    url.set_query(None);
    url.set_fragment(None);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_type_them() {
        for (typed, read) in [
            ("gitlab.example.com", Some("https://gitlab.example.com/")),
            (
                " https://gitlab.example.com/ ",
                Some("https://gitlab.example.com/"),
            ),
            ("http://10.0.0.5:8929", Some("http://10.0.0.5:8929/")),
            (
                "https://example.com/gitlab?x=1#y",
                Some("https://example.com/gitlab"),
            ),
            ("https://ann:secret@gitlab.example.com", None),
            ("ftp://gitlab.example.com", None),
            ("file:///etc/passwd", None),
            ("https://", None),
            ("  ", None),
        ] {
            let url = web_address(typed);
            assert_eq!(url.as_ref().map(Url::as_str), read, "{typed}");
        }
    }
}

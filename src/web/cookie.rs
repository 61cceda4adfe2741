//! Cookies: few, short, never readable by scripts.

use http::{HeaderMap, HeaderValue, header};
use url::Url;

/// A cookie of the pages, by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookie {
    /// The session's token.
    Session,
    /// What is to be said on the next page.
    Flash,
    /// What a sign-in at an OpenID provider began with.
    OpenId,
}

impl Cookie {
    fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, true) => "__Host-liaison_session",
            (Self::Session, false) => "liaison_session",
            (Self::Flash, true) => "__Host-liaison_flash",
            (Self::Flash, false) => "liaison_flash",
            (Self::OpenId, true) => "__Host-liaison_openid",
            (Self::OpenId, false) => "liaison_openid",
        }
    }

    /// Returns the value that a request carries. `public_url` says whether the pages are reached by HTTPS.
    pub(super) fn read(self, headers: &HeaderMap, public_url: &Url) -> Option<String> {
        let name = self.name(is_secure(public_url));
        headers
            .get_all(header::COOKIE)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value.to_owned())
    }

    /// Returns the header that sets the cookie for some seconds. The value has characters of base64url and dots only.
    pub(super) fn set(self, value: &str, seconds: i64, public_url: &Url) -> HeaderValue {
        let secure = is_secure(public_url);
        let name = self.name(secure);
        let flag = if secure { "; Secure" } else { "" };
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{flag}");
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }

    /// Returns the header that removes the cookie.
    pub(super) fn clear(self, public_url: &Url) -> HeaderValue {
        self.set("", 0, public_url)
    }
}

fn is_secure(public_url: &Url) -> bool {
    public_url.scheme() == "https"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_for_this_host_alone_and_out_of_scripts_reach() {
        let https: Url = "https://liaison.example.com".parse().unwrap();
        let http: Url = "http://127.0.0.1:8080".parse().unwrap();
        assert_eq!(
            Cookie::Session.set("abc", 60, &https),
            "__Host-liaison_session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            Cookie::Session.clear(&http),
            "liaison_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        );
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; liaison_session=x".parse().unwrap());
        headers.append(header::COOKIE, "__Host-liaison_session=y".parse().unwrap());
        assert_eq!(Cookie::Session.read(&headers, &https).as_deref(), Some("y"));
        assert_eq!(Cookie::Session.read(&headers, &http).as_deref(), Some("x"));
        assert_eq!(Cookie::Flash.read(&headers, &http), None);
    }
}

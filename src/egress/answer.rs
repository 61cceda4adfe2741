//! An HTTP answer and what it says about trying again.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode, header};

/// Longest pause that a remote system may ask for; more is clamped.
const MAX_PAUSE: Duration = Duration::from_hours(1);

/// A complete answer; the body is within the size limit.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Response headers.
    pub headers: HeaderMap,
    /// Response body.
    pub body: Bytes,
}

/// What may be done about a call that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call would fail again.
    Never,
    /// The call may succeed later, not before `after` where the remote system said so.
    Later {
        /// Pause that was asked for.
        after: Option<Duration>,
    },
}

impl Answer {
    /// Returns the retry class of an answer that is not a success.
    ///
    /// 408, 425, 429 and 5xx pass with time; 401 and 403 too, since tokens are renewed and rights granted by people
    /// (attempts are bounded anyway). Other statuses are final.
    pub fn retry(&self, now: DateTime<Utc>) -> Retry {
        match self.status.as_u16() {
            401 | 403 | 408 | 425 | 429 | 500..=599 => Retry::Later {
                after: self.pause(now),
            },
            _ => Retry::Never,
        }
    }

    /// Returns true where the remote system asks all callers to slow down.
    pub fn is_throttled(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
            || (self.status == StatusCode::SERVICE_UNAVAILABLE
                && self.headers.contains_key(header::RETRY_AFTER))
    }

    /// Reads `Retry-After` (RFC 9110 10.2.3: seconds or a date), else `RateLimit-Reset` as GitLab sends it (epoch seconds)
    /// when nothing remains of the limit.
    fn pause(&self, now: DateTime<Utc>) -> Option<Duration> {
        let text = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let until = |at: DateTime<Utc>| (at - now).to_std().unwrap_or_default();
        let pause = text("retry-after")
            .and_then(|value| match value.trim().parse::<u64>() {
                Ok(seconds) => Some(Duration::from_secs(seconds)),
                Err(_) => DateTime::parse_from_rfc2822(value)
                    .ok()
                    .map(|at| until(at.to_utc())),
            })
            .or_else(|| {
                let exhausted = self.status == StatusCode::TOO_MANY_REQUESTS
                    || text("ratelimit-remaining") == Some("0");
                let reset = text("ratelimit-reset")?.trim().parse::<i64>().ok()?;
                exhausted
                    .then(|| DateTime::from_timestamp(reset, 0).map(until))
                    .flatten()
            })?;
        Some(pause.min(MAX_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)]) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn classifies_statuses_and_reads_pauses() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let later = |seconds: Option<u64>| Retry::Later {
            after: seconds.map(Duration::from_secs),
        };
        for (status, headers, expected) in [
            (400, vec![], Retry::Never),
            (401, vec![], later(None)),
            (404, vec![], Retry::Never),
            (429, vec![], later(None)),
            (429, vec![("retry-after", "7")], later(Some(7))),
            (429, vec![("retry-after", "999999999")], later(Some(3600))),
            (429, vec![("retry-after", "soon")], later(None)),
            (
                429,
                vec![("retry-after", "Tue, 14 Nov 2023 22:13:25 GMT")],
                later(Some(5)),
            ),
            (
                429,
                vec![("ratelimit-reset", "1700000030")],
                later(Some(30)),
            ),
            (
                503,
                vec![
                    ("ratelimit-reset", "1700000030"),
                    ("ratelimit-remaining", "5"),
                ],
                later(None),
            ),
            (500, vec![], later(None)),
            (302, vec![("location", "http://127.0.0.1/")], Retry::Never),
        ] {
            assert_eq!(
                answer(status, &headers).retry(now),
                expected,
                "{status} {headers:?}"
            );
        }
    }
}

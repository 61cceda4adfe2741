//! Times as people read them: how long ago, and on hover the exact one.

use std::fmt;

use askama::filters::HtmlSafe;
use chrono::{DateTime, TimeDelta, Utc};

/// A time on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    at: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl Moment {
    /// Returns a time as it is seen at another.
    pub(super) fn new(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self { at, now }
    }

    fn relative(self) -> String {
        let ago = self.now - self.at;
        let (length, is_past) = if ago < TimeDelta::zero() {
            (-ago, false)
        } else {
            (ago, true)
        };
        let steps = [
            (length.num_days() / 365, "year"),
            (length.num_days() / 30, "month"),
            (length.num_days(), "day"),
            (length.num_hours(), "hour"),
            (length.num_minutes(), "minute"),
        ];
        let Some((count, unit)) = steps.into_iter().find(|(count, _)| *count > 0) else {
            return if is_past { "just now" } else { "soon" }.to_owned();
        };
        let plural = if count == 1 { "" } else { "s" };
        if is_past {
            format!("{count} {unit}{plural} ago")
        } else {
            format!("in {count} {unit}{plural}")
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            r#"<time datetime="{}" title="{}">{}</time>"#,
            self.at.format("%Y-%m-%dT%H:%M:%SZ"),
            self.at.format("%Y-%m-%d %H:%M:%S UTC"),
            self.relative(),
        )
    }
}

// Digits, words and punctuation of this file alone.
impl HtmlSafe for Moment {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_long_ago() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for (seconds, expected) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (7_199, "1 hour ago"),
            (172_800, "2 days ago"),
            (86_400 * 45, "1 month ago"),
            (86_400 * 800, "2 years ago"),
            (-30, "soon"),
            (-3_600, "in 1 hour"),
        ] {
            let moment = Moment::new(now - TimeDelta::seconds(seconds), now);
            assert_eq!(moment.relative(), expected, "{seconds}");
        }
        let said = Moment::new(now, now).to_string();
        assert_eq!(
            said,
            r#"<time datetime="2027-01-15T08:00:00Z" title="2027-01-15 08:00:00 UTC">just now</time>"#
        );
    }
}

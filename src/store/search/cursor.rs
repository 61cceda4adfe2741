//! Where in a list a page begins: the sort key of a row and its id, so that the place stays when rows before it come and go.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::order::{Measure, Order};
use crate::domain::ItemId;

/// Longest text of a cursor: two names of 255 characters with room for their escapes.
const LONGEST: usize = 16 << 10;

/// A place in a list in one sort, opaque to whoever holds it. It fits no other sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The sort key as text; none for a row without one.
    pub(super) key: Option<String>,
    pub(super) id: ItemId,
}

/// A text that is no cursor, or the cursor of a list in another sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one of this list")]
pub struct InvalidCursor;

/// A sort key as Postgres takes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Key {
    Text(String),
    Moment(DateTime<Utc>),
    Number(Decimal),
}

impl Cursor {
    /// Reads the sort key as what the list is sorted by.
    pub(super) fn key(&self, order: Order) -> Result<Option<Key>, InvalidCursor> {
        let Some(text) = &self.key else {
            return if order.nullable {
                Ok(None)
            } else {
                Err(InvalidCursor)
            };
        };
        let key = match order.measure {
            // Postgres has no text with this character.
            Measure::Text if text.contains('\0') => None,
            Measure::Text => Some(Key::Text(text.clone())),
            Measure::Moment => text
                .parse()
                .ok()
                .and_then(DateTime::from_timestamp_micros)
                .map(Key::Moment),
            Measure::Number => text.parse().ok().map(Key::Number),
        };
        key.map(Some).ok_or(InvalidCursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(&(self.id, &self.key)).map_err(|_| fmt::Error)?;
        formatter.write_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        if text.len() > LONGEST {
            return Err(InvalidCursor);
        }
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let (id, key) = serde_json::from_slice(&json).map_err(|_| InvalidCursor)?;
        Ok(Self { key, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ContactSort, OrganizationSort};

    #[test]
    fn goes_to_text_and_back() {
        for key in [None, Some(""), Some("Ö\u{1}x"), Some("1700000000000000")] {
            let cursor = Cursor {
                key: key.map(str::to_owned),
                id: ItemId(7),
            };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", "!", "WzFd", &"A".repeat(LONGEST + 1)] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text:.9}");
        }
    }

    #[test]
    fn a_key_must_be_of_the_sort() {
        let key = |key: Option<&str>, order: Order| {
            let key = key.map(str::to_owned);
            Cursor { key, id: ItemId(1) }.key(order)
        };
        let created = ContactSort::Created.into();
        let rate = OrganizationSort::DefaultRate.into();
        let email = ContactSort::Email.into();
        let moment = DateTime::from_timestamp_micros(1_000_001).unwrap();
        assert_eq!(key(Some("1000001"), created), Ok(Some(Key::Moment(moment))));
        let number = Key::Number(Decimal::new(1250, 2));
        assert_eq!(key(Some("12.50"), rate), Ok(Some(number)));
        assert_eq!(key(None, email), Ok(None));
        for (text, order) in [
            (Some("ada"), created),
            (Some("ada"), rate),
            (Some("a\0"), email),
            (None, created),
        ] {
            assert_eq!(key(text, order), Err(InvalidCursor), "{text:?}");
        }
    }
}

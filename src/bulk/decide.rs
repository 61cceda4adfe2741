//! What becomes of a row: a pure function of the row, of what is there, and of the rows before it.

use super::{Existing, Outcome, candidate::Candidate};
use crate::{
    domain::{FieldError, ItemFields, ItemId},
    store::import::Stored,
};

/// The organization that a contact is to belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Employer {
    /// None is named.
    None,
    /// It is there.
    Known(ItemId),
    /// It is created in the same import, and there was none before.
    New,
}

impl Employer {
    fn id(self) -> Option<ItemId> {
        match self {
            Self::Known(id) => Some(id),
            Self::None | Self::New => None,
        }
    }
}

/// What becomes of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is created.
    Create,
    /// The item that is there is changed.
    Update {
        /// Its fields then.
        after: ItemFields,
        /// Names of those that differ.
        changed: Vec<&'static str>,
    },
    /// Nothing.
    Nothing { outcome: Outcome, reason: String },
}

impl Verdict {
    pub(super) fn skipped(reason: impl Into<String>) -> Self {
        Self::Nothing {
            outcome: Outcome::Skipped,
            reason: reason.into(),
        }
    }

    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self::Nothing {
            outcome: Outcome::Failed,
            reason: reason.into(),
        }
    }
}

/// Decides on a row that says the same of itself as an earlier one: by its e-mail or name, or in every cell.
pub(super) fn repeated(row: &Candidate, earlier: (u64, u64)) -> Verdict {
    let (line, print) = earlier;
    if print == row.print {
        return Verdict::skipped(format!("the same as line {line}"));
    }
    let field = row.fields.unique().map_or("It", |(field, _)| field);
    Verdict::failed(format!(
        "{field} is the same as in line {line}, and other cells differ"
    ))
}

/// Decides on a row whose e-mail or name is taken, before its organization is looked at; none where that has to be known.
pub(super) fn taken(row: &Candidate, existing: Existing) -> Option<Verdict> {
    match existing {
        Existing::Skip => Some(Verdict::skipped("already there")),
        Existing::Fail => {
            let field = row.fields.unique().map_or("It", |(field, _)| field);
            Some(Verdict::failed(FieldError::taken(field).to_string()))
        }
        Existing::Update => None,
    }
}

/// Decides what an item that is there is changed to.
pub(super) fn update(row: &Candidate, employer: Employer, stored: &Stored) -> Verdict {
    let after = merged(row, employer, &stored.fields);
    let mut changed = changed(&stored.fields, &after);
    if employer == Employer::New && !changed.contains(&"organization") {
        changed.push("organization");
    }
    if changed.is_empty() {
        Verdict::skipped("already there, and nothing differs")
    } else {
        Verdict::Update { after, changed }
    }
}

/// Returns the contact without an e-mail address that is the one of the row in every field.
pub(super) fn twin<'a>(
    row: &Candidate,
    employer: Employer,
    namesakes: &'a [Stored],
) -> Option<&'a Stored> {
    let ItemFields::Contact(wanted) = &row.fields else {
        return None;
    };
    let mut wanted = wanted.clone();
    wanted.organization = employer.id();
    namesakes.iter().find(|stored| {
        let ItemFields::Contact(there) = &stored.fields else {
            return false;
        };
        let mut wanted = wanted.clone();
        if !row.says_state {
            wanted.active = there.active;
        }
        employer != Employer::New && wanted == *there
    })
}

/// Returns the stored fields as the row changes them: empty cells leave what is there.
fn merged(row: &Candidate, employer: Employer, stored: &ItemFields) -> ItemFields {
    let active = if row.says_state {
        row.fields.active()
    } else {
        stored.active()
    };
    let or = |new: &Option<String>, old: &Option<String>| new.clone().or_else(|| old.clone());
    match (&row.fields, stored) {
        (ItemFields::Contact(new), ItemFields::Contact(old)) => {
            let mut fields = new.clone();
            fields.phone = or(&new.phone, &old.phone);
            fields.description = or(&new.description, &old.description);
            fields.organization = employer.id().or(old.organization);
            fields.active = active;
            ItemFields::Contact(fields)
        }
        (ItemFields::Organization(new), ItemFields::Organization(old)) => {
            let mut fields = new.clone();
            fields.default_rate = new.default_rate.or(old.default_rate);
            fields.description = or(&new.description, &old.description);
            fields.active = active;
            ItemFields::Organization(fields)
        }
        // Items are looked up by kind.
        _ => stored.clone(),
    }
}

/// Returns the names of the fields that differ, as people read them.
fn changed(before: &ItemFields, after: &ItemFields) -> Vec<&'static str> {
    let differing = |fields: &[(&'static str, bool)]| {
        let differs = fields.iter().filter(|(_, differs)| *differs);
        differs.map(|(name, _)| *name).collect()
    };
    match (before, after) {
        (ItemFields::Contact(old), ItemFields::Contact(new)) => differing(&[
            ("first name", old.first_name != new.first_name),
            ("last name", old.last_name != new.last_name),
            ("email", old.email != new.email),
            ("phone", old.phone != new.phone),
            ("organization", old.organization != new.organization),
            ("description", old.description != new.description),
            ("state", old.active != new.active),
        ]),
        (ItemFields::Organization(old), ItemFields::Organization(new)) => differing(&[
            ("name", old.name != new.name),
            ("default rate", old.default_rate != new.default_rate),
            ("description", old.description != new.description),
            ("state", old.active != new.active),
        ]),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bulk::candidate::candidate,
        exchange::{ContactRow, Row},
    };

    fn row(cells: [&str; 6], active: Option<bool>) -> Candidate {
        let [first, last, email, phone, organization, description] = cells.map(str::to_owned);
        let content = ContactRow {
            first_name: first,
            last_name: last,
            email,
            phone,
            organization,
            description,
            active,
        };
        let row = Row {
            line: 1,
            content: Ok(content),
        };
        candidate(&row).unwrap()
    }

    fn stored(cells: [&str; 6], organization: Option<i64>) -> Stored {
        let mut fields = row(cells, None).fields;
        if let ItemFields::Contact(contact) = &mut fields {
            contact.organization = organization.map(ItemId);
        }
        Stored {
            id: ItemId(9),
            fields,
        }
    }

    #[test]
    fn empty_cells_leave_what_is_there() {
        let there = stored(["Ada", "Byron", "ada@example.com", "1", "", "old"], Some(7));
        let update = |cells, active, employer| match update(&row(cells, active), employer, &there) {
            Verdict::Update { changed, .. } => changed.join(" "),
            Verdict::Nothing { outcome, .. } => outcome.word().to_owned(),
            Verdict::Create => "created".to_owned(),
        };
        let same = ["Ada", "Byron", "ada@example.com", "", "", ""];
        assert_eq!(update(same, None, Employer::None), "skipped");
        assert_eq!(update(same, None, Employer::Known(ItemId(7))), "skipped");
        assert_eq!(
            update(same, None, Employer::Known(ItemId(8))),
            "organization"
        );
        assert_eq!(update(same, None, Employer::New), "organization");
        assert_eq!(update(same, Some(true), Employer::None), "skipped");
        assert_eq!(update(same, Some(false), Employer::None), "state");
        let other = ["A", "King", "Ada@example.com", "2", "", "new"];
        assert_eq!(
            update(other, None, Employer::None),
            "first name last name email phone description"
        );
    }

    #[test]
    fn a_twin_is_the_same_in_every_field() {
        let there = [stored(["Ada", "Byron", "", "1", "", ""], Some(7))];
        let is_there =
            |cells, active, employer| twin(&row(cells, active), employer, &there).is_some();
        let same = ["Ada", "Byron", "", "1", "", ""];
        let seven = Employer::Known(ItemId(7));
        assert!(is_there(same, None, seven));
        assert!(is_there(same, Some(true), seven));
        assert!(!is_there(same, Some(false), seven));
        assert!(!is_there(same, None, Employer::None));
        assert!(!is_there(same, None, Employer::New));
        assert!(!is_there(["Ada", "Byron", "", "", "", ""], None, seven));
        assert!(!is_there(["ada", "Byron", "", "1", "", ""], None, seven));
    }

    #[test]
    fn a_taken_address_is_what_the_options_say() {
        let row = row(["Ada", "Byron", "ada@example.com", "", "", ""], None);
        assert_eq!(
            taken(&row, Existing::Skip),
            Some(Verdict::skipped("already there"))
        );
        assert_eq!(
            taken(&row, Existing::Fail),
            Some(Verdict::failed("Email has already been taken"))
        );
        assert_eq!(taken(&row, Existing::Update), None);
        assert_eq!(
            repeated(&row, (3, row.print)),
            Verdict::skipped("the same as line 3")
        );
        assert_eq!(
            repeated(&row, (3, 0)),
            Verdict::failed("Email is the same as in line 3, and other cells differ")
        );
    }
}

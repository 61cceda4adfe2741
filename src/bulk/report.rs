//! What an import says of each row.

use serde::Serialize;

use crate::domain::{ItemId, OperationId};

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A contact or organization was created.
    Created,
    /// One that was there was changed.
    Updated,
    /// Nothing had to be done.
    Skipped,
    /// Nothing could be done.
    Failed,
}

impl Outcome {
    /// Returns the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowReport {
    /// Line of the file where it begins; for what comes from elsewhere, its place in the list.
    pub line: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, in words; none for what was created.
    pub reason: Option<String>,
    /// The contact or organization that it stands for now.
    pub id: Option<ItemId>,
}

/// What became of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The operation in the history, by which all of it is taken back; none where nothing was saved.
    pub operation: Option<OperationId>,
    /// How many were created.
    pub created: usize,
    /// How many were changed.
    pub updated: usize,
    /// How many needed nothing.
    pub skipped: usize,
    /// How many could not be imported.
    pub failed: usize,
    /// How many organizations were created because contacts named them.
    pub organizations_created: usize,
    /// What became of each row, in their order.
    pub rows: Vec<RowReport>,
}

impl Report {
    pub(super) fn push(&mut self, row: RowReport) {
        let count = match row.outcome {
            Outcome::Created => &mut self.created,
            Outcome::Updated => &mut self.updated,
            Outcome::Skipped => &mut self.skipped,
            Outcome::Failed => &mut self.failed,
        };
        *count += 1;
        self.rows.push(row);
    }

    /// Returns the line of the row at a place.
    pub(super) fn line(&self, place: usize) -> u64 {
        self.rows.get(place).map_or(0, |row| row.line)
    }

    /// Says which item a row stands for.
    pub(super) fn is_now(&mut self, place: usize, id: ItemId) {
        if let Some(row) = self.rows.get_mut(place) {
            row.id = Some(id);
        }
    }

    /// Forgets the ids of what was created and not saved.
    pub(super) fn not_saved(&mut self) {
        for row in &mut self.rows {
            row.id = row.id.filter(|_| row.outcome != Outcome::Created);
        }
    }

    pub(super) fn saved_as(&mut self, operation: OperationId) {
        let changed = self.created + self.updated + self.organizations_created > 0;
        self.operation = changed.then_some(operation);
    }
}

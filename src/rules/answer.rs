//! What the answer says, before anybody writes it in Markdown.

use super::{Contact, ItemOutcome, Plan, Right};
use crate::{
    domain::{FieldError, Reaction},
    quick_action::{ArgumentError, CommandName},
};

/// One line of the answer: what came of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// What happened for each address, as typed.
    Contacts {
        /// The command.
        command: CommandName,
        /// Address or other text as typed, and what came of it.
        outcomes: Vec<(String, Outcome)>,
        /// How many more were named than one command may name.
        left_out: usize,
    },
    /// A contact was created and, where the person may, related to the issue.
    Created {
        /// Address as typed.
        email: String,
        /// Whether it is related to the issue too.
        related: bool,
    },
    /// The contacts of the issue.
    List(Vec<Contact>),
    /// What happened for each item.
    Items {
        /// The command.
        command: CommandName,
        /// Item, by kind and id or as typed, and what came of it.
        outcomes: Vec<(String, ItemOutcome)>,
        /// People as typed whom nobody here is called like.
        unknown: Vec<String>,
    },
    /// An earlier command was taken back.
    Undone {
        /// The word of that command.
        command: String,
        /// How many of its changes were taken back.
        changes: usize,
        /// How many could not be: the contact is in use by now, or gone.
        kept: usize,
    },
    /// There is nothing to take back.
    NothingToUndo,
    /// The command does nothing, and why.
    Refused {
        /// The command.
        command: CommandName,
        /// Why.
        refusal: Refusal,
    },
    /// An explanation of one command, or of all.
    Help(Option<CommandName>),
    /// No such command.
    Unknown {
        /// The word as typed.
        word: String,
        /// What may have been meant.
        nearest: Option<CommandName>,
    },
}

/// What came of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Related now.
    Added,
    /// Was related before.
    AlreadyThere,
    /// No such contact; `may_create` where the person could create it.
    NotFound {
        /// Whether the command that would create it is worth naming.
        may_create: bool,
    },
    /// Deactivated contacts cannot be added.
    Inactive,
    /// Related no longer.
    Removed,
    /// Was not related.
    NotThere,
    /// Not an e-mail address.
    NotAnAddress,
}

/// Why a command does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The person lacks the right. Said in the same words whether or not there is anything to see.
    NoRight(Right),
    /// The argument does not read.
    Argument(ArgumentError),
    /// A field is not as it must be.
    Field(FieldError),
    /// No contact is named.
    NoContactNamed,
    /// A contact with the address exists.
    EmailTaken {
        /// Address as typed.
        email: String,
    },
    /// A word that is neither a person nor an item.
    Unclear {
        /// As typed.
        text: String,
    },
    /// No person is named.
    NobodyNamed,
    /// More than one person is named.
    TooManyPeople,
    /// No item is named.
    NoItemNamed,
    /// The issue has no items that the person may see.
    NoItemsHere,
    /// No such organization in the group.
    UnknownOrganization {
        /// Name as typed.
        name: String,
    },
}

/// Who gets to read an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody who reads the comment; nothing in the answer was hidden from them before.
    Thread,
    /// Members who may see customer data: the answer stands apart, hidden from others.
    Internal,
    /// Everybody who reads the comment, so customer data is given as a count.
    ThreadWithCounts,
}

/// Returns where an answer may stand.
///
/// `protected` where every reader of the comment may see customer data (a confidential issue, an internal comment);
/// `existing` is whether an earlier answer to the same comment is internal, since an answer cannot change sides.
pub fn audience(plan: &Plan, protected: bool, existing: Option<bool>) -> Audience {
    match existing {
        _ if protected => Audience::Thread,
        Some(true) => Audience::Internal,
        _ if !plan.names_customers() => Audience::Thread,
        Some(false) => Audience::ThreadWithCounts,
        None => Audience::Internal,
    }
}

impl Plan {
    /// Returns whether the answer names customer data that the asker did not type himself.
    pub fn names_customers(&self) -> bool {
        let lists = |outcome: &ItemOutcome| matches!(outcome, ItemOutcome::Watchers { .. });
        self.lines.iter().any(|line| match line {
            Line::List(contacts) => !contacts.is_empty(),
            Line::Items { outcomes, .. } => outcomes.iter().any(|(_, outcome)| lists(outcome)),
            _ => false,
        })
    }

    /// Returns whether the answer says what a reaction does not: what was asked for, or what was not done and why.
    pub fn informs(&self) -> bool {
        self.lines
            .iter()
            .any(|line| !line.is_done() || line.is_asked_for())
    }

    /// Returns the reaction that sums up the answer.
    pub fn reaction(&self) -> Reaction {
        if self.lines.iter().all(Line::is_done) {
            Reaction::Done
        } else {
            Reaction::Attention
        }
    }
}

impl Line {
    /// Returns whether it is what somebody wanted to know.
    fn is_asked_for(&self) -> bool {
        match self {
            Self::List(_) | Self::Help(_) => true,
            Self::Items { outcomes, .. } => outcomes
                .iter()
                .any(|(_, outcome)| matches!(outcome, ItemOutcome::Watchers { .. })),
            _ => false,
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Self::Contacts {
                outcomes, left_out, ..
            } => {
                *left_out == 0
                    && outcomes.iter().all(|(_, outcome)| match outcome {
                        Outcome::Added
                        | Outcome::AlreadyThere
                        | Outcome::Removed
                        | Outcome::NotThere => true,
                        Outcome::NotFound { .. } | Outcome::Inactive | Outcome::NotAnAddress => {
                            false
                        }
                    })
            }
            Self::Items {
                outcomes, unknown, ..
            } => unknown.is_empty() && outcomes.iter().all(|(_, outcome)| outcome.is_done()),
            Self::Created { related, .. } => *related,
            Self::Undone { kept, .. } => *kept == 0,
            Self::List(_) | Self::Help(_) => true,
            Self::NothingToUndo | Self::Refused { .. } | Self::Unknown { .. } => false,
        }
    }
}

impl ItemOutcome {
    fn is_done(&self) -> bool {
        match self {
            Self::NotFound
            | Self::NoRight
            | Self::Refused(_)
            | Self::Inactive
            | Self::NoMessenger => false,
            Self::People(_)
            | Self::Responsible { .. }
            | Self::Watchers { .. }
            | Self::Linked
            | Self::AlreadyLinked
            | Self::Unlinked
            | Self::NotLinked
            | Self::ChatCreated
            | Self::ChatThere => true,
        }
    }
}

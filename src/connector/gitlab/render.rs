//! The answer in GitLab's Markdown.
//!
//! GitLab parses every note for quick actions and mentions, also the bot's own. So each line begins with a list mark, and whatever
//! people typed or stored stands in a code span, where it neither mentions nor formats.

mod items;

use std::fmt::Write;

use crate::{
    domain::ReplyId,
    quick_action::{CATALOGUE, CommandName, Dialect, code_span},
    rules::{Contact, Line, Outcome, Refusal, Right},
};

/// What people are told about spellings on GitLab.
const MENTION_HINT: &str =
    "GitLab itself takes lines that begin with `/add_contacts` away, so mention me instead.";

/// Most characters of an answer's text; GitLab takes a million, nobody reads more than this.
const MAX_BODY: usize = 60_000;

/// A reply's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// A line per command, Markdown.
    pub lines: Vec<String>,
}

impl Rendered {
    /// Returns the note's text: the lines and the hidden marker.
    pub fn body(lines: &[String], reply: ReplyId) -> String {
        let mut body = String::new();
        let mut shown = 0;
        // A line of an answer may have many of Markdown's, such as a list of contacts.
        let lines = lines.iter().flat_map(|line| line.lines());
        let all = lines.clone().count();
        for line in lines.take_while(|line| {
            shown += line.len() + 1;
            shown <= MAX_BODY
        }) {
            body.push_str(line);
            body.push('\n');
        }
        let written = body.lines().count();
        if written < all {
            let _ = writeln!(body, "- … and {} more lines", all - written);
        }
        let _ = write!(body, "\n{}", marker(reply));
        body
    }
}

/// Returns the text of an answer that stands apart from the comment it answers, which it links to.
pub fn standing_apart(body: &str, comment: Option<&str>) -> String {
    let answered = match comment.filter(|url| is_plain_url(url)) {
        Some(url) => format!("[this comment]({url})"),
        None => "a comment".to_owned(),
    };
    format!("Answer to {answered}, hidden from readers who may not see customer data:\n\n{body}")
}

/// Returns what an issue is told that lost its contacts when it was moved; GitLab's own note has these words too.
pub fn removed_contacts(count: usize, note: ReplyId) -> String {
    let line = format!(
        "- removed {}: this issue was moved here from a group that keeps its own contacts",
        plural(count, "contact", "contacts")
    );
    Rendered::body(&[line], note)
}

/// Returns the text that makes the bot's answer recognisable, invisible when rendered.
pub(super) fn marker(reply: ReplyId) -> String {
    format!("<!-- liaison:reply:{reply} -->")
}

fn is_plain_url(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        && !url.contains(|char: char| char.is_whitespace() || "()<>[]\\".contains(char))
}

/// Writes the lines of an answer; `counts` where customer data must not be named.
///
/// `dropped` is the number of commands that were too many for one comment.
pub fn render(lines: &[Line], dropped: usize, bot: &str, counts: bool) -> Rendered {
    let dialect = Dialect {
        bot: Some(bot),
        slash: false,
    };
    let mut lines: Vec<String> = lines
        .iter()
        .map(|line| write_line(line, &dialect, counts))
        .collect();
    if dropped > 0 {
        lines.push(format!(
            "- {dropped} more commands were not run: a comment may hold {}. Put them into another comment.",
            crate::quick_action::MAX_COMMANDS
        ));
    }
    Rendered { lines }
}

fn write_line(line: &Line, dialect: &Dialect<'_>, counts: bool) -> String {
    match line {
        Line::Contacts {
            command,
            outcomes,
            left_out,
        } => write_contacts(*command, outcomes, *left_out, dialect),
        Line::Created { email, related } => {
            let related = if *related {
                "created and added"
            } else {
                "created; you have no right to add it to this issue"
            };
            format!(
                "- {}: {} {related}",
                code_span(CommandName::CreateContact.word()),
                code_span(email)
            )
        }
        Line::List(contacts) => write_list(contacts, counts),
        Line::Items {
            command,
            outcomes,
            unknown,
        } => items::write(*command, outcomes, unknown, counts),
        Line::Undone {
            command,
            changes,
            kept,
        } => {
            let kept = match kept {
                0 => String::new(),
                kept => {
                    format!("; {kept} could not be, because the contact is gone or in use by now")
                }
            };
            // What was written in it stays readable for those who are in it.
            let stays = if command == CommandName::CreateChat.word() {
                "; the chat stays"
            } else {
                ""
            };
            format!(
                "- {}: {} of {} taken back{kept}{stays}",
                code_span(CommandName::Undo.word()),
                plural(*changes, "change", "changes"),
                code_span(command)
            )
        }
        Line::NothingToUndo => format!(
            "- {}: there is nothing of yours to take back here",
            code_span(CommandName::Undo.word())
        ),
        Line::Refused { command, refusal } => {
            format!(
                "- {}: {}",
                code_span(command.word()),
                write_refusal(refusal, dialect)
            )
        }
        Line::Help(Some(command)) => help_one(*command, dialect),
        Line::Help(None) => help_all(dialect),
        Line::Unknown { word, nearest } => {
            let meant = match nearest {
                Some(command) => {
                    format!("did you mean {}?", code_span(&dialect.write(*command, "")))
                }
                None => format!(
                    "{} lists the commands",
                    code_span(&dialect.write(CommandName::Help, ""))
                ),
            };
            format!("- {} is not a command: {meant}", code_span(word))
        }
    }
}

fn write_contacts(
    command: CommandName,
    outcomes: &[(String, Outcome)],
    left_out: usize,
    dialect: &Dialect<'_>,
) -> String {
    let mut text = format!("- {}: ", code_span(command.word()));
    for (index, (typed, outcome)) in outcomes.iter().enumerate() {
        let separator = if index == 0 { "" } else { " · " };
        let outcome = write_outcome(typed, *outcome, dialect);
        let _ = write!(text, "{separator}{} {outcome}", code_span(typed));
    }
    if left_out > 0 {
        let most = crate::rules::MAX_CONTACTS;
        let _ = write!(
            text,
            " · {left_out} more were left out: a command may name {most}"
        );
    }
    text
}

fn write_outcome(typed: &str, outcome: Outcome, dialect: &Dialect<'_>) -> String {
    match outcome {
        Outcome::Added => "added".into(),
        Outcome::AlreadyThere => "already there".into(),
        Outcome::NotFound { may_create: true } => {
            let create = dialect.write(CommandName::CreateContact, &format!("{typed} First Last"));
            format!("not found (to create it: {})", code_span(&create))
        }
        Outcome::NotFound { may_create: false } => "not found".into(),
        Outcome::Inactive => "inactive, so it cannot be added".into(),
        Outcome::Removed => "removed".into(),
        Outcome::NotThere => "not on this issue".into(),
        Outcome::NotAnAddress => "is not an e-mail address".into(),
    }
}

fn write_list(contacts: &[Contact], counts: bool) -> String {
    let name = code_span(CommandName::Contacts.word());
    if contacts.is_empty() {
        return format!("- {name}: this issue has no contacts");
    }
    let count = plural(contacts.len(), "contact", "contacts");
    if counts {
        return format!("- {name}: {count}; names are not shown in a public comment");
    }
    let mut text = format!("- {name}: {count}");
    for contact in contacts {
        let full_name = format!("{} {}", contact.first_name, contact.last_name);
        let _ = write!(text, "\n  - {}", code_span(&full_name));
        if let Some(email) = &contact.email {
            let _ = write!(text, " {}", code_span(email));
        }
        if !contact.active {
            text.push_str(" (inactive)");
        }
    }
    text
}

fn write_refusal(refusal: &Refusal, dialect: &Dialect<'_>) -> String {
    match refusal {
        Refusal::NoRight(right) => match right {
            Right::ViewContacts | Right::ViewIssueContacts => {
                "you have no right to see contacts here (it takes the Planner or Reporter role in the group and in the project)".into()
            }
            Right::RelateContacts => {
                "you have no right to change contacts of this issue (it takes the Planner or Reporter role in the group and in the project)".into()
            }
            Right::CreateContacts => {
                "you have no right to create contacts here (it takes the Developer role in the group)".into()
            }
            Right::DeleteContacts
            | Right::MergeContacts
            | Right::ImportContacts
            | Right::ExportContacts
            | Right::Configure => {
                "you have no right to do this here (it takes the Maintainer role in the group)".into()
            }
        },
        Refusal::Argument(error) => error.to_string(),
        Refusal::Field(error) => error.to_string(),
        Refusal::NoContactNamed => {
            let example = dialect.write(CommandName::AddContacts, "ann@example.com");
            format!("name at least one e-mail address, as in {}", code_span(&example))
        }
        Refusal::EmailTaken { email } => {
            let add = dialect.write(CommandName::AddContacts, email);
            format!("Email has already been taken: {} adds the contact", code_span(&add))
        }
        Refusal::Unclear { text } => format!(
            "{} is neither a person, as in {}, nor an item, as in {}",
            code_span(text),
            code_span("@ann"),
            code_span("[deal:42]")
        ),
        Refusal::NobodyNamed => format!("name at least one person, as in {}", code_span("@ann")),
        Refusal::TooManyPeople => "one person is responsible: name one".into(),
        Refusal::NoItemNamed => format!("name an item, as in {}", code_span("[deal:42]")),
        Refusal::NoItemsHere => format!(
            "there are no items here that you may see; name one, as in {}",
            code_span("[deal:42]")
        ),
        Refusal::UnknownOrganization { name } => {
            format!("there is no organization {} in this group", code_span(name))
        }
    }
}

fn help_one(command: CommandName, dialect: &Dialect<'_>) -> String {
    let spec = command.spec();
    let mut text = format!(
        "- {} {}",
        code_span(&dialect.write(command, spec.parameters)),
        spec.summary
    );
    if !spec.detail.is_empty() {
        let _ = write!(text, " {}", spec.detail);
    }
    for example in spec.examples {
        let _ = write!(
            text,
            "\n  - {}",
            code_span(&dialect.write(command, example))
        );
    }
    text
}

fn help_all(dialect: &Dialect<'_>) -> String {
    let mut text = format!("- Commands, each at the start of a line. {MENTION_HINT}");
    for spec in &CATALOGUE {
        let _ = write!(
            text,
            "\n  - {} {}",
            code_span(&dialect.write(spec.name, spec.parameters)),
            spec.summary
        );
    }
    text
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

//! What came of commands about people and items.

use std::fmt::Write;

use super::plural;
use crate::{
    quick_action::{CommandName, code_span},
    rules::{ItemOutcome, ObserverOutcome},
};

/// Writes a line; items are called by their kinds and ids, which tell nothing of customers.
pub(super) fn write(
    command: CommandName,
    outcomes: &[(String, ItemOutcome)],
    unknown: &[String],
    counts: bool,
) -> String {
    let mut text = format!("- {}: ", code_span(command.word()));
    let (first, rest) = outcomes.split_at(outcomes.len().min(1));
    for (label, outcome) in first {
        let _ = write!(
            text,
            "{} {}",
            code_span(&format!("[{label}]")),
            write_outcome(outcome, counts)
        );
    }
    for (label, outcome) in rest {
        let _ = write!(
            text,
            "\n  - {} {}",
            code_span(&format!("[{label}]")),
            write_outcome(outcome, counts)
        );
    }
    for typed in unknown {
        let _ = write!(text, " · {}: nobody here is called so", code_span(typed));
    }
    text
}

fn write_outcome(outcome: &ItemOutcome, counts: bool) -> String {
    match outcome {
        ItemOutcome::NotFound => "not found".into(),
        ItemOutcome::NoRight => {
            "you have no right to do this (it takes the Developer role in the group, or to be responsible for the item)".into()
        }
        ItemOutcome::Refused(reason) => reason.clone(),
        ItemOutcome::People(people) => people
            .iter()
            .map(|(typed, outcome)| format!("{} {}", code_span(typed), write_person(*outcome)))
            .collect::<Vec<_>>()
            .join(" · "),
        ItemOutcome::Responsible { changed: true } => "has another responsible now".into(),
        ItemOutcome::Responsible { changed: false } => "has the same responsible as before".into(),
        ItemOutcome::Watchers {
            responsible,
            observers,
        } => write_watchers(responsible.as_deref(), observers, counts),
        ItemOutcome::Linked => "added to this issue".into(),
        ItemOutcome::AlreadyLinked => "already there".into(),
        ItemOutcome::Inactive => "archived, so it cannot be added".into(),
        ItemOutcome::Unlinked => "removed from this issue".into(),
        ItemOutcome::NotLinked => "not on this issue".into(),
        ItemOutcome::ChatCreated => "its chat is being made".into(),
        ItemOutcome::ChatThere => "has a chat; you are in it".into(),
        ItemOutcome::NoMessenger => "this group has no messenger, so it can have no chat".into(),
    }
}

fn write_person(outcome: ObserverOutcome) -> &'static str {
    match outcome {
        ObserverOutcome::Added => "added",
        ObserverOutcome::Back => "observes already, and comes back to the chat",
        ObserverOutcome::AlreadyThere => "already there",
        ObserverOutcome::Removed => "removed",
        ObserverOutcome::NotThere => "does not observe it",
        ObserverOutcome::Waiting => "has to be approved first",
        ObserverOutcome::NotByThat => "does not become an observer that way",
    }
}

fn write_watchers(responsible: Option<&str>, observers: &[(String, bool)], counts: bool) -> String {
    let count = plural(observers.len(), "observer", "observers");
    if counts {
        return format!("{count}; names are not shown in a public comment");
    }
    let mut text = match responsible {
        Some(name) => format!("{} is responsible", code_span(name)),
        None => "nobody is responsible".to_owned(),
    };
    let _ = write!(text, "; {count}");
    for (place, (name, in_chat)) in observers.iter().enumerate() {
        let separator = if place == 0 { ": " } else { ", " };
        let away = if *in_chat { "" } else { " (not in the chat)" };
        let _ = write!(text, "{separator}{}{away}", code_span(name));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(outcomes: &[(&str, ItemOutcome)], unknown: &[&str], counts: bool) -> String {
        let outcomes: Vec<_> = outcomes
            .iter()
            .map(|(label, outcome)| ((*label).to_owned(), outcome.clone()))
            .collect();
        let unknown: Vec<_> = unknown.iter().map(|name| (*name).to_owned()).collect();
        write(CommandName::AddObservers, &outcomes, &unknown, counts)
    }

    #[test]
    fn a_line_says_what_came_of_each_item_and_person() {
        let people = ItemOutcome::People(vec![
            ("@ann".into(), ObserverOutcome::Added),
            ("b@example.com".into(), ObserverOutcome::AlreadyThere),
        ]);
        let refused = ItemOutcome::Refused("Estimates have no observers".into());
        assert_eq!(
            line(
                &[("deal:7", people), ("estimate:9", refused)],
                &["@nemo"],
                false
            ),
            "- `add_observers`: `[deal:7]` `@ann` added · `b@example.com` already there\n  \
             - `[estimate:9]` Estimates have no observers · `@nemo`: nobody here is called so"
        );
    }

    #[test]
    fn names_are_left_out_where_everybody_reads() {
        let watchers = || ItemOutcome::Watchers {
            responsible: Some("bob".into()),
            observers: vec![("ann".into(), true), ("cy`".into(), false)],
        };
        assert_eq!(
            line(&[("deal:7", watchers())], &[], false),
            "- `add_observers`: `[deal:7]` `bob` is responsible; 2 observers: `ann`, `` cy` `` (not in the chat)"
        );
        assert_eq!(
            line(&[("deal:7", watchers())], &[], true),
            "- `add_observers`: `[deal:7]` 2 observers; names are not shown in a public comment"
        );
    }

    #[test]
    fn what_is_typed_mentions_nobody_and_begins_no_line() {
        let text = line(
            &[("x`\n/close @all", ItemOutcome::NotFound)],
            &["@a`b"],
            false,
        );
        assert!(
            text.lines().all(|line| line.trim_start().starts_with('-')),
            "{text}"
        );
    }
}

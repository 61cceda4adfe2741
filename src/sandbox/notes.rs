//! Commenting, editing and reacting, with GitLab's rights and the hooks that follow.
//!
//! The REST API, the page and the scripts of tests all come through here, so that none of them can do what GitLab would refuse.

use super::{
    hooks::Occasion,
    model::{Award, Issue, Level, Note, Place},
    now, payload,
    state::State,
};

/// Longest comment, in characters.
const MAX_BODY: usize = 1_000_000;

/// Why the tracker did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No valid token.
    #[error("401 Unauthorized")]
    Unauthorized,
    /// Seen, but not allowed.
    #[error("403 Forbidden")]
    Forbidden,
    /// Absent, or not visible to whoever asks.
    #[error("404 {0}Not Found")]
    NotFound(&'static str),
    /// The same user gave this reaction before; GitLab answers 404.
    #[error("404 Award Emoji Name has already been taken Not Found")]
    AlreadyAwarded,
    /// A parameter is missing or wrong.
    #[error("{0}")]
    Invalid(&'static str),
    /// A comment of native commands only: they were applied and no comment was made.
    #[error("Commands applied")]
    CommandsOnly,
    /// More comments than the limit lets through.
    #[error("This endpoint has been requested too many times. Try again later.")]
    Throttled,
}

/// A comment about to be posted.
pub(super) struct Draft<'a> {
    pub(super) issue: u64,
    pub(super) author: u64,
    pub(super) body: &'a str,
    pub(super) internal: bool,
    /// Thread that it answers in; a new one when `None`.
    pub(super) discussion: Option<&'a str>,
    /// Chain of events that the call belongs to.
    pub(super) chain: Option<String>,
}

/// Removes the lines that GitLab takes as commands of its own (14.6 and later), naively: by their beginning.
fn without_native_commands(body: &str) -> String {
    let native = |line: &&str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        line.starts_with('/')
            && ["/add_contacts", "/remove_contacts"]
                .iter()
                .any(|command| word.eq_ignore_ascii_case(command))
    };
    body.lines()
        .filter(|line| !native(line))
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}

impl State {
    /// Posts a comment and returns its id.
    pub(super) fn post_note(&mut self, draft: &Draft<'_>) -> Result<u64, Refusal> {
        let Some(issue) = self.issues.get(&draft.issue) else {
            return Err(Refusal::NotFound(""));
        };
        if !self.may_read_issue(draft.author, issue) {
            return Err(Refusal::NotFound(""));
        }
        let opening = match draft.discussion {
            Some(id) => Some(self.opening(issue, draft.author, id)?),
            None => None,
        };
        // An answer in an internal thread is internal.
        let internal = opening.map_or(draft.internal, |note| note.internal);
        if internal && !self.is_insider(draft.author, issue.project) {
            return Err(Refusal::Forbidden);
        }
        let body = self.accepted(draft.body)?;
        if !self.within_pace(draft.author) {
            return Err(Refusal::Throttled);
        }
        let id = self.add_note(draft, body, internal, false);
        if let Some(note) = self.notes.get(&id) {
            self.fire_note(note, draft.author, "create", draft.chain.clone());
        }
        Ok(id)
    }

    /// Returns the first comment of a thread that the user may read.
    fn opening(&self, issue: &Issue, user: u64, discussion: &str) -> Result<&Note, Refusal> {
        self.discussions
            .get(discussion)
            .and_then(|notes| self.notes.get(notes.first()?))
            .filter(|note| note.issue == issue.id && self.may_read_note(user, note))
            .ok_or(Refusal::NotFound("Discussion "))
    }

    fn accepted(&self, body: &str) -> Result<String, Refusal> {
        if body.trim().is_empty() {
            return Err(Refusal::Invalid("body is missing"));
        }
        if body.len() > MAX_BODY && body.chars().count() > MAX_BODY {
            return Err(Refusal::Invalid(
                "note is too long (maximum is 1000000 characters)",
            ));
        }
        if !self.eats_native_commands {
            return Ok(body.to_owned());
        }
        let rest = without_native_commands(body);
        if rest.is_empty() {
            return Err(Refusal::CommandsOnly);
        }
        Ok(rest)
    }

    fn add_note(&mut self, draft: &Draft<'_>, body: String, internal: bool, system: bool) -> u64 {
        self.last_note += 1;
        let (id, at) = (self.last_note, now());
        let discussion_id = draft
            .discussion
            .map_or_else(new_discussion_id, str::to_owned);
        if let Some(issue) = self.issues.get_mut(&draft.issue) {
            issue.notes.push(id);
            issue.updated_at = at;
            if draft.discussion.is_none() {
                issue.discussions.push(discussion_id.clone());
            }
        }
        self.discussions
            .entry(discussion_id.clone())
            .or_default()
            .push(id);
        let note = Note {
            id,
            discussion_id,
            issue: draft.issue,
            author: draft.author,
            body,
            internal,
            system,
            created_at: at,
            updated_at: at,
            updated_by: None,
            awards: Vec::new(),
        };
        self.notes.insert(id, note);
        id
    }

    /// Records a change of an issue among its comments.
    pub(super) fn add_system_note(&mut self, issue: u64, author: u64, text: &str) {
        let draft = Draft {
            issue,
            author,
            body: text,
            internal: false,
            discussion: None,
            chain: None,
        };
        self.add_note(&draft, text.to_owned(), false, true);
    }

    /// Changes the text of a comment; its author and Maintainers may.
    pub(super) fn edit_note(
        &mut self,
        id: u64,
        by: u64,
        body: &str,
        chain: Option<String>,
    ) -> Result<(), Refusal> {
        let body = self.accepted(body)?;
        let note = self
            .notes
            .get(&id)
            .filter(|note| self.may_read_note(by, note))
            .ok_or(Refusal::NotFound("Note "))?;
        let project = self.issues.get(&note.issue).map(|issue| issue.project);
        let level = project.and_then(|project| self.level(Place::Project(project), by));
        if note.system || (note.author != by && level < Some(Level::Maintainer)) {
            return Err(Refusal::Forbidden);
        }
        if note.body == body {
            return Ok(());
        }
        if let Some(note) = self.notes.get_mut(&id) {
            note.body = body;
            note.updated_at = now();
            note.updated_by = Some(by);
        }
        if let Some(note) = self.notes.get(&id) {
            self.fire_note(note, by, "update", chain);
        }
        Ok(())
    }

    /// Adds a reaction and returns it.
    pub(super) fn award(&mut self, note: u64, user: u64, name: &str) -> Result<Award, Refusal> {
        let visible = self
            .notes
            .get(&note)
            .is_some_and(|note| self.may_read_note(user, note));
        let Some(note) = self.notes.get_mut(&note).filter(|_| visible) else {
            return Err(Refusal::NotFound("Note "));
        };
        if name.is_empty() {
            return Err(Refusal::Invalid("name is missing"));
        }
        if note
            .awards
            .iter()
            .any(|award| award.user == user && award.name == name)
        {
            return Err(Refusal::AlreadyAwarded);
        }
        self.last_award += 1;
        let award = Award {
            id: self.last_award,
            name: name.to_owned(),
            user,
            created_at: now(),
        };
        note.awards.push(award.clone());
        Ok(award)
    }

    fn fire_note(&self, note: &Note, by: u64, action: &str, chain: Option<String>) {
        let Some(issue) = self.issues.get(&note.issue) else {
            return;
        };
        let (flag, header) = if issue.confidential || note.internal {
            ("confidential_note_events", "Confidential Note Hook")
        } else {
            ("note_events", "Note Hook")
        };
        let occasion = Occasion {
            place: Some(Place::Project(issue.project)),
            flag,
            header,
            chain,
            subject: issue.id,
        };
        self.fire(&occasion, |state| payload::note(state, note, by, action));
    }
}

/// Returns 40 random hexadecimal digits.
fn new_discussion_id() -> String {
    let (high, low): (u128, u32) = rand::random();
    format!("{high:032x}{low:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_native_command_lines_away() {
        for (body, rest) in [
            ("/add_contacts a@example.com", ""),
            ("/ADD_CONTACTS a@example.com\nThanks!", "Thanks!"),
            ("Hello\n/remove_contacts x\nbye", "Hello\nbye"),
            (
                " /add_contacts a@example.com",
                "/add_contacts a@example.com",
            ),
            ("/add_contact a@example.com", "/add_contact a@example.com"),
            ("/crm add_contacts a", "/crm add_contacts a"),
        ] {
            assert_eq!(without_native_commands(body), rest, "{body:?}");
        }
    }

    #[test]
    fn discussion_ids_have_forty_digits() {
        let id = new_discussion_id();
        assert_eq!(id.len(), 40);
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
}

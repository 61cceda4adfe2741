//! Mentions: in a message's plain text they stand as display names, which anybody can choose; the formatted text says who is meant.

use std::borrow::Cow;

use crate::connector::matrix::{server_of, username};

/// Most mentions of one message that are looked at.
const MOST: usize = 200;
/// What clients link a mention to.
const LINK: &str = "<a href=\"https://matrix.to/#/";

/// Returns a text in which every mention is `@` and a username, and one of the bot that begins a line has no colon after it.
pub(super) fn plain(text: &str, formatted: Option<&str>, bot: &str) -> String {
    let named = formatted.map_or(Cow::Borrowed(text), |formatted| {
        Cow::Owned(with_names(text, formatted, bot))
    });
    let short = without_server(&named, bot);
    let mention = format!("@{}", username(bot, bot));
    short
        .split_inclusive('\n')
        .map(|line| match line.strip_prefix(mention.as_str()) {
            Some(rest) => match rest.strip_prefix([':', ',']) {
                Some(rest) => Cow::Owned(format!("{mention}{rest}")),
                None => Cow::Borrowed(line),
            },
            None => Cow::Borrowed(line),
        })
        .collect()
}

/// Puts usernames in the place of the display names that the formatted text links to users, one after the other.
fn with_names(text: &str, formatted: &str, bot: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    for (user, shown) in mentions(formatted).take(MOST) {
        let Some((before, after)) = rest
            .split_once(shown.as_str())
            .filter(|_| !shown.is_empty())
        else {
            continue;
        };
        result.push_str(before);
        result.push('@');
        result.push_str(&username(&user, bot));
        rest = after;
    }
    result.push_str(rest);
    result
}

/// Returns the user ids that a formatted text links to, with the text of each link.
fn mentions(formatted: &str) -> impl Iterator<Item = (String, String)> {
    formatted.split(LINK).skip(1).filter_map(|part| {
        let (target, rest) = part.split_once('"')?;
        let (shown, _) = rest.strip_prefix('>')?.split_once("</a>")?;
        let user = target.split(['?', '/']).next()?;
        let user = user
            .replace("%40", "@")
            .replace("%3A", ":")
            .replace("%3a", ":");
        user.starts_with('@').then(|| (user, unescape(shown)))
    })
}

fn unescape(html: &str) -> String {
    html.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

/// Takes the bot's own server off user ids that were typed whole.
fn without_server(text: &str, bot: &str) -> String {
    let Some(server) = server_of(bot) else {
        return text.to_owned();
    };
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('@') {
        result.push_str(before);
        result.push('@');
        let is_local = |char: char| char.is_ascii_alphanumeric() || "._=/+-".contains(char);
        let end = after.find(|char| !is_local(char)).unwrap_or(after.len());
        let (local, tail) = after.split_at_checked(end).unwrap_or((after, ""));
        result.push_str(local);
        let ends = |rest: &&str| {
            !rest.starts_with(|char: char| char.is_ascii_alphanumeric() || char == '-')
                && !rest
                    .strip_prefix(['.', ':'])
                    .is_some_and(|more| more.starts_with(|char: char| char.is_ascii_alphanumeric()))
        };
        rest = tail
            .strip_prefix(':')
            .and_then(|tail| tail.strip_prefix(server))
            .filter(|_| !local.is_empty())
            .filter(ends)
            .unwrap_or(tail);
    }
    result.push_str(rest);
    result
}

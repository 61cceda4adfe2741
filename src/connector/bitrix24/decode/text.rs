//! A message's text as Markdown: mentions by id, and without what its author only quotes.

/// Fewest dashes of the lines between which the messenger puts what is quoted.
const QUOTE_DASHES: usize = 20;
/// Tags whose content is not the author's own words, or not meant to act.
const SET_APART: [(&str, &str); 2] = [("[quote", "[/quote]"), ("[code", "[/code]")];

/// Returns the text as Markdown. `bot` is the bot's id and code: it is mentioned as `@code`, everybody else as `@id`, since names are
/// chosen by those who have them.
pub(super) fn markdown(text: &str, bot: Option<(&str, &str)>) -> String {
    let text = with_line_ends(text);
    let text = without_quotes(&text);
    let text = without_tags(text);
    with_mentions(&text, bot)
}

fn with_line_ends(text: &str) -> String {
    let mut text = text.replace('\r', "");
    for tag in ["[br]", "[BR]", "#BR#", "#br#"] {
        text = text.replace(tag, "\n");
    }
    text
}

/// Leaves out what stands between two lines of dashes.
fn without_quotes(text: &str) -> String {
    let is_rule = |line: &str| {
        let line = line.trim();
        line.len() >= QUOTE_DASHES && line.bytes().all(|byte| byte == b'-')
    };
    let mut kept = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if is_rule(line) && lines.clone().any(is_rule) {
            for quoted in lines.by_ref() {
                if is_rule(quoted) {
                    break;
                }
            }
            // Nothing that follows joins what came before.
            kept.push("");
        } else {
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// Leaves out what stands between the tags of a quote or of code; one that does not end goes to the end.
fn without_tags(mut text: String) -> String {
    for (open, close) in SET_APART {
        // Lower case of ASCII alone, so that positions stay.
        while let Some(from) = text.to_ascii_lowercase().find(open) {
            let rest = text.get(from..).unwrap_or_default().to_ascii_lowercase();
            let to = rest
                .find(close)
                .map_or(text.len(), |at| from + at + close.len());
            text.replace_range(from..to, "\n");
        }
    }
    text
}

/// Puts `@id` for `[USER=id]Name[/USER]`.
fn with_mentions(text: &str, bot: Option<(&str, &str)>) -> String {
    const OPEN: &str = "[user=";
    const CLOSE: &str = "[/user]";
    let lower = text.to_ascii_lowercase();
    let mut written = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = lower.get(at..).and_then(|rest| rest.find(OPEN)) {
        let from = at + found;
        let after = from + OPEN.len();
        let rest = lower.get(after..).unwrap_or_default();
        let id: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let tail = rest.get(id.len()..).unwrap_or_default();
        let is_tag = !id.is_empty() && (tail.starts_with(']') || tail.starts_with(' '));
        written.push_str(text.get(at..from).unwrap_or_default());
        let Some(end) = tail.find(CLOSE).filter(|_| is_tag) else {
            written.push_str(text.get(from..after).unwrap_or_default());
            at = after;
            continue;
        };
        // Who types the sign himself means the same.
        if written.ends_with('@') {
            written.pop();
        }
        written.push('@');
        written.push_str(match bot {
            Some((bot, code)) if bot == id => code,
            _ => &id,
        });
        at = after + id.len() + end + CLOSE.len();
    }
    written.push_str(text.get(at..).unwrap_or_default());
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        markdown(text, Some(("456", "liaison")))
    }

    #[test]
    fn people_are_mentioned_by_id_and_the_bot_by_code() {
        for (text, markdown) in [
            ("[USER=456]Helper[/USER] observers", "@liaison observers"),
            (
                "/crm add_observers [USER=31]Ann Lee[/USER]",
                "/crm add_observers @31",
            ),
            ("@[USER=31 REPLACE]Ann[/USER], hi", "@31, hi"),
            ("[user=31]Ann[/user][USER=32]Bob[/USER]", "@31@32"),
            (
                "[USER=]x[/USER] [USER=31x]y[/USER]",
                "[USER=]x[/USER] [USER=31x]y[/USER]",
            ),
            ("[USER=31]never closed", "[USER=31]never closed"),
            ("Zoë [USER=7]É[/USER] ü", "Zoë @7 ü"),
            ("one[br]two\r\nthree#BR#four", "one\ntwo\nthree\nfour"),
        ] {
            assert_eq!(read(text), markdown, "{text}");
        }
    }

    #[test]
    fn what_is_quoted_says_nothing() {
        let dashes = "-".repeat(54);
        let quoted = format!("{dashes}\nAnn [today]\n/crm undo\n{dashes}\nno, please");
        assert_eq!(read(&quoted), "\nno, please");
        for text in [
            "[QUOTE]\n/crm undo\n[/QUOTE]",
            "[code]\n/crm undo[/code]",
            "[quote=Ann]\n/crm undo",
        ] {
            assert!(!read(text).contains("undo"), "{text}");
        }
        // One line of dashes is a line.
        assert!(read(&format!("a\n{dashes}\n/crm undo")).contains("undo"));
    }
}

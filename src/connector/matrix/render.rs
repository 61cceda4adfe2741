//! What the bot writes, in Matrix' form.

use comrak::Options;
use serde_json::{Value, json};

/// Most bytes of a message's content: an event may have 65,536, and the homeserver adds to it.
const MOST: usize = 60_000;

/// How loud a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// An answer among others' messages: clients do not ring, and bots do not answer it.
    Notice,
    /// For one person alone, who wants to be told.
    Text,
}

/// Returns the content of a message. It mentions nobody, whatever stands in it.
pub(super) fn message(markdown: &str, tone: Tone, thread: Option<&str>) -> Value {
    let kind = match tone {
        Tone::Notice => "m.notice",
        Tone::Text => "m.text",
    };
    let mut content = json!({ "msgtype": kind, "body": markdown, "m.mentions": {} });
    if let (Some(root), Value::Object(fields)) = (thread, &mut content) {
        let relation = json!({
            "rel_type": "m.thread",
            "event_id": root,
            "is_falling_back": true,
            "m.in_reply_to": { "event_id": root },
        });
        fields.insert("m.relates_to".to_owned(), relation);
    }
    let plain = content.clone();
    if let Value::Object(fields) = &mut content {
        fields.insert("format".to_owned(), "org.matrix.custom.html".into());
        fields.insert("formatted_body".to_owned(), html(markdown).into());
    }
    if fits(&content) {
        content
    } else if fits(&plain) {
        plain
    } else {
        // A character takes six bytes at most in JSON.
        let short: String = markdown.chars().take(MOST / 6 - 100).collect();
        message(&format!("{short}\n…"), tone, thread)
    }
}

fn fits(content: &Value) -> bool {
    content.to_string().len() <= MOST
}

/// Renders Markdown. Tags in it are shown as they are, and links that could run something are left out.
fn html(markdown: &str) -> String {
    let mut options = Options::default();
    options.render.escape = true;
    options.render.hardbreaks = true;
    comrak::markdown_to_html(markdown, &options)
        .trim_end()
        .to_owned()
}

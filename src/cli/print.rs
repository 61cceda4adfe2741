//! What commands print. A reader that goes away (`| head`) is no failure.

use std::io::Write;

use serde::Serialize;

/// Prints a line on standard output.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a line on standard error.
pub(super) fn error(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints rows under a head, in columns; `none` where there are no rows.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]], none: &str) {
    if rows.is_empty() {
        line(none);
        return;
    }
    let mut widths = head.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let write = |cells: &[&str]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        line(padded.join("  ").trim_end());
    };
    write(&head);
    for row in rows {
        write(&row.each_ref().map(String::as_str));
    }
}

/// Returns a moment as people read it, or a dash.
pub(super) fn moment(moment: Option<chrono::DateTime<chrono::Utc>>) -> String {
    moment.map_or_else(
        || "-".to_owned(),
        |moment| moment.format("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

//! Cells that a spreadsheet would take for a formula.
//!
//! Whoever fills in a contact form must not be able to run something on the machine of whoever opens the export (OWASP, "CSV Injection").
//! An apostrophe before the cell makes it text, and is taken off again when the file comes back.

use std::borrow::Cow;

/// First characters that make a cell a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Returns the cell as it may stand in a file: one that a spreadsheet would calculate gets an apostrophe in front.
pub(super) fn guard(cell: &str) -> Cow<'_, str> {
    if is_formula(cell) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// Returns the cell without the apostrophe that [`guard`] put there.
pub(super) fn unguard(cell: &str) -> &str {
    cell.strip_prefix('\'')
        .filter(|rest| is_formula(rest))
        .unwrap_or(cell)
}

/// Looks behind apostrophes, so that text which begins with one by itself comes back with it.
fn is_formula(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(FORMULA)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_would_be_calculated_is_made_text() {
        for (cell, guarded) in [
            ("", ""),
            ("Ann", "Ann"),
            ("O'Neil", "O'Neil"),
            ("'quoted'", "'quoted'"),
            ("a=b", "a=b"),
            (" =1", " =1"),
            ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
            ("+49 30 1234", "'+49 30 1234"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("'=1", "''=1"),
            ("''=1", "'''=1"),
        ] {
            assert_eq!(guard(cell), guarded);
            assert_eq!(unguard(guarded), cell);
        }
    }

    proptest! {
        #[test]
        fn guarding_never_leaves_a_formula_and_can_be_taken_back(cell in "['=+@\\-\t\ra]{0,6}") {
            let guarded = guard(&cell);
            prop_assert!(!guarded.starts_with(FORMULA));
            prop_assert_eq!(unguard(&guarded), cell.as_str());
        }
    }
}

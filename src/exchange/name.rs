//! A whole name taken apart, where a file has no more than that.

/// Returns first and last name: the last word is the last name, or what stands before a comma.
pub(super) fn split(whole: &str) -> (&str, &str) {
    let whole = whole.trim();
    if let Some((last, first)) = whole.split_once(',') {
        return (first.trim(), last.trim());
    }
    match whole.rsplit_once(char::is_whitespace) {
        Some((first, last)) => (first.trim(), last),
        None => (whole, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_the_last_name() {
        for (whole, parts) in [
            ("", ("", "")),
            ("Ada", ("Ada", "")),
            ("Ada Byron", ("Ada", "Byron")),
            (" Ada  King\u{a0}Byron ", ("Ada  King", "Byron")),
            ("Byron, Ada", ("Ada", "Byron")),
            ("Byron,", ("", "Byron")),
        ] {
            assert_eq!(split(whole), parts, "{whole:?}");
        }
    }
}

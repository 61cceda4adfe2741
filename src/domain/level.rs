//! Access levels, as GitLab counts them.

/// What a person may do in a group or project; higher includes lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum Level {
    /// No member.
    None = 0,
    /// Sees the group and little else.
    Guest = 10,
    /// Plans: may view the CRM.
    Planner = 15,
    /// Reads: may view the CRM and relate contacts to issues.
    Reporter = 20,
    /// Works: may change the CRM.
    Developer = 30,
    /// Administers: webhooks, connections, deletion.
    Maintainer = 40,
    /// Owns the group.
    Owner = 50,
}

/// A word that names no access level.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no access level: use guest, planner, reporter, developer, maintainer or owner")]
pub struct UnknownLevel(pub String);

impl Level {
    const WORDS: [(Self, &'static str); 6] = [
        (Self::Guest, "guest"),
        (Self::Planner, "planner"),
        (Self::Reporter, "reporter"),
        (Self::Developer, "developer"),
        (Self::Maintainer, "maintainer"),
        (Self::Owner, "owner"),
    ];

    /// Returns the level for a tracker's number: the highest known one that the number reaches, so that
    /// GitLab's 5 ("minimal access") is no member.
    pub fn from_number(number: i64) -> Self {
        Self::WORDS
            .iter()
            .rev()
            .map(|&(level, _)| level)
            .find(|&level| i64::from(level as i16) <= number)
            .unwrap_or(Self::None)
    }
}

impl std::str::FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(word: &str) -> Result<Self, UnknownLevel> {
        Self::WORDS
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(word))
            .map(|&(level, _)| level)
            .ok_or_else(|| UnknownLevel(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words() {
        for (number, level) in [
            (-1, Level::None),
            (5, Level::None),
            (10, Level::Guest),
            (15, Level::Planner),
            (25, Level::Reporter),
            (30, Level::Developer),
            (50, Level::Owner),
            (60, Level::Owner),
        ] {
            assert_eq!(Level::from_number(number), level, "{number}");
        }
        assert_eq!("Developer".parse(), Ok(Level::Developer));
        assert_eq!("boss".parse::<Level>(), Err(UnknownLevel("boss".into())));
        assert!(Level::Planner < Level::Reporter);
    }
}

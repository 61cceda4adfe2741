//! What a contact may look like; limits and wording are GitLab's.

/// Fields of a contact that is to be created, trimmed and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactDraft {
    /// First name, 1 to 255 characters.
    pub first_name: String,
    /// Last name, 1 to 255 characters.
    pub last_name: String,
    /// E-mail address as typed, up to 255 characters; compared without regard to case.
    pub email: String,
}

/// What is wrong with a field, in GitLab's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct FieldError {
    /// Name of the field as people read it.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

const MAX_NAME: usize = 255;

impl ContactDraft {
    /// Returns the draft with its fields trimmed.
    ///
    /// # Errors
    /// Names the first field that is blank or too long. The address was checked when it was parsed.
    pub fn new(first_name: &str, last_name: &str, email: &str) -> Result<Self, FieldError> {
        Ok(Self {
            first_name: name("First name", first_name)?,
            last_name: name("Last name", last_name)?,
            email: name("Email", email)?,
        })
    }
}

fn name(field: &'static str, value: &str) -> Result<String, FieldError> {
    let value = value.trim();
    let problem = if value.is_empty() {
        "can't be blank".to_owned()
    } else if value.chars().count() > MAX_NAME {
        format!("is too long (maximum is {MAX_NAME} characters)")
    } else {
        return Ok(value.to_owned());
    };
    Err(FieldError { field, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_and_names_the_bad_field() {
        let draft = ContactDraft::new(" Ann ", "Lee\t", "ann@example.com").unwrap();
        assert_eq!(
            (draft.first_name.as_str(), draft.last_name.as_str()),
            ("Ann", "Lee")
        );
        let error = |first: &str, last: &str| {
            ContactDraft::new(first, last, "a@example.com")
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error(" ", "Lee"), "First name can't be blank");
        assert_eq!(
            error("Ann", &"ü".repeat(256)),
            "Last name is too long (maximum is 255 characters)"
        );
        assert!(ContactDraft::new("Ann", &"ü".repeat(255), "a@example.com").is_ok());
    }
}

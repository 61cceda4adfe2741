//! What a list of the CRM is sorted by and which states it shows; the words are GitLab's.

/// Which way a list is sorted. What has no value comes last both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A to Z, old to new.
    Ascending,
    /// Z to A, new to old.
    Descending,
}

/// What contacts are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContactSort {
    /// First name, then last name.
    FirstName,
    /// Last name, then first name.
    LastName,
    /// E-mail address.
    Email,
    /// Phone number, as it is written.
    Phone,
    /// Description, its first 128 characters.
    Description,
    /// Name of the organization.
    Organization,
    /// When it was created.
    Created,
    /// When it was last changed.
    Updated,
}

impl ContactSort {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::FirstName,
        Self::LastName,
        Self::Email,
        Self::Phone,
        Self::Description,
        Self::Organization,
        Self::Created,
        Self::Updated,
    ];
}

/// What organizations are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrganizationSort {
    /// Name.
    Name,
    /// Description, its first 128 characters.
    Description,
    /// Default rate.
    DefaultRate,
    /// When it was created.
    Created,
    /// When it was last changed.
    Updated,
}

impl OrganizationSort {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Name,
        Self::Description,
        Self::DefaultRate,
        Self::Created,
        Self::Updated,
    ];
}

/// Which states a list shows: the tabs of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum States {
    /// All.
    All,
    /// Active ones.
    Active,
    /// Inactive ones.
    Inactive,
}

/// Which of the two kinds that lists are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Listed {
    /// Customer people.
    Contacts,
    /// Customer companies.
    Organizations,
}

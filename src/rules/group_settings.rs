//! The CRM of a group: on or off, and where its contacts are held.

use super::{Access, Refused, Right};
use crate::domain::{GroupId, Level};

/// What is to change about a group's CRM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupSettings {
    /// Whether the CRM is on, for this group alone.
    pub crm_enabled: Option<bool>,
    /// The group that holds the contacts of this one and of those below that name none themselves; the inner none for "where the parent's are".
    pub contact_source: Option<Option<GroupId>>,
    /// Whether issues are related by themselves to the contacts whose addresses open or head them.
    pub relates_automatically: Option<bool>,
}

/// A group's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupState {
    /// Whether the CRM is on.
    pub crm_enabled: bool,
    /// The group's own contact source.
    pub contact_source: Option<GroupId>,
    /// Whether issues are related by themselves.
    pub relates_automatically: bool,
    /// Whether the configuration file declares the group; it says whether the CRM is on then.
    pub managed: bool,
}

/// Decides on a group's settings. `source` is what the asker may do with the contacts of the group that is to be the contact source, where
/// there is such a group in the same root group.
pub fn configure(
    access: &Access,
    (group, state): (GroupId, GroupState),
    settings: GroupSettings,
    source: Option<Access>,
) -> Result<GroupState, Refused> {
    if !access.allows(Right::Configure) {
        return Err(if access.active && access.contact_group > Level::None {
            let sentence = "You have insufficient permissions to configure this group";
            Refused::Denied(sentence.to_owned())
        } else {
            Refused::NotFound
        });
    }
    let wanted = GroupState {
        crm_enabled: settings.crm_enabled.unwrap_or(state.crm_enabled),
        contact_source: settings.contact_source.unwrap_or(state.contact_source),
        relates_automatically: settings
            .relates_automatically
            .unwrap_or(state.relates_automatically),
        ..state
    };
    let mut reasons = Vec::new();
    if state.managed && wanted.crm_enabled != state.crm_enabled {
        reasons.push("CRM of this group is switched in the configuration file".to_owned());
    }
    if let Some(wanted_source) = wanted
        .contact_source
        .filter(|_| wanted.contact_source != state.contact_source)
    {
        let fits = if wanted_source == group {
            wanted.crm_enabled
        } else {
            // Whoever may not see the contacts there is not told that the group exists.
            source.is_some_and(|source| source.allows(Right::ViewContacts))
        };
        if !fits {
            reasons.push(
                "Contact source must be a group of the same root group with CRM enabled".to_owned(),
            );
        }
    }
    if reasons.is_empty() {
        Ok(wanted)
    } else {
        Err(Refused::Invalid(reasons))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(1);
    const SOURCE: GroupId = GroupId(2);

    fn access(level: Level) -> Access {
        Access {
            active: true,
            crm_enabled: true,
            contact_group: level,
            project: Level::None,
            issue_readable: true,
        }
    }

    const STATE: GroupState = GroupState {
        crm_enabled: false,
        contact_source: None,
        relates_automatically: false,
        managed: false,
    };

    fn source(level: Level, crm_enabled: bool) -> Access {
        Access {
            crm_enabled,
            ..access(level)
        }
    }

    #[test]
    fn maintainers_configure_though_the_crm_is_off() {
        let on = GroupSettings {
            crm_enabled: Some(true),
            ..GroupSettings::default()
        };
        let decide = |access: Access| configure(&access, (GROUP, STATE), on, None);
        let off = |level| Access {
            crm_enabled: false,
            ..access(level)
        };
        assert!(decide(off(Level::Maintainer)).unwrap().crm_enabled);
        assert!(matches!(
            decide(off(Level::Developer)),
            Err(Refused::Denied(_))
        ));
        assert_eq!(decide(off(Level::None)), Err(Refused::NotFound));
        let gone = Access {
            active: false,
            ..access(Level::Owner)
        };
        assert_eq!(decide(gone), Err(Refused::NotFound));
        let managed = GroupState {
            managed: true,
            ..STATE
        };
        let decided = configure(&access(Level::Owner), (GROUP, managed), on, None);
        assert!(matches!(decided, Err(Refused::Invalid(_))));
    }

    #[test]
    fn a_contact_source_has_its_crm_on_and_is_seen_by_who_names_it() {
        let settings = |source| GroupSettings {
            contact_source: Some(source),
            ..GroupSettings::default()
        };
        let decide = |wanted, state, found| {
            let decided = configure(
                &access(Level::Maintainer),
                (GROUP, state),
                settings(wanted),
                found,
            );
            decided.map(|state| state.contact_source)
        };
        let refused = Err(Refused::because(
            "Contact source must be a group of the same root group with CRM enabled",
        ));
        let kept = GroupState {
            contact_source: Some(SOURCE),
            ..STATE
        };
        let on = GroupState {
            crm_enabled: true,
            ..STATE
        };
        for (wanted, state, found, expected) in [
            (Some(SOURCE), STATE, None, refused.clone()),
            (
                Some(SOURCE),
                STATE,
                Some(source(Level::Guest, true)),
                refused.clone(),
            ),
            (
                Some(SOURCE),
                STATE,
                Some(source(Level::Planner, false)),
                refused.clone(),
            ),
            (
                Some(SOURCE),
                STATE,
                Some(source(Level::Planner, true)),
                Ok(Some(SOURCE)),
            ),
            // Its own contacts: the CRM must be on here.
            (Some(GROUP), STATE, None, refused),
            (Some(GROUP), on, None, Ok(Some(GROUP))),
            (None, kept, None, Ok(None)),
            // What does not change is not judged again.
            (Some(SOURCE), kept, None, Ok(Some(SOURCE))),
        ] {
            assert_eq!(
                decide(wanted, state, found),
                expected,
                "{wanted:?} {state:?}"
            );
        }
    }
}

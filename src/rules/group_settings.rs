//! The settings of a group: its CRM on or off, where its contacts are held, its messenger and its policies.

use super::{Access, Refused, Right};
use crate::domain::{
    ChatPreset, ConnectionId, GroupId, InvitePolicy, Level, Reactions, Reassignment,
    RelationSource, Replies,
};

/// What is to change about a group's CRM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupSettings {
    /// Whether the CRM is on, for this group alone.
    pub crm_enabled: Option<bool>,
    /// The group that holds the contacts of this one and of those below that name none themselves; the inner none for "where the parent's are".
    pub contact_source: Option<Option<GroupId>>,
    /// By what issues are related by themselves to the contacts whose addresses they show; the inner none for "as the parent has it".
    pub automatic_relations: Option<Option<Vec<RelationSource>>>,
    /// What is to change about its messenger and policies.
    pub policies: PolicySettings,
}

/// What is to change about the messenger and policies of a group and of those below it that have no say of their own; the inner none for
/// "as the parent has it".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicySettings {
    /// The messenger in which chats are made and people are told things.
    pub messenger: Option<Option<ConnectionId>>,
    /// What leaving a chat means.
    pub preset: Option<Option<ChatPreset>>,
    /// Who makes observers by adding people to a chat.
    pub invites: Option<Option<InvitePolicy>>,
    /// What becomes of a responsible person who is replaced.
    pub reassignment: Option<Option<Reassignment>>,
    /// Which comments are answered.
    pub replies: Option<Option<Replies>>,
    /// Whether reactions are put on comments.
    pub reactions: Option<Option<Reactions>>,
}

/// What a group says about its messenger and policies; none for "as the parent has it".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicyState {
    /// The messenger.
    pub messenger: Option<ConnectionId>,
    /// What leaving a chat means.
    pub preset: Option<ChatPreset>,
    /// Who makes observers by adding people to a chat.
    pub invites: Option<InvitePolicy>,
    /// What becomes of a responsible person who is replaced.
    pub reassignment: Option<Reassignment>,
    /// Which comments are answered.
    pub replies: Option<Replies>,
    /// Whether reactions are put on comments.
    pub reactions: Option<Reactions>,
}

/// A group's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupState {
    /// Whether the CRM is on.
    pub crm_enabled: bool,
    /// The group's own contact source.
    pub contact_source: Option<GroupId>,
    /// By what issues are related by themselves, if the group has a say of its own.
    pub automatic_relations: Option<Vec<RelationSource>>,
    /// Its messenger and policies.
    pub policies: PolicyState,
    /// Whether the configuration file declares the group; it says all of this then but for the contact source.
    pub managed: bool,
}

/// Decides on a group's settings. `source` is what the asker may do with the contacts of the group that is to be the contact source, where
/// there is such a group in the same root group; `messengers` are those that the tenant may use.
pub fn configure(
    access: &Access,
    (group, state): (GroupId, &GroupState),
    settings: &GroupSettings,
    source: Option<Access>,
    messengers: &[ConnectionId],
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
        automatic_relations: settings
            .automatic_relations
            .clone()
            .unwrap_or_else(|| state.automatic_relations.clone()),
        policies: PolicyState {
            messenger: settings
                .policies
                .messenger
                .unwrap_or(state.policies.messenger),
            preset: settings.policies.preset.unwrap_or(state.policies.preset),
            invites: settings.policies.invites.unwrap_or(state.policies.invites),
            reassignment: settings
                .policies
                .reassignment
                .unwrap_or(state.policies.reassignment),
            replies: settings.policies.replies.unwrap_or(state.policies.replies),
            reactions: settings
                .policies
                .reactions
                .unwrap_or(state.policies.reactions),
        },
        managed: state.managed,
    };
    let mut reasons = Vec::new();
    if state.managed && wanted.policies != state.policies {
        let reason = "Messenger and policies of this group are chosen in the configuration file";
        reasons.push(reason.to_owned());
    }
    let messenger = wanted.policies.messenger;
    if messenger != state.policies.messenger
        && messenger.is_some_and(|messenger| !messengers.contains(&messenger))
    {
        reasons.push(
            "Messenger must be a connection to a messenger that this group may use".to_owned(),
        );
    }
    if state.managed && wanted.crm_enabled != state.crm_enabled {
        reasons.push("CRM of this group is switched in the configuration file".to_owned());
    }
    if state.managed && wanted.automatic_relations != state.automatic_relations {
        let reason = "Automatic relations of this group are chosen in the configuration file";
        reasons.push(reason.to_owned());
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
        automatic_relations: None,
        policies: PolicyState {
            messenger: None,
            preset: None,
            invites: None,
            reassignment: None,
            replies: None,
            reactions: None,
        },
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
        let decide = |access: Access| configure(&access, (GROUP, &STATE), &on, None, &[]);
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
        let decided = configure(&access(Level::Owner), (GROUP, &managed), &on, None, &[]);
        assert!(matches!(decided, Err(Refused::Invalid(_))));
    }

    #[test]
    fn a_contact_source_has_its_crm_on_and_is_seen_by_who_names_it() {
        let settings = |source| GroupSettings {
            contact_source: Some(source),
            ..GroupSettings::default()
        };
        let decide = |wanted, state: &GroupState, found| {
            let decided = configure(
                &access(Level::Maintainer),
                (GROUP, state),
                &settings(wanted),
                found,
                &[],
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
            (None, kept.clone(), None, Ok(None)),
            // What does not change is not judged again.
            (Some(SOURCE), kept, None, Ok(Some(SOURCE))),
        ] {
            assert_eq!(
                decide(wanted, &state, found),
                expected,
                "{wanted:?} {state:?}"
            );
        }
    }

    #[test]
    fn a_messenger_is_one_that_the_tenant_may_use() {
        let wanted = |messenger| GroupSettings {
            policies: PolicySettings {
                messenger: Some(messenger),
                preset: Some(Some(ChatPreset::Legacy)),
                ..PolicySettings::default()
            },
            ..GroupSettings::default()
        };
        let decide = |state: &GroupState, messenger| {
            let (access, known) = (access(Level::Maintainer), [ConnectionId(7)]);
            configure(&access, (GROUP, state), &wanted(messenger), None, &known)
        };
        let chosen = decide(&STATE, Some(ConnectionId(7))).unwrap();
        assert_eq!(chosen.policies.messenger, Some(ConnectionId(7)));
        assert_eq!(chosen.policies.preset, Some(ChatPreset::Legacy));
        assert!(matches!(
            decide(&STATE, Some(ConnectionId(8))),
            Err(Refused::Invalid(_))
        ));
        assert!(decide(&STATE, None).is_ok());
        let managed = GroupState {
            managed: true,
            ..STATE
        };
        assert!(matches!(decide(&managed, None), Err(Refused::Invalid(_))));
    }
}

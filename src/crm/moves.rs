//! Moves that people ask for here. Where a tracker tells where groups are, they are moved there, and here follows.

use super::{Asker, Crm, CrmError, error::Outage};
use crate::{
    domain::{GroupId, Level, OperationId, RootId},
    queue::{self, Signal},
    rules::Right,
    store::{
        StoreError, access, group,
        transfer::{self, GroupMove, Mover, Subject, TransferReport},
    },
};

/// How often a move is tried anew because something changed meanwhile.
const ROUNDS: usize = 5;

impl Crm {
    /// Moves a group below another one, or makes it a root group; with `dry_run` it only says what that would do, in the same words.
    ///
    /// It takes an Owner of the group and a Maintainer of the new parent, as in GitLab, and whoever takes contacts or organizations
    /// along must be allowed to create them there.
    ///
    /// # Errors
    /// [`CrmError::NotFound`] where there is no such group, or none to be seen; [`CrmError::Denied`] without the rights;
    /// [`CrmError::Invalid`] for a move that cannot be; nothing is changed then.
    pub async fn transfer_group(
        &self,
        asker: Asker,
        group: GroupId,
        new_parent: Option<&str>,
        dry_run: bool,
    ) -> Result<TransferReport, CrmError> {
        for _ in 0..ROUNDS {
            match self.transfer_once(asker, group, new_parent, dry_run).await {
                Err(CrmError::Unavailable(Outage::Store(StoreError::Conflict { .. }))) => {}
                done => return done,
            }
        }
        Err(CrmError::Unavailable(Outage::Busy))
    }

    async fn transfer_once(
        &self,
        asker: Asker,
        group: GroupId,
        new_parent: Option<&str>,
        dry_run: bool,
    ) -> Result<TransferReport, CrmError> {
        let subject = self.subject(asker, group).await?;
        let parent = self.parent(asker, &subject, new_parent).await?;
        let path = match &parent {
            Some(parent) => format!("{}/{}", parent.path, subject.segment()),
            None => subject.segment().to_owned(),
        };
        let what = GroupMove {
            root: subject.group.root,
            group,
            parent: parent.as_ref().map(|parent| (parent.root, parent.id)),
            path: &path,
            remote_path: None,
        };
        let mover = Mover {
            operation: OperationId(self.clock.id()),
            actor: Some(asker.person),
            via: asker.via,
            now: self.clock.now(),
        };
        let mut tx = self.pool.begin().await.map_err(store)?;
        if group::find(&mut tx, &path)
            .await
            .map_err(unavailable)?
            .is_some()
        {
            return Err(refused(
                "The parent group already has a subgroup or a project with the same path.",
            ));
        }
        let foreseen = transfer::preview(&mut tx, mover.operation, &what)
            .await
            .map_err(unavailable)?;
        let holder = parent.map(|parent| (parent.root, parent.id));
        self.may_bring(asker, holder, &foreseen).await?;
        if dry_run {
            return Ok(foreseen);
        }
        let moved = transfer::group(&mut tx, &mover, &what)
            .await
            .map_err(unavailable)?;
        let opened = queue::follow(&mut tx, &moved.followers)
            .await
            .map_err(store)?;
        tx.commit().await.map_err(store)?;
        let work = opened
            .into_iter()
            .map(|(queue, on)| Signal::Work(queue, on));
        for signal in work.chain([Signal::Webhooks]) {
            if let Err(error) = queue::notify(&self.pool, signal).await {
                tracing::debug!(%error, "a wake-up could not be sent; the poll finds the work");
            }
        }
        Ok(moved.report)
    }

    /// Returns the group that is to move, if the asker is its Owner and no tracker tells where it is.
    async fn subject(&self, asker: Asker, group: GroupId) -> Result<Subject, CrmError> {
        let mut connection = self.pool.acquire().await.map_err(store)?;
        let subject = transfer::subject(&mut connection, group)
            .await
            .map_err(unavailable)?
            .ok_or(CrmError::NotFound)?;
        let (root, now) = (subject.group.root, self.clock.now());
        let own = access::own_level(&mut connection, root, group, asker.person, now)
            .await
            .map_err(unavailable)?;
        drop(connection);
        let level = if subject.is_followed {
            self.group_access(asker.person, root, group)
                .await?
                .contact_group
        } else {
            own
        };
        if level == Level::None {
            return Err(CrmError::NotFound);
        }
        if subject.is_followed {
            return Err(refused(
                "The tracker tells where this group is: move it there.",
            ));
        }
        if level < Level::Owner {
            return Err(CrmError::Denied(
                "Transfer failed: You don't have enough permissions.".to_owned(),
            ));
        }
        Ok(subject)
    }

    /// Returns the new parent, if the asker is its Maintainer and it is not where the group is, or in it.
    async fn parent(
        &self,
        asker: Asker,
        subject: &Subject,
        path: Option<&str>,
    ) -> Result<Option<group::Group>, CrmError> {
        let Some(path) = path else {
            return if subject.parent.is_none() {
                Err(refused("Group is already a root group."))
            } else {
                Ok(None)
            };
        };
        let mut connection = self.pool.acquire().await.map_err(store)?;
        let parent = group::find(&mut connection, path)
            .await
            .map_err(unavailable)?
            .ok_or(CrmError::NotFound)?;
        drop(connection);
        let access = self
            .group_access(asker.person, parent.root, parent.id)
            .await?;
        if access.contact_group == Level::None {
            return Err(CrmError::NotFound);
        }
        if !access.allows(Right::Configure) {
            return Err(CrmError::Denied(
                "Transfer failed: You don't have enough permissions.".to_owned(),
            ));
        }
        let own = format!("{}/", subject.group.path.to_lowercase());
        if format!("{}/", parent.path.to_lowercase()).starts_with(&own) {
            return Err(refused("Cannot transfer group to one of its subgroup."));
        }
        if subject.parent == Some(parent.id) {
            return Err(refused("Group is already associated to the parent group."));
        }
        Ok(Some(parent))
    }

    /// Refuses the move as a whole where it would bring customers to a place in which the asker may create none.
    async fn may_bring(
        &self,
        asker: Asker,
        to: Option<(RootId, GroupId)>,
        report: &TransferReport,
    ) -> Result<(), CrmError> {
        let Some((root, group)) = to else {
            return Ok(());
        };
        let what = [
            ("contacts", report.contacts),
            ("organizations", report.organizations),
            ("items", report.items),
        ];
        let Some((what, _)) = what.into_iter().find(|(_, fates)| !fates.is_empty()) else {
            return Ok(());
        };
        let access = self.group_access(asker.person, root, group).await?;
        if access.allows(Right::CreateContacts) {
            return Ok(());
        }
        Err(CrmError::Denied(format!(
            "Transfer failed: Group contains {what} and you don't have enough permissions to move them to the new root group."
        )))
    }
}

fn refused(sentence: &str) -> CrmError {
    CrmError::Invalid(vec![format!("Transfer failed: {sentence}")])
}

fn unavailable(error: StoreError) -> CrmError {
    CrmError::Unavailable(Outage::Store(error))
}

fn store(error: sqlx::Error) -> CrmError {
    unavailable(error.into())
}

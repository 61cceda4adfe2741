//! Looks at chats, and at items of a portal, put into the outbox: a look finds by itself what there is to do.

use std::collections::{BTreeMap, HashSet};

use sqlx::PgConnection;

use super::Worker;
use crate::{
    domain::{DeliveryId, FollowUp, Queue, RootId},
    queue::{self, NewEffect},
};

impl Worker {
    /// Puts looks into the outbox.
    pub(super) async fn have_looked(
        &self,
        connection: &mut PgConnection,
        looks: impl IntoIterator<Item = (RootId, FollowUp)>,
        delivery: Option<DeliveryId>,
    ) -> sqlx::Result<()> {
        let mut by_root: BTreeMap<RootId, Vec<NewEffect>> = BTreeMap::new();
        for (root, look) in looks {
            let look = NewEffect::following(look, delivery, &*self.clock);
            by_root.entry(root).or_default().push(look);
        }
        for (root, looks) in by_root {
            let now = self.clock.now();
            queue::enqueue(connection, root, looks, now, self.lease).await?;
        }
        Ok(())
    }

    /// The same, but for those of which another one waits: it sees what happened until it is made.
    pub(super) async fn have_looked_once(
        &self,
        connection: &mut PgConnection,
        looks: Vec<(RootId, FollowUp)>,
        delivery: Option<DeliveryId>,
    ) -> sqlx::Result<()> {
        let lanes: Vec<_> = looks
            .iter()
            .map(|(root, look)| (*root, look.lane))
            .collect();
        let waiting = queue::waiting(connection, Queue::Call, &lanes).await?;
        let waiting: HashSet<_> = waiting.into_iter().collect();
        let unseen = looks
            .into_iter()
            .filter(|(root, look)| !waiting.contains(&(*root, look.lane)));
        self.have_looked(connection, unseen, delivery).await
    }
}

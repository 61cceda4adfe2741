//! A deal of the group acme whose observers change as on a page, without rights or pages, beside whatever messenger a test has.

use std::time::Duration;

use chrono::{DateTime, Utc};
use liaison::{
    domain::{
        ChatHistory, ChatId, Clock, ConnectionId, Effect, EffectId, GroupId, ItemId, Lane,
        OperationId, PersonId, Queue, RootId, SystemClock, Via,
    },
    queue::{self, NewEffect, Signal},
    rules::{Added, Hidden, Policies, Watched, Watching},
    store::{
        chat::{self, NewChat},
        connection, group, member, observer,
        operation::Act,
        person,
    },
};
use sqlx::{PgConnection, PgPool};

/// The deal, and where it is.
pub(crate) struct Observed {
    pub(crate) pool: PgPool,
    pub(crate) root: RootId,
    pub(crate) group: GroupId,
    /// The messenger of its chat: the first connection.
    pub(crate) on: ConnectionId,
    pub(crate) item: ItemId,
}

impl Observed {
    /// Creates the deal.
    pub(crate) async fn create(pool: PgPool, title: &str) -> Self {
        let mut connection = pool.acquire().await.unwrap();
        let acme = group::find(&mut connection, "acme").await.unwrap().unwrap();
        let on = connection::list(&mut connection).await.unwrap()[0].id;
        let item: i64 = sqlx::query_scalar(
            "INSERT INTO items (root_id, group_id, kind, title, created_at, updated_at) VALUES ($1, $2, 'deal', $3, now(), now()) RETURNING id",
        )
        .bind(acme.root.0)
        .bind(acme.id.0)
        .bind(title)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
        drop(connection);
        Self {
            pool,
            root: acme.root,
            group: acme.id,
            on,
            item: ItemId(item),
        }
    }

    pub(crate) async fn person(&self, name: &str) -> PersonId {
        let mut connection = self.pool.acquire().await.unwrap();
        person::find(&mut connection, name).await.unwrap().unwrap()
    }

    pub(crate) async fn add(&self, name: &str) {
        self.add_hiding(name, None).await;
    }

    /// Adds somebody, and says what of the past he is to see.
    pub(crate) async fn add_hiding(&self, name: &str, history: Option<Hidden>) {
        let person = self.person(name).await;
        self.decide(|watched, at| {
            let how = Added {
                by: None,
                at,
                in_chat: true,
                history,
            };
            watched.add(&[person], how).unwrap()
        })
        .await;
    }

    pub(crate) async fn remove(&self, name: &str) {
        let person = self.person(name).await;
        self.decide(|watched, _| watched.remove(&[person], None).unwrap())
            .await;
    }

    pub(crate) async fn reassign(&self, name: &str) {
        let person = self.person(name).await;
        self.decide(|watched, at| watched.reassign(Some(person), (None, at), Policies::default()))
            .await;
    }

    /// Decides something about the list, and has the chat looked at.
    pub(crate) async fn decide(&self, decide: impl FnOnce(&Watched, DateTime<Utc>) -> Watching) {
        let clock = SystemClock::default();
        let mut tx = self.pool.begin().await.unwrap();
        let seen = observer::lock(&mut tx, self.root, &[self.item.0], None)
            .await
            .unwrap();
        let watching = decide(&seen[0].watched, clock.now());
        let act = Act {
            root: self.root,
            group: self.group,
            operation: OperationId(clock.id()),
            actor: None,
            via: Via::Page,
            at: clock.now(),
            undoes: None,
            command: None,
        };
        observer::apply(&mut tx, &act, &watching.changes)
            .await
            .unwrap();
        if let Some((chat, _)) = seen[0].chat() {
            let again = watching.again.iter();
            let again: Vec<_> = again.map(|person| (self.item, *person)).collect();
            member::forget(&mut tx, self.root, &again).await.unwrap();
            self.look_at(&mut tx, chat).await;
        }
        tx.commit().await.unwrap();
        self.wake().await;
    }

    /// Makes the deal's chat; the service goes on from there.
    pub(crate) async fn create_chat(&self) {
        let mut tx = self.pool.begin().await.unwrap();
        let new = NewChat {
            item: self.item,
            connection: self.on,
            history: ChatHistory::All,
            by: None,
            at: SystemClock::default().now(),
        };
        let chat = chat::create(&mut tx, self.root, new).await.unwrap();
        self.look_at(&mut tx, chat).await;
        tx.commit().await.unwrap();
        self.wake().await;
    }

    pub(crate) async fn chat(&self) -> ChatId {
        let id = sqlx::query_scalar("SELECT id FROM chats WHERE item_id = $1")
            .bind(self.item.0)
            .fetch_one(&self.pool)
            .await;
        ChatId(id.unwrap())
    }

    /// Has the deal's chat looked at once more, as the timer does.
    pub(crate) async fn look_again(&self) {
        let chat = self.chat().await;
        let mut connection = self.pool.acquire().await.unwrap();
        self.look_at(&mut connection, chat).await;
        drop(connection);
        self.wake().await;
    }

    /// Puts a look at a chat into the outbox.
    pub(crate) async fn look_at(&self, connection: &mut PgConnection, chat: ChatId) {
        let clock = SystemClock::default();
        let effect = NewEffect {
            id: EffectId(clock.id()),
            delivery: None,
            connection: self.on,
            lane: Lane::of_chat(chat),
            effect: Effect::SettleChat { chat },
            lease: None,
        };
        let effects = vec![effect];
        queue::enqueue(connection, self.root, effects, clock.now(), Duration::ZERO)
            .await
            .unwrap();
    }

    /// Wakes the maker of such looks.
    pub(crate) async fn wake(&self) {
        let signal = Signal::Work(Queue::Call, self.on);
        queue::notify(&self.pool, signal).await.unwrap();
    }
}

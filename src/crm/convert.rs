//! A lead becomes a deal: with its people in their places, what it is about, its issues, and its chat.

use rust_decimal::Decimal;
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Asker, Crm, CrmError,
    error::Failure,
    items::{Place, detail, locked, may_edit, write},
    watch::Decided,
};
use crate::{
    domain::{ItemFields, ItemForm, ItemId, OperationId, RecordFields, RecordForm, RecordKind},
    queue::Signal,
    rules::{Beside, Edit, Refused, carried, check},
    store::{
        chat, item, item_fields, link, observer,
        operation::{self, Act, Told},
        policy, relation,
        road::Fresh,
    },
};

/// What the deal has that the lead had not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversion {
    /// What it is called, if not as the lead.
    pub title: Option<String>,
    /// What it is worth.
    pub amount: Option<Decimal>,
    /// The currency of that.
    pub currency: Option<String>,
}

impl Crm {
    /// Makes a deal of a lead, which is archived; returns the deal and the operation, by which it is undone.
    ///
    /// # Errors
    /// [`CrmError::Denied`] below Developer; [`CrmError::Invalid`] where it is no lead, or was converted before.
    pub async fn convert(
        &self,
        asker: Asker,
        lead: ItemId,
        conversion: &Conversion,
    ) -> Result<(ItemId, OperationId), CrmError> {
        self.decide(|fresh| self.convert_once(asker, lead, conversion, fresh))
            .await
    }

    async fn convert_once(
        &self,
        asker: Asker,
        lead: ItemId,
        conversion: &Conversion,
        fresh: Fresh,
    ) -> Result<(ItemId, OperationId), Failure> {
        let mut tx = self.pool.begin().await?;
        let Place { on, root, group } = self.towards_item(&mut tx, asker, lead, fresh).await?;
        may_edit(on, "convert leads")?;
        let stored = locked(&mut tx, (root, group), &[lead]).await?;
        let before = &stored.first().ok_or(Refused::NotFound)?.fields;
        let from = match before {
            ItemFields::Record(record) if record.of == RecordKind::Lead => record,
            _ => return Err(Refused::because("Only leads are converted").into()),
        };
        if let Some(deal) = item_fields::converted(&mut tx, root, lead).await? {
            let reason = format!("This lead was converted before: deal {deal}");
            return Err(Refused::because(reason).into());
        }
        let form = ItemForm::Record(deal_of(from, conversion));
        // It is where the lead is, and names nothing that would have to be looked up.
        let beside = Beside {
            group_holds: true,
            taken: false,
            organization_known: true,
            type_known: true,
        };
        let fields = check(form.kind(), form.check(), beside)?;
        let deal = item::reserve_ids(&mut tx, 1).await?;
        let deal = deal.first().copied().ok_or(Failure::Conflict)?;
        let act = self.act(asker, root, group);
        let told = vec![
            Told {
                item: Some(deal),
                action: "item_created",
                detail: detail([("fields", json!(fields)), ("converted_from", json!(lead))]),
            },
            Told {
                item: Some(lead),
                action: "item_converted",
                detail: detail([("into", json!(deal))]),
            },
        ];
        item_fields::insert(&mut tx, (root, group), &[(deal, fields, act.at)], act.at).await?;
        item_fields::set_converted(&mut tx, root, (lead, deal)).await?;
        operation::append(&mut tx, &act, told).await?;
        let archived = before.clone().with_state(false);
        let edit = Edit::between(lead, before, archived);
        write(&mut tx, &act, edit.into_iter().collect()).await?;
        let signals = self.carry_over(&mut tx, &act, (lead, deal)).await?;
        tx.commit().await?;
        self.tell(&act).await;
        self.signal(&signals).await;
        Ok((deal, act.operation))
    }

    /// Gives the deal what belongs to the lead.
    async fn carry_over(
        &self,
        connection: &mut PgConnection,
        act: &Act,
        (lead, deal): (ItemId, ItemId),
    ) -> Result<Vec<Signal>, Failure> {
        let links = link::touching(connection, act.root, &[lead.0]).await?;
        let links: Vec<link::Link> = links
            .into_iter()
            .filter(|(item, _)| *item == lead)
            .map(|(_, linked)| (deal, linked))
            .collect();
        link::add(connection, act, &links).await?;
        relation::copy(connection, act, (lead, deal)).await?;
        let policy = policy::of_group(connection, act.root, act.group).await?;
        let messenger = policy.messenger.map(|(_, kind)| kind);
        let seen = observer::lock(connection, act.root, &[lead.0], messenger).await?;
        let seen = seen.first().ok_or(Failure::Conflict)?;
        let watching = carried(&seen.watched, deal);
        let handed = chat::hand_over(connection, act.root, (lead, deal)).await?;
        if handed.is_some() {
            let told = Told {
                item: Some(lead),
                action: "chat_moved",
                detail: detail([("into", json!(deal))]),
            };
            operation::append(connection, act, vec![told]).await?;
        }
        let decided = [Decided {
            item: deal,
            chat: handed,
            watching,
        }];
        self.watch(connection, act, &policy, &decided).await
    }
}

fn deal_of(lead: &RecordFields, conversion: &Conversion) -> RecordForm {
    let title = conversion.title.as_deref().unwrap_or(&lead.title);
    RecordForm {
        amount: conversion.amount,
        currency: conversion.currency.clone(),
        description: lead.description.clone(),
        ..RecordForm::titled(RecordKind::Deal, title)
    }
}

//! Taking back.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::{Scope, told};
use crate::api::graphql::id::{OperationGid, operation_gid};

/// Takes back what was done.
#[derive(Default)]
pub(super) struct UndoMutation;

/// What to take back.
#[derive(InputObject)]
#[graphql(name = "CrmUndoInput")]
struct UndoInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The operation, as mutations and the history name it.
    operation_id: OperationGid,
}

/// What came of taking back.
#[derive(SimpleObject)]
#[graphql(name = "CrmUndoPayload")]
struct UndoPayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The operation that took it back.
    operation_id: Option<ID>,
    /// How many changes were taken back.
    undone: usize,
    /// What stays as it is, and why.
    kept: Vec<String>,
    /// Why nothing was taken back.
    errors: Vec<String>,
}

/// Takes back what was done.
#[Object]
impl UndoMutation {
    /// Takes back an operation, as far as nobody changed since what it changed.
    async fn crm_undo(&self, context: &Context<'_>, input: UndoInput) -> Result<UndoPayload> {
        let scope = Scope::of(context)?;
        let undone = scope
            .api
            .crm
            .undo(scope.asker()?, input.operation_id.read()?)
            .await;
        let (report, errors) = match told(undone)? {
            Ok(report) => (Some(report), Vec::new()),
            Err(errors) => (None, errors),
        };
        Ok(UndoPayload {
            client_mutation_id: input.client_mutation_id,
            operation_id: report
                .as_ref()
                .map(|report| operation_gid(report.operation)),
            undone: report.as_ref().map_or(0, |report| report.undone),
            kept: report.map_or_else(Vec::new, |report| report.kept),
            errors,
        })
    }
}

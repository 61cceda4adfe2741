//! Who somebody is in a messenger.

use async_graphql::{Context, InputObject, Object, Result, SimpleObject};

use super::{Scope, told};

/// Says who somebody is in a messenger.
#[derive(Default)]
pub(super) struct PersonMutation;

/// The code that the bot gave.
#[derive(InputObject)]
#[graphql(name = "PersonLinkInput")]
struct LinkInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The code, as the bot sent it.
    code: String,
}

/// What came of it.
#[derive(SimpleObject)]
#[graphql(name = "PersonLinkPayload")]
struct LinkPayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The name of the account in the messenger.
    username: Option<String>,
    /// Why it is not the asker's.
    errors: Vec<String>,
}

/// Says who somebody is in a messenger.
#[Object]
impl PersonMutation {
    /// Gives the account in a messenger that a code was sent to to the asker.
    async fn person_link(&self, context: &Context<'_>, input: LinkInput) -> Result<LinkPayload> {
        let scope = Scope::of(context)?;
        let linked = scope
            .api
            .crm
            .link_account(scope.asker()?.person, &input.code)
            .await;
        let (proven, errors) = match told(linked)? {
            Ok(proven) => (Some(proven), Vec::new()),
            Err(errors) => (None, errors),
        };
        Ok(LinkPayload {
            client_mutation_id: input.client_mutation_id,
            username: proven.map(|proven| proven.username),
            errors,
        })
    }
}

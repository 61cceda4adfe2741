//! The schema with all that bounds a query: size, depth, complexity, time, and what an error may tell.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_graphql::{
    Data, Executor, Name, Request, Response, Schema, ServerError,
    parser::{
        parse_query,
        types::{ExecutableDocument, OperationType},
    },
};
use futures_util::{StreamExt, stream, stream::BoxStream};
use tokio::sync::Semaphore;

use super::{
    Refusal, Viewer, error::finish, limit, loader::Rows, mutation::Mutation, query::Query,
    subscription::Changes,
};
use crate::api::Api;

/// Longest that a query or mutation may take.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// The schema's type.
type ApiSchema = Schema<Query, Mutation, Changes>;

/// The schema, ready to be asked. Cloning is cheap.
#[derive(Clone)]
pub(in crate::api) struct Endpoint {
    schema: ApiSchema,
    api: Api,
}

/// Returns the schema in the schema definition language, as it is committed in `docs/schema.graphql`.
pub fn schema_language() -> String {
    let schema = Schema::new(Query, Mutation::default(), Changes);
    let options = async_graphql::SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .use_space_ident();
    schema.sdl_with_options(options)
}

impl Endpoint {
    /// Returns the endpoint of an API.
    pub(in crate::api) fn new(api: &Api) -> Self {
        let schema = Schema::build(Query, Mutation::default(), Changes)
            .data(api.clone())
            .limit_depth(limit::MAX_DEPTH)
            .limit_complexity(limit::MAX_COMPLEXITY)
            .limit_directives(limit::MAX_DIRECTIVES)
            .finish();
        Self {
            schema,
            api: api.clone(),
        }
    }

    /// Answers a query or mutation.
    pub(in crate::api) async fn answer(&self, request: Request, viewer: &Viewer) -> Response {
        match self.prepare(request, viewer) {
            Ok((request, _)) => self.run(request).await,
            Err(error) => self.refuse(error),
        }
    }

    /// Runs a query or mutation that was read and bounded.
    async fn run(&self, request: Request) -> Response {
        let answered = tokio::time::timeout(TIME_LIMIT, self.schema.execute(request)).await;
        let response = answered.unwrap_or_else(|_| Refusal::TimedOut.into());
        finish(response, &*self.api.crm.clock)
    }

    fn refuse(&self, error: ServerError) -> Response {
        finish(Response::from_errors(vec![error]), &*self.api.crm.clock)
    }

    /// Returns an executor for one socket, which may have as many operations under way as there are places.
    pub(in crate::api) fn for_socket(&self, places: Arc<Semaphore>) -> SocketExecutor {
        SocketExecutor {
            endpoint: self.clone(),
            places,
            viewer: Arc::default(),
        }
    }

    /// Reads and bounds a request, and gives it what its resolvers need; returns it with the type of its operation.
    fn prepare(
        &self,
        mut request: Request,
        viewer: &Viewer,
    ) -> Result<(Request, OperationType), ServerError> {
        if request.query.len() > limit::MAX_TEXT {
            let told = format!("A query may have {} bytes", limit::MAX_TEXT);
            return Err(Refusal::TooMuch(told).into());
        }
        let document = parse_query(&request.query)?;
        limit::check(&document, viewer.bearer().is_some())?;
        let operation = operation_type(&document, request.operation_name.as_deref());
        request.set_parsed_query(document);
        let request = request
            .data(viewer.clone())
            .data(Rows::new(&self.api, viewer));
        Ok((request, operation))
    }
}

/// Returns the type of the operation that is to run; an unknown one is told by the library.
fn operation_type(document: &ExecutableDocument, name: Option<&str>) -> OperationType {
    let mut operations = document.operations.iter();
    operations
        .find(|(known, _)| name.is_none() || known.map(Name::as_str) == name)
        .map_or(OperationType::Query, |(_, operation)| operation.node.ty)
}

/// Runs the operations of one socket.
#[derive(Clone)]
pub(in crate::api) struct SocketExecutor {
    endpoint: Endpoint,
    places: Arc<Semaphore>,
    viewer: Arc<OnceLock<Viewer>>,
}

impl SocketExecutor {
    /// Says whose operations run from now on.
    pub(in crate::api) fn begin(&self, viewer: Viewer) {
        // The protocol has the peer say it once.
        let _ = self.viewer.set(viewer);
    }

    async fn start(self, request: Request) -> BoxStream<'static, Response> {
        let Self {
            endpoint, viewer, ..
        } = self;
        let viewer = viewer.get().unwrap_or(&Viewer::Nobody);
        let prepared = match viewer.again(&endpoint.api).await {
            Ok(viewer) => endpoint.prepare(request, &viewer),
            Err(refusal) => Err(refusal.into()),
        };
        match prepared {
            Ok((request, OperationType::Subscription)) => {
                let clock = Arc::clone(&endpoint.api.crm.clock);
                let events = endpoint.schema.execute_stream(request);
                events
                    .map(move |response| finish(response, &*clock))
                    .boxed()
            }
            Ok((request, _)) => stream::once(async move { endpoint.run(request).await }).boxed(),
            Err(error) => stream::once(std::future::ready(endpoint.refuse(error))).boxed(),
        }
    }
}

impl Executor for SocketExecutor {
    async fn execute(&self, request: Request) -> Response {
        let viewer = self.viewer.get().unwrap_or(&Viewer::Nobody);
        self.endpoint.answer(request, viewer).await
    }

    fn execute_stream(
        &self,
        request: Request,
        _: Option<Arc<Data>>,
    ) -> BoxStream<'static, Response> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let refusal = Refusal::TooMuch("Too many operations at a time".to_owned());
            let response = self.endpoint.refuse(refusal.into());
            return stream::once(std::future::ready(response)).boxed();
        };
        let started = stream::once(self.clone().start(request)).flatten();
        // The place is free again once the stream is dropped.
        started
            .map(move |response| {
                let _ = &place;
                response
            })
            .boxed()
    }
}

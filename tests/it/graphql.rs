//! The API as programs meet it: over HTTP, with tokens, in the queries that GitLab's own pages send.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use http::{Method, StatusCode};
use liaison::{
    api,
    app::Role,
    crypto::digest,
    domain::{Clock, IssueId, PersonId, SystemClock},
    queue::{self, Signal},
    store::token,
};
use serde_json::{Value, json};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use tracing_subscriber::{Layer, layer::SubscriberExt};

use crate::harness::{PATIENCE, Setup, World, headers, run, run_with};

const NOT_AVAILABLE: &str = "The resource that you are attempting to access does not exist or you don't have permission to perform this action";

/// The list of contacts, with every argument that GitLab's page passes; the cursor that is not used is an empty text.
const CONTACTS: &str = r#"
query contacts($groupFullPath: ID!, $state: CustomerRelationsContactState, $searchTerm: String, $sort: ContactSort,
               $firstPageSize: Int, $lastPageSize: Int, $prevPageCursor: String = "", $nextPageCursor: String = "",
               $ids: [CustomerRelationsContactID!]) {
  group(fullPath: $groupFullPath) {
    __typename id
    contacts(state: $state, search: $searchTerm, sort: $sort, first: $firstPageSize, last: $lastPageSize,
             after: $nextPageCursor, before: $prevPageCursor, ids: $ids) {
      nodes { ...ContactParts }
      pageInfo { __typename hasNextPage endCursor hasPreviousPage startCursor }
    }
  }
}
fragment ContactParts on CustomerRelationsContact {
  __typename id firstName lastName email phone description active
  organization { __typename id name }
}"#;

/// The contacts of an issue as GitLab's sidebar asks for them.
const SIDEBAR: &str = r"
query issueCrmContacts($id: IssueID!) { issue(id: $id) { ...CrmContacts } }
fragment CrmContacts on Issue {
  id
  customerRelationsContacts {
    nodes { id firstName lastName email phone description organization { id name } }
  }
}";

/// The same, told while it happens.
const FOLLOW: &str = r"
subscription issueCrmContactsUpdated($id: IssuableID!) {
  issueCrmContactsUpdated(issuableId: $id) {
    ... on Issue { id customerRelationsContacts { nodes { email } } }
  }
}";

const SET: &str = r"
mutation set($input: IssueSetCrmContactsInput!) {
  issueSetCrmContacts(input: $input) {
    clientMutationId errors issue { iid customerRelationsContacts { nodes { email } } }
  }
}";

/// Makes a token for a user of the tracker, whom Liaison knows from then on.
pub(crate) async fn token_of(world: &World, user: u64) -> String {
    let person: i64 = sqlx::query_scalar(
        "WITH known AS (SELECT person_id FROM identities WHERE remote_id = $1),
              new AS (INSERT INTO people (username, name, email, created_at)
                      SELECT 'user' || $1, 'User ' || $1, 'user' || $1 || '@example.com', now() WHERE NOT EXISTS (SELECT FROM known) RETURNING id),
              identity AS (INSERT INTO identities (connection_id, remote_id, person_id, username)
                           SELECT (SELECT id FROM connections WHERE name = 'gitlab'), $1, id, 'user' || $1 FROM new)
         SELECT person_id FROM known UNION ALL SELECT id FROM new",
    )
    .bind(user.to_string())
    .fetch_one(&world.pool)
    .await
    .unwrap();
    let secret = format!("lia_test_{user}");
    let mut connection = world.pool.acquire().await.unwrap();
    let now = SystemClock::default().now();
    token::create(
        &mut connection,
        PersonId(person),
        "test",
        &digest(secret.as_bytes()),
        (now, None),
    )
    .await
    .unwrap();
    secret
}

/// Sends a body to the endpoint; returns status and answer.
async fn post(world: &World, token: Option<&str>, body: &Value) -> (StatusCode, Value) {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut pairs = vec![("content-type", "application/json")];
    pairs.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    let answer = world
        .send(
            Method::POST,
            "/api/graphql",
            headers(&pairs),
            body.to_string(),
        )
        .await;
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// Asks and returns the answer, errors included.
pub(crate) async fn ask(world: &World, token: &str, query: &str, variables: Value) -> Value {
    let (status, answer) = post(
        world,
        Some(token),
        &json!({ "query": query, "variables": variables }),
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

/// Asks what has to be answered without errors; returns the data.
pub(crate) async fn data(world: &World, token: &str, query: &str, variables: Value) -> Value {
    let answer = ask(world, token, query, variables).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"].clone()
}

fn texts(nodes: &Value, field: &str) -> Vec<String> {
    let nodes = nodes.as_array().unwrap();
    nodes
        .iter()
        .map(|node| node[field].as_str().unwrap().to_owned())
        .collect()
}

/// Returns the global id of an issue, which the tracker told of by a comment.
async fn issue_id(world: &World, iid: i64, project: &str) -> String {
    let id: i64 = sqlx::query_scalar(
        "SELECT issues.id FROM issues JOIN projects ON projects.id = issues.project_id WHERE iid = $1 AND projects.path = $2",
    )
    .bind(iid)
    .bind(project)
    .fetch_one(&world.pool)
    .await
    .unwrap();
    format!("gid://gitlab/Issue/{id}")
}

async fn group_id(world: &World) -> String {
    let id: i64 = sqlx::query_scalar("SELECT id FROM groups WHERE path = 'acme'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    format!("gid://gitlab/Group/{id}")
}

async fn contact_id(world: &World, email: &str) -> String {
    let id: i64 = sqlx::query_scalar("SELECT id FROM items WHERE email = $1")
        .bind(email)
        .fetch_one(&world.pool)
        .await
        .unwrap();
    format!("gid://gitlab/CustomerRelations::Contact/{id}")
}

#[tokio::test]
async fn the_contacts_page_of_gitlab_works() {
    run(async |world| {
        let rita = token_of(world, world.demo.rita).await;
        let page = |variables: Value| {
            let mut all = json!({ "groupFullPath": "acme", "prevPageCursor": "", "nextPageCursor": "" });
            all.as_object_mut().unwrap().extend(variables.as_object().unwrap().clone());
            data(world, &rita, CONTACTS, all)
        };
        let first = page(json!({ "state": "active", "sort": "LAST_NAME_ASC", "firstPageSize": 1, "searchTerm": "" })).await;
        let contacts = &first["group"]["contacts"];
        assert_eq!(first["group"]["__typename"], "Group");
        assert_eq!(first["group"]["id"], group_id(world).await);
        let node = &contacts["nodes"][0];
        assert_eq!(node["__typename"], "CustomerRelationsContact");
        assert_eq!(node["id"], contact_id(world, "ada@example.com").await);
        assert_eq!((&node["firstName"], &node["lastName"], &node["active"]), (&json!("Ada"), &json!("Byron"), &json!(true)));
        assert_eq!((&node["organization"], &node["phone"]), (&Value::Null, &Value::Null));
        let info = &contacts["pageInfo"];
        assert_eq!((&info["hasNextPage"], &info["hasPreviousPage"]), (&json!(true), &json!(false)));

        let more = json!({ "state": "active", "sort": "LAST_NAME_ASC", "firstPageSize": 1, "nextPageCursor": info["endCursor"] });
        let second = page(more).await["group"]["contacts"].clone();
        assert_eq!(texts(&second["nodes"], "lastName"), ["Murray"]);
        assert_eq!((&second["pageInfo"]["hasNextPage"], &second["pageInfo"]["hasPreviousPage"]), (&json!(false), &json!(true)));
        let back = json!({
            "state": "active", "sort": "LAST_NAME_ASC", "lastPageSize": 1, "prevPageCursor": second["pageInfo"]["startCursor"]
        });
        assert_eq!(texts(&page(back).await["group"]["contacts"]["nodes"], "lastName"), ["Byron"]);

        let all = page(json!({ "state": "all", "sort": "EMAIL_DESC" })).await;
        assert_eq!(texts(&all["group"]["contacts"]["nodes"], "firstName"), ["Otto", "Grace", "Ada"]);
        let found = page(json!({ "searchTerm": "grace murray" })).await;
        assert_eq!(texts(&found["group"]["contacts"]["nodes"], "email"), ["Grace@Example.com"]);
        let named = page(json!({ "ids": [contact_id(world, "otto@example.com").await] })).await;
        assert_eq!(texts(&named["group"]["contacts"]["nodes"], "email"), ["otto@example.com"]);

        let counts = "query contactsCountByState($groupFullPath: ID!, $searchTerm: String) {
            group(fullPath: $groupFullPath) { __typename id contactStateCounts(search: $searchTerm) { all active inactive } } }";
        let counted = data(world, &rita, counts, json!({ "groupFullPath": "acme" })).await;
        assert_eq!(counted["group"]["contactStateCounts"], json!({ "all": 3, "active": 2, "inactive": 1 }));
        let counted = data(world, &rita, counts, json!({ "groupFullPath": "acme", "searchTerm": "otto" })).await;
        assert_eq!(counted["group"]["contactStateCounts"], json!({ "all": 1, "active": 0, "inactive": 1 }));
    })
    .await;
}

#[tokio::test]
async fn contacts_and_organizations_are_created_and_edited_as_in_gitlab() {
    run(async |world| {
        let dan = token_of(world, world.demo.dan).await;
        let group = group_id(world).await;
        let create = "mutation($input: CustomerRelationsOrganizationCreateInput!) {
            customerRelationsOrganizationCreate(input: $input) { clientMutationId organization { id name defaultRate description active } errors } }";
        let input = json!({ "groupId": group, "name": " Engines ", "defaultRate": 120.5, "clientMutationId": "one" });
        let made = data(world, &dan, create, json!({ "input": input })).await["customerRelationsOrganizationCreate"].clone();
        assert_eq!((&made["clientMutationId"], &made["errors"]), (&json!("one"), &json!([])));
        assert_eq!((&made["organization"]["name"], &made["organization"]["defaultRate"]), (&json!("Engines"), &json!(120.5)));
        let organization = made["organization"]["id"].clone();
        let again = data(world, &dan, create, json!({ "input": { "groupId": group, "name": "ENGINES" } })).await;
        assert_eq!(again["customerRelationsOrganizationCreate"]["organization"], Value::Null);
        assert_eq!(again["customerRelationsOrganizationCreate"]["errors"], json!(["Name has already been taken"]));

        let create = "mutation($input: CustomerRelationsContactCreateInput!) {
            customerRelationsContactCreate(input: $input) { contact { id lastName organization { id } } errors } }";
        let input = json!({ "groupId": group, "firstName": "Zoe", "lastName": "Winter", "email": "zoe@example.com", "organizationId": organization });
        let made = data(world, &dan, create, json!({ "input": input })).await["customerRelationsContactCreate"].clone();
        assert_eq!((&made["contact"]["organization"]["id"], &made["errors"]), (&organization, &json!([])));
        let contact = made["contact"]["id"].clone();
        let blank = json!({ "groupId": group, "firstName": "", "lastName": "Winter", "email": "ZOE@example.com" });
        let refused = data(world, &dan, create, json!({ "input": blank })).await["customerRelationsContactCreate"].clone();
        assert_eq!(refused["contact"], Value::Null);
        assert!(refused["errors"].as_array().unwrap().contains(&json!("First name can't be blank")), "{refused}");

        let update = "mutation($input: CustomerRelationsContactUpdateInput!) {
            customerRelationsContactUpdate(input: $input) { contact { firstName phone active organization { id } } errors } }";
        let change = async |fields: Value| {
            let mut input = json!({ "id": contact });
            input.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            data(world, &dan, update, json!({ "input": input })).await["customerRelationsContactUpdate"].clone()
        };
        let changed = change(json!({ "phone": "12", "active": false })).await;
        assert_eq!(changed["contact"], json!({ "firstName": "Zoe", "phone": "12", "active": false, "organization": { "id": organization } }));
        let cleared = change(json!({ "organizationId": null, "phone": null })).await;
        assert_eq!((&cleared["contact"]["organization"], &cleared["contact"]["phone"]), (&Value::Null, &Value::Null));
        let wrong = change(json!({ "firstName": null })).await;
        assert_eq!((&wrong["contact"], &wrong["errors"]), (&Value::Null, &json!(["First name can't be blank"])));
    })
    .await;
}

#[tokio::test]
async fn the_contacts_of_an_issue_are_set_and_followed() {
    run(async |world| {
        let demo = world.demo;
        world.ask(demo.order, demo.rita, "/add_contacts ada@example.com").await;
        let rita = token_of(world, demo.rita).await;
        let issue = issue_id(world, 1, "acme/support/desk").await;
        let mut socket = Socket::open(world, Some(&rita)).await;
        socket.follow(world, "1", &issue).await;

        let sidebar = data(world, &rita, SIDEBAR, json!({ "id": issue })).await;
        assert_eq!(texts(&sidebar["issue"]["customerRelationsContacts"]["nodes"], "email"), ["ada@example.com"]);

        let (ada, grace) = (contact_id(world, "ada@example.com").await, contact_id(world, "Grace@Example.com").await);
        let set = async |contacts: Value, mode: Value| {
            let mut input = json!({ "projectPath": "acme/support/desk", "iid": "1", "contactIds": contacts, "clientMutationId": "x" });
            if !mode.is_null() {
                input["operationMode"] = mode;
            }
            data(world, &rita, SET, json!({ "input": input })).await["issueSetCrmContacts"].clone()
        };
        let emails = |answer: &Value| texts(&answer["issue"]["customerRelationsContacts"]["nodes"], "email");
        let replaced = set(json!([grace]), Value::Null).await;
        assert_eq!((emails(&replaced), &replaced["errors"], &replaced["clientMutationId"]), (vec!["Grace@Example.com".to_owned()], &json!([]), &json!("x")));
        socket.until("1", &["Grace@Example.com"]).await;
        assert_eq!(emails(&set(json!([ada]), json!("APPEND")).await), ["ada@example.com", "Grace@Example.com"]);
        socket.until("1", &["ada@example.com", "Grace@Example.com"]).await;
        assert_eq!(emails(&set(json!([grace]), json!("REMOVE")).await), ["ada@example.com"]);
        socket.until("1", &["ada@example.com"]).await;
        let unknown = set(json!(["gid://gitlab/CustomerRelations::Contact/999999"]), json!("APPEND")).await;
        assert!(unknown["errors"][0].as_str().unwrap().contains(NOT_AVAILABLE), "{unknown}");

        // Told whoever set them and through what: a comment too, and taking it back.
        world.ask(demo.order, demo.dan, "/remove_contacts ada@example.com").await;
        socket.until("1", &[]).await;
        let undo = "mutation($input: CrmUndoInput!) { crmUndo(input: $input) { undone errors } }";
        let operation: String = sqlx::query_scalar("SELECT operation::text FROM history ORDER BY id DESC LIMIT 1").fetch_one(&world.pool).await.unwrap();
        let operation = format!("gid://gitlab/CustomerRelations::Operation/{operation}");
        data(world, &rita, undo, json!({ "input": { "operationId": operation } })).await;
        socket.until("1", &["ada@example.com"]).await;
    })
    .await;
}

#[tokio::test]
async fn events_of_other_processes_are_told_until_the_right_or_the_token_ends() {
    run(async |world| {
        let demo = world.demo;
        world
            .ask(demo.order, demo.rita, "/add_contacts ada@example.com")
            .await;
        let (rita, dan) = (
            token_of(world, demo.rita).await,
            token_of(world, demo.dan).await,
        );
        let issue = issue_id(world, 1, "acme/support/desk").await;
        world.settled().await;
        // The socket is at a process that serves pages alone; the comments are worked by another one.
        let web = world.another_service(&[Role::Web]).await;
        let mut ritas = Socket::open_at(web.address, None).await;
        ritas
            .init(json!({ "Authorization": format!("Bearer {rita}") }))
            .await;
        ritas.follow(world, "r", &issue).await;
        let mut dans = Socket::open_at(web.address, None).await;
        dans.init(json!({ "token": dan })).await;
        dans.follow(world, "d", &issue).await;
        world
            .ask(demo.order, demo.mona, "/add_contacts grace@example.com")
            .await;
        ritas
            .until("r", &["ada@example.com", "Grace@Example.com"])
            .await;
        dans.until("d", &["ada@example.com", "Grace@Example.com"])
            .await;

        world.sandbox.set_member(
            liaison::sandbox::Place::Group(demo.acme),
            demo.rita,
            liaison::sandbox::Level::Guest,
        );
        sqlx::query("UPDATE api_tokens SET revoked_at = now() WHERE digest = $1")
            .bind(digest(dan.as_bytes()).as_slice())
            .execute(&world.pool)
            .await
            .unwrap();
        world.settled().await;
        world
            .ask(demo.order, demo.mona, "/remove_contacts grace@example.com")
            .await;
        ritas.ends("r").await;
        dans.ends("d").await;
        web.stop().await;
    })
    .await;
}

#[tokio::test]
async fn who_lacks_the_right_sees_nothing_and_changes_nothing() {
    run(async |world| {
        let demo = world.demo;
        world.ask(demo.order, demo.rita, "/add_contacts ada@example.com").await;
        world.ask(demo.form, demo.rita, "/add_contacts ada@example.com").await;
        let (gus, sam) = (token_of(world, demo.gus).await, token_of(world, demo.stranger).await);
        let rita = token_of(world, demo.rita).await;
        let all = "query($path: ID!) { group(fullPath: $path) {
            contacts { count nodes { id } } organizations { count nodes { id } } contactStateCounts { all } organizationStateCounts { all } crmHistory { nodes { id } } } }";
        let empty = json!({ "group": {
            "contacts": { "count": 0, "nodes": [] }, "organizations": { "count": 0, "nodes": [] },
            "contactStateCounts": { "all": 0 }, "organizationStateCounts": { "all": 0 }, "crmHistory": { "nodes": [] } } });
        assert_eq!(data(world, &gus, all, json!({ "path": "acme" })).await, empty);
        for path in ["acme", "acme/support", "nowhere"] {
            assert_eq!(data(world, &sam, all, json!({ "path": path })).await["group"], Value::Null, "{path}");
        }
        // A guest may read the issue and not its contacts; a stranger may read what everybody may.
        let form = issue_id(world, 1, "acme/website").await;
        let order = issue_id(world, 1, "acme/support/desk").await;
        for token in [&gus, &sam] {
            let seen = data(world, token, SIDEBAR, json!({ "id": form })).await;
            assert_eq!(seen["issue"]["customerRelationsContacts"]["nodes"], json!([]));
        }
        assert_eq!(data(world, &sam, SIDEBAR, json!({ "id": order })).await["issue"], Value::Null);
        assert_eq!(data(world, &sam, "{ project(fullPath: \"acme/support/desk\") { id } }", json!({})).await["project"], Value::Null);

        let group = group_id(world).await;
        let create = "mutation($input: CustomerRelationsContactCreateInput!) { customerRelationsContactCreate(input: $input) { errors } }";
        let new = json!({ "input": { "groupId": group, "firstName": "Eve", "lastName": "Il" } });
        let input = json!({ "input": { "projectPath": "acme/support/desk", "iid": "1", "contactIds": [] } });
        let delete = "mutation($input: CustomerRelationsContactDeleteInput!) { customerRelationsContactDelete(input: $input) { errors } }";
        let ids = json!({ "input": { "ids": [contact_id(world, "ada@example.com").await] } });
        for (token, query, variables) in [
            (&gus, create, &new),
            (&sam, create, &new),
            (&rita, create, &new),
            (&gus, SET, &input),
            (&sam, SET, &input),
            (&rita, delete, &ids),
        ] {
            let answer = ask(world, token, query, variables.clone()).await;
            assert_eq!(answer["errors"][0]["message"], NOT_AVAILABLE, "{answer}");
            assert_eq!(answer["errors"][0]["extensions"]["code"], "RESOURCE_NOT_AVAILABLE");
        }
        assert_eq!(world.issue_contacts(demo.order).await, ["ada@example.com"]);
        assert_eq!(world.count("items").await, 3);

        let (_, nobody) = post(world, None, &json!({ "query": "{ currentUser { id } group(fullPath: \"acme\") { id } }" })).await;
        assert_eq!(nobody, json!({ "data": { "currentUser": null, "group": null } }));
    })
    .await;
}

#[tokio::test]
async fn a_group_without_crm_says_so_to_those_who_could_use_it() {
    run(async |world| {
        let demo = world.demo;
        world.ask(demo.order, demo.rita, "/add_contacts ada@example.com").await;
        let (rita, mona, sam) = (token_of(world, demo.rita).await, token_of(world, demo.mona).await, token_of(world, demo.stranger).await);
        let update = "mutation($input: GroupUpdateInput!) { groupUpdate(input: $input) { group { crmEnabled crmAutomaticRelations } errors } }";
        let off = json!({ "input": { "fullPath": "acme/support", "crmEnabled": false, "crmAutomaticRelations": ["AUTHOR"] } });
        assert_eq!(ask(world, &rita, update, off.clone()).await["errors"][0]["message"], NOT_AVAILABLE);
        let changed = data(world, &mona, update, off).await;
        assert_eq!(changed["groupUpdate"], json!({ "group": { "crmEnabled": false, "crmAutomaticRelations": ["AUTHOR"] }, "errors": [] }));
        let input = json!({ "input": { "projectPath": "acme/support/desk", "iid": "1", "contactIds": [] } });
        let told = ask(world, &rita, SET, input.clone()).await;
        assert_eq!((&told["errors"][0]["message"], &told["errors"][0]["extensions"]["code"]), (&json!("Feature disabled"), &json!("FEATURE_DISABLED")));
        assert_eq!(ask(world, &sam, SET, input).await["errors"][0]["message"], NOT_AVAILABLE);
        let list = data(world, &mona, "{ group(fullPath: \"acme/support\") { contacts { nodes { id } } } }", json!({})).await;
        assert_eq!(list["group"]["contacts"]["nodes"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn deletion_and_merge_are_in_the_history_and_taken_back() {
    run(async |world| {
        let demo = world.demo;
        world.ask(demo.order, demo.rita, "/add_contacts ada@example.com").await;
        let mona = token_of(world, demo.mona).await;
        let (ada, grace) = (contact_id(world, "ada@example.com").await, contact_id(world, "Grace@Example.com").await);
        let merge = "mutation($input: CustomerRelationsContactMergeInput!) {
            customerRelationsContactMerge(input: $input) { contact { email issues { nodes { iid } } } operationId errors } }";
        let merged = data(world, &mona, merge, json!({ "input": { "id": grace, "mergedIds": [ada] } })).await["customerRelationsContactMerge"].clone();
        assert_eq!(merged["contact"], json!({ "email": "Grace@Example.com", "issues": { "nodes": [{ "iid": "1" }] } }));

        let history = "query($ids: [CustomerRelationsContactID!]) { group(fullPath: \"acme\") {
            contacts(ids: $ids) { nodes { history(first: 50) { nodes { action via author { username } operationId contact { email } issue { iid } } } } } } }";
        let told = data(world, &mona, history, json!({ "ids": [grace] })).await;
        let nodes = &told["group"]["contacts"]["nodes"][0]["history"]["nodes"];
        assert_eq!(nodes[0]["operationId"], merged["operationId"]);
        assert!(texts(nodes, "action").contains(&"item_merged".to_owned()), "{nodes}");
        assert_eq!((&nodes[0]["via"], nodes[0]["author"]["username"].is_string()), (&json!("GRAPHQL"), true));

        let undo = "mutation($input: CrmUndoInput!) { crmUndo(input: $input) { undone kept errors } }";
        let undone = data(world, &mona, undo, json!({ "input": { "operationId": merged["operationId"] } })).await["crmUndo"].clone();
        assert_eq!((&undone["errors"], &undone["kept"]), (&json!([]), &json!([])), "{undone}");
        assert_eq!(world.count("items WHERE email = 'ada@example.com'").await, 1);
        assert_eq!(world.issue_contacts(demo.order).await, ["ada@example.com"]);

        let delete = "mutation($input: CustomerRelationsContactDeleteInput!) {
            customerRelationsContactDelete(input: $input) { clientMutationId operationId errors } }";
        let gone = data(world, &mona, delete, json!({ "input": { "ids": [contact_id(world, "ada@example.com").await], "clientMutationId": "d" } })).await;
        assert_eq!((&gone["customerRelationsContactDelete"]["errors"], &gone["customerRelationsContactDelete"]["clientMutationId"]), (&json!([]), &json!("d")));
        assert_eq!(world.count("items WHERE email = 'ada@example.com'").await, 0);
        let all = data(world, &mona, "{ group(fullPath: \"acme\") { crmHistory(first: 1) { nodes { action } pageInfo { hasNextPage endCursor } } } }", json!({})).await;
        assert_eq!(all["group"]["crmHistory"]["pageInfo"]["hasNextPage"], true, "{all}");
    })
    .await;
}

#[tokio::test]
async fn a_preview_says_what_a_comment_would_do_and_does_nothing() {
    run(async |world| {
        let demo = world.demo;
        world.ask(demo.order, demo.rita, "/add_contacts ada@example.com").await;
        let (rita, sam) = (token_of(world, demo.rita).await, token_of(world, demo.stranger).await);
        let issue = issue_id(world, 1, "acme/support/desk").await;
        let preview = "query($id: IssueID!, $text: String!) { commandPreview(issueId: $id, text: $text) {
            commands { name argument line known } answer changes } }";
        let text = "Hello!\n\n/add_contacts grace@example.com nobody@example.com\n/crm contacts\n/crm ad_contacts x";
        let told = data(world, &rita, preview, json!({ "id": issue, "text": text })).await["commandPreview"].clone();
        assert_eq!(told["commands"][0], json!({ "name": "add_contacts", "argument": "grace@example.com nobody@example.com", "line": 3, "known": true }));
        assert_eq!(told["changes"], 1);
        assert!(told["answer"][0].as_str().unwrap().contains("`grace@example.com` added · `nobody@example.com` not found"), "{told}");
        assert!(told["answer"][1].as_str().unwrap().contains("Grace Murray"), "{told}");
        assert_eq!(world.issue_contacts(demo.order).await, ["ada@example.com"]);
        let refused = ask(world, &sam, preview, json!({ "id": issue, "text": text })).await;
        assert_eq!(refused["errors"][0]["message"], NOT_AVAILABLE);
    })
    .await;
}

#[tokio::test]
async fn tokens_prove_who_asks() {
    run(async |world| {
        let rita = token_of(world, world.demo.rita).await;
        let who = json!({ "query": "{ currentUser { username name email } }" });
        let answer = world
            .send(
                Method::POST,
                "/api/graphql",
                headers(&[
                    ("content-type", "application/json"),
                    ("private-token", &rita),
                ]),
                who.to_string(),
            )
            .await;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(
            answer["data"]["currentUser"]["username"].is_string(),
            "{answer}"
        );
        assert_eq!(
            post(world, None, &who).await.1["data"]["currentUser"],
            Value::Null
        );
        for change in [
            "UPDATE api_tokens SET revoked_at = now()",
            "UPDATE api_tokens SET revoked_at = NULL, expires_at = now() - interval '1 s'",
            "UPDATE people SET active = false",
        ] {
            sqlx::query("UPDATE api_tokens SET revoked_at = NULL, expires_at = NULL")
                .execute(&world.pool)
                .await
                .unwrap();
            sqlx::query(sqlx::AssertSqlSafe(change))
                .execute(&world.pool)
                .await
                .unwrap();
            let (status, body) = post(world, Some(&rita), &who).await;
            assert_eq!(
                (status, &body["errors"][0]["message"]),
                (StatusCode::UNAUTHORIZED, &json!("Invalid token")),
                "{change}"
            );
        }
        assert_eq!(
            post(world, Some("lia_wrong"), &who).await.0,
            StatusCode::UNAUTHORIZED
        );
    })
    .await;
}

#[tokio::test]
async fn what_a_request_may_ask_for_is_bounded() {
    run(async |world| {
        let rita = token_of(world, world.demo.rita).await;
        let code = async |query: &str| {
            let answer = ask(world, &rita, query, json!({})).await;
            answer["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned()
        };
        let aliases: Vec<String> = (0..51).map(|number| format!("a{number}: currentUser {{ id }}")).collect();
        let aliases = aliases.join(" ");
        assert_eq!(code(&format!("{{ {aliases} }}")).await, "QUERY_TOO_LARGE");
        let issues = "issues { nodes { customerRelationsContacts { nodes { issues { nodes { id } } } } } }";
        assert_eq!(code(&format!("{{ group(fullPath: \"acme\") {{ contacts {{ nodes {{ {issues} }} }} }} }}")).await, "INVALID_QUERY");
        let deep = "project { group { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { crmSourceGroup { id }}}}}}}}}}}}}}}}}}}}";
        assert_eq!(code(&format!("{{ issue(id: \"gid://gitlab/Issue/1\") {{ {deep} }} }}")).await, "INVALID_QUERY");
        assert_eq!(code(&format!("{{ currentUser {{ id }} }} # {}", "x".repeat(40_000))).await, "QUERY_TOO_LARGE");
        let wrong = ask(world, &rita, "{ issue(id: \"13\") { id } }", json!({})).await;
        assert_eq!((&wrong["errors"][0]["message"], &wrong["errors"][0]["extensions"]["code"]), (&json!("\"13\" is not a valid Global ID"), &json!("ARGUMENT_ERROR")));

        let lists = |count: usize| {
            let lists: Vec<String> = (0..count).map(|number| format!("g{number}: organizations(first: 1) {{ nodes {{ id }} }}")).collect();
            lists.join(" ")
        };
        let answer = ask(world, &rita, &format!("{{ group(fullPath: \"acme\") {{ {} }} }}", lists(25)), json!({})).await;
        assert_eq!(answer.get("errors"), None);
        assert_eq!(code(&format!("{{ group(fullPath: \"acme\") {{ {} }} }}", lists(26))).await, "QUERY_TOO_LARGE");

        let schema = json!({ "query": "{ __schema { queryType { name } } }" });
        assert_eq!(post(world, Some(&rita), &schema).await.1["data"]["__schema"]["queryType"]["name"], "Query");
        assert_eq!(post(world, None, &schema).await.1["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");

        let one = json!({ "query": "{ currentUser { id } }" });
        let (status, batch) = post(world, Some(&rita), &json!(vec![&one; 10])).await;
        assert_eq!((status, batch.as_array().unwrap().len()), (StatusCode::OK, 10));
        assert_eq!(post(world, Some(&rita), &json!(vec![&one; 11])).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        let large = json!({ "query": "{ currentUser { id } }", "variables": { "x": "y".repeat(1 << 20) } });
        assert_eq!(post(world, Some(&rita), &large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        for (method, kind, body, status) in [
            (Method::GET, "application/json", "", StatusCode::METHOD_NOT_ALLOWED),
            (Method::PUT, "application/json", "{}", StatusCode::METHOD_NOT_ALLOWED),
            (Method::POST, "text/plain", "{}", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (Method::POST, "application/json", "{", StatusCode::BAD_REQUEST),
        ] {
            let path = if method == Method::GET { "/api/graphql?query={currentUser{id}}" } else { "/api/graphql" };
            let answer = world.send(method, path, headers(&[("content-type", kind)]), body.to_owned()).await;
            assert_eq!(answer.status, status, "{body}");
        }
    })
    .await;
}

#[tokio::test]
async fn our_failures_are_shown_as_an_id_that_the_log_has_too() {
    run(async |world| {
        let rita = token_of(world, world.demo.rita).await;
        sqlx::query("ALTER TABLE issues RENAME TO issues_elsewhere")
            .execute(&world.pool)
            .await
            .unwrap();
        let answer = ask(
            world,
            &rita,
            SIDEBAR,
            json!({ "id": "gid://gitlab/Issue/1" }),
        )
        .await;
        sqlx::query("ALTER TABLE issues_elsewhere RENAME TO issues")
            .execute(&world.pool)
            .await
            .unwrap();
        let error = &answer["errors"][0];
        assert_eq!(
            (&error["message"], &error["extensions"]["code"]),
            (
                &json!("Internal server error"),
                &json!("INTERNAL_SERVER_ERROR")
            )
        );
        let incident = error["extensions"]["incident"].as_str().unwrap();
        let log = crate::harness::recorded_log();
        let line = log.lines().find(|line| line.contains(incident)).unwrap();
        assert!(
            line.contains("issues") && !answer.to_string().contains("relation"),
            "{line}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_page_of_a_hundred_takes_as_many_statements_as_a_page_of_one() {
    let setup = Setup {
        roles: vec![Role::Receive, Role::Process, Role::Deliver, Role::Web],
        ..Setup::default()
    };
    run_with(setup, async |world| {
        world.ask(world.demo.order, world.demo.rita, "/add_contacts ada@example.com").await;
        let rita = token_of(world, world.demo.rita).await;
        // A hundred contacts, each with an organization of its own and on three issues of its own.
        for statement in [
            "INSERT INTO items (root_id, group_id, kind, title, created_at, updated_at)
             SELECT id, id, 'organization', 'Works ' || n, now(), now() FROM groups, generate_series(1, 100) AS n WHERE path = 'acme'",
            "INSERT INTO items (root_id, group_id, kind, title, first_name, last_name, organization_id, created_at, updated_at)
             SELECT root_id, group_id, 'contact', 'A Aardvark', 'A', 'Aardvark', id, now(), now() FROM items WHERE kind = 'organization'",
            "INSERT INTO issues (root_id, project_id, remote_id, iid, title, state, confidential, author_remote_id, assignee_remote_ids, remote_updated_at)
             SELECT root_id, project_id, 'x' || n, 1000 + n, 'Issue', 'opened', false, '1', '{}', now() FROM issues, generate_series(1, 300) AS n WHERE iid = 1",
            "INSERT INTO issue_items (root_id, issue_id, item_id, added_at)
             SELECT issues.root_id, issues.id, contact.id, now() FROM issues
             JOIN (SELECT id, row_number() OVER (ORDER BY id) AS place FROM items WHERE last_name = 'Aardvark') AS contact ON (iid - 1000) % 100 = place % 100
             WHERE iid > 1000",
        ] {
            sqlx::query(statement).execute(&world.pool).await.unwrap();
        }
        world.settled().await;
        let query = "query($first: Int) { group(fullPath: \"acme\") { contacts(first: $first, search: \"aardvark\") { count nodes {
            id organization { name history(first: 2) { nodes { action } } } history(first: 2) { nodes { action } }
            issues(first: 3) { nodes { iid project { fullPath group { id } }
              customerRelationsContacts(first: 5) { count nodes { id } } customerRelationsOrganizations(first: 5) { nodes { id } } } } } } } }";
        let count = async |first: i32| {
            let counter = Statements::default();
            let counted = Arc::clone(&counter.0);
            let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(counter));
            let page = data(world, &rita, query, json!({ "first": first })).await;
            drop(guard);
            let nodes = page["group"]["contacts"]["nodes"].as_array().unwrap().clone();
            assert_eq!(nodes.len(), usize::try_from(first).unwrap());
            assert_eq!(nodes[0]["issues"]["nodes"].as_array().unwrap().len(), 3, "{}", nodes[0]);
            counted.load(Ordering::Relaxed)
        };
        // Until levels are remembered and the service has planned what it plans at its start.
        let mut counts = [0; 4];
        while counts.windows(2).any(|pair| pair[0] != pair[1]) || counts[0] == 0 {
            counts.rotate_left(1);
            counts[3] = count(1).await;
        }
        let (one, hundred) = (counts[3], count(100).await);
        assert!(one > 5, "statements are counted");
        assert_eq!(one, hundred);
    })
    .await;
}

/// Counts the statements that sqlx tells of; the tests' service runs on the thread of its test.
#[derive(Default)]
struct Statements(Arc<AtomicUsize>);

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn editors_complete_contacts() {
    run(async |world| {
        let demo = world.demo;
        world
            .ask(demo.order, demo.rita, "/add_contacts ada@example.com")
            .await;
        let (rita, gus) = (
            token_of(world, demo.rita).await,
            token_of(world, demo.gus).await,
        );
        let get = async |token: &str, path: &str| {
            let answer = world
                .send(Method::GET, path, headers(&[("private-token", token)]), "")
                .await;
            (
                answer.status,
                serde_json::from_slice::<Value>(&answer.body).unwrap(),
            )
        };
        let source = "/-/autocomplete_sources/contacts";
        let (status, all) = get(&rita, &format!("/groups/acme/support{source}")).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(texts(&all, "first_name"), ["Ada", "Grace", "Otto"]);
        assert_eq!(all[2]["state"], "inactive");
        assert_eq!(all[0].get("set"), None);
        let desk = format!("/acme/support/desk{source}?type=Issue&type_id=1");
        let (_, on_issue) = get(&rita, &desk).await;
        let set: Vec<_> = on_issue
            .as_array()
            .unwrap()
            .iter()
            .map(|contact| contact["set"].as_bool().unwrap())
            .collect();
        assert_eq!(set, [true, false, false]);
        assert_eq!(
            texts(
                &get(&rita, &format!("{desk}&command=add_contacts")).await.1,
                "first_name"
            ),
            ["Grace"]
        );
        assert_eq!(
            texts(
                &get(&rita, &format!("{desk}&command=remove_contacts"))
                    .await
                    .1,
                "first_name"
            ),
            ["Ada"]
        );
        assert_eq!(
            texts(&get(&rita, &format!("{desk}&q=murr")).await.1, "first_name"),
            ["Grace"]
        );
        // One project alone below this group knows an issue of the number.
        let group =
            format!("/groups/acme/support{source}?type=Issue&type_id=1&command=remove_contacts");
        assert_eq!(texts(&get(&rita, &group).await.1, "first_name"), ["Ada"]);
        for (token, path) in [
            (&gus, format!("/groups/acme{source}")),
            (&gus, desk.clone()),
            (&rita, format!("/groups/nowhere{source}")),
            (&rita, format!("/acme/nothing{source}")),
            (
                &rita,
                "/groups/acme/-/autocomplete_sources/labels".to_owned(),
            ),
        ] {
            assert_eq!(get(token, &path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    })
    .await;
}

#[test]
fn the_schema_is_the_one_that_is_committed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema.graphql");
    let schema = api::schema_language();
    if std::env::var_os("LIAISON_WRITE_SCHEMA").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == schema,
        "the schema changed: run LIAISON_WRITE_SCHEMA=1 scripts/test --test it the_schema_is"
    );
}

/// A peer that speaks graphql-transport-ws.
struct Socket(WebSocketStream<tokio::net::TcpStream>);

impl Socket {
    async fn open(world: &World, token: Option<&str>) -> Self {
        let address = world.url.socket_addrs(|| None).unwrap()[0];
        let mut socket = Self::open_at(address, token).await;
        socket.init(json!({})).await;
        socket
    }

    async fn open_at(address: std::net::SocketAddr, token: Option<&str>) -> Self {
        let mut request = format!("ws://{address}/api/graphql")
            .into_client_request()
            .unwrap();
        let header = request.headers_mut();
        header.insert(
            "sec-websocket-protocol",
            "graphql-transport-ws".parse().unwrap(),
        );
        if let Some(token) = token {
            header.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        Self(client_async(request, stream).await.unwrap().0)
    }

    async fn send(&mut self, message: Value) {
        self.0
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    async fn receive(&mut self) -> Message {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await;
            match message.unwrap().unwrap().unwrap() {
                Message::Ping(_) => {}
                other => return other,
            }
        }
    }

    async fn told(&mut self) -> Value {
        match self.receive().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn init(&mut self, payload: Value) {
        self.send(json!({ "type": "connection_init", "payload": payload }))
            .await;
        assert_eq!(self.told().await["type"], "connection_ack");
    }

    /// Begins to follow an issue, and has its followers told until this one hears it.
    async fn follow(&mut self, world: &World, id: &str, issue: &str) {
        self.send(json!({ "type": "subscribe", "id": id, "payload": { "query": FOLLOW, "variables": { "id": issue } } })).await;
        let signal =
            Signal::IssueContacts(IssueId(issue.rsplit('/').next().unwrap().parse().unwrap()));
        loop {
            queue::notify(&world.pool, signal).await.unwrap();
            let told = tokio::time::timeout(Duration::from_millis(50), self.told()).await;
            if let Ok(event) = told {
                assert_eq!(event["type"], "next", "{event}");
                return;
            }
        }
    }

    /// Waits until the issue is told with these contacts.
    async fn until(&mut self, id: &str, emails: &[&str]) {
        loop {
            let event = self.told().await;
            assert_eq!(
                (&event["type"], &event["id"]),
                (&json!("next"), &json!(id)),
                "{event}"
            );
            let issue = &event["payload"]["data"]["issueCrmContactsUpdated"];
            if texts(&issue["customerRelationsContacts"]["nodes"], "email") == emails {
                return;
            }
        }
    }

    async fn ends(&mut self, id: &str) {
        loop {
            let message = self.told().await;
            if message["type"] == "complete" {
                return assert_eq!(message["id"], id);
            }
            assert_eq!(message["type"], "next", "{message}");
        }
    }
}

#[tokio::test]
async fn sockets_ask_for_a_token_and_the_right() {
    run(async |world| {
        let demo = world.demo;
        world.ask(demo.order, demo.rita, "/add_contacts ada@example.com").await;
        let gus = token_of(world, demo.gus).await;
        let address = world.url.socket_addrs(|| None).unwrap()[0];
        for payload in [json!({}), json!({ "token": "lia_wrong" })] {
            let mut socket = Socket::open_at(address, None).await;
            socket.send(json!({ "type": "connection_init", "payload": payload })).await;
            let Message::Close(Some(frame)) = socket.receive().await else {
                panic!("the socket stays open");
            };
            assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4403, "Forbidden"));
        }
        let mut socket = Socket::open(world, Some(&gus)).await;
        let issue = issue_id(world, 1, "acme/support/desk").await;
        socket.send(json!({ "type": "subscribe", "id": "g", "payload": { "query": FOLLOW, "variables": { "id": issue } } })).await;
        let answer = socket.told().await;
        assert_eq!(answer["payload"]["errors"][0]["message"], NOT_AVAILABLE);
        assert_eq!(answer["payload"]["errors"][0]["extensions"]["code"], "RESOURCE_NOT_AVAILABLE");
    })
    .await;
}

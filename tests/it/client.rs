//! A GraphQL client that others wrote, with GitLab's own queries, against the built program. `tests/client/crm.py` has the queries.

use std::{path::Path, process::Command};

use crate::{
    demo::RunningDemo,
    program::{output_of, reachable_folder},
};

/// Returns a Python and the folder of the client's packages, which are got first where they are not there yet.
async fn client() -> (String, String) {
    let mut script =
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/graphql-client"));
    let printed = output_of(&mut script, "").await;
    // Without it nobody knows whether other programs can talk to this one, so it is no reason to pass.
    assert_eq!(printed.code, Some(0), "{}", printed.error);
    let mut lines = printed.out.lines().map(str::to_owned);
    (lines.next().unwrap(), lines.next().unwrap())
}

#[tokio::test]
async fn gitlabs_queries_work_in_a_client_that_others_wrote() {
    let folder = reachable_folder();
    let ((python, packages), demo) = tokio::join!(client(), RunningDemo::start(folder.path()));
    let mut client = Command::new(python);
    client.env("PYTHONPATH", packages);
    client.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client/crm.py"));
    client.args([demo.service.as_str(), demo.tracker.as_str(), &demo.token]);
    let printed = output_of(&mut client, "").await;
    assert_eq!(printed.code, Some(0), "{}{}", printed.out, printed.error);
}

//! The command line about a homeserver.

use liaison::egress::{Call, Egress, Limits};
use serde_json::{Value, json};

use crate::{
    program::Site,
    synapse::{Homeserver, Kind, free_port},
};

fn connection(port: u16) -> String {
    format!(
        r#"
[[connection]]
name = "matrix"
kind = "matrix"
url = "http://127.0.0.1:{port}"
token = "as-canary-4c07"
bot = "desk-bot"
"#
    )
}

#[tokio::test]
async fn the_printed_file_registers_liaison_at_the_homeserver() {
    let port = free_port();
    // The section is put before others, and TOML lets lists of sections stand anywhere.
    let mut site = Site::new(&connection(port), 1).await;
    site.serve(&[]).await;
    let create = [
        "webhook",
        "create",
        "--group",
        "acme",
        "--connection",
        "matrix",
        "--name",
        "rooms",
    ];
    let error = site.fail(&[&create[..], &["--signing"]].concat()).await;
    assert!(error.contains("does not sign"), "{error}");
    let made = site.succeed(&create).await;
    assert!(
        made.contains("liaison webhook registration rooms"),
        "{made}"
    );
    let error = site
        .fail(&[&create[..6], &["--name", "more"]].concat())
        .await;
    assert!(
        error.contains("Connection matrix has webhook rooms, which takes all that it tells"),
        "{error}"
    );
    let error = site.fail(&["webhook", "registration", "acme-gitlab"]).await;
    assert!(
        error.contains("only a Matrix homeserver has a registration file"),
        "{error}"
    );
    let error = site.fail(&["webhook", "install", "rooms"]).await;
    assert!(
        error.contains("liaison webhook registration rooms"),
        "{error}"
    );
    let error = site.fail(&["check", "--connect"]).await;
    assert!(error.contains("found a problem"), "{error}");

    // The newest secret is the one to register.
    let rotated = site.succeed(&["webhook", "rotate", "rooms"]).await;
    let secret = rotated.rsplit(' ').next().unwrap().trim_end();
    let file = site.succeed(&["webhook", "registration", "rooms"]).await;
    for part in [
        secret,
        "as-canary-4c07",
        site.url.as_str().trim_end_matches('/'),
        "liaison-matrix",
    ] {
        assert!(file.contains(part), "{part} in {file}");
    }
    let homeserver = Homeserver::start_at(port, Kind::default(), Some(&file)).await;
    let tried = site.succeed(&["webhook", "test", "rooms"]).await;
    assert!(tried.contains("the homeserver reaches Liaison"), "{tried}");
    let checked = site.succeed(&["check", "--connect"]).await;
    assert!(
        checked.contains("@desk-bot:hs.test is the bot, and the homeserver reaches Liaison"),
        "{checked}"
    );

    // Paused: the homeserver keeps what it has to tell.
    site.succeed(&["webhook", "pause", "rooms"]).await;
    let egress = Egress::new([&site.url], Limits::default()).unwrap();
    let send = async || {
        let url = site.url.join("/_matrix/app/v1/transactions/1").unwrap();
        let mut call = Call::new(http::Method::PUT, url);
        for (name, value) in [
            ("authorization", format!("Bearer {secret}")),
            ("content-type", "application/json".to_owned()),
        ] {
            call.headers.insert(
                name.parse::<http::HeaderName>().unwrap(),
                value.parse().unwrap(),
            );
        }
        call.body = json!({ "events": [] }).to_string().into();
        let answer = egress.send(call).await.unwrap();
        (
            answer.status.as_u16(),
            serde_json::from_slice::<Value>(&answer.body).unwrap(),
        )
    };
    crate::synapse::until("the webhook is paused", async || {
        (send().await.0 == 410).then_some(())
    })
    .await;
    site.succeed(&["webhook", "delete", "rooms"]).await;
    crate::synapse::until("the webhook is gone", async || {
        (send().await.0 == 403).then_some(())
    })
    .await;
    let error = site.fail(&["check", "--connect"]).await;
    assert!(error.contains("found a problem"), "{error}");
    drop(homeserver);
    site.end().await;
}

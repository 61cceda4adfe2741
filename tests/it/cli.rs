//! The command line as its users see it: what is printed, how commands end, and what they do to a service that runs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use liaison::{egress::Call, sandbox::Fault};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    harness::{PATIENCE, headers},
    program::{BOT_TOKEN, Site, output, output_of, program, reachable_folder},
};

const CONNECTION: &str = r#"
[[connection]]
name = "gitlab"
kind = "gitlab"
url = "https://gitlab.example.com"
token = "glpat-canary-in-file"
bot = "liaison"
"#;

fn write(folder: &Path, name: &str, text: &str) {
    fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
    fs::write(folder.join(name), text).unwrap();
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn help_is_everywhere_and_wrong_usage_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let help = output(folder.path(), &["--help"]).await;
    assert_eq!(help.code, Some(0));
    for command in [
        "demo",
        "serve",
        "check",
        "migrate",
        "parse",
        "token",
        "webhook",
        "delivery",
        "reconcile",
    ] {
        assert!(help.out.contains(command), "{command} in {}", help.out);
        let help = output(folder.path(), &[command, "--help"]).await;
        assert_eq!(help.code, Some(0));
        assert!(help.out.contains("Usage: liaison"), "{}", help.out);
    }
    let version = output(folder.path(), &["--version"]).await;
    assert_eq!(
        version.out,
        format!("liaison {}\n", env!("CARGO_PKG_VERSION"))
    );
    for wrong in [
        &["no-such-command"][..],
        &[],
        &["serve", "--no-such-flag"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--roles", "receive,nonsense"],
        &["delivery", "show", "not-an-id"],
        &["delivery", "replay"],
        &["token", "create"],
        &["parse", "--connection", "fax"],
    ] {
        let printed = output(folder.path(), wrong).await;
        assert_eq!(printed.code, Some(2), "{wrong:?}: {printed:?}");
        assert_eq!(printed.out, "", "{wrong:?}");
        assert!(!printed.error.is_empty());
    }
    // None of it left anything behind.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn check_prints_what_is_in_force_and_hides_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:1001\"\n[database]\nurl = \"postgres://ann:canary@db.example.com/liaison\"\n\
         [secrets]\nkey = \"canarycanarycanarycanarycanarycanarycanary0=\"\n{CONNECTION}"
    );
    write(folder.path(), "config/liaison.toml", &text);
    let printed = output(folder.path(), &["check"]).await;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(!printed.out.contains("canary") && !printed.error.contains("canary"));
    let effective: toml::Table = printed.out.parse().unwrap();
    assert_eq!(
        effective["server"]["listen"].as_str(),
        Some("127.0.0.1:1001")
    );
    assert_eq!(effective["queue"]["lease_seconds"].as_integer(), Some(60));
    for hidden in [
        &effective["database"]["url"],
        &effective["secrets"]["key"],
        &effective["connection"][0]["token"],
    ] {
        assert_eq!(hidden.as_str(), Some("(hidden)"));
    }

    // The environment comes after the file, and names another file where it should.
    let listen = async |env: &[(&str, &str)], args: &[&str]| {
        let mut command = program(folder.path(), args);
        command.envs(env.iter().copied());
        let printed = output_of(&mut command, "").await;
        assert_eq!(printed.code, Some(0), "{printed:?}");
        let effective: toml::Table = printed.out.parse().unwrap();
        effective["server"]["listen"].as_str().unwrap().to_owned()
    };
    write(
        folder.path(),
        "a.toml",
        "[server]\nlisten = \"127.0.0.1:1003\"\n",
    );
    write(
        folder.path(),
        "b.toml",
        "[server]\nlisten = \"127.0.0.1:1004\"\n",
    );
    let variable = ("LIAISON_SERVER__LISTEN", "127.0.0.1:1002");
    let file = ("LIAISON_CONFIG", "a.toml");
    for (env, args, expected) in [
        (&[variable][..], &["check"][..], "127.0.0.1:1002"),
        (&[file], &["check"], "127.0.0.1:1003"),
        (&[file, variable], &["check"], "127.0.0.1:1002"),
        (&[file], &["check", "--config", "b.toml"], "127.0.0.1:1004"),
        (&[], &["--config", "b.toml", "check"], "127.0.0.1:1004"),
    ] {
        assert_eq!(listen(env, args).await, expected, "{env:?} {args:?}");
    }
}

#[tokio::test]
async fn check_names_every_problem_at_once_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"[server]
lisen = "127.0.0.1:1"
[queue]
attempts = "many"
[[connection]]
name = "gitlab"
kind = "gitlab"
url = "https://gitlab.example.com"
token = { flie = "glpat-canary" }
bot = "liaison"
[[group]]
path = "acme"
name = "Acme"
[[group.webhook]]
name = "acme-gitlab"
connection = "gitlab"
signing_token = { value = "whsec_canary" }
"#;
    write(folder.path(), "own.toml", text);
    let printed = output(folder.path(), &["check", "--config", "own.toml"]).await;
    assert_eq!((printed.code, printed.out.as_str()), (Some(1), ""));
    for part in [
        "4 problems",
        "own.toml:2: there is no key server.lisen; did you mean listen?",
        "own.toml:4: queue.attempts",
        "own.toml:9: connection[1].token: expected \"…\", { file = \"…\" } or { env = \"…\" }",
        "own.toml:17: group[1].webhook[1].signing_token: expected",
    ] {
        assert!(printed.error.contains(part), "{part} in {}", printed.error);
    }
    assert!(!printed.error.contains("canary"), "{}", printed.error);

    // What the types cannot say.
    let text = "[queue]\nlease_seconds = 5\n[[group]]\npath = \"acme\"\nname = \"Acme\"\n\
        [[group.webhook]]\nname = \"a\"\nconnection = \"gitlb\"\nsecret = \"canary\"\n";
    write(folder.path(), "own.toml", text);
    let printed = output(folder.path(), &["check", "--config", "own.toml"]).await;
    assert_eq!(printed.code, Some(1));
    for part in [
        "3 problems",
        "own.toml:2: must be at least 40",
        "own.toml:8: there is no [[connection]] named gitlb",
        "own.toml:9: must have at least 8 characters",
    ] {
        assert!(printed.error.contains(part), "{part} in {}", printed.error);
    }
    assert!(!printed.error.contains("canary"), "{}", printed.error);

    let printed = output(folder.path(), &["check", "--config", "none.toml"]).await;
    assert_eq!(printed.code, Some(1));
    assert!(
        printed
            .error
            .contains("the configuration file none.toml cannot be read"),
        "{}",
        printed.error
    );
}

#[tokio::test]
async fn parse_prints_what_would_run() {
    let folder = tempfile::tempdir().unwrap();
    let parse = async |args: &[&str], text: &str| {
        let mut command = program(folder.path(), &["parse"]);
        output_of(command.args(args), text).await
    };
    let command = json!({ "name": "add_contacts", "argument": "a@example.com", "line": 1 });
    let printed = parse(
        &["--connection", "github"],
        "/add_contacts a@example.com\nthe rest",
    )
    .await;
    let expected = r#"{"commands":[{"name":"add_contacts","argument":"a@example.com","line":1}],"text":"the rest"}"#;
    assert_eq!(printed.out, format!("{expected}\n"));
    assert_eq!((printed.code, printed.error.as_str()), (Some(0), ""));

    // GitLab keeps such a line to itself, which the JSON need not say.
    let printed = parse(&[], "/add_contacts a@example.com").await;
    assert_eq!(
        json(&printed.out),
        json!({ "commands": [command], "text": "" })
    );
    assert_eq!(
        printed.error,
        "GitLab takes lines that begin with `/add_contacts` for itself, before any webhook: write `@liaison add_contacts` there.\n"
    );

    let printed = parse(
        &["--bot", "helper"],
        "Hi\n\n@helper add_contacts a@example.com\n@liaison undo\n",
    )
    .await;
    let parsed = json(&printed.out);
    assert_eq!(parsed["commands"].as_array().unwrap().len(), 1);
    assert_eq!(parsed["commands"][0]["line"], 3);
    assert_eq!(parsed["text"], "Hi\n\n@liaison undo");
    assert_eq!(printed.error, "");

    assert_eq!(
        json(&parse(&[], "").await.out),
        json!({ "commands": [], "text": "" })
    );
    let printed = parse(&[], "/crm ad_contacts x").await;
    assert_eq!(json(&printed.out)["unknown"][0]["nearest"], "add_contacts");
}

#[tokio::test]
async fn says_what_stands_in_the_way_of_a_start() {
    let folder = reachable_folder();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let fail = async |config: &str, args: &[&str]| {
        write(folder.path(), "config/liaison.toml", config);
        let printed = output(folder.path(), args).await;
        assert_eq!(printed.code, Some(1), "{printed:?}");
        assert_eq!(printed.out, "");
        assert!(!printed.error.contains("canary"), "{}", printed.error);
        printed.error
    };
    let no_binaries = "[server]\nlisten = \"127.0.0.1:0\"\n[database]\nbin_dir = \"empty\"\n";
    for command in ["serve", "migrate"] {
        let error = fail(no_binaries, &[command]).await;
        for part in [
            "PostgreSQL 15 or newer was not found",
            "`postgresql`",
            "database.url",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    // The flag is what counts, though the file names a free port.
    let error = fail(no_binaries, &["serve", "--listen", &address.to_string()]).await;
    assert!(
        error.contains(&format!(
            "server.listen = \"{address}\" cannot be listened on"
        )),
        "{error}"
    );
    let error = fail("", &["demo", "--listen", &address.to_string()]).await;
    assert!(
        error.contains(&format!("\"{address}\" cannot be listened on")),
        "{error}"
    );

    let unusable = "[database]\nurl = \"not an address with canary\"\n";
    let error = fail(unusable, &["migrate"]).await;
    assert!(
        error.contains("database.url is not an address like postgres://"),
        "{error}"
    );
    // Accepts connections and says nothing a Postgres would say.
    let silent = format!("[database]\nurl = \"postgres://ann:canary@{address}/liaison\"\n");
    drop(taken);
    let error = fail(&silent, &["migrate"]).await;
    assert!(error.contains("the database does not answer"), "{error}");

    let error = fail(
        "[secrets]\nkey = { env = \"NO_SUCH_KEY\" }\n[server]\nlisten = \"127.0.0.1:0\"\n",
        &["serve"],
    )
    .await;
    assert!(
        error.contains("secrets.key") && error.contains("NO_SUCH_KEY"),
        "{error}"
    );
}

#[tokio::test]
async fn serves_until_it_is_told_to_stop_and_alone() {
    let mut site = Site::new("", 1).await;
    for by in [Signal::TERM, Signal::INT] {
        site.serve(&[]).await;
        let postgres = site.postmaster().unwrap();
        let status = site.stop(by).await;
        assert_eq!(status.code(), Some(0), "{}", site.told());
        assert!(rustix::process::test_kill_process(postgres).is_err());
        assert_eq!(site.postmaster(), None);
    }
    let key = site.path().join("config/secret.key");
    assert_eq!(
        fs::metadata(key).unwrap().permissions().mode() & 0o777,
        0o600
    );

    // Without the service a command runs the database itself.
    assert_eq!(
        site.succeed(&["token", "list"]).await,
        "There are no tokens.\n"
    );
    assert_eq!(
        site.succeed(&["migrate"]).await,
        "The schema is up to date.\n"
    );
    assert_eq!(site.postmaster(), None);

    site.serve(&[]).await;
    let error = site.fail(&["serve", "--listen", "127.0.0.1:0"]).await;
    assert!(
        error.contains("cannot be listened on"),
        "the admin port: {error}"
    );
    let mut second = program(site.path(), &["serve", "--listen", "127.0.0.1:0"]);
    second.env("LIAISON_SERVER__ADMIN_LISTEN", "127.0.0.1:0");
    let second = output_of(&mut second, "").await;
    assert_eq!(second.code, Some(1), "{second:?}");
    let data_dir = site.path().canonicalize().unwrap().join("data");
    let expected = format!(
        "Another liaison already serves from {}; stop it or choose another database.data_dir",
        data_dir.display()
    );
    assert!(second.error.contains(&expected), "{}", second.error);
    assert_eq!(
        site.succeed(&["migrate"]).await,
        "The schema is up to date.\n"
    );

    let metrics = site.admin.join("/-/metrics").unwrap();
    let metrics = site.call(Call::new(Method::GET, metrics)).await.unwrap();
    assert_eq!(metrics.status, StatusCode::OK);
    let public = Call::new(Method::GET, site.at("/-/metrics"));
    assert_eq!(
        site.call(public).await.unwrap().status,
        StatusCode::NOT_FOUND
    );

    let checked = site.succeed(&["check", "--connect"]).await;
    for part in [
        "# ok       database: Postgres ",
        "# ok       connection gitlab: @liaison sees acme as Maintainer",
        "# ok       public address: ",
    ] {
        assert!(checked.contains(part), "{part} in {checked}");
    }
    site.stop(Signal::TERM).await;
    let printed = site.run(&["check", "--connect"]).await;
    assert_eq!(printed.code, Some(1));
    assert!(
        printed.out.contains("# problem  public address: "),
        "{}",
        printed.out
    );
    assert!(
        printed.error.contains("1 of the checks found a problem"),
        "{}",
        printed.error
    );
    assert!(!format!("{printed:?}{}", site.told()).contains("canary"));
    site.end().await;
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked_beside_the_service() {
    let mut site = Site::new("", 1).await;
    site.serve(&[]).await;
    let token = site
        .succeed(&[
            "token",
            "create",
            "--person",
            "Ann",
            "--name",
            "laptop",
            "--expires",
            "7",
        ])
        .await;
    assert!(
        token.starts_with("lia_") && token.trim_end().len() > 40,
        "{token}"
    );
    let listed = site.succeed(&["token", "list", "--json"]).await;
    assert!(!listed.contains(token.trim_end()));
    let listed = json(&listed);
    assert_eq!(
        (&listed[0]["person"], &listed[0]["name"]),
        (&json!("ann"), &json!("laptop"))
    );
    assert!(listed[0]["expires_at"].is_string() && listed[0]["revoked_at"].is_null());
    let table = site.succeed(&["token", "list"]).await;
    assert!(
        table.starts_with("ID ") && table.contains("laptop"),
        "{table}"
    );

    let id = listed[0]["id"].to_string();
    assert_eq!(site.succeed(&["token", "revoke", &id]).await, "Revoked.\n");
    let error = site.fail(&["token", "revoke", &id]).await;
    assert!(
        error.contains(&format!("there is no token {id} in force")),
        "{error}"
    );
    assert!(json(&site.succeed(&["token", "list", "--json"]).await)[0]["revoked_at"].is_string());
    let error = site.fail(&["token", "create", "--person", "nobody"]).await;
    assert!(
        error.contains("there is no active person nobody"),
        "{error}"
    );
    site.end().await;
}

impl Site {
    /// Sends something that is no event, proven by a secret token, until the answer has the status.
    async fn answers_with(&self, webhook: &str, token: &str, wanted: StatusCode) {
        let path = format!("/hooks/{webhook}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let own = headers(&[
                ("content-type", "application/json"),
                ("x-gitlab-token", token),
            ]);
            let answer = self.post(&path, own, "{}").await;
            if answer.status == wanted {
                return;
            }
            let body = String::from_utf8_lossy(&answer.body);
            assert!(
                Instant::now() < deadline,
                "{} is not {wanted}: {body}",
                answer.status
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn webhook(&self, name: &str) -> Value {
        let list = json(&self.succeed(&["webhook", "list", "--json"]).await);
        let mut list = list.as_array().unwrap().clone().into_iter();
        list.find(|webhook| webhook["name"] == name)
            .unwrap_or_default()
    }
}

#[tokio::test]
async fn what_is_done_to_webhooks_counts_at_once_in_the_running_service() {
    let mut site = Site::new("", 1).await;
    site.serve(&[]).await;
    let create = [
        "webhook",
        "create",
        "--group",
        "acme",
        "--connection",
        "gitlab",
        "--name",
        "desk",
    ];
    let made = site.succeed(&[&create[..], &["--json"]].concat()).await;
    let made = json(&made);
    assert_eq!(made["url"], format!("{}hooks/desk", site.url));
    let secret = made["secret"].as_str().unwrap();
    // "{}" is no event, but proven: it is stored, and the same again is a repeat.
    site.answers_with("desk", secret, StatusCode::OK).await;
    site.answers_with("desk", "wrong", StatusCode::UNAUTHORIZED)
        .await;
    assert_eq!(site.webhook("desk").await["state"], "active");
    let error = site.fail(&create).await;
    assert!(error.contains("there is a webhook named desk"), "{error}");

    site.succeed(&["webhook", "pause", "desk"]).await;
    site.answers_with("desk", secret, StatusCode::GONE).await;
    assert_eq!(site.webhook("desk").await["state"], "paused");
    site.succeed(&["webhook", "resume", "desk"]).await;
    site.answers_with("desk", secret, StatusCode::OK).await;

    let rotated = site.succeed(&["webhook", "rotate", "desk"]).await;
    let new = rotated.rsplit(' ').next().unwrap().trim_end();
    assert_ne!(new, secret);
    site.answers_with("desk", new, StatusCode::OK).await;
    site.answers_with("desk", secret, StatusCode::OK).await;
    let last = site
        .succeed(&["webhook", "rotate", "desk", "--overlap", "0"])
        .await;
    let last = last.rsplit(' ').next().unwrap().trim_end();
    for old in [secret, new] {
        site.answers_with("desk", old, StatusCode::UNAUTHORIZED)
            .await;
    }
    site.answers_with("desk", last, StatusCode::OK).await;

    // Into the tracker, and from there.
    let none = site.fail(&["webhook", "test", "desk"]).await;
    assert!(none.contains("hooks/desk: install it first"), "{none}");
    let hooks = || site.sandbox.read(liaison::sandbox::State::unsent);
    let installed = site.succeed(&["webhook", "install", "desk"]).await;
    assert!(installed.contains("is installed."), "{installed}");
    let again = site.succeed(&["webhook", "install", "desk"]).await;
    assert!(again.contains("was there and is up to date."), "{again}");
    site.succeed(&["webhook", "test", "desk"]).await;
    let sent = site.sandbox.wait_for(
        |state| {
            state
                .hook_log()
                .find(|sent| sent.url.path() == "/hooks/desk")
                .cloned()
        },
        PATIENCE,
    );
    assert_eq!((sent.await.unwrap().status, hooks()), (Some(202), 0));

    assert_eq!(
        site.succeed(&["webhook", "delete", "desk"]).await,
        "Deleted. Its log stays.\n"
    );
    site.answers_with("desk", last, StatusCode::GONE).await;
    assert_eq!(site.webhook("desk").await, Value::Null);
    let log = json(
        &site
            .succeed(&["delivery", "list", "--webhook", "desk", "--json"])
            .await,
    );
    assert_eq!(log.as_array().unwrap().len(), 2, "{log}");
    let error = site.fail(&["webhook", "pause", "desk"]).await;
    assert!(error.contains("there is no webhook desk"), "{error}");

    // What the file declares is changed in the file.
    assert_eq!(site.webhook("acme-gitlab").await["managed"], true);
    for command in ["rotate", "delete"] {
        let error = site.fail(&["webhook", command, "Acme-GitLab"]).await;
        assert!(
            error.contains("declared in the configuration file"),
            "{error}"
        );
    }
    site.succeed(&["webhook", "pause", "acme-gitlab"]).await;
    site.answers_with("acme-gitlab", "x", StatusCode::GONE)
        .await;
    let unknown = [
        "webhook",
        "create",
        "--group",
        "nowhere",
        "--connection",
        "gitlab",
    ];
    let error = site.fail(&unknown).await;
    assert!(error.contains("there is no group nowhere"), "{error}");
    site.end().await;
}

#[tokio::test]
async fn what_died_is_seen_in_the_log_and_taken_up_again() {
    let mut site = Site::new("[queue]\nattempts = 1\n", 1).await;
    site.serve(&[]).await;
    assert_eq!(
        json(&site.succeed(&["delivery", "list", "--json"]).await),
        json!([])
    );
    assert_eq!(
        site.succeed(&["delivery", "list"]).await,
        "There are no deliveries.\n"
    );
    let broken = Fault::status(StatusCode::INTERNAL_SERVER_ERROR, "broken");
    let projects = format!("/api/v4/projects/{}/issues/", site.demo.desk);
    site.sandbox.fail(Method::POST, &projects, 2, broken);
    let issue = site.demo.order;
    let comment = site
        .sandbox
        .comment(issue, site.demo.rita, "/crm help")
        .unwrap();

    let dead = async |wanted: i64| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let list = json(
                &site
                    .succeed(&["delivery", "list", "--state", "done", "--json"])
                    .await,
            );
            if list[0]["dead_effects"] == wanted {
                return list[0]["id"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < deadline, "{list}");
        }
    };
    let id = dead(2).await;
    let table = site.succeed(&["delivery", "list"]).await;
    assert!(
        table.contains(&id) && table.contains("(2 dead effects)"),
        "{table}"
    );
    let shown = json(&site.succeed(&["delivery", "show", &id, "--json"]).await);
    assert_eq!(shown["effects"].as_array().unwrap().len(), 2);
    assert_eq!(shown["effects"][0]["state"], "dead");
    let shown = site.succeed(&["delivery", "show", &id]).await;
    for part in ["acme-gitlab", "headers", "/crm help", "500"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(
        !shown.contains("canary") && !shown.to_lowercase().contains("webhook-signature"),
        "{shown}"
    );

    assert_eq!(
        site.succeed(&["delivery", "replay", &id]).await,
        format!("{id}: taken up again\n")
    );
    let answered = site.sandbox.wait_for(
        |state| {
            let thread = &state.note(comment)?.discussion_id;
            let mut notes = state.notes(issue);
            notes
                .any(|note| note.author != site.demo.rita && note.discussion_id == *thread)
                .then_some(())
        },
        PATIENCE,
    );
    answered.await.unwrap();
    assert_eq!(dead(0).await, id);
    assert_eq!(
        site.succeed(&["delivery", "replay", &id]).await,
        format!("{id}: nothing of it is dead\n")
    );
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let error = site.fail(&["delivery", "show", unknown]).await;
    assert!(
        error.contains(&format!("there is no delivery {unknown}")),
        "{error}"
    );
    let error = site.fail(&["delivery", "replay", unknown]).await;
    assert!(
        error.contains(&format!("there is no delivery {unknown}")),
        "{error}"
    );
    assert!(!site.told().contains(BOT_TOKEN));
    site.end().await;
}

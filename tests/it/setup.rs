//! The first set-up: the built program in an empty folder, and whoever opens the page that it prints.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use http::{HeaderMap, Method, StatusCode};
use liaison::egress::{Answer, Call};
use rustix::process::Signal;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use crate::{
    harness::{PATIENCE, headers},
    program::{BOT_TOKEN, Site, listens_at, output_of, program},
};

/// Starts the service from nothing; returns it with the address that it printed.
pub(crate) async fn from_nothing() -> (Site, Url) {
    let mut site = Site::undeclared(1).await;
    let listen = listens_at(&site.url).to_string();
    site.serve(&["--listen", &listen]).await;
    let begun = Instant::now();
    loop {
        let printed = site.printed();
        let address = printed
            .split_whitespace()
            .find(|word| word.contains("code="));
        if let Some(address) = address {
            let address = address.parse().unwrap();
            return (site, address);
        }
        assert!(begun.elapsed() < PATIENCE, "no address in {printed}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn code(address: &Url) -> String {
    address.query_pairs().next().unwrap().1.into_owned()
}

async fn get(site: &Site, url: Url) -> Answer {
    site.call(Call::new(Method::GET, url)).await.unwrap()
}

fn text(answer: &Answer) -> String {
    // As one reads it.
    String::from_utf8(answer.body.to_vec())
        .unwrap()
        .replace("&#39;", "'")
}

/// Sends a form as a page of the service does.
async fn send(site: &Site, path: &str, fields: &[(&str, &str)]) -> Answer {
    send_as(site, path, fields, "same-origin").await
}

async fn send_as(site: &Site, path: &str, fields: &[(&str, &str)], from: &str) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let headers: HeaderMap = headers(&[
        ("content-type", "application/x-www-form-urlencoded"),
        ("sec-fetch-site", from),
    ]);
    site.post(path, headers, &body).await
}

#[tokio::test]
async fn only_who_knows_the_code_sets_it_up_and_mistakes_are_said() {
    let (site, address) = from_nothing().await;
    let code = code(&address);
    let tracker = site.tracker_url.to_string();

    // Whoever does not know it is told where it is, whatever he asks for.
    let front = get(&site, site.at("/groups/acme/-/crm/contacts")).await;
    assert_eq!(front.headers["location"], "/-/setup");
    let asked = text(&get(&site, site.at("/-/setup")).await);
    assert!(
        asked.contains("it printed an address with a code"),
        "{asked}"
    );
    assert!(!asked.contains(&code));
    let wrong = get(&site, site.at("/-/setup?code=guessed")).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    for (path, fields) in [
        (
            "/-/setup/tracker",
            vec![("url", tracker.as_str()), ("token", BOT_TOKEN)],
        ),
        (
            "/-/setup/group",
            vec![("group", "acme"), ("username", "mona")],
        ),
        ("/-/setup/back", vec![]),
    ] {
        let answer = send(&site, path, &[&fields[..], &[("code", "guessed")]].concat()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(site.sandbox.calls().len(), 0, "nothing is called for them");
    let hook = site
        .post("/hooks/acme-gitlab", HeaderMap::new(), "{}")
        .await;
    assert_eq!(hook.status, StatusCode::NOT_FOUND);

    // A foreign page that knew it would be refused all the same.
    let connect = [
        ("code", code.as_str()),
        ("url", &tracker),
        ("token", BOT_TOKEN),
    ];
    let foreign = send_as(&site, "/-/setup/tracker", &connect, "cross-site").await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);

    // What is wrong with the address and the token is said beside them, and the token is not shown again.
    let own = site.url.to_string();
    let nobody = format!("http://{}", crate::program::free_address().await);
    for (url, token, said) in [
        (
            "",
            "x",
            "Address of GitLab must be one like https://gitlab.example.com",
        ),
        (
            "javascript:alert(1)",
            "x",
            "Address of GitLab must be one like",
        ),
        (&tracker, "  ", "Access token can't be blank"),
        (
            &tracker,
            "glpat-canary-wrong",
            "Access token is not accepted by GitLab",
        ),
        (&nobody, "glpat-canary-wrong", "could not be reached"),
        (&own, "glpat-canary-wrong", "Address of GitLab"),
    ] {
        let fields = [("code", code.as_str()), ("url", url), ("token", token)];
        let answer = send(&site, "/-/setup/tracker", &fields).await;
        let page = text(&answer);
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{url}: {page}"
        );
        assert!(page.contains(said), "{url} {token}: {page}");
        assert!(
            page.contains("Step 1 of 2") && !page.contains("canary"),
            "{page}"
        );
    }

    let connected = text(&send(&site, "/-/setup/tracker", &connect).await);
    assert!(
        connected.contains("Step 2 of 2") && connected.contains("Acme (acme)"),
        "{connected}"
    );
    assert!(!connected.contains(BOT_TOKEN));
    for (group, username, password, address, said) in [
        (
            "acme/support",
            "mona",
            "",
            "http://x",
            "Group must be chosen",
        ),
        ("acme", " ", "", "http://x", "Your username can't be blank"),
        (
            "acme",
            "nobody",
            "",
            "http://x",
            "Your username is not known to GitLab: nobody",
        ),
        (
            "acme",
            "<script>",
            "",
            "http://x",
            "not known to GitLab: &#60;script&#62;",
        ),
        (
            "acme",
            "liaison",
            "",
            "http://x",
            "Your username is that of the bot",
        ),
        (
            "acme",
            "dan",
            "",
            "http://x",
            "a Maintainer or Owner of acme",
        ),
        (
            "acme",
            "mona",
            "short",
            "http://x",
            "Password has at least 12 characters",
        ),
        (
            "acme",
            "mona",
            "",
            "ftp://x",
            "Address of Liaison must be one like",
        ),
    ] {
        let fields = [
            ("code", code.as_str()),
            ("group", group),
            ("username", username),
            ("password", password),
            ("public_url", address),
        ];
        let answer = send(&site, "/-/setup/group", &fields).await;
        let page = text(&answer);
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{said}: {page}"
        );
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(
        !site.path().join("config/liaison.toml").exists(),
        "nothing was saved"
    );

    // Another GitLab after all.
    let back = text(&send(&site, "/-/setup/back", &[("code", &code)]).await);
    assert!(
        back.contains("Step 1 of 2") && back.contains(&tracker),
        "{back}"
    );
    let told = site.told() + &site.printed();
    assert!(!told.contains("canary"), "{told}");
    site.end().await;
}

#[tokio::test]
async fn what_is_set_up_serves_at_once_and_after_the_next_start() {
    let (mut site, address) = from_nothing().await;
    let code = code(&address);
    let tracker = site.tracker_url.to_string();
    let own = site.url.to_string();
    let connect = [
        ("code", code.as_str()),
        ("url", &tracker),
        ("token", BOT_TOKEN),
    ];
    send(&site, "/-/setup/tracker", &connect).await;
    let fields = [
        ("code", code.as_str()),
        ("group", "acme"),
        ("username", "@Mona"),
        ("password", "correct horse battery"),
        ("public_url", &own),
    ];
    let done = text(&send(&site, "/-/setup/group", &fields).await);
    assert!(done.contains("config/liaison.toml"), "{done}");
    let link = done
        .split('"')
        .find(|part| part.contains("/users/sign_in/link"));
    let link: Url = link.unwrap().replace("&#38;", "&").parse().unwrap();

    // The service takes over the socket; the link leads to the first webhook, and the password works.
    let signs_in = text(&get(&site, link.clone()).await);
    assert!(signs_in.contains("/groups/acme/-/hooks/new"), "{signs_in}");
    let token = link.query_pairs().next().unwrap().1.into_owned();
    let fields = [
        ("token", token.as_str()),
        ("return_to", "/groups/acme/-/hooks/new"),
    ];
    let signed_in = send(&site, "/users/sign_in/link", &fields).await;
    assert_eq!(signed_in.headers["location"], "/groups/acme/-/hooks/new");
    let cookie = signed_in.headers["set-cookie"].to_str().unwrap();
    let mut call = Call::new(Method::GET, site.at("/groups/acme/-/hooks/new"));
    call.headers = headers(&[("cookie", cookie.split(';').next().unwrap())]);
    let form = text(&site.call(call).await.unwrap());
    assert!(form.contains("New webhook"), "{form}");
    let again = send(&site, "/users/sign_in/link", &fields).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED);
    let password = [("username", "mona"), ("password", "correct horse battery")];
    let signed_in = send(&site, "/users/sign_in", &password).await;
    assert_eq!(signed_in.status, StatusCode::SEE_OTHER);
    let over = get(&site, address.clone()).await;
    assert_eq!(over.headers["location"], "/", "the set-up is over");
    let over = send(&site, "/-/setup/group", &fields).await;
    assert_eq!(over.headers["location"], "/", "the set-up is over");

    for file in ["config/liaison.toml", "config/gitlab.token"] {
        let mode = fs::metadata(site.path().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let config = fs::read_to_string(site.path().join("config/liaison.toml")).unwrap();
    assert!(
        !config.contains(BOT_TOKEN) && config.contains(&own),
        "{config}"
    );
    let checked = site.succeed(&["check", "--connect"]).await;
    assert!(
        checked.contains("@liaison sees acme as Maintainer"),
        "{checked}"
    );

    site.stop(Signal::TERM).await;
    let listen = listens_at(&site.url).to_string();
    site.serve(&["--listen", &listen]).await;
    let signed_in = send(&site, "/users/sign_in", &password).await;
    assert_eq!(signed_in.status, StatusCode::SEE_OTHER);
    site.end().await;
}

#[tokio::test]
async fn without_a_place_for_a_file_it_says_so_and_a_stop_ends_it() {
    let (mut site, _) = from_nothing().await;
    assert_eq!(
        site.stop(Signal::TERM).await.code(),
        Some(0),
        "{}",
        site.told()
    );
    fs::remove_dir_all(site.path().join("config")).unwrap();
    // Even root cannot make a file below one.
    fs::write(site.path().join("config"), "").unwrap();
    let mut command = program(site.path(), &["serve", "--listen", "127.0.0.1:0"]);
    let key = format!("{}=", "A".repeat(43));
    command.env("LIAISON_SECRETS__KEY", key);
    let printed = output_of(&mut command, "").await;
    assert_eq!(printed.code, Some(1), "{printed:?}");
    assert!(
        printed.error.contains("nothing is set up yet"),
        "{}",
        printed.error
    );
    site.end().await;
}

//! The pages in a real browser: what people do on them, and that nobody is hindered.
//!
//! With `LIAISON_PICTURES=FOLDER` the pages are also photographed.

mod driver;
mod first;

use std::time::Duration;

use http::{Method, StatusCode};
use liaison::{
    domain::PersonId,
    egress::{Call, Egress, Limits},
    sandbox::Fault,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use crate::{
    demo::RunningDemo,
    harness::{PATIENCE, Setup, World, headers, run, run_with},
    openid::Provider,
    pages::introduce,
    program::reachable_folder,
    web::{person_of, sessions},
};
use driver::{Browser, DOWN, ENTER};

const CONTACTS: &str = "/groups/acme/-/crm/contacts";
const WIDE: (u32, u32) = (1200, 800);
const NARROW: (u32, u32) = (360, 800);

async fn sign_in(world: &World, browser: &Browser, user: u64) -> PersonId {
    let person = person_of(world, user).await;
    let token = sessions(world).link(person).await.unwrap();
    let path = format!("/users/sign_in/link?token={}", token.expose_secret());
    browser.open(&world.url.join(&path).unwrap()).await;
    browser.click("main button").await;
    browser.shows("Groups").await;
    person
}

async fn visit(world: &World, browser: &Browser, path: &str) {
    browser.open(&world.url.join(path).unwrap()).await;
}

#[tokio::test]
async fn a_customer_from_creation_to_an_issue_and_back() {
    run(async |world| {
        world
            .ask(
                world.demo.order,
                world.demo.rita,
                "/add_contacts ada@example.com",
            )
            .await;
        let browser = Browser::start().await;
        sign_in(world, &browser, world.demo.mona).await;

        // An organization, then a contact of it, chosen with the keyboard alone.
        visit(world, &browser, "/groups/acme/-/crm/organizations/new").await;
        browser.type_into("#name", "Byron Looms").await;
        browser.type_into("#name", ENTER).await;
        browser.shows("The organization was created.").await;
        visit(world, &browser, &format!("{CONTACTS}/new")).await;
        for (field, text) in [
            ("first_name", "Zoe"),
            ("last_name", "Winter"),
            ("email", "zoe@example.com"),
            ("organization", "byr"),
        ] {
            browser.type_into(&format!("#{field}"), text).await;
        }
        browser.shows("Byron Looms").await;
        browser
            .type_into("#organization", &format!("{DOWN}{ENTER}"))
            .await;
        assert_eq!(
            browser
                .run("return document.getElementById('organization').value")
                .await,
            "Byron Looms"
        );
        browser.click("form.form button.main").await;
        browser.shows("The contact was created.").await;

        // Search as one types.
        visit(world, &browser, CONTACTS).await;
        browser.shows("ada@example.com").await;
        browser.type_into("#search", "winter").await;
        browser.shows_no("ada@example.com").await;
        browser.shows("zoe@example.com").await;

        // Onto the issue, and off it again by undoing.
        let issue: i64 = sqlx::query_scalar("SELECT id FROM issues")
            .fetch_one(&world.pool)
            .await
            .unwrap();
        visit(world, &browser, &format!("/groups/acme/-/issues/{issue}")).await;
        browser.type_into("#contact", "zoe").await;
        browser.click("[role=option]").await;
        browser.click("form.form button.main").await;
        browser.shows("Contacts: 1 added.").await;
        assert_eq!(
            world.issue_contacts(world.demo.order).await,
            ["ada@example.com", "zoe@example.com"]
        );
        browser.click(".flash button").await;
        browser.shows("It was undone.").await;
        assert_eq!(
            world.issue_contacts(world.demo.order).await,
            ["ada@example.com"]
        );
    })
    .await;
}

#[tokio::test]
async fn two_become_one_and_two_again() {
    run(async |world| {
        let browser = Browser::start().await;
        sign_in(world, &browser, world.demo.mona).await;
        visit(world, &browser, CONTACTS).await;
        browser.click("tbody a").await;
        browser.shows("History").await;
        browser.click("a[href$='/merge']").await;
        browser.type_into("#with", "grace").await;
        browser.click("[role=option]").await;
        browser.click("form.form button.main").await;
        browser.shows("Keeps its page and history").await;
        browser.click("main button.main").await;
        browser.shows("The two contacts are one now.").await;
        visit(world, &browser, CONTACTS).await;
        browser.shows("Active 1").await;
        browser.click("tbody a").await;
        // It says that more than one change is taken back.
        browser.click(".history summary").await;
        browser.shows("changes are taken back").await;
        browser.click(".history details[open] button").await;
        browser.shows("It was undone.").await;
        visit(world, &browser, CONTACTS).await;
        browser.shows("Active 2").await;
    })
    .await;
}

#[tokio::test]
async fn a_file_is_checked_and_imported() {
    run(async |world| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("customers.csv");
        std::fs::write(
            &file,
            "First name,Last name,Email\nZoe,Winter,zoe@example.com\n",
        )
        .unwrap();
        let browser = Browser::start().await;
        sign_in(world, &browser, world.demo.mona).await;
        visit(world, &browser, "/groups/acme/-/crm/import?kind=contact").await;
        // The file is chosen once.
        browser.type_into("#file", file.to_str().unwrap()).await;
        browser.cut_off(true).await;
        browser.click("button[value=check]").await;
        browser.shows("No answer came.").await;
        browser.cut_off(false).await;
        for (button, said) in [
            ("check", "Checked, nothing saved. It would be: 1 created"),
            ("import", "Imported: 1 created"),
        ] {
            browser.click(&format!("button[value={button}]")).await;
            browser.shows(said).await;
        }
        browser.shows_no("No answer came.").await;
        // What is wrong with another one is said at the same place: by the page itself, or by the one that came instead.
        for (content, said) in [
            ("Shoe size\n44\n".to_owned(), "Nothing was imported: "),
            ("x".repeat(33 << 20), "That is too much at once"),
        ] {
            std::fs::write(&file, content).unwrap();
            browser.type_into("#file", file.to_str().unwrap()).await;
            browser.click("button[value=check]").await;
            browser.shows(said).await;
        }
        visit(world, &browser, CONTACTS).await;
        browser.shows("zoe@example.com").await;
    })
    .await;
}

/// Makes the webhook that a form asks for, installs it, and has the tracker send a test; returns its secret.
async fn install(browser: &Browser) -> Value {
    browser.click("form.form button.main").await;
    browser
        .shows("This is the only time the secret is shown.")
        .await;
    let secret = browser
        .run("return document.getElementById('secret').value")
        .await;
    browser.click("form.form button.main").await;
    browser.shows("is installed in the tracker").await;
    browser.click("button[formaction$='/test']").await;
    browser.shows("The tracker was asked to send a test").await;
    secret
}

#[tokio::test]
async fn the_first_webhook_from_nothing() {
    run(async |world| {
        let browser = Browser::start().await;
        sign_in(world, &browser, world.demo.mona).await;
        browser.click("main a[href$='/crm/contacts']").await;
        browser.click("nav a[href$='/hooks']").await;
        browser.click("a[href$='/hooks/new']").await;
        let secret = install(&browser).await;
        world
            .until("EXISTS (SELECT FROM deliveries WHERE state <> 'pending')")
            .await;
        // From the webhook's page to what arrived.
        browser.run("location.reload()").await;
        browser.click("tbody a").await;
        browser.shows("Comment").await;
        let page = browser
            .run("return document.documentElement.outerHTML")
            .await;
        assert!(!page.as_str().unwrap().contains(secret.as_str().unwrap()));
    })
    .await;
}

#[tokio::test]
async fn a_form_waits_for_whoever_signs_in_at_the_provider() {
    let (provider, serving) = Provider::start().await;
    run_with(provider.setup(), async |world| {
        provider.be(&world.demo.mona.to_string());
        let browser = Browser::start().await;
        sign_in(world, &browser, world.demo.mona).await;
        visit(world, &browser, &format!("{CONTACTS}/new")).await;
        browser.type_into("#first_name", "Zoe").await;
        browser.type_into("#last_name", "Winter").await;
        browser.type_into("#email", "zoe@example.com").await;
        sqlx::query("DELETE FROM sessions")
            .execute(&world.pool)
            .await
            .unwrap();
        browser.click("form.form button.main").await;
        browser.shows("what you typed is kept").await;
        browser
            .click("form[action^='/users/auth/openid_connect'] button")
            .await;
        // There, back, and into the form again.
        browser.shows("New contact").await;
        browser.click("form.form button.main").await;
        browser.shows("Zoe Winter").await;
    })
    .await;
    provider.stop();
    serving.await.unwrap();
}

#[tokio::test]
async fn what_died_is_replayed() {
    let setup = Setup {
        config: "[queue]\nretry_seconds = [0]\nattempts = 1\n",
        dead_is_fine: true,
        ..Setup::default()
    };
    run_with(setup, async |world| {
        let (project, iid) = world.sandbox.read(|state| {
            let issue = state.issue(world.demo.order).unwrap();
            (issue.project, issue.iid)
        });
        let path = format!("/api/v4/projects/{project}/issues/{iid}/discussions");
        let broken = Fault::status(StatusCode::INTERNAL_SERVER_ERROR, "broken");
        world.sandbox.fail(Method::POST, &path, 1, broken);
        let comment = world
            .sandbox
            .comment(world.demo.order, world.demo.rita, "/crm help")
            .unwrap();
        world
            .until("EXISTS (SELECT FROM effects WHERE state = 'dead')")
            .await;
        let browser = Browser::start().await;
        sign_in(world, &browser, world.demo.mona).await;
        visit(world, &browser, "/groups/acme/-/deliveries?state=failed").await;
        browser.shows("Failed in part").await;
        browser.click("tbody a").await;
        browser.click("button.main").await;
        browser.shows("It was taken up again.").await;
        world.answer(world.demo.order, comment).await;
    })
    .await;
}

#[tokio::test]
async fn an_observer_through_page_chat_and_many_at_once() {
    let folder = reachable_folder();
    let demo = RunningDemo::start(folder.path()).await;
    let browser = Browser::start().await;
    let open = async |base: &Url, path: &str| browser.open(&base.join(path).unwrap()).await;
    open(&demo.service, "/users/sign_in").await;
    browser
        .run("[...document.querySelectorAll('.people button')].find(one => one.textContent === 'mona').click()")
        .await;
    browser.shows("Groups").await;
    open(&demo.service, "/groups/acme/-/crm/items").await;
    browser.click("tbody a").await;
    browser.shows("dan").await;
    browser.type_into("#people", "rit").await;
    browser.click("[role=option]").await;
    browser.click("form[action$='/observers'] button").await;
    browser.shows("Observers: 1 added.").await;
    let item = browser.run("return location.pathname").await;
    let item = item.as_str().unwrap().to_owned();

    // In the messenger she is in the chat; when she leaves it, the page tells without a reload.
    let egress = Egress::new([&demo.messenger], Limits::default()).unwrap();
    let (mona, rita) = ("@mona:sandbox", "@rita:sandbox");
    let look = async || {
        let url = demo.messenger.join(&format!("/sandbox/state?as={mona}"));
        let call = Call::new(Method::GET, url.unwrap());
        let answer = egress.send(call).await.unwrap();
        serde_json::from_slice::<Value>(&answer.body).unwrap()
    };
    let deadline = Instant::now() + PATIENCE;
    let room = loop {
        let state = look().await;
        let members = state["room"]["members"].as_array().unwrap().clone();
        if members.iter().any(|member| member["id"] == rita) {
            break state["room"]["id"].clone();
        }
        assert!(Instant::now() < deadline, "{state:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let leave = demo.messenger.join("/sandbox/remove").unwrap();
    let mut call = Call::new(Method::POST, leave);
    call.headers = headers(&[("content-type", "application/json")]);
    call.body = json!({ "as": rita, "room": room, "who": rita })
        .to_string()
        .into();
    assert_eq!(egress.send(call).await.unwrap().body, "{}");
    browser.shows("Not in the chat").await;

    // All that match, at once, and back.
    open(&demo.service, "/groups/acme/-/crm/items").await;
    browser.click(".bulk-change summary").await;
    browser.click("input[name=scope][value=all]").await;
    browser.type_into("#bulk-people", "sam").await;
    browser.click(".bulk-change button.main").await;
    browser.shows("Nothing was changed yet.").await;
    browser.click("button[value=now]").await;
    browser.shows("Done.").await;
    open(&demo.service, &item).await;
    browser.shows("added sam as an observer").await;
}

#[tokio::test]
async fn a_guest_sees_nothing() {
    run(async |world| {
        let browser = Browser::start().await;
        sign_in(world, &browser, world.demo.gus).await;
        browser
            .shows("There is no group whose customers you may see.")
            .await;
        visit(world, &browser, CONTACTS).await;
        browser.shows("Page not found").await;
        assert!(!browser.text().await.contains("Acme"));
    })
    .await;
}

#[tokio::test]
async fn no_page_hinders_anybody() {
    run(async |world| {
        world
            .ask(
                world.demo.order,
                world.demo.rita,
                "/add_contacts ada@example.com",
            )
            .await;
        for (place, name) in [
            "Grace", "Edsger", "Barbara", "Donald", "Frances", "Niklaus", "Radia", "Tony",
        ]
        .iter()
        .enumerate()
        {
            world
                .contact(
                    name,
                    "Sample",
                    &format!("sample{place}@example.com"),
                    place % 5 != 4,
                )
                .await;
        }
        let issue: i64 = sqlx::query_scalar("SELECT id FROM issues")
            .fetch_one(&world.pool)
            .await
            .unwrap();
        let ada: i64 = sqlx::query_scalar("SELECT id FROM items WHERE email = 'ada@example.com'")
            .fetch_one(&world.pool)
            .await
            .unwrap();
        let browser = Browser::start().await;
        visit(world, &browser, "/users/sign_in").await;
        let mut found = Vec::new();
        look_at(&browser, "login", &mut found).await;
        introduce(world).await;
        sign_in(world, &browser, world.demo.mona).await;
        visit(world, &browser, "/groups/acme/-/crm/organizations/new").await;
        browser.type_into("#name", "Byron Looms").await;
        browser.type_into("#default_rate", "99.50").await;
        browser.click("form.form button.main").await;
        browser.shows("The organization was created.").await;
        look_at(&browser, "organization", &mut found).await;
        visit(world, &browser, "/groups/acme/-/crm/items/new").await;
        browser.type_into("#title", "Replacement chairs").await;
        browser.type_into("#stage", "Negotiation").await;
        browser.type_into("#responsible", "mona").await;
        browser.type_into("#observers", "dan, rita").await;
        browser.click("form.form button.main").await;
        browser.shows("The item was created.").await;
        let item = browser.run("return location.pathname").await;
        let item = item.as_str().unwrap().to_owned();
        let mut log = world.deliveries().await.into_iter();
        let delivery = log.find(|line| line.state == "done").unwrap().id;
        visit(world, &browser, "/groups/acme/-/hooks/new").await;
        browser.click("form.form button.main").await;
        browser.shows("This is the only time").await;
        look_at(&browser, "secret", &mut found).await;
        visit(world, &browser, "/groups/acme/-/crm/items").await;
        browser.click(".bulk-change summary").await;
        look_at(&browser, "several", &mut found).await;
        browser.click("tbody input").await;
        browser.click("#what option[value=responsible]").await;
        browser.click(".bulk-change button.main").await;
        browser.shows("Nothing was changed yet.").await;
        look_at(&browser, "would", &mut found).await;
        browser.click("button[value=now]").await;
        browser.shows("Done.").await;
        look_at(&browser, "job", &mut found).await;
        for (name, path) in [
            ("groups", "/".to_owned()),
            ("contacts", CONTACTS.to_owned()),
            ("empty-list", format!("{CONTACTS}?search=nobody")),
            ("contact", format!("{CONTACTS}/{ada}")),
            ("contact-form", format!("{CONTACTS}/{ada}/edit")),
            ("merge", format!("{CONTACTS}/{ada}/merge")),
            (
                "merge-sides",
                format!("{CONTACTS}/{ada}/merge?with=grace@example.com"),
            ),
            (
                "organizations",
                "/groups/acme/-/crm/organizations".to_owned(),
            ),
            (
                "organization-form",
                "/groups/acme/-/crm/organizations/new".to_owned(),
            ),
            (
                "import",
                "/groups/acme/-/crm/import?kind=contact".to_owned(),
            ),
            ("items", "/groups/acme/-/crm/items".to_owned()),
            ("item", item.clone()),
            ("item-form", format!("{item}/edit")),
            ("new-item", "/groups/acme/-/crm/items/new".to_owned()),
            ("why", format!("{item}/why?person=dan")),
            ("webhooks", "/groups/acme/-/hooks".to_owned()),
            ("webhook", "/groups/acme/-/hooks/acme-gitlab".to_owned()),
            ("new-webhook", "/groups/acme/-/hooks/new".to_owned()),
            ("deliveries", "/groups/acme/-/deliveries".to_owned()),
            ("delivery", format!("/groups/acme/-/deliveries/{delivery}")),
            ("settings", "/groups/acme/-/settings".to_owned()),
            ("audit", "/groups/acme/-/audit".to_owned()),
            (
                "tokens",
                "/-/user_settings/personal_access_tokens".to_owned(),
            ),
            ("issues", "/groups/acme/-/issues".to_owned()),
            ("issue", format!("/groups/acme/-/issues/{issue}")),
            ("not-found", "/groups/nowhere/-/crm/contacts".to_owned()),
        ] {
            visit(world, &browser, &path).await;
            look_at(&browser, name, &mut found).await;
        }
        // A form that was refused.
        visit(world, &browser, &format!("{CONTACTS}/new")).await;
        browser.click("form.form button.main").await;
        browser.shows("First name can't be blank").await;
        look_at(&browser, "contact-errors", &mut found).await;
        assert_eq!(found, [""; 0]);
    })
    .await;
}

/// Looks at a page in light and dark, wide and narrow, for what hinders people.
async fn look_at(browser: &Browser, name: &str, found: &mut Vec<String>) {
    for (size, is_dark, suffix) in [
        (WIDE, false, ""),
        (WIDE, true, "-dark"),
        (NARROW, false, "-narrow"),
        (NARROW, true, "-narrow-dark"),
    ] {
        browser.look(size, is_dark).await;
        browser.picture(&format!("{name}{suffix}")).await;
        let against = browser.axe().await;
        found.extend(against.iter().map(|line| format!("{name}{suffix}: {line}")));
        let overflows = browser
            .run("return document.documentElement.scrollWidth > document.documentElement.clientWidth")
            .await;
        if overflows == true {
            found.push(format!("{name}{suffix}: wider than the window"));
        }
    }
    browser.look(WIDE, false).await;
}

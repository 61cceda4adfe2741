//! The pages by which a group is configured and its items are worked, as browsers meet them and as people do who mean harm.

use http::{Method, StatusCode};
use liaison::{
    sandbox::{Fault, Level, Place},
    store::person,
};
use serde_json::{Value, json};

use crate::{
    graphql::{ask, data, token_of},
    harness::{Setup, World, headers, run, run_with},
    web::{Visitor, hidden, person_of},
};

const BASE: &str = "/groups/acme/-";

/// Returns the value of a read-only field.
fn shown(page: &str, id: &str) -> String {
    let (_, rest) = page
        .split_once(&format!("id=\"{id}\" readonly value=\""))
        .unwrap_or_else(|| panic!("no {id}: {page}"));
    rest.split('"').next().unwrap().to_owned()
}

impl Visitor<'_> {
    /// Sends a form, and returns the page after it with what is said there.
    async fn done(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let seen = self.post(path, fields).await;
        let to = seen.location().to_owned();
        let flash = seen.cookie("liaison_flash").unwrap_or_default();
        let told = Visitor {
            world: self.world,
            cookie: format!("{}; liaison_flash={flash}", self.cookie),
        };
        told.page(&to).await
    }
}

/// Has everybody known here, by the username that he has in the tracker.
pub(crate) async fn introduce(world: &World) {
    for (user, username) in [
        (world.demo.gus, "gus"),
        (world.demo.rita, "rita"),
        (world.demo.dan, "dan"),
        (world.demo.mona, "mona"),
    ] {
        let person = person_of(world, user).await;
        sqlx::query("UPDATE people SET username = $2, name = $2 WHERE id = $1")
            .bind(person.0)
            .bind(username)
            .execute(&world.pool)
            .await
            .unwrap();
    }
}

/// Sends something to a webhook; returns the status.
async fn sent(world: &World, webhook: &str, token: &str) -> StatusCode {
    let sent = headers(&[
        ("content-type", "application/json"),
        ("x-gitlab-token", token),
    ]);
    let path = format!("/hooks/{webhook}");
    world.send(Method::POST, &path, sent, "{}").await.status
}

/// Waits until a webhook answers so: a change takes a moment to reach the receiver.
async fn answers(world: &World, webhook: &str, token: &str, wanted: u16) {
    for _ in 0..500 {
        if sent(world, webhook, token).await == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{webhook} never answers {wanted}");
}

#[tokio::test]
async fn a_webhook_is_made_installed_tried_given_a_new_secret_and_deleted() {
    run(async |world| {
        let mona = Visitor::of(world, world.demo.mona).await;
        let form = mona.page(&format!("{BASE}/hooks/new")).await;
        assert!(form.contains("<option value=\"gitlab\""), "{form}");
        let all = [
            ("connection", "gitlab"),
            ("name", "desk"),
            ("secret", "token"),
            ("comments", "1"),
            ("issues", "1"),
            ("members", "1"),
            ("tree", "1"),
        ];
        let made = mona.post(&format!("{BASE}/hooks/new"), &all).await;
        assert_eq!(made.status, StatusCode::OK);
        let secret = shown(&made.text, "secret");
        assert_eq!(shown(&made.text, "url"), world.url.join("hooks/desk").unwrap().as_str());
        answers(world, "desk", &secret, 202).await;
        assert_eq!(sent(world, "desk", "wrong").await, StatusCode::UNAUTHORIZED);

        // The same form again makes no second one, and nothing shows the secret any more.
        let again = mona.post(&format!("{BASE}/hooks/new"), &all).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(again.text.contains("there is a webhook named desk"), "{}", again.text);
        let item = format!("{BASE}/hooks/desk");
        for path in ["hooks", "hooks/desk", "audit", "deliveries"] {
            let page = mona.page(&format!("{BASE}/{path}")).await;
            assert!(!page.contains(&secret), "{path}");
        }
        assert!(mona.page(&format!("{BASE}/audit")).await.contains("made the webhook desk"));

        // Into the tracker, and a test from there.
        let none = mona.done(&format!("{item}/test"), &[("project", "")]).await;
        assert!(none.contains("install it first"), "{none}");
        let page = mona.done(&format!("{item}/install"), &[("project", "")]).await;
        assert!(page.contains("is installed in the tracker"), "{page}");
        let page = mona.done(&format!("{item}/install"), &[("project", "")]).await;
        assert!(page.contains("is up to date now"), "{page}");
        let page = mona
            .done(&format!("{item}/install"), &[("project", "other/secret")])
            .await;
        assert!(page.contains("is not in this group"), "{page}");
        mona.done(&format!("{item}/test"), &[("project", "")]).await;
        world
            .until("(SELECT count(*) FROM deliveries JOIN webhooks ON webhooks.id = webhook_id WHERE name = 'desk') >= 2")
            .await;
        // What the receiver counts reaches the page.
        world.until("(SELECT accepted >= 2 AND refused >= 1 FROM webhooks WHERE name = 'desk')").await;
        let page = mona.page(&item).await;
        assert!(page.contains("The sender is not proven"), "{page}");

        // Another secret, the old one for an hour; then none.
        let rotated = mona
            .post(&format!("{item}/rotate"), &[("overlap", "1")])
            .await;
        let newer = shown(&rotated.text, "secret");
        assert_ne!(newer, secret);
        answers(world, "desk", &newer, 200).await;
        assert_eq!(sent(world, "desk", &secret).await, StatusCode::OK);
        let rotated = mona
            .post(&format!("{item}/rotate"), &[("overlap", "0")])
            .await;
        let newest = shown(&rotated.text, "secret");
        answers(world, "desk", &secret, 401).await;
        answers(world, "desk", &newest, 200).await;

        mona.done(&format!("{item}/pause"), &[]).await;
        answers(world, "desk", &newest, 410).await;
        mona.done(&format!("{item}/resume"), &[]).await;
        answers(world, "desk", &newest, 200).await;
        let page = mona.done(&format!("{item}/delete"), &[]).await;
        assert!(page.contains("The webhook was deleted. Its log stays."), "{page}");
        answers(world, "desk", &newest, 410).await;
        assert_eq!(mona.get(&item).await.status, StatusCode::NOT_FOUND);
        let log = mona.page(&format!("{BASE}/deliveries?webhook=desk")).await;
        assert!(log.contains("desk") && log.contains("deliveries/"), "{log}");

        // What the file declares is changed there.
        let page = mona
            .done(&format!("{BASE}/hooks/acme-gitlab/rotate"), &[("overlap", "0")])
            .await;
        assert!(page.contains("declared in the configuration file"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn a_webhook_acts_on_the_events_that_are_chosen() {
    run(async |world| {
        let mona = Visitor::of(world, world.demo.mona).await;
        let item = format!("{BASE}/hooks/acme-gitlab");
        let none = mona.done(&format!("{item}/events"), &[]).await;
        assert!(none.contains("Events can&#39;t be empty"), "{none}");
        mona.done(&format!("{item}/events"), &[("issues", "1")])
            .await;
        let comment = world
            .sandbox
            .comment(
                world.demo.order,
                world.demo.rita,
                "/add_contacts ada@example.com",
            )
            .unwrap();
        let id = world.delivery_of(comment).await;
        let line = world.outcome_of(id).await;
        assert_eq!(line.state, "ignored");
        assert_eq!(
            line.outcome.as_deref(),
            Some("the webhook is not for events about comments")
        );
        let all = [
            ("comments", "1"),
            ("issues", "1"),
            ("members", "1"),
            ("tree", "1"),
        ];
        mona.done(&format!("{item}/events"), &all).await;
        let answer = world
            .ask(
                world.demo.order,
                world.demo.rita,
                "/add_contacts ada@example.com",
            )
            .await;
        assert!(answer.contains("added"), "{answer}");
    })
    .await;
}

const BETA: &str = r#"[[person]]
username = "bea"
email = "bea@example.com"
[[group]]
path = "beta"
name = "Beta"
members = [{ person = "bea", level = "owner" }]
"#;

async fn bea(world: &World) -> Visitor<'_> {
    let mut connection = world.pool.acquire().await.unwrap();
    let bea = person::find(&mut connection, "bea").await.unwrap().unwrap();
    drop(connection);
    Visitor::as_person(world, bea).await
}

#[tokio::test]
async fn who_may_not_configure_a_group_learns_nothing() {
    let setup = Setup {
        config: BETA,
        ..Setup::default()
    };
    run_with(setup, async |world| {
        world
            .ask(
                world.demo.order,
                world.demo.rita,
                "/add_contacts ada@example.com",
            )
            .await;
        let id = world.deliveries().await.pop().unwrap().id;
        let pages = [
            "hooks".to_owned(),
            "hooks/new".to_owned(),
            "hooks/acme-gitlab".to_owned(),
            "deliveries".to_owned(),
            format!("deliveries/{id}"),
            "settings".to_owned(),
            "audit".to_owned(),
        ];
        let reporter = Visitor::of(world, world.demo.rita).await;
        let guest = Visitor::of(world, world.demo.gus).await;
        let stranger = bea(world).await;
        for page in &pages {
            let path = format!("{BASE}/{page}");
            assert_eq!(
                reporter.get(&path).await.status,
                StatusCode::FORBIDDEN,
                "{path}"
            );
            for visitor in [&guest, &stranger] {
                let seen = visitor.get(&path).await;
                assert_eq!(seen.status, StatusCode::NOT_FOUND, "{path}");
                assert!(!seen.text.contains("Acme"), "{path}");
            }
        }
        // Through his own group neither.
        for page in ["hooks/acme-gitlab".to_owned(), format!("deliveries/{id}")] {
            let path = format!("/groups/beta/-/{page}");
            assert_eq!(
                stranger.get(&path).await.status,
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
        for (path, fields) in [
            (format!("/groups/beta/-/deliveries/{id}/replay"), &[][..]),
            ("/groups/beta/-/hooks/acme-gitlab/pause".to_owned(), &[]),
            (
                "/groups/beta/-/hooks/acme-gitlab/rotate".to_owned(),
                &[("overlap", "0")],
            ),
        ] {
            let seen = stranger.post(&path, fields).await;
            assert_eq!(seen.status, StatusCode::NOT_FOUND, "{path}");
        }
        // A connection that another tenant uses is none for him.
        let form = stranger.page("/groups/beta/-/hooks/new").await;
        assert!(!form.contains("gitlab"), "{form}");
        let taken = [
            ("connection", "gitlab"),
            ("name", "mine"),
            ("comments", "1"),
        ];
        let seen = stranger.post("/groups/beta/-/hooks/new", &taken).await;
        assert_eq!(seen.status, StatusCode::UNPROCESSABLE_ENTITY);
        let settings = stranger.page("/groups/beta/-/settings").await;
        assert!(
            !settings.contains(world.config.connection[0].url.as_str()),
            "{settings}"
        );
    })
    .await;
}

#[tokio::test]
async fn what_others_wrote_is_text_in_the_log() {
    run(async |world| {
        let attack = "<script>alert(1)</script>\"'&";
        let text = format!("/add_contacts ada@example.com\n\n{attack}");
        world.ask(world.demo.order, world.demo.rita, &text).await;
        let id = world
            .deliveries()
            .await
            .into_iter()
            .find(|line| line.state == "done")
            .unwrap()
            .id;
        let mona = Visitor::of(world, world.demo.mona).await;
        let page = mona.page(&format!("{BASE}/deliveries/{id}")).await;
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(page.contains("alert(1)"), "{page}");
        // What it means, what followed, and no proof of the sender.
        assert!(page.contains("/add_contacts ada@example.com"), "{page}");
        assert!(page.contains("sent by @rita"), "{page}");
        assert!(page.contains("<strong>reply</strong>"), "{page}");
        assert!(!page.to_lowercase().contains("webhook-signature"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn what_died_is_taken_up_from_its_page() {
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
        let broken = Fault::Status(StatusCode::INTERNAL_SERVER_ERROR, headers(&[]), "".into());
        world.sandbox.fail(Method::POST, &path, 1, broken);
        let comment = world
            .sandbox
            .comment(
                world.demo.order,
                world.demo.rita,
                "/add_contacts ada@example.com",
            )
            .unwrap();
        let id = world.delivery_of(comment).await;
        world
            .until("EXISTS (SELECT FROM effects WHERE state = 'dead')")
            .await;
        let mona = Visitor::of(world, world.demo.mona).await;
        let list = mona.page(&format!("{BASE}/deliveries?state=failed")).await;
        assert!(
            list.contains("Failed in part") && list.contains(&id.to_string()),
            "{list}"
        );
        let what = format!("on acme/support/desk#{iid}, sent by @rita");
        assert!(list.contains(&what), "{list}");
        let item = format!("{BASE}/deliveries/{id}");
        let page = mona.page(&item).await;
        assert!(page.contains("given up") && page.contains("500"), "{page}");
        let page = mona.done(&format!("{item}/replay"), &[]).await;
        assert!(page.contains("It was taken up again."), "{page}");
        let answer = world.answer(world.demo.order, comment).await;
        assert!(answer.contains("added"), "{answer}");
        let page = mona.done(&format!("{item}/replay"), &[]).await;
        assert!(
            page.contains("Nothing of it is given up any more."),
            "{page}"
        );
    })
    .await;
}

/// Makes a deal; returns the path of its page.
async fn deal(visitor: &Visitor<'_>, title: &str, more: &[(&str, &str)]) -> String {
    let mut fields = vec![("kind", "deal"), ("title", title)];
    fields.extend(more);
    let made = visitor
        .post(&format!("{BASE}/crm/items/new"), &fields)
        .await;
    made.location().to_owned()
}

#[tokio::test]
async fn an_item_is_made_edited_archived_converted_and_brought_back() {
    run(async |world| {
        introduce(world).await;
        let dan = Visitor::of(world, world.demo.dan).await;
        let new = format!("{BASE}/crm/items/new");
        let wrong = [
            ("kind", "deal"),
            ("title", " "),
            ("amount", "much"),
            ("description", "kept as typed"),
            ("responsible", "nobody-here"),
        ];
        let refused = dan.post(&new, &wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        for sentence in [
            "Title can&#39;t be blank",
            "Amount is no number",
            "Responsible cannot be found",
            "kept as typed",
        ] {
            assert!(
                refused.text.contains(sentence),
                "{sentence}: {}",
                refused.text
            );
        }
        let lead = [
            ("kind", "lead"),
            ("title", "<b>Chairs</b>"),
            ("responsible", "dan"),
        ];
        let item = dan.post(&new, &lead).await.location().to_owned();
        let page = dan.page(&item).await;
        assert!(
            page.contains("&#60;b&#62;Chairs") && !page.contains("<b>Chairs"),
            "{page}"
        );

        // Two edit: the second is shown what the first one saved, and decides.
        let form = dan.page(&format!("{item}/edit")).await;
        let version = hidden(&form, "version");
        let first = [
            ("title", "Chairs"),
            ("stage", "New"),
            ("version", version.as_str()),
        ];
        assert_eq!(
            dan.post(&format!("{item}/edit"), &first).await.location(),
            item
        );
        let second = [
            ("title", "Tables"),
            ("stage", "Won"),
            ("version", version.as_str()),
        ];
        let seen = dan.post(&format!("{item}/edit"), &second).await;
        assert_eq!(seen.status, StatusCode::CONFLICT);
        assert!(
            seen.text.contains("value=\"Tables\"") && seen.text.contains("“Chairs”"),
            "{}",
            seen.text
        );

        let page = dan.done(&format!("{item}/archive"), &[]).await;
        assert!(page.contains("It is archived"), "{page}");
        dan.done(&format!("{item}/restore"), &[]).await;
        let page = dan
            .done(
                &format!("{item}/convert"),
                &[("amount", "1250.50"), ("currency", "eur")],
            )
            .await;
        assert!(
            page.contains("The lead is a deal now.") && page.contains("1250.50 EUR"),
            "{page}"
        );
        let operation = hidden(&page, "operation");
        let page = dan
            .done(
                &format!("{BASE}/crm/undo"),
                &[("operation", &operation), ("return_to", &item)],
            )
            .await;
        assert!(page.contains("It was undone."), "{page}");

        // A Developer deletes nothing; a Maintainer does, and takes it back.
        assert_eq!(
            dan.post(&format!("{item}/delete"), &[]).await.status,
            StatusCode::FORBIDDEN
        );
        let mona = Visitor::of(world, world.demo.mona).await;
        let list = mona.done(&format!("{item}/delete"), &[]).await;
        assert_eq!(mona.get(&item).await.status, StatusCode::NOT_FOUND);
        let operation = hidden(&list, "operation");
        mona.done(&format!("{BASE}/crm/undo"), &[("operation", &operation)])
            .await;
        mona.page(&item).await;
    })
    .await;
}

#[tokio::test]
async fn whoever_is_responsible_takes_back_what_he_did_about_observers() {
    run(async |world| {
        introduce(world).await;
        let dan = Visitor::of(world, world.demo.dan).await;
        let item = deal(&dan, "Chairs", &[("responsible", "gus")]).await;
        let gus = Visitor::of(world, world.demo.gus).await;
        let page = gus
            .done(&format!("{item}/observers"), &[("people", "rita")])
            .await;
        assert!(page.contains("Observers: 1 added."), "{page}");
        let operation = hidden(&page, "operation");
        let undone = gus
            .done(
                &format!("{BASE}/crm/undo"),
                &[("operation", &operation), ("return_to", &item)],
            )
            .await;
        assert!(undone.contains("It was undone."), "{undone}");
        assert_eq!(world.count("observers").await, 0);
        // What he may not take back he may not name either.
        let created = dan.page(&item).await;
        let operation = hidden(&created, "operation");
        let seen = gus
            .post(&format!("{BASE}/crm/undo"), &[("operation", &operation)])
            .await;
        assert_eq!(seen.status, StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn who_names_somebody_without_a_level_is_told() {
    run(async |world| {
        introduce(world).await;
        let stranger = person_of(world, world.demo.stranger).await;
        sqlx::query("UPDATE people SET username = 'sam' WHERE id = $1")
            .bind(stranger.0)
            .execute(&world.pool)
            .await
            .unwrap();
        let dan = Visitor::of(world, world.demo.dan).await;
        let item = deal(&dan, "Chairs", &[]).await;
        for (path, field) in [("observers", "people"), ("responsible", "person")] {
            for (named, is_stranger) in [("gus", false), ("sam", true)] {
                let page = dan.done(&format!("{item}/{path}"), &[(field, named)]).await;
                let is_told = page.contains("Not all of them can see it");
                assert_eq!(is_told, is_stranger, "{path} {named}: {page}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_observer_sees_his_item_and_nothing_else() {
    run(async |world| {
        introduce(world).await;
        let dan = Visitor::of(world, world.demo.dan).await;
        let item = deal(&dan, "Chairs", &[]).await;
        let other = deal(&dan, "Tables", &[]).await;
        let gus = Visitor::of(world, world.demo.gus).await;
        assert_eq!(gus.get(&item).await.status, StatusCode::NOT_FOUND);
        let page = dan
            .done(&format!("{item}/observers"), &[("people", "gus, nobody")])
            .await;
        assert!(page.contains("Nobody here is called"), "{page}");
        let page = dan
            .done(&format!("{item}/observers"), &[("people", "@gus")])
            .await;
        assert!(page.contains("Observers: 1 added."), "{page}");
        assert!(page.contains("added gus as an observer"), "{page}");

        let seen = gus.page(&item).await;
        assert!(seen.contains("Chairs") && !seen.contains("/edit"), "{seen}");
        let home = gus.page("/").await;
        assert!(
            home.contains("Chairs") && home.contains(&item) && !home.contains("Tables"),
            "{home}"
        );
        for path in [
            other.as_str(),
            &format!("{BASE}/crm/items"),
            &format!("{BASE}/crm/contacts"),
        ] {
            assert_eq!(gus.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        let may_not = gus
            .post(&format!("{item}/observers"), &[("people", "rita")])
            .await;
        assert!(
            may_not.cookie("liaison_flash").is_some() || may_not.status == StatusCode::NOT_FOUND
        );
        let observers: i64 = world.count("observers").await;
        assert_eq!(observers, 1);
        let why = dan.page(&format!("{item}/why?person=gus")).await;
        assert!(
            why.contains("gus can see it") && why.contains("added by @dan"),
            "{why}"
        );

        let gus_id = person_of(world, world.demo.gus).await;
        let page = dan
            .done(
                &format!("{item}/observers/remove"),
                &[("person", &gus_id.to_string())],
            )
            .await;
        assert!(page.contains("Observers: 1 removed."), "{page}");
        assert_eq!(gus.get(&item).await.status, StatusCode::NOT_FOUND);
        let operation = hidden(&page, "operation");
        dan.done(
            &format!("{BASE}/crm/undo"),
            &[("operation", &operation), ("return_to", &item)],
        )
        .await;
        gus.page(&item).await;
    })
    .await;
}

#[tokio::test]
async fn whoever_is_a_member_no_more_is_closed_out() {
    run(async |world| {
        introduce(world).await;
        let dan = Visitor::of(world, world.demo.dan).await;
        let people = [("observers", "gus, rita"), ("responsible", "rita")];
        let item = deal(&dan, "Chairs", &people).await;
        Visitor::of(world, world.demo.gus).await.page(&item).await;
        // Another level is no reason.
        let acme = Place::Group(world.demo.acme);
        world.sandbox.set_member(acme, world.demo.gus, Level::Reporter);
        world
            .until("EXISTS (SELECT FROM deliveries WHERE state = 'done' AND outcome LIKE 'user_update%')")
            .await;
        assert_eq!(world.count("observers").await, 2);
        for user in [world.demo.gus, world.demo.rita] {
            world.sandbox.remove_member(acme, user);
        }
        world.until("NOT EXISTS (SELECT FROM observers)").await;
        world
            .until("EXISTS (SELECT FROM deliveries WHERE outcome LIKE '%taken off 1 lists, and responsible for 1 items%')")
            .await;
        let page = dan.page(&item).await;
        for told in ["removed gus from its observers", "took rita out of its chat"] {
            assert!(page.contains(told), "{told}: {page}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_button_does_is_not_done_after_the_session_has_ended() {
    run(async |world| {
        let mona = Visitor::of(world, world.demo.mona).await;
        let item = deal(&mona, "Chairs", &[]).await;
        let nobody = Visitor::nobody(world);
        let pressed = nobody.post(&format!("{item}/delete"), &[]).await;
        assert!(pressed.location().starts_with("/users/sign_in?"));
        let told = Visitor {
            world,
            cookie: format!("liaison_flash={}", pressed.cookie("liaison_flash").unwrap()),
        };
        let page = told.page("/users/sign_in").await;
        assert!(
            page.contains("nothing was changed. Sign in, and press it again."),
            "{page}"
        );
        // What was typed waits.
        let typed = nobody
            .post(&format!("{item}/edit"), &[("title", "Tables")])
            .await;
        assert!(
            typed.text.contains("what you typed is kept"),
            "{}",
            typed.text
        );
        mona.page(&item).await;
    })
    .await;
}

#[tokio::test]
async fn many_are_changed_at_once_and_back() {
    run(async |world| {
        introduce(world).await;
        let dan = Visitor::of(world, world.demo.dan).await;
        for place in 0..30 {
            deal(&dan, &format!("Deal {place}"), &[]).await;
        }
        let list = dan.page(&format!("{BASE}/crm/items")).await;
        assert_eq!(list.matches("name=\"item\"").count(), 25, "{list}");
        let bulk = format!("{BASE}/crm/bulk");
        let none = dan
            .post(
                &bulk,
                &[("scope", "ticked"), ("what", "add"), ("people", "rita")],
            )
            .await;
        assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(none.text.contains("No row is ticked"), "{}", none.text);
        let all = [
            ("scope", "all"),
            ("filter_active", "true"),
            ("what", "add"),
            ("people", "rita, gus"),
        ];
        let foreseen = dan.post(&bulk, &all).await;
        assert!(
            foreseen.text.contains("<dt>Meant</dt><dd>30</dd>"),
            "{}",
            foreseen.text
        );
        assert_eq!(world.count("observers").await, 0);
        let now = [&all[..], &[("do", "now")]].concat();
        let job = dan.post(&bulk, &now).await.location().to_owned();
        world.until("(SELECT count(*) FROM observers) = 60").await;
        world
            .until("EXISTS (SELECT FROM bulk_jobs WHERE state = 'done')")
            .await;
        let page = dan.page(&job).await;
        assert!(
            page.contains("30 of 30") && page.contains("Done."),
            "{page}"
        );
        let operation = hidden(&page, "operation");
        let page = dan
            .done(
                &format!("{BASE}/crm/undo"),
                &[("operation", &operation), ("return_to", &job)],
            )
            .await;
        assert!(page.contains("It was undone."), "{page}");
        assert_eq!(world.count("observers").await, 0);
        // A Reporter sees how far it is and starts none.
        let rita = Visitor::of(world, world.demo.rita).await;
        rita.page(&job).await;
        assert_eq!(rita.post(&bulk, &now).await.status, StatusCode::FORBIDDEN);
        let gus = Visitor::of(world, world.demo.gus).await;
        assert_eq!(gus.get(&job).await.status, StatusCode::NOT_FOUND);
    })
    .await;
}

/// Where API tokens are managed, on GitLab's path.
const TOKENS: &str = "/-/user_settings/personal_access_tokens";

#[tokio::test]
async fn a_token_is_shown_once_and_revoked_by_whose_it_is() {
    run(async |world| {
        introduce(world).await;
        let mona = Visitor::of(world, world.demo.mona).await;
        let refused = mona.post(TOKENS, &[("name", " "), ("days", "0")]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            refused.text.contains("Name can&#39;t be blank"),
            "{}",
            refused.text
        );
        let made = mona
            .post(TOKENS, &[("name", "laptop"), ("days", "30")])
            .await;
        let token = shown(&made.text, "token");
        let list = mona.page(TOKENS).await;
        assert!(list.contains("laptop") && !list.contains(&token), "{list}");
        let asks = async || {
            let sent = headers(&[
                ("content-type", "application/json"),
                ("private-token", &token),
            ]);
            let query = json!({ "query": "{ currentUser { username } }" }).to_string();
            let answer = world.send(Method::POST, "/api/graphql", sent, query).await;
            let said: Value = serde_json::from_slice(&answer.body).unwrap();
            said["data"]["currentUser"]["username"].clone()
        };
        assert_eq!(asks().await, "mona");
        let (_, rest) = list.split_once(&format!("{TOKENS}/")).unwrap();
        let id = rest.split('/').next().unwrap();
        let revoke = format!("{TOKENS}/{id}/revoke");
        let rita = Visitor::of(world, world.demo.rita).await;
        assert_eq!(rita.post(&revoke, &[]).await.status, StatusCode::NOT_FOUND);
        assert_eq!(asks().await, "mona");
        mona.done(&revoke, &[]).await;
        assert_eq!(asks().await, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn settings_show_what_follows_and_what_the_file_says() {
    run(async |world| {
        introduce(world).await;
        let mona = Visitor::of(world, world.demo.mona).await;
        let settings = format!("{BASE}/settings");
        let page = mona.page(&settings).await;
        assert!(
            page.contains("The configuration file declares this group"),
            "{page}"
        );
        assert!(page.contains("told by gitlab"), "{page}");
        let refused = mona
            .post(&settings, &[("relations", "own"), ("do", "save")])
            .await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{}",
            refused.text
        );
        assert!(
            refused.text.contains("switched in the configuration file"),
            "{}",
            refused.text
        );
        let same = [("crm", "1"), ("relations", "own"), ("do", "save")];
        let page = mona.done(&settings, &same).await;
        assert!(page.contains("Nothing was to be changed."), "{page}");

        let page = mona
            .done(
                &format!("{settings}/types"),
                &[("name", "Project"), ("observers", "1")],
            )
            .await;
        assert!(
            page.contains("The type was added.") && page.contains("value=\"Project\""),
            "{page}"
        );
        let page = mona
            .done(&format!("{settings}/types"), &[("name", "project")])
            .await;
        assert!(page.contains("Name has already been taken"), "{page}");
        let id: i64 = sqlx::query_scalar("SELECT id FROM item_types")
            .fetch_one(&world.pool)
            .await
            .unwrap();
        let renamed = [("name", "Trip")];
        mona.done(&format!("{settings}/types/{id}"), &renamed).await;
        let kind = format!("type-{id}");
        let item = [("kind", kind.as_str()), ("title", "To Graz")];
        let item = mona
            .post(&format!("{BASE}/crm/items/new"), &item)
            .await
            .location()
            .to_owned();
        assert!(
            mona.page(&item)
                .await
                .contains("Items of this kind have no observers.")
        );
        let page = mona
            .done(&format!("{settings}/types/{id}/delete"), &[])
            .await;
        assert!(page.contains("There are items of this type"), "{page}");

        let page = mona
            .done(&format!("{settings}/connections/gitlab/check"), &[])
            .await;
        assert!(
            page.contains("gitlab answers: the bot is @liaison there."),
            "{page}"
        );
        // The address in the tracker leads to the issue's page here.
        world
            .ask(
                world.demo.order,
                world.demo.rita,
                "/add_contacts ada@example.com",
            )
            .await;
        let (path, iid) = world.sandbox.read(|state| {
            let issue = state.issue(world.demo.order).unwrap();
            let project = state.project(issue.project).unwrap();
            (project.path_with_namespace.clone(), issue.iid)
        });
        let seen = mona.get(&format!("/{path}/-/issues/{iid}")).await;
        assert!(seen.location().contains("/-/issues/"));
        let gus = Visitor::of(world, world.demo.gus).await;
        let seen = gus.get(&format!("/{path}/-/issues/{iid}")).await;
        assert_eq!(seen.status, StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn the_api_does_with_webhooks_what_the_pages_do() {
    run(async |world| {
        let token = token_of(world, world.demo.mona).await;
        let create = r#"mutation { webhookCreate(input: { fullPath: "acme", connection: "gitlab", name: "desk", events: [COMMENTS] }) {
            webhook { id name state events managed } url secret errors } }"#;
        let made = data(world, &token, create, json!({})).await;
        let made = &made["webhookCreate"];
        assert_eq!(made["errors"], json!([]), "{made}");
        assert_eq!(made["webhook"]["events"], json!(["COMMENTS"]));
        let (id, secret) = (&made["webhook"]["id"], made["secret"].as_str().unwrap());
        answers(world, "desk", secret, 202).await;
        let again = data(world, &token, create, json!({})).await;
        assert_eq!(
            again["webhookCreate"]["errors"],
            json!(["Name is taken: there is a webhook named desk"])
        );
        let with_id = |mutation: &str| mutation.replace("ID", &id.to_string());
        let install = with_id("mutation { webhookInstall(input: { id: ID }) { hookId wasThere errors } }");
        let installed = data(world, &token, &install, json!({})).await;
        assert!(installed["webhookInstall"]["hookId"].is_string(), "{installed}");
        let test = with_id("mutation { webhookTest(input: { id: ID }) { done errors } }");
        assert_eq!(data(world, &token, &test, json!({})).await["webhookTest"]["done"], true);
        world
            .until("(SELECT count(*) FROM deliveries JOIN webhooks ON webhooks.id = webhook_id WHERE name = 'desk' AND deliveries.state <> 'pending') >= 2")
            .await;
        let log = r#"{ group(fullPath: "acme") {
            webhooks { name accepted refused }
            webhookDeliveries(webhook: "desk", first: 1) { nodes { id webhookName state } pageInfo { hasNextPage endCursor } } } }"#;
        let seen = data(world, &token, log, json!({})).await;
        let group = &seen["group"];
        assert_eq!(group["webhooks"].as_array().unwrap().len(), 2, "{seen}");
        assert_eq!(group["webhookDeliveries"]["pageInfo"]["hasNextPage"], true, "{seen}");
        let delivery = group["webhookDeliveries"]["nodes"][0]["id"].to_string();
        let one = r#"{ group(fullPath: "acme") { webhookDelivery(id: ID) { body headers calls { state } commands } } }"#;
        let one = one.replace("ID", &delivery);
        let seen = data(world, &token, &one, json!({})).await;
        assert!(seen["group"]["webhookDelivery"]["body"].as_str().unwrap().contains("note"), "{seen}");
        let replay = r#"mutation { webhookDeliveryReplay(input: { fullPath: "acme", id: ID }) { done errors } }"#;
        let replay = replay.replace("ID", &delivery);
        let seen = data(world, &token, &replay, json!({})).await;
        assert_eq!(seen["webhookDeliveryReplay"]["done"], false, "{seen}");

        // For a Reporter there are none, and he changes none.
        let rita = token_of(world, world.demo.rita).await;
        let seen = data(world, &rita, log, json!({})).await;
        assert_eq!(seen["group"]["webhooks"], json!([]), "{seen}");
        assert_eq!(seen["group"]["webhookDeliveries"]["nodes"], json!([]));
        let seen = data(world, &rita, &one, json!({})).await;
        assert_eq!(seen["group"]["webhookDelivery"], Value::Null);
        let rotate = with_id("mutation { webhookRotate(input: { id: ID, overlapHours: 0 }) { secret } }");
        for forbidden in [&rotate, &install, &test, &replay, create] {
            let refused = ask(world, &rita, forbidden, json!({})).await;
            assert_eq!(refused["errors"][0]["extensions"]["code"], "RESOURCE_NOT_AVAILABLE", "{refused}");
        }

        let rotated = data(world, &token, &rotate, json!({})).await;
        let newer = rotated["webhookRotate"]["secret"].as_str().unwrap();
        answers(world, "desk", newer, 200).await;
        answers(world, "desk", secret, 401).await;
        let delete = with_id("mutation { webhookUpdate(input: { id: ID, state: DELETED }) { webhook { id } errors } }");
        let deleted = data(world, &token, &delete, json!({})).await;
        assert_eq!(deleted["webhookUpdate"], json!({ "webhook": null, "errors": [] }));
        answers(world, "desk", newer, 410).await;
    })
    .await;
}

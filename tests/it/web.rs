//! The pages as browsers meet them, and as people do who mean harm. What needs a real browser is in `browser`.

use std::sync::Arc;

use chrono::TimeDelta;
use http::{HeaderMap, Method, StatusCode, header};
use liaison::{
    auth::{Sessions, hash_password},
    domain::{Clock, PersonId, SystemClock},
    egress::Answer,
    store::login,
};
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use url::form_urlencoded;

use crate::{
    graphql::token_of,
    harness::{PATIENCE, World, headers, run},
};

const CONTACTS: &str = "/groups/acme/-/crm/contacts";
const PASSWORD: &str = "correct horse battery";

/// A browser with somebody's session, or nobody's.
pub(crate) struct Visitor<'a> {
    pub(crate) world: &'a World,
    pub(crate) cookie: String,
}

/// An answer as text.
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Seen {
    fn of(answer: &Answer) -> Self {
        Self {
            status: answer.status,
            headers: answer.headers.clone(),
            text: String::from_utf8(answer.body.to_vec()).unwrap(),
        }
    }

    pub(crate) fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        self.headers[header::LOCATION].to_str().unwrap()
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let all = self.headers.get_all(header::SET_COOKIE).iter();
        let mut found = all.filter_map(|value| {
            value
                .to_str()
                .unwrap()
                .strip_prefix(name)?
                .strip_prefix('=')
        });
        found
            .next()
            .map(|rest| rest.split(';').next().unwrap().to_owned())
    }
}

pub(crate) fn sessions(world: &World) -> Sessions {
    Sessions {
        pool: world.pool.clone(),
        clock: Arc::new(SystemClock::default()),
        idle: TimeDelta::hours(1),
        longest: TimeDelta::days(1),
    }
}

pub(crate) async fn person_of(world: &World, user: u64) -> PersonId {
    let known = async || {
        sqlx::query_scalar("SELECT person_id FROM identities WHERE remote_id = $1")
            .bind(user.to_string())
            .fetch_optional(&world.pool)
            .await
            .unwrap()
    };
    if let Some(person) = known().await {
        return PersonId(person);
    }
    token_of(world, user).await;
    PersonId(known().await.unwrap())
}

impl<'a> Visitor<'a> {
    pub(crate) fn nobody(world: &'a World) -> Self {
        Self {
            world,
            cookie: String::new(),
        }
    }

    /// Somebody who is signed in.
    pub(crate) async fn of(world: &'a World, user: u64) -> Self {
        Self::as_person(world, person_of(world, user).await).await
    }

    pub(crate) async fn as_person(world: &'a World, person: PersonId) -> Self {
        let token = sessions(world).begin(person, None).await.unwrap();
        Self {
            world,
            cookie: format!("liaison_session={}", token.expose_secret()),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Seen {
        let sent = headers(&[("cookie", &self.cookie), ("accept", "text/html")]);
        Seen::of(&self.world.send(Method::GET, path, sent, "").await)
    }

    pub(crate) async fn page(&self, path: &str) -> String {
        let seen = self.get(path).await;
        assert_eq!(seen.status, StatusCode::OK, "{path}: {}", seen.text);
        seen.text
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Seen {
        self.post_from("same-origin", path, fields).await
    }

    async fn post_from(&self, site: &str, path: &str, fields: &[(&str, &str)]) -> Seen {
        let sent = headers(&[
            ("cookie", &self.cookie),
            ("accept", "text/html"),
            ("sec-fetch-site", site),
            ("content-type", "application/x-www-form-urlencoded"),
        ]);
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        Seen::of(
            &self
                .world
                .send(Method::POST, path, sent, body.finish())
                .await,
        )
    }
}

async fn item_id(world: &World, email: &str) -> i64 {
    sqlx::query_scalar("SELECT id FROM items WHERE lower(email) = lower($1)")
        .bind(email)
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

async fn scalar(world: &World, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

/// Returns the value of a hidden field.
pub(crate) fn hidden(page: &str, name: &str) -> String {
    let at = format!("name=\"{name}\" value=\"");
    let (_, rest) = page
        .split_once(&at)
        .unwrap_or_else(|| panic!("no {name}: {page}"));
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_contact_is_created_edited_deleted_and_brought_back() {
    run(async |world| {
        let mona = Visitor::of(world, world.demo.mona).await;
        let zoe = [
            ("first_name", "Zoe"),
            ("last_name", "Winter"),
            ("email", "zoe@example.com"),
        ];
        let created = mona.post(&format!("{CONTACTS}/new"), &zoe).await;
        let path = created.location().to_owned();
        let flash = created.cookie("liaison_flash").unwrap();
        let told = Visitor {
            world,
            cookie: format!("{}; liaison_flash={flash}", mona.cookie),
        };
        let page = told.page(&path).await;
        assert!(page.contains("The contact was created."), "{page}");
        assert!(
            page.contains("created it") && page.contains("zoe@example.com"),
            "{page}"
        );

        // The same again is one contact, and says so beside the field.
        let again = mona.post(&format!("{CONTACTS}/new"), &zoe).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            again
                .text
                .contains("id=\"email-error\">Email has already been taken"),
            "{}",
            again.text
        );
        assert_eq!(
            scalar(
                world,
                "SELECT count(*) FROM items WHERE email = 'zoe@example.com'"
            )
            .await,
            1
        );

        let deleted = mona.post(&format!("{path}/delete"), &[]).await;
        assert_eq!(deleted.location(), CONTACTS);
        assert_eq!(mona.get(&path).await.status, StatusCode::NOT_FOUND);
        let flash = deleted.cookie("liaison_flash").unwrap();
        let told = Visitor {
            world,
            cookie: format!("{}; liaison_flash={flash}", mona.cookie),
        };
        let list = told.page(CONTACTS).await;
        let operation = hidden(&list, "operation");
        let undone = mona
            .post("/groups/acme/-/crm/undo", &[("operation", &operation)])
            .await;
        assert_eq!(undone.location(), CONTACTS);
        assert!(mona.page(&path).await.contains("Winter"));
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost() {
    run(async |world| {
        let dan = Visitor::of(world, world.demo.dan).await;
        let long = "x".repeat(400_000);
        let form = [
            ("first_name", ""),
            ("last_name", "Winter"),
            ("email", ""),
            ("organization", "Nobody & Co"),
            ("description", &long),
        ];
        let refused = dan.post(&format!("{CONTACTS}/new"), &form).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        for said in [
            "id=\"first_name-error\">First name can&#39;t be blank",
            "id=\"email-error\">Email can&#39;t be blank",
            "id=\"organization-error\">Organization does not exist",
            "id=\"description-error\">Description is too long (maximum is 1024 characters)",
            "value=\"Winter\"",
            "value=\"Nobody &#38; Co\"",
            &long,
        ] {
            assert!(refused.text.contains(said), "{said:.80}");
        }
        // More than a form may hold is refused as a whole.
        let endless = "x".repeat(2 << 20);
        let refused = dan
            .post(&format!("{CONTACTS}/new"), &[("description", &endless)])
            .await;
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    })
    .await;
}

#[tokio::test]
async fn whoever_saves_second_sees_what_the_first_one_saved() {
    run(async |world| {
        let (dan, mona) = (
            Visitor::of(world, world.demo.dan).await,
            Visitor::of(world, world.demo.mona).await,
        );
        let edit = format!(
            "{CONTACTS}/{}/edit",
            item_id(world, "ada@example.com").await
        );
        let version = hidden(&dan.page(&edit).await, "version");
        let ada = |phone: &'static str, version| {
            vec![
                ("first_name", "Ada"),
                ("last_name", "Byron"),
                ("email", "ada@example.com"),
                ("phone", phone),
                ("version", version),
            ]
        };
        mona.post(&edit, &ada("111", &version)).await.location();
        let second = dan.post(&edit, &ada("222", &version)).await;
        assert_eq!(second.status, StatusCode::CONFLICT);
        assert!(
            second.text.contains("value=\"222\"") && second.text.contains("Now there: “111”"),
            "{}",
            second.text
        );
        assert_eq!(
            scalar(world, "SELECT count(*) FROM items WHERE phone = '111'").await,
            1
        );
        let meant = hidden(&second.text, "version");
        dan.post(&edit, &ada("222", &meant)).await.location();
        assert_eq!(
            scalar(world, "SELECT count(*) FROM items WHERE phone = '222'").await,
            1
        );
    })
    .await;
}

#[tokio::test]
async fn whoever_may_not_see_customers_finds_nothing() {
    run(async |world| {
        let ada = item_id(world, "ada@example.com").await;
        let paths = [
            CONTACTS.to_owned(),
            format!("{CONTACTS}/{ada}"),
            format!("{CONTACTS}/{ada}/edit"),
            format!("{CONTACTS}/suggest?q=a"),
            "/groups/acme/-/crm/organizations".to_owned(),
            "/groups/acme/-/issues".to_owned(),
            format!("/groups/acme/-/issues?crm_contact_id={ada}"),
            "/groups/acme/-/crm/import".to_owned(),
            "/groups/acme/-/crm/export".to_owned(),
        ];
        for user in [world.demo.gus, world.demo.stranger] {
            let visitor = Visitor::of(world, user).await;
            let nothing = visitor.get("/groups/nowhere/-/crm/contacts").await;
            assert_eq!(nothing.status, StatusCode::NOT_FOUND);
            for path in &paths {
                let seen = visitor.get(path).await;
                assert_eq!(
                    (seen.status, &seen.text),
                    (StatusCode::NOT_FOUND, &nothing.text),
                    "{path}"
                );
            }
            for action in ["delete", "deactivate", "edit", "merge"] {
                let seen = visitor
                    .post(&format!("{CONTACTS}/{ada}/{action}"), &[])
                    .await;
                assert_eq!(
                    (seen.status, &seen.text),
                    (StatusCode::NOT_FOUND, &nothing.text),
                    "{action}"
                );
            }
            assert!(!visitor.page("/").await.contains("acme"));
        }
        // A Reporter sees and may not change; a Developer may change and not delete.
        let rita = Visitor::of(world, world.demo.rita).await;
        assert!(rita.page(CONTACTS).await.contains("ada@example.com"));
        assert!(!rita.page(CONTACTS).await.contains("New contact"));
        assert_eq!(
            rita.get(&format!("{CONTACTS}/new")).await.status,
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            rita.post(&format!("{CONTACTS}/{ada}/deactivate"), &[])
                .await
                .status,
            StatusCode::FORBIDDEN
        );
        let dan = Visitor::of(world, world.demo.dan).await;
        assert_eq!(
            dan.post(&format!("{CONTACTS}/{ada}/delete"), &[])
                .await
                .status,
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            dan.get("/groups/acme/-/crm/export").await.status,
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            scalar(world, "SELECT count(*) FROM items WHERE state = 'active'").await,
            2
        );
    })
    .await;
}

#[tokio::test]
async fn items_of_elsewhere_are_not_there() {
    run(async |world| {
        let mona = Visitor::of(world, world.demo.mona).await;
        // Another tenant, with a contact of its own.
        let foreign = scalar(
            world,
            "WITH fresh AS (SELECT nextval('group_ids') AS id),
                  other AS (INSERT INTO groups (root_id, id, path, name, contact_group_id, created_at) SELECT id, id, 'other', 'Other', id, now() FROM fresh RETURNING id)
             INSERT INTO items (root_id, group_id, kind, title, first_name, last_name, email, created_at, updated_at)
             SELECT id, id, 'contact', 'Eve Far', 'Eve', 'Far', 'eve@example.com', now(), now() FROM other RETURNING id",
        )
        .await;
        let ada = item_id(world, "ada@example.com").await;
        let organizations = "/groups/acme/-/crm/organizations";
        for path in [
            format!("{CONTACTS}/{foreign}"),
            format!("{CONTACTS}/{foreign}/edit"),
            format!("{CONTACTS}/999999999"),
            format!("{organizations}/{ada}"),
            format!("/groups/other/-/crm/contacts/{foreign}"),
            format!("/groups/acme/-/issues?crm_contact_id={foreign}"),
            "/groups/acme/-/issues/999999999".to_owned(),
        ] {
            assert_eq!(mona.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        for action in ["delete", "deactivate"] {
            let path = format!("{CONTACTS}/{foreign}/{action}");
            assert_eq!(mona.post(&path, &[]).await.status, StatusCode::NOT_FOUND);
            let path = format!("{organizations}/{ada}/{action}");
            assert_eq!(mona.post(&path, &[]).await.status, StatusCode::NOT_FOUND, "of the other kind");
        }
        let merge = [("survivor", ada.to_string()), ("other", foreign.to_string())];
        let merge: Vec<_> = merge.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(mona.post(&format!("{CONTACTS}/{ada}/merge"), &merge).await.status, StatusCode::NOT_FOUND);
        assert_eq!(item_id(world, "eve@example.com").await, foreign);
    })
    .await;
}

#[tokio::test]
async fn what_people_typed_is_text_wherever_it_is_shown() {
    run(async |world| {
        let mona = Visitor::of(world, world.demo.mona).await;
        let evil = "\"><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}";
        let organization = mona
            .post(
                "/groups/acme/-/crm/organizations/new",
                &[("name", evil), ("description", evil)],
            )
            .await;
        let organization = organization.location().to_owned();
        let form = [
            ("first_name", evil),
            ("last_name", evil),
            ("email", "evil&b='x'@example.com"),
            ("phone", "<b onclick=a()>1</b>"),
            ("description", evil),
            ("organization", evil),
        ];
        let contact = mona
            .post(&format!("{CONTACTS}/new"), &form)
            .await
            .location()
            .to_owned();
        mona.post(&format!("{contact}/deactivate"), &[])
            .await
            .location();
        sqlx::query("UPDATE people SET name = $1")
            .bind(evil)
            .execute(&world.pool)
            .await
            .unwrap();
        sqlx::query("UPDATE groups SET name = $1")
            .bind(evil)
            .execute(&world.pool)
            .await
            .unwrap();
        let search = format!("{CONTACTS}?state=all&search=%22%3E%3Cscript%3Ealert(1)%3C/script%3E");
        for path in [
            &contact,
            &format!("{contact}/edit"),
            &format!("{contact}/merge"),
            &organization,
            &format!("{organization}/edit"),
            &format!("{CONTACTS}?state=all"),
            &search,
            "/groups/acme/-/crm/organizations",
            "/groups/acme/-/crm/organizations/suggest?q=script",
            "/",
        ] {
            let page = mona.page(path).await;
            assert!(
                page.contains("&#60;script&#62;alert(1)"),
                "{path} shows it: {page}"
            );
            for tag in ["<script>", "<img", "<b onclick"] {
                assert!(!page.contains(tag), "{path}: {tag}");
            }
        }
        let login = Visitor::nobody(world);
        let page = login
            .get("/users/sign_in?return_to=/%22%3E%3Cscript%3E")
            .await
            .text;
        assert!(!page.contains("<script>"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn forged_requests_change_nothing_and_pages_are_locked_down() {
    run(async |world| {
        let mona = Visitor::of(world, world.demo.mona).await;
        let ada = item_id(world, "ada@example.com").await;
        let delete = format!("{CONTACTS}/{ada}/delete");
        for site in ["cross-site", "same-site", "none"] {
            assert_eq!(
                mona.post_from(site, &delete, &[]).await.status,
                StatusCode::FORBIDDEN,
                "{site}"
            );
        }
        // Without any word on where it comes from, and from a foreign origin.
        for origin in [None, Some("https://evil.example")] {
            let mut sent = headers(&[("cookie", &mona.cookie)]);
            if let Some(origin) = origin {
                sent.insert("origin", origin.parse().unwrap());
            }
            let answer = world.send(Method::POST, &delete, sent, "").await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin:?}");
        }
        // A link changes nothing.
        assert_eq!(
            mona.get(&delete).await.status,
            StatusCode::METHOD_NOT_ALLOWED
        );
        let signed_out = mona.post_from("cross-site", "/users/sign_out", &[]).await;
        assert_eq!(signed_out.status, StatusCode::FORBIDDEN);
        let page = mona.get(&format!("{CONTACTS}/{ada}")).await;
        assert_eq!(page.status, StatusCode::OK);
        let policy = page.headers[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
        assert!(!page.text.contains(" style=") && !page.text.contains(" onclick"));
    })
    .await;
}

#[tokio::test]
async fn a_password_signs_in_and_a_wrong_one_tells_nothing() {
    run(async |world| {
        let person = person_of(world, world.demo.mona).await;
        let username: String = sqlx::query_scalar("SELECT username FROM people WHERE id = $1")
            .bind(person.0)
            .fetch_one(&world.pool)
            .await
            .unwrap();
        let hash = hash_password(&PASSWORD.to_owned().into()).unwrap();
        let mut connection = world.pool.acquire().await.unwrap();
        login::set_password(&mut connection, person, &hash, SystemClock::default().now())
            .await
            .unwrap();
        drop(connection);
        let nobody = Visitor::nobody(world);
        assert_eq!(
            nobody.get(CONTACTS).await.location(),
            "/users/sign_in?return_to=%2Fgroups%2Facme%2F-%2Fcrm%2Fcontacts"
        );

        let wrong = |username: &str| {
            vec![
                ("username".to_owned(), username.to_owned()),
                ("password".to_owned(), "wrong".to_owned()),
            ]
        };
        let mut answers = Vec::new();
        for name in [username.as_str(), "nobody-of-that-name", "a\0b"] {
            let fields = wrong(name);
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let seen = nobody.post("/users/sign_in", &fields).await;
            assert_eq!(
                (seen.status, seen.cookie("liaison_session")),
                (StatusCode::UNAUTHORIZED, None)
            );
            answers.push(seen.text.replace(name, "NAME"));
        }
        assert!(answers.windows(2).take(1).all(|pair| pair[0] == pair[1]));

        let right = [
            ("username", username.as_str()),
            ("password", PASSWORD),
            ("return_to", "//evil.example/"),
        ];
        let signed_in = nobody.post("/users/sign_in", &right).await;
        assert_eq!(signed_in.location(), "/", "not led away");
        let token = signed_in.cookie("liaison_session").unwrap();
        let mona = Visitor {
            world,
            cookie: format!("liaison_session={token}"),
        };
        mona.page(CONTACTS).await;
        assert_eq!(
            scalar(
                world,
                "SELECT count(*) FROM sessions WHERE length(digest) = 32"
            )
            .await,
            1
        );

        // Signing in again ends what was before: a planted cookie is worth nothing.
        let again = mona.post("/users/sign_in", &right).await;
        let second = Visitor {
            world,
            cookie: format!(
                "liaison_session={}",
                again.cookie("liaison_session").unwrap()
            ),
        };
        assert_eq!(mona.get(CONTACTS).await.status, StatusCode::SEE_OTHER);
        second.page(CONTACTS).await;
        let third = Visitor::as_person(world, person).await;
        second
            .post("/users/sign_out/everywhere", &[])
            .await
            .location();
        for visitor in [&second, &third] {
            assert_eq!(visitor.get(CONTACTS).await.status, StatusCode::SEE_OTHER);
        }

        // Whoever guesses is stopped, with the right password too.
        for _ in 0..10 {
            nobody
                .post(
                    "/users/sign_in",
                    &[("username", &username), ("password", "guess")],
                )
                .await;
        }
        let stopped = nobody.post("/users/sign_in", &right).await;
        assert_eq!(stopped.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(stopped.cookie("liaison_session"), None);
    })
    .await;
}

#[tokio::test]
async fn a_link_signs_in_once() {
    run(async |world| {
        let person = person_of(world, world.demo.mona).await;
        let token = sessions(world).link(person).await.unwrap();
        let token = token.expose_secret();
        let nobody = Visitor::nobody(world);
        // Whatever opens links to look at them uses nothing up.
        for _ in 0..2 {
            assert_eq!(
                hidden(
                    &nobody
                        .page(&format!("/users/sign_in/link?token={token}"))
                        .await,
                    "token"
                ),
                token
            );
        }
        let seen = nobody
            .post("/users/sign_in/link", &[("token", token)])
            .await;
        let mona = Visitor {
            world,
            cookie: format!(
                "liaison_session={}",
                seen.cookie("liaison_session").unwrap()
            ),
        };
        mona.page(CONTACTS).await;
        let again = nobody
            .post("/users/sign_in/link", &[("token", token)])
            .await;
        assert_eq!(
            (again.status, again.cookie("liaison_session")),
            (StatusCode::UNAUTHORIZED, None)
        );
        // The clicks of the demo are for the demo.
        let click = nobody
            .post("/users/sign_in/demo", &[("person", &person.0.to_string())])
            .await;
        assert_eq!(click.status, StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn sessions_end_by_themselves_and_with_their_person() {
    run(async |world| {
        let mona = Visitor::of(world, world.demo.mona).await;
        mona.page(CONTACTS).await;
        for (change, back) in [
            (
                "UPDATE sessions SET seen_at = seen_at - interval '73 hours'",
                "UPDATE sessions SET seen_at = now()",
            ),
            (
                "UPDATE sessions SET expires_at = now() - interval '1 second'",
                "UPDATE sessions SET expires_at = now() + interval '1 day'",
            ),
            (
                "UPDATE people SET active = false",
                "UPDATE people SET active = true",
            ),
        ] {
            sqlx::query(change).execute(&world.pool).await.unwrap();
            assert_eq!(
                mona.get(CONTACTS).await.status,
                StatusCode::SEE_OTHER,
                "{change}"
            );
            sqlx::query(back).execute(&world.pool).await.unwrap();
            mona.page(CONTACTS).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_form_whose_session_has_ended_comes_back_as_it_was_typed() {
    run(async |world| {
        let person = person_of(world, world.demo.mona).await;
        let ended = Visitor {
            world,
            cookie: "liaison_session=ended".to_owned(),
        };
        let path = format!("{CONTACTS}/new");
        let form = [
            ("first_name", "Zoe & \"Zed\""),
            ("last_name", "Winter"),
            ("email", "zoe@example.com"),
        ];
        let asked = ended.post(&path, &form).await;
        assert_eq!(asked.status, StatusCode::UNAUTHORIZED);
        let unescape = |text: String| text.replace("&#38;", "&").replace("&#34;", "\"");
        let kept = unescape(hidden(&asked.text, "kept"));
        assert_eq!(hidden(&asked.text, "return_to"), path);

        let token = sessions(world).link(person).await.unwrap();
        let fields = [
            ("token", token.expose_secret()),
            ("return_to", &path),
            ("kept", &kept),
        ];
        let back = ended.post("/users/sign_in/link", &fields).await;
        assert_eq!(back.status, StatusCode::OK);
        let mona = Visitor {
            world,
            cookie: format!(
                "liaison_session={}",
                back.cookie("liaison_session").unwrap()
            ),
        };
        let names = ["first_name", "last_name", "email", "_restored"];
        let values = names.map(|name| unescape(hidden(&back.text, name)));
        let fields: Vec<_> = names
            .iter()
            .copied()
            .zip(values.iter().map(String::as_str))
            .collect();
        let restored = mona.post(&path, &fields).await;
        assert_eq!(restored.status, StatusCode::OK);
        assert!(
            restored.text.contains("value=\"Zoe &#38; &#34;Zed&#34;\""),
            "{}",
            restored.text
        );
        assert_eq!(
            scalar(
                world,
                "SELECT count(*) FROM items WHERE email = 'zoe@example.com'"
            )
            .await,
            0,
            "nothing was saved yet"
        );
    })
    .await;
}

#[tokio::test]
async fn lists_search_sort_and_page() {
    run(async |world| {
        for place in 0..60 {
            world
                .contact(
                    &format!("First{place:02}"),
                    "Last",
                    &format!("p{place:02}@example.com"),
                    true,
                )
                .await;
        }
        let rita = Visitor::of(world, world.demo.rita).await;
        let first = rita.page(&format!("{CONTACTS}?sort=email_desc")).await;
        assert!(
            first.contains("Active <span class=\"count\">62</span>"),
            "{first}"
        );
        assert!(first.contains("aria-sort=\"descending\"") && first.contains("p59@example.com"));
        let next = first
            .split("rel=\"next\" href=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let second = rita.page(&next.replace("&#38;", "&")).await;
        assert!(
            second.contains("p34@example.com") && !second.contains("p35@example.com"),
            "{second}"
        );
        assert!(second.contains("rel=\"prev\""));
        let found = rita.page(&format!("{CONTACTS}?search=first07")).await;
        assert!(found.contains("p07@example.com") && !found.contains("p08@example.com"));
        let none = rita.page(&format!("{CONTACTS}?search=zzzz")).await;
        assert!(none.contains("No contact matches the search."));
        // A place in another sort, or none at all, is no page of this one.
        assert_eq!(
            rita.get(&format!(
                "{}&sort=created_asc",
                next.replace("&#38;sort=email_desc", "")
                    .replace("sort=email_desc&#38;", "")
            ))
            .await
            .status,
            StatusCode::NOT_FOUND
        );
        rita.page(&format!("{CONTACTS}?after=nonsense&state=sideways"))
            .await;
    })
    .await;
}

#[tokio::test]
async fn two_contacts_become_one_field_by_field() {
    run(async |world| {
        let mona = Visitor::of(world, world.demo.mona).await;
        let (ada, grace) = (
            item_id(world, "ada@example.com").await,
            item_id(world, "grace@example.com").await,
        );
        let page = mona
            .page(&format!("{CONTACTS}/{ada}/merge?with=GRACE@example.com"))
            .await;
        assert!(
            page.contains(&format!("name=\"email\" value=\"{grace}\"")),
            "{page}"
        );
        let (a, g) = (ada.to_string(), grace.to_string());
        let merged = mona
            .post(
                &format!("{CONTACTS}/{ada}/merge"),
                &[
                    ("survivor", &a),
                    ("other", &g),
                    ("first_name", &a),
                    ("last_name", &a),
                    ("email", &g),
                ],
            )
            .await;
        assert_eq!(merged.location(), format!("{CONTACTS}/{ada}"));
        let contact = mona.page(&format!("{CONTACTS}/{ada}")).await;
        assert!(
            contact.contains("Ada Byron") && contact.contains("Grace@Example.com"),
            "{contact}"
        );
        assert_eq!(
            mona.get(&format!("{CONTACTS}/{grace}")).await.status,
            StatusCode::NOT_FOUND
        );
        let operation = hidden(&contact, "operation");
        mona.post("/groups/acme/-/crm/undo", &[("operation", &operation)])
            .await
            .location();
        assert_eq!(item_id(world, "ada@example.com").await, ada);
        assert_eq!(item_id(world, "grace@example.com").await, grace);
    })
    .await;
}

#[tokio::test]
async fn an_issue_gets_and_loses_contacts() {
    run(async |world| {
        world
            .ask(
                world.demo.order,
                world.demo.rita,
                "/add_contacts ada@example.com",
            )
            .await;
        let issue = scalar(world, "SELECT id FROM issues").await;
        let rita = Visitor::of(world, world.demo.rita).await;
        let path = format!("/groups/acme/-/issues/{issue}");
        let list = rita.page("/groups/acme/-/issues").await;
        assert!(list.contains("Ada Byron") && list.contains(&path), "{list}");
        let options = rita.page(&format!("{path}/suggest?q=gra")).await;
        assert!(
            options.contains("data-value=\"Grace@Example.com\""),
            "{options}"
        );
        rita.post(
            &format!("{path}/contacts"),
            &[("contact", "grace@example.com")],
        )
        .await
        .location();
        assert_eq!(
            world.issue_contacts(world.demo.order).await,
            ["ada@example.com", "Grace@Example.com"]
        );
        let grace = item_id(world, "grace@example.com").await.to_string();
        rita.post(&format!("{path}/contacts/remove"), &[("id", &grace)])
            .await
            .location();
        assert_eq!(
            world.issue_contacts(world.demo.order).await,
            ["ada@example.com"]
        );
        let preview = rita
            .post(
                &format!("{path}/preview"),
                &[("comment", "/remove_contacts ada@example.com")],
            )
            .await;
        assert!(
            preview.text.contains("One change would be made."),
            "{}",
            preview.text
        );
        assert_eq!(
            world.issue_contacts(world.demo.order).await,
            ["ada@example.com"]
        );
        // In a subgroup where it is not, it does not exist; nor for a Guest.
        let gus = Visitor::of(world, world.demo.gus).await;
        assert_eq!(gus.get(&path).await.status, StatusCode::NOT_FOUND);
        assert_eq!(
            gus.post(
                &format!("{path}/contacts"),
                &[("contact", "otto@example.com")]
            )
            .await
            .status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            gus.post(&format!("{path}/preview"), &[("comment", "/contacts")])
                .await
                .status,
            StatusCode::NOT_FOUND
        );
    })
    .await;
}

#[tokio::test]
async fn a_file_is_waited_for_once_it_is_known_who_may_send_it() {
    run(async |world| {
        let gus = Visitor::of(world, world.demo.gus).await;
        let address = world.url.socket_addrs(|| None).unwrap()[0];
        for (path, cookie, expected) in [
            ("/groups/acme/-/crm/import", "", "HTTP/1.1 303"),
            ("/groups/acme/-/crm/import", &*gus.cookie, "HTTP/1.1 404"),
            ("/users/sign_in", "", "HTTP/1.1 400"),
        ] {
            // All is announced, and nothing of it sent.
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: same-origin\r\nCookie: {cookie}\r\n\
                 Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 33000000\r\n\r\n"
            );
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            let answered = timeout(PATIENCE, stream.read_exact(&mut answer)).await;
            answered.unwrap().unwrap();
            assert_eq!(std::str::from_utf8(&answer), Ok(expected), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn files_come_in_and_go_out() {
    run(async |world| {
        let mona = Visitor::of(world, world.demo.mona).await;
        let upload = async |act: &str| {
            let csv = "First name,Last name,Email\nZoe,Winter,zoe@example.com\nNo,Body,not an address\n";
            let body = format!(
                "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n{csv}\r\n--x\r\nContent-Disposition: form-data; name=\"do\"\r\n\r\n{act}\r\n--x--\r\n"
            );
            let sent = headers(&[
                ("cookie", &mona.cookie),
                ("sec-fetch-site", "same-origin"),
                ("content-type", "multipart/form-data; boundary=x"),
            ]);
            Seen::of(&world.send(Method::POST, "/groups/acme/-/crm/import?kind=contact", sent, body).await)
        };
        let checked = upload("check").await;
        assert!(checked.text.contains("1 created, 0 updated, 0 skipped, 1 failed"), "{}", checked.text);
        assert_eq!(scalar(world, "SELECT count(*) FROM items").await, 3);
        let imported = upload("import").await;
        assert!(imported.text.contains("Email is invalid"), "{}", imported.text);
        assert_eq!(scalar(world, "SELECT count(*) FROM items").await, 4);
        let file = mona.get("/groups/acme/-/crm/export?kind=contact").await;
        assert_eq!(file.headers[header::CONTENT_DISPOSITION], "attachment; filename=\"contacts.csv\"");
        assert!(file.text.contains("zoe@example.com"));
        let operation = hidden(&imported.text, "operation");
        mona.post("/groups/acme/-/crm/undo", &[("operation", &operation)]).await.location();
        assert_eq!(scalar(world, "SELECT count(*) FROM items").await, 3);
    })
    .await;
}

#[tokio::test]
async fn pages_are_light_and_their_files_are_kept() {
    run(async |world| {
        let rita = Visitor::of(world, world.demo.rita).await;
        let page = rita.page(CONTACTS).await;
        let mut weight = page.len();
        for part in page
            .split(['"'])
            .filter(|part| part.starts_with("/-/assets/"))
        {
            let file = rita.get(part).await;
            assert_eq!(file.status, StatusCode::OK, "{part}");
            assert!(
                file.headers[header::CACHE_CONTROL]
                    .to_str()
                    .unwrap()
                    .contains("immutable")
            );
            weight += file.text.len();
        }
        assert!(weight < 100_000, "{weight}");
        assert_eq!(
            rita.get("/-/assets/style-old.css").await.status,
            StatusCode::NOT_FOUND
        );
    })
    .await;
}

/// Reads from a stream until it has a text, or until it ends; returns what was read.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = String::new();
    let mut part = [0; 1024];
    while !read.contains(text) {
        let count = timeout(PATIENCE, stream.read(&mut part))
            .await
            .unwrap()
            .unwrap();
        if count == 0 {
            break;
        }
        read.push_str(std::str::from_utf8(&part[..count]).unwrap());
    }
    read
}

#[tokio::test]
async fn an_open_page_is_told_of_changes_as_long_as_its_reader_may_see_them() {
    run(async |world| {
        let rita = Visitor::of(world, world.demo.rita).await;
        let mona = Visitor::of(world, world.demo.mona).await;
        let ada = item_id(world, "ada@example.com").await;
        let mut stream = TcpStream::connect(world.config.server.listen)
            .await
            .unwrap();
        let asked = format!(
            "GET /groups/acme/-/live HTTP/1.1\r\nhost: x\r\ncookie: {}\r\n\r\n",
            rita.cookie
        );
        stream.write_all(asked.as_bytes()).await.unwrap();
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"),
            "{head}"
        );
        mona.post(&format!("{CONTACTS}/{ada}/deactivate"), &[])
            .await
            .location();
        let told = read_until(&mut stream, "event: change").await;
        assert!(
            told.contains("event: change") && !told.contains("Ada"),
            "{told}"
        );

        rita.post("/users/sign_out", &[]).await.location();
        mona.post(&format!("{CONTACTS}/{ada}/activate"), &[])
            .await
            .location();
        // The last chunk, and no word before it.
        let rest = read_until(&mut stream, "0\r\n\r\n").await;
        assert!(!rest.contains("event: change"), "{rest}");
    })
    .await;
}

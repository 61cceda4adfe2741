//! Signing in at an OpenID provider, which is played here.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::{Query, State},
    response::Redirect,
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{StatusCode, Uri};
use liaison::{
    crypto::digest,
    domain::{Clock, SystemClock},
    server,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    harness::{Setup, run_with, spawn},
    web::{Seen, Visitor, hidden, person_of},
};

const CONTACTS: &str = "/groups/acme/-/crm/contacts";
const CALLBACK: &str = "/users/auth/openid_connect/callback";

/// A provider at which somebody is signed in already: it sends browsers back at once.
#[derive(Clone)]
pub(crate) struct Provider {
    issuer: Url,
    /// Who signs in, and the nonce and the challenge of the sign-in under way.
    under_way: Arc<Mutex<[String; 3]>>,
    stop: CancellationToken,
}

impl Provider {
    /// Starts one; the task ends once it is stopped.
    pub(crate) async fn start() -> (Self, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/", listener.local_addr().unwrap());
        let provider = Self {
            issuer: issuer.parse().unwrap(),
            under_way: Arc::default(),
            stop: CancellationToken::new(),
        };
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/authorize", get(authorize))
            .route("/token", axum::routing::post(token))
            .with_state(provider.clone());
        let serving = server::serve(listener, routes, 16, provider.stop.clone());
        (provider, spawn(serving))
    }

    /// Returns the set-up of a world whose people sign in here.
    pub(crate) fn setup(&self) -> Setup {
        let issuer = &self.issuer;
        let config = format!(
            "[login.oidc]\nissuer = \"{issuer}\"\nclient_id = \"liaison\"\nclient_secret = \"s3cret\"\nconnection = \"gitlab\"\n"
        );
        Setup {
            config: config.leak(),
            ..Setup::default()
        }
    }

    /// Says who signs in.
    pub(crate) fn be(&self, subject: &str) {
        subject.clone_into(&mut self.under_way.lock().unwrap()[0]);
    }

    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Notes what a browser brings along.
    fn note(&self, asked: &Asked) {
        let mut under_way = self.under_way.lock().unwrap();
        asked.nonce.clone_into(&mut under_way[1]);
        asked.code_challenge.clone_into(&mut under_way[2]);
    }
}

/// What a browser brings along.
#[derive(Deserialize)]
struct Asked {
    nonce: String,
    code_challenge: String,
    code_challenge_method: String,
    redirect_uri: Url,
    state: String,
}

async fn authorize(State(provider): State<Provider>, Query(asked): Query<Asked>) -> Redirect {
    provider.note(&asked);
    let mut back = asked.redirect_uri;
    back.query_pairs_mut()
        .append_pair("code", "the-code")
        .append_pair("state", &asked.state);
    Redirect::to(back.as_str())
}

async fn configuration(State(provider): State<Provider>) -> Json<Value> {
    let at = |path: &str| provider.issuer.join(path).unwrap();
    Json(json!({
        "issuer": provider.issuer.as_str().trim_end_matches('/'),
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
    }))
}

async fn token(State(provider): State<Provider>, body: String) -> Result<Json<Value>, StatusCode> {
    let asked: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let [subject, nonce, challenge] = provider.under_way.lock().unwrap().clone();
    let field = |name: &str| {
        let found = asked.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let proven = URL_SAFE_NO_PAD.encode(digest(field("code_verifier").as_bytes()));
    let is_fine = proven == challenge
        && field("client_id") == "liaison"
        && field("client_secret") == "s3cret"
        && field("code") == "the-code"
        && field("redirect_uri").ends_with(CALLBACK);
    if !is_fine {
        return Err(StatusCode::BAD_REQUEST);
    }
    let now = SystemClock::default().now().timestamp();
    let claims = json!({
        "iss": provider.issuer.as_str().trim_end_matches('/'), "sub": subject, "aud": "liaison",
        "exp": now + 60, "iat": now, "nonce": nonce,
    });
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    Ok(Json(json!({ "id_token": format!("e30.{claims}.c2ln") })))
}

#[tokio::test]
async fn people_sign_in_with_the_account_that_they_have() {
    let (provider, serving) = Provider::start().await;
    run_with(provider.setup(), async |world| {
        person_of(world, world.demo.mona).await;
        let nobody = Visitor::nobody(world);
        let page = nobody.get("/users/sign_in").await;
        assert!(
            page.text.contains("/users/auth/openid_connect?return_to="),
            "{}",
            page.text
        );

        // What a browser has that was sent on to the provider, and the state.
        let follow = |begun: &Seen, there: &str, subject: &str| {
            let there: Url = there.parse().unwrap();
            assert_eq!(there.origin(), provider.issuer.origin());
            let asked: Uri = there.as_str().parse().unwrap();
            let Query(asked) = Query::<Asked>::try_from_uri(&asked).unwrap();
            assert_eq!(asked.code_challenge_method, "S256");
            provider.be(subject);
            provider.note(&asked);
            let cookie = begun.cookie("liaison_openid").unwrap();
            let browser = Visitor {
                world,
                cookie: format!("liaison_openid={cookie}"),
            };
            (browser, asked.state)
        };
        // Begins a sign-in as somebody of the provider.
        let begin = async |subject: &str| {
            let begun = nobody
                .get(&format!("/users/auth/openid_connect?return_to={CONTACTS}"))
                .await;
            follow(&begun, begun.location(), subject)
        };
        let mona = world.demo.mona.to_string();
        let (browser, state) = begin(&mona).await;
        let back = format!("{CALLBACK}?code=the-code&state={state}");

        // The same answer in another browser, a wrong state, a wrong code: nobody is signed in.
        for (visitor, path) in [
            (&nobody, &back),
            (&browser, &format!("{CALLBACK}?code=the-code&state=other")),
            (&browser, &format!("{CALLBACK}?code=another&state={state}")),
            (&browser, &CALLBACK.to_owned()),
        ] {
            let seen = visitor.get(path).await;
            assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(seen.cookie("liaison_session"), None);
        }
        let signed_in = browser.get(&back).await;
        assert_eq!(signed_in.location(), CONTACTS);
        let session = signed_in.cookie("liaison_session").unwrap();
        let browser = Visitor {
            world,
            cookie: format!("liaison_session={session}"),
        };
        assert!(browser.page(CONTACTS).await.contains("New contact"));

        // A form whose session had ended goes along, and comes back once, also where the first attempt fails.
        let new = format!("{CONTACTS}/new");
        let asked = nobody.post(&new, &[("first_name", "Zoe")]).await;
        assert!(
            asked
                .text
                .contains("<form method=\"post\" action=\"/users/auth/openid_connect?")
        );
        let fields = [
            ("return_to", new.as_str()),
            ("kept", &hidden(&asked.text, "kept")),
        ];
        let onward = nobody.post("/users/auth/openid_connect", &fields).await;
        assert_eq!(onward.status, StatusCode::OK);
        let refresh = onward.headers["refresh"].to_str().unwrap();
        let (browser, state) = follow(&onward, refresh.strip_prefix("0; url=").unwrap(), &mona);
        let wrong = browser
            .get(&format!("{CALLBACK}?code=another&state={state}"))
            .await;
        assert_eq!(hidden(&wrong.text, "kept"), "first_name=Zoe");
        let onward = nobody.post("/users/auth/openid_connect", &fields).await;
        let refresh = onward.headers["refresh"].to_str().unwrap();
        let (browser, state) = follow(&onward, refresh.strip_prefix("0; url=").unwrap(), &mona);
        let back = format!("{CALLBACK}?code=the-code&state={state}");
        let kept = browser.get(&back).await;
        assert!(kept.cookie("liaison_session").is_some());
        assert_eq!(hidden(&kept.text, "first_name"), "Zoe");
        assert!(kept.text.contains(&format!("action=\"{new}\"")));
        assert_eq!(
            browser.get(&back).await.location(),
            new,
            "a form comes back once"
        );

        // An account that is nobody's here, and the token of another sign-in.
        let (browser, state) = begin("4711").await;
        let back = format!("{CALLBACK}?code=the-code&state={state}");
        let unknown = browser.get(&back).await;
        assert!(
            unknown.text.contains("Nobody here has this account."),
            "{}",
            unknown.text
        );
        provider.be(&mona);
        provider.under_way.lock().unwrap()[1] = "old".to_owned();
        let replayed = browser.get(&back).await;
        assert_eq!(replayed.cookie("liaison_session"), None);
        assert!(replayed.text.contains("did not confirm who you are"));
    })
    .await;
    provider.stop();
    serving.await.unwrap();
}

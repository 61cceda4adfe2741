//! `liaison demo`: the whole product with nothing set up, beside a sandbox tracker and a sandbox messenger.

use std::{fmt::Write, net::SocketAddr, sync::Arc};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{
    clock, print, sealing_key,
    serve::{StopSignals, bind},
};
use crate::{
    app::{Database, Parts, Role, Service},
    config::{self, Config, Overrides},
    crm::{Asker, Crm, NewItem},
    crypto::{digest, random_token},
    domain::{Clock, ContactDraft, ItemForm, RecordForm, RecordKind, Via},
    sandbox::{Demo, Homeserver, HookOwner, NewHook, Sandbox, Setup},
    server,
    store::{group, item, person, token},
    telemetry,
};

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Where the service listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the sandbox tracker listens; without it the port after the service's, or any free one.
    #[arg(long, value_name = "ADDR")]
    tracker_listen: Option<SocketAddr>,
    /// Where the sandbox messenger listens; without it the second port after the service's, or any free one.
    #[arg(long, value_name = "ADDR")]
    messenger_listen: Option<SocketAddr>,
}

/// Customers of the demo: first name, last name, address, whether active.
const CONTACTS: [(&str, &str, &str, bool); 6] = [
    ("Ada", "Byron", "ada@example.com", true),
    ("Grace", "Murray", "grace@example.com", true),
    ("Linus", "Berg", "linus@example.org", true),
    ("Mary Ann", "Stone", "mary.ann@example.org", true),
    ("Noor", "Haddad", "noor@example.net", true),
    ("Otto", "Retired", "otto@example.net", false),
];

/// The deal of the demo, which has a chat.
const DEAL: &str = "Replacement chairs for Ada Byron";
/// The name of the sandbox messenger's server, which ends the ids of its users.
const SERVER: &str = "sandbox";

/// Connections to each server of the demo.
const MAX_CONNECTIONS: usize = 256;

/// Runs the demo until it is told to stop; its data goes with it.
pub(super) async fn demo(args: DemoArgs) -> anyhow::Result<()> {
    let listener = bind("--listen", args.listen).await?;
    let tracker_listener = beside(&args, 1, args.tracker_listen, "--tracker-listen").await?;
    let messenger_listener = beside(&args, 2, args.messenger_listen, "--messenger-listen").await?;
    let service_url: Url = format!("http://{}", listener.local_addr()?).parse()?;
    let tracker_url: Url = format!("http://{}", tracker_listener.local_addr()?).parse()?;
    let messenger_url: Url = format!("http://{}", messenger_listener.local_addr()?).parse()?;
    // From before there is something to clean up.
    let mut signals = StopSignals::listen()?;
    let folder = Folder::create()?;
    let bot_token = random_token("glpat-");
    let signing = format!(
        "whsec_{}",
        STANDARD.encode(digest(random_token("").expose_secret().as_bytes()))
    );
    let sandbox = Sandbox::new(tracker_url.clone());
    let seeded = sandbox
        .seed_demo(bot_token.expose_secret())
        .context("the sandbox tracker could not be filled")?;
    let chatting = Chatting::new(&service_url);
    let config = configure(
        &folder,
        (&service_url, &tracker_url, &messenger_url),
        [bot_token.expose_secret(), &signing],
        (&seeded, &chatting),
    )?;
    telemetry::init(&config.log.filter, telemetry::Format::Auto)?;

    print::line("Starting Postgres in a temporary folder …");
    let database = Database::serve(&config.database).await?;
    database.migrate().await?;
    let parts = Parts {
        pool: database.pool.clone(),
        key: Arc::new(sealing_key(&config)?),
        clock: clock(),
        listener,
        admin: None,
        roles: vec![Role::Receive, Role::Process, Role::Deliver, Role::Web],
        demo: true,
    };
    let service = Service::start(&config, parts).await?;
    sample_contacts(&database, &*clock()).await?;

    let mut hook = NewHook::to(service_url.join("/hooks/acme-gitlab")?);
    hook.signing_token = Some(signing);
    sandbox
        .create_hook(HookOwner::Group(seeded.acme), hook)
        .context("the sandbox tracker took no hook")?;
    let stop = CancellationToken::new();
    let tracker = TaskTracker::new();
    tracker.spawn(server::serve(
        tracker_listener,
        sandbox.router(),
        MAX_CONNECTIONS,
        stop.clone(),
    ));
    let messenger = chatting.start();
    tracker.spawn(server::serve(
        messenger_listener,
        messenger.router(),
        MAX_CONNECTIONS,
        stop.clone(),
    ));
    sample_deal(&database, &service.crm).await?;
    let api_token = api_token(&database, &*clock()).await?;
    greet(&tracker_url, &messenger_url, &service_url, &api_token);

    signals.wait().await;
    print::line("Stopping …");
    // The open event streams of pages end first, so that the tracker's server need not wait for them.
    sandbox.shutdown().await;
    messenger.shutdown().await;
    stop.cancel();
    tracker.close();
    tracker.wait().await;
    service.stop().await;
    database.close().await;
    drop(folder);
    Ok(())
}

fn greet(tracker: &Url, messenger: &Url, service: &Url, api_token: &SecretString) {
    let api_token = api_token.expose_secret();
    print::line(&format!(
        "
Liaison runs. Open the sandbox tracker:

    {tracker}

Choose an issue, choose who you are, and write a comment such as

    /add_contacts ada@example.com grace@example.com
    @liaison contacts
    /crm create_contact zoe@example.com Zoe Winter
    @liaison undo
    @liaison help

Liaison answers below your comment. Guests may not see customers; Reporters may add and remove them;
Developers may create them. Customers to try: ada@example.com, grace@example.com, linus@example.org,
mary.ann@example.org, noor@example.net, and otto@example.net, who is inactive.

Open the sandbox messenger, where the deal \"{DEAL}\" has its chat:

    {messenger}

Choose who you are, add somebody to the chat, and he observes the deal; leave it, and you observe on. Write
\"!crm observers\" or \"!crm add_observers @rita\": Liaison answers in a thread, and Rita joins.

The pages show customers, their issues and their history; sign in as anybody by a click:

    {service}groups/acme/-/crm/contacts

The API takes GitLab's queries, here as Mona, who is Maintainer:

    curl {service}api/graphql --header 'PRIVATE-TOKEN: {api_token}' --json \\
      '{{\"query\":\"{{ group(fullPath: \\\"acme\\\") {{ contacts {{ nodes {{ id firstName lastName email }} }} }} }}\"}}'

The service itself is at {service} (try {service}-/readiness). Ctrl-C ends all of it; nothing is kept."
    ));
}

/// Returns a token for the API that acts for Mona.
async fn api_token(database: &Database, clock: &dyn Clock) -> anyhow::Result<SecretString> {
    let mut tx = database.pool.begin().await?;
    let mona = person::find(&mut tx, "mona")
        .await?
        .context("Mona is declared")?;
    let secret = random_token("lia_");
    let hash = digest(secret.expose_secret().as_bytes());
    token::create(&mut tx, mona, "demo", &hash, (clock.now(), None)).await?;
    tx.commit().await?;
    Ok(secret)
}

/// The messenger's side of the demo before it runs.
struct Chatting(Setup);

impl Chatting {
    fn new(service: &Url) -> Self {
        let secret = || random_token("").expose_secret().to_owned();
        Self(Setup {
            name: SERVER.to_owned(),
            bot: "liaison".to_owned(),
            service_token: secret(),
            homeserver_token: secret(),
            admin_token: secret(),
            service: service.clone(),
            auto_accept: true,
        })
    }

    /// Runs the messenger, with the people of the tracker.
    fn start(self) -> Homeserver {
        let messenger = Homeserver::start(self.0);
        for (name, display) in PEOPLE {
            messenger.register(name, display, Some(&format!("{name}@acme.example")));
        }
        messenger
    }
}

/// People of the demo, in the tracker and in the messenger.
const PEOPLE: [(&str, &str); 5] = [
    ("gus", "Guest Gus"),
    ("rita", "Reporter Rita"),
    ("dan", "Developer Dan"),
    ("mona", "Maintainer Mona"),
    ("sam", "Stranger Sam"),
];

/// Declares the people with their accounts.
fn people(seeded: &Demo) -> String {
    let accounts = [
        seeded.gus,
        seeded.rita,
        seeded.dan,
        seeded.mona,
        seeded.stranger,
    ];
    let mut text = String::new();
    for ((name, _), account) in PEOPLE.into_iter().zip(accounts) {
        let _ = write!(
            text,
            r#"[[person]]
username = "{name}"
email = "{name}@acme.example"
identities = [
    {{ connection = "gitlab", id = "{account}", username = "{name}" }},
    {{ connection = "matrix", id = "@{name}:{SERVER}", username = "{name}" }},
]
"#
        );
    }
    text
}

/// Creates a deal with people and a chat.
async fn sample_deal(database: &Database, crm: &Crm) -> anyhow::Result<()> {
    let mut connection = database.pool.acquire().await?;
    let group = group::find(&mut connection, "acme")
        .await?
        .context("the group acme is declared")?;
    let mona = person::find(&mut connection, "mona").await?;
    let mona = mona.context("Mona is declared")?;
    let dan = person::find(&mut connection, "dan").await?;
    drop(connection);
    let asker = Asker {
        person: mona,
        via: Via::CommandLine,
    };
    let form = RecordForm {
        of: RecordKind::Deal,
        item_type: None,
        title: DEAL.to_owned(),
        stage: Some("Negotiation".to_owned()),
        amount: None,
        currency: None,
        description: None,
    };
    let new = NewItem {
        responsible: Some(mona),
        observers: dan.into_iter().collect(),
        ..NewItem::of(ItemForm::Record(form))
    };
    let deal = crm.create_item(asker, group.id, &new).await?;
    crm.create_chat(asker, deal).await?;
    Ok(())
}

/// Listens where it is asked to, else at a port beside the service's, or at any free one.
async fn beside(
    args: &DemoArgs,
    ports: u16,
    asked: Option<SocketAddr>,
    flag: &str,
) -> anyhow::Result<TcpListener> {
    if let Some(address) = asked {
        return bind(flag, address).await;
    }
    let mut next = args.listen;
    next.set_port(match args.listen.port() {
        0 => 0,
        port => port.checked_add(ports).unwrap_or(0),
    });
    match TcpListener::bind(next).await {
        Ok(listener) => Ok(listener),
        Err(_) => {
            next.set_port(0);
            bind(flag, next).await
        }
    }
}

/// The configuration of the demo, as a file would say it.
fn configure(
    folder: &Folder,
    (service, tracker, messenger): (&Url, &Url, &Url),
    [token, signing]: [&str; 2],
    (seeded, chatting): (&Demo, &Chatting),
) -> anyhow::Result<Config> {
    let path = folder.0.join("liaison.toml");
    let listen = service.socket_addrs(|| None)?;
    let listen = listen.first().context("the service has no address")?;
    let data_dir = toml::Value::from(folder.0.join("data").display().to_string());
    let key = toml::Value::from(folder.0.join("secret.key").display().to_string());
    let people = people(seeded);
    let Setup {
        service_token,
        homeserver_token,
        admin_token,
        ..
    } = &chatting.0;
    let text = format!(
        r#"[server]
listen = "{listen}"
public_url = "{service}"
[database]
data_dir = {data_dir}
[secrets]
key = {{ file = {key} }}
[log]
filter = "warn"
[[connection]]
name = "gitlab"
kind = "gitlab"
url = "{tracker}"
token = "{token}"
bot = "liaison"
[[connection]]
name = "matrix"
kind = "matrix"
url = "{messenger}"
token = "{service_token}"
admin_token = "{admin_token}"
members_invite = true
web_client = "{messenger}"
bot = "liaison"
{people}
[[group]]
path = "acme"
name = "Acme"
messenger = {{ connection = "matrix" }}
tracker = {{ connection = "gitlab", path = "acme" }}
[[group.webhook]]
name = "acme-gitlab"
connection = "gitlab"
signing_token = "{signing}"
[[group.webhook]]
name = "acme-matrix"
connection = "matrix"
secret = "{homeserver_token}"
"#
    );
    std::fs::write(&path, text)?;
    let overrides = Overrides {
        file: Some(path),
        ..Overrides::default()
    };
    Ok(config::load(&overrides)?)
}

async fn sample_contacts(database: &Database, clock: &dyn Clock) -> anyhow::Result<()> {
    let mut tx = database.pool.begin().await?;
    let group = group::find(&mut tx, "acme")
        .await?
        .context("the group acme is declared")?;
    for (first, last, email, active) in CONTACTS {
        let draft = ContactDraft::new(first, last, email)?;
        item::insert_contact(&mut tx, (group.root, group.id), &draft, active, clock.now()).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// A temporary folder that only its owner may read; it goes when this is dropped, also where the demo does not start.
struct Folder(std::path::PathBuf);

impl Folder {
    fn create() -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let random = random_token("liaison-demo-")
            .expose_secret()
            .replace('_', "x");
        let name: String = random.chars().take(24).collect();
        let path = std::env::temp_dir().join(name);
        // Postgres may run as another user, who must be able to pass through.
        std::fs::DirBuilder::new().mode(0o711).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            print::error(&format!(
                "{} could not be removed: {error}",
                self.0.display()
            ));
        }
    }
}

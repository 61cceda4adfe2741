//! `liaison demo`: the whole product with nothing set up, beside a sandbox tracker.

use std::{net::SocketAddr, sync::Arc};

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
    crypto::{digest, random_token},
    domain::{Clock, ContactDraft, RemoteUser},
    sandbox::{Demo, HookOwner, NewHook, Sandbox},
    server,
    store::{connection, group, item, person, token},
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

/// Connections to either server of the demo.
const MAX_CONNECTIONS: usize = 256;

/// Runs the demo until it is told to stop; its data goes with it.
pub(super) async fn demo(args: DemoArgs) -> anyhow::Result<()> {
    let listener = bind("--listen", args.listen).await?;
    let tracker_listener = tracker_listener(&args).await?;
    let service_url: Url = format!("http://{}", listener.local_addr()?).parse()?;
    let tracker_url: Url = format!("http://{}", tracker_listener.local_addr()?).parse()?;
    // From before there is something to clean up.
    let mut signals = StopSignals::listen()?;
    let folder = Folder::create()?;
    let bot_token = random_token("glpat-");
    let signing = format!(
        "whsec_{}",
        STANDARD.encode(digest(random_token("").expose_secret().as_bytes()))
    );
    let config = configure(
        &folder,
        &service_url,
        &tracker_url,
        [bot_token.expose_secret(), &signing],
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

    let sandbox = Sandbox::new(tracker_url.clone());
    let seeded = sandbox
        .seed_demo(bot_token.expose_secret())
        .context("the sandbox tracker could not be filled")?;
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
    let api_token = people(&database, &seeded, &*clock()).await?;
    greet(&tracker_url, &service_url, &api_token);

    signals.wait().await;
    print::line("Stopping …");
    // The open event streams of pages end first, so that the tracker's server need not wait for them.
    sandbox.shutdown().await;
    stop.cancel();
    tracker.close();
    tracker.wait().await;
    service.stop().await;
    database.close().await;
    drop(folder);
    Ok(())
}

fn greet(tracker: &Url, service: &Url, api_token: &SecretString) {
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

The pages show customers, their issues and their history; sign in as anybody by a click:

    {service}groups/acme/-/crm/contacts

The API takes GitLab's queries, here as Mona, who is Maintainer:

    curl {service}api/graphql --header 'PRIVATE-TOKEN: {api_token}' --json \\
      '{{\"query\":\"{{ group(fullPath: \\\"acme\\\") {{ contacts {{ nodes {{ id firstName lastName email }} }} }} }}\"}}'

The service itself is at {service} (try {service}-/readiness). Ctrl-C ends both; nothing is kept."
    ));
}

/// Has the people of the sandbox be known, so that one may sign in as any of them; returns a token for the API that acts for Mona.
async fn people(
    database: &Database,
    seeded: &Demo,
    clock: &dyn Clock,
) -> anyhow::Result<SecretString> {
    let mut tx = database.pool.begin().await?;
    let connections = connection::list(&mut tx).await?;
    let gitlab = connections
        .first()
        .context("the connection gitlab is declared")?;
    for (account, username, name) in [
        (seeded.gus, "gus", "Guest Gus"),
        (seeded.rita, "rita", "Reporter Rita"),
        (seeded.dan, "dan", "Developer Dan"),
        (seeded.mona, "mona", "Maintainer Mona"),
        (seeded.stranger, "sam", "Stranger Sam"),
    ] {
        let user = RemoteUser {
            id: account.to_string(),
            username: username.to_owned(),
            name: name.to_owned(),
            is_bot: false,
        };
        person::meet(&mut tx, gitlab.id, &user, clock.now()).await?;
    }
    let mona = person::find(&mut tx, "mona")
        .await?
        .context("Mona was met a moment ago")?;
    let secret = random_token("lia_");
    let hash = digest(secret.expose_secret().as_bytes());
    token::create(&mut tx, mona, "demo", &hash, (clock.now(), None)).await?;
    tx.commit().await?;
    Ok(secret)
}

async fn tracker_listener(args: &DemoArgs) -> anyhow::Result<TcpListener> {
    if let Some(address) = args.tracker_listen {
        return bind("--tracker-listen", address).await;
    }
    let mut next = args.listen;
    next.set_port(match args.listen.port() {
        0 => 0,
        port => port.checked_add(1).unwrap_or(0),
    });
    match TcpListener::bind(next).await {
        Ok(listener) => Ok(listener),
        Err(_) => {
            next.set_port(0);
            bind("--tracker-listen", next).await
        }
    }
}

/// The configuration of the demo, as a file would say it.
fn configure(
    folder: &Folder,
    service: &Url,
    tracker: &Url,
    [token, signing]: [&str; 2],
) -> anyhow::Result<Config> {
    let path = folder.0.join("liaison.toml");
    let listen = service.socket_addrs(|| None)?;
    let listen = listen.first().context("the service has no address")?;
    let data_dir = toml::Value::from(folder.0.join("data").display().to_string());
    let key = toml::Value::from(folder.0.join("secret.key").display().to_string());
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
[[group]]
path = "acme"
name = "Acme"
tracker = {{ connection = "gitlab", path = "acme" }}
[[group.webhook]]
name = "acme-gitlab"
connection = "gitlab"
signing_token = "{signing}"
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

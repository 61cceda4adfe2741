//! A browser that a test drives: Debian's Chromium, spoken to in the few words of the WebDriver protocol that the tests need.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use liaison::egress::{Call, Egress, Limits};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::OnceCell, time::Instant};
use url::Url;

use crate::harness::PATIENCE;

/// The key under which the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The Enter key, in the protocol's alphabet.
pub(super) const ENTER: &str = "\u{e007}";
/// The arrow down.
pub(super) const DOWN: &str = "\u{e015}";

static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();

/// Returns the folder with browser and tools, which are got where they are missing.
async fn folder() -> PathBuf {
    let get = async || {
        let said = Command::new("scripts/chromium")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(said.status.success(), "scripts/chromium failed");
        PathBuf::from(String::from_utf8(said.stdout).unwrap().trim())
    };
    FOLDER.get_or_init(get).await.clone()
}

/// A window of a browser with a profile of its own.
pub(super) struct Browser {
    driver: Child,
    egress: Egress,
    session: Url,
    folder: PathBuf,
    profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A driver that is killed leaves its browser running.
        let _ = self.end_session();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// Has the driver end the browser, and waits for it; in the words of HTTP, since nothing can be awaited where a test fails.
    fn end_session(&self) -> std::io::Result<()> {
        let address = self.session.socket_addrs(|| None)?;
        let mut driver = TcpStream::connect(&address[..])?;
        driver.set_read_timeout(Some(Duration::from_secs(10)))?;
        let path = self.session.path().trim_end_matches('/');
        write!(
            driver,
            "DELETE {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )?;
        // It answers when the browser has ended.
        driver.read_exact(&mut [0])
    }
}

/// Starts a driver; returns it with the port that it listens on, unless it ends.
fn drive(folder: &Path) -> Option<(Child, u16)> {
    let mut driver = Command::new(folder.join("chromedriver"))
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    if port.is_none() {
        driver.wait().unwrap();
    }
    Some((driver, port?))
}

impl Browser {
    pub(super) async fn start() -> Self {
        let folder = folder().await;
        // Of several that start at once, two may choose the same port: then one ends, and another chooses anew.
        let (driver, port) = std::iter::repeat_with(|| drive(&folder))
            .take(5)
            .find_map(|driven| driven)
            .unwrap();
        let base: Url = format!("http://127.0.0.1:{port}/").parse().unwrap();
        let limits = Limits {
            total: Duration::from_mins(1),
            response_bytes: 32 << 20,
            ..Limits::default()
        };
        let mut browser = Self {
            driver,
            egress: Egress::new([&base], limits).unwrap(),
            session: base,
            profile: tempfile::tempdir().unwrap(),
            folder,
        };
        browser.open_session().await;
        browser
    }

    async fn open_session(&mut self) {
        let data = format!("--user-data-dir={}", self.profile.path().display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &data,
        ];
        let options = json!({ "args": arguments, "binary": self.folder.join("chromium") });
        let wanted =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let base = self.session.clone();
        self.session = base.join("session").unwrap();
        let opened = self.ask(Method::POST, "", &wanted).await;
        let id = opened["sessionId"].as_str().unwrap();
        self.session = base.join(&format!("session/{id}/")).unwrap();
    }

    /// Sends a command; fails with what the driver says.
    async fn ask(&self, method: Method, command: &str, body: &Value) -> Value {
        self.try_ask(method, command, body)
            .await
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    async fn try_ask(&self, method: Method, command: &str, body: &Value) -> Result<Value, Value> {
        let mut call = Call::new(method.clone(), self.session.join(command).unwrap());
        if method == Method::POST {
            call.headers
                .insert("content-type", "application/json".parse().unwrap());
            call.body = body.to_string().into();
        }
        let answer = self.egress.send(call).await.unwrap();
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        if answer.status.is_success() {
            Ok(said["value"].clone())
        } else {
            Err(said["value"].clone())
        }
    }

    /// Opens a page and waits until it is loaded.
    pub(super) async fn open(&self, url: &Url) {
        self.ask(Method::POST, "url", &json!({ "url": url.as_str() }))
            .await;
    }

    /// Waits until an element is there; returns its name in the protocol.
    async fn find(&self, css: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": css });
        let begun = Instant::now();
        loop {
            match self.try_ask(Method::POST, "element", &wanted).await {
                Ok(found) => return found[ELEMENT].as_str().unwrap().to_owned(),
                Err(error) => {
                    assert!(
                        begun.elapsed() < PATIENCE,
                        "{css}: {error}\n{}",
                        self.text().await
                    );
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    /// Waits for an element and clicks it.
    pub(super) async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.ask(
            Method::POST,
            &format!("element/{element}/click"),
            &json!({}),
        )
        .await;
    }

    /// Waits for a field and types into it.
    pub(super) async fn type_into(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.ask(
            Method::POST,
            &format!("element/{element}/value"),
            &json!({ "text": text }),
        )
        .await;
    }

    /// Runs a script in the page; returns what it returns.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.ask(
            Method::POST,
            "execute/sync",
            &json!({ "script": script, "args": [] }),
        )
        .await
    }

    /// Returns the text of the page as one sees it.
    pub(super) async fn text(&self) -> String {
        let text = self.run("return document.body.innerText").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page shows a text.
    pub(super) async fn shows(&self, text: &str) {
        let begun = Instant::now();
        while !self.text().await.contains(text) {
            assert!(
                begun.elapsed() < PATIENCE,
                "never shows {text}:\n{}",
                self.text().await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the page does not show a text.
    pub(super) async fn shows_no(&self, text: &str) {
        let begun = Instant::now();
        while self.text().await.contains(text) {
            assert!(begun.elapsed() < PATIENCE, "always shows {text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a command of Chromium's own.
    async fn chromium(&self, command: &str, params: Value) {
        self.ask(
            Method::POST,
            "goog/cdp/execute",
            &json!({ "cmd": command, "params": params }),
        )
        .await;
    }

    /// Cuts the browser off from the network, or connects it again.
    pub(super) async fn cut_off(&self, is_off: bool) {
        self.chromium("Network.enable", json!({})).await;
        let conditions = json!({ "offline": is_off, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.chromium("Network.emulateNetworkConditions", conditions)
            .await;
    }

    /// Sets the size of the window and whether the system is dark.
    pub(super) async fn look(&self, (width, height): (u32, u32), is_dark: bool) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.chromium("Emulation.setDeviceMetricsOverride", size)
            .await;
        let scheme = if is_dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.chromium("Emulation.setEmulatedMedia", media).await;
    }

    /// Returns what axe-core has against the page, a line each.
    pub(super) async fn axe(&self) -> Vec<String> {
        let axe = fs::read_to_string(self.folder.join("axe.min.js")).unwrap();
        // In a world of its own, so that the policy of the page need not allow it.
        let script = format!(
            "{axe}; const done = arguments[arguments.length - 1]; \
             axe.run(document, {{ resultTypes: ['violations'] }}).then(found => done(found.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' | '))), error => done(['axe: ' + error]))"
        );
        let found = self
            .ask(
                Method::POST,
                "execute/async",
                &json!({ "script": script, "args": [] }),
            )
            .await;
        let found = found.as_array().unwrap().iter();
        found
            .map(|line| line.as_str().unwrap().to_owned())
            .collect()
    }

    /// Writes a picture of the window, if a folder for pictures is named.
    pub(super) async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("LIAISON_PICTURES") else {
            return;
        };
        let shot = self.ask(Method::GET, "screenshot", &Value::Null).await;
        let png = STANDARD.decode(shot.as_str().unwrap()).unwrap();
        let folder = PathBuf::from(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }
}

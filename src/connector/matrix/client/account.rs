//! The bot's own account: its user id, and the device by which the homeserver recognises what was sent before.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{CLIENT_1, CallError, Client, Denied, Request};
use crate::{connector::matrix::localpart_of, domain::RemoteUser};

/// The bot's device. A message's transaction id is remembered per device: without one, only until the homeserver restarts.
pub(super) const DEVICE: &str = "LIAISON";

#[derive(Deserialize)]
struct WireMe {
    user_id: String,
}

#[derive(Deserialize)]
struct WireDevice {}

#[derive(Deserialize)]
struct WirePing {
    duration_ms: u64,
}

impl Client {
    /// Returns who the bot is.
    pub(super) async fn bot(&self) -> Result<RemoteUser, CallError> {
        let id = self.bot_id().await?;
        Ok(RemoteUser {
            id: id.to_owned(),
            username: localpart_of(id).unwrap_or(id).to_owned(),
            name: self.settings.bot.clone(),
            is_bot: true,
        })
    }

    /// Returns the bot's user id; the first time, its account and device are made if they are not there.
    pub(super) async fn bot_id(&self) -> Result<&str, CallError> {
        let id = self.account.get_or_try_init(async || {
            let me: WireMe = self
                .read(Request::get("GET whoami", &["account", "whoami"]))
                .await?;
            self.make_device(&me.user_id).await?;
            Ok(me.user_id)
        });
        id.await.map(String::as_str)
    }

    /// Makes the bot's account and device, unless they are there.
    pub(super) async fn make_device(&self, bot: &str) -> Result<(), CallError> {
        let path = ["devices", DEVICE];
        let query = [("user_id", bot)];
        let mut look = Request::get("GET device", &path);
        look.query = &query;
        match self.find::<WireDevice>(look).await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => {}
            // Not registered yet: some homeservers refuse what others do not find.
            Err(denied) if denied.is_refusal() => {}
            Err(denied) => return Err(denied.into()),
        }
        let register = json!({
            "type": "m.login.application_service",
            "username": self.settings.bot,
            "inhibit_login": true,
        });
        let registered = self
            .send(Request::write(
                "POST register",
                Method::POST,
                &["register"],
                register,
            ))
            .await;
        match registered {
            Ok(_) => {}
            Err(denied) if denied.is("M_USER_IN_USE") => {}
            Err(denied) => return Err(denied.into()),
        }
        let login = json!({
            "type": "m.login.application_service",
            "identifier": { "type": "m.id.user", "user": bot },
            "device_id": DEVICE,
            "initial_device_display_name": "Liaison",
        });
        // The token that comes back is not needed: the application service's own acts for the device.
        self.send(Request::write(
            "POST login",
            Method::POST,
            &["login"],
            login,
        ))
        .await?;
        Ok(())
    }

    /// Has the homeserver call Liaison, which proves both tokens and the address between them. Returns how long that took, in milliseconds.
    ///
    /// # Errors
    /// Fails with [`PingError`], which says what the homeserver met.
    pub async fn ping(&self, service: &str, transaction: &str) -> Result<u64, PingError> {
        let path = ["appservice", service, "ping"];
        let body = json!({ "transaction_id": transaction });
        let mut request = Request::write("POST ping", Method::POST, &path, body);
        request.api = CLIENT_1;
        match self.read::<WirePing>(request).await {
            Ok(ping) => Ok(ping.duration_ms),
            Err(denied) => Err(PingError::from(denied)),
        }
    }
}

/// Why the homeserver does not reach Liaison.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// The registration has no address.
    #[error("the homeserver's registration file names no url")]
    NoUrl,
    /// Liaison answered, but not as it should.
    #[error(
        "the homeserver reaches what the registration file names as url, but is refused there: is it this Liaison, running, and is the hs_token the webhook's secret?"
    )]
    Refused,
    /// It does not reach Liaison.
    #[error("the homeserver does not reach what its registration file names as url")]
    Unreachable,
    /// The token belongs to another application service.
    #[error(
        "the token belongs to another application service: compare the id in the registration file"
    )]
    OtherService,
    /// The homeserver did not take the call.
    #[error(transparent)]
    Call(CallError),
}

impl From<Denied> for PingError {
    fn from(denied: Denied) -> Self {
        match denied.code.as_str() {
            "M_URL_NOT_SET" => Self::NoUrl,
            "M_BAD_STATUS" => Self::Refused,
            "M_CONNECTION_TIMEOUT" | "M_CONNECTION_FAILED" => Self::Unreachable,
            "M_FORBIDDEN" if denied.status == Some(StatusCode::FORBIDDEN) => Self::OtherService,
            _ => Self::Call(denied.error),
        }
    }
}

//! Asks by connecting whether PostgreSQL takes connections, and creates the database.

use std::fmt::Write;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, Executor};

use super::ClusterError;

/// The database that Liaison lives in.
pub(super) const DATABASE: &str = "liaison";
/// The superuser that owns the cluster.
pub(super) const SUPERUSER: &str = "liaison";
/// The number in the socket's name.
pub(super) const PORT: u16 = 5432;
/// A server that accepts a connection and says nothing for so long is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// SQLSTATEs, from appendix A of PostgreSQL's manual.
const INVALID_CATALOG_NAME: &str = "3D000";
const DUPLICATE_DATABASE: &str = "42P04";
const TOO_MANY_CONNECTIONS: &str = "53300";
const CANNOT_CONNECT_NOW: &str = "57P03";
const ADMIN_SHUTDOWN: &str = "57P01";
const CRASH_SHUTDOWN: &str = "57P02";

/// What a server answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The database takes connections, or so many that there is none left.
    Ready,
    /// The server runs but has no database [`DATABASE`].
    NoDatabase,
    /// There is no server, or it starts, recovers or shuts down.
    NotYet,
}

/// Returns options for a connection through the socket in `socket_folder`.
pub(super) fn connect_options(socket_folder: &Path, database: &str) -> PgConnectOptions {
    // The PG… variables of the environment are about some other server.
    PgConnectOptions::new_without_pgpass()
        .socket(socket_folder)
        .port(PORT)
        .username(SUPERUSER)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
}

/// Returns the URL of the database behind the socket in `socket_folder`.
pub(super) fn url(socket_folder: &Path) -> String {
    let mut url = format!("postgres://{SUPERUSER}@localhost/{DATABASE}?host=");
    for byte in socket_folder.as_os_str().as_bytes() {
        match byte {
            // The unreserved characters of RFC 3986, section 2.3.
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                url.push(char::from(*byte));
            }
            // Writing to a string cannot fail.
            _ => drop(write!(url, "%{byte:02X}")),
        }
    }
    url
}

/// Asks the server behind the socket in `socket_folder`.
///
/// # Errors
///
/// [`ClusterError::Refused`] when it answers something that waiting cannot cure.
pub(super) async fn ask(socket_folder: &Path) -> Result<Answer, ClusterError> {
    let options = connect_options(socket_folder, DATABASE);
    let Ok(connected) = tokio::time::timeout(PATIENCE, options.connect()).await else {
        return Ok(Answer::NotYet);
    };
    let error = match connected {
        Ok(connection) => {
            // A lost farewell is of no consequence: the question is answered.
            let _ = connection.close().await;
            return Ok(Answer::Ready);
        }
        Err(error) => error,
    };
    match &error {
        sqlx::Error::Database(refusal) => match refusal.code().as_deref() {
            Some(INVALID_CATALOG_NAME) => return Ok(Answer::NoDatabase),
            Some(TOO_MANY_CONNECTIONS) => return Ok(Answer::Ready),
            Some(CANNOT_CONNECT_NOW | ADMIN_SHUTDOWN | CRASH_SHUTDOWN) => {
                return Ok(Answer::NotYet);
            }
            _ => {}
        },
        sqlx::Error::Io(failure) if failure.kind() != ErrorKind::PermissionDenied => {
            return Ok(Answer::NotYet);
        }
        _ => {}
    }
    Err(ClusterError::Refused {
        socket_folder: socket_folder.to_owned(),
        source: error,
    })
}

/// Creates the database [`DATABASE`] unless somebody else just did.
pub(super) async fn create_database(socket_folder: &Path) -> Result<(), ClusterError> {
    let attempt = async {
        let mut connection = connect_options(socket_folder, "postgres").connect().await?;
        if let Err(error) = connection.execute("CREATE DATABASE liaison").await {
            let code = error.as_database_error().and_then(DatabaseError::code);
            if code.as_deref() != Some(DUPLICATE_DATABASE) {
                return Err(error);
            }
        }
        connection.close().await
    };
    attempt.await.map_err(|source| ClusterError::Refused {
        socket_folder: socket_folder.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_to_the_same_socket() {
        let folder = Path::new("/srv/a b/ü%/run");
        let url = url(folder);
        assert_eq!(
            url,
            "postgres://liaison@localhost/liaison?host=%2Fsrv%2Fa%20b%2F%C3%BC%25%2Frun"
        );
        let parsed: PgConnectOptions = url.parse().unwrap();
        assert_eq!(parsed.get_socket().map(AsRef::as_ref), Some(folder));
        assert_eq!(
            (parsed.get_username(), parsed.get_database()),
            ("liaison", Some("liaison"))
        );
    }

    #[tokio::test]
    async fn no_socket_is_not_yet() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ask(folder.path()).await.unwrap(), Answer::NotYet);
    }
}

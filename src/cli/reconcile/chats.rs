//! Chats compared with their lists: what differs as far as was seen, and a look at all of them by the running service.

use serde::Serialize;
use sqlx::PgPool;

use crate::{
    cli::{person::crm, print},
    store::{
        group,
        leaver::{self, Drift},
    },
};

/// Most chats that a report names.
const NAMED: i64 = 1000;

/// What is known of the chats of a group.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    /// Path of the root group.
    group: String,
    /// Chats that are about to be looked at.
    looked_at: usize,
    /// Chats that differ from their lists.
    drift: Vec<Drift>,
}

/// Reports what differs, and has all chats looked at unless nothing is to be done.
pub(super) async fn compare(
    pool: &PgPool,
    path: Option<&str>,
    dry_run: bool,
) -> anyhow::Result<Vec<Compared>> {
    let mut compared = Vec::new();
    let mut connection = pool.acquire().await?;
    for root in group::with_chats(&mut connection, path).await? {
        let drift = leaver::drift(&mut connection, root.root, NAMED).await?;
        let looked_at = if dry_run {
            0
        } else {
            crm(pool).look_at_chats(root.root).await?
        };
        compared.push(Compared {
            group: root.path,
            looked_at,
            drift,
        });
    }
    Ok(compared)
}

/// Prints what differs.
pub(super) fn show(compared: &Compared, dry_run: bool) {
    print::line(&format!("{}, chats:", compared.group));
    if compared.drift.is_empty() {
        print::line("  every chat was as its list says when it was last looked at");
    }
    for drift in &compared.drift {
        let item = drift.item.as_deref().unwrap_or("(a deleted item)");
        let mut parts = Vec::new();
        if drift.state == "gone" {
            parts.push("the room is gone".to_owned());
        }
        if drift.missing > 0 {
            parts.push(format!("observers not in the chat: {}", drift.missing));
        }
        if drift.without_right > 0 {
            parts.push(format!(
                "members without read right: {}",
                drift.without_right
            ));
        }
        parts.extend(drift.problem.clone());
        print::line(&format!("  {item}: {}", parts.join("; ")));
    }
    if !dry_run {
        print::line(&format!(
            "  {} chats are looked at by the service",
            compared.looked_at
        ));
    }
}

//! `liaison item`: what is kept equal with items of a portal's own CRM.

use anyhow::Context;
use clap::{Args, Subcommand};
use sqlx::PgConnection;

use super::{Output, find_connection, open, print};
use crate::{
    config::Config,
    domain::{ConnectionId, ConnectionKind, ItemId, RootId},
    store::portal,
};

/// Kinds of items that a portal has, with the numbers that its API knows them by.
const TYPES: [(&str, i64); 5] = [
    ("lead", 1),
    ("deal", 2),
    ("contact", 3),
    ("company", 4),
    ("invoice", 31),
];

#[derive(Debug, Subcommand)]
pub(super) enum ItemCommand {
    /// Keeps observers and responsible person of an item equal with an item of a portal, from now on and both ways.
    LinkPortal(LinkArgs),
    /// Ends that; both items stay as they are.
    UnlinkPortal {
        /// Number of the item here.
        #[arg(long, value_name = "NUMBER")]
        item: i64,
    },
    /// Lists the items that are kept equal with one of a portal, and why some are not equal.
    Portals {
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Args)]
pub(super) struct LinkArgs {
    /// Number of the item here.
    #[arg(long, value_name = "NUMBER")]
    item: i64,
    /// Name of the portal's connection.
    #[arg(long, value_name = "NAME")]
    connection: String,
    /// Its kind in the portal: lead, deal, contact, company, invoice, or the number of an SPA.
    #[arg(long, value_name = "TYPE", value_parser = entity_type)]
    r#type: i64,
    /// Its number in the portal.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=999_999_999_999_999_999))]
    id: u64,
}

fn entity_type(word: &str) -> Result<i64, String> {
    let known = TYPES.iter().find(|(name, _)| *name == word);
    let number = known.map_or_else(|| word.parse().ok(), |(_, number)| Some(*number));
    number.filter(|number| *number > 0).ok_or_else(|| {
        let words: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        format!("expected {} or a number", words.join(", "))
    })
}

pub(super) async fn item(config: &Config, command: ItemCommand) -> anyhow::Result<()> {
    let database = open(config).await?;
    let done = async {
        let mut connection = database.pool.acquire().await?;
        run(&mut connection, command).await
    };
    let done = done.await;
    database.close().await;
    done
}

async fn run(connection: &mut PgConnection, command: ItemCommand) -> anyhow::Result<()> {
    match command {
        ItemCommand::LinkPortal(args) => link(connection, args).await,
        ItemCommand::UnlinkPortal { item } => {
            let place = find_item(connection, item).await?;
            anyhow::ensure!(
                portal::unlink(connection, place.0, place.1).await?,
                "item {item} is linked with no portal"
            );
            print::line("Unlinked.");
            Ok(())
        }
        ItemCommand::Portals { output } => {
            let links = portal::list(connection).await?;
            if output.json {
                return print::json(&links);
            }
            let rows: Vec<_> = links
                .into_iter()
                .map(|link| {
                    [
                        link.item.to_string(),
                        link.title,
                        link.connection,
                        format!("{} {}", type_word(link.entity_type), link.remote_id),
                        link.problem.unwrap_or_default(),
                    ]
                })
                .collect();
            let head = ["ITEM", "TITLE", "CONNECTION", "PORTAL", "PROBLEM"];
            print::table(head, &rows, "No item is linked with a portal.");
            Ok(())
        }
    }
}

fn type_word(entity_type: i64) -> String {
    let known = TYPES.iter().find(|(_, number)| *number == entity_type);
    known.map_or_else(|| entity_type.to_string(), |(name, _)| (*name).to_owned())
}

async fn link(connection: &mut PgConnection, args: LinkArgs) -> anyhow::Result<()> {
    let place = find_item(&mut *connection, args.item).await?;
    let on = portal_connection(&mut *connection, &args.connection).await?;
    let to = (on, args.r#type, &*args.id.to_string());
    portal::link(connection, place, to).await.with_context(|| {
        format!(
            "the portal's {} {} may be linked with another item already: see `liaison item portals`",
            type_word(args.r#type),
            args.id
        )
    })?;
    print::line("Linked: both are compared within seconds.");
    Ok(())
}

async fn find_item(connection: &mut PgConnection, item: i64) -> anyhow::Result<(RootId, ItemId)> {
    let root = portal::root_of(connection, ItemId(item)).await?;
    let root = root.with_context(|| format!("there is no item {item}"))?;
    Ok((root, ItemId(item)))
}

async fn portal_connection(
    connection: &mut PgConnection,
    name: &str,
) -> anyhow::Result<ConnectionId> {
    let stored = find_connection(connection, name).await?;
    anyhow::ensure!(
        stored.kind == ConnectionKind::Bitrix24,
        "the connection {name} is no Bitrix24 portal"
    );
    Ok(stored.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_words_or_numbers() {
        for (word, number) in [("deal", Some(2)), ("invoice", Some(31)), ("147", Some(147))] {
            assert_eq!(entity_type(word).ok(), number);
        }
        for word in ["", "quote", "0", "-1", "1.5"] {
            assert!(entity_type(word).is_err(), "{word}");
        }
        assert_eq!(
            (type_word(2), type_word(147)),
            ("deal".to_owned(), "147".to_owned())
        );
    }
}

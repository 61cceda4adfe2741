//! The plans of the hot statements as Postgres tells them for the very calls (`auto_explain`), for `docs/PLANS.md`. Needs a superuser.

use std::fmt;

use liaison::{
    domain::{ContactSort, Direction, IssueId, ItemId, Listed, RootId, States},
    store::search::{self, Purpose},
};
use sqlx::{Executor, PgPool};
use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::{
    data::ORGANIZATIONS,
    figure::line,
    measure::{HERE, query, thousandth},
};

/// Lines of a plan that are printed.
const LONGEST: usize = 40;

/// Prints what Postgres tells to its client.
struct Told;

impl<S: Subscriber> Layer<S> for Told {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::postgres::notice" {
            event.record(&mut Plan);
        }
    }
}

/// The text of a message.
struct Plan;

impl Visit for Plan {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Nobody reads what cannot be printed.
            let _ = line(&trimmed(&format!("{value:?}")));
        }
    }
}

/// Returns a plan as the documentation has it: without the statement, its costs and what of it comes again and again.
fn trimmed(told: &str) -> String {
    let told = told.replace("\\n", "\n").replace("\\\"", "\"");
    let took = told.split("plan:").next().unwrap_or_default();
    let steps = told
        .lines()
        .skip_while(|line| !line.contains("(cost="))
        .filter(|line| !line.contains("Buffers: "))
        .map(
            |line| match (line.split_once(" (cost="), line.split_once(") (actual ")) {
                (Some((step, _)), Some((_, actual))) => format!("{step} ({actual}"),
                _ => line.to_owned(),
            },
        );
    let mut plan: Vec<String> = steps.collect();
    if plan.len() > LONGEST {
        plan.truncate(LONGEST);
        plan.push("…".to_owned());
    }
    let plan = plan.join("\n");
    format!(
        "```text\n{}\n{}\n```\n",
        took.trim_matches(['"', ' ']),
        plan.trim_end_matches('"')
    )
}

/// Prints the plan of each hot statement, run twice, so that what it reads is in memory.
pub(crate) async fn print(pool: &PgPool) -> anyhow::Result<()> {
    let _ = tracing_subscriber::registry().with(Told).try_init();
    let mut connection = pool.acquire().await?;
    let place = thousandth(
        &mut connection,
        query(ContactSort::LastName, Direction::Ascending, States::All),
    )
    .await?;
    let list = query(ContactSort::LastName, Direction::Ascending, States::All);
    let mut far = list.clone();
    far.page = search::Page::First {
        count: 20,
        after: Some(place),
    };
    let mut rare = query(ContactSort::Email, Direction::Ascending, States::Active);
    rare.search = Some("quist 4711".to_owned());
    let mut common = rare.clone();
    common.search = Some("thomas".to_owned());
    for loud in [false, true] {
        if loud {
            connection
                .execute(
                    "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; SET auto_explain.log_buffers = on;
                     SET auto_explain.log_timing = off; SET client_min_messages = log",
                )
                .await?;
        }
        let title = |text: &str| {
            if loud {
                line(&format!("## {text}\n"))
            } else {
                Ok(())
            }
        };
        title("First page by last name, all states")?;
        search::contacts(&mut connection, HERE, &list).await?;
        title("Thousandth page by last name, all states")?;
        search::contacts(&mut connection, HERE, &far).await?;
        title("Search for what is rare: a walk, an estimate, a gathering")?;
        search::contacts(&mut connection, HERE, &rare).await?;
        title("Search for what is common, but far along the sort")?;
        search::contacts(&mut connection, HERE, &common).await?;
        title("Counts that follow a search")?;
        search::counts(&mut connection, HERE, Listed::Contacts, Some("thomas")).await?;
        title("Counts without a search")?;
        search::counts(&mut connection, HERE, Listed::Contacts, None).await?;
        connection
            .execute("SET enable_sort = off; SET max_parallel_workers_per_gather = 0")
            .await?;
        for term in ["m", "mar smi"] {
            title(&format!("Autocompletion of \"{term}\" for an issue"))?;
            search::complete(
                &mut connection,
                HERE,
                term,
                Some(IssueId(97)),
                Purpose::Add,
                20,
            )
            .await?;
        }
        connection
            .execute("RESET enable_sort; RESET max_parallel_workers_per_gather")
            .await?;
        title("Contacts of issues")?;
        let issues = [IssueId(1), IssueId(1000), IssueId(2000)];
        search::contacts_of_issues(&mut connection, HERE, &issues, 20, None).await?;
        title("Issues of a contact")?;
        search::issues_of_contact(
            &mut connection,
            RootId(1),
            ItemId(ORGANIZATIONS + 1),
            20,
            None,
        )
        .await?;
    }
    connection.execute("RESET client_min_messages").await?;
    Ok(())
}

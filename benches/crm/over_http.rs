//! What is measured over HTTP, as browsers and programs ask it.

use liaison::domain::{ContactSort, Direction, IssueId, States};
use serde_json::json;
use sqlx::PgPool;

use crate::{
    data::ISSUES,
    figure::Figure,
    measure::{figure, query, searches, terms, thousandth},
    service::Http,
};

/// Answers before the first one that counts, so that the connections have their plans.
const WARM: usize = 100;

const LIST: &str = "query($search: String, $sort: ContactSort, $state: CustomerRelationsContactState, $after: String) {
  group(fullPath: \"acme\") { contacts(search: $search, sort: $sort, state: $state, first: 20, after: $after) {
    nodes { id firstName lastName email phone description active organization { id name } } pageInfo { hasNextPage endCursor } } } }";
const COUNTS: &str = "query($search: String) { group(fullPath: \"acme\") { contactStateCounts(search: $search) { all active inactive } } }";

/// Autocompletion, first and thousandth pages, searches and counts.
pub(crate) async fn all(pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    let http = Http::start(pool).await?;
    let measured = async {
        let mut figures = complete(&http).await?;
        figures.extend(lists(&http, pool).await?);
        Ok(figures)
    };
    let measured = measured.await;
    http.stop().await;
    measured
}

/// The lists of the pages, from the request to the whole answer.
pub(crate) async fn pages(pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    let http = Http::start(pool).await?;
    let measured = async {
        let mut figures = Vec::new();
        for (name, path) in [
            ("page of contacts", "crm/contacts"),
            (
                "page of contacts by e-mail",
                "crm/contacts?state=all&sort=email_desc",
            ),
            ("page of organizations", "crm/organizations"),
            ("page of items", "crm/items"),
            ("page of issues", "issues"),
            ("page of a contact", "crm/contacts/150007"),
        ] {
            let mut figure = figure(name, 30);
            for turn in 0..WARM + 200 {
                let took = http.page(&format!("groups/acme/-/{path}")).await?;
                if turn >= WARM {
                    figure.times.push(took);
                }
            }
            figures.push(figure);
        }
        Ok(figures)
    };
    let measured = measured.await;
    http.stop().await;
    measured
}

async fn complete(http: &Http) -> anyhow::Result<Vec<Figure>> {
    let mut one = figure(
        "autocompletion over HTTP, one word from its first letter",
        5,
    );
    let mut two = figure("autocompletion over HTTP, two words", 5);
    for (turn, term) in terms()
        .iter()
        .cycle()
        .take(WARM + terms().len())
        .enumerate()
    {
        let IssueId(iid) = IssueId(1 + i64::try_from(turn)? * 97 % ISSUES);
        let command = (turn % 2 == 0).then_some("add_contacts");
        let (took, _) = http.complete(term, iid, command).await?;
        if turn >= WARM {
            let figure = if term.contains(' ') {
                &mut two
            } else {
                &mut one
            };
            figure.note(took, term);
        }
    }
    Ok(vec![one, two])
}

async fn lists(http: &Http, pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    let mut connection = pool.acquire().await?;
    let mut first = figure("first page of every sort over HTTP", 25);
    let mut far = figure("thousandth page of every sort over HTTP", 25);
    let mut found = figure("first page of a search over HTTP, all sorts in turn", 60);
    let mut counts = figure("counts that follow a search over HTTP", 50);
    let words = [
        "FIRST_NAME",
        "LAST_NAME",
        "EMAIL",
        "PHONE",
        "DESCRIPTION",
        "ORGANIZATION",
        "CREATED",
        "UPDATED",
    ];
    for (sort, word) in ContactSort::ALL.into_iter().zip(words) {
        for (direction, end) in [
            (Direction::Ascending, "ASC"),
            (Direction::Descending, "DESC"),
        ] {
            let place = thousandth(&mut connection, query(sort, direction, States::Active))
                .await?
                .to_string();
            let sort = format!("{word}_{end}");
            for turn in 0..20 {
                let variables = json!({ "sort": sort, "state": "active" });
                let took = http.ask(LIST, &variables).await?;
                let variables = json!({ "sort": sort, "state": "active", "after": place });
                let took_far = http.ask(LIST, &variables).await?;
                if turn > 0 {
                    first.note(took, &sort);
                    far.note(took_far, &sort);
                }
            }
        }
    }
    for (turn, search) in searches().into_iter().enumerate() {
        let (word, end) = (
            words.get(turn % words.len()).unwrap_or(&"EMAIL"),
            if turn % 3 == 0 { "DESC" } else { "ASC" },
        );
        let state = if turn % 2 == 0 { "active" } else { "all" };
        let variables =
            json!({ "search": search, "sort": format!("{word}_{end}"), "state": state });
        found.note(
            http.ask(LIST, &variables).await?,
            &format!("{search} by {word}_{end}"),
        );
        counts.note(
            http.ask(COUNTS, &json!({ "search": search })).await?,
            &search,
        );
    }
    Ok(vec![first, far, found, counts])
}

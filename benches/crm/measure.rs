//! What is measured: the functions of the store, as pages, the API and the autocompletion route call them.

use std::time::{Duration, Instant};

use anyhow::Context;
use liaison::{
    domain::{
        Clock, ContactDraft, ContactSort, Direction, GroupId, IssueId, ItemId, Listed,
        OrganizationSort, RootId, States, SystemClock,
    },
    store::{
        item,
        search::{self, Completing, Cursor, Page, Purpose, Query},
    },
};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use crate::{
    data::{CONTACTS, ISSUES, ORGANIZATIONS},
    figure::Figure,
    names::{FIRST, LAST},
};

pub(crate) const HERE: (RootId, GroupId) = (RootId(1), GroupId(1));
/// Rows of a page.
const PAGE: u32 = 20;
/// Rows before the thousandth page.
const FAR: usize = 999 * PAGE as usize;
const DIRECTIONS: [Direction; 2] = [Direction::Ascending, Direction::Descending];
const STATES: [States; 3] = [States::All, States::Active, States::Inactive];

pub(crate) fn figure(name: impl Into<String>, target: u64) -> Figure {
    Figure {
        name: name.into(),
        target: Duration::from_millis(target),
        times: Vec::new(),
        slowest: Vec::new(),
    }
}

/// Runs what is measured once to warm up and then some times.
async fn repeat<T, E>(
    figure: &mut Figure,
    times: i64,
    mut run: impl AsyncFnMut(i64) -> Result<T, E>,
) -> Result<(), E> {
    run(0).await?;
    for turn in 0..times {
        let begun = Instant::now();
        run(turn).await?;
        figure.times.push(begun.elapsed());
    }
    Ok(())
}

pub(crate) fn query<S>(sort: S, direction: Direction, states: States) -> Query<S> {
    Query {
        search: None,
        states,
        ids: None,
        sort,
        direction,
        page: Page::First {
            count: PAGE,
            after: None,
        },
    }
}

/// First and thousandth page of every sort, forward and backward.
pub(crate) async fn lists(pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    let mut connection = pool.acquire().await?;
    let mut figures = Vec::new();
    for sort in ContactSort::ALL {
        let mut first = figure(format!("contacts by {sort:?}, first and last page"), 25);
        let mut far = figure(format!("contacts by {sort:?}, thousandth page"), 25);
        for (direction, states) in tabs() {
            let mut asked = query(sort, direction, states);
            repeat(&mut first, 10, async |turn| {
                asked.page = ends(turn);
                search::contacts(&mut connection, HERE, &asked).await
            })
            .await?;
            let place = thousandth(&mut connection, asked.clone()).await?;
            repeat(&mut far, 10, async |turn| {
                asked.page = beside(turn, &place);
                search::contacts(&mut connection, HERE, &asked).await
            })
            .await?;
        }
        figures.extend([first, far]);
    }
    for sort in OrganizationSort::ALL {
        let mut first = figure(
            format!("organizations by {sort:?}, first and last page"),
            25,
        );
        for (direction, states) in tabs() {
            let mut asked = query(sort, direction, states);
            repeat(&mut first, 10, async |turn| {
                asked.page = ends(turn);
                search::organizations(&mut connection, HERE, &asked).await
            })
            .await?;
        }
        figures.push(first);
    }
    Ok(figures)
}

/// Returns the place before the thousandth page.
pub(crate) async fn thousandth(
    connection: &mut PgConnection,
    mut asked: Query<ContactSort>,
) -> anyhow::Result<Cursor> {
    let (mut seen, mut after) = (0, None);
    loop {
        asked.page = Page::First { count: 1000, after };
        let page = search::contacts(&mut *connection, HERE, &asked).await?;
        seen += page.rows.len();
        let last = page.rows.into_iter().next_back();
        let (_, place) = last.context("a list too short")?;
        if seen >= FAR {
            return Ok(place);
        }
        after = Some(place);
    }
}

fn tabs() -> impl Iterator<Item = (Direction, States)> + Clone {
    DIRECTIONS
        .into_iter()
        .flat_map(|direction| STATES.map(|states| (direction, states)))
}

fn ends(turn: i64) -> Page {
    let count = PAGE;
    if turn % 2 == 0 {
        Page::First { count, after: None }
    } else {
        Page::Last {
            count,
            before: None,
        }
    }
}

fn beside(turn: i64, place: &Cursor) -> Page {
    let (count, place) = (PAGE, Some(place.clone()));
    if turn % 2 == 0 {
        Page::First {
            count,
            after: place,
        }
    } else {
        Page::Last {
            count,
            before: place,
        }
    }
}

/// What people search for: parts of names, full names, addresses, phone numbers, organizations, descriptions, and nobody.
pub(crate) fn searches() -> Vec<String> {
    let mut searches = Vec::new();
    for (turn, (first, last)) in FIRST.iter().zip(LAST.iter().cycle().skip(7)).enumerate() {
        let part = |text: &str, from: usize, count: usize| -> String {
            text.chars().skip(from).take(count).collect()
        };
        searches.extend([
            part(first, 0, 3),
            part(last, 1, 3),
            part(first, 0, 4 + turn % 3),
            format!("{first} {last}"),
            format!("{} {}", part(first, 0, 3), part(last, 0, 3)),
            format!("{}.{}", part(first, 0, 9), part(last, 0, 2)),
        ]);
    }
    for n in 0..40 {
        searches.extend([
            format!("{}", 100 + n * 22),
            format!("+{} {}", 30 + n, 2000 + n * 177),
            format!("@o{}", 17 * n),
        ]);
    }
    for word in [
        "com",
        "example",
        "gmbh",
        "logistics",
        "software gmbh",
        "harbor",
        "phoenix games",
        "trade fair",
        "data centre",
        "10%",
        "security",
        "warehouse anna",
        "zzzz",
        "nobody at all",
        "qxq",
        "ann",
        "mar",
        "sch",
        "ber",
        "mail.example",
    ] {
        searches.push(word.to_owned());
    }
    searches.retain(|search| search.chars().count() >= 3);
    searches
}

/// The first page of searches in all sorts.
pub(crate) async fn search(pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    let mut connection = pool.acquire().await?;
    let mut long = figure(
        "search of three letters and more, half of the sorts in turn",
        60,
    );
    let mut short = figure(
        "search of one and two letters, half of the sorts in turn",
        60,
    );
    for (turn, text) in searches()
        .into_iter()
        .enumerate()
        .filter(|(turn, _)| turn % 7 == 0)
    {
        let begins: String = text.chars().take(1 + turn % 2).collect();
        let sorts = ContactSort::ALL.into_iter().enumerate();
        for (place, sort) in sorts.filter(|(place, _)| (turn + place) % 2 == 0) {
            let tab = tabs().cycle().nth((turn + place) % 6);
            let (direction, states) = tab.context("no tab")?;
            let mut asked = query(sort, direction, states);
            for (figure, text) in [(&mut long, &text), (&mut short, &begins)] {
                asked.search = Some(text.clone());
                let begun = Instant::now();
                search::contacts(&mut connection, HERE, &asked).await?;
                figure.times.push(begun.elapsed());
            }
        }
    }
    Ok(vec![long, short])
}

/// What is typed, letter by letter.
pub(crate) fn terms() -> Vec<String> {
    let mut terms = Vec::new();
    for (first, last) in FIRST.iter().zip(LAST.iter().cycle().skip(11)) {
        for letters in 1..=5 {
            terms.push(first.chars().take(letters).collect::<String>());
            terms.push(last.chars().take(letters).collect());
            terms.push(format!(
                "{first} {}",
                last.chars().take(letters).collect::<String>()
            ));
        }
    }
    terms.extend(
        [
            "g",
            "gm",
            "gmbh",
            "logistics",
            "harbor",
            "harbor l",
            "anna gmbh",
            "o1",
            "o17-",
            "mail.ex",
            "x",
            "xq",
            "maria müller logistics",
        ]
        .map(str::to_owned),
    );
    terms
}

/// Autocompletion while names are typed letter by letter.
pub(crate) async fn complete(pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    let completing = Completing::beside(pool);
    completing.prepare().await?;
    let mut one = figure("autocompletion, one word from its first letter", 5);
    let mut two = figure("autocompletion, two words", 5);
    let terms = terms();
    for (turn, term) in terms.iter().enumerate() {
        let figure = if term.contains(' ') {
            &mut two
        } else {
            &mut one
        };
        let issue = IssueId(1 + i64::try_from(turn)? * 97 % ISSUES);
        let purpose = if turn % 2 == 0 {
            Purpose::Add
        } else {
            Purpose::Any
        };
        let begun = Instant::now();
        let found = completing.complete(HERE, term, Some(issue), purpose, 20);
        found.await?;
        // The first ones find caches cold.
        if turn > 60 {
            figure.note(begun.elapsed(), term);
        }
    }
    Ok(vec![one, two])
}

/// Counts by state.
pub(crate) async fn counts(pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    let mut connection = pool.acquire().await?;
    let mut all = figure("counts without a search", 50);
    let mut found = figure("counts that follow a search", 50);
    repeat(&mut all, 200, async |_| {
        search::counts(&mut connection, HERE, Listed::Contacts, None).await
    })
    .await?;
    for text in searches() {
        let begun = Instant::now();
        search::counts(&mut connection, HERE, Listed::Contacts, Some(&text)).await?;
        found.note(begun.elapsed(), &text);
    }
    Ok(vec![all, found])
}

/// Loaders.
pub(crate) async fn related(pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    let mut connection = pool.acquire().await?;
    let mut contacts = figure("contacts of 20 issues", 25);
    let mut issues = figure("issues of a contact, also of one with thousands", 25);
    let mut by_ids = figure("100 contacts by their ids", 25);
    repeat(&mut contacts, 200, async |turn| {
        let ids: Vec<IssueId> = (0..20)
            .map(|place| IssueId(1 + (turn * 131 + place * 7919) % ISSUES))
            .collect();
        search::contacts_of_issues(&mut connection, HERE, &ids, 20, None).await
    })
    .await?;
    repeat(&mut issues, 200, async |turn| {
        let contact = ItemId(ORGANIZATIONS + 1 + turn);
        search::issues_of_contact(&mut connection, HERE.0, contact, 20, None).await
    })
    .await?;
    repeat(&mut by_ids, 200, async |turn| {
        let ids: Vec<ItemId> = (0..100)
            .map(|place| ItemId(ORGANIZATIONS + 1 + (turn * 131 + place * 7919) % CONTACTS))
            .collect();
        search::contacts_by_ids(&mut connection, HERE, &ids).await
    })
    .await?;
    Ok(vec![contacts, issues, by_ids])
}

/// What one change costs with everything that is derived.
pub(crate) async fn write(pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    let mut connection = pool.acquire().await?;
    let clock = SystemClock::default();
    let mut create = figure("one contact created and committed", 5);
    let mut edit = figure("one contact edited and committed", 5);
    let mut bare = figure(
        "one contact created and committed, without what is derived",
        5,
    );
    let mut created = Vec::new();
    for turn in 0..400 {
        let draft = ContactDraft::new(
            "Ada",
            &format!("Byron {turn}"),
            &format!("ada{turn}@bench.example"),
        )?;
        let begun = Instant::now();
        created.push(item::insert_contact(&mut connection, HERE, &draft, true, clock.now()).await?);
        create.times.push(begun.elapsed());
    }
    for id in &created {
        let begun = Instant::now();
        sqlx::query("UPDATE items SET phone = '1', last_name = 'Lovelace', updated_at = now() WHERE root_id = 1 AND id = $1")
            .bind(id)
            .execute(&mut *connection)
            .await?;
        edit.times.push(begun.elapsed());
    }
    // A table of the same columns with the same keys and nothing else.
    bare.times = without_derived(&mut connection).await?;
    let mut rename = figure("an organization with hundreds of contacts renamed", 2000);
    let begun = Instant::now();
    sqlx::query("UPDATE items SET title = title || ' Group', updated_at = now() WHERE root_id = 1 AND id = 1")
        .execute(&mut *connection)
        .await?;
    rename.times.push(begun.elapsed());
    sqlx::query("DELETE FROM items WHERE root_id = 1 AND id = ANY($1)")
        .bind(created)
        .execute(&mut *connection)
        .await?;
    Ok(vec![create, bare, edit, rename])
}

async fn without_derived(connection: &mut PgConnection) -> anyhow::Result<Vec<Duration>> {
    let columns = "root_id, id, group_id, kind, state, title, first_name, last_name, email, phone, description, organization_id, default_rate, created_at, updated_at";
    for sql in [
        format!("CREATE TABLE bare AS SELECT {columns} FROM items"),
        "ALTER TABLE bare ADD PRIMARY KEY (root_id, id)".to_owned(),
        "CREATE UNIQUE INDEX ON bare (root_id, group_id, lower(email)) WHERE kind = 'contact' AND email IS NOT NULL".to_owned(),
        "CREATE UNIQUE INDEX ON bare (root_id, group_id, lower(title)) WHERE kind = 'organization'".to_owned(),
        "CREATE INDEX ON bare (root_id, organization_id) WHERE organization_id IS NOT NULL".to_owned(),
    ] {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    }
    let mut times = Vec::new();
    for turn in 0..400 {
        let begun = Instant::now();
        sqlx::query(
            "INSERT INTO bare (root_id, id, group_id, kind, state, title, first_name, last_name, email, created_at, updated_at)
             VALUES (1, nextval(pg_get_serial_sequence('items', 'id')), 1, 'contact', 'active', 'Ada', 'Ada', $1, $2, now(), now())",
        )
        .bind(format!("Byron {turn}"))
        .bind(format!("bare{turn}@bench.example"))
        .execute(&mut *connection)
        .await?;
        times.push(begun.elapsed());
    }
    sqlx::query("DROP TABLE bare").execute(connection).await?;
    Ok(times)
}

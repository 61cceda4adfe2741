//! Lists, search, counts and autocompletion on a real Postgres, and the derived columns that they read.

use std::{cmp::Ordering, collections::HashSet, time::Duration};

use liaison::{
    domain::{
        ContactSort, Direction, GroupId, IssueId, ItemId, Listed, OrganizationSort, RootId, States,
    },
    store::search::{
        self, Completing, ContactRow, Count, Cursor, Listing, OrganizationRow, Page, Purpose, Query,
    },
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};

use crate::harness::{database, pool, spawn};

/// The group that the tests look at: a root with a group below it, which holds contacts of its own.
const HERE: (RootId, GroupId) = (RootId(1), GroupId(1));
const BELOW: (RootId, GroupId) = (RootId(1), GroupId(2));
const ELSEWHERE: (RootId, GroupId) = (RootId(3), GroupId(3));
const DIRECTIONS: [Direction; 2] = [Direction::Ascending, Direction::Descending];
const STATES: [States; 3] = [States::All, States::Active, States::Inactive];

/// A database with three groups that hold contacts.
async fn places() -> PgPool {
    let pool = pool(database().await);
    run(
        &pool,
        "INSERT INTO groups (root_id, id, parent_id, path, name, contact_group_id, created_at)
         VALUES (1, 1, NULL, 'acme', 'Acme', 1, now()), (1, 2, 1, 'acme/below', 'Below', 2, now()), (3, 3, NULL, 'other', 'Other', 3, now());
         SELECT setval(pg_get_serial_sequence('items', 'id'), 100000)",
    )
    .await;
    pool
}

async fn run(pool: &PgPool, sql: &'static str) {
    pool.execute(sql).await.unwrap();
}

/// Contacts and organizations with ties and gaps in every column, ids from `first`.
async fn various(pool: &PgPool, (root, group): (RootId, GroupId), first: i64) {
    let place = format!("{}, {first} + n, {}", root.0, group.0);
    let sql = format!(
        "INSERT INTO items (root_id, id, group_id, kind, state, title, description, default_rate, created_at, updated_at)
         SELECT {place}, 'organization', CASE WHEN n % 4 = 0 THEN 'inactive' ELSE 'active' END,
                (ARRAY['acme', 'Acme', 'Überbau', 'zeta'])[1 + n % 4] || ' ' || {first} + n,
                CASE WHEN n % 3 = 0 THEN 'Makes ' || n % 2 END, CASE WHEN n % 5 > 1 THEN n % 3 + 0.5 END,
                now() - n % 4 * interval '1 day', now() - n % 7 * interval '1 day'
         FROM generate_series(0, 19) AS n;
         INSERT INTO items (root_id, id, group_id, kind, state, title, first_name, last_name, email, phone, description, organization_id, created_at, updated_at)
         SELECT root_id, id, group_id, 'contact', CASE WHEN n % 5 = 0 THEN 'inactive' ELSE 'active' END, f || ' ' || l, f, l,
                CASE WHEN n % 3 > 0 THEN (ARRAY['M', 'n'])[1 + n % 2] || id || '@example.com' END,
                CASE WHEN n % 4 > 0 THEN '+49 ' || n % 6 END, CASE WHEN n % 5 > 2 THEN 'Likes ' || n % 3 END,
                CASE WHEN n % 7 > 1 THEN {first} + n % 20 END, now() - n % 6 * interval '1 day', now() - n % 4 * interval '1 day'
         FROM (SELECT {place} FROM generate_series(100, 139) AS n) AS place (root_id, id, group_id),
              LATERAL (SELECT id - {first} AS n) AS number,
              LATERAL (SELECT (ARRAY['Ada', 'ada', 'Bo', 'Ömer', 'Jean Luc'])[1 + n % 5] AS f,
                              (ARRAY['Byron', 'byron', 'van Dam', 'O''Neil', 'Zuse', 'Ångström'])[1 + n % 6] AS l) AS name"
    );
    pool.execute(AssertSqlSafe(sql)).await.unwrap();
}

fn query<S>(sort: S, direction: Direction, states: States) -> Query<S> {
    Query {
        search: None,
        states,
        ids: None,
        sort,
        direction,
        page: Page::First {
            count: 1000,
            after: None,
        },
    }
}

/// A list that is read page by page.
trait Pages: Copy {
    type Row;
    async fn page(self, connection: &mut PgConnection, query: &Query<Self>) -> Listing<Self::Row>
    where
        Self: Sized;
}

impl Pages for ContactSort {
    type Row = ContactRow;
    async fn page(self, connection: &mut PgConnection, query: &Query<Self>) -> Listing<ContactRow> {
        search::contacts(connection, HERE, query).await.unwrap()
    }
}

impl Pages for OrganizationSort {
    type Row = OrganizationRow;
    async fn page(
        self,
        connection: &mut PgConnection,
        query: &Query<Self>,
    ) -> Listing<OrganizationRow> {
        search::organizations(connection, HERE, query)
            .await
            .unwrap()
    }
}

/// Reads a list forward in pages of `count`.
async fn forward<S: Pages>(
    connection: &mut PgConnection,
    mut query: Query<S>,
    count: u32,
) -> Vec<S::Row> {
    let mut rows = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let first = after.is_none();
        query.page = Page::First { count, after };
        let page = query.sort.page(connection, &query).await;
        assert_eq!(page.has_previous, !first);
        after = page
            .rows
            .last()
            .map(|(_, cursor)| cursor.to_string().parse().unwrap());
        let more = page.has_next;
        rows.extend(page.rows.into_iter().map(|(row, _)| row));
        if !more {
            return rows;
        }
    }
}

/// Reads a list backward in pages of `count`.
async fn backward<S: Pages>(
    connection: &mut PgConnection,
    mut query: Query<S>,
    count: u32,
) -> Vec<S::Row> {
    let mut rows = Vec::new();
    let mut before: Option<Cursor> = None;
    loop {
        let last = before.is_none();
        query.page = Page::Last { count, before };
        let page = query.sort.page(connection, &query).await;
        assert_eq!(page.has_next, !last);
        before = page.rows.first().map(|(_, cursor)| cursor.clone());
        let more = page.has_previous;
        rows.splice(0..0, page.rows.into_iter().map(|(row, _)| row));
        if !more {
            return rows;
        }
    }
}

/// Sorts as the list should: nulls last both ways, ties by id in the direction.
fn sorted<R: Clone, K: Ord>(
    rows: &[R],
    direction: Direction,
    id: impl Fn(&R) -> ItemId,
    key: impl Fn(&R) -> Option<K>,
) -> Vec<ItemId> {
    let mut rows = rows.to_vec();
    let turned = |order: Ordering| match direction {
        Direction::Ascending => order,
        Direction::Descending => order.reverse(),
    };
    rows.sort_by(|a, b| {
        let keys = match (key(a), key(b)) {
            (Some(a), Some(b)) => turned(a.cmp(&b)),
            (a, b) => a.is_none().cmp(&b.is_none()),
        };
        keys.then(turned(id(a).cmp(&id(b))))
    });
    rows.iter().map(id).collect()
}

fn contact_key(row: &ContactRow, sort: ContactSort) -> Option<String> {
    let lower = |text: &str| text.to_lowercase();
    let both = |a: &str, b: &str| Some(format!("{}\u{1}{}", lower(a), lower(b)));
    match sort {
        ContactSort::FirstName => both(&row.first_name, &row.last_name),
        ContactSort::LastName => both(&row.last_name, &row.first_name),
        ContactSort::Email => row.email.as_deref().map(lower),
        ContactSort::Phone => row.phone.as_deref().map(lower),
        ContactSort::Description => row.description.as_deref().map(lower),
        ContactSort::Organization => row.organization_title.as_deref().map(lower),
        ContactSort::Created => Some(format!("{:?}", row.created_at)),
        ContactSort::Updated => Some(format!("{:?}", row.updated_at)),
    }
}

fn shows(states: States, active: bool) -> bool {
    match states {
        States::All => true,
        States::Active => active,
        States::Inactive => !active,
    }
}

#[tokio::test]
async fn contacts_page_both_ways_in_every_sort_as_they_are_sorted() {
    let pool = places().await;
    various(&pool, HERE, 1000).await;
    various(&pool, BELOW, 2000).await;
    let mut connection = pool.acquire().await.unwrap();
    let all = forward(
        &mut connection,
        query(ContactSort::Created, Direction::Ascending, States::All),
        1000,
    )
    .await;
    assert_eq!(all.len(), 40);
    for sort in ContactSort::ALL {
        for direction in DIRECTIONS {
            for states in STATES {
                let rows: Vec<ContactRow> = all
                    .iter()
                    .filter(|row| shows(states, row.active))
                    .cloned()
                    .collect();
                let expected = sorted(&rows, direction, |row| row.id, |row| contact_key(row, sort));
                let asked = query(sort, direction, states);
                let there = forward(&mut connection, asked.clone(), 7).await;
                let back = backward(&mut connection, asked, 7).await;
                let ids = |rows: &[ContactRow]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
                assert_eq!(ids(&there), expected, "{sort:?} {direction:?} {states:?}");
                assert_eq!(ids(&back), expected, "{sort:?} {direction:?} {states:?}");
            }
        }
    }
}

#[tokio::test]
async fn organizations_page_both_ways_in_every_sort_as_they_are_sorted() {
    let pool = places().await;
    various(&pool, HERE, 1000).await;
    let mut connection = pool.acquire().await.unwrap();
    let asked = query(OrganizationSort::Created, Direction::Ascending, States::All);
    let all = forward(&mut connection, asked, 1000).await;
    assert_eq!(all.len(), 20);
    for sort in OrganizationSort::ALL {
        for direction in DIRECTIONS {
            for states in STATES {
                let rows: Vec<OrganizationRow> = all
                    .iter()
                    .filter(|row| shows(states, row.active))
                    .cloned()
                    .collect();
                let expected = sorted(
                    &rows,
                    direction,
                    |row| row.id,
                    |row| match sort {
                        OrganizationSort::Name => Some(row.title.to_lowercase()),
                        OrganizationSort::Description => {
                            row.description.as_ref().map(|text| text.to_lowercase())
                        }
                        OrganizationSort::DefaultRate => {
                            row.default_rate.map(|rate| rate.to_string())
                        }
                        OrganizationSort::Created => Some(format!("{:?}", row.created_at)),
                        OrganizationSort::Updated => Some(format!("{:?}", row.updated_at)),
                    },
                );
                let asked = query(sort, direction, states);
                let there = forward(&mut connection, asked.clone(), 3).await;
                let back = backward(&mut connection, asked, 3).await;
                let ids =
                    |rows: &[OrganizationRow]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
                assert_eq!(ids(&there), expected, "{sort:?} {direction:?} {states:?}");
                assert_eq!(ids(&back), expected, "{sort:?} {direction:?} {states:?}");
            }
        }
    }
}

/// Many contacts whose first names sort from Aaa, with some at the end of the alphabet whose first names are Zebra, one of them inactive, and
/// two before them with that in their last names.
async fn many(pool: &PgPool) {
    run(
        pool,
        "INSERT INTO items (root_id, id, group_id, kind, state, title, first_name, last_name, email, created_at, updated_at)
         SELECT 1, n, 1, 'contact', CASE WHEN n = 2990 THEN 'inactive' ELSE 'active' END, '', f,
                CASE WHEN n IN (900, 1900) THEN 'Anzebra' ELSE 'Smith' END, CASE WHEN n % 9 > 0 THEN 'm' || n || '@example.com' END,
                now(), now() - n * interval '1 second'
         FROM generate_series(1, 3000) AS n,
              LATERAL (SELECT CASE WHEN n > 2970 THEN 'Zebra' ELSE 'Aaa' || n END AS f) AS name",
    )
    .await;
}

#[tokio::test]
async fn a_search_pages_both_ways_also_where_matches_are_far_along_the_sort() {
    let pool = places().await;
    many(&pool).await;
    let mut connection = pool.acquire().await.unwrap();
    for sort in ContactSort::ALL {
        for direction in DIRECTIONS {
            for (search, states, number) in [
                ("zebra smi", States::All, 30),
                ("zebra smi", States::Active, 29),
                ("Zebra", States::All, 32),
                ("Zebra", States::Active, 31),
                ("smi", States::All, 2998),
            ] {
                let mut asked = query(sort, direction, states);
                asked.search = Some(search.to_owned());
                let all = forward(&mut connection, asked.clone(), 1000).await;
                assert_eq!(all.len(), number, "{search} {sort:?} {direction:?}");
                let expected = sorted(&all, direction, |row| row.id, |row| contact_key(row, sort));
                let there = forward(&mut connection, asked.clone(), 11).await;
                let back = backward(&mut connection, asked, 11).await;
                let ids = |rows: &[ContactRow]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
                assert_eq!(ids(&there), expected, "{sort:?} {direction:?}");
                assert_eq!(ids(&back), expected, "{sort:?} {direction:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_goes_on_where_the_last_one_ended_though_rows_come_go_and_change() {
    let pool = places().await;
    various(&pool, HERE, 1000).await;
    let mut connection = pool.acquire().await.unwrap();
    for direction in DIRECTIONS {
        let mut asked = query(ContactSort::Email, direction, States::All);
        let all = forward(&mut connection, asked.clone(), 1000).await;
        asked.page = Page::First {
            count: 10,
            after: None,
        };
        let first = search::contacts(&mut connection, HERE, &asked)
            .await
            .unwrap();
        let (last, place) = first.rows.last().unwrap().clone();
        // The row of the place goes, and one before it; one that was seen moves to the end, and a new one comes before the place.
        let mut transaction = connection.begin().await.unwrap();
        for (sql, id) in [
            ("DELETE FROM items WHERE root_id = 1 AND id = $1", last.id),
            ("DELETE FROM items WHERE root_id = 1 AND id = $1", all[0].id),
            (
                "UPDATE items SET email = CASE WHEN email < 'n' THEN 'zz@example.com' ELSE 'a@example.com' END WHERE root_id = 1 AND id = $1",
                all[1].id,
            ),
        ] {
            sqlx::query(sql)
                .bind(id)
                .execute(&mut *transaction)
                .await
                .unwrap();
        }
        asked.page = Page::First {
            count: 1000,
            after: Some(place),
        };
        let rest = search::contacts(&mut transaction, HERE, &asked)
            .await
            .unwrap();
        let mut expected: Vec<ItemId> = all[10..].iter().map(|row| row.id).collect();
        // It is in the part of those with an address, which comes before those without.
        let keyed = all.iter().filter(|row| row.email.is_some()).count();
        expected.insert(keyed - 10, all[1].id);
        let ids: Vec<ItemId> = rest.rows.iter().map(|(row, _)| row.id).collect();
        assert_eq!(ids, expected, "{direction:?}");
        transaction.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn a_search_finds_parts_of_every_field_and_nothing_else() {
    let pool = places().await;
    run(
        &pool,
        r"INSERT INTO items (root_id, id, group_id, kind, title, description, created_at, updated_at)
          VALUES (1, 1, 1, 'organization', 'Initech & Sons', 'Staplers', now(), now()), (1, 2, 1, 'organization', '50% Off_Ltd', NULL, now(), now());
          INSERT INTO items (root_id, id, group_id, kind, state, title, first_name, last_name, email, phone, description, organization_id, created_at, updated_at)
          VALUES (1, 11, 1, 'contact', 'active', '', 'John', 'Doe', 'jd@example.com', '+49 30 123456', 'Prefers calls', 1, now(), now()),
                 (1, 12, 1, 'contact', 'inactive', '', 'Jörg', 'Ößler', NULL, NULL, '100% sure\maybe', 2, now(), now()),
                 (1, 13, 1, 'contact', 'active', '', 'Mary Ann', 'O''Hara', 'mary_ann@example.org', '0301', NULL, NULL, now(), now());
          INSERT INTO items (root_id, id, group_id, kind, title, first_name, last_name, email, created_at, updated_at)
          VALUES (1, 21, 2, 'contact', '', 'John', 'Doe', 'jd@example.com', now(), now()), (3, 31, 3, 'contact', '', 'John', 'Doe', 'jd@example.com', now(), now())",
    )
    .await;
    let mut connection = pool.acquire().await.unwrap();
    for (text, ids) in [
        ("John Doe", &[11][..]),
        ("doe john", &[11]),
        ("ohn do", &[11]),
        ("n Doe", &[]),
        ("DOE", &[11]),
        ("jd@exa", &[11]),
        ("example", &[11, 13]),
        ("30 123", &[11]),
        ("+49", &[11]),
        ("030", &[13]),
        ("calls", &[11]),
        ("initech", &[11]),
        ("john initech", &[11]),
        ("sons prefers", &[11]),
        ("com +49", &[11]),
        ("jörg", &[12]),
        ("ÖSS", &[]),
        ("ößl", &[12]),
        ("00% s", &[12]),
        ("%", &[12]),
        ("_", &[12, 13]),
        ("&", &[11]),
        ("---", &[]),
        ("100%", &[12]),
        ("10_%", &[]),
        ("off_", &[12]),
        (r"e\m", &[12]),
        (r"sure\maybe", &[12]),
        (r"sure\\maybe", &[]),
        ("mary_a", &[13]),
        ("mary.a", &[]),
        ("jo", &[11]),
        ("jö", &[12]),
        ("an", &[13]),
        ("oh", &[]),
        ("o'", &[13]),
        ("hara", &[13]),
        ("nobody", &[]),
        ("", &[11, 12, 13]),
        ("  ", &[11, 12, 13]),
        ("nul\0", &[]),
    ] {
        let mut asked = query(ContactSort::Created, Direction::Ascending, States::All);
        asked.search = Some(text.to_owned());
        let page = search::contacts(&mut connection, HERE, &asked)
            .await
            .unwrap();
        let found: Vec<i64> = page.rows.iter().map(|(row, _)| row.id.0).collect();
        assert_eq!(found, ids, "{text:?}");
        // All words must match, wherever; so "30 123" is not taken for a phrase, and the counts say the same.
        let counts = search::counts(&mut connection, HERE, Listed::Contacts, Some(text))
            .await
            .unwrap();
        let exact = |count: usize| Count {
            count: i64::try_from(count).unwrap(),
            exact: true,
        };
        assert_eq!(counts.all, exact(ids.len()), "{text:?}");
        let inactive = ids.iter().filter(|&&id| id == 12).count();
        assert_eq!(counts.inactive, exact(inactive), "{text:?}");
        assert_eq!(counts.active, exact(ids.len() - inactive), "{text:?}");
    }
    let mut asked = query(OrganizationSort::Name, Direction::Ascending, States::All);
    asked.search = Some("staple".to_owned());
    let page = search::organizations(&mut connection, HERE, &asked)
        .await
        .unwrap();
    assert_eq!(page.rows.len(), 1);
    assert_eq!(page.rows[0].0.title, "Initech & Sons");
}

#[tokio::test]
async fn ids_are_a_filter_of_the_list_and_a_cursor_fits_its_sort_only() {
    let pool = places().await;
    various(&pool, HERE, 1000).await;
    various(&pool, BELOW, 2000).await;
    let mut connection = pool.acquire().await.unwrap();
    let mut asked = query(ContactSort::Phone, Direction::Descending, States::All);
    let all = forward(&mut connection, asked.clone(), 1000).await;
    let wanted: Vec<ItemId> = all.iter().step_by(3).map(|row| row.id).collect();
    let mut ids: Vec<ItemId> = wanted.iter().rev().copied().collect();
    // An organization, a contact of another group, and nobody.
    ids.extend([ItemId(1001), ItemId(2101), ItemId(9)]);
    asked.ids = Some(ids);
    for rows in [
        forward(&mut connection, asked.clone(), 4).await,
        backward(&mut connection, asked.clone(), 4).await,
    ] {
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), wanted);
    }
    asked.search = Some("nobody".to_owned());
    assert_eq!(forward(&mut connection, asked.clone(), 4).await, []);

    let place = search::contacts(
        &mut connection,
        HERE,
        &query(ContactSort::Email, Direction::Ascending, States::All),
    )
    .await
    .unwrap()
    .rows[0]
        .1
        .clone();
    let mut asked = query(ContactSort::Created, Direction::Ascending, States::All);
    asked.page = Page::First {
        count: 1,
        after: Some(place),
    };
    let error = search::contacts(&mut connection, HERE, &asked)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the cursor is not one of this list");
}

#[tokio::test]
async fn counts_say_when_they_stop_counting() {
    let pool = places().await;
    many(&pool).await;
    run(
        &pool,
        "INSERT INTO items (root_id, group_id, kind, title, created_at, updated_at)
         SELECT 1, 1, 'organization', 'Works ' || n, now(), now() FROM generate_series(1, 5001) AS n",
    )
    .await;
    let mut connection = pool.acquire().await.unwrap();
    let found = search::counts(&mut connection, HERE, Listed::Organizations, Some("works"))
        .await
        .unwrap();
    assert!(!found.all.exact && found.all.count == 5001);
    run(
        &pool,
        "DELETE FROM items WHERE kind = 'organization' AND title = 'Works 7'",
    )
    .await;
    let found = search::counts(&mut connection, HERE, Listed::Organizations, Some("works"))
        .await
        .unwrap();
    assert!(found.all.exact && found.all.count == 5000);
    let all = search::counts(&mut connection, HERE, Listed::Organizations, None);
    assert_eq!(
        all.await.unwrap().active,
        Count {
            count: 5000,
            exact: true
        }
    );
    let contacts = search::counts(&mut connection, HERE, Listed::Contacts, None);
    assert_eq!(contacts.await.unwrap().inactive.count, 1);
}

/// What differs between what triggers keep and what follows from the items.
async fn wrong(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "WITH expected AS (
             SELECT root_id, group_id, kind, state = 'active' AS active, rank, word, id
             FROM items, item_words_of(first_name, last_name, title, email)),
         kept AS (SELECT root_id, group_id, kind, active, rank, word, item_id FROM item_words)
         SELECT 'missing: ' || row_to_json(missing) FROM (TABLE expected EXCEPT ALL TABLE kept) AS missing
         UNION ALL SELECT 'left: ' || row_to_json(superfluous) FROM (TABLE kept EXCEPT ALL TABLE expected) AS superfluous
         UNION ALL SELECT 'title: ' || items.id FROM items
         LEFT JOIN items AS named ON named.root_id = items.root_id AND named.id = items.organization_id
         WHERE items.organization_title IS DISTINCT FROM named.title
         UNION ALL SELECT 'count: ' || row_to_json(counted) FROM (
             SELECT root_id, group_id, kind, state, sum(change) FROM (
                 TABLE item_counts UNION ALL SELECT root_id, group_id, kind, state, -1 FROM items) AS both_sides
             GROUP BY root_id, group_id, kind, state HAVING sum(change) <> 0) AS counted",
    )
    .fetch_all(connection)
    .await
    .unwrap()
}

#[tokio::test]
async fn what_is_derived_follows_every_write() {
    let pool = places().await;
    various(&pool, HERE, 1000).await;
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!(wrong(&mut connection).await, [""; 0]);
    for sql in [
        "UPDATE items SET title = 'Renamed Works' WHERE id = 1005",
        "UPDATE items SET phone = '1', updated_at = now() WHERE kind = 'contact'",
        "UPDATE items SET first_name = 'Anne-Marie', email = 'x-y.z@sub.example.com' WHERE id = 1104",
        "UPDATE items SET state = 'inactive' WHERE id < 1110",
        "UPDATE items SET organization_id = 1007 WHERE id BETWEEN 1110 AND 1120",
        "UPDATE items SET organization_id = NULL WHERE id = 1112",
        "UPDATE items SET organization_title = 'Not so' WHERE kind = 'contact'",
        "UPDATE items SET title = title || ' and others', organization_id = organization_id",
        "INSERT INTO items (root_id, id, group_id, kind, title, first_name, last_name, organization_id, organization_title, created_at, updated_at)
         VALUES (1, 5001, 1, 'contact', '', 'Eve', 'Late', 5002, 'wrong', now(), now()),
                (1, 5002, 1, 'organization', 'Comes After', NULL, NULL, NULL, NULL, now(), now())",
        "INSERT INTO items (root_id, id, group_id, kind, title, first_name, last_name, created_at, updated_at)
         VALUES (1, 5001, 1, 'contact', '', 'Eve', 'Late', now(), now())
         ON CONFLICT (root_id, id) DO UPDATE SET last_name = 'von Punctual', organization_id = 1002",
        "DELETE FROM items WHERE id = 1120",
        "UPDATE items SET organization_id = 1001 WHERE organization_id = 1007; DELETE FROM items WHERE id = 1007",
        "UPDATE items SET group_id = 2 WHERE id = 1121",
        // To another root, organizations and contacts in one statement, and one by one.
        "UPDATE items SET root_id = 3, group_id = 3 WHERE id < 1115 OR organization_id < 1115",
        "UPDATE items SET title = 'Renamed There' WHERE id = 1001",
        "WITH gone AS (DELETE FROM items WHERE id = 5001 RETURNING *)
         INSERT INTO items (root_id, group_id, kind, title, first_name, last_name, organization_id, created_at, updated_at)
         SELECT root_id, group_id, kind, title, 'Eva', last_name, organization_id, created_at, updated_at FROM gone",
        "DELETE FROM items WHERE kind = 'contact'",
        "DELETE FROM items",
    ] {
        connection.execute(sql).await.unwrap();
        assert_eq!(wrong(&mut connection).await, [""; 0], "after {sql}");
    }
    search::fold_counts(&mut connection).await.unwrap();
    assert_eq!(wrong(&mut connection).await, [""; 0]);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM item_words")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_contact_and_the_new_name_of_its_organization_meet_in_either_order() {
    let pool = places().await;
    run(
        &pool,
        "INSERT INTO items (root_id, id, group_id, kind, title, created_at, updated_at) VALUES (1, 1, 1, 'organization', 'Old', now(), now())",
    )
    .await;
    let insert = "INSERT INTO items (root_id, group_id, kind, title, first_name, last_name, organization_id, created_at, updated_at)
                  VALUES (1, 1, 'contact', '', 'Ada', 'Byron', 1, now(), now())";
    for (number, (first, second)) in [
        (
            insert,
            "UPDATE items SET title = 'New' WHERE root_id = 1 AND id = 1",
        ),
        (
            "UPDATE items SET title = 'Newer' WHERE root_id = 1 AND id = 1",
            insert,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut one = pool.begin().await.unwrap();
        one.execute(first).await.unwrap();
        let other = {
            let pool = pool.clone();
            spawn(async move {
                pool.execute(second).await.unwrap();
            })
        };
        // Until it waits for the first; if it should not wait at all, what it leaves is looked at below.
        loop {
            let waiting: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')",
            )
            .fetch_one(&pool)
            .await
            .unwrap();
            if waiting || other.is_finished() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        one.commit().await.unwrap();
        other.await.unwrap();
        let mut connection = pool.acquire().await.unwrap();
        assert_eq!(wrong(&mut connection).await, [""; 0], "round {number}");
    }
}

#[tokio::test]
async fn counts_stay_right_while_they_are_summed_up() {
    let pool = places().await;
    for n in 0..5 {
        various(&pool, HERE, 1000 * n).await;
    }
    let rows = async |pool: &PgPool| -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM item_counts")
            .fetch_one(pool)
            .await
            .unwrap()
    };
    assert!(rows(&pool).await > 10);
    let fold = async || {
        let mut connection = pool.acquire().await.unwrap();
        search::fold_counts(&mut connection).await.unwrap();
    };
    tokio::join!(fold(), fold(), fold(), various(&pool, HERE, 9000));
    fold().await;
    assert_eq!(rows(&pool).await, 4);
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!(wrong(&mut connection).await, [""; 0]);
    assert_eq!(search::fold_counts(&mut connection).await.unwrap(), 0);
}

/// Contacts for autocompletion, and an issue that has one of them.
async fn people(pool: &PgPool) -> IssueId {
    run(
        pool,
        "INSERT INTO connections (name, kind, url, bot_username, created_at) VALUES ('t', 'gitlab', 'http://t', 'bot', now());
         INSERT INTO projects (root_id, group_id, connection_id, remote_id, path, visibility, checked_at) VALUES (1, 1, 1, '1', 'acme/shop', 'private', now());
         INSERT INTO items (root_id, id, group_id, kind, state, title, created_at, updated_at)
         VALUES (1, 1, 1, 'organization', 'active', 'Ann Industries', now(), now()), (1, 2, 1, 'organization', 'inactive', 'Delta-Works GmbH', now(), now());
         INSERT INTO items (root_id, id, group_id, kind, state, title, first_name, last_name, email, organization_id, created_at, updated_at)
         VALUES (1, 11, 1, 'contact', 'active', '', 'Ann', 'Lee', 'lee@example.com', NULL, now(), now()),
                (1, 12, 1, 'contact', 'active', '', 'Anna', 'Berg', 'berg@example.com', NULL, now(), now()),
                (1, 13, 1, 'contact', 'active', '', 'Carl', 'Ann', NULL, NULL, now(), now()),
                (1, 14, 1, 'contact', 'active', '', 'Mary Ann', 'Stone', NULL, NULL, now(), now()),
                (1, 15, 1, 'contact', 'active', '', 'Eve', 'Anderson-Annis', NULL, NULL, now(), now()),
                (1, 16, 1, 'contact', 'active', '', 'Fay', 'Grey', 'ann@example.com', NULL, now(), now()),
                (1, 17, 1, 'contact', 'active', '', 'Gus', 'Holt', 'g.annual@example.com', NULL, now(), now()),
                (1, 18, 1, 'contact', 'active', '', 'Ida', 'Jung', 'ida@annex.example', NULL, now(), now()),
                (1, 19, 1, 'contact', 'active', '', 'Kim', 'Long', NULL, 1, now(), now()),
                (1, 20, 1, 'contact', 'inactive', '', 'Annette', 'Moor', NULL, 2, now(), now()),
                (1, 21, 2, 'contact', 'active', '', 'Ann', 'Below', NULL, NULL, now(), now()),
                (3, 31, 3, 'contact', 'active', '', 'Ann', 'Elsewhere', NULL, NULL, now(), now())",
    )
    .await;
    let issue = sqlx::query_scalar(
        "INSERT INTO issues (root_id, project_id, remote_id, iid, title, state, confidential, author_remote_id, assignee_remote_ids, remote_updated_at)
         SELECT 1, id, '1', 1, 'Call', 'opened', false, '1', '{}', now() FROM projects RETURNING id",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    sqlx::query("INSERT INTO issue_items (root_id, issue_id, item_id, added_at) VALUES (1, $1, 12, now()), (1, $1, 20, now())")
        .bind(issue)
        .execute(pool)
        .await
        .unwrap();
    issue
}

#[tokio::test]
async fn autocompletion_ranks_whole_words_then_names_then_addresses_then_organizations() {
    let pool = places().await;
    let issue = people(&pool).await;
    let completing = Completing::beside(&pool);
    completing.prepare().await.unwrap();
    for (term, purpose, ids) in [
        (
            "ann",
            Purpose::Any,
            &[14, 13, 11, 16, 19, 12, 20, 15, 18, 17][..],
        ),
        ("ann", Purpose::Add, &[14, 13, 11, 16, 19, 15, 18, 17]),
        ("ann", Purpose::Remove, &[12, 20]),
        ("", Purpose::Remove, &[12, 20]),
        ("ANN", Purpose::Add, &[14, 13, 11, 16, 19, 15, 18, 17]),
        ("ann l", Purpose::Any, &[11, 19]),
        ("lee ann", Purpose::Any, &[11]),
        ("ann in", Purpose::Any, &[19]),
        ("kim ann lo", Purpose::Any, &[19]),
        ("annis", Purpose::Any, &[15]),
        ("annis eve", Purpose::Any, &[15]),
        ("anderson-a", Purpose::Any, &[15]),
        ("example.c", Purpose::Any, &[11, 12, 16, 17]),
        ("ida@a", Purpose::Any, &[18]),
        ("com", Purpose::Any, &[]),
        ("ndustries", Purpose::Any, &[]),
        ("indust", Purpose::Any, &[19]),
        ("works", Purpose::Any, &[20]),
        ("works", Purpose::Add, &[]),
        ("gmb moo", Purpose::Any, &[20]),
        ("%", Purpose::Any, &[]),
        (".", Purpose::Any, &[]),
        ("x .*", Purpose::Any, &[]),
        ("ann (", Purpose::Any, &[]),
        ("\0", Purpose::Remove, &[12, 20]),
    ] {
        let found = completing.complete(HERE, term, Some(issue), purpose, 20);
        let found = found.await.unwrap();
        let found_ids: Vec<i64> = found.iter().map(|found| found.id.0).collect();
        assert_eq!(found_ids, ids, "{term:?} {purpose:?}");
        for contact in found {
            assert_eq!(contact.set, [12, 20].contains(&contact.id.0));
            assert_eq!(contact.active, contact.id.0 != 20);
        }
    }
    let found = completing.complete(HERE, "", None, Purpose::Any, 3);
    let found = found.await.unwrap();
    assert_eq!(found.len(), 3);
}

#[tokio::test]
async fn words_that_are_common_each_are_found_together_all_the_same() {
    let pool = places().await;
    run(
        &pool,
        "INSERT INTO items (root_id, id, group_id, kind, title, first_name, last_name, email, created_at, updated_at)
         SELECT 1, n, 1, 'contact', '', CASE WHEN n % 2 = 0 THEN 'Mary' ELSE 'Sue' END || ' Q' || n, CASE WHEN n % 2 = 0 THEN 'Jones' ELSE 'Smith' END, NULL, now(), now()
         FROM generate_series(1, 1200) AS n
         UNION ALL SELECT 1, 2000, 1, 'contact', '', 'Mary Z', 'Smithers', NULL, now(), now()",
    )
    .await;
    let completing = Completing::beside(&pool);
    let found = completing.complete(HERE, "mary smith", None, Purpose::Any, 10);
    let found = found.await.unwrap();
    assert_eq!(
        found.iter().map(|found| found.id.0).collect::<Vec<_>>(),
        [2000]
    );
}

#[tokio::test]
async fn related_rows_are_loaded_many_at_once() {
    let pool = places().await;
    let issue = people(&pool).await;
    let mut connection = pool.acquire().await.unwrap();
    let page = search::contacts_of_issues(&mut connection, HERE, &[issue, IssueId(99)], 1, None)
        .await
        .unwrap();
    assert_eq!(page.len(), 1);
    let ids = |rows: &[ContactRow]| rows.iter().map(|row| row.id.0).collect::<Vec<_>>();
    assert_eq!(
        (ids(&page[&issue].rows), page[&issue].has_next),
        (vec![12], true)
    );
    let after = Some(ItemId(12));
    let page = search::contacts_of_issues(&mut connection, HERE, &[issue], 1, after)
        .await
        .unwrap();
    assert_eq!(
        (ids(&page[&issue].rows), page[&issue].has_next),
        (vec![20], false)
    );
    let issues = search::issues_of_contact(&mut connection, HERE.0, ItemId(12), 10, None)
        .await
        .unwrap();
    assert_eq!(issues.len(), 1);
    assert_eq!((issues[0].id, issues[0].title.as_str()), (issue, "Call"));
    let before = search::issues_of_contact(&mut connection, HERE.0, ItemId(12), 10, Some(issue));
    assert_eq!(before.await.unwrap(), []);
    let wanted = [ItemId(19), ItemId(1), ItemId(21), ItemId(31)];
    let contacts = search::contacts_by_ids(&mut connection, HERE, &wanted)
        .await
        .unwrap();
    assert_eq!(contacts.len(), 1);
    assert_eq!(
        contacts[&ItemId(19)].organization_title.as_deref(),
        Some("Ann Industries")
    );
    let organizations = search::organizations_by_ids(&mut connection, HERE, &wanted)
        .await
        .unwrap();
    assert_eq!(organizations.len(), 1);
}

#[tokio::test]
async fn issues_of_a_group_are_those_of_its_projects_and_those_below_newest_first() {
    let pool = places().await;
    run(
        &pool,
        "INSERT INTO groups (root_id, id, parent_id, path, name, contact_group_id, created_at)
         VALUES (1, 4, 2, 'acme/below/deep', 'Deep', 2, now()), (1, 5, 1, 'acme/belowed', 'Belowed', 5, now());
         INSERT INTO connections (name, kind, url, bot_username, created_at) VALUES ('t', 'gitlab', 'http://t', 'bot', now());
         INSERT INTO projects (root_id, group_id, connection_id, remote_id, path, visibility, checked_at)
         SELECT root_id, id, 1, id, path || '/shop', 'private', now() FROM groups;
         INSERT INTO issues (root_id, project_id, remote_id, iid, title, state, confidential, author_remote_id, assignee_remote_ids, remote_updated_at)
         SELECT root_id, projects.id, n * 10 + projects.id, n, path || ' ' || n, 'opened', false, '1', '{}', now()
         FROM generate_series(1, 3) AS n, projects ORDER BY n, group_id",
    )
    .await;
    let mut connection = pool.acquire().await.unwrap();
    let mut titles = async |place, page| {
        let found = search::issues(&mut connection, place, search::Among::Group, page);
        let found = found.await.unwrap();
        let last = found.last().map(|issue| issue.id);
        let titles = found.into_iter().map(|issue| issue.title);
        (titles.collect::<Vec<_>>(), last)
    };
    let (first, last) = titles(BELOW, (3, None)).await;
    assert_eq!(
        first,
        [
            "acme/below/deep/shop 3",
            "acme/below/shop 3",
            "acme/below/deep/shop 2"
        ]
    );
    let (second, _) = titles(BELOW, (10, last)).await;
    assert_eq!(
        second,
        [
            "acme/below/shop 2",
            "acme/below/deep/shop 1",
            "acme/below/shop 1"
        ]
    );
    let (all, _) = titles(HERE, (100, None)).await;
    assert_eq!((all.len(), all[0].as_str()), (12, "acme/belowed/shop 3"));
    let (other, _) = titles(ELSEWHERE, (100, None)).await;
    assert_eq!(other, ["other/shop 3", "other/shop 2", "other/shop 1"]);
}

#[tokio::test]
async fn rows_of_another_group_or_tenant_never_appear() {
    let pool = places().await;
    for (place, first) in [(HERE, 1000), (BELOW, 2000), (ELSEWHERE, 3000)] {
        various(&pool, place, first).await;
    }
    let completing = Completing::beside(&pool);
    let mut connection = pool.acquire().await.unwrap();
    let strangers: Vec<ItemId> = (1..4000).map(ItemId).collect();
    for (place, first) in [(HERE, 1000), (BELOW, 2000), (ELSEWHERE, 3000)] {
        let own: HashSet<i64> = (first..first + 1000).collect();
        let check = |ids: &mut dyn Iterator<Item = ItemId>, what: &str| {
            for id in ids {
                assert!(own.contains(&id.0), "{what}: {id}");
            }
        };
        for text in [
            "", "a", "ada", "example", "acme", "acme 1", "ö", "likes", "jean l", "nobody",
        ] {
            for sort in ContactSort::ALL {
                let mut asked = query(sort, Direction::Descending, States::All);
                asked.search = Some(text.to_owned());
                for ids in [None, Some(strangers.clone())] {
                    asked.ids = ids;
                    let page = search::contacts(&mut connection, place, &asked)
                        .await
                        .unwrap();
                    check(&mut page.rows.iter().map(|(row, _)| row.id), text);
                    assert!(page.rows.iter().all(|(row, _)| row.group_id == place.1));
                    let counts =
                        search::counts(&mut connection, place, Listed::Contacts, Some(text));
                    assert_eq!(
                        counts.await.unwrap().all.count,
                        i64::try_from(page.rows.len()).unwrap()
                    );
                }
            }
            let mut asked = query(OrganizationSort::Name, Direction::Ascending, States::All);
            asked.search = Some(text.to_owned());
            let page = search::organizations(&mut connection, place, &asked)
                .await
                .unwrap();
            check(&mut page.rows.iter().map(|(row, _)| row.id), text);
            let found = completing.complete(place, text, None, Purpose::Any, 50);
            check(&mut found.await.unwrap().iter().map(|found| found.id), text);
        }
        let contacts = search::contacts_by_ids(&mut connection, place, &strangers)
            .await
            .unwrap();
        assert_eq!(contacts.len(), 40);
        check(&mut contacts.into_keys(), "contacts");
        let organizations = search::organizations_by_ids(&mut connection, place, &strangers)
            .await
            .unwrap();
        assert_eq!(organizations.len(), 20);
        check(&mut organizations.into_keys(), "organizations");
    }
}

#[tokio::test]
async fn no_query_reads_a_whole_table_however_often_it_was_planned() {
    let pool = places().await;
    let issue = people(&pool).await;
    // The first plans are made of small tables.
    let mut connection = pool.acquire().await.unwrap();
    // In one transaction, so that its own counters tell.
    let mut transaction = connection.begin().await.unwrap();
    for round in 0..10 {
        if round == 3 {
            transaction
                .execute(
                    "INSERT INTO items (root_id, id, group_id, kind, title, first_name, last_name, email, organization_id, created_at, updated_at)
                     SELECT 1, 1000 + n, 1, 'contact', '', 'Ann' || n, 'Lee' || n % 50, 'ann' || n || '@example.com', 1, now(), now()
                     FROM generate_series(1, 4000) AS n",
                )
                .await
                .unwrap();
        }
        let before = reads(&mut transaction).await;
        for sort in [ContactSort::Email, ContactSort::Organization] {
            let mut asked = query(sort, Direction::Ascending, States::All);
            asked.page = Page::First {
                count: 20,
                after: None,
            };
            let page = search::contacts(&mut transaction, HERE, &asked)
                .await
                .unwrap();
            let after = page.rows.get(3).map(|(_, place)| place.clone());
            asked.page = Page::First { count: 20, after };
            search::contacts(&mut transaction, HERE, &asked)
                .await
                .unwrap();
        }
        transaction
            .execute("SET LOCAL enable_sort = off")
            .await
            .unwrap();
        for term in ["a", "ann", "ann l", "gm"] {
            search::complete(&mut transaction, HERE, term, Some(issue), Purpose::Add, 10)
                .await
                .unwrap();
        }
        search::contacts_of_issues(&mut transaction, HERE, &[issue], 20, None)
            .await
            .unwrap();
        search::issues_of_contact(&mut transaction, HERE.0, ItemId(12), 20, None)
            .await
            .unwrap();
        let after = reads(&mut transaction).await;
        assert_eq!(after.0 - before.0, 0, "round {round} read a whole table");
        // Four pages of two states, and few rows of each range of each word.
        assert!(
            after.1 - before.1 < 6000,
            "round {round} fetched {} rows",
            after.1 - before.1
        );

        let before = after;
        for text in ["nobody", "annex", "an", "x"] {
            let mut asked = query(ContactSort::FirstName, Direction::Ascending, States::All);
            asked.search = Some(text.to_owned());
            asked.page = Page::First {
                count: 20,
                after: None,
            };
            search::contacts(&mut transaction, HERE, &asked)
                .await
                .unwrap();
            search::counts(&mut transaction, HERE, Listed::Contacts, Some(text))
                .await
                .unwrap();
        }
        let after = reads(&mut transaction).await;
        assert_eq!(after.0 - before.0, 0, "round {round} read a whole table");
    }
}

/// Whole tables read and rows fetched by index, in this transaction, of the tables that search reads.
async fn reads(connection: &mut PgConnection) -> (i64, i64) {
    sqlx::query_as(
        "SELECT sum(seq_scan)::bigint, sum(idx_tup_fetch)::bigint FROM pg_stat_xact_user_tables
         WHERE relname IN ('items', 'item_words', 'issue_items', 'issues')",
    )
    .fetch_one(connection)
    .await
    .unwrap()
}

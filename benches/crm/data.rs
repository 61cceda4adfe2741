//! A tenant of a million contacts with names as people have them: few are common, most are rare.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Executor, PgPool};

use crate::figure::{Figure, line};

/// Organizations of the group.
pub(crate) const ORGANIZATIONS: i64 = 100_000;
/// Contacts of the group, whose ids follow those of the organizations.
pub(crate) const CONTACTS: i64 = 1_000_000;
/// Issues of the group's project.
pub(crate) const ISSUES: i64 = 300_000;
const RELATIONS: i64 = 3_000_000;
/// Contacts of one statement.
const STEP: i64 = 100_000;

/// First names, the common ones first.
pub(crate) const FIRST: &[&str] = &[
    "Maria",
    "Anna",
    "Thomas",
    "John",
    "Michael",
    "Emma",
    "Peter",
    "Laura",
    "David",
    "Julia",
    "Daniel",
    "Sarah",
    "Andreas",
    "James",
    "Katharina",
    "Robert",
    "Lena",
    "Martin",
    "Sophie",
    "Paul",
    "Lisa",
    "Stefan",
    "Mary",
    "Christian",
    "Nina",
    "William",
    "Eva",
    "Markus",
    "Jennifer",
    "Jan",
    "Linda",
    "Alexander",
    "Susan",
    "Tobias",
    "Karen",
    "Florian",
    "Hannah",
    "Joseph",
    "Clara",
    "Richard",
    "Ines",
    "Sebastian",
    "Ruth",
    "Matthias",
    "Olivia",
    "George",
    "Barbara",
    "Lukas",
    "Helen",
    "Simon",
    "Alice",
    "Frank",
    "Marta",
    "Oliver",
    "Johanna",
    "Benjamin",
    "Elena",
    "Samuel",
    "Carla",
    "Patrick",
    "Irene",
    "Philipp",
    "Monika",
    "Kevin",
    "Greta",
    "Jonas",
    "Vera",
    "Anthony",
    "Silvia",
    "Niklas",
    "Rosa",
    "Felix",
    "Diana",
    "Leon",
    "Petra",
    "Adam",
    "Joan",
    "Henrik",
    "Marianne",
    "Victor",
    "Teresa",
    "Anne-Marie",
    "Jean Luc",
    "Søren",
    "Jürgen",
    "Łukasz",
    "Zoë",
    "Björn",
    "Xenia",
    "Quentin",
    "Yusuf",
    "Ursula",
    "Ömer",
    "Dagny",
    "Ignatius",
    "Philippa",
    "Theodora",
    "Wolfram",
    "Zacharias",
    "Æthel",
];

/// Last names, the common ones first.
pub(crate) const LAST: &[&str] = &[
    "Müller",
    "Smith",
    "Schmidt",
    "Johnson",
    "Schneider",
    "Williams",
    "Fischer",
    "Brown",
    "Weber",
    "Jones",
    "Meyer",
    "Garcia",
    "Wagner",
    "Miller",
    "Becker",
    "Davis",
    "Schulz",
    "Martinez",
    "Hoffmann",
    "Lopez",
    "Koch",
    "Wilson",
    "Bauer",
    "Anderson",
    "Richter",
    "Taylor",
    "Klein",
    "Moore",
    "Wolf",
    "Jackson",
    "Schröder",
    "Martin",
    "Neumann",
    "Lee",
    "Schwarz",
    "Thompson",
    "Zimmermann",
    "White",
    "Braun",
    "Harris",
    "Krüger",
    "Clark",
    "Hofmann",
    "Lewis",
    "Hartmann",
    "Robinson",
    "Lange",
    "Walker",
    "Werner",
    "Young",
    "Krause",
    "Allen",
    "Lehmann",
    "King",
    "Köhler",
    "Wright",
    "Maier",
    "Scott",
    "Herrmann",
    "Torres",
    "König",
    "Nguyen",
    "Walter",
    "Hill",
    "Mayer",
    "Flores",
    "Huber",
    "Green",
    "Kaiser",
    "Adams",
    "Fuchs",
    "Nelson",
    "Peters",
    "Baker",
    "Lang",
    "Hall",
    "Scholz",
    "Rivera",
    "Möller",
    "Campbell",
    "Weiß",
    "Carter",
    "Jung",
    "Roberts",
    "Hahn",
    "Phillips",
    "Schubert",
    "Evans",
    "Vogel",
    "Turner",
    "Friedrich",
    "Parker",
    "Keller",
    "Collins",
    "Günther",
    "Edwards",
    "Frank",
    "Stewart",
    "Berger",
    "Morris",
    "Winkler",
    "Murphy",
    "Roth",
    "Cook",
    "Beck",
    "Rogers",
    "Lorenz",
    "Morgan",
    "Baumann",
    "Cooper",
    "Franke",
    "Bailey",
    "Albrecht",
    "Reed",
    "Schuster",
    "Kelly",
    "Simon",
    "Howard",
    "Ludwig",
    "Ramos",
    "Böhm",
    "Kim",
    "Winter",
    "Cox",
    "Kraus",
    "Ward",
    "van der Berg",
    "O'Brien",
    "Nowak",
    "Kowalski",
    "Rossi",
    "Dubois",
    "Jansen",
    "Nielsen",
    "Larsson",
    "Silva",
    "Ivanova",
    "Tanaka",
    "Wang",
    "Singh",
    "Kumar",
    "Ali",
    "Yıldız",
    "Quist",
    "Xu",
    "Zapp",
];

const BRANDS: &[&str] = &[
    "Alpine", "Apex", "Aurora", "Beacon", "Birch", "Bridge", "Cedar", "Cobalt", "Crown", "Delta",
    "Eagle", "Ember", "Falcon", "Fjord", "Forge", "Frontier", "Global", "Golden", "Granite",
    "Harbor", "Helix", "Horizon", "Imperial", "Iron", "Juniper", "Keystone", "Lantern", "Liberty",
    "Lotus", "Lunar", "Maple", "Meridian", "Metro", "Mountain", "National", "Nimbus", "Nordic",
    "Nova", "Oak", "Omega", "Onyx", "Orbit", "Pacific", "Phoenix", "Pine", "Polar", "Prime",
    "Quantum", "Quartz", "Raven", "Ridge", "River", "Royal", "Sage", "Sierra", "Silver", "Solar",
    "Spark", "Stone", "Summit", "Swift", "Terra", "Titan", "Union", "Urban", "Vertex", "Vista",
    "Willow", "Zenith",
];
const TRADES: &[&str] = &[
    "Logistics",
    "Software",
    "Consulting",
    "Industries",
    "Systems",
    "Foods",
    "Energy",
    "Media",
    "Partners",
    "Motors",
    "Textiles",
    "Pharma",
    "Insurance",
    "Robotics",
    "Networks",
    "Analytics",
    "Design",
    "Plumbing",
    "Bakery",
    "Travel",
    "Shipping",
    "Steel",
    "Optics",
    "Printing",
    "Records",
    "Games",
    "Security",
    "Health",
    "Dental",
    "Farms",
    "Timber",
    "Mining",
    "Water",
    "Telecom",
];
const FORMS: &[&str] = &[" GmbH", " AG", " Ltd", " Inc", " & Co", ""];
const MAILERS: &[&str] = &[
    "mail.example",
    "post.example.org",
    "inbox.example.com",
    "freemail.example.net",
];
const NOTES: &[&str] = &[
    "prefers calls in the morning",
    "met at the trade fair in Hanover",
    "invoices go to another address",
    "decides on purchases",
    "speaks German and French",
    "asked for a quote twice, 10% promised",
    "works part time, Monday to Wednesday",
    "responsible for the move to a new data centre",
    "waits for the questionnaire on security",
    "newsletter since the launch",
    "complained about response times, handle with care",
    "assistant to the board",
    "leads the project of the new warehouse",
    "wants everything by e-mail",
    "standing order for spare parts",
    "signed the framework agreement",
];

/// A number from 0 up to 1 that follows from a row's number, different for each `seed`.
fn chance(seed: u8) -> String {
    format!("((hashint8extended(n, {seed}) & 2147483647)::float8 / 2147483648)")
}

/// One of the texts of a parameter; the first ones are the likelier, the higher the skew.
fn pick(parameter: u8, seed: u8, skew: f64) -> String {
    format!(
        "(${parameter}::text[])[1 + floor(power({}, {skew}) * cardinality(${parameter}::text[]))::int]",
        chance(seed)
    )
}

/// Fills an empty database; returns how long the last step of contacts took, with all others there.
pub(crate) async fn fill(pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    let filled: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM groups)")
        .fetch_one(pool)
        .await?;
    if filled {
        return Ok(Vec::new());
    }
    let begun = Instant::now();
    pool.execute(
        "INSERT INTO connections (name, kind, url, bot_username, created_at) VALUES ('tracker', 'gitlab', 'http://tracker.example', 'bot', now());
         INSERT INTO groups (root_id, id, path, name, contact_group_id, created_at) VALUES (1, 1, 'acme', 'Acme', 1, now());
         INSERT INTO projects (root_id, group_id, connection_id, remote_id, path, visibility, checked_at) VALUES (1, 1, 1, '1', 'acme/shop', 'private', now());
         SELECT setval(pg_get_serial_sequence('items', 'id'), 10000000)",
    )
    .await?;
    organizations(pool).await?;
    let mut import = Duration::ZERO;
    for first in (0..CONTACTS).step_by(usize::try_from(STEP)?) {
        let step = Instant::now();
        contacts(pool, first).await?;
        import = step.elapsed();
    }
    relations(pool).await?;
    line(&format!("filled in {:.0} s", begun.elapsed().as_secs_f64()))?;
    Ok(vec![Figure {
        name: "import of 100,000 contacts beside 900,000".to_owned(),
        target: Duration::from_secs(20),
        times: vec![import],
    }])
}

async fn organizations(pool: &PgPool) -> anyhow::Result<()> {
    let sql = format!(
        "INSERT INTO items (root_id, id, group_id, kind, state, title, description, default_rate, created_at, updated_at)
         SELECT 1, n, 1, 'organization', CASE WHEN {} < 0.05 THEN 'inactive' ELSE 'active' END, {} || ' ' || {} || {} || ' ' || n,
                CASE WHEN {} < 0.4 THEN {} END, CASE WHEN {} < 0.6 THEN round((20 + 200 * {})::numeric, 2) END,
                now() - {} * interval '3 years', now() - {} * interval '1 year'
         FROM generate_series(1, $5::bigint) AS n",
        chance(1), pick(1, 2, 1.3), pick(2, 3, 1.3), pick(3, 4, 1.0), chance(5), pick(4, 6, 1.0), chance(7), chance(8), chance(9), chance(10)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(BRANDS)
        .bind(TRADES)
        .bind(FORMS)
        .bind(NOTES)
        .bind(ORGANIZATIONS)
        .execute(pool)
        .await?;
    Ok(())
}

async fn contacts(pool: &PgPool, first: i64) -> anyhow::Result<()> {
    let sql = format!(
        "INSERT INTO items (root_id, id, group_id, kind, state, title, first_name, last_name, email, phone, description, organization_id, created_at, updated_at)
         SELECT 1, $5 + n, 1, 'contact', CASE WHEN {} < 0.08 THEN 'inactive' ELSE 'active' END, f || ' ' || l, f, l,
                CASE WHEN {} < 0.9 THEN translate(lower(f || '.' || l), ' ''', '') || CASE WHEN o IS NULL THEN n::text ELSE '' END
                     || '@' || coalesce('o' || o || '-' || n % 97 || '.example', {}) END,
                CASE WHEN {} < 0.7 THEN '+' || 30 + n % 60 || ' ' || (1000000 + 8999999 * {})::int END,
                CASE WHEN {} < 0.4 THEN {} END, o, now() - {} * interval '3 years', now() - {} * interval '1 year'
         FROM generate_series($6::bigint, $7::bigint) AS n,
              LATERAL (SELECT {} AS f, {} AS l, CASE WHEN {} < 0.8 THEN 1 + floor(power({}, 1.5) * $5)::bigint END AS o) AS person
         ON CONFLICT DO NOTHING",
        chance(11), chance(12), pick(3, 13, 1.0), chance(14), chance(15), chance(16), pick(4, 17, 1.0), chance(18), chance(19),
        pick(1, 20, 2.0), pick(2, 21, 2.0), chance(22), chance(23)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(FIRST)
        .bind(LAST)
        .bind(MAILERS)
        .bind(NOTES)
        .bind(ORGANIZATIONS)
        .bind(first + 1)
        .bind(first + STEP)
        .execute(pool)
        .await?;
    Ok(())
}

async fn relations(pool: &PgPool) -> anyhow::Result<()> {
    // What is related is there, and looking that up three million times is not what is measured.
    let mut connection = pool.acquire().await?;
    connection
        .execute("SET session_replication_role = replica")
        .await?;
    sqlx::query(
        "INSERT INTO issues (root_id, project_id, remote_id, iid, title, state, confidential, author_remote_id, assignee_remote_ids, remote_updated_at)
         SELECT 1, 1, n::text, n, 'Issue ' || n, 'opened', false, '1', '{}', now() FROM generate_series(1, $1::bigint) AS n",
    )
    .bind(ISSUES)
    .execute(&mut *connection)
    .await?;
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO issue_items (root_id, issue_id, item_id, added_at)
         SELECT 1, 1 + n % $1, 1 + $2 + floor(power({}, 3) * $3)::bigint, now() FROM generate_series(1, $4::bigint) AS n
         ON CONFLICT DO NOTHING",
        chance(31)
    )))
    .bind(ISSUES)
    .bind(ORGANIZATIONS)
    .bind(CONTACTS)
    .bind(RELATIONS)
    .execute(&mut *connection)
    .await?;
    connection
        .execute("SET session_replication_role = DEFAULT")
        .await?;
    for table in [
        "items",
        "item_words",
        "item_counts",
        "issues",
        "issue_items",
    ] {
        let vacuum = format!("VACUUM (ANALYZE) {table}");
        connection.execute(AssertSqlSafe(vacuum)).await?;
    }
    connection.execute("CHECKPOINT").await?;
    Ok(())
}

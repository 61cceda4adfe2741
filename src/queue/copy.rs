//! The fast way into the inbox: `COPY` in the binary format of Postgres ("COPY", section "Binary Format").
//!
//! Postgres writes the rows of a `COPY` page by page, where an `INSERT … ON CONFLICT` looks for each row first, writes it as a promise and
//! keeps that. A repeat makes the whole `COPY` fail, so it is for groups that hold none.

use sqlx::PgConnection;

use super::Arrival;

const STATEMENT: &str = "COPY deliveries (root_id, id, webhook_id, lane, dedupe_key, received_at, headers, body) FROM STDIN (FORMAT binary)";
/// Columns of the statement.
const COLUMNS: i16 = 8;
/// The signature, no flags, and no extension of the header.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands in the place of a row's number of columns after the last row.
const END: i16 = -1;
/// Bytes of a row beside headers and body: eight lengths and what has a fixed one.
const ROW: usize = 2 + 8 * 4 + 3 * 8 + 2 * 16 + 8;
/// 2000-01-01, from which Postgres counts microseconds, in those of the Unix epoch.
const EPOCH: i64 = 946_684_800_000_000;

/// Stores arrivals, all of them or none.
///
/// # Errors
/// Fails with a unique violation where one came before.
pub(super) async fn copy(connection: &mut PgConnection, arrivals: &[Arrival]) -> sqlx::Result<()> {
    let mut copying = connection.copy_in_raw(STATEMENT).await?;
    copying.send(encode(arrivals)).await?;
    copying.finish().await?;
    Ok(())
}

fn encode(arrivals: &[Arrival]) -> Vec<u8> {
    let size = |arrival: &Arrival| ROW + arrival.headers.len() + arrival.body.len();
    let rows: usize = arrivals.iter().map(size).sum();
    let mut to = Vec::with_capacity(HEADER.len() + rows + size_of_val(&END));
    to.extend_from_slice(HEADER);
    for arrival in arrivals {
        to.extend_from_slice(&COLUMNS.to_be_bytes());
        put(&mut to, &arrival.root.0.to_be_bytes());
        put(&mut to, arrival.id.0.as_bytes());
        put(&mut to, &arrival.webhook.0.to_be_bytes());
        put(&mut to, &arrival.lane.0.to_be_bytes());
        put(&mut to, &arrival.dedupe_key);
        let received_at = arrival.received_at.timestamp_micros() - EPOCH;
        put(&mut to, &received_at.to_be_bytes());
        put(&mut to, arrival.headers.as_bytes());
        put(&mut to, &arrival.body);
    }
    to.extend_from_slice(&END.to_be_bytes());
    to
}

/// Puts a value with its length. Bodies are far shorter than the format allows; a longer value would be refused by Postgres as malformed.
fn put(to: &mut Vec<u8>, value: &[u8]) {
    let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(value);
}

//! What came with deliveries, headers and bodies, in blocks: those that are stored by one commit are pressed together. What one sender sends is
//! much alike, and several deliveries take little more room than one.

use std::{collections::HashMap, ops::Range};

use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress, get_maximum_output_size,
};
use sqlx::PgPool;
use uuid::Uuid;

use super::Arrival;

/// Most bytes of several deliveries in one block, which is how far back LZ4 looks for what it has seen before ("LZ4 Block Format Description"). A
/// longer delivery has a block for itself, as it came: pressing it would hold up those that arrive meanwhile.
const LARGEST: usize = 64 << 10;

/// Headers and bodies of some deliveries, one behind the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// The newest of the deliveries.
    pub(super) id: Uuid,
    /// Bytes of what it holds.
    pub(super) size: i32,
    /// An LZ4 block of that if it is shorter, else that itself.
    pub(super) content: &'a [u8],
}

/// Where a delivery's headers and, behind them, its body are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// In which block.
    pub(super) block: Uuid,
    /// From which byte on.
    pub(super) from: i32,
    /// Bytes of the headers.
    pub(super) headers: i32,
    /// Bytes of the body.
    pub(super) body: i32,
}

/// Puts deliveries into blocks, in memory that it keeps for those that come next: as much as the largest group took.
#[derive(Default)]
pub struct Press {
    /// What goes into one block.
    joined: Vec<u8>,
    /// What came out for all of them.
    pressed: Vec<u8>,
    table: CompressTable,
}

impl Press {
    /// Puts arrivals into blocks; returns the place of each, in their order.
    pub(super) fn pack<'a>(&'a mut self, arrivals: &[&'a Arrival]) -> (Vec<Block<'a>>, Vec<Place>) {
        let mut end = 0;
        let mut places = Vec::with_capacity(arrivals.len());
        let mut contents = Vec::new();
        let mut rest = arrivals;
        while let [first, ..] = rest {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|arrival| {
                bytes += arrival.sent.bytes().len();
                bytes <= LARGEST
            });
            let (together, others) = rest.split_at(fits.count().max(1));
            let newest = together.iter().map(|arrival| arrival.id.0).max();
            let block = newest.unwrap_or_default();
            let mut from = 0;
            for arrival in together {
                let (headers, body) = arrival.sent.sizes();
                places.push(Place {
                    block,
                    from: length(from),
                    headers: length(headers),
                    body: length(body),
                });
                from += headers + body;
            }
            let content = if from > LARGEST {
                Content::AsItCame(first.sent.bytes())
            } else {
                let range = self.press(end, together);
                end = range.end;
                Content::Pressed(range)
            };
            contents.push((block, from, content));
            rest = others;
        }
        let blocks = contents.into_iter().map(|(id, size, content)| Block {
            id,
            size: length(size),
            content: match content {
                Content::AsItCame(bytes) => bytes,
                Content::Pressed(range) => self.pressed.get(range).unwrap_or_default(),
            },
        });
        (blocks.collect(), places)
    }

    /// Presses what came with some arrivals, and puts it behind what is there already; returns where it is.
    fn press(&mut self, start: usize, together: &[&Arrival]) -> Range<usize> {
        self.joined.clear();
        for arrival in together {
            self.joined.extend_from_slice(arrival.sent.bytes());
        }
        let (size, most) = (
            self.joined.len(),
            get_maximum_output_size(self.joined.len()),
        );
        if self.pressed.len() < start + most {
            self.pressed.resize(start + most, 0);
        }
        let room = self.pressed.get_mut(start..).unwrap_or_default();
        let pressed = compress_into_with_table(&self.joined, room, &mut self.table);
        let shorter = pressed.ok().filter(|pressed| *pressed < size);
        if let (None, Some(room)) = (shorter, room.get_mut(..size)) {
            room.copy_from_slice(&self.joined);
        }
        start..start + shorter.unwrap_or(size)
    }
}

enum Content<'a> {
    AsItCame(&'a [u8]),
    Pressed(Range<usize>),
}

/// Deliveries are far shorter than this type allows.
fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

/// Reads the blocks of some places.
pub(super) async fn read(pool: &PgPool, places: &[Place]) -> sqlx::Result<Blocks> {
    let ids: Vec<Uuid> = places.iter().map(|place| place.block).collect();
    let rows = sqlx::query!(
        "SELECT id, size, content FROM delivery_blocks WHERE id = ANY($1)",
        &ids,
    )
    .fetch_all(pool)
    .await?;
    let mut blocks = Blocks::default();
    for row in rows {
        blocks.add(row.id, row.size, row.content);
    }
    Ok(blocks)
}

/// Blocks that were read.
#[derive(Debug, Default)]
pub(super) struct Blocks(HashMap<Uuid, Vec<u8>>);

impl Blocks {
    /// Adds a block as it is stored.
    pub(super) fn add(&mut self, id: Uuid, size: i32, content: Vec<u8>) {
        let size = bytes(size);
        let joined = if content.len() < size {
            decompress(&content, size).unwrap_or_else(|error| {
                tracing::error!(block = %id, %error, "a block of deliveries cannot be read");
                Vec::new()
            })
        } else {
            content
        };
        self.0.insert(id, joined);
    }

    /// Returns the headers and the body of a delivery. Those whose block cannot be read are empty, which whoever decodes them refuses: they do
    /// not hold up the others.
    pub(super) fn sent(&self, place: Place) -> (&[u8], &[u8]) {
        let joined = self.0.get(&place.block);
        let sent = joined.and_then(|joined| joined.get(bytes(place.from)..));
        sent.and_then(|sent| {
            let (headers, rest) = sent.split_at_checked(bytes(place.headers))?;
            Some((headers, rest.get(..bytes(place.body))?))
        })
        .unwrap_or_default()
    }
}

/// Sizes are never negative.
fn bytes(size: i32) -> usize {
    usize::try_from(size).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::Sent, *};
    use crate::domain::{Clock, ConnectionId, DeliveryId, Lane, ManualClock, RootId, WebhookId};

    fn arrivals(bodies: Vec<Vec<u8>>) -> Vec<Arrival> {
        let clock = ManualClock::at(chrono::DateTime::UNIX_EPOCH);
        let arrival = |body: Vec<u8>| Arrival {
            id: DeliveryId(clock.id()),
            root: RootId(1),
            webhook: WebhookId(1),
            connection: ConnectionId(1),
            lane: Lane(1),
            dedupe_key: [0; 16],
            received_at: clock.now(),
            sent: Sent::new(&serde_json::json!({ "length": body.len() }), &body),
        };
        bodies.into_iter().map(arrival).collect()
    }

    /// Bytes that no two of are alike.
    fn noise(count: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let next = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        });
        next.take(count).collect()
    }

    #[test]
    fn bodies_come_out_as_they_went_in() {
        let note = |n: usize| {
            format!(
                "{{\"note\": \"{n}\", \"project\": \"{}\"}}",
                "x".repeat(2000)
            )
        };
        // What one group leaves in it does not come out with the next.
        let mut press = Press::default();
        let alike: Vec<Vec<u8>> = (0..40).map(|n| note(n).into_bytes()).collect();
        for (bodies, count) in [
            (vec![], 0),
            (vec![vec![]], 1),
            (vec![b"{}".to_vec()], 1),
            (vec![b"a".to_vec(), vec![], b"b".to_vec()], 1),
            (alike, 2),
            (vec![noise(LARGEST, 1), b"{}".to_vec()], 2),
            (
                vec![
                    vec![b' '; LARGEST + 1],
                    noise(99_000, 2),
                    b"[]".to_vec(),
                    noise(9, 3),
                ],
                3,
            ),
        ] {
            let arrivals = arrivals(bodies);
            let (blocks, places) = press.pack(&arrivals.iter().collect::<Vec<_>>());
            assert_eq!((blocks.len(), places.len()), (count, arrivals.len()));
            let mut read = Blocks::default();
            for block in blocks {
                assert!(block.content.len() <= usize::try_from(block.size).unwrap());
                read.add(block.id, block.size, block.content.into());
            }
            for (arrival, place) in arrivals.iter().zip(places) {
                assert!(
                    arrival.id.0 <= place.block,
                    "a block is as new as its newest"
                );
                let sent = arrival.sent.bytes().split_at(arrival.sent.sizes().0);
                assert_eq!(read.sent(place), sent);
            }
        }
    }

    #[test]
    fn several_that_are_alike_take_little_more_than_one() {
        let note = |n: u64| [noise(2900, 7), noise(16, n)].concat();
        let pressed = |count: u64| {
            let arrivals = arrivals((0..count).map(note).collect());
            let mut press = Press::default();
            let (blocks, _) = press.pack(&arrivals.iter().collect::<Vec<_>>());
            blocks[0].content.len()
        };
        assert!(pressed(20) < pressed(1) + 20 * 50);
    }

    #[test]
    fn what_cannot_be_read_is_empty() {
        let arrivals = arrivals(vec![vec![b'x'; 500]]);
        let mut press = Press::default();
        let (blocks, places) = press.pack(&[&arrivals[0]]);
        let (id, size, nothing) = (blocks[0].id, blocks[0].size, (&[][..], &[][..]));
        let mut read = Blocks::default();
        assert_eq!(read.sent(places[0]), nothing, "no such block");
        read.add(id, size, vec![0xff; 20]);
        assert_eq!(read.sent(places[0]), nothing, "no LZ4");
        for size in [0, 10, 30] {
            read.add(id, size, vec![b'x'; 30]);
            assert_eq!(read.sent(places[0]), nothing, "too short");
        }
    }
}

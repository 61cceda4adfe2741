//! Reads bodies within limits of size and time, and all of them together within one of memory.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Problem;

/// Largest body, in bytes: what GitLab and GitHub send at most.
pub const MAX_BODY: usize = 25 << 20;
/// Longest that a body may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a body that count for nothing: ordinary deliveries are smaller.
const FREE: usize = 64 << 10;
/// The unit in which the budget is counted, in bytes.
const UNIT: usize = 64 << 10;

/// The memory that large bodies may take together. A sender who is not proven yet can claim no more than this.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

impl Budget {
    /// Returns a budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT)))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        Arc::clone(&self.0)
            .try_acquire_many_owned(units)
            .map_err(|_| Problem::Unavailable)
    }
}

/// A body with its share of the budget, which it gives back when dropped.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) bytes: Bytes,
    /// Held until the delivery is stored.
    pub(super) share: Option<OwnedSemaphorePermit>,
}

/// Reads a body.
pub(super) async fn read(
    body: Body,
    length: Option<u64>,
    budget: &Budget,
) -> Result<Read, Problem> {
    if length.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(Problem::TooLarge);
    }
    tokio::time::timeout(BODY_TIMEOUT, collect(body, budget))
        .await
        .map_err(|_| Problem::TooSlow)?
}

async fn collect(mut body: Body, budget: &Budget) -> Result<Read, Problem> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut share: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        // A sender that breaks off gets no answer anyway.
        let Ok(data) = frame.map_err(|_| Problem::Malformed)?.into_data() else {
            continue;
        };
        let length = first.as_ref().map_or(0, Bytes::len) + rest.len() + data.len();
        if length > MAX_BODY {
            return Err(Problem::TooLarge);
        }
        let held = share.as_ref().map_or(0, |share| share.num_permits() * UNIT);
        if length > FREE + held {
            let more = budget.take(length - FREE - held)?;
            match share.as_mut() {
                Some(share) => share.merge(more),
                None => share = Some(more),
            }
        }
        match &first {
            // Most bodies come in one piece, which needs no copy.
            None => first = Some(data),
            Some(start) => {
                if rest.is_empty() {
                    rest.extend_from_slice(start);
                    first = Some(Bytes::new());
                }
                rest.extend_from_slice(&data);
            }
        }
    }
    let bytes = if rest.is_empty() {
        first.unwrap_or_default()
    } else {
        rest.freeze()
    };
    Ok(Read { bytes, share })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_chunks(chunks: Vec<Vec<u8>>, budget: &Budget) -> Result<Read, Problem> {
        let stream = futures_util::stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
        read(Body::from_stream(stream), None, budget).await
    }

    #[tokio::test]
    async fn joins_chunks_and_keeps_to_the_budget() {
        let budget = Budget::new(1 << 20);
        let whole = read_chunks(vec![vec![1; 10], vec![2; 20], vec![3; 5]], &budget)
            .await
            .unwrap();
        assert_eq!(whole.bytes, [vec![1; 10], vec![2; 20], vec![3; 5]].concat());
        assert!(whole.share.is_none());

        let large = read_chunks(vec![vec![0; 500 << 10]; 2], &budget)
            .await
            .unwrap();
        assert_eq!(large.bytes.len(), 1000 << 10);
        let refused = read_chunks(vec![vec![0; 500 << 10]], &budget).await;
        assert_eq!(refused.unwrap_err(), Problem::Unavailable);
        drop(large);
        assert!(read_chunks(vec![vec![0; 500 << 10]], &budget).await.is_ok());
    }

    #[tokio::test]
    async fn refuses_what_is_too_large() {
        let budget = Budget::new(64 << 20);
        let announced = read(Body::empty(), Some(26 << 20), &budget).await;
        assert_eq!(announced.unwrap_err(), Problem::TooLarge);
        let unannounced = read_chunks(vec![vec![0; 1 << 20]; 26], &budget).await;
        assert_eq!(unannounced.unwrap_err(), Problem::TooLarge);
    }
}

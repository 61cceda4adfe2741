//! The load generator: keep-alive connections that send what was made before, and as little else as possible.

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::LocalSet,
};

use crate::body::Deliveries;

/// Connections that send at the same time.
const CONNECTIONS: usize = 64;
/// Longest that an answer may take before the benchmark fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a load brought.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Answers of 2xx.
    pub(crate) accepted: usize,
    /// Other answers.
    pub(crate) refused: usize,
    pub(crate) took: Duration,
    latencies: Vec<Duration>,
}

impl Tally {
    /// Answers of 2xx per second.
    pub(crate) fn rate(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }

    /// Returns the latency below which a share of the answers came.
    pub(crate) fn quantile(&mut self, share: f64) -> Duration {
        quantile(&mut self.latencies, share)
    }
}

/// Returns the value below which a share of the values is.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index within the list"
)]
pub(crate) fn quantile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    let place = (values.len().saturating_sub(1)) as f64 * share;
    values.get(place as usize).copied().unwrap_or_default()
}

/// Which deliveries to send, and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// The number of the next delivery.
    pub(crate) next: Rc<Cell<usize>>,
    /// The number at which to stop.
    pub(crate) end: usize,
    /// Longest to go on.
    pub(crate) time: Duration,
}

/// Sends deliveries over all connections as fast as they are answered.
pub(crate) async fn run(
    address: SocketAddr,
    deliveries: &Rc<Deliveries>,
    order: &Order,
) -> anyhow::Result<Tally> {
    let tasks = LocalSet::new();
    let began = Instant::now();
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| tasks.spawn_local(send(address, Rc::clone(deliveries), order.clone())))
        .collect();
    tasks.await;
    let mut total = Tally {
        took: began.elapsed(),
        ..Tally::default()
    };
    for connection in connections {
        let part = connection.await??;
        total.accepted += part.accepted;
        total.refused += part.refused;
        total.latencies.extend(part.latencies);
    }
    Ok(total)
}

async fn send(
    address: SocketAddr,
    deliveries: Rc<Deliveries>,
    order: Order,
) -> anyhow::Result<Tally> {
    let mut connection = Connection::open(address).await?;
    let mut tally = Tally::default();
    let began = Instant::now();
    while began.elapsed() < order.time && order.next.get() < order.end {
        let number = order.next.replace(order.next.get() + 1);
        let (status, latency) = connection.send(&deliveries, number).await?;
        if (200..300).contains(&status) {
            tally.accepted += 1;
        } else {
            tally.refused += 1;
        }
        tally.latencies.push(latency);
    }
    Ok(tally)
}

/// A keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            request: Vec::with_capacity(4096),
            answer: Vec::with_capacity(1024),
        })
    }

    /// Sends a delivery and reads the answer; returns its status and how long it took.
    pub(crate) async fn send(
        &mut self,
        deliveries: &Deliveries,
        number: usize,
    ) -> anyhow::Result<(u16, Duration)> {
        deliveries.write(number, &mut self.request);
        let sent = Instant::now();
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        let status = tokio::time::timeout(PATIENCE, self.read()).await??;
        Ok((status, sent.elapsed()))
    }

    async fn read(&mut self) -> anyhow::Result<u16> {
        loop {
            let read = self.stream.read_buf(&mut self.answer).await?;
            anyhow::ensure!(read > 0, "the server closed the connection");
            let Some(head_length) = self
                .answer
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            else {
                continue;
            };
            let head = std::str::from_utf8(self.answer.get(..head_length).unwrap_or_default())?;
            let body_length: usize = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse().ok())
                .unwrap_or_default();
            if self.answer.len() >= head_length + 4 + body_length {
                let status = head.split(' ').nth(1).context("an answer without status")?;
                return Ok(status.parse()?);
            }
        }
    }
}

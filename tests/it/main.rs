//! Everything that needs the built program, a real PostgreSQL or the network.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy excuses the test functions only, not the functions they share"
)]

mod architecture;
mod cluster;
mod harness;
mod intake;
mod road;
mod upkeep;

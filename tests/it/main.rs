//! Everything that needs the built program, a real PostgreSQL or the network.

#![expect(
    clippy::unwrap_used,
    reason = "clippy excuses the test functions only, not the functions they share"
)]

mod cluster;
mod faults;
mod harness;
mod road;
mod tree;

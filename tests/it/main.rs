//! Everything that needs the built program, a real PostgreSQL or the network.

#![expect(
    clippy::unwrap_used,
    reason = "clippy excuses the test functions only, not the functions they share"
)]

mod cli;
mod cluster;
mod crash;
mod demo;
mod harness;
mod program;
mod road;

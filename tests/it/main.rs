//! Everything that needs the built program, a real PostgreSQL or the network.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "clippy excuses the test functions only, not the functions they share"
)]

mod architecture;
mod cli;
mod cluster;
mod crash;
mod crm;
mod demo;
mod exchange;
mod faults;
mod graphql;
mod groups;
mod harness;
mod intake;
mod issues;
mod moves;
mod program;
mod road;
mod search;
mod transfer;
mod tree;
mod upkeep;

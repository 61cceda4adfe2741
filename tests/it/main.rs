//! Everything that needs the built program, a real PostgreSQL or the network.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "clippy excuses the test functions only, not the functions they share"
)]

mod architecture;
mod bitrix24;
mod bitrix24_chats;
mod browser;
mod chats;
mod cli;
mod client;
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
mod items;
mod matrix;
mod moves;
mod observed;
mod openid;
mod pages;
mod portal;
mod program;
mod road;
mod search;
mod setup;
mod synapse;
mod transfer;
mod tree;
mod upkeep;
mod web;

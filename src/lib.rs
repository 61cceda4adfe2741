//! Liaison: issues, messengers and customers that know of each other.
//!
//! `docs/ARCHITECTURE.md` explains the rooms and the road a request takes through them.

pub mod api;
pub mod app;
pub mod auth;
pub mod bulk;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod connector;
pub mod crm;
pub mod crypto;
pub mod domain;
pub mod egress;
pub mod exchange;
pub mod intake;
pub mod lookup;
pub mod queue;
pub mod quick_action;
pub mod rules;
pub mod sandbox;
pub mod server;
pub mod setup;
pub mod store;
pub mod telemetry;
pub mod web;
pub mod worker;

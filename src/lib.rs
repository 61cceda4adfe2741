//! Liaison: issues, messengers and customers that know of each other.
//!
//! `docs/ARCHITECTURE.md` explains the rooms and the road a request takes through them.

pub mod egress;
pub mod sandbox;

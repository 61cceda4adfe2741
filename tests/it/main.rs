//! Everything that needs the built program, a real PostgreSQL or the network.

mod cluster;

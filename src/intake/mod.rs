//! The webhook receiver: proves the sender, stores the bytes, answers. Nothing is understood here.

mod body;
mod book;
mod commit;
mod matrix;
mod opener;
mod own;
mod problem;
mod receive;
mod tally;
mod writer;

pub use body::{BODY_TIMEOUT, Budget, MAX_BODY};
pub use book::{Book, Entry, keep_current};
pub use problem::Problem;
pub use receive::{Intake, router};
pub use tally::Tallies;
pub use writer::{Writer, WriterTasks};

//! The webhook receiver: proves the sender, stores the bytes, answers. Nothing is understood here.

mod body;
mod book;
mod commit;
mod matrix;
mod opener;
mod problem;
mod receive;
mod writer;

pub use body::{BODY_TIMEOUT, Budget, MAX_BODY};
pub use book::{Book, Entry, keep_current};
pub use problem::Problem;
pub use receive::{Intake, router};
pub use writer::{Writer, WriterTasks};

//! How an installation gets what it works with: what the file declares is applied at every start; whoever starts from nothing connects a
//! tracker on a page, and the file is written for him.

mod address;
mod declare;
mod first;

pub use declare::{DeclareError, declare};
pub use first::{Choice, Connected, Done, FirstError, FirstSetUp};

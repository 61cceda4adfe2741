//! Whole texts: which lines are commands and what remains, what people may write, and what a hostile
//! text may cost.

mod extraction;
mod hostile;
mod properties;
mod spellings;

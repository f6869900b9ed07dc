//! The pages, the structure of the source, the fuzz rules.

mod documents;
pub(crate) mod fuzz;
mod promises;
mod rooms;

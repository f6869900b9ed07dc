//! The process: its start, its children.

mod children;
mod start;

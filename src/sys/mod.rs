//! The functions of the operating system that this program uses.

pub mod atomic_file;
pub mod clock;
pub mod env;
pub mod hardening;
pub mod lock;
pub mod log;
pub mod os;
pub mod peer;
pub mod process;
pub mod signals;

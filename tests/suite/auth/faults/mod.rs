//! Everything around the helper at its worst, as tables of cases: the session stays, a token that still lives is served,
//! the time spent is bounded, and the message says what happened.

mod clock;
mod disk;
mod home;
mod keyring;
mod network;

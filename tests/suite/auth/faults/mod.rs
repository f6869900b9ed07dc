//! Faults of the environment, as tables of cases: the session stays, a valid token is returned, the time is limited, and
//! the message names the cause.

mod clock;
mod disk;
mod home;
mod keyring;
mod network;

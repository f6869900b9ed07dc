//! Where credentials are stored.

mod bus_owner;
mod files;
mod keyring;
mod keyring_edge;
mod left_in_keyring;
mod no_collection;
mod session_file;
mod stored_by_0_1_0;

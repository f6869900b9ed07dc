//! Explores `auth::fleet::protocol`, the production rules of a session that machines share, exhaustively: machines that
//! crash and pause, a store whose standbys lag behind, lost responses, people who log in and out, and an OAuth service
//! that rotates refresh tokens and revokes the whole login when it receives a replaced one.

#![cfg(test)]

mod explorer;
mod tests;
mod world;

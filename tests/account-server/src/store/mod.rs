//! mycli's tables, one file each. Decides nothing: what a row means is judged in `mycli`.

pub(crate) mod api_tokens;
pub(crate) mod catalog;
pub(crate) mod logins;
pub(crate) mod profiles;
pub(crate) mod sessions;
pub(crate) mod users;

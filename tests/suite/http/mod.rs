//! What is sent to the services, and what is never shown.

mod leaks;
mod loopback;
mod oauth;
mod oauth_hostile;
mod oauth_requests;
mod proxies;
mod redirects;
mod roots;
mod services;
mod vault;

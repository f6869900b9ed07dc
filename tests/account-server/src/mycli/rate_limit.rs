//! One request a second and a burst of ten for each client address. Holds back nothing but the login routes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::clock::Timestamp;
use crate::extract::ClientAddress;
use crate::refusal::Refusal;
use crate::service::Shared;

const PERIOD: Duration = Duration::from_secs(1);
const BURST: u32 = 10;
/// From here on the addresses are looked through for those that have nothing left to wait for.
const MANY_ADDRESSES: usize = 10_000;

/// For each address the moment at which its whole burst is there again (the generic cell rate algorithm).
#[derive(Default)]
pub(crate) struct RateLimit {
    full_at: Mutex<HashMap<IpAddr, Timestamp>>,
}

impl RateLimit {
    fn admits(&self, address: IpAddr, now: Timestamp) -> bool {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= MANY_ADDRESSES {
            full_at.retain(|_, moment| *moment > now);
        }
        let moment = full_at.get(&address).copied().unwrap_or(now).max(now);
        let admitted = moment <= now.after(PERIOD * (BURST - 1));
        if admitted {
            full_at.insert(address, moment.after(PERIOD));
        }
        admitted
    }
}

pub(crate) async fn admit(State(service): State<Shared>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ClientAddress>();
    let address = address.map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.0);
    if service.settings.rate_limit && !service.rate_limit.admits(address, service.now()) {
        return Refusal::RateLimited.into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_at_once_and_then_one_a_second() {
        let limit = RateLimit::default();
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let admitted = |now| limit.admits(address, now);
        assert_eq!((0..20).filter(|_| admitted(start)).count(), 10);
        let later = start.after(PERIOD);
        assert!(admitted(later), "a second gives one more");
        assert!(!admitted(later));
        assert!(
            limit.admits(Ipv4Addr::BROADCAST.into(), later),
            "another address has its own burst"
        );
    }
}

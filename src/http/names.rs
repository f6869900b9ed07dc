//! Looks host names up in a thread of its own. The system's look-up cannot be cancelled, and the runtime of `reqwest`
//! would wait for it long after the deadline: 40 s for a name server that does not answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        // Plain http is allowed there: no file and no name server may name another machine (RFC 6761, 6.3).
        if name.as_str().eq_ignore_ascii_case("localhost") {
            let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
            let addresses = loopback.map(|address| SocketAddr::new(address, 0));
            return Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) });
        }
        let (sender, receiver) = oneshot::channel();
        let look_up = move || {
            let addresses =
                (name.as_str(), 0).to_socket_addrs().map(|found| Box::new(found) as Addrs);
            // After the deadline, there is no receiver.
            let _ = sender.send(addresses);
        };
        let thread = std::thread::Builder::new().spawn(look_up);
        Box::pin(async move {
            thread?;
            Ok(receiver.await??)
        })
    }
}

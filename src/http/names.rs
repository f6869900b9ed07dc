//! Host names, looked up in a thread of its own. The system's look-up cannot be called off, and `reqwest`, which has
//! it done by its runtime, would wait for it long after the deadline: 40 s for a name server that does not answer.

use std::net::ToSocketAddrs as _;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (sender, receiver) = oneshot::channel();
        let look_up = move || {
            let addresses =
                (name.as_str(), 0).to_socket_addrs().map(|found| Box::new(found) as Addrs);
            let _ = sender.send(addresses); // nobody listens after the deadline
        };
        let thread = std::thread::Builder::new().spawn(look_up);
        Box::pin(async move {
            thread?;
            Ok(receiver.await??)
        })
    }
}

//! Connections: hands each request to the routes, and can close without an answer. Knows no route.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::Router;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use crate::extract::ClientAddress;
use crate::refusal::Refusal;

/// Marks an answer that is not sent: the connection is closed instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HangUp;

impl std::fmt::Display for HangUp {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("closed without an answer")
    }
}

impl std::error::Error for HangUp {}

/// Serves every connection, without end.
pub(crate) async fn accept(listener: TcpListener, routes: Router) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                tokio::spawn(serve(stream, client.ip(), routes.clone()));
            }
            // Out of file descriptors, as a rule: others will be closed.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}

async fn serve(stream: TcpStream, client: IpAddr, routes: Router) {
    // Answers are small, and a client waits for each.
    let _ = stream.set_nodelay(true);
    let routes = TowerToHyperService::new(routes);
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ClientAddress(client));
        finish(routes.clone(), request)
    });
    // What goes wrong on a connection is its client's to see.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// A request that was read is finished though its client has gone: what it changes is changed.
async fn finish(
    routes: TowerToHyperService<Router>,
    request: Request<Incoming>,
) -> Result<Response, HangUp> {
    let answer = tokio::spawn(async move { routes.call(request).await }).await;
    let response = match answer {
        Ok(Ok(response)) => response,
        Err(_) => Refusal::Internal.into_response(),
    };
    match response.extensions().get::<HangUp>() {
        Some(_) => Err(HangUp),
        None => Ok(response),
    }
}

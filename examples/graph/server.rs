//! A server that knows graphs.

use std::error::Error;
use std::net::SocketAddr;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use topicsync::server::{Host, Server};
use topicsync::types::Registry;

use crate::graph::{Acyclic, Graph};

/// The built-in types, and graphs with and without cycles.
pub fn registry() -> Registry {
    Registry::default().with::<Graph<false>>().with::<Acyclic>()
}

/// A running server, at `url`.
pub struct GraphServer {
    pub url: String,
    pub host: Host,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl GraphServer {
    /// # Errors
    /// The address cannot be bound.
    pub fn start(listen: impl Into<SocketAddr>) -> Result<GraphServer, Box<dyn Error>> {
        let builder = Server::builder().listen(listen);
        let server = builder.topic_type::<Graph<false>>().topic_type::<Acyclic>().bind()?;
        let (url, host) = (format!("ws://{}", server.address()?), server.host());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async { drop(stopped.await) }));
        Ok(GraphServer { url, host, stop, running })
    }

    /// # Errors
    /// It panicked.
    pub async fn stop(self) -> Result<(), Box<dyn Error>> {
        drop(self.stop);
        Ok(self.running.await?)
    }
}

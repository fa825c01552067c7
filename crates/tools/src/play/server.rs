//! A server in this process.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use topicsync::server::Server;

use super::Result;

/// A server on a free port of this machine, until it is stopped.
pub struct LocalServer {
    url: String,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl LocalServer {
    /// # Errors
    /// There is no port.
    pub fn start() -> Result<LocalServer> {
        let server = Server::builder().listen(([127, 0, 0, 1], 0)).bind()?;
        let url = format!("ws://{}", server.address()?);
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Ok(LocalServer { url, stop, running })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// # Errors
    /// The server panicked.
    pub async fn stop(self) -> Result<()> {
        // It is gone already if it panicked, which the task then says.
        let _ = self.stop.send(());
        Ok(self.running.await?)
    }
}

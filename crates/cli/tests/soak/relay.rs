//! The way to the server: hands bytes on, and cuts each connection after a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::random::Random;

/// How long a connection lasts, at least and at most.
const LIFETIME_MS: (usize, usize) = (20, 250);

pub struct Relay {
    pub address: SocketAddr,
    cutting: watch::Sender<bool>,
    cuts: Arc<AtomicUsize>,
}

impl Relay {
    pub async fn start(server: SocketAddr, seed: u64) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        let (cutting, cuts) = (watch::Sender::new(true), Arc::new(AtomicUsize::new(0)));
        let signal = cutting.subscribe();
        let counter = cuts.clone();
        tokio::spawn(async move {
            let mut random = Random(seed);
            while let Ok((near, _)) = listener.accept().await {
                let (least, most) = LIFETIME_MS;
                let lifetime = Duration::from_millis((least + random.below(most - least)) as u64);
                tokio::spawn(pass_on(near, server, lifetime, signal.clone(), counter.clone()));
            }
        });
        Relay { address, cutting, cuts }
    }

    /// From now on, connections last.
    pub fn hold(&self) {
        self.cutting.send_replace(false);
    }

    /// How many connections were cut so far.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

async fn pass_on(
    mut near: TcpStream,
    server: SocketAddr,
    lifetime: Duration,
    cutting: watch::Receiver<bool>,
    cuts: Arc<AtomicUsize>,
) {
    let Ok(mut far) = TcpStream::connect(server).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let over = async {
        tokio::time::sleep(lifetime).await;
        if !*cutting.borrow() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        () = over => drop(cuts.fetch_add(1, Ordering::Relaxed)),
    }
}

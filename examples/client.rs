//! The Rust client: changes show at once, are confirmed or taken back, and can be undone.
//!
//! `cargo run --example client`

use std::error::Error;

use serde_json::json;
use topicsync::client::Client;
use topicsync::server::Server;

// One thread, so that neither hears of the other before both have made their change.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder().listen(([127, 0, 0, 1], 0)).bind()?;
    let url = format!("ws://{}", server.address()?);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));

    let (ann, bob) = (Client::connect(&url)?, Client::connect(&url)?);
    let (anns, bobs) = (ann.dict("nodes")?, bob.dict("nodes")?);
    anns.ready().await?;
    bobs.ready().await?;
    bobs.on_change(|it| println!("bob sees, {:?}: {:?}", it.origin, it.value)).keep();

    // Shown at once, confirmed a moment later.
    let adding = anns.add("n1", json!({"x": 10}))?;
    println!("ann sees {:?}", anns.value());
    adding.await?;

    // Both add one key at once: one of them is told, and sees the other's.
    bob.settled().await;
    let (first, second) = (anns.add("n2", "ann's")?, bobs.add("n2", "bob's")?);
    for (name, fate) in [("ann", first.await), ("bob", second.await)] {
        match fate {
            Ok(_) => println!("{name}'s n2 was accepted"),
            Err(refused) => println!("{name}'s n2 was not: {refused}"),
        }
    }

    // Ann takes back her own work; what others did stays.
    ann.undo().await?;
    ann.settled().await;
    println!("ann sees {:?}", anns.value());

    ann.close().await;
    bob.close().await;
    drop(stop);
    running.await?;
    Ok(())
}

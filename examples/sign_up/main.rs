//! A small topic type of one's own, from nothing to a server with two clients: a sign-up sheet.
//!
//! `cargo run --example sign_up`, and `cargo test --example sign_up` for every law of the type.

mod sheet;
#[cfg(test)]
mod tests;

use std::error::Error;

use sheet::SheetChange::{self, Offer, SignUp};
use sheet::SignUpSheet;
use topicsync::client::{Client, Topic};
use topicsync::server::Server;
use topicsync::topic::TopicOptions;

// One thread, so that neither hears of the other before both have made their change.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Clients can now subscribe with `"type": "sign_up_sheet"`.
    let server =
        Server::builder().listen(([127, 0, 0, 1], 0)).topic_type::<SignUpSheet>().bind()?;
    let url = format!("ws://{}", server.address()?);
    let climbing = server.host().topic::<SignUpSheet>("climbing")?;
    for (day, seats) in [("monday", 1), ("friday", 8)] {
        climbing.change(Offer { day: day.into(), seats: Some(seats) })?;
    }
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));

    let (ann, bob) = (Client::connect(&url)?, Client::connect(&url)?);
    let open = |client: &Client| client.topic("climbing", TopicOptions::default());
    let (anns, bobs): (Topic<SignUpSheet>, Topic<SignUpSheet>) = (open(&ann)?, open(&bob)?);
    anns.ready().await?;
    bobs.ready().await?;

    println!("Both take the last seat on monday, and see themselves there at once.");
    let made = [anns.change(&sign_up("ann", "monday"))?, bobs.change(&sign_up("bob", "monday"))?];
    for (name, fate) in ["ann", "bob"].into_iter().zip(made) {
        match fate.await {
            Ok(_) => println!("  {name} has it"),
            Err(refused) => println!("  {name} has not: {refused}"),
        }
    }
    bobs.change(&sign_up("bob", "friday"))?.await?;
    println!("  after version {}: {:?}", climbing.version(), climbing.value().people);

    println!("Ann takes it back; Bob stays.");
    ann.undo().await?;
    println!("  after version {}: {:?}", climbing.version(), climbing.value().people);

    ann.close().await;
    bob.close().await;
    drop(stop);
    Ok(running.await?)
}

fn sign_up(person: &str, day: &str) -> SheetChange {
    SignUp { person: person.into(), day: Some(day.into()) }
}

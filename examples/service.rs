//! Services: calls through the server, from clients to the host program and from client to client.
//!
//! `cargo run --example service`

use std::error::Error;

use serde_json::json;
use topicsync::client::Client;
use topicsync::server::Server;
use topicsync::value::Value;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder().listen(([127, 0, 0, 1], 0)).bind()?;
    let url = format!("ws://{}", server.address()?);

    // A service of the program that the server is embedded in.
    server.host().service("add", |args: Value, client| async move {
        let number = |name| match &args {
            Value::Dict(args) => args.get(name).and_then(Value::as_int),
            _ => None,
        };
        let (a, b) = number("a").zip(number("b")).ok_or("a and b must be whole numbers")?;
        println!("client {client} adds {a} and {b}");
        Ok(Value::from(a + b))
    });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));

    // A service of one client, called by another.
    let (ann, bob) = (Client::connect(&url)?, Client::connect(&url)?);
    ann.register_service("shout", |request| async move {
        let words = request.args.as_text().map(ToString::to_string).unwrap_or_default();
        Ok(Value::from(words.to_uppercase()))
    });
    ann.settled().await;

    println!("{:?}", bob.request("add", json!({"a": 2, "b": 3}), None).await);
    println!("{:?}", bob.request("add", json!({"a": "two"}), None).await);
    println!("{:?}", bob.request("shout", "hello", None).await);
    println!("{:?}", bob.request("whisper", "hello", None).await);

    ann.close().await;
    bob.close().await;
    drop(stop);
    running.await?;
    Ok(())
}

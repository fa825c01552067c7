//! A program with a server inside: it makes topics, changes them, and hears of every change.
//!
//! `cargo run --example embed`, then connect to the address that it prints.

use std::error::Error;

use serde_json::json;
use topicsync::server::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder().listen(([127, 0, 0, 1], 0)).bind()?;
    println!("listening on ws://{}", server.address()?);

    let host = server.host();
    let nodes = host.dict("nodes")?;
    let log = host.list("log")?;

    // Called in order, for changes of clients and for one's own.
    let listening = nodes.on_change(move |changed| {
        println!("version {} by client {}: {:?}", changed.version, changed.author, changed.value);
        log.push(format!("{:?}", changed.change)).expect("a list takes any item");
    });

    nodes.add("n1", json!({"x": 10, "y": 20}))?;
    nodes.change_value("n1", json!({"x": 15, "y": 20}))?;
    // What does not fit is refused with a reason, and changes nothing.
    let rejection = nodes.add("n1", json!({})).unwrap_err();
    println!("refused: {rejection}");

    // Several changes of several topics, all or nothing.
    let title = host.string("title")?;
    host.action(|action| {
        use topicsync::types::{DictChange, StringChange};
        action
            .change(&nodes, DictChange::Remove { key: "n1".into() })
            .change(&title, StringChange::Append("an empty graph".into()));
    })?;
    println!("{:?} with {} nodes", title.value(), nodes.value().len());

    // Runs until the future is done: Ctrl-C, in a program that goes on.
    server.run(tokio::time::sleep(std::time::Duration::from_millis(200))).await;
    drop(listening);
    Ok(())
}

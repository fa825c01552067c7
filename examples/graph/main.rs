//! A topic type that a node editor would use: a graph of nodes, typed ports and edges.
//!
//! `cargo run --example graph` has two people edit one graph at once, and tells what comes of it.
//! `cargo run --example graph -- serve` is the program `topicsync` that knows graphs too: any command of it, as
//! `show`, `log` or `replay`, does for graphs what it does for the built-in types.
//! `cargo test --example graph` tests every law of the type, and all of it over sockets.
//!
//! | file | holds |
//! |---|---|
//! | `value.rs` | the graph, and what always holds of it |
//! | `change.rs` | its changes, and what they look like on the wire |
//! | `rebase.rs` | how two changes pass each other |
//! | `differences.rs` | the changes between two graphs |
//! | `graph.rs` | the topic type made of these |
//! | `server.rs`, `editor.rs` | a server and a client |
//! | `draw.rs` | a graph as text |

mod change;
mod differences;
mod draw;
mod editor;
mod graph;
mod rebase;
mod server;
#[cfg(test)]
mod tests;
mod value;

use std::error::Error;
use std::process::ExitCode;

use topicsync::client::{LocalError, Pending};
use topicsync::value::Key;

use draw::Drawing;
use editor::Editor;
use graph::Acyclic;
use server::GraphServer;
use value::{Node, Ports};

fn main() -> ExitCode {
    // Anything on the command line is for the whole program.
    if std::env::args_os().len() > 1 {
        return topicsync_cli::run(&server::registry());
    }
    match story() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("graph: {error}");
            ExitCode::FAILURE
        }
    }
}

// One thread, so that neither hears of the other before both have made their change.
#[tokio::main(flavor = "current_thread")]
async fn story() -> Result<(), Box<dyn Error>> {
    let server = GraphServer::start(([127, 0, 0, 1], 0))?;
    let ann = Editor::open(&server.url, "patch").await?;
    let bob = Editor::open(&server.url, "patch").await?;

    println!("Ann adds two numbers, and shows what they come to.");
    ann.add("one", node("number", (0.0, 0.0), &[], &[("out", "number")]))?;
    ann.add("two", node("number", (0.0, 100.0), &[], &[("out", "number")]))?;
    ann.add(
        "sum",
        node("add", (200.0, 50.0), &[("a", "number"), ("b", "number")], &[("out", "number")]),
    )?;
    ann.add("show", node("text", (400.0, 50.0), &[("in", "any")], &[]))?;
    for (from, to) in [("one.out", "sum.a"), ("two.out", "sum.b"), ("sum.out", "show.in")] {
        ann.connect(from, to)?;
    }
    ann.write("two", "value", 2)?;
    settle(&ann, &bob).await;

    println!("\nBoth drag the same node. Whoever comes last has it; nobody is bothered.");
    let drags = [ann.drag("sum", 220.0, 40.0), bob.drag("sum", 220.0, 60.0)];
    tell(["Ann's drag", "Bob's drag"], drags).await?;
    settle(&ann, &bob).await;

    println!("\nAnn removes a node while Bob puts a wire on it.");
    let made = [ann.remove("two"), bob.connect("two.out", "sum.a")];
    tell(["Ann's removal", "Bob's wire"], made).await?;
    settle(&ann, &bob).await;
    println!(
        "  {} edges are left: that of the node went with it",
        bob.graph.value().edges().count()
    );

    println!("\nBob goes on: another node, and a word on the first one.");
    bob.add("half", node("halve", (300.0, 150.0), &[("in", "number")], &[("out", "number")]))?;
    bob.write("one", "value", 1)?;
    settle(&ann, &bob).await;

    println!("\nAnn takes her removal back. The node returns with its edge; Bob's work stays.");
    let undone = ann.client.undo().await?;
    settle(&ann, &bob).await;
    println!("  {}", serde_json::Value::from(&undone)["undone"][0]["change"]);

    println!(
        "\nEach puts a wire that is fine by itself. Together they would go round in a circle."
    );
    let made = [ann.connect("sum.out", "half.in"), bob.connect("half.out", "sum.b")];
    tell(["Ann's wire", "Bob's wire"], made).await?;
    settle(&ann, &bob).await;

    let version = server.host.topic::<Acyclic>("patch")?.version();
    println!("\nBoth see this, version {version}:\n\n{}", Drawing(&ann.graph.value()));
    assert_eq!(ann.graph.value(), bob.graph.value());
    ann.client.close().await;
    bob.client.close().await;
    server.stop().await
}

fn node(kind: &str, (x, y): (f64, f64), inputs: &[(&str, &str)], outputs: &[(&str, &str)]) -> Node {
    let ports = |ports: &[(&str, &str)]| -> Ports {
        ports.iter().map(|(name, port_type)| (Key::from(*name), Key::from(*port_type))).collect()
    };
    let (inputs, outputs) = (ports(inputs), ports(outputs));
    Node { kind: kind.into(), x, y, inputs, outputs, ..Node::default() }
}

/// Says what becomes of what was done at once.
async fn tell(
    whose: [&str; 2],
    made: [Result<Pending, LocalError>; 2],
) -> Result<(), Box<dyn Error>> {
    for (whose, made) in whose.into_iter().zip(made) {
        match made?.await {
            Ok(_) => println!("  {whose}: accepted"),
            Err(refused) => println!("  {whose}: sent back: {refused}"),
        }
    }
    Ok(())
}

/// Waits until both see the same, with nothing of theirs on its way.
async fn settle(ann: &Editor, bob: &Editor) {
    loop {
        ann.client.settled().await;
        bob.client.settled().await;
        if ann.graph.value() == bob.graph.value() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

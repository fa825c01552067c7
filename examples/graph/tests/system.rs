//! A server and clients, over sockets.

use std::time::Duration;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use topicsync::client::Refused;
use topicsync::value::Value;

use super::invariants::assert_invariants;
use super::notation::{change, graph};
use super::strategies::{pick, tape};
use crate::change::GraphChange;
use crate::editor::Editor;
use crate::graph::Acyclic;
use crate::server::GraphServer;
use crate::value::GraphValue;

const PATIENCE: Duration = Duration::from_secs(30);

/// A server with the topic `patch`, and `N` editors of it.
struct World<const N: usize> {
    server: GraphServer,
    editors: [Editor; N],
}

impl<const N: usize> World<N> {
    async fn open(start: GraphValue) -> World<N> {
        let server = GraphServer::start(([127, 0, 0, 1], 0)).unwrap();
        server.host.topic::<Acyclic>("patch").unwrap().change(GraphChange::Set(start)).unwrap();
        let mut editors = Vec::new();
        for _ in 0..N {
            editors.push(Editor::open(&server.url, "patch").await.unwrap());
        }
        let Ok(editors) = editors.try_into() else { unreachable!() };
        World { server, editors }
    }

    fn value(&self) -> GraphValue {
        self.server.host.topic::<Acyclic>("patch").unwrap().value()
    }

    /// Waits until all see what the server holds.
    async fn settle(&self) {
        let settle = async {
            for editor in &self.editors {
                editor.client.settled().await;
            }
            while self.editors.iter().any(|editor| editor.graph.value() != self.value()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, settle).await.expect("they come to one value");
        assert_invariants(&self.value(), true);
    }

    /// One editor's change, seen by all.
    async fn make(&self, editor: usize, line: &str) {
        self.editors[editor].graph.change(&change(line)).unwrap().await.unwrap();
        self.settle().await;
    }

    /// An editor's undo, seen by all; gives why some of it was skipped.
    async fn undo(&self, editor: usize) -> Option<String> {
        let undone = self.editors[editor].client.undo().await.unwrap();
        self.settle().await;
        reason(&undone)
    }

    async fn redo(&self, editor: usize) -> Option<String> {
        let redone = self.editors[editor].client.redo().await.unwrap();
        self.settle().await;
        reason(&redone)
    }

    async fn stop(self) {
        for editor in &self.editors {
            editor.client.close().await;
        }
        self.server.stop().await.unwrap();
    }
}

fn reason(reversed: &Value) -> Option<String> {
    let json = serde_json::Value::from(reversed);
    json["skipped"][0]["reason"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn undoing_a_removal_brings_back_the_edges_that_still_have_a_place() {
    let world = World::<2>::open(graph()).await;
    world.make(1, "add_edge e2 n2.out n3.a").await;
    world.make(0, "remove_node n2").await;
    assert_eq!(world.value().edges().count(), 0);
    world.make(1, "add_edge e3 n1.out n3.a").await;
    assert_eq!(world.undo(0).await, None);
    let edges: Vec<String> = world.value().edges().map(|(id, _)| id.to_string()).collect();
    assert_eq!(edges, ["e1", "e3"]);
    world.stop().await;
}

#[tokio::test]
async fn undoing_an_addition_takes_others_edges_along_and_redoing_it_brings_them_back() {
    let world = World::<2>::open(graph()).await;
    world.make(0, "add_node n4").await;
    world.make(1, "add_edge e2 n3.out n4.a").await;
    world.make(1, "move_node n4 7 7").await;
    let before = world.value();
    assert_eq!(world.undo(0).await, None);
    assert!(world.value().node("n4").is_none() && world.value().edge("e2").is_none());
    assert_eq!(world.redo(0).await, None);
    assert_eq!(world.value(), before);
    world.stop().await;
}

#[tokio::test]
async fn undoing_what_another_has_written_since_is_skipped_with_a_reason() {
    let world = World::<2>::open(graph()).await;
    world.make(0, "move_node n1 1 1").await;
    world.make(1, "move_node n1 2 2").await;
    assert_eq!(world.undo(0).await.as_deref(), Some(r#"node "n1" was moved"#));
    assert_eq!(world.value().node("n1").unwrap().x, 2.0);
    world.stop().await;
}

#[tokio::test]
async fn undoing_an_edge_that_replaced_another_brings_that_back() {
    let world = World::<2>::open(graph()).await;
    world.make(0, "add_edge e2 n3.out n2.a").await;
    world.make(1, "move_node n1 1 1").await;
    assert_eq!(world.undo(0).await, None);
    assert!(world.value().edge("e1").is_some() && world.value().edge("e2").is_none());
    world.stop().await;
}

/// Each is fine by itself. The one that comes later is stale, and its author is told what it would do.
#[tokio::test]
async fn of_two_edges_that_close_a_cycle_together_the_later_is_sent_back() {
    let world = World::<2>::open(graph()).await;
    let [ann, bob] = &world.editors;
    let first = ann.graph.change(&change("add_edge e2 n2.out n3.a")).unwrap();
    let second = bob.graph.change(&change("add_edge e3 n3.out n1.a")).unwrap();
    let (first, second) = (first.await, second.await);
    world.settle().await;
    let refused: Vec<Refused> = [first, second].into_iter().filter_map(Result::err).collect();
    let [Refused::Rejected(rejection)] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!(rejection.code.as_str(), "stale");
    assert!(rejection.reason.contains("would close a cycle"), "{}", rejection.reason);
    world.stop().await;
}

/// Four clients do whatever comes to their minds, with a base and without, undo and redo. In the end
/// all hold one graph that keeps every rule.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_edit_at_random_end_with_one_sound_graph() {
    for seed in 0..4_u8 {
        let world = World::<4>::open(graph()).await;
        let edits = world.editors.iter().enumerate().map(|(index, editor)| {
            let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed * 4 + index as u8; 32]);
            edit(editor, TestRunner::new_with_rng(Config::default(), rng))
        });
        let refused: usize = futures_util::future::join_all(edits).await.into_iter().sum();
        world.settle().await;
        assert!(refused > 0, "nobody was in anybody's way");
        world.stop().await;
    }
}

/// 150 changes of one client; gives how many were sent back.
async fn edit(editor: &Editor, mut random: TestRunner) -> usize {
    let mut made = Vec::new();
    for step in 0..150 {
        let mut tape = tape().new_tree(&mut random).unwrap().current();
        let change = pick::<true>(&editor.graph.value(), &mut tape);
        // A set would wipe out what the others could meet on. What came in meanwhile may leave the change
        // no place.
        if !matches!(change, GraphChange::Set(_)) {
            made.extend(match step % 3 {
                0 => editor.graph.overwrite(&change).ok(),
                _ => editor.graph.change(&change).ok(),
            });
        }
        match step % 20 {
            // Whatever is skipped, is.
            13 => drop(editor.client.undo().await.unwrap()),
            17 => drop(editor.client.redo().await.unwrap()),
            _ if step % 4 == 0 => tokio::time::sleep(Duration::from_millis(1)).await,
            _ => {}
        }
    }
    let mut refused = 0;
    for pending in made {
        match pending.await {
            Ok(_) => {}
            Err(Refused::Rejected(_)) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    refused
}

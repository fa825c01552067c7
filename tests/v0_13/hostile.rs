//! What costs much, and must not: nobody waits for somebody else's large action.

use serde_json::json;

use crate::common::*;
use crate::old::*;

/// As many edits as a frame holds, of a long text, each on the version that came before all others'.
#[tokio::test]
async fn a_frame_full_of_edits_on_an_old_version_is_done_in_a_moment() {
    let server = TestServer::start();
    let mut native = server.client().await;
    native.subscribe("t", "string").await;
    native.changed("t", json!({"type": "set", "value": "é😀".repeat(200_000)})).await;
    let mut old = Old::connect(&server).await;
    let version = old.subscribe("t").await["id"].clone();
    for _ in 0..200 {
        native.changed("t", json!({"type": "insert", "position": 7, "insertion": "x"})).await;
    }
    let commands: Vec<_> = (0..15_000)
        .map(|number| {
            json!({"topic_name": "t", "topic_type": "string", "type": "insert", "position": 300_000,
                "insertion": "y", "topic_version": version, "id": "", "result_topic_version": number.to_string()})
        })
        .collect();
    let mut author = Old::connect(&server).await;
    author.act(json!(commands)).await;
    author.expect_nothing().await;
    let mut seen = Old::connect(&server).await;
    assert_eq!(seen.value("t").await.as_str().unwrap().chars().count(), 400_000 + 200 + 15_000);
}

/// Names that clients give are forgotten in the end, and only those.
#[tokio::test]
async fn of_the_names_that_clients_give_the_newest_are_known() {
    let server = TestServer::start();
    let mut old = Old::connect(&server).await;
    old.make("t", entry("string", json!(""))).await;
    let mut version = "t_init".to_owned();
    for _ in 0..30 {
        let mut commands = Vec::new();
        for _ in 0..50 {
            let result = old.next_id();
            commands.push(json!({"topic_name": "t", "topic_type": "string", "type": "insert", "position": 0,
                "insertion": "y", "topic_version": version, "id": result, "result_topic_version": result}));
            version = result;
        }
        old.act(json!(commands)).await;
    }
    old.expect_nothing().await;
    let insert = |version: &str| {
        json!({"type": "insert", "position": 0, "insertion": "z", "topic_version": version,
            "result_topic_version": null})
    };
    old.rejected("t", "string", insert(&format!("{}_1", old.id))).await;
    old.subscribe("t").await;
    old.change("t", "string", insert(&version)).await;
}

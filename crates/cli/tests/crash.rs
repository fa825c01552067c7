//! The server is killed while many edit, ten times; `cargo run --release -p topicsync-tools --bin crash` does it
//! longer.

use topicsync_tools::crash;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_anybody_saw_is_lost_when_the_server_is_killed() {
    let data = tempfile::TempDir::new().unwrap();
    let plan = crash::Plan {
        server: env!("CARGO_BIN_EXE_topicsync").into(),
        data: data.path().into(),
        rounds: 10,
        clients: 8,
        seed: 1,
        progress: |_, _, _| (),
    };
    let report = crash::run(plan).await.unwrap();
    assert!(report.kills >= 10 && report.seen > 100, "{report:?}: it was no load");
}

//! Shared state: values that many people and programs edit at once, in one order.
//!
//! A server holds *topics*: typed, persistent values, each with a version log of every change that made
//! it what it is. Clients subscribe, change, and see everyone's changes in one order; the server alone
//! decides that order, and sends back what cannot be carried into it.
//!
//! ```
//! # #[cfg(all(feature = "client", feature = "server"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use topicsync::client::Client;
//! use topicsync::server::Server;
//!
//! let server = Server::builder().listen(([127, 0, 0, 1], 0)).bind()?;
//! let url = format!("ws://{}", server.address()?);
//! tokio::spawn(server.run(std::future::pending()));
//!
//! let (ann, bob) = (Client::connect(&url)?, Client::connect(&url)?);
//! let (anns, bobs) = (ann.list("todo")?, bob.list("todo")?);
//! anns.ready().await?;
//! bobs.ready().await?;
//!
//! bobs.append("bread")?.await?; // Waits until the server has accepted it.
//! let milk = anns.append("milk")?; // Shows at once, and arrives when it can.
//! assert_eq!(anns.value().iter().last(), Some(&"milk".into()));
//!
//! milk.await?; // What comes before it in the one order has come too.
//! assert_eq!(anns.value().get(0), Some(&"bread".into()));
//! ann.undo().await?; // Takes back her own work, and leaves his.
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "client", feature = "server")))]
//! # fn main() {}
//! ```
//!
//! | to | use | with the feature |
//! |---|---|---|
//! | connect to a server | [`client::Client`] | `client`, on by default |
//! | embed a server | [`server`] | `server` |
//! | give topics a type of one's own | [`types::TopicType`], and `laws!` to test it | `testkit` for the tests |
//! | read data folders and exported histories | [`replay`] | `journal` for folders |
//! | run the server, and every command, as a program | the package `topicsync-cli` | |
//!
//! # The map
//!
//! A module uses only floors below its own:
//!
//! | floor | module | holds |
//! |---|---|---|
//! | 7 | [`server`] | sockets, pages, the 0.13 vocabulary, and the way in for a program that embeds it |
//! | 7 | `testkit` | the laws as tests of any type, and a simulated world; with that feature |
//! | 6 | [`session`] | sessions without input or output: subscriptions, queues, services, dispatch |
//! | 5 | [`client`] | the replica, and a thin connection around it |
//! | 5 | [`replay`] | past values and changes out of any journal |
//! | 4 | [`protocol`] | messages and their encodings |
//! | 3 | [`engine`] | the order: topics, actions, undo |
//! | 2 | [`topic`] | a value and its version log |
//! | 2 | [`journal`] | version logs made durable |
//! | 1 | [`types`] | the trait of topic types, a file for each built-in one |
//! | 0 | [`value`] | persistent values, their limits and encodings |

#![warn(missing_docs, unreachable_pub)]

pub mod client;
pub mod engine;
pub mod journal;
pub mod protocol;
pub mod replay;
#[cfg(feature = "server")]
pub mod server;
// What only the server's other vocabulary needs of it is unused by a simulator alone.
#[cfg_attr(not(feature = "server"), allow(dead_code, unused_imports))]
#[cfg(any(feature = "server", feature = "testkit"))]
pub mod session;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod topic;
pub mod types;
pub mod value;

/// The README's program compiles.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// So do those of the page about histories.
#[cfg(doctest)]
#[doc = include_str!("../docs/history.md")]
struct Histories;

#[cfg(test)]
mod floors {
    //! A module uses only floors below its own.

    use std::fs;
    use std::path::{Path, PathBuf};

    /// From the lowest to the highest.
    const FLOORS: [&str; 11] = [
        "value", "types", "topic", "journal", "engine", "protocol", "replay", "client", "session",
        "testkit", "server",
    ];

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn no_module_uses_a_floor_above_its_own() {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for (floor, module) in FLOORS.iter().enumerate() {
            // Tests may use what they need.
            let code_files = files(&src.join(module)).into_iter();
            for file in code_files.filter(|file| !file.to_string_lossy().contains("/tests")) {
                let code = fs::read_to_string(&file).unwrap();
                for above in &FLOORS[floor + 1..] {
                    let uses = code.contains(&format!("crate::{above}::"));
                    assert!(!uses, "{} uses {above}", file.display());
                }
            }
        }
        // Neither of the two on one floor uses the other, and the past is read without an engine.
        for above in ["client", "engine", "protocol"] {
            for file in files(&src.join("replay")) {
                let code = fs::read_to_string(&file).unwrap();
                assert!(
                    !code.contains(&format!("crate::{above}::")),
                    "{} uses {above}",
                    file.display()
                );
            }
        }
        // The protocol reads what a client sends; what becomes of it is none of its business.
        for file in files(&src.join("protocol")) {
            let code = fs::read_to_string(&file).unwrap();
            assert!(!code.contains("crate::engine::"), "{} uses the engine", file.display());
        }
    }

    /// What a type can do is behind its trait: nobody asks which one it is.
    #[test]
    fn nothing_outside_types_matches_on_a_built_in_type() {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let outside = files(&src).into_iter().filter(|file| {
            let tests = file.to_string_lossy().contains("/tests");
            // What clients of 0.13 call types is a fixed list, which is translated there.
            let v0_13 = file.starts_with(src.join("server/v0_13"));
            !tests && !v0_13 && !file.starts_with(src.join("types"))
        });
        for file in outside.filter(|file| *file != src.join("lib.rs")) {
            let code = fs::read_to_string(&file).unwrap();
            for line in code.lines() {
                let asks = |name: &str| {
                    let (pattern, quoted) = (line.split("=>").next(), format!("\"{name}\""));
                    line.contains("=>") && pattern.is_some_and(|it| it.contains(&quoted))
                        || line.contains(&format!("name() == {quoted}"))
                };
                let asked = crate::types::Registry::default().names().find(|name| asks(name));
                assert_eq!(asked, None, "{}: {line}", file.display());
            }
        }
    }
}

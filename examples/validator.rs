//! A rule of one's own: labels are short, and no two are the same.
//!
//! `cargo run --example validator`

use std::error::Error;

use topicsync::server::Server;
use topicsync::types::List;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .listen(([127, 0, 0, 1], 0))
        // For every list whose name begins with "labels/", whoever changes it.
        .validate::<List>("labels/*", |labels, _change| {
            let mut sorted: Vec<_> = labels.iter().collect();
            sorted.sort();
            match () {
                () if sorted.windows(2).any(|pair| pair[0] == pair[1]) => {
                    Err("this list has no duplicates".into())
                }
                () if labels.len() > 3 => Err("three labels are enough".into()),
                () => Ok(()),
            }
        })
        .bind()?;

    let labels = server.host().list("labels/inbox")?;
    for label in ["urgent", "later", "urgent", "never", "maybe"] {
        match labels.push(label) {
            Ok(version) => println!("{label}: version {version}"),
            Err(rejection) => println!("{label}: refused, {rejection}"),
        }
    }
    println!("{:?}", labels.value());
    assert_eq!(labels.value().len(), 3);
    Ok(())
}

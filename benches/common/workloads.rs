//! What people do: typing, as it was recorded, and moving the nodes of an editor about.

use std::fs::File;
use std::io::BufReader;

use flate2::bufread::GzDecoder;
use serde::Deserialize;
use topicsync::types::AnyChange;
use topicsync::types::StringChange;
use topicsync::types::{Deletion, Edit};
use topicsync::types::{Dict as DictType, DictChange};
use topicsync::value::{Dict, Value};

use crate::common::Random;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/traces/automerge-paper.json.gz");

/// An editing session, keystroke by keystroke.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    #[allow(dead_code, reason = "not every benchmark looks at the end")]
    pub end_content: String,
    txns: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    /// Position, how many code points are deleted there, and what is inserted.
    patches: Vec<(usize, usize, String)>,
}

impl Trace {
    /// `None`, and a word on it, where the file is not there.
    pub fn read() -> Option<Trace> {
        let file = match File::open(PATH) {
            Ok(file) => file,
            Err(error) => {
                println!("skipped, as the trace cannot be read ({PATH}: {error})");
                return None;
            }
        };
        let json = BufReader::new(GzDecoder::new(BufReader::new(file)));
        Some(serde_json::from_reader(json).expect("the trace is JSON of its known shape"))
    }

    pub fn changes(&self) -> Vec<StringChange> {
        let patches = self.txns.iter().flat_map(|transaction| &transaction.patches);
        let change = |(position, deleted, inserted): &(usize, usize, String)| {
            let mut edit = Edit::default();
            edit.retain(*position);
            edit.delete(Deletion::of_len(*deleted));
            edit.insert(inserted.as_str().into());
            StringChange::Edit(edit.finish())
        };
        patches.map(change).collect()
    }
}

/// Moves of nodes, mostly; now and then one comes or goes.
#[allow(dead_code, reason = "not every benchmark moves nodes")]
pub struct Nodes {
    random: Random,
    there: Vec<u64>,
    made: u64,
}

#[allow(dead_code, reason = "not every benchmark moves nodes")]
impl Nodes {
    pub fn new(random: Random) -> Nodes {
        Nodes { random, there: Vec::new(), made: 0 }
    }

    fn place(&mut self) -> Value {
        let (x, y) = (self.random.below(4000) as i64, self.random.below(3000) as i64);
        Value::Dict(Dict::from([("x", x.into()), ("y", y.into())]))
    }

    pub fn change(&mut self) -> AnyChange {
        let value = self.place();
        let adds = self.there.len() < 490 || (self.there.len() < 510 && self.random.below(50) == 0);
        let change = if adds {
            self.made += 1;
            self.there.push(self.made);
            DictChange::Add { key: format!("node-{}", self.made).into(), value }
        } else {
            let at = self.random.below(self.there.len());
            let key = format!("node-{}", self.there[at]).into();
            match self.random.below(50) {
                0 => {
                    self.there.swap_remove(at);
                    DictChange::Remove { key }
                }
                _ => DictChange::ChangeValue { key, value },
            }
        };
        AnyChange::new::<DictType>(change)
    }
}

//! Recordings of people who edit a text: patches of patches, as gzipped JSON.
//!
//! A *txn* holds patches, each a position, how much is deleted there, and what is inserted; each is
//! made on the text that the one before leaves. Texts are ASCII, so that positions count bytes and
//! code points alike.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde::Deserialize;
use topicsync::types::StringChange;
use topicsync::types::{Deletion, Edit};

use super::Result;

/// How many authors a concurrent trace has.
pub const AUTHORS: usize = 2;

#[derive(Debug)]
pub enum Trace {
    Sequential(Sequential),
    Concurrent(Concurrent),
}

/// Written by one hand after the other.
#[derive(Debug)]
pub struct Sequential {
    pub start: String,
    pub end: String,
    pub txns: Vec<Vec<Patch>>,
}

/// Written by two at once.
#[derive(Debug)]
pub struct Concurrent {
    pub end: String,
    /// In an order in which each comes after those that its author knew.
    pub txns: Vec<Txn>,
}

/// What one author did at one moment.
#[derive(Debug)]
pub struct Txn {
    /// 0 or 1.
    pub author: usize,
    /// How many of the other author's txns this one's author knew: the first so many of them.
    pub knows: usize,
    pub patches: Vec<Patch>,
}

/// Position, how much is deleted, what is inserted.
#[derive(Debug, Clone, Deserialize)]
pub struct Patch(usize, usize, String);

impl Patch {
    pub fn change(&self) -> StringChange {
        let Patch(position, deleted, inserted) = self;
        let mut edit = Edit::default();
        edit.retain(*position);
        edit.delete(Deletion::of_len(*deleted));
        edit.insert(inserted.into());
        StringChange::Edit(edit.finish())
    }

    fn apply(&self, text: &mut String) {
        let Patch(position, deleted, inserted) = self;
        text.replace_range(*position..position + deleted, inserted);
    }
}

impl Trace {
    /// Reads a file.
    ///
    /// # Errors
    /// It is not there, or is no trace that can be played.
    pub fn read(path: &Path) -> Result<Trace> {
        let mut json = String::new();
        GzDecoder::new(File::open(path)?).read_to_string(&mut json)?;
        let file: TraceFile = serde_json::from_str(&json)?;
        if !json.is_ascii() {
            return Err("positions would be ambiguous in a text that is not ASCII".into());
        }
        match file.kind.as_deref() {
            Some("concurrent") => file.concurrent().map(Trace::Concurrent),
            _ => Ok(Trace::Sequential(file.sequential())),
        }
    }

    /// Only the first `txns`, if the trace is sequential: where that ends, a plain string tells.
    #[must_use]
    pub fn first(self, txns: usize) -> Trace {
        match self {
            Trace::Sequential(trace) if txns < trace.txns.len() => {
                Trace::Sequential(trace.first(txns))
            }
            whole => whole,
        }
    }
}

impl Sequential {
    fn first(mut self, txns: usize) -> Sequential {
        self.txns.truncate(txns);
        self.end = self.start.clone();
        for patch in self.txns.iter().flatten() {
            patch.apply(&mut self.end);
        }
        self
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TraceFile {
    kind: Option<String>,
    #[serde(default)]
    start_content: String,
    end_content: String,
    #[serde(default)]
    num_agents: usize,
    txns: Vec<TxnInFile>,
}

#[derive(Deserialize)]
struct TxnInFile {
    #[serde(default)]
    parents: Vec<usize>,
    #[serde(default)]
    agent: usize,
    patches: Vec<Patch>,
}

impl TraceFile {
    fn sequential(self) -> Sequential {
        let txns = self.txns.into_iter().map(|txn| txn.patches).collect();
        Sequential { start: self.start_content, end: self.end_content, txns }
    }

    fn concurrent(self) -> Result<Concurrent> {
        if self.num_agents != AUTHORS || !self.start_content.is_empty() {
            return Err("a concurrent trace has two authors, who begin with nothing".into());
        }
        let mut seen: Vec<Seen> = Vec::with_capacity(self.txns.len());
        let mut made = [0; AUTHORS];
        let mut txns = Vec::with_capacity(self.txns.len());
        for (index, TxnInFile { parents, agent, patches }) in self.txns.into_iter().enumerate() {
            let mut knew = Seen::default();
            for parent in parents {
                let parent = seen.get(parent).ok_or(format!("txn {index} is before a parent"))?;
                knew = knew.merged(*parent);
            }
            if agent >= AUTHORS || knew.0[agent] != made[agent] {
                return Err(format!("txn {index} does not follow its author's one before").into());
            }
            made[agent] += 1;
            txns.push(Txn { author: agent, knows: knew.0[1 - agent], patches });
            knew.0[agent] += 1;
            seen.push(knew);
        }
        Ok(Concurrent { end: self.end_content, txns })
    }
}

/// How many txns of each author a state of the text has. As each author's txns are a chain, it has
/// the first so many.
#[derive(Clone, Copy, Default)]
struct Seen([usize; AUTHORS]);

impl Seen {
    fn merged(self, other: Seen) -> Seen {
        Seen(std::array::from_fn(|author| self.0[author].max(other.0[author])))
    }
}

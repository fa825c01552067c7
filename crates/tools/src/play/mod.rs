//! Plays recorded editing through a running server, over real sockets, and checks where it ends.
//!
//! | module | holds |
//! |---|---|
//! | [`trace`] | recordings, and what each author knew |
//! | `sequential` | one writer, and readers who follow |
//! | `concurrent` | two writers, and a network that lets through what the recording says |
//! | `link` | the socket under a replica that is moved by hand |
//! | [`server`] | a server in this process |

mod concurrent;
mod link;
mod sequential;
pub mod server;
pub mod trace;

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::trace::Trace;
use topicsync::protocol::Encoding;
use topicsync::topic::TopicName;
use topicsync::types::AnyValue;
use topicsync::types::String as StringType;

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long to wait for what is due.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a trace is played.
pub struct Setup {
    /// `ws://host:port`
    pub url: String,
    pub encoding: Encoding,
    /// Who follows the one writer of a sequential trace.
    pub readers: usize,
}

/// What was played. Everyone held the end of the trace.
#[derive(Debug)]
pub struct Report {
    pub topic_name: TopicName,
    pub txns: usize,
    pub patches: usize,
    pub versions: u64,
    pub replicas: usize,
    /// From the first patch until everyone had everything.
    pub took: Duration,
    /// What else is worth knowing, for a person.
    pub notes: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let rate = self.patches as f64 / seconds;
        writeln!(f, "{} txns, {} patches in {seconds:.2} s", self.txns, self.patches)?;
        writeln!(
            f,
            "  {rate:.0} patches/s, as {} versions of {:?}",
            self.versions, &*self.topic_name
        )?;
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        write!(f, "  {} replicas ended with the trace's text, confirmed too", self.replicas)
    }
}

/// Plays a trace to its end.
///
/// # Errors
/// Something was refused or lost, or somebody does not hold the text that the trace ends with.
pub async fn play(trace: &Trace, setup: &Setup) -> Result<Report> {
    match trace {
        Trace::Sequential(trace) => sequential::play(trace, setup).await,
        Trace::Concurrent(trace) => concurrent::play(trace, setup).await,
    }
}

/// A topic that was not there before, also on a server that has been played to.
fn new_topic() -> Result<TopicName> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(TopicName::new(format!("play/{}", since_1970.as_nanos()))?)
}

/// Waits for what is due, and fails if it does not come.
async fn due<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => Ok(done),
        Err(_) => Err(format!("waited {PATIENCE:?} for {what}").into()),
    }
}

/// Compares a replica's text with the one it should be.
fn check_text(whose: &str, value: &AnyValue, expected: &str) -> Result<()> {
    let text = value.get::<StringType>().ok_or_else(|| format!("{whose} is no text"))?.to_string();
    if text == expected {
        return Ok(());
    }
    let same =
        text.bytes().zip(expected.bytes()).take_while(|(ours, theirs)| ours == theirs).count();
    let around = |text: &str| {
        let from = same.saturating_sub(20)..text.len().min(same + 20);
        format!("{:?}", text.as_bytes().get(from).map(String::from_utf8_lossy).unwrap_or_default())
    };
    let (len, expected_len) = (text.len(), expected.len());
    let (found, wanted) = (around(&text), around(expected));
    let found =
        format!("{whose} differs at {same}: {found} of {len}, not {wanted} of {expected_len}");
    Err(found.into())
}

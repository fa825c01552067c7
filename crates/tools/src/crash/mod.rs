//! Kills a server at random moments while many clients edit, starts it again, and holds what is there
//! against all that any client ever saw.
//!
//! ```text
//! round:  edit ──► SIGKILL ──► (start, SIGKILL) ──► start ──► edit ──► rest ──► check
//! ```
//!
//! After each round: every published change that any client saw is in the log, with the same version
//! and commit, exactly once; every confirmed id is there, and no rejected one; all replicas hold one
//! value, which is what the journal folds to; no topic has got another life.

mod person;
mod witness;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;
use topicsync::journal::SqliteJournal;
use topicsync::replay;
use topicsync::topic::{Moment, TopicName};
use topicsync::types::Registry;

use self::person::{Person, Phase, Shared, Stand};
use self::witness::{Checked, Witness};
use topicsync::testkit::choices::{Choices, Random};

/// How long clients have to agree once nobody edits.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Plan {
    /// The program that is killed.
    pub server: PathBuf,
    pub data: PathBuf,
    pub rounds: usize,
    pub clients: usize,
    pub seed: u64,
    /// Told after each round: its number, how many changes were seen so far, how often it was killed.
    pub progress: fn(usize, usize, usize),
}

/// What a run came to.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    pub kills: usize,
    /// Published changes that some client saw.
    pub seen: usize,
}

/// A running server, killed in the end whatever happens.
struct Server(Child);

impl Server {
    fn start(plan: &Plan, address: SocketAddr) -> Checked<Server> {
        let mut command = Command::new(&plan.server);
        command.env_clear().args(["serve", "--listen", &address.to_string(), "--data"]);
        command.arg(&plan.data).args(["--session-timeout", "600", "--log", "error"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.spawn().map(Server).map_err(|error| format!("{}: {error}", plan.server.display()))
    }

    /// Sends SIGKILL and waits until the process is gone.
    fn kill(&mut self) -> Checked {
        if let Some(status) = self.0.try_wait().map_err(|error| error.to_string())? {
            return Err(format!("the server ended by itself: {status}"));
        }
        self.0.kill().and_then(|()| self.0.wait()).map_err(|error| error.to_string())?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Plays all rounds; fails with the first thing that is wrong.
pub async fn run(plan: Plan) -> Checked<Report> {
    let address = free_address()?;
    let topics = ["string", "list", "dict", "set", "int"];
    let of_name = |name: &str| Registry::default().get(name).expect("a built-in type");
    let topic = |name: &str| (TopicName::new(name).expect("a name"), of_name(name));
    let shared = Arc::new(Shared {
        address,
        topics: topics.into_iter().map(topic).collect(),
        witness: Mutex::new(Witness::default()),
        stands: Mutex::new(vec![None; plan.clients]),
        broken: Mutex::new(None),
    });
    let (tell, phase) = watch::channel(Phase::Work);
    for number in 0..plan.clients {
        let person = Person::new(number, plan.seed, shared.clone());
        tokio::spawn(person.live(phase.clone()));
    }
    let mut random = Random(plan.seed);
    let mut server = Server::start(&plan, address)?;
    let mut kills = 0;
    for round in 1..=plan.rounds {
        let choices: &mut dyn Choices = &mut random;
        let waits = [20 + choices.below(300), choices.below(80), 20 + choices.below(80)];
        let [work, start, again] = waits.map(|ms| Duration::from_millis(ms as u64));
        let twice = choices.once_in(3);
        tell.send_replace(Phase::Work);
        sleep(work).await;
        server.kill()?;
        kills += 1;
        if twice {
            // Maybe before it has found what there is.
            server = Server::start(&plan, address)?;
            sleep(start).await;
            server.kill()?;
            kills += 1;
        }
        server = Server::start(&plan, address)?;
        sleep(again).await;
        tell.send_replace(Phase::Rest);
        let stand = agreed(&shared).await.map_err(|what| format!("round {round}: {what}"))?;
        check(&shared, &plan.data, &stand).map_err(|what| format!("round {round}: {what}"))?;
        (plan.progress)(round, shared.witness.lock().seen(), kills);
    }
    tell.send_replace(Phase::Done);
    let seen = shared.witness.lock().seen();
    Ok(Report { kills, seen })
}

/// Waits until all clients stand at one place, with nothing pending.
async fn agreed(shared: &Shared) -> Checked<Stand> {
    let started = Instant::now();
    loop {
        if let Some(what) = shared.broken.lock().clone() {
            return Err(what);
        }
        let stands = shared.stands.lock().clone();
        if let Some(first) = stands[0].as_ref()
            && stands.iter().all(|stand| stand.as_ref() == Some(first))
        {
            return Ok(first.clone());
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("the clients do not agree: {stands:?}"));
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Holds the journal, beside the server that runs, against what was seen.
fn check(shared: &Shared, data: &Path, stand: &Stand) -> Checked {
    let journal = SqliteJournal::open_read_only(data).map_err(|error| error.to_string())?;
    shared.witness.lock().check(&journal)?;
    let registry = Registry::default();
    for (name, (version, value)) in stand {
        let at = replay::value_at(&journal, &registry, name, Moment::Version(*version))
            .map_err(|error| error.to_string())?;
        if at.plain() != *value {
            return Err(format!(
                "{name:?} {version}: clients hold {value:?}, the journal {:?}",
                at.plain()
            ));
        }
    }
    Ok(())
}

/// An address of the loopback interface that nothing listens on, as far as can be known.
fn free_address() -> Checked<SocketAddr> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}

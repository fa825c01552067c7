//! Plays random worlds until a law does not hold, and shortens what it finds.
//!
//! A run is a list of [`Step`]s, chosen one by one as they are played, since what a client can change
//! depends on what it sees. The list is plain data: it is shortened by leaving steps out and by making
//! changes simpler, and what is left is the script that is printed. A general state machine library
//! would need a second model of the whole system to know which steps make sense, and could only show the
//! steps as they were chosen, not as they were understood; a step that makes no sense does nothing here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::test_runner::Config;

use super::broken::{Broken, Checked, Found};
use super::cases::Cases;
use super::choices::{Choices, Random};
use super::failure::{Failure, first_seed};
use super::law::Law;
use super::world::record::Counts;
use super::world::{ClientStep, PlannedChange, Setup, Step, Topic, World};
use super::{quiet, script, simpler};
use crate::journal::Fault;
use crate::topic::{Delivery, Durability, TopicOptions};
use crate::types::TopicType;

/// Which steps a run is made of, beside changes, messages and lost connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mix {
    /// Several changes as one action.
    pub actions: bool,
    /// Undo and redo.
    pub undo: bool,
    /// Sessions are forgotten, subscriptions interrupted.
    pub breaks: bool,
    /// The tick of `latest` topics.
    pub ticks: bool,
    /// Many changes in a row are made, and time passes.
    pub long: bool,
    /// Validators refuse, and the server is busy, more often than rarely.
    pub refusals: bool,
    /// The journal commits when it is told to, or fails; the server crashes.
    pub crashes: bool,
    /// Connections are lost unnoticed, and sessions have two; what is written waits on the way; goodbyes.
    pub resumes: bool,
    /// Topics are removed, forked and made again.
    pub removals: bool,
    /// Clients offer services and ask each other's.
    pub services: bool,
    /// Clients ask about the past.
    pub past: bool,
    /// The server is stopped in good order, and started with another default durability.
    pub settings: bool,
    /// The wall clock jumps.
    pub clocks: bool,
    /// Clients send messages of no replica's making.
    pub sayings: bool,
    /// Clients have entries of their own in topics with the option `presence`.
    pub presence: bool,
    /// Validators panic.
    pub panics: bool,
}

/// Random runs through worlds of one make.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// What each world is made of.
    pub setup: Setup,
    /// What may happen.
    pub mix: Mix,
    /// How many times a run goes on at most: mostly by one step.
    pub steps: usize,
    /// How many runs there are.
    pub runs: u32,
    /// The seed of the first run; the next one has the next.
    pub seed: u64,
}

/// What the runs went through.
#[derive(Debug, Default, Clone, Copy)]
pub struct Report {
    /// How many runs were played.
    pub runs: u32,
    /// How many steps they took in all.
    pub steps: u64,
    /// How many changes clients made.
    pub changes: u64,
    /// What became of them at the server.
    pub counts: Counts,
}

impl Report {
    /// Counts other runs with these.
    pub fn add(&mut self, other: Report) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.changes += other.changes;
        self.counts.add(other.counts);
    }
}

/// How many shorter scripts are played.
const PLAYS_MAX: usize = 4_000;

impl Simulation {
    /// As many runs as proptest has cases, of up to 40 steps; a quarter of them if each makes many
    /// changes in a row.
    pub fn new(setup: Setup, mix: Mix) -> Simulation {
        let cases = Config::default().cases;
        let runs = if mix.long { cases.div_ceil(4) } else { cases };
        Simulation { setup, mix, steps: 40, runs, seed: first_seed() }
    }

    /// Three clients and a topic of one type, called `one`: actions, lost connections, forgotten sessions
    /// and subscriptions that are interrupted.
    pub fn of<T: TopicType>(cases: &Cases<T>) -> Simulation {
        let mix = Mix { actions: true, breaks: true, ..Mix::default() };
        Simulation::new(Setup::new(3, vec![Topic::new("one", cases.kind())]), mix)
    }

    /// With undo and redo.
    #[must_use]
    pub fn undoing(mut self) -> Simulation {
        self.mix.undo = true;
        self
    }

    /// Subscribers get a composed update a tick, if the type has a value.
    #[must_use]
    pub fn latest(mut self) -> Simulation {
        self.mix.ticks = true;
        for topic in self.setup.topics.iter_mut().filter(|topic| topic.kind.of.stateful()) {
            topic.options.delivery = Delivery::Latest;
        }
        self
    }

    /// Validators refuse changes, and the server turns some away for being busy.
    #[must_use]
    pub fn refusing(mut self) -> Simulation {
        self.mix.refusals = true;
        self
    }

    /// The server crashes and restarts from its journal, which fails at times.
    #[must_use]
    pub fn crashing(mut self) -> Simulation {
        (self.mix.undo, self.mix.crashes, self.steps) = (true, true, 60);
        for topic in &mut self.setup.topics {
            let options = topic.options.clone();
            topic.options = TopicOptions { durability: Some(Durability::Commit), ..options };
        }
        self
    }

    /// Clients lose their connections unnoticed, and sessions have two; the server reads and writes in part.
    #[must_use]
    pub fn resuming(mut self) -> Simulation {
        (self.mix.undo, self.mix.resumes, self.mix.sayings) = (true, true, true);
        self.with_a_topic_apart()
    }

    /// Clients ask about the past, and ask again.
    #[must_use]
    pub fn looking_back(mut self) -> Simulation {
        (self.mix.undo, self.mix.past, self.mix.services) = (true, true, true);
        self
    }

    /// Topics are removed, forked and made again, and clients come and go.
    #[must_use]
    pub fn removing(mut self) -> Simulation {
        (self.mix.removals, self.mix.resumes, self.mix.services) = (true, true, true);
        self.with_a_topic_apart()
    }

    /// Another topic of each type, which is not there until a step says so.
    #[must_use]
    pub fn with_a_topic_apart(mut self) -> Simulation {
        let apart = self.setup.topics.iter().map(|topic| {
            Topic::new(&format!("{}, apart", &*topic.name), topic.kind.clone())
                .with(topic.options.clone())
        });
        self.setup.apart = apart.collect();
        self
    }

    /// So many steps in each run.
    #[must_use]
    pub fn steps(self, steps: usize) -> Simulation {
        Simulation { steps, ..self }
    }

    /// So many runs, from this seed on: the same ones each time.
    #[must_use]
    pub fn runs(self, runs: u32, seed: u64) -> Simulation {
        Simulation { runs, seed, ..self }
    }

    /// Plays the runs.
    ///
    /// # Errors
    /// The shortest script that breaks a law.
    pub fn run(&self) -> Result<Report, Box<Failure>> {
        self.run_then(&|_| Ok(()))
    }

    /// As [`run`](Self::run), with something more to check at the end of each run.
    ///
    /// # Errors
    /// The shortest script that breaks a law, or fails the check.
    pub fn run_then(&self, then: &dyn Fn(&World) -> Found) -> Result<Report, Box<Failure>> {
        let mut report = Report::default();
        for run in 0..self.runs {
            let mut steps = Vec::with_capacity(self.steps);
            let seed = self.seed.wrapping_add(run.into());
            let played = caught(|| self.play_one(seed, &mut steps, then));
            match played {
                Ok((changes, counts)) => {
                    report.changes += changes;
                    report.counts.add(counts);
                }
                Err(broken) => {
                    return Err(Box::new(shortest(&self.setup, steps, &broken, then)));
                }
            }
            report.runs += 1;
            report.steps += steps.len() as u64;
        }
        Ok(report)
    }

    /// Plays one run, and notes its steps.
    fn play_one(
        &self,
        seed: u64,
        steps: &mut Vec<Step>,
        then: &dyn Fn(&World) -> Found,
    ) -> Checked<(u64, Counts)> {
        let mut random = Random(seed);
        let mut world = World::new(&self.setup)?;
        world.thorough = self.setup.stride == 1;
        let weights = weights(self.mix);
        let choices: &mut dyn Choices = &mut random;
        for _ in 0..1 + choices.below(self.steps) {
            let client = 1 + choices.below(world.clients.len());
            let kind = chosen(&weights, choices);
            // In a burst the client hears of each change before it makes the next.
            let changes = if let StepKind::Burst = kind { 50 + choices.below(250) } else { 1 };
            for _ in 0..changes {
                for step in next(kind, client, &mut world, choices) {
                    steps.push(step);
                    world.play(&steps[steps.len() - 1])?;
                }
            }
        }
        world.check()?;
        then(&world)?;
        world.end()?;
        Ok((world.made, world.server.record.counts))
    }
}

/// Calls what may panic in a type's code; the panic is a finding like others.
fn caught<T>(act: impl FnOnce() -> Checked<T>) -> Checked<T> {
    let caught = quiet::quietly(|| catch_unwind(AssertUnwindSafe(act)));
    caught.unwrap_or_else(|panic| Err(format!("a panic: {}", quiet::text(&*panic)).into()))
}

/// Kinds of steps, before it is chosen who does what.
#[derive(Debug, Clone, Copy)]
enum StepKind {
    Change,
    Act,
    Undo,
    Redo,
    Send,
    Take,
    TakeTwice,
    Publish,
    Receive,
    ReceiveTwice,
    Tick,
    Disconnect,
    Connect,
    Forget,
    Toggle,
    Burst,
    Pass,
    Commit,
    Full,
    Unsynced,
    Crash,
    Refuse,
    Busy,
    Retry,
    Cut,
    Vanish,
    Goodbye,
    Read,
    Write,
    OldTake,
    OldWrite,
    OldClose,
    Idle,
    Work,
    Evict,
    Topics,
    Service,
    Question,
    Presence,
    Say,
    Stop,
    Default,
    Jump,
    Panic,
}

fn weights(mix: Mix) -> Vec<(usize, StepKind)> {
    let only = |on: bool, weight: usize| if on { weight } else { 0 };
    let rarely = |often: bool| if often { 4 } else { 1 };
    vec![
        (20, StepKind::Change),
        (only(mix.actions, 8), StepKind::Act),
        (only(mix.undo, 6), StepKind::Undo),
        (only(mix.undo, 4), StepKind::Redo),
        (14, StepKind::Send),
        (14, StepKind::Take),
        (1, StepKind::TakeTwice),
        (6, StepKind::Publish),
        (16, StepKind::Receive),
        (1, StepKind::ReceiveTwice),
        (only(mix.ticks, 6), StepKind::Tick),
        (2, StepKind::Disconnect),
        (4, StepKind::Connect),
        (only(mix.breaks, 1), StepKind::Forget),
        (only(mix.breaks, 1), StepKind::Toggle),
        (only(mix.long, 8), StepKind::Burst),
        (only(mix.long, 8), StepKind::Pass),
        (only(mix.crashes, 8), StepKind::Commit),
        (only(mix.crashes, 1), StepKind::Full),
        (only(mix.crashes, 1), StepKind::Unsynced),
        (only(mix.crashes, 2), StepKind::Crash),
        (rarely(mix.refusals), StepKind::Refuse),
        (rarely(mix.refusals), StepKind::Busy),
        (rarely(mix.refusals), StepKind::Retry),
        (1, StepKind::Cut),
        (only(mix.resumes, 3), StepKind::Vanish),
        (only(mix.resumes, 1), StepKind::Goodbye),
        (only(mix.resumes, 4), StepKind::Read),
        (only(mix.resumes, 6), StepKind::Write),
        (only(mix.resumes, 6), StepKind::OldTake),
        (only(mix.resumes, 3), StepKind::OldWrite),
        (only(mix.resumes, 3), StepKind::OldClose),
        (only(mix.resumes, 1), StepKind::Idle),
        (only(mix.past || mix.removals, 8), StepKind::Work),
        (only(mix.removals || mix.crashes, 1), StepKind::Evict),
        (only(mix.removals, 6), StepKind::Topics),
        (only(mix.services, 10), StepKind::Service),
        (only(mix.past, 10), StepKind::Question),
        (only(mix.presence, 6), StepKind::Presence),
        (only(mix.sayings, 6), StepKind::Say),
        (only(mix.settings, 2), StepKind::Stop),
        (only(mix.settings, 2), StepKind::Default),
        (only(mix.clocks, 3), StepKind::Jump),
        (only(mix.clocks, 2), StepKind::Idle),
        (only(mix.clocks, 2), StepKind::Pass),
        (only(mix.panics, 2), StepKind::Panic),
    ]
}

fn chosen(weights: &[(usize, StepKind)], choices: &mut dyn Choices) -> StepKind {
    let mut left = choices.below(weights.iter().map(|(weight, _)| weight).sum());
    for (weight, kind) in weights {
        match left.checked_sub(*weight) {
            Some(rest) => left = rest,
            None => return *kind,
        }
    }
    StepKind::Change
}

/// What happens next: mostly one step.
fn next(kind: StepKind, client: usize, world: &mut World, choices: &mut dyn Choices) -> Vec<Step> {
    let by = |step| vec![Step::Client(client, step)];
    match kind {
        StepKind::Change => by(world.plan(client, 1, choices)),
        StepKind::Act => by(world.plan(client, 2 + choices.below(3), choices)),
        StepKind::Undo => by(ClientStep::Undo),
        StepKind::Redo => by(ClientStep::Redo),
        StepKind::Send => by(ClientStep::Send),
        StepKind::Take if choices.below(2) == 0 => {
            vec![Step::Client(client, ClientStep::Take), Step::Publish]
        }
        StepKind::Take => by(ClientStep::Take),
        StepKind::TakeTwice => by(ClientStep::TakeTwice),
        StepKind::Receive => by(ClientStep::Receive(1 + choices.below(3))),
        StepKind::ReceiveTwice => by(ClientStep::ReceiveTwice),
        StepKind::Disconnect => by(ClientStep::Disconnect),
        StepKind::Connect => by(ClientStep::Connect),
        StepKind::Forget => by(ClientStep::Forget),
        StepKind::Retry => by(ClientStep::Retry),
        StepKind::Toggle => {
            let topic = choices.pick(world.topic_names());
            match world.clients[client - 1].replica.topic(&topic) {
                Some(_) => by(ClientStep::Leave(topic)),
                None => by(ClientStep::Join(topic)),
            }
        }
        StepKind::Burst => {
            let steps = [world.plan(client, 1, choices), ClientStep::Send, ClientStep::Take];
            let mut steps: Vec<Step> = steps.map(|step| Step::Client(client, step)).into();
            steps.extend([Step::Publish, Step::Client(client, ClientStep::Receive(64))]);
            steps
        }
        StepKind::Publish => vec![Step::Publish],
        StepKind::Tick => vec![Step::Tick],
        StepKind::Pass => vec![Step::Pass(10 + choices.below(150) as u64)],
        StepKind::Commit => vec![Step::Commit],
        StepKind::Full => vec![Step::Fail(choices.pick(&[Fault::Full, Fault::Unanswered]))],
        StepKind::Unsynced => {
            vec![Step::Fail(choices.pick(&[Fault::Unsynced, Fault::UnansweredAndThere]))]
        }
        StepKind::Crash => vec![Step::Crash],
        StepKind::Refuse => vec![Step::Refuse],
        StepKind::Busy => vec![Step::Busy],
        StepKind::Cut => vec![Step::Cut],
        StepKind::Vanish => by(ClientStep::Vanish),
        StepKind::Goodbye => by(ClientStep::Goodbye),
        StepKind::Read => by(ClientStep::Read),
        StepKind::Write => by(ClientStep::Write),
        StepKind::OldTake => by(ClientStep::OldTake),
        StepKind::OldWrite => by(ClientStep::OldWrite),
        StepKind::OldClose => by(ClientStep::OldClose),
        StepKind::Idle => vec![Step::Idle(1 + choices.below(400) as u64)],
        StepKind::Work => vec![Step::Work],
        StepKind::Evict => vec![Step::Evict],
        StepKind::Topics => by(world.plan_topics(client, choices)),
        StepKind::Service => by(world.plan_service(choices)),
        StepKind::Question => by(world.plan_question(choices)),
        StepKind::Presence => world.plan_presence(choices).map_or_else(Vec::new, by),
        StepKind::Say => {
            let sayings = world.plan_saying(client, choices).into_iter();
            sayings.map(|step| Step::Client(client, step)).collect()
        }
        StepKind::Stop => vec![Step::Stop],
        StepKind::Default => {
            let all = [Durability::Memory, Durability::Relaxed, Durability::Commit];
            vec![Step::Default(choices.pick(&all))]
        }
        StepKind::Jump => {
            let ms = [100_000, -100_000, 40, -40, 3_000_000];
            vec![Step::Jump(choices.pick(&ms))]
        }
        StepKind::Panic => vec![Step::Panic],
    }
}

/// Plays a script, and checks all that then has to hold.
fn play(setup: &Setup, steps: &[Step], then: &dyn Fn(&World) -> Found) -> Checked {
    caught(|| {
        let mut world = World::new(setup)?;
        steps.iter().try_for_each(|step| world.play(step))?;
        world.check()?;
        then(&world)?;
        world.end()
    })
}

/// Plays a script again.
///
/// # Errors
/// What is broken still.
pub(super) fn replay(law: Law, setup: &Setup, steps: &[Step]) -> Result<(), Failure> {
    match play(setup, steps, &|_| Ok(())) {
        Ok(()) => Ok(()),
        Err(broken) => {
            let law = broken.law.unwrap_or(law);
            Err(told(law, setup, steps, broken.what))
        }
    }
}

fn shortest(
    setup: &Setup,
    steps: Vec<Step>,
    broken: &Broken,
    then: &dyn Fn(&World) -> Found,
) -> Failure {
    let (mut setup, mut steps) = (setup.clone(), steps);
    let mut plays_left = PLAYS_MAX;
    let mut breaks = |setup: &Setup, steps: &[Step]| {
        plays_left = plays_left.saturating_sub(1);
        let same_law = |found: &Broken| found.law == broken.law;
        plays_left > 0 && play(setup, steps, then).is_err_and(|found| same_law(&found))
    };
    loop {
        let found = shorter(&setup, &steps).find(|(setup, steps)| breaks(setup, steps));
        match found {
            Some(shorter) => (setup, steps) = shorter,
            None => break,
        }
    }
    let what = play(&setup, &steps, then).err().unwrap_or_else(|| broken.clone()).what;
    // A panic, or the simulator's own complaint, breaks what the hunt was for: convergence.
    told(broken.law.unwrap_or(Law::ReplicasConverge), &setup, &steps, what)
}

/// Shorter and simpler scripts, the shortest first.
fn shorter<'a>(
    setup: &'a Setup,
    steps: &'a [Step],
) -> impl Iterator<Item = (Setup, Vec<Step>)> + 'a {
    let fewer = simpler::fewer(steps).into_iter().map(|steps| (setup.clone(), steps));
    let fewer_clients = std::iter::once_with(|| with_fewer_clients(setup, steps)).flatten();
    let fewer_topics =
        (0..setup.all_topics().count()).map(|index| (without_topic(setup, index), steps.to_vec()));
    let simpler = (0..steps.len()).flat_map(move |index| {
        let offers = simpler_steps(&steps[index]).into_iter();
        offers.map(move |step| {
            let mut steps = steps.to_vec();
            steps[index] = step;
            (setup.clone(), steps)
        })
    });
    fewer.chain(fewer_clients).chain(fewer_topics).chain(simpler)
}

/// Without one of the topics. What the steps do with it does nothing then.
fn without_topic(setup: &Setup, index: usize) -> Setup {
    let mut setup = setup.clone();
    match index.checked_sub(setup.topics.len()) {
        None => drop(setup.topics.remove(index)),
        Some(index) => drop(setup.apart.remove(index)),
    }
    setup
}

/// Without the clients that do nothing; one may be needed to look on.
fn with_fewer_clients(setup: &Setup, steps: &[Step]) -> Option<(Setup, Vec<Step>)> {
    let mut present: Vec<usize> = steps.iter().filter_map(Step::client).collect();
    present.sort_unstable();
    present.dedup();
    let clients = present.len().max(1);
    let number = |client| present.iter().position(|it| *it == client).map_or(1, |index| index + 1);
    let renamed = |step: &Step| match step {
        Step::Client(client, step) => Step::Client(number(*client), step.clone()),
        other => other.clone(),
    };
    let setup = (clients < setup.clients).then(|| Setup { clients, ..setup.clone() })?;
    Some((setup, steps.iter().map(renamed).collect()))
}

fn simpler_steps(step: &Step) -> Vec<Step> {
    let Step::Client(client, step) = step else { return Vec::new() };
    let simpler = match step {
        ClientStep::Change(planned) => {
            simpler_changes(planned).into_iter().map(ClientStep::Change).collect()
        }
        ClientStep::Receive(count) if *count > 1 => vec![ClientStep::Receive(1)],
        _ => Vec::new(),
    };
    simpler.into_iter().map(|step| Step::Client(*client, step)).collect()
}

/// Fewer changes, or one of them simpler.
fn simpler_changes(planned: &[PlannedChange]) -> Vec<Vec<PlannedChange>> {
    let fewer = simpler::fewer(planned).into_iter().filter(|made| !made.is_empty());
    let simpler = planned.iter().enumerate().flat_map(|(index, one)| {
        simpler::of_fields(&one.change).into_iter().map(move |change| {
            let mut planned = planned.to_vec();
            planned[index].change = change;
            planned
        })
    });
    fewer.chain(simpler).collect()
}

/// The failure with its script, and what came of each step.
fn told(law: Law, setup: &Setup, steps: &[Step], what: String) -> Failure {
    let mut script = script::head(law, setup);
    let mut lines: Vec<String> = Vec::new();
    // That it fails is known.
    let _ = caught(|| {
        let mut world = World::new(setup)?;
        world.story = Some(Vec::new());
        for step in steps {
            lines.push(step.to_string());
            let played = caught(|| world.play(step));
            lines.extend(world.told().map(|line| format!("    # {line}")));
            played?;
        }
        let checked = caught(|| world.check().and_then(|()| world.end()));
        lines.extend(world.told().map(|line| format!("    # {line}")));
        checked
    });
    let types =
        setup.topics.iter().map(|topic| topic.kind.of.name()).collect::<Vec<_>>().join(", ");
    script.push_str(&lines.join("\n"));
    Failure { law: Some(law), types, what, script, steps: steps.len(), seed: None }
}

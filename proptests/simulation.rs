//! The laws of the whole system, 7 to 9, on scripts of what happens in a [`world`](crate::world).
//!
//! A script is a list of steps, each with a tape for what else there is to choose. proptest shortens
//! it when a law breaks; what is left is then played again and told as a story.

use std::cell::Cell;
use std::fmt::{self, Debug};
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use proptest::strategy::Union;
use proptest::test_runner::{Config, FileFailurePersistence, TestError, TestRunner};
use topicsync::journal::Fault;
use topicsync::topic::{Delivery, Durability, Keep, TopicOptions, Version};

use crate::strategies::{Tape, tape};
use crate::world::record::kept_from;
use crate::world::{Checked, Setup, Step, Topic, World, kind, kinds, same};

/// How many clients a script may speak of.
const CLIENTS: usize = 3;

/// How long a case is shortened, in milliseconds.
const SHRINK_MS_MAX: u32 = 60_000;

/// Steps, each with what else there is to choose. Its story says more than its numbers would.
#[derive(Clone)]
struct Script(Vec<(Step, Tape)>);

impl Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} steps", self.0.len())
    }
}

/// Which steps a script is made of.
#[derive(Debug, Clone, Copy, Default)]
struct Play {
    actions: bool,
    undo: bool,
    /// Sessions are forgotten, subscriptions interrupted.
    breaks: bool,
    ticks: bool,
    /// Many changes in a row are made, and time passes.
    long: bool,
    /// The journal commits when it is told to, or fails; the server crashes.
    crashes: bool,
}

fn step(play: Play) -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    let only = |on: bool, weight: u32| if on { weight } else { 0 };
    let mut steps = vec![
        (20, client().prop_map(Step::Change).boxed()),
        (only(play.actions, 8), act().boxed()),
        (only(play.undo, 6), client().prop_map(Step::Undo).boxed()),
        (only(play.undo, 4), client().prop_map(Step::Redo).boxed()),
        (14, client().prop_map(Step::Send).boxed()),
        (14, client().prop_map(Step::Serve).boxed()),
        (6, Just(Step::Publish).boxed()),
        (16, (client(), 1..4_usize).prop_map(|(it, len)| Step::Deliver(it, len)).boxed()),
        (only(play.ticks, 6), Just(Step::Tick).boxed()),
        (2, client().prop_map(Step::Disconnect).boxed()),
        (4, client().prop_map(Step::Connect).boxed()),
        (only(play.breaks, 1), client().prop_map(Step::Forget).boxed()),
        (only(play.breaks, 1), client().prop_map(Step::Toggle).boxed()),
        (only(play.long, 8), burst().boxed()),
        (only(play.long, 4), (10..60_u64).prop_map(Step::Pass).boxed()),
        (only(play.crashes, 8), Just(Step::Commit).boxed()),
        (only(play.crashes, 1), Just(Step::Fail(Fault::Full)).boxed()),
        (only(play.crashes, 1), Just(Step::Fail(Fault::Unsynced)).boxed()),
        (only(play.crashes, 2), Just(Step::Crash).boxed()),
        (1, Just(Step::Refuse).boxed()),
        (1, Just(Step::Busy).boxed()),
        (1, client().prop_map(Step::Retry).boxed()),
        (1, Just(Step::Cut).boxed()),
    ];
    steps.retain(|(weight, _)| *weight > 0);
    Union::new_weighted(steps)
}

fn burst() -> impl Strategy<Value = Step> {
    (0..CLIENTS, 50..300_usize).prop_map(|(client, len)| Step::Burst(client, len))
}

fn act() -> impl Strategy<Value = Step> {
    (0..CLIENTS, 2..5_usize).prop_map(|(client, len)| Step::Act(client, len))
}

fn script(play: Play, len: usize) -> impl Strategy<Value = Script> {
    prop::collection::vec((step(play), tape()), 0..len).prop_map(Script)
}

/// Plays a script and checks what then has to hold.
fn play(world: &mut World, script: &Script) -> Checked {
    for (step, tape) in &script.0 {
        world.play(*step, &mut tape.clone())?;
    }
    world.check()
}

/// As [`play`], in a new world, and then what more is to be checked; a panic is a failure like others.
fn play_anew(
    setup: &Setup,
    script: &Script,
    story: &mut Option<String>,
    then: impl Fn(&World) -> Checked,
) -> Checked {
    let mut world = World::new(setup)?;
    world.story = story.take();
    let played = catch_unwind(AssertUnwindSafe(|| {
        play(&mut world, script)?;
        then(&world)
    }));
    *story = world.story;
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("a panic: {}", text.unwrap_or_default()))
    })
}

/// Looks for a case that breaks a law, and panics with the shortest that is found.
pub fn hunt<S: Strategy>(name: &str, cases: S, check: impl Fn(&S::Value) -> Checked) {
    if let Some((broken, case)) = find(Config::default().cases, cases, check) {
        panic!("{name}: {broken}\n{case:#?}");
    }
}

/// The shortest case that breaks a law, and how, if there is one among so many.
fn find<S: Strategy>(
    count: u32,
    cases: S,
    check: impl Fn(&S::Value) -> Checked,
) -> Option<(String, S::Value)> {
    let persistence = FileFailurePersistence::Direct("proptests/regressions/simulation.txt");
    let config = Config {
        failure_persistence: Some(Box::new(persistence)),
        source_file: Some(file!()),
        cases: count,
        max_shrink_iters: 20_000,
        max_shrink_time: SHRINK_MS_MAX,
        ..Config::default()
    };
    let result =
        TestRunner::new(config).run(&cases, |case| check(&case).map_err(TestCaseError::fail));
    match result {
        Ok(()) => None,
        Err(TestError::Fail(why, case)) => Some((why.to_string(), case)),
        Err(TestError::Abort(why)) => panic!("no cases: {why}"),
    }
}

/// Hunts for a script that breaks a law, and tells the shortest one that is found.
fn check(name: &str, setup: &Setup, scripts: impl Strategy<Value = Script>) {
    check_then(name, setup, scripts, |_| Ok(()));
}

/// As [`check`], with something more to check in the end.
fn check_then(
    name: &str,
    setup: &Setup,
    scripts: impl Strategy<Value = Script>,
    then: impl Fn(&World) -> Checked,
) {
    let cases = Config::default().cases;
    // A long script is as good as many.
    let cases = if setup.stride > 1 { cases.div_ceil(8) } else { cases };
    let found = find(cases, scripts, |script| play_anew(setup, script, &mut None, &then));
    if let Some((broken, script)) = found {
        let mut story = Some(String::new());
        let _ = play_anew(setup, &script, &mut story, &then);
        let steps: Vec<Step> = script.0.iter().map(|(step, _)| *step).collect();
        panic!("{name}: {broken}\n{}{steps:?}", story.unwrap_or_default());
    }
}

fn one(type_name: &str, options: TopicOptions) -> Setup {
    Setup::new(CLIENTS, vec![Topic::new("one", kind(type_name)).with(options)])
}

/// Laws 7, 8 and 9 for one type alone.
fn converges(type_name: &str) {
    let play = Play { actions: true, breaks: true, ..Play::default() };
    check(type_name, &one(type_name, TopicOptions::default()), script(play, 40));
}

/// The same where subscribers get a composed update a tick.
fn latest_converges(type_name: &str) {
    let options = TopicOptions { delivery: Delivery::Latest, ..TopicOptions::default() };
    let play = Play { actions: true, breaks: true, ticks: true, ..Play::default() };
    check(type_name, &one(type_name, options), script(play, 40));
}

/// The same with undo and redo.
fn converges_with_undo(type_name: &str) {
    let play = Play { actions: true, undo: true, breaks: true, ..Play::default() };
    check(type_name, &one(type_name, TopicOptions::default()), script(play, 40));
}

fn durable() -> TopicOptions {
    TopicOptions { durability: Some(Durability::Commit), ..TopicOptions::default() }
}

/// The same where the journal fails and the server crashes: what was published is still there.
fn survives_crashes(type_name: &str) {
    let play = Play { actions: true, undo: true, breaks: true, crashes: true, ..Play::default() };
    check(type_name, &one(type_name, durable()), script(play, 60));
}

macro_rules! of_types {
    ($($law:ident: $($test:ident = $type_name:literal,)*;)*) => {
        $(mod $law {
            $(
                #[test]
                fn $test() {
                    super::$law($type_name);
                }
            )*
        })*
    };
}

of_types! {
    converges:
        a_generic = "generic", a_bool = "bool", an_int = "int", a_float = "float",
        a_string = "string", a_list = "list", a_set = "set", a_dict = "dict", events = "event",;
    latest_converges:
        a_generic = "generic", a_bool = "bool", an_int = "int", a_float = "float",
        a_string = "string", a_list = "list", a_set = "set", a_dict = "dict",;
    survives_crashes:
        a_generic = "generic", a_bool = "bool", an_int = "int", a_float = "float",
        a_string = "string", a_list = "list", a_set = "set", a_dict = "dict", events = "event",;
    converges_with_undo:
        a_generic = "generic", a_bool = "bool", an_int = "int", a_float = "float",
        a_string = "string", a_list = "list", a_set = "set", a_dict = "dict", events = "event",;
}

/// A topic of each type, some of which are delivered as `latest`.
fn all_types(latest: bool) -> Setup {
    let topic = |kind: crate::world::Kind| {
        let topic = Topic::new(kind.of.name(), kind);
        let latest = latest && kind.of.stateful() && kind.of.name().len().is_multiple_of(2);
        let delivery = if latest { Delivery::Latest } else { Delivery::Every };
        topic.with(TopicOptions { delivery, ..TopicOptions::default() })
    };
    Setup::new(CLIENTS, kinds().into_iter().map(topic).collect())
}

#[test]
fn all_types_together_converge_with_actions_and_undo() {
    let play = Play { actions: true, undo: true, ..Play::default() };
    check("all types", &all_types(false), script(play, 60));
}

#[test]
fn all_types_together_converge_some_of_them_as_latest() {
    let play = Play { actions: true, undo: true, breaks: true, ticks: true, ..Play::default() };
    check("all types", &all_types(true), script(play, 60));
}

/// Two topics meet more often than nine.
#[test]
fn actions_over_two_topics_take_effect_together() {
    let topics = vec![Topic::new("list", kind("list")), Topic::new("dict", kind("dict"))];
    let play = Play { actions: true, undo: true, breaks: true, ..Play::default() };
    check("two topics", &Setup::new(CLIENTS, topics), script(play, 60));
}

#[test]
fn actions_survive_crashes_whole_or_not_at_all() {
    let latest = TopicOptions { delivery: Delivery::Latest, ..durable() };
    let topics = vec![
        Topic::new("list", kind("list")).with(durable()),
        Topic::new("dict", kind("dict")).with(durable()),
        Topic::new("int", kind("int")).with(latest),
    ];
    let play = Play {
        actions: true,
        undo: true,
        breaks: true,
        ticks: true,
        crashes: true,
        ..Play::default()
    };
    check("crashes", &Setup::new(CLIENTS, topics), script(play, 80));
}

/// Queues of one publication: connections lag all the time, and are brought up from the log.
#[test]
fn clients_that_lag_converge() {
    let topics = vec![Topic::new("string", kind("string")), Topic::new("int", kind("int"))];
    let setup = Setup { queue_max: 1, ..Setup::new(CLIENTS, topics) };
    let play = Play { actions: true, undo: true, ..Play::default() };
    check("lagging", &setup, script(play, 60));
}

/// Law 9, over more than one checkpoint.
#[test]
fn a_long_log_replays() {
    let play = Play { actions: true, undo: true, long: true, ..Play::default() };
    let topics = vec![Topic::new("list", kind("list"))];
    let setup = Setup { encodings: false, stride: 7, ..Setup::new(CLIENTS, topics) };
    check("a long log", &setup, script(play, 30));
}

/// What is trimmed takes nothing else with it: no later value, no confirmation, no replica's peace.
/// A base that is not kept is stale.
fn trimmed(type_name: &str, options: TopicOptions) {
    let play = Play { actions: true, undo: true, breaks: true, long: true, ..Play::default() };
    let topics = vec![Topic::new("one", kind(type_name)).with(options)];
    let setup =
        Setup { encodings: false, session_ms: 40, resumable_ms: 50, ..Setup::new(CLIENTS, topics) };
    let trimmed = Cell::new(0);
    check_then("trimming", &setup, script(play, 40), |world| {
        let topic = &world.server.record.topics()[0];
        let oldest = kept_from(&topic.cell);
        if oldest == 0 {
            return Ok(());
        }
        trimmed.set(trimmed.get() + 1);
        let stale = |base| world.is_too_old(topic, Version(base));
        same(
            "whether the bases before and at the oldest are too old",
            &(true, false),
            &(stale(oldest - 1), stale(oldest)),
        )
    });
    assert!(trimmed.get() > 0, "nothing was ever trimmed");
}

#[test]
fn trimming_to_some_versions_changes_nothing_that_is_kept() {
    trimmed("list", TopicOptions { keep: Keep::Versions(20), ..TopicOptions::default() });
}

#[test]
fn trimming_to_some_time_changes_nothing_that_is_kept() {
    trimmed("dict", TopicOptions { keep: Keep::Seconds(0), ..TopicOptions::default() });
}

#[test]
fn a_topic_without_history_keeps_what_resuming_needs() {
    trimmed("int", TopicOptions { no_history: true, ..TopicOptions::default() });
}

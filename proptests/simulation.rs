//! The laws of the whole system, 7 to 13, where several topics meet, connections lag, logs are long or
//! trimmed, sessions and topics come and go. What one topic of each type goes through is among its [laws](crate::laws).

use std::cell::Cell;

use topicsync::testkit::broken::same;
use topicsync::testkit::failure::must_hold;
use topicsync::testkit::world::{kind, kinds};
use topicsync::testkit::{Found, Kind, Mix, Setup, Simulation, Topic, World};
use topicsync::topic::{Delivery, Durability, Keep, TopicOptions, Version};

/// How many clients there are.
const CLIENTS: usize = 3;

fn check(setup: Setup, mix: Mix, steps: usize) {
    check_then(setup, mix, steps, &|_| Ok(()));
}

/// As [`check`], with something more to check at the end of each run.
fn check_then(setup: Setup, mix: Mix, steps: usize, then: &dyn Fn(&World) -> Found) {
    must_hold(Simulation::new(setup, mix).steps(steps).run_then(then).map(drop));
}

fn topic(type_name: &str) -> Topic {
    Topic::new(type_name, kind(type_name).expect("a built-in type"))
}

fn durable() -> TopicOptions {
    TopicOptions { durability: Some(Durability::Commit), ..TopicOptions::default() }
}

/// A topic of each type, some of which are delivered as `latest`.
fn all_types(latest: bool) -> Setup {
    let topic = |kind: Kind| {
        let topic = Topic::new(kind.of.name(), kind.clone());
        let latest = latest && kind.of.stateful() && kind.of.name().len().is_multiple_of(2);
        let delivery = if latest { Delivery::Latest } else { Delivery::Every };
        topic.with(TopicOptions { delivery, ..TopicOptions::default() })
    };
    Setup::new(CLIENTS, kinds().into_iter().map(topic).collect())
}

#[test]
fn all_types_together_converge_with_actions_and_undo() {
    let mix = Mix { actions: true, undo: true, ..Mix::default() };
    check(all_types(false), mix, 60);
}

#[test]
fn all_types_together_converge_some_of_them_as_latest() {
    let mix = Mix { actions: true, undo: true, breaks: true, ticks: true, ..Mix::default() };
    check(all_types(true), mix, 60);
}

/// Two topics meet more often than nine.
#[test]
fn actions_over_two_topics_take_effect_together() {
    let topics = vec![topic("list"), topic("dict")];
    let mix = Mix { actions: true, undo: true, breaks: true, ..Mix::default() };
    check(Setup::new(CLIENTS, topics), mix, 60);
}

#[test]
fn actions_survive_crashes_whole_or_not_at_all() {
    let latest = TopicOptions { delivery: Delivery::Latest, ..durable() };
    let topics = vec![
        topic("list").with(durable()),
        topic("dict").with(durable()),
        topic("int").with(latest),
    ];
    let mix = Mix {
        actions: true,
        undo: true,
        breaks: true,
        ticks: true,
        crashes: true,
        ..Mix::default()
    };
    check(Setup::new(CLIENTS, topics), mix, 80);
}

/// Queues of one publication, and snapshots where they are shorter than a few changes: connections lag all the time, and are brought up from the log.
#[test]
fn clients_that_lag_converge() {
    let topics = vec![topic("string"), topic("int")];
    let setup = Setup { queue_bytes: 1, missed_bytes: 64, ..Setup::new(CLIENTS, topics) };
    let mix = Mix { actions: true, undo: true, ..Mix::default() };
    check(setup, mix, 60);
}

/// Law 9, over more than one checkpoint.
#[test]
fn a_long_log_replays() {
    let mix = Mix { actions: true, undo: true, long: true, ..Mix::default() };
    let topics = vec![topic("list")];
    let setup = Setup { stride: 7, ..Setup::new(CLIENTS, topics) };
    check(setup, mix, 30);
}

/// What is trimmed takes nothing else with it: no later value, no confirmation, no replica's peace.
/// A base that is not kept is stale.
fn trimmed(type_name: &str, options: TopicOptions, steps: usize) {
    let mix = Mix { actions: true, undo: true, breaks: true, long: true, ..Mix::default() };
    let topics = vec![topic(type_name).with(options)];
    let setup = Setup { session_ms: 40, unnoticed_ms: 10, ..Setup::new(CLIENTS, topics) };
    let trimmed = Cell::new(0);
    check_then(setup, mix, steps, &|world| {
        let Some(topic) = world.server.record.topics().next() else { return Ok(()) };
        let oldest = topic.kept_from()?.0;
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
    assert!(trimmed.get() > 2, "a log was trimmed in {} runs only", trimmed.get());
}

#[test]
fn trimming_to_some_versions_changes_nothing_that_is_kept() {
    trimmed("list", TopicOptions { keep: Keep::Versions(20), ..TopicOptions::default() }, 80);
}

#[test]
fn trimming_to_some_time_changes_nothing_that_is_kept() {
    // Until seconds have passed, most of them a tenth at a time.
    trimmed("dict", TopicOptions { keep: Keep::Seconds(1), ..TopicOptions::default() }, 200);
}

#[test]
fn a_topic_without_history_keeps_what_resuming_needs() {
    trimmed("int", TopicOptions { no_history: true, ..TopicOptions::default() }, 80);
}

/// What all sessions meet: a list that is durable, a dict that is not, and one more of each that nobody
/// subscribes to until a step says so.
fn sessions() -> Setup {
    let topics = vec![topic("list").with(durable()), topic("dict")];
    let apart =
        |name: &str, type_name: &str| Topic::new(name, kind(type_name).expect("a built-in type"));
    let apart = vec![apart("list, apart", "list").with(durable()), apart("dict, apart", "dict")];
    Setup { apart, ..Setup::new(2, topics) }
}

/// A topic of each durability, one that says nothing, and one that is delivered as `latest`.
fn durabilities() -> Setup {
    let with = |durability| TopicOptions { durability, ..TopicOptions::default() };
    let topics = vec![
        topic("list").with(with(Some(Durability::Commit))),
        topic("dict").with(with(Some(Durability::Relaxed))),
        topic("int").with(with(Some(Durability::Memory))),
        topic("set"),
        topic("string").with(TopicOptions { delivery: Delivery::Latest, ..with(None) }),
    ];
    Setup { topics, ..sessions() }
}

/// Actions, undo, and sessions that are forgotten.
fn base() -> Mix {
    Mix { actions: true, undo: true, breaks: true, ..Mix::default() }
}

#[test]
fn a_session_of_two_connections_has_one() {
    check(sessions(), Mix { resumes: true, sayings: true, ..base() }, 60);
}

#[test]
fn clients_that_lag_jump_to_snapshots_and_hear_of_their_own() {
    let setup = Setup { queue_bytes: 1, missed_bytes: 64, ..durabilities() };
    check(setup, Mix { resumes: true, sayings: true, ticks: true, ..base() }, 60);
}

#[test]
fn answers_that_do_not_drain_hold_up_nobody_else() {
    let setup = Setup { queue_bytes: 400, answer_bytes: 300, missed_bytes: 64, ..sessions() };
    let mix = Mix { resumes: true, sayings: true, services: true, past: true, ..base() };
    check(setup, mix, 60);
}

#[test]
fn topics_are_removed_and_made_again_under_their_subscribers() {
    let mix = Mix { removals: true, crashes: true, resumes: true, sayings: true, ..base() };
    check(sessions(), mix, 60);
}

#[test]
fn services_leave_with_their_sessions() {
    check(sessions(), Mix { services: true, resumes: true, crashes: true, ..base() }, 60);
}

#[test]
fn the_past_is_final_whatever_happens_to_its_topics() {
    check(sessions(), Mix { past: true, removals: true, crashes: true, ..base() }, 60);
}

#[test]
fn presence_leaves_with_its_sessions() {
    let presence = TopicOptions { presence: true, ..TopicOptions::default() };
    let topics = vec![topic("dict").with(presence), topic("list")];
    let mix = Mix { presence: true, resumes: true, crashes: true, ..base() };
    check(Setup::new(CLIENTS, topics), mix, 60);
}

#[test]
fn servers_restart_under_other_settings() {
    check(durabilities(), Mix { settings: true, crashes: true, ticks: true, ..base() }, 60);
}

#[test]
fn clocks_may_jump_both_ways() {
    let setup = Setup { session_ms: 500, unnoticed_ms: 300, ..sessions() };
    check(setup, Mix { clocks: true, resumes: true, ..base() }, 60);
}

#[test]
fn a_validator_that_panics_rejects() {
    check(sessions(), Mix { panics: true, ..base() }, 60);
}

#[test]
fn everything_at_once() {
    let mix = Mix {
        ticks: true,
        refusals: true,
        crashes: true,
        resumes: true,
        removals: true,
        services: true,
        past: true,
        settings: true,
        clocks: true,
        sayings: true,
        ..base()
    };
    check(Setup { queue_bytes: 2_000, ..durabilities() }, mix, 80);
}

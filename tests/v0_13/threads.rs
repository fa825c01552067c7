//! Several clients act at the same time: nobody waits for another one's action on another topic, and what
//! comes between a plan and its decision is told as it happened.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use topicsync::engine::policy::Operation;
use topicsync::engine::{Denied, EngineConfig, Policy, Principal, Rules, Validated};
use topicsync::session::Peer;

use crate::common::PATIENCE;
use crate::direct::{Direct, Place};
use crate::old::entry;

const TOPIC_LIST: &str = "_topicsync/topic_list";

/// Holds up whoever comes, once it is armed: one at a time, until it is let go.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default, PartialEq, Clone, Copy, Debug)]
enum GateState {
    #[default]
    Open,
    Armed,
    Holding,
}

impl Gate {
    fn arm(&self) {
        *self.state.lock().unwrap() = GateState::Armed;
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        if *state == GateState::Armed {
            *state = GateState::Holding;
            self.changed.notify_all();
            drop(self.changed.wait_while(state, |state| *state == GateState::Holding));
        }
    }

    /// Waits until somebody is held up.
    fn wait(&self) {
        let state = self.state.lock().unwrap();
        let armed = |state: &mut GateState| *state == GateState::Armed;
        let (_state, timeout) = self.changed.wait_timeout_while(state, PATIENCE, armed).unwrap();
        assert!(!timeout.timed_out(), "nobody came to the gate");
    }

    fn let_go(&self) {
        *self.state.lock().unwrap() = GateState::Open;
        self.changed.notify_all();
    }
}

/// Lets go of who is held up also if the test fails: else its thread would never end.
struct LetGo<'a>(&'a Gate);

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

fn make(place: &Place, topic: &str, kind: &str, value: Json) {
    let mut client = place.connect();
    let add = json!({"type": "add", "key": topic, "value": entry(kind, value)});
    assert_eq!(client.change(TOPIC_LIST, "dict", add), Vec::<String>::new());
}

/// Whoever is held up holds the lock of its topic: all else goes on.
#[test]
fn an_action_that_waits_holds_up_nobody_on_another_topic() {
    let gate = Arc::new(Gate::default());
    let validator = {
        let gate = gate.clone();
        move |validated: &Validated<'_>| {
            if **validated.topic.name() == *"slow" {
                gate.pass();
            }
            Ok(())
        }
    };
    let config = EngineConfig { validators: vec![Arc::new(validator)], ..Default::default() };
    let place = Place::new(config);
    make(&place, "slow", "string", json!("x"));
    make(&place, "fast", "string", json!("x"));
    let mut slow = place.on(&["slow"]);
    let mut fast = place.on(&["fast", TOPIC_LIST]);
    gate.arm();
    std::thread::scope(|scope| {
        let _let_go = LetGo(&gate);
        scope.spawn(|| {
            slow.change("slow", "string", json!({"type": "set", "value": "y"}));
        });
        gate.wait();
        let (done, is_done) = mpsc::channel();
        scope.spawn(move || {
            let insert = json!({"type": "insert", "topic_version": "fast_init", "position": 0,
                "insertion": "!", "result_topic_version": "v"});
            let answered = fast.change("fast", "string", insert);
            let add = json!({"type": "add", "key": "new", "value": entry("int", json!(1))});
            let made = fast.change(TOPIC_LIST, "dict", add);
            fast.send("subscribe", json!({"topic_name": "new"}));
            done.send((answered, made, fast.receive_types())).unwrap();
        });
        let (answered, made, told) =
            is_done.recv_timeout(Duration::from_secs(5)).expect("it waited for the other action");
        assert_eq!((answered, made), (vec!["update".to_owned()], vec!["update".to_owned()]));
        assert_eq!(told, ["init new"]);
    });
    let mut late = place.connect();
    late.send("subscribe", json!({"topic_name": "slow"}));
    assert_eq!(late.receive()[0]["args"]["value"], "y");
}

/// Holds up a change of a topic `t` between its plan and its decision.
#[derive(Default)]
struct Between(Gate);

impl Policy for Between {
    fn authorize(&self, principal: &Principal, operation: &Operation<'_>) -> Result<(), Denied> {
        if let Operation::Change { topic, change: Some(_) } = operation
            && **topic.name() == *"t"
        {
            self.0.pass();
        }
        Rules.authorize(principal, operation)
    }
}

fn place_between() -> (Place, Arc<Between>) {
    let between = Arc::new(Between::default());
    (Place::new(EngineConfig { policy: between.clone(), ..Default::default() }), between)
}

fn insert(version: &str, position: usize, insertion: &str, result: &str) -> Json {
    json!({"type": "insert", "topic_version": version, "position": position, "insertion": insertion,
        "result_topic_version": result})
}

/// The changes of the only message, which is an update.
fn changes(messages: &[Json]) -> &Vec<Json> {
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages[0]["args"]["changes"].as_array().unwrap()
}

#[test]
fn an_edit_that_another_one_overtakes_is_told_as_adjusted_and_its_author_goes_on_from_it() {
    let (place, between) = place_between();
    make(&place, "t", "string", json!("0123"));
    let (mut a, mut b) = (place.on(&["t"]), place.on(&["t"]));
    let first = a.command("t", "string", insert("t_init", 4, "x", "a1"));
    let second = a.command("t", "string", insert("a1", 5, "y", "a2"));
    between.0.arm();
    std::thread::scope(|scope| {
        let _let_go = LetGo(&between.0);
        let acting = scope.spawn(|| a.act(&[first.clone(), second.clone()]));
        between.0.wait();
        // `a1` is noted, and no version yet.
        assert_eq!(b.change("t", "string", insert("a1", 0, "?", "b0")), ["reject", "update"]);
        assert_eq!(b.change("t", "string", insert("t_init", 0, "AAAA", "b1")), ["update"]);
        between.0.let_go();
        acting.join().unwrap();
    });
    let messages = a.receive();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["args"]["changes"][0]["insertion"], "AAAA");
    let own = messages[1]["args"]["changes"].as_array().unwrap();
    for (own, sent, position) in [(&own[0], &first, 8), (&own[1], &second, 9)] {
        assert_eq!(own["id"], json!(format!("{}_adjust", sent["id"].as_str().unwrap())));
        assert_eq!(own["position"], position);
        assert_ne!(own["result_topic_version"], sent["result_topic_version"]);
    }
    // The author types on: on what it saw, and on what it was told.
    a.act(&[]);
    let more = a.command("t", "string", insert("a2", 6, "z", "a3"));
    a.act(&[more]);
    assert_eq!(changes(&a.receive())[0]["position"], 10);
    let told = own[1]["result_topic_version"].as_str().unwrap();
    let more = b.command("t", "string", insert(told, 10, "!", "b2"));
    b.act(&[more]);
    b.send("subscribe", json!({"topic_name": "t"}));
    assert_eq!(b.receive().last().unwrap()["args"]["value"], "AAAA0123xy!z");
}

#[test]
fn a_change_of_a_number_that_another_one_overtakes_is_told_as_adjusted() {
    let (place, between) = place_between();
    make(&place, "t", "int", json!(1));
    let (mut a, mut b) = (place.on(&["t"]), place.on(&["t"]));
    between.0.arm();
    std::thread::scope(|scope| {
        let _let_go = LetGo(&between.0);
        let acting = scope.spawn(|| a.change("t", "int", json!({"type": "set", "value": 7})));
        between.0.wait();
        assert_eq!(b.change("t", "int", json!({"type": "add", "value": 1})), ["update"]);
        between.0.let_go();
        assert_eq!(acting.join().unwrap(), ["update", "update"]);
    });
    let told = b.receive();
    assert_eq!(changes(&told)[0]["old_value"], 2);
    assert!(changes(&told)[0]["id"].as_str().unwrap().ends_with("_adjust"));
}

/// Holds up a change of the topic list between its plan and its decision.
#[derive(Default)]
struct BeforeListing(Gate);

impl Policy for BeforeListing {
    fn authorize(&self, principal: &Principal, operation: &Operation<'_>) -> Result<(), Denied> {
        if let Operation::Change { topic, change: Some(_) } = operation
            && **topic.name() == *TOPIC_LIST
        {
            self.0.pass();
        }
        Rules.authorize(principal, operation)
    }
}

fn place_before_listing() -> (Place, Arc<BeforeListing>) {
    let policy = Arc::new(BeforeListing::default());
    (Place::new(EngineConfig { policy: policy.clone(), ..Default::default() }), policy)
}

/// What is put on the list while somebody sets all of it does not vanish from it and stay as a topic.
#[test]
fn a_list_that_is_set_meanwhile_says_what_topics_there_are() {
    let (place, policy) = place_before_listing();
    make(&place, "old", "int", json!(1));
    let (mut a, mut b) = (place.on(&[TOPIC_LIST]), place.on(&[TOPIC_LIST]));
    let own = json!({"type": "dict", "is_stateful": true, "boundary_value": {}});
    let set = json!({"type": "set", "value": {TOPIC_LIST: own, "new": entry("int", json!(2))}});
    policy.0.arm();
    std::thread::scope(|scope| {
        let _let_go = LetGo(&policy.0);
        let acting = scope.spawn(|| a.change(TOPIC_LIST, "dict", set));
        policy.0.wait();
        let add = json!({"type": "add", "key": "other", "value": entry("int", json!(3))});
        assert_eq!(b.change(TOPIC_LIST, "dict", add), ["update"]);
        policy.0.let_go();
        acting.join().unwrap();
    });
    // The list is as the topics are: the second plan found `other`, and the list as it was set has none.
    a.send("subscribe", json!({"topic_name": TOPIC_LIST}));
    let list = a.receive().pop().unwrap()["args"]["value"].clone();
    for topic in ["old", "new", "other"] {
        a.send("subscribe", json!({"topic_name": topic}));
        assert_eq!(a.receive().len(), usize::from(list.get(topic).is_some()), "{topic}: {list}");
    }
    assert_eq!(list["new"], entry("int", json!(2)));
}

/// A deployed client drops what it is told of a topic that is not on its list.
#[test]
fn a_topic_that_is_made_again_is_told_once_it_is_listed() {
    let (place, policy) = place_before_listing();
    make(&place, "t", "int", json!(1));
    let (mut author, mut client) = (place.on(&[]), place.on(&[TOPIC_LIST, "t"]));
    author.change(TOPIC_LIST, "dict", json!({"type": "pop", "key": "t"}));
    policy.0.arm();
    std::thread::scope(|scope| {
        let _let_go = LetGo(&policy.0);
        let add = json!({"type": "add", "key": "t", "value": entry("int", json!(2))});
        let acting = scope.spawn(|| author.change(TOPIC_LIST, "dict", add));
        policy.0.wait();
        assert_eq!(client.receive_types(), ["update"]);
        policy.0.let_go();
        acting.join().unwrap();
    });
    assert_eq!(client.receive_types(), ["update", "init t"]);
}

/// Of many who make one topic at the same time, one does, and the others hear of it.
#[test]
fn a_topic_is_made_by_one_of_those_who_make_it_at_the_same_time() {
    let place = Place::new(EngineConfig::default());
    for round in 0..200 {
        let topic = format!("t{round}");
        let start = std::sync::Barrier::new(3);
        let make = |value: u64| {
            let mut client = place.on(&[TOPIC_LIST]);
            let add = json!({"type": "add", "key": topic, "value": entry("int", json!(value))});
            let add = client.command(TOPIC_LIST, "dict", add);
            start.wait();
            client.act(&[add]);
            let types = client.receive_types();
            (value, types.iter().filter(|it| *it == "reject").count(), client.id)
        };
        let made: Vec<(u64, usize, u64)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..4).map(|value| scope.spawn(move || make(value))).collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let winners: Vec<u64> =
            made.iter().filter(|(_, rejects, _)| *rejects == 0).map(|it| it.0).collect();
        assert_eq!(winners.len(), 1, "{made:?}");
        let mut client = place.connect();
        client.send("subscribe", json!({"topic_name": topic}));
        assert_eq!(client.receive()[0]["args"]["value"], json!(winners[0]));
        client.send("subscribe", json!({"topic_name": TOPIC_LIST}));
        let list = client.receive().pop().unwrap()["args"]["value"].clone();
        assert_eq!(list[&topic], entry("int", json!(winners[0])));
    }
}

#[test]
fn the_names_of_a_rejected_edit_are_free_again() {
    let refuses = Arc::new(AtomicBool::new(false));
    let validator = {
        let refuses = refuses.clone();
        move |_: &Validated<'_>| {
            let refuses = refuses.load(Ordering::Relaxed);
            if refuses { Err("not now".to_owned()) } else { Ok(()) }
        }
    };
    let config = EngineConfig { validators: vec![Arc::new(validator)], ..Default::default() };
    let place = Place::new(config);
    make(&place, "t", "string", json!("abc"));
    let mut client = place.on(&["t"]);
    refuses.store(true, Ordering::Relaxed);
    assert_eq!(client.change("t", "string", insert("t_init", 0, "x", "v")), ["reject"]);
    refuses.store(false, Ordering::Relaxed);
    let command = client.command("t", "string", insert("t_init", 3, "d", "v"));
    client.act(std::slice::from_ref(&command));
    assert_eq!(changes(&client.receive()), &vec![command]);
}

/// What a client makes of the topic list.
#[derive(Debug, Clone)]
enum Listing {
    Add {
        key: usize,
        value: u8,
    },
    Pop {
        key: usize,
    },
    Change {
        key: usize,
        value: u8,
    },
    /// Sets the whole list: topics of these keys, and no others.
    Set {
        keys: Vec<usize>,
    },
    /// Changes a topic, and takes it off the list in the same action.
    ChangeAndPop {
        key: usize,
    },
}

fn listing() -> impl Strategy<Value = Listing> {
    let key = || 0..4_usize;
    prop_oneof![
        4 => (key(), any::<u8>()).prop_map(|(key, value)| Listing::Add { key, value }),
        3 => key().prop_map(|key| Listing::Pop { key }),
        1 => (key(), any::<u8>()).prop_map(|(key, value)| Listing::Change { key, value }),
        1 => prop::collection::vec(key(), 0..4).prop_map(|keys| Listing::Set { keys }),
        1 => key().prop_map(|key| Listing::ChangeAndPop { key }),
    ]
}

fn list_topic(key: usize) -> String {
    format!("topic {key}")
}

fn list_commands<P: Peer>(client: &mut Direct<P>, listing: &Listing) -> Vec<Json> {
    let changed = |value: &u8| entry("int", json!(value));
    let change = match listing {
        Listing::Add { key, value } => {
            json!({"type": "add", "key": list_topic(*key), "value": changed(value)})
        }
        Listing::Pop { key } => json!({"type": "pop", "key": list_topic(*key)}),
        Listing::Change { key, value } => {
            json!({"type": "change_value", "key": list_topic(*key), "value": changed(value)})
        }
        Listing::Set { keys } => {
            let own = json!({"type": "dict", "is_stateful": true, "boundary_value": {}});
            let mut value = json!({TOPIC_LIST: own});
            keys.iter().for_each(|key| value[list_topic(*key)] = entry("int", json!(0)));
            json!({"type": "set", "value": value})
        }
        Listing::ChangeAndPop { key } => {
            let add = json!({"type": "add", "value": 1});
            let pop = json!({"type": "pop", "key": list_topic(*key)});
            return vec![
                client.command(&list_topic(*key), "int", add),
                client.command(TOPIC_LIST, "dict", pop),
            ];
        }
    };
    vec![client.command(TOPIC_LIST, "dict", change)]
}

/// The list as a client has it that applies whatever it is told.
fn apply_to_list(list: &mut Json, message: &Json) {
    let Some(changes) = message["args"]["changes"].as_array() else { return };
    for change in changes.iter().filter(|it| it["topic_name"] == TOPIC_LIST) {
        let entries = list.as_object_mut().unwrap();
        let key = change["key"].as_str().unwrap_or_default().to_owned();
        match change["type"].as_str().unwrap() {
            "add" => assert!(entries.insert(key, change["value"].clone()).is_none(), "{change}"),
            "pop" => assert!(entries.remove(&key).is_some(), "{change}"),
            "change_value" => assert!(entries.insert(key, change["value"].clone()).is_some()),
            _ => *list = change["value"].clone(),
        }
    }
}

/// A client that makes and removes topics, and what it has of the list.
struct Lister<P: Peer> {
    client: Direct<P>,
    list: Json,
    /// The ids of its actions.
    actions: Vec<String>,
    /// The ids of updates of its actions, and one for each rejection, which names none.
    answers: Vec<String>,
}

impl<P: Peer> Lister<P> {
    /// One that has the list of a new server.
    fn new(client: Direct<P>) -> Lister<P> {
        let own = json!({"type": "dict", "is_stateful": true, "boundary_value": {}});
        Lister { client, list: json!({TOPIC_LIST: own}), actions: Vec::new(), answers: Vec::new() }
    }

    fn play(mut self, listings: &[Listing]) -> Lister<P> {
        for listing in listings {
            let commands = list_commands(&mut self.client, listing);
            let action_id = self.client.act(&commands);
            self.actions.push(action_id);
            self.read();
        }
        self
    }

    fn read(&mut self) {
        for message in self.client.receive() {
            apply_to_list(&mut self.list, &message);
            let action_id = message["args"]["action_id"].as_str().unwrap_or_default().to_owned();
            if message["type"] == "reject" {
                self.answers.push("rejected".into());
            } else if self.actions.contains(&action_id) {
                self.answers.push(action_id);
            }
        }
    }

    /// Each action was answered once, as its author's own.
    fn check_answers(&self) {
        assert_eq!(self.answers.len(), self.actions.len(), "{:?}", self.answers);
        let mut done: Vec<_> = self.answers.iter().filter(|it| *it != "rejected").collect();
        done.sort();
        assert!(done.windows(2).all(|two| two[0] != two[1]), "{done:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..ProptestConfig::default() })]

    /// Several clients make and remove topics at the same time: there are the topics that the list names,
    /// and all clients hold that list.
    #[test]
    fn the_list_says_what_topics_there_are_whoever_makes_and_removes_them(
        stories in prop::collection::vec(prop::collection::vec(listing(), 0..30), 3)
    ) {
        let place = Place::new(EngineConfig::default());
        // All subscribe before one begins. What one has accepted, another may publish: all are done before
        // all that they are told is read.
        let listers = [0; 3].map(|_| Lister::new(place.on(&[TOPIC_LIST])));
        let ends: Vec<Json> = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (story, lister) in stories.iter().zip(listers) {
                threads.push(scope.spawn(move || lister.play(story)));
            }
            let done: Vec<_> = threads.into_iter().map(|it| it.join().unwrap()).collect();
            let read_rest = |mut lister: Lister<_>| {
                lister.read();
                lister.check_answers();
                lister.list
            };
            done.into_iter().map(read_rest).collect()
        });
        let mut late = place.connect();
        late.send("subscribe", json!({"topic_name": TOPIC_LIST}));
        let list = late.receive().pop().unwrap()["args"]["value"].clone();
        for key in 0..4 {
            late.send("subscribe", json!({"topic_name": list_topic(key)}));
            let is_there = late.receive().len() == 1;
            prop_assert_eq!(is_there, list.get(list_topic(key)).is_some(), "{} {}", key, &list);
        }
        for end in ends {
            // What is shown as an initial value is as of when it is told.
            let names = |list: &Json| list.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            prop_assert_eq!(names(&end), names(&list));
        }
    }
}

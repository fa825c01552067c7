//! Clients of 0.13, each with the deployed client's own logic, and one of ours edit the same
//! topics, at random: in the end all hold one value.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use topicsync::client::{Client, LocalChange};
use topicsync::topic::TopicName;
use topicsync::types::{Dict, Int, List, Set, String as Text};
use topicsync::value::{Fields, Value};

use crate::common::TestServer;
use crate::model::Model;
use crate::old::is;

const TOPICS: [(&str, &str); 5] =
    [("text", "string"), ("list", "list"), ("set", "set"), ("dict", "dict"), ("int", "int")];

const PIECES: [&str; 6] = ["a", "b", "é", "e\u{301}", "😀", "𝄞x"];

/// A step of the story, its numbers to be read as fits.
#[derive(Debug, Clone)]
enum Step {
    /// A client of 0.13 makes an action of so many changes; which topics and changes, the numbers
    /// say.
    Act {
        client: usize,
        changes: Vec<(usize, u8, u8)>,
    },
    /// It takes some of what the server has told it.
    Read {
        client: usize,
        most: usize,
    },
    Native {
        topic: usize,
        a: u8,
        b: u8,
    },
    /// The client of ours undoes what it did last.
    Undo,
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0..8_usize, any::<u8>(), any::<u8>());
    prop_oneof![
        8 => (0..2_usize, prop::collection::vec(change, 1..4))
            .prop_map(|(client, changes)| Step::Act { client, changes }),
        4 => (0..2_usize, 1..6_usize).prop_map(|(client, most)| Step::Read { client, most }),
        5 => (0..8_usize, any::<u8>(), any::<u8>())
            .prop_map(|(topic, a, b)| Step::Native { topic, a, b }),
        1 => Just(Step::Undo),
    ]
}

/// Texts are edited most.
fn topic(number: usize) -> (&'static str, &'static str) {
    TOPICS[number.saturating_sub(3)]
}

fn units_before(text: &str, char: usize) -> usize {
    text.chars().take(char).map(char::len_utf16).sum()
}

/// A change of 0.13 that fits what is shown.
fn change(kind: &str, shown: &Json, a: u8, b: u8) -> Json {
    let (pick, number) = (usize::from(a), usize::from(b));
    let item = json!(number % 5);
    match (kind, shown) {
        ("string", Json::String(text)) => {
            let count = text.chars().count();
            let start = number % (count + 1);
            let position = units_before(text, start);
            match pick % 5 {
                0 | 1 if start < count => {
                    let deletion: String = text.chars().skip(start).take(1 + pick % 4).collect();
                    json!({"type": "delete", "position": position, "deletion": deletion})
                }
                4 if pick > 250 => json!({"type": "set", "value": PIECES[number % 6]}),
                _ => json!({"type": "insert", "position": position, "insertion": PIECES[pick % 6]}),
            }
        }
        ("list", Json::Array(items)) => match pick % 4 {
            0 if !items.is_empty() => json!({"type": "pop", "position": number % items.len()}),
            1 if !items.is_empty() => json!({"type": "pop", "position": -1}),
            2 => json!({"type": "insert", "item": item, "position": -1}),
            _ => json!({"type": "insert", "item": item, "position": number % (items.len() + 1)}),
        },
        ("set", Json::Array(items)) => {
            let is_there = items.iter().any(|it| is(it, &item));
            json!({"type": if is_there { "remove" } else { "append" }, "item": item})
        }
        ("dict", Json::Object(entries)) => {
            let key = ["a", "b", "c"][number % 3];
            match entries.get(key) {
                None => json!({"type": "add", "key": key, "value": pick}),
                Some(_) if pick.is_multiple_of(3) => json!({"type": "pop", "key": key}),
                Some(old) if pick.is_multiple_of(2) => {
                    json!({"type": "change_value", "key": key, "value": pick, "old_value": old})
                }
                Some(_) => json!({"type": "change_value", "key": key, "value": pick}),
            }
        }
        _ if pick.is_multiple_of(5) => json!({"type": "set", "value": number}),
        _ => json!({"type": "add", "value": number}),
    }
}

async fn act(model: &mut Model, changes: &[(usize, u8, u8)]) {
    let mut commands = Vec::new();
    for (number, a, b) in changes {
        let (name, kind) = topic(*number);
        let change = change(kind, &model.shown[name].value, *a, *b);
        let command = model.command(name, change);
        model.show(&command);
        commands.push(command);
    }
    model.send(commands).await;
}

/// A change of ours that fits what the client of ours sees.
fn native_change(kind: &str, view: &Json, a: u8, b: u8) -> Json {
    let (pick, number) = (usize::from(a), usize::from(b));
    match (kind, view) {
        ("string", Json::String(text)) if pick.is_multiple_of(4) => {
            let count = text.chars().count();
            let keep = number % (count + 1);
            let gone = (count - keep).min(pick % 3);
            json!({"type": "edit", "edit": [keep, PIECES[number % 6], {"d": gone}]})
        }
        ("string", Json::String(_)) if pick > 245 => json!({"type": "set", "value": "ours"}),
        ("string", Json::String(text)) => {
            let position = number % (text.chars().count() + 1);
            json!({"type": "insert", "position": position, "insertion": PIECES[pick % 6]})
        }
        ("list", Json::Array(items)) if !items.is_empty() => match pick % 3 {
            0 => json!({"type": "replace", "position": number % items.len(), "item": "ours"}),
            1 => json!({"type": "move", "from": number % items.len(), "to": pick % items.len()}),
            _ => json!({"type": "insert", "position": -1, "item": number}),
        },
        ("dict", _) => match change("dict", view, a, b) {
            pop if pop["type"] == "pop" => json!({"type": "remove", "key": pop["key"]}),
            mut other => {
                other.as_object_mut().unwrap().remove("old_value");
                other
            }
        },
        _ => change(kind, view, a, b),
    }
}

fn view(client: &Client, name: &str) -> Json {
    client.with_replica(|replica| {
        let topic = replica.topic(&TopicName::new(name).unwrap()).unwrap();
        Json::from(&topic.kind().encode_value(topic.view()))
    })
}

fn native(client: &Client, number: usize, a: u8, b: u8) {
    let (name, kind) = topic(number);
    let fields = Fields::from_serialize(&native_change(kind, &view(client, name), a, b)).unwrap();
    let change = LocalChange::new(TopicName::new(name).unwrap(), fields);
    // Others' changes may have come since the view was looked at: then it need not fit any more.
    let _ = client.action([change]);
}

/// A client of ours on all topics.
async fn ours(server: &TestServer) -> Client {
    let client = Client::connect(format!("ws://{}/", server.address)).expect("an address");
    let options = topicsync::topic::TopicOptions::default;
    client.topic::<Text>("text", options()).unwrap().ready().await.unwrap();
    client.topic::<List>("list", options()).unwrap().ready().await.unwrap();
    client.topic::<Set>("set", options()).unwrap().ready().await.unwrap();
    client.topic::<Dict>("dict", options()).unwrap().ready().await.unwrap();
    client.topic::<Int>("int", options()).unwrap().ready().await.unwrap();
    client
}

async fn play(steps: Vec<Step>) {
    let server = TestServer::start();
    let client = ours(&server).await;
    let topics = TOPICS.map(|(name, kind)| (name, kind));
    let mut models = [Model::on(&server, &topics).await, Model::on(&server, &topics).await];
    for step in steps {
        match step {
            Step::Act { client, changes } => act(&mut models[client], &changes).await,
            Step::Read { client, most } => models[client].read(most).await,
            Step::Native { topic, a, b } => native(&client, topic, a, b),
            Step::Undo => drop(client.undo().await),
        }
    }
    check(&client, &mut models).await;
    // Everybody can go on from there.
    for model in &mut models {
        model.rejects = 0;
        act(model, &[(0, 3, 0), (3, 2, 1)]).await;
        model.read_all().await;
        assert_eq!(model.rejects, 0, "an edit of what all hold was rejected");
    }
    check(&client, &mut models).await;
    client.close().await;
}

/// Lets all arrive, and compares.
async fn check(client: &Client, models: &mut [Model]) {
    client.settled().await;
    for (name, _) in TOPICS {
        let start = std::time::Instant::now();
        loop {
            for model in &mut *models {
                model.read_all().await;
            }
            let ours = view(client, name);
            let apart = models.iter().find(|model| !same(name, &model.shown[name].value, &ours));
            let Some(apart) = apart else { break };
            // What others did last may be on its way.
            let late = start.elapsed() > std::time::Duration::from_secs(5);
            assert!(!late, "{name}: {} there, {ours} here", apart.shown[name].value);
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
    models.iter().for_each(Model::check_settled);
}

/// A set there is in the order of appending.
fn same(name: &str, theirs: &Json, ours: &Json) -> bool {
    let sorted = |value: &Json| {
        let mut items: Vec<Value> =
            value.as_array().unwrap().iter().cloned().map(Value::from).collect();
        items.sort();
        items
    };
    match name {
        "set" => sorted(theirs) == sorted(ours),
        _ => is(ours, theirs),
    }
}

/// One client's part of a story in which all act at the same time.
async fn play_alone(mut model: Model, steps: Vec<Step>) -> Model {
    for step in steps {
        match step {
            Step::Act { changes, .. } => act(&mut model, &changes).await,
            Step::Read { most, .. } => model.read(most).await,
            Step::Native { .. } | Step::Undo => tokio::task::yield_now().await,
        }
    }
    model
}

/// Each client acts from a thread of its own, and so does the server for each of them.
async fn play_at_once(stories: Vec<Vec<Step>>) {
    let server = TestServer::start();
    let client = ours(&server).await;
    let topics = TOPICS.map(|(name, kind)| (name, kind));
    let mut stories = stories.into_iter();
    let own_story = stories.next().unwrap_or_default();
    let mut ready = Vec::new();
    for story in stories {
        ready.push(play_alone(Model::on(&server, &topics).await, story));
    }
    let playing: Vec<_> = ready.into_iter().map(tokio::spawn).collect();
    for step in own_story {
        match step {
            Step::Native { topic, a, b } => native(&client, topic, a, b),
            Step::Undo => drop(client.undo().await),
            Step::Act { .. } | Step::Read { .. } => tokio::task::yield_now().await,
        }
    }
    let mut models = Vec::new();
    for playing in playing {
        models.push(playing.await.unwrap());
    }
    check(&client, &mut models).await;
    for model in &mut models {
        assert_eq!(model.unanswered, 0, "an action was not answered");
        model.rejects = 0;
        act(model, &[(0, 3, 0), (3, 2, 1)]).await;
        model.read_all().await;
        assert_eq!(model.rejects, 0, "an edit of what all hold was rejected");
    }
    check(&client, &mut models).await;
    client.close().await;
}

fn run_on_threads(future: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(4).enable_all().build().unwrap().block_on(future);
}

fn run(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future);
}

/// What several threads do depends on more than the story: it is not made simpler, and each story has as
/// many threads as four others.
fn on_threads() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases / 4 + 1, max_shrink_iters: 0, ..config }
}

proptest! {
    #![proptest_config(on_threads())]

    #[test]
    fn clients_of_both_vocabularies_that_act_at_the_same_time_converge(
        stories in prop::collection::vec(prop::collection::vec(step(), 0..40), 4)
    ) {
        run_on_threads(play_at_once(stories));
    }

    /// Each types a word before a mark of its own, with everybody typing at the same time.
    #[test]
    #[ignore = "a word is torn about once in thirty runs: an edit that another thread's overtakes"]
    fn what_is_typed_ahead_at_the_same_time_stays_together(
        typed in prop::collection::vec(prop::collection::vec((0..6_usize, 0..4_usize), 1..40), 3)
    ) {
        run_on_threads(type_at_once(typed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn clients_of_both_vocabularies_converge(steps in prop::collection::vec(step(), 0..60)) {
        run(play(steps));
    }

    /// Each types its words before a mark of its own, letter by letter and far ahead of the server:
    /// wherever the marks go, every word is whole.
    #[test]
    fn what_is_typed_ahead_stays_together(typed in prop::collection::vec((0..3_usize, 0..6_usize, 0..4_usize), 1..60)) {
        run(type_ahead(typed));
    }
}

/// One client types a word before its mark; now and then it reads until all that it sent is answered.
async fn type_word(mut model: Model, mark: char, word: Vec<(usize, usize)>) -> Model {
    for (letter, read) in word {
        if read == 0 {
            model.read_answers().await;
        }
        type_letter(&mut model, mark, PIECES[letter]).await;
    }
    model
}

async fn type_letter(model: &mut Model, mark: char, letter: &str) {
    let text = model.shown["text"].value.as_str().unwrap().to_owned();
    let position = units_before(&text, text.chars().position(|it| it == mark).unwrap());
    let insert = json!({"type": "insert", "position": position, "insertion": letter});
    let command = model.command("text", insert);
    model.show(&command);
    model.send(vec![command]).await;
}

async fn type_at_once(typed: Vec<Vec<(usize, usize)>>) {
    let server = TestServer::start();
    let client = ours(&server).await;
    client.string("text").unwrap().insert(0, "012").unwrap().await.unwrap();
    let topics = [("text", "string")];
    let mut ready = Vec::new();
    for (mark, word) in ('0'..).zip(&typed) {
        ready.push(type_word(Model::on(&server, &topics).await, mark, word.clone()));
    }
    let playing: Vec<_> = ready.into_iter().map(tokio::spawn).collect();
    let mut models = Vec::new();
    for playing in playing {
        models.push(playing.await.unwrap());
    }
    let word = |word: &Vec<(usize, usize)>| -> String {
        word.iter().map(|(letter, _)| PIECES[*letter]).collect()
    };
    let marked = ('0'..).zip(&typed).map(|(mark, it)| format!("{}{mark}", word(it)));
    check_typed(&mut models, &marked.collect::<String>()).await;
    client.close().await;
}

/// In the end, all have this text, and no edit was rejected.
async fn check_typed(models: &mut [Model], expected: &str) {
    for model in models {
        // What others did last may be on its way.
        for _ in 0..100 {
            model.read_all().await;
            if model.shown["text"].value == expected {
                break;
            }
        }
        assert_eq!(model.shown["text"].value, expected);
        assert_eq!(model.rejects, 0);
        model.check_settled();
    }
}

async fn type_ahead(typed: Vec<(usize, usize, usize)>) {
    let server = TestServer::start();
    let client = ours(&server).await;
    client.string("text").unwrap().insert(0, "012").unwrap().await.unwrap();
    let topics = [("text", "string")];
    let mut models = Vec::new();
    for _ in 0..2 {
        models.push(Model::on(&server, &topics).await);
    }
    let mut words = [String::new(), String::new(), String::new()];
    for (who, letter, read) in typed {
        let letter = PIECES[letter];
        words[who].push_str(letter);
        let mark = char::from(b'0' + who as u8);
        if who == 2 {
            let text = client.string("text").unwrap();
            let value = text.value().to_string();
            let position = value.chars().position(|it| it == mark).unwrap();
            text.insert(position, letter).unwrap();
            continue;
        }
        let model = &mut models[who];
        // Were it to read of others alone, it would take back what it shows, and no longer know where
        // its word ends.
        if read == 0 {
            model.read_answers().await;
        }
        type_letter(model, mark, letter).await;
    }
    client.settled().await;
    let [first, second, third] = words;
    check_typed(&mut models, &format!("{first}0{second}1{third}2")).await;
    client.close().await;
}

//! What the observer is told.

use super::*;

/// What an engine told of itself, in words.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn say(&self, what: String) {
        self.0.lock().push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Observer for Told {
    fn topic_made(&self, topic: &Arc<TopicCell>) {
        self.say(format!("{} made", topic.name()));
    }

    fn topic_removed(&self, topic: &Arc<TopicCell>) {
        self.say(format!("{} removed", topic.name()));
    }

    fn topic_evicted(&self, name: &TopicName) {
        self.say(format!("{name} evicted"));
    }

    fn topic_failed(&self, name: &TopicName, error: &OpenError) {
        self.say(format!("{name} failed: {error}"));
    }

    fn journal(&self, state: Result<(), &str>) {
        self.say(format!("journal works: {}", state.is_ok()));
    }

    fn decided(&self, decision: &Decision<'_>) {
        let Decision { author, asked, outcome } = decision;
        let change = |change: &Submitted| match (&change.change, change.base) {
            (ChangeBody::Typed(change), Some(base)) => format!("{change:?} at {base}"),
            (ChangeBody::Typed(change), None) => format!("{change:?}"),
            _ => "?".into(),
        };
        let asked = match asked {
            Asked::Submission(submission) => {
                submission.changes.iter().map(change).collect::<Vec<_>>().join(", ")
            }
            Asked::Reversal(direction) => format!("{direction:?}"),
        };
        let outcome = match outcome {
            Outcome::Accepted(item) => {
                let part = |part: &Part| format!("{:?} as {}", part.body, part.version);
                item.parts.iter().map(part).collect::<Vec<_>>().join(", ")
            }
            Outcome::Known(receipt) => format!("known as {:?}", receipt.versions),
            Outcome::Rejected { index, rejection, against } => {
                format!("change {index} lost to {against:?}: {rejection}")
            }
        };
        self.say(format!("{}: {asked} -> {outcome}", author.id()));
    }
}

#[test]
fn every_event_and_decision_is_told_with_its_evidence() {
    let (journal, told) = (Arc::new(MemoryJournal::new()), Arc::new(Told::default()));
    let observer: Option<Arc<dyn Observer>> = Some(told.clone());
    let config = EngineConfig { observer, ..config(journal.clone(), Durability::Commit) };
    let engine = Engine::begin(config).unwrap().0;
    let cell = engine.open(&name("t"), Some("string"), TopicOptions::default()).unwrap();
    engine.settle();
    assert_eq!(told.take(), ["t made"]);

    let author = Author::new(ClientId(4), None);
    let submit = |change, base: u64, id| {
        let mut change = Submitted::typed::<Text>(name("t"), change);
        (change.base, change.id) = (Some(Version(base)), Some(ChangeId::of(ClientId(4), id)));
        let changes = [change].into_iter().collect();
        engine.submit_now(&author, Submission { action_id: None, changes })
    };
    assert!(submit(StringChange::insert(0, "a"), 0, 1).is_ok());
    assert!(submit(StringChange::insert(0, "b"), 0, 2).is_ok());
    let rejected = submit(StringChange::Set("c".into()), 1, 3).err().unwrap();
    assert_eq!(rejected.against, Some(Version(2)), "the change that made it lost to");
    assert!(submit(StringChange::insert(0, "b"), 0, 2).is_ok());
    engine.reverse(&author, Direction::Undo, &mut Group::default());
    let heard = told.take();
    let expected = [
        ("4: ", " at 0 -> ", " as 1"),
        ("4: ", " at 0 -> ", " as 2"),
        ("4: ", " at 1 -> change 0 lost to Some(Version(2)): ", ""),
        ("4: ", " at 0 -> known as [Version(2)]", ""),
        ("4: Undo -> ", "", " as 3"),
    ];
    assert_eq!(heard.len(), expected.len(), "{heard:?}");
    for (heard, (start, middle, end)) in heard.iter().zip(expected) {
        let fits = heard.starts_with(start) && heard.contains(middle) && heard.ends_with(end);
        assert!(fits, "{heard}");
    }

    journal.fail(Some(Fault::Full));
    engine.settle();
    journal.fail(None);
    engine.settle();
    drop(cell);
    engine.settle();
    engine.evict_idle();
    engine.evict_idle();
    engine.remove(&name("t"));
    engine.settle();
    assert_eq!(
        told.take(),
        ["journal works: false", "journal works: true", "t evicted", "t removed"]
    );
}

#[test]
fn a_topic_that_cannot_be_loaded_is_told_of() {
    let journal = Arc::new(MemoryJournal::new());
    let record = crate::journal::TopicRecord {
        name: name("t"),
        type_name: "strange".into(),
        options: TopicOptions::default(),
        epoch: Epoch::new("e").unwrap(),
        life: 1,
    };
    journal.commit(&[Operation::Make { record, start: None }]).unwrap();
    let told = Arc::new(Told::default());
    let observer: Option<Arc<dyn Observer>> = Some(told.clone());
    let config = EngineConfig { observer, ..config(journal, Durability::Commit) };
    let engine = Engine::begin(config).unwrap().0;
    assert!(engine.get(&name("t")).is_none());
    assert_eq!(told.take(), ["t failed: there is no topic type \"strange\""]);
}

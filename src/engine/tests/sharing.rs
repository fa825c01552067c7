//! Two engines on one journal, and a journal whose answers get lost: nothing that was confirmed is lost or
//! erased, and all end with one log.

use super::*;
use crate::journal::Logged;

/// What became of a submission, once that was known.
type Fate = Arc<Mutex<Option<Result<Receipt, Rejection>>>>;

fn insert(topic: &str, text: &str) -> Submitted {
    Submitted::typed::<Text>(name(topic), StringChange::insert(0, text))
}

fn submit(engine: &Engine, author: &Author, changes: Vec<Submitted>) -> (Receipt, Fate) {
    let (fate, mut group): (Fate, _) = (Arc::default(), Group::default());
    let action_id = (changes.len() > 1).then(|| ActionId::new("both").unwrap());
    let submission = Submission { action_id, changes: changes.into() };
    let told = fate.clone();
    let then = Box::new(move |result| {
        assert!(told.lock().replace(result).is_none(), "it is told once");
    });
    let receipt = engine.submit_then(author, submission, &mut group, then);
    engine.publish(&mut group);
    (receipt.unwrap_or_else(|rejected| panic!("{}", rejected.rejection)), fate)
}

fn text(cell: &TopicCell) -> String {
    cell.settled().value.get::<Text>().unwrap().to_string()
}

fn make(engine: &Engine, topic: &str) -> Arc<TopicCell> {
    engine.open(&name(topic), Some("string"), TopicOptions::default()).unwrap()
}

fn log(journal: &MemoryJournal, topic: &str) -> Vec<Logged> {
    journal.read(&name(topic), Version(0), Version(99)).unwrap()
}

fn two(journal: &Arc<MemoryJournal>) -> [Engine; 2] {
    [0, 1].map(|_| engine(journal.clone(), Durability::Commit))
}

#[test]
fn neither_of_two_engines_loses_or_erases_what_the_other_had_confirmed() {
    let journal = Arc::new(MemoryJournal::new());
    let [a, b] = two(&journal);
    let (one, other) = (Author::new(ClientId(1), None), Ears::new(2));
    let two = Author::new(ClientId(2), Some(other.clone()));
    let in_a = make(&a, "doc");
    a.settle();
    let in_b = b.find(&name("doc")).unwrap().unwrap();
    assert_eq!(in_a.epoch(), in_b.epoch());
    let reader = Ears::new(9);
    in_b.subscribe(reader.clone(), None).unwrap();

    let (_, fate) = submit(&a, &one, vec![insert("doc", "A")]);
    a.settle();
    assert!(matches!(&*fate.lock(), Some(Ok(receipt)) if receipt.versions[0] == Version(1)));

    // Decided on a head that is gone by now.
    let (_, fate) = submit(&b, &two, vec![insert("doc", "B")]);
    b.settle();
    assert_eq!(*fate.lock(), Some(Err(Rejection::Busy)));
    assert!(b.journal_state().works && b.unavailable().is_none());
    assert_eq!((text(&in_b), reader.take()), ("A".into(), vec!["doc 1".to_owned()]));
    assert!(other.take()[0].ends_with(" busy"));
    let (receipt, fate) = submit(&b, &two, vec![insert("doc", "B")]);
    b.settle();
    assert_eq!(*fate.lock(), Some(Ok(receipt)));

    submit(&a, &one, vec![insert("doc", "C")]);
    a.settle();
    let (_, fate) = submit(&a, &one, vec![insert("doc", "C")]);
    a.settle();
    assert!(matches!(&*fate.lock(), Some(Ok(receipt)) if receipt.versions[0] == Version(3)));
    assert_eq!(text(&in_a), "CBA");
    let log = log(&journal, "doc");
    let authors: Vec<u64> = log.iter().map(|change| change.author.0).collect();
    assert_eq!(authors, [1, 2, 1]);
    assert!(log.windows(2).all(|pair| pair[0].commit < pair[1].commit), "commits ascend");
}

#[test]
fn what_follows_on_a_fenced_topic_falls_with_it_and_nothing_else() {
    let journal = Arc::new(MemoryJournal::new());
    let [a, b] = two(&journal);
    let author = Author::new(ClientId(1), None);
    let cells = ["x", "y", "z"].map(|topic| make(&b, topic));
    b.settle();
    submit(&a, &author, vec![insert("x", "A")]);
    a.settle();

    let changes = [&["y"][..], &["z"], &["x", "y"], &["y"], &["z"]];
    let fates = changes.map(|topics| {
        let changes = topics.iter().map(|topic| insert(topic, "b")).collect();
        submit(&b, &author, changes).1
    });
    let settled: Fate = Arc::default();
    let told = settled.clone();
    b.after_commit(Box::new(move |result| {
        *told.lock() = Some(
            result
                .map_err(|_| Rejection::Busy)
                .map(|()| Receipt { commit: CommitNumber(0), versions: Default::default() }),
        );
    }));
    b.settle();
    let stands = fates.each_ref().map(|fate| fate.lock().as_ref().unwrap().is_ok());
    assert_eq!(stands, [true, true, false, false, true]);
    assert!(settled.lock().as_ref().unwrap().is_err(), "some of what was waited for fell back");
    assert_eq!(cells.each_ref().map(|cell| text(cell)), ["A", "b", "bb"].map(String::from));
    for (topic, cell) in ["x", "y", "z"].iter().zip(&cells) {
        assert_eq!(log(&journal, topic).len() as u64, cell.head().0);
        submit(&b, &author, vec![insert(topic, "c")]);
    }
    b.settle();
    assert_eq!(cells.each_ref().map(|cell| text(cell)), ["cA", "cb", "cbb"].map(String::from));
}

#[test]
fn a_topic_that_somebody_else_made_or_removed_is_his() {
    let journal = Arc::new(MemoryJournal::new());
    let [a, b] = two(&journal);
    let author = Author::new(ClientId(1), None);
    let (in_a, in_b) = (make(&a, "t"), make(&b, "t"));
    let ears = Ears::new(7);
    in_b.subscribe(ears.clone(), None).unwrap();
    submit(&a, &author, vec![insert("t", "A")]);
    a.settle();
    let (_, fate) = submit(&b, &author, vec![insert("t", "B")]);
    b.settle();
    assert_eq!(*fate.lock(), Some(Err(Rejection::Busy)));
    assert_eq!((in_b.is_removed(), ears.take()), (true, vec!["t removed".to_owned()]));
    let again = b.get(&name("t")).unwrap();
    assert_eq!((again.epoch(), text(&again)), (in_a.epoch(), "A".into()));

    a.remove(&name("t"));
    a.settle();
    let (_, fate) = submit(&b, &author, vec![insert("t", "B")]);
    b.settle();
    assert_eq!(*fate.lock(), Some(Err(Rejection::Busy)));
    assert!(again.is_removed() && b.get(&name("t")).is_none());
    // What a removes is what it knew, not what b makes now.
    let new = make(&b, "t");
    b.settle();
    assert_eq!(journal.topic(&name("t")).unwrap().unwrap().epoch, *new.epoch());
}

fn check_lost_answer(fault: Fault) {
    let journal = Arc::new(MemoryJournal::new());
    let engine = engine(journal.clone(), Durability::Commit);
    let author = Author::new(ClientId(1), None);
    let (x, y) = (make(&engine, "x"), make(&engine, "y"));
    engine.settle();
    journal.fail(Some(fault));
    let fates = [vec![insert("x", "1"), insert("y", "1")], vec![insert("y", "2")]]
        .map(|changes| submit(&engine, &author, changes).1);
    engine.settle();
    assert!(fates.iter().all(|fate| fate.lock().is_none()), "nobody knows yet");
    assert!(engine.unavailable().is_none(), "and more is accepted");
    let later = submit(&engine, &author, vec![insert("x", "3")]).1;
    engine.settle();
    assert!(fates.iter().chain([&later]).all(|fate| fate.lock().as_ref().unwrap().is_ok()));
    assert_eq!([&x, &y].map(|cell| text(cell)), ["31", "21"]);
    assert_eq!([log(&journal, "x").len(), log(&journal, "y").len()], [2, 2]);
}

#[test]
fn a_group_whose_answer_is_lost_is_written_once() {
    check_lost_answer(Fault::Unanswered);
    check_lost_answer(Fault::UnansweredAndThere);
}

#[test]
fn the_fate_of_what_need_not_wait_is_known_at_once() {
    let engine = engine(Arc::new(MemoryJournal::new()), Durability::Memory);
    make(&engine, "t");
    let (receipt, fate) = submit(&engine, &Author::new(ClientId(1), None), vec![insert("t", "x")]);
    assert_eq!(*fate.lock(), Some(Ok(receipt)));
}

#[test]
fn the_fate_of_what_is_sent_again_is_that_of_the_first() {
    let engine = engine(Arc::new(MemoryJournal::new()), Durability::Commit);
    make(&engine, "t");
    let author = Author::new(ClientId(1), None);
    let change = || {
        let mut change = insert("t", "x");
        change.id = Some(ChangeId::of(ClientId(1), 1));
        vec![change]
    };
    let (first, again) = (submit(&engine, &author, change()), submit(&engine, &author, change()));
    assert!(again.1.lock().is_none());
    engine.settle();
    for (receipt, fate) in [first, again, submit(&engine, &author, change())] {
        assert_eq!(*fate.lock(), Some(Ok(receipt)));
    }
}

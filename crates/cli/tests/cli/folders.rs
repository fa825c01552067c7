//! Data folders: of a running server, and damaged ones.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use topicsync::journal::{Append, Journal, Logged, Operation, SqliteJournal, TopicRecord};
use topicsync::topic::{
    ChangeId, ClientId, CommitNumber, Epoch, Timestamp, TopicName, TopicOptions, Version,
};
use topicsync::value::Fields;

use super::{HISTORY, command, error, folder, out, path, run};

/// A folder that this process has open, as a server would, with one text in it.
struct Server {
    journal: SqliteJournal,
    name: TopicName,
    changes: u64,
}

impl Server {
    fn on(folder: &Path) -> Server {
        let journal = SqliteJournal::open(folder).unwrap();
        let life = journal.begin().unwrap().numbers.life;
        let name = TopicName::new("text").unwrap();
        let record = TopicRecord {
            name: name.clone(),
            type_name: "string".into(),
            options: TopicOptions::default(),
            epoch: Epoch::new("e").unwrap(),
            life,
        };
        journal.commit(&[Operation::Make { record, start: None }]).unwrap();
        Server { journal, name, changes: 0 }
    }

    fn write(&mut self, text: &str) {
        let after = Version(self.changes);
        self.changes += 1;
        let fields = Fields::of_type("insert").with("position", 0).with("insertion", text);
        let change = Logged {
            version: after.next(),
            commit: CommitNumber(self.changes),
            change: Some(fields),
            author: ClientId(4),
            id: ChangeId::of(ClientId(4), self.changes),
            action: None,
            time: Timestamp(1_000 * self.changes),
        };
        let append = Append { topic: self.name.clone(), after, changes: vec![change] };
        self.journal.commit(&[Operation::Append(append)]).unwrap();
    }
}

#[test]
fn the_folder_of_a_running_server_is_read_and_not_written() {
    let data = folder("running");
    let mut server = Server::on(&data);
    server.write("one ");
    let data = path(&data);
    assert_eq!(out(&["show", "text", "--json", "--data", data]), "\"one \"\n");
    for args in [&["import", HISTORY][..], &["fork", "text@1", "fork"]] {
        let words = error(&[args, &["--data", data]].concat());
        assert!(words.contains("in use by another server"), "{words}");
        assert!(words.contains("stop that one"), "{words}");
    }
    let mut log = command(&["log", "--follow", "--data", data]);
    let mut child = log.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().starts_with("commit 1  1970-01-01T00:00:01.000Z  client 4"));
    assert!(next().contains("insertion=\"one \""));
    server.write("two ");
    assert!(next().starts_with("commit 2"));
    assert!(next().contains("text@2  insert position=0 insertion=\"two \""));
    child.kill().unwrap();
    child.wait().unwrap();
    let words = error(&["log", "--follow", "--file", HISTORY]);
    assert!(words.contains("--data"), "{words}");
}

#[test]
fn verify_tells_the_damaged_topic_and_looks_at_the_others() {
    let data = folder("damaged");
    out(&["import", HISTORY, "--data", path(&data)]);
    let database = rusqlite::Connection::open(data.join("topicsync.db")).unwrap();
    let damage = "UPDATE runs SET data_crc = data_crc + 1 WHERE topic = \
                  (SELECT id FROM topics WHERE name = 'board/notes')";
    assert_eq!(database.execute(damage, []).unwrap(), 1);
    drop(database);
    let ran = run(&["verify", "--data", path(&data)]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("1 of 5 topics"), "{ran:?}");
    assert_eq!(ran.out.lines().filter(|line| line.starts_with("sound")).count(), 4);
    assert!(ran.out.contains("damaged  board/notes"), "{ran:?}");
    assert_eq!(out(&["verify", "board/nodes", "--data", path(&data), "--json"]).lines().count(), 1);
    let saved = out(&["export", "board/nodes", "board/title", "--data", path(&data)]);
    assert_eq!(saved.lines().count(), 3 + 14);
}

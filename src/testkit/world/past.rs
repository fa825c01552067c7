//! Questions about the past, and whether their answers stay what they were: law 12.

use ecow::EcoString;

use super::record::{Record, TopicRecord};
use crate::client::CallError;
use crate::testkit::broken::{Found, same};
use crate::topic::{CommitNumber, Epoch, Keep, TopicName, Version};
use crate::value::{Dict, Value};

/// A request for a special service.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The service.
    pub service: EcoString,
    /// What is asked of it.
    pub args: Value,
    /// The topics that were there when it was asked.
    epochs: Vec<(TopicName, Epoch)>,
}

/// A question about the past, with its answer.
#[derive(Debug, Clone)]
pub struct Answered {
    /// What was asked.
    pub question: Question,
    answer: Value,
}

impl Question {
    /// A question that is asked now.
    pub fn new(service: EcoString, args: Value, record: &Record) -> Question {
        let epochs = record.topics().map(|it| (it.name.clone(), it.epoch.clone())).collect();
        Question { service, args, epochs }
    }

    fn arg(&self, name: &str) -> Option<&Value> {
        match &self.args {
            Value::Dict(args) => args.get(name),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.arg(name)?.as_int()?.try_into().ok()
    }

    /// Whether the answer is to stand for good.
    fn is_of_the_past(&self) -> bool {
        let moment = self.number("version").or(self.number("commit")).is_some();
        match &*self.service {
            "_topicsync/value_at" | "_topicsync/cut" | "_topicsync/blame" => moment,
            "_topicsync/history" => self.number("to").is_some(),
            "_topicsync/diff" => self.number("from").is_some() && self.number("to").is_some(),
            _ => false,
        }
    }

    /// The topic that the question is about, if it is one and the same since the question was asked.
    fn topic<'a>(&self, record: &'a Record) -> Option<&'a TopicRecord> {
        let name = self.arg("topic_name")?.as_text()?;
        self.same_topic(record, &TopicName::new(EcoString::from(name)).ok()?)
    }

    fn same_topic<'a>(&self, record: &'a Record, name: &TopicName) -> Option<&'a TopicRecord> {
        let topic = record.topic(name)?;
        self.epochs.iter().any(|(it, epoch)| it == name && *epoch == topic.epoch).then_some(topic)
    }

    /// Law 12: an answer is what the record says. Gives the answer, if it is to stand for good.
    ///
    /// # Errors
    /// It is not.
    pub fn answered(
        self,
        outcome: Result<Value, CallError>,
        record: &Record,
    ) -> Found<Option<Answered>> {
        let Ok(answer) = outcome else { return Ok(None) };
        if !self.is_of_the_past() {
            return Ok(None);
        }
        let commit = self.number("commit").map(CommitNumber);
        match &*self.service {
            "_topicsync/value_at" => {
                if let Some(topic) = self.topic(record) {
                    let asked = self.number("version").map(Version);
                    let asked = asked.or(commit.map(|commit| topic.version_at(commit)));
                    check_value(topic, asked, &answer)?;
                }
            }
            "_topicsync/cut" => {
                let topics = field(&answer, "topics")?;
                let Value::Dict(topics) = topics else {
                    return Err(format!("no topics: {topics:?}"));
                };
                self.check_cut(topics, commit.unwrap_or_default(), record)?;
            }
            _ => {}
        }
        Ok(Some(Answered { question: self, answer }))
    }

    /// A cut holds whole actions: every topic stands as it stood after all up to the commit, and none of
    /// those that were there is missing.
    fn check_cut(&self, topics: &Dict, commit: CommitNumber, record: &Record) -> Found {
        for (name, _) in &self.epochs {
            let Some(topic) = self.same_topic(record, name) else { continue };
            match topics.get(name) {
                Some(held) => {
                    if commit < topic.made_after && topic.start > Version(0) {
                        return Err(format!(
                            "the cut at {commit} holds {name:?}, which was made after {}",
                            topic.made_after
                        ));
                    }
                    check_value(topic, Some(topic.version_at(commit)), held)?;
                }
                // One without a change is left out; and at that very commit it was made, or just after.
                None if trims(topic) || commit <= topic.made_after => {}
                None if topic.version_at(commit) == Version(0) => {}
                None => return Err(format!("the cut at {commit} lacks {name:?}")),
            }
        }
        Ok(())
    }
}

/// Whether a topic may let go of old versions.
fn trims(topic: &TopicRecord) -> bool {
    topic.options.keep != Keep::All || topic.options.no_history
}

fn field<'a>(answer: &'a Value, name: &str) -> Found<&'a Value> {
    match answer {
        Value::Dict(fields) => fields.get(name).ok_or_else(|| format!("no {name:?} in {answer:?}")),
        _ => Err(format!("{answer:?} has no fields")),
    }
}

fn check_value(topic: &TopicRecord, version: Option<Version>, answer: &Value) -> Found {
    let Some(version) = version.filter(|version| *version >= topic.start) else { return Ok(()) };
    let given = field(answer, "version")?.as_int().unwrap_or_default();
    let what = format_args!("{:?}, as answered and as it was", topic.name);
    same(what, &given, &(version.0 as i64))?;
    // Within an action there is nothing to compare with.
    let Some(value) = topic.value(version) else { return Ok(()) };
    same(what, field(answer, "value")?, &topic.kind.encode_value(value))
}

impl Answered {
    /// Law 12: what was answered once is answered again.
    ///
    /// # Errors
    /// It is another answer.
    pub fn check(&self, now: &Result<Value, CallError>, record: &Record) -> Found {
        let question = &self.question;
        let what = format_args!("{} of {}", question.service, json(&question.args));
        if &*question.service == "_topicsync/cut" {
            let now = now.as_ref().map_err(|error| format!("{what}: {error}"))?;
            return self.check_cut(now, record).map_err(|error| format!("{what}: {error}"));
        }
        let Some(topic) = question.topic(record) else { return Ok(()) };
        match now {
            Err(_) if trims(topic) => Ok(()),
            Err(error) => Err(format!("{what} was answered, and is not any more: {error}")),
            // They begin with what is kept.
            Ok(_) if trims(topic) && &*question.service != "_topicsync/value_at" => Ok(()),
            Ok(now) => same(what, now, &self.answer),
        }
    }

    fn check_cut(&self, now: &Value, record: &Record) -> Found {
        let (then, now) = (field(&self.answer, "topics")?, field(now, "topics")?);
        let (Value::Dict(then), Value::Dict(now)) = (then, now) else {
            return Err("no topics".into());
        };
        for (name, held) in now.iter() {
            let Ok(name) = TopicName::new(name.clone()) else { continue };
            // One that goes on under another epoch, after a crash, is none.
            let mut lives = record.lives().iter().filter(|life| life.name == name);
            let was_there = self.question.epochs.iter().any(|(it, _)| *it == name);
            let is_new = !was_there && lives.nth(1).is_none();
            let version = field(held, "version")?.as_int().unwrap_or_default();
            if is_new && version > 0 {
                return Err(format!("it holds {name:?} at {version} by now"));
            }
        }
        for (name, held) in then.iter() {
            let Ok(name) = TopicName::new(name.clone()) else { continue };
            let Some(topic) = self.question.same_topic(record, &name) else { continue };
            match now.get(&name) {
                None if trims(topic) => {}
                now => same(format_args!("{name:?}, now and then"), &now, &Some(held))?,
            }
        }
        Ok(())
    }
}

fn json(value: &Value) -> std::string::String {
    serde_json::to_string(value).unwrap_or_default()
}

//! One command of a client, and what a change of ours it asks for on the value at hand.

use ecow::EcoString;

use super::kind::Kind;
use crate::types::AnyValue;
use crate::types::list::List;
use crate::value::{Dict, Fields, Value};

/// Why a command is not done, in the words of the Python server.
pub type Reason = String;

/// A command, read as far as all of them go.
pub struct Command<'a> {
    fields: &'a Dict,
    pub topic_name: EcoString,
    pub topic_type: EcoString,
    pub change: EcoString,
}

pub fn key_error(what: &str) -> Reason {
    format!("KeyError('{what}')")
}

pub fn type_error(what: &str) -> Reason {
    format!("TypeError('{what}')")
}

impl<'a> Command<'a> {
    /// # Errors
    /// A field that all commands have is missing.
    pub fn read(fields: &'a Dict) -> Result<Command<'a>, Reason> {
        let text = |field: &str| {
            let value = fields.get(field).ok_or_else(|| key_error(field))?;
            value.as_text().map(EcoString::from).ok_or_else(|| type_error(field))
        };
        Ok(Command {
            fields,
            topic_name: text("topic_name")?,
            topic_type: text("topic_type")?,
            change: text("type")?,
        })
    }

    /// Checks that no field is there but these, and those that all commands have.
    fn only(&self, fields: &[&str]) -> Result<(), Reason> {
        let common = ["topic_name", "topic_type", "type", "id"];
        let known = |key: &str| common.contains(&key) || fields.contains(&key);
        match self.fields.keys().find(|key| !known(key)) {
            Some(unknown) => Err(type_error(&format!("unexpected field {unknown:?}"))),
            None => Ok(()),
        }
    }

    pub fn get(&self, field: &str) -> Option<&'a Value> {
        self.fields.get(field)
    }

    /// The id that its author gave it, if it did.
    pub fn id(&self) -> Option<Value> {
        self.get("id").filter(|id| **id != Value::Null).cloned()
    }

    pub fn value(&self, field: &str) -> Result<&'a Value, Reason> {
        self.get(field).ok_or_else(|| type_error(&format!("missing {field:?}")))
    }

    pub fn text(&self, field: &str) -> Result<EcoString, Reason> {
        let text = self.value(field)?.as_text().map(EcoString::from);
        text.ok_or_else(|| type_error(&format!("{field:?} must be a string")))
    }

    pub fn int(&self, field: &str) -> Result<i64, Reason> {
        match self.value(field)? {
            Value::Int(int) => Ok(*int),
            _ => Err(type_error(&format!("{field:?} must be a whole number"))),
        }
    }

    /// That the change cannot be made, and why.
    pub fn invalid(&self, why: impl std::fmt::Display) -> Reason {
        let Command { topic_name, change, .. } = self;
        format!("InvalidChangeError(\"Invalid {change} for topic {topic_name}: {why}\")")
    }

    /// The change of ours that this asks for, on a value that is no text.
    ///
    /// # Errors
    /// The command is malformed, or asks for what the type does not have.
    pub fn fields(&self, kind: Kind, value: &AnyValue) -> Result<Fields, Reason> {
        let of = Fields::of_type(self.change.as_str());
        match (kind, &*self.change) {
            (Kind::Event, "emit") => {
                self.only(&["args"])?;
                let args = self.get("args").filter(|args| **args != Value::Null).cloned();
                Ok(of.with("args", args.unwrap_or_else(|| Dict::new().into())))
            }
            (Kind::Event, _) => Err(key_error(&self.change)),
            (_, "set") => {
                self.only(&["value", "old_value"])?;
                let value = self.value("value")?;
                self.check_number(kind, value)?;
                Ok(of.with("value", value.clone()))
            }
            (Kind::Int | Kind::Float, "add") => {
                self.only(&["value"])?;
                let value = self.value("value")?;
                self.check_number(kind, value)?;
                Ok(of.with("value", value.clone()))
            }
            (Kind::Set, "append" | "remove") => {
                self.only(&["item"])?;
                Ok(of.with("item", self.value("item")?.clone()))
            }
            (Kind::List, "insert" | "pop") => self.list_fields(value),
            (Kind::Dict, "add" | "change_value" | "pop") => self.dict_fields(),
            _ => Err(key_error(&self.change)),
        }
    }

    /// An int is a whole number, also in how it is written.
    fn check_number(&self, kind: Kind, value: &Value) -> Result<(), Reason> {
        match (kind, value) {
            (Kind::Int, Value::Int(_)) | (Kind::Float, Value::Int(_) | Value::Float(_)) => Ok(()),
            (Kind::Int | Kind::Float, _) => Err(self.invalid("Validator failed")),
            _ => Ok(()),
        }
    }

    /// Positions count from the end if they are negative. What is put beyond the end comes to stand there.
    fn list_fields(&self, value: &AnyValue) -> Result<Fields, Reason> {
        let len = value.get::<List>().map_or(0, |items| items.len()) as i64;
        let insert = self.change == "insert";
        self.only(if insert { &["item", "position"] } else { &["position"] })?;
        let position = self.int("position")?;
        let counted = match (insert, position < 0) {
            (true, true) => len + position + 1,
            (true, false) => position.min(len),
            (false, true) => len + position,
            (false, false) => position,
        };
        if counted < 0 || (!insert && counted >= len) {
            return Err(format!("IndexError('{} index out of range')", self.change));
        }
        let fields = Fields::of_type(self.change.as_str()).with("position", Value::Int(counted));
        match insert {
            true => Ok(fields.with("item", self.value("item")?.clone())),
            false => Ok(fields),
        }
    }

    fn dict_fields(&self) -> Result<Fields, Reason> {
        let allowed: &[&str] = match &*self.change {
            "pop" => &["key"],
            "add" => &["key", "value"],
            _ => &["key", "value", "old_value"],
        };
        self.only(allowed)?;
        let fields = Fields::of_type(self.change.as_str()).with("key", self.text("key")?);
        match &*self.change {
            "pop" => Ok(fields),
            _ => Ok(fields.with("value", self.value("value")?.clone())),
        }
    }

    /// What an edit of a text inserts or deletes, and the fields of it.
    ///
    /// # Errors
    /// It is no edit, or malformed.
    pub fn edit(&self) -> Result<TextEdit, Reason> {
        let insert = self.change == "insert";
        let field = match &*self.change {
            "insert" => "insertion",
            "delete" => "deletion",
            other => return Err(key_error(other)),
        };
        self.only(&["topic_version", "position", field, "result_topic_version"])?;
        let position = usize::try_from(self.int("position")?)
            .map_err(|_| self.invalid("a position is not negative"))?;
        let result = match self.get("result_topic_version") {
            None | Some(Value::Null) => None,
            Some(_) => Some(self.text("result_topic_version")?).filter(|name| !name.is_empty()),
        };
        let (version, text) = (self.text("topic_version")?, self.text(field)?);
        Ok(TextEdit { insert, version, position, text, result })
    }
}

/// An edit of a text, as a client of the dialect says it.
pub struct TextEdit {
    /// It inserts; else it deletes.
    pub insert: bool,
    /// The name of the text that its author saw.
    pub version: EcoString,
    /// In UTF-16 units.
    pub position: usize,
    pub text: EcoString,
    /// What its author calls the text that it leads to.
    pub result: Option<EcoString>,
}

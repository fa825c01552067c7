//! One command of a client, and the change of this server's that it asks for on the value at hand.
//!
//! A command is checked for its form alone, and for what its meaning takes of the value: nothing here
//! knows of other commands, of versions, or of who may do what.

use ecow::EcoString;

use super::kind::Kind;
use super::wire::ID_BYTES_MAX;
use crate::types::AnyValue;
use crate::types::list::List;
use crate::value::{Dict, Fields, Value};

/// Why a command is not done, in the words of the Python server.
pub(super) type Reason = String;

/// A command, of which the fields are read that all commands have.
pub(super) struct Command<'a> {
    fields: &'a Dict,
    pub topic_name: EcoString,
    pub topic_type: EcoString,
    /// The `type` of the change.
    pub change: EcoString,
    /// The author's name of the change, if it gave one.
    pub id: Option<Value>,
}

/// The fields that every command may have.
const COMMON_FIELDS: [&str; 4] = ["topic_name", "topic_type", "type", "id"];

pub(super) fn key_error(what: &str) -> Reason {
    format!("KeyError('{what}')")
}

pub(super) fn type_error(what: &str) -> Reason {
    format!("TypeError('{what}')")
}

pub(super) fn permission_error(why: impl std::fmt::Display) -> Reason {
    format!("PermissionError('{why}')")
}

impl<'a> Command<'a> {
    /// # Errors
    /// A field that all commands have is missing, or the id is too long to be kept.
    pub(super) fn read(fields: &'a Dict) -> Result<Command<'a>, Reason> {
        let text = |field: &str| {
            let value = fields.get(field).ok_or_else(|| key_error(field))?;
            value.as_text().map(EcoString::from).ok_or_else(|| type_error(field))
        };
        let id = fields.get("id").filter(|id| **id != Value::Null).cloned();
        if id.as_ref().is_some_and(|id| id.bytes_about() > ID_BYTES_MAX) {
            return Err(type_error(&format!("an id has at most {ID_BYTES_MAX} bytes")));
        }
        Ok(Command {
            fields,
            topic_name: text("topic_name")?,
            topic_type: text("topic_type")?,
            change: text("type")?,
            id,
        })
    }

    /// Checks that no field is there but `allowed` ones, and those that all commands have.
    fn only(&self, allowed: &[&str]) -> Result<(), Reason> {
        let known = |key: &str| COMMON_FIELDS.contains(&key) || allowed.contains(&key);
        match self.fields.keys().find(|key| !known(key)) {
            Some(unknown) => Err(type_error(&format!("unexpected field {unknown:?}"))),
            None => Ok(()),
        }
    }

    pub(super) fn get(&self, field: &str) -> Option<&'a Value> {
        self.fields.get(field)
    }

    pub(super) fn value(&self, field: &str) -> Result<&'a Value, Reason> {
        self.get(field).ok_or_else(|| type_error(&format!("missing {field:?}")))
    }

    pub(super) fn text(&self, field: &str) -> Result<EcoString, Reason> {
        let text = self.value(field)?.as_text().map(EcoString::from);
        text.ok_or_else(|| type_error(&format!("{field:?} must be a string")))
    }

    pub(super) fn int(&self, field: &str) -> Result<i64, Reason> {
        match self.value(field)? {
            Value::Int(int) => Ok(*int),
            _ => Err(type_error(&format!("{field:?} must be a whole number"))),
        }
    }

    /// The reason of a change that cannot be made.
    pub(super) fn invalid(&self, why: impl std::fmt::Display) -> Reason {
        let Command { topic_name, change, .. } = self;
        format!("InvalidChangeError(\"Invalid {change} for topic {topic_name}: {why}\")")
    }

    /// The change of this server's that the command asks for, on a value that is no text.
    ///
    /// # Errors
    /// The command is malformed, or asks for what the type does not have.
    pub(super) fn fields(&self, kind: Kind, value: &AnyValue) -> Result<Fields, Reason> {
        let fields = Fields::of_type(self.change.as_str());
        match (kind, &*self.change) {
            (Kind::Event, "emit") => {
                self.only(&["args"])?;
                let args = self.get("args").filter(|args| **args != Value::Null).cloned();
                Ok(fields.with("args", args.unwrap_or_else(|| Dict::new().into())))
            }
            (Kind::Event, _) => Err(key_error(&self.change)),
            (_, "set") => {
                // An `old_value` may be there, and is not compared: a `set` wins over whatever there is.
                self.only(&["value", "old_value"])?;
                let value = self.value("value")?;
                self.check_number(kind, value)?;
                Ok(fields.with("value", value.clone()))
            }
            (Kind::Int | Kind::Float, "add") => {
                self.only(&["value"])?;
                let value = self.value("value")?;
                self.check_number(kind, value)?;
                Ok(fields.with("value", value.clone()))
            }
            (Kind::Set, "append" | "remove") => {
                self.only(&["item"])?;
                Ok(fields.with("item", self.value("item")?.clone()))
            }
            (Kind::List, "insert") => self.list_insert(value),
            (Kind::List, "pop") => self.list_pop(value),
            (Kind::Dict, "add" | "change_value" | "pop") => self.dict_fields(),
            _ => Err(key_error(&self.change)),
        }
    }

    /// Checks a number for a topic of numbers. In 0.13, an int is a whole number also in how it is
    /// written: `3.0` is none.
    fn check_number(&self, kind: Kind, value: &Value) -> Result<(), Reason> {
        match (kind, value) {
            (Kind::Int, Value::Int(_)) | (Kind::Float, Value::Int(_) | Value::Float(_)) => Ok(()),
            (Kind::Int | Kind::Float, _) => Err(self.invalid("Validator failed")),
            _ => Ok(()),
        }
    }

    /// An insert into a list. A negative position counts from behind the end, and a position beyond the
    /// end is the end.
    fn list_insert(&self, value: &AnyValue) -> Result<Fields, Reason> {
        self.only(&["item", "position"])?;
        let (len, position) = (list_len(value), self.int("position")?);
        let resolved = if position < 0 { len + position + 1 } else { position.min(len) };
        if resolved < 0 {
            return Err(self.out_of_range());
        }
        let fields = Fields::of_type("insert").with("position", Value::Int(resolved));
        Ok(fields.with("item", self.value("item")?.clone()))
    }

    /// A pop from a list. A negative position counts from the end.
    fn list_pop(&self, value: &AnyValue) -> Result<Fields, Reason> {
        self.only(&["position"])?;
        let (len, position) = (list_len(value), self.int("position")?);
        let resolved = if position < 0 { len + position } else { position };
        if resolved < 0 || resolved >= len {
            return Err(self.out_of_range());
        }
        Ok(Fields::of_type("pop").with("position", Value::Int(resolved)))
    }

    fn out_of_range(&self) -> Reason {
        format!("IndexError('{} index out of range')", self.change)
    }

    fn dict_fields(&self) -> Result<Fields, Reason> {
        let allowed: &[&str] = match &*self.change {
            "pop" => &["key"],
            "add" => &["key", "value"],
            _ => &["key", "value", "old_value"],
        };
        self.only(allowed)?;
        let fields = Fields::of_type(self.change.as_str()).with("key", self.text("key")?);
        if self.change == "pop" {
            return Ok(fields);
        }
        Ok(fields.with("value", self.value("value")?.clone()))
    }

    /// The edit of a text that the command asks for.
    ///
    /// # Errors
    /// The command is no edit, or malformed.
    pub(super) fn edit(&self) -> Result<TextEdit, Reason> {
        let (insert, text_field) = match &*self.change {
            "insert" => (true, "insertion"),
            "delete" => (false, "deletion"),
            other => return Err(key_error(other)),
        };
        self.only(&["topic_version", "position", text_field, "result_topic_version"])?;
        let position = usize::try_from(self.int("position")?)
            .map_err(|_| self.invalid("a position is not negative"))?;
        let result = match self.get("result_topic_version") {
            None | Some(Value::Null) => None,
            Some(_) => Some(self.text("result_topic_version")?).filter(|name| !name.is_empty()),
        };
        if result.as_ref().is_some_and(|name| name.len() > ID_BYTES_MAX) {
            return Err(type_error(&format!("an id has at most {ID_BYTES_MAX} bytes")));
        }
        let (version, text) = (self.text("topic_version")?, self.text(text_field)?);
        Ok(TextEdit { insert, version, position, text, result })
    }
}

fn list_len(value: &AnyValue) -> i64 {
    value.get::<List>().map_or(0, |items| items.len()) as i64
}

/// An edit of a text, as a client of 0.13 asks for it.
pub(super) struct TextEdit {
    /// Whether `text` is to be inserted; else it is to be deleted.
    pub insert: bool,
    /// The name of the text that the author saw.
    pub version: EcoString,
    /// Where in that text, in UTF-16 units.
    pub position: usize,
    pub text: EcoString,
    /// What the author calls the text that the edit leads to.
    pub result: Option<EcoString>,
}

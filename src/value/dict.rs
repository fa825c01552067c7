//! A persistent map from keys to values, in the order of its keys.
//!
//! Most dicts are small (`{"x":10,"y":20}`): up to `SMALL_MAX` entries are one sorted, shared
//! slice, where a tree would cost ten times the memory. Larger ones are an [`im::OrdMap`]. Which of
//! the two a dict is shows only in its speed: equality, order and encoding go by content.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use ecow::EcoString;
use im::OrdMap;
use serde::ser::{Serialize, Serializer};

use super::Value;

/// A dict's key. Up to 15 bytes need no allocation; a clone never does.
pub type Key = EcoString;

/// How many entries a dict keeps in one slice.
const SMALL_MAX: usize = 16;

/// A persistent, ordered map from [`Key`] to [`Value`]. A clone is a pointer.
#[derive(Clone)]
pub struct Dict(Repr);

/// `Small` holds its entries sorted by key, each key once. `Large` holds at least one entry more than
/// half of [`SMALL_MAX`].
#[derive(Clone)]
enum Repr {
    Small(Arc<[(Key, Value)]>),
    Large(Arc<OrdMap<Key, Value>>),
}

impl Dict {
    /// No entries.
    pub fn new() -> Dict {
        Dict(Repr::Small(Arc::new([])))
    }

    /// The number of entries. O(1).
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Small(entries) => entries.len(),
            Repr::Large(map) => map.len(),
        }
    }

    /// Whether there are no entries. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value under `key`. O(log n).
    pub fn get(&self, key: &str) -> Option<&Value> {
        match &self.0 {
            Repr::Small(entries) => find(entries, key).ok().map(|index| &entries[index].1),
            Repr::Large(map) => map.get(key),
        }
    }

    /// Whether there is an entry under `key`. O(log n).
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Puts `value` under `key` and gives what was there. O(log n); copies only what is shared.
    pub fn insert(&mut self, key: Key, value: Value) -> Option<Value> {
        match &mut self.0 {
            Repr::Small(entries) => match find(entries, &key) {
                Ok(index) => Some(std::mem::replace(&mut Arc::make_mut(entries)[index].1, value)),
                Err(_) if entries.len() == SMALL_MAX => {
                    let mut map: OrdMap<Key, Value> = entries.iter().cloned().collect();
                    map.insert(key, value);
                    self.0 = Repr::Large(Arc::new(map));
                    None
                }
                Err(index) => {
                    let (before, after) = entries.split_at(index);
                    let entry = std::iter::once((key, value));
                    *entries = sized(
                        entries.len() + 1,
                        before.iter().cloned().chain(entry).chain(after.iter().cloned()),
                    );
                    None
                }
            },
            Repr::Large(map) => Arc::make_mut(map).insert(key, value),
        }
    }

    /// Takes the entry under `key` out and gives its value. O(log n); copies only what is shared.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        match &mut self.0 {
            Repr::Small(entries) => {
                let index = find(entries, key).ok()?;
                let value = entries[index].1.clone();
                let (before, after) = (&entries[..index], &entries[index + 1..]);
                *entries =
                    sized(entries.len() - 1, before.iter().cloned().chain(after.iter().cloned()));
                Some(value)
            }
            Repr::Large(map) => {
                let value = Arc::make_mut(map).remove(key);
                if map.len() <= SMALL_MAX / 2 {
                    let entries = map.iter().map(|(key, value)| (key.clone(), value.clone()));
                    self.0 = Repr::Small(entries.collect());
                }
                value
            }
        }
    }

    /// The entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        let (small, large) = match &self.0 {
            Repr::Small(entries) => (Some(entries.iter()), None),
            Repr::Large(map) => (None, Some(map.iter())),
        };
        let small = small.into_iter().flatten().map(|(key, value)| (key, value));
        Counted { left: self.len(), entries: small.chain(large.into_iter().flatten()) }
    }

    /// The keys in their order.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.iter().map(|(_, value)| value)
    }

    /// Whether both are the same allocation, and so surely equal.
    pub fn ptr_eq(&self, other: &Dict) -> bool {
        match (&self.0, &other.0) {
            (Repr::Small(a), Repr::Small(b)) => Arc::ptr_eq(a, b),
            (Repr::Large(a), Repr::Large(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// A dict of `entries`, or the key that stands in them twice.
    pub(crate) fn from_entries(mut entries: Vec<(Key, Value)>) -> Result<Dict, Key> {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(pair[0].0.clone());
        }
        Ok(Dict(if entries.len() <= SMALL_MAX {
            Repr::Small(entries.into())
        } else {
            Repr::Large(Arc::new(entries.into_iter().collect()))
        }))
    }
}

fn find(entries: &[(Key, Value)], key: &str) -> Result<usize, usize> {
    entries.binary_search_by(|(candidate, _)| candidate.as_str().cmp(key))
}

/// Collects into one allocation: an `Arc<[_]>` of an iterator of unknown length takes two.
fn sized(len: usize, entries: impl Iterator<Item = (Key, Value)>) -> Arc<[(Key, Value)]> {
    let mut vec = Vec::with_capacity(len);
    vec.extend(entries);
    vec.into()
}

/// An iterator that knows its length, so that encoders can write it before the entries.
struct Counted<I> {
    left: usize,
    entries: I,
}

impl<I: Iterator> Iterator for Counted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.left = self.left.saturating_sub(1);
        self.entries.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl Default for Dict {
    fn default() -> Dict {
        Dict::new()
    }
}

impl FromIterator<(Key, Value)> for Dict {
    /// Of two entries with one key, the later stands.
    fn from_iter<I: IntoIterator<Item = (Key, Value)>>(entries: I) -> Dict {
        let mut dict = Dict::new();
        for (key, value) in entries {
            dict.insert(key, value);
        }
        dict
    }
}

impl<const N: usize> From<[(&str, Value); N]> for Dict {
    fn from(entries: [(&str, Value); N]) -> Dict {
        entries.into_iter().map(|(key, value)| (key.into(), value)).collect()
    }
}

impl Ord for Dict {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Dict {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Dict {
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(other) || (self.len() == other.len() && self.iter().eq(other.iter()))
    }
}

impl Eq for Dict {}

impl Serialize for Dict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl fmt::Debug for Dict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_dict_does_what_a_btree_map_does(
            steps in prop::collection::vec((0..40u8, prop::option::of(any::<i32>())), 0..120)
        ) {
            let (mut dict, mut model) = (Dict::new(), BTreeMap::new());
            for (key, value) in steps {
                let key = Key::from(format!("k{key}"));
                let before = (dict.clone(), model.clone());
                match value {
                    Some(value) => prop_assert_eq!(
                        dict.insert(key.clone(), value.into()),
                        model.insert(key, value.into())
                    ),
                    None => prop_assert_eq!(dict.remove(&key), model.remove(&key)),
                }
                prop_assert!(dict.iter().eq(model.iter()));
                prop_assert_eq!(dict.len(), model.len());
                prop_assert!(before.0.iter().eq(before.1.iter()));
                let again = Dict::from_entries(model.clone().into_iter().collect());
                prop_assert_eq!(again.as_ref(), Ok(&dict));
            }
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_named() {
        let entries =
            vec![("b".into(), Value::Null), ("a".into(), 1.into()), ("b".into(), 2.into())];
        assert_eq!(Dict::from_entries(entries), Err("b".into()));
    }
}

//! Cases of a type: a value, changes that fit it, and changes that need not.

use std::fmt::{self, Debug};
use std::rc::Rc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::choices::Choices;
use super::law::Law;
use super::world::Kind;
use crate::types::{AnyChange, TopicType, TypeRef};

/// Makes the changes that fit a value.
type Fitting<T> = Rc<dyn Fn(&<T as TopicType>::Value) -> BoxedStrategy<<T as TopicType>::Change>>;

/// A topic type, and how to make values and changes of it: all that the laws and the simulator need.
///
/// ```
/// use proptest::prelude::*;
/// use topicsync::testkit::Cases;
/// use topicsync::types::{Int, IntChange};
///
/// let cases = Cases::<Int>::new(-9..9_i64, |_| {
///     prop_oneof![(-9..9_i64).prop_map(IntChange::Add), (-9..9_i64).prop_map(IntChange::Set)]
/// });
/// # let _ = cases;
/// ```
pub struct Cases<T: TopicType> {
    pub(super) value: BoxedStrategy<T::Value>,
    fitting: Fitting<T>,
    wild: Option<BoxedStrategy<T::Change>>,
    must_speak: Vec<Law>,
}

impl<T: TopicType> Clone for Cases<T> {
    fn clone(&self) -> Cases<T> {
        Cases {
            value: self.value.clone(),
            fitting: self.fitting.clone(),
            wild: self.wild.clone(),
            must_speak: self.must_speak.clone(),
        }
    }
}

impl<T: TopicType> Debug for Cases<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cases of {}", T::NAME)
    }
}

/// How often a change is made anew that turns out not to fit.
const MISFITS_MAX: usize = 64;

impl<T: TopicType> Cases<T> {
    /// Cases of values from `value`, and for each of them changes that apply to it. A change that does
    /// not fit is passed over; mostly they should.
    ///
    /// Small values that are often equal find more than large ones: laws break where changes meet.
    pub fn new<C>(
        value: impl Strategy<Value = T::Value> + 'static,
        change: impl Fn(&T::Value) -> C + 'static,
    ) -> Cases<T>
    where
        C: Strategy<Value = T::Change> + 'static,
    {
        Cases {
            value: value.boxed(),
            fitting: Rc::new(move |value| change(value).boxed()),
            wild: None,
            must_speak: vec![Law::ApplyIsAFunction],
        }
    }

    /// With changes as a hostile client might send them, for the laws that hold for every change.
    /// Unless this is called, these are changes made for other values.
    #[must_use]
    pub fn wild(self, change: impl Strategy<Value = T::Change> + 'static) -> Cases<T> {
        Cases { wild: Some(change.boxed()), ..self }
    }

    /// A law that may hold for want of cases (no two changes can be composed, every pair is a conflict)
    /// must have something to say in one of 64: if not, its test fails.
    #[must_use]
    pub fn must_speak(mut self, law: Law) -> Cases<T> {
        self.must_speak.push(law);
        self
    }

    pub(super) fn is_to_speak(&self, law: Law) -> bool {
        self.must_speak.contains(&law)
    }

    /// The type as the simulator takes it.
    pub fn kind(&self) -> Kind {
        let cases = self.clone();
        Kind::new(TypeRef::of::<T>(), move |choices: &mut dyn Choices, value| {
            let value = value.get::<T>().expect("a topic's value is of its own type");
            let mut source = Source::new(choices.next_64());
            source.fitting(&cases, value).map(AnyChange::new::<T>)
        })
    }
}

/// Makes what strategies describe, the same for a seed.
pub(super) struct Source(TestRunner);

impl Source {
    pub(super) fn new(seed: u64) -> Source {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config { failure_persistence: None, ..Config::default() };
        Source(TestRunner::new_with_rng(config, rng))
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0.rng().next_u64()
    }

    pub(super) fn make<S: Strategy>(&mut self, strategy: &S) -> S::Value {
        let tree = strategy.new_tree(&mut self.0);
        tree.unwrap_or_else(|why| panic!("the strategy gives up: {why}")).current()
    }

    /// A change that applies to `value`; `None` if there seems to be none.
    pub(super) fn fitting<T: TopicType>(
        &mut self,
        cases: &Cases<T>,
        value: &T::Value,
    ) -> Option<T::Change> {
        let strategy = (cases.fitting)(value);
        (0..MISFITS_MAX).find_map(|_| {
            let change = self.make(&strategy);
            T::apply(&mut value.clone(), &change).is_ok().then_some(change)
        })
    }

    /// A change that may fit no value at hand.
    pub(super) fn wild<T: TopicType>(&mut self, cases: &Cases<T>) -> T::Change {
        match &cases.wild {
            Some(wild) => self.make(wild),
            None => {
                let value = self.make(&cases.value);
                self.make(&(cases.fitting)(&value))
            }
        }
    }
}

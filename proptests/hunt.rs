//! Looks for cases that break a check, by proptest: it shortens them, and keeps those that failed.

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestError, TestRunner};
use topicsync::testkit::{Found, Kind};

/// How long a case is shortened, in milliseconds.
const SHRINK_MS_MAX: u32 = 60_000;

/// Looks for a case that breaks a law, and panics with the shortest that is found.
pub fn hunt<S: Strategy>(name: &str, cases: S, check: impl Fn(&S::Value) -> Found)
where
    S::Value: Debug,
{
    let persistence = FileFailurePersistence::Direct("proptests/regressions/simulation.txt");
    let config = Config {
        failure_persistence: Some(Box::new(persistence)),
        source_file: Some(file!()),
        max_shrink_iters: 20_000,
        max_shrink_time: SHRINK_MS_MAX,
        ..Config::default()
    };
    match TestRunner::new(config).run(&cases, |case| check(&case).map_err(TestCaseError::fail)) {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{name}: {why}\n{case:#?}"),
        Err(TestError::Abort(why)) => panic!("no cases: {why}"),
    }
}

/// The built-in type of this name.
pub fn kind(name: &str) -> Kind {
    topicsync::testkit::world::kind(name).expect("a built-in type")
}

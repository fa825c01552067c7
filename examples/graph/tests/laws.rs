//! Every law, for both types.

use topicsync::testkit::{Cases, Law};

use super::strategies::{change, value};
use crate::graph::Graph;

fn cases<const ACYCLIC: bool>() -> Cases<Graph<ACYCLIC>> {
    let cases = Cases::new(value::<ACYCLIC>(), change::<ACYCLIC>);
    let speak = [
        Law::TheSquareCloses,
        Law::ComposeAgrees,
        Law::TheSquareOfARunCloses,
        Law::TheRestOfARunCloses,
        Law::AChangeCanBeTakenBack,
        Law::DifferencesLeadThere,
    ];
    speak.into_iter().fold(cases, Cases::must_speak)
}

topicsync::laws! {
    mod graph = cases::<false>();
    mod acyclic_graph = cases::<true>();
}

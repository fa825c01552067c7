//! The laws by name.

use std::fmt;

/// What every topic type keeps, or the system as a whole. `v · c` is the value `v` with the change `c`
/// applied; `a` was accepted first, `c` is the newcomer, and `c'` and `a'` are the two carried past each
/// other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Law {
    /// 1: the same value and change give the same result, on every run and in every encoding.
    ApplyIsAFunction,
    /// 1: a change that does not apply leaves the value as it was.
    AFailedApplyLeavesTheValue,
    /// 2: a change and then its inverse restore the value.
    TheInverseRestores,
    /// 3: rebase answers every pair, always the same, and never panics. So does compose.
    RebaseIsTotal,
    /// 4: `v · a · c' = v · c · a'`, and what is carried applies.
    TheSquareCloses,
    /// 5: `v · compose(a, b) = v · a · b`.
    ComposeAgrees,
    /// 6: every value and change comes out of JSON and MessagePack as it went in.
    EveryEncodingRoundTrips,
    /// 7: once the network is quiet, all replicas and the server hold the same value.
    ReplicasConverge,
    /// 8: every change is accepted once or rejected once, and its author knows which.
    EveryChangeHasOneOutcome,
    /// 9: folding the log gives the value at every version, after a crash as before.
    TheLogReplays,
    /// 10: every change and request that a session sent is answered once, whatever happened to its
    /// connection.
    EverythingIsAnsweredOnce,
    /// 11: what one client did in one order is accepted in that order.
    OwnOrderHolds,
    /// 12: an answer about the past never changes later, and holds whole actions.
    ThePastIsFinal,
    /// 13: when everybody is gone, nothing of them is left but the log.
    NothingIsLeft,
    /// A change made exact does what it did.
    ResolvingKeepsTheEffect,
    /// Carried over a composition, a change is what it is carried over its parts, for a type that
    /// promises so (`REBASES_OVER_COMPOSED`).
    RebasingOverACompositionIsOverItsParts,
    /// The square of several changes by each side closes.
    TheSquareOfARunCloses,
    /// The square closes for what is left of several changes, once what conflicts fell out.
    TheRestOfARunCloses,
    /// What was made on top of a change that is taken back can be carried over its inverse.
    AChangeCanBeTakenBack,
    /// Composing a list of changes leads where they lead in turn.
    ComposingAListAgrees,
    /// The differences of two values lead from one to the other.
    DifferencesLeadThere,
    /// A change writes no more than `writes` says.
    WritesAreTrue,
}

impl Law {
    /// Those that are checked on values and changes alone, without clients.
    pub const OF_TYPES: [Law; 15] = [
        Law::ApplyIsAFunction,
        Law::AFailedApplyLeavesTheValue,
        Law::TheInverseRestores,
        Law::RebaseIsTotal,
        Law::TheSquareCloses,
        Law::ComposeAgrees,
        Law::EveryEncodingRoundTrips,
        Law::ResolvingKeepsTheEffect,
        Law::RebasingOverACompositionIsOverItsParts,
        Law::TheSquareOfARunCloses,
        Law::TheRestOfARunCloses,
        Law::AChangeCanBeTakenBack,
        Law::ComposingAListAgrees,
        Law::DifferencesLeadThere,
        Law::WritesAreTrue,
    ];

    /// Those that are checked on a server and its clients.
    pub const OF_THE_SYSTEM: [Law; 7] = [
        Law::ReplicasConverge,
        Law::EveryChangeHasOneOutcome,
        Law::TheLogReplays,
        Law::EverythingIsAnsweredOnce,
        Law::OwnOrderHolds,
        Law::ThePastIsFinal,
        Law::NothingIsLeft,
    ];

    /// The law in a few words, with its number if it has one: how scripts and messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Law::ApplyIsAFunction => "law 1, apply is a function",
            Law::AFailedApplyLeavesTheValue => "law 1, a failed apply leaves the value",
            Law::TheInverseRestores => "law 2, the inverse restores",
            Law::RebaseIsTotal => "law 3, rebase is total",
            Law::TheSquareCloses => "law 4, the square closes",
            Law::ComposeAgrees => "law 5, compose agrees",
            Law::EveryEncodingRoundTrips => "law 6, every encoding round trips",
            Law::ReplicasConverge => "law 7, replicas converge",
            Law::EveryChangeHasOneOutcome => "law 8, every change has one outcome",
            Law::TheLogReplays => "law 9, the log replays",
            Law::EverythingIsAnsweredOnce => "law 10, everything is answered once",
            Law::OwnOrderHolds => "law 11, own order holds",
            Law::ThePastIsFinal => "law 12, the past is final",
            Law::NothingIsLeft => "law 13, nothing is left",
            Law::ResolvingKeepsTheEffect => "resolving keeps the effect",
            Law::RebasingOverACompositionIsOverItsParts => {
                "rebasing over a composition is rebasing over its parts"
            }
            Law::TheSquareOfARunCloses => "the square of a run closes",
            Law::TheRestOfARunCloses => "the square of the rest of a run closes",
            Law::AChangeCanBeTakenBack => "a change can be taken back",
            Law::ComposingAListAgrees => "composing a list agrees",
            Law::DifferencesLeadThere => "differences lead there",
            Law::WritesAreTrue => "writes are true",
        }
    }

    /// The law of this [`name`](Self::name).
    pub fn named(name: &str) -> Option<Law> {
        let mut all = Law::OF_TYPES.into_iter().chain(Law::OF_THE_SYSTEM);
        all.find(|law| law.name() == name)
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

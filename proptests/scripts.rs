//! Scripts that were once the shortest to show something wrong: a fault that was found, or a line that was
//! planted to see it found. Each says which; with the line as it was, the law that it names is broken.

use topicsync::testkit::{Law, replay, strategies};
use topicsync::types::List;

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident: $script:literal;)+) => {
        $($(#[$doc])* #[test]
        fn $name() {
            replay(&strategies::cases::<List>(), $script);
        })+
    };
}

scripts! {
    /// Planted: `Session::act` always succeeds.
    a_session_that_is_over_does_nothing: r#"
        law 13, nothing is left
        clients 1
        topic "a" list {"durability":"commit"}
        client 1 overwrites "a" by {"type":"insert","position":0,"item":0.0}
        client 1 sends
        client 1 is forgotten by the server
        client 1 is heard by the server
    "#;

    /// Planted: a subscription that begins confirms nothing that its snapshot jumps over.
    what_a_snapshot_jumps_over_is_confirmed: r#"
        law 10, everything is answered once
        clients 1
        apart "b" dict {}
        client 1 says {"content":{"topic_name":"b","type":"dict"},"type":"subscribe"}
        client 1 says {"content":{"change":{"id":"$me_r1","key":"k","type":"add","value":0},"topic_name":"b"},"type":"update"}
        client 1 is heard by the server
        client 1 is written to
        client 1 says {"content":{"topic_name":"b","type":"dict"},"type":"subscribe"}
    "#;

    /// Planted: a connection that lagged is given snapshots, and its own changes are not confirmed.
    what_a_lag_jumps_over_is_confirmed: r#"
        law 10, everything is answered once
        clients 1
        topic "c" int {"durability":"memory"}
        topic "d" string {"delivery":"latest"}
        queue_bytes 1
        missed_bytes 64
        client 1 changes "d" by {"type":"insert","position":0,"insertion":""} and then changes "c" by {"type":"set","value":0}
    "#;

    /// Planted: the services of a session that is over stay.
    services_leave_with_their_session: r#"
        law 13, nothing is left
        clients 1
        client 1 offers "draw"
    "#;

    /// Planted: what was read before the end of a connection is dropped.
    what_was_read_before_the_end_is_decided: r#"
        law 10, everything is answered once
        clients 2
        topic "a" list {"durability":"commit"}
        topic "b" dict {}
        client 2 overwrites "b" by {"type":"add","key":"","value":0}
        client 2 changes "a" by {"type":"insert","position":0,"item":0}
        client 2 sends
        client 2 is heard by the server
        client 2 loses its connection
    "#;

    /// Found: a fork was there at commits before it was made.
    a_fork_was_not_always_there: r#"
        law 12, the past is final
        clients 2
        topic "a" list {"durability":"commit"}
        apart "a+" list {"durability":"commit"}
        client 2 changes "a" by {"type":"insert","position":0,"item":0}
        client 1 asks "_topicsync/fork" {"new_name":"a+","topic_name":"a"}
        a cut is kept
    "#;

    /// Found: the value kept what a validator had panicked at.
    a_validator_that_panics_leaves_the_value: r#"
        law 9, the log replays
        clients 1
        topic "a" list {"durability":"commit"}
        client 1 changes "a" by {"type":"insert","position":0,"item":0.0}
        a validator panics at the next change
        client 1 sends
        client 1 is heard by the server
    "#;

    /// Found: a subscribe that came too late for a topic forgot the subscription before it, and changes
    /// that waited in the outbox were answered by nothing.
    a_topic_that_is_removed_answers_what_waited: r#"
        law 10, everything is answered once
        clients 1
        apart "a+" list {"durability":"commit"}
        client 1 says {"content":{"options":{"durability":"commit"},"topic_name":"a+","type":"list"},"type":"subscribe"}
        client 1 says {"content":{"change":{"id":"$me_r1","item":2,"position":0,"type":"insert"},"topic_name":"a+"},"type":"update"}
        client 1 is heard by the server
        client 1 joins "a+"
        client 1 asks "_topicsync/remove_topic" {"topic_name":"a+"}
        client 1 receives 1
    "#;

    /// The wall clock jumps between a change and its being sent again.
    a_clock_that_jumps_has_nothing_applied_twice: r#"
        law 8, every change has one outcome
        clients 2
        topic "a" list {}
        client 1 changes "a" by {"type":"insert","position":0,"item":0}
        client 1 sends
        client 1 is heard by the server
        client 1 loses its connection
        the clock jumps by 3000000 ms
        client 2 changes "a" by {"type":"insert","position":0,"item":1}
        client 2 sends
        client 2 is heard by the server
    "#;

    /// A client names a change as the server would.
    a_client_cannot_name_the_server_s_ids: r#"
        law 10, everything is answered once
        clients 1
        topic "a" list {}
        client 1 says {"content":{"change":{"id":"$me_s0","item":1,"position":0,"type":"insert"},"topic_name":"a"},"type":"update"}
        client 1 says {"content":{"change":{"item":2,"position":0,"type":"insert"},"topic_name":"a"},"type":"update"}
    "#;
}

#[test]
fn every_law_of_the_system_has_a_name_that_scripts_can_use() {
    for law in Law::OF_THE_SYSTEM {
        assert_eq!(Law::named(law.name()), Some(law));
    }
}

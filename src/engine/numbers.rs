//! Commit numbers and client ids: given in order, never twice in the life of a journal.
//!
//! They are reserved in the journal in blocks, long before they run out, so that nobody waits for it. A
//! restart after a crash goes on behind the last block: numbers ascend, with gaps. A clean stop gives back
//! what was not given, so that they are dense.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::journal::{Numbers, Operation};
use crate::topic::{ClientId, CommitNumber};

const COMMITS_A_BLOCK: u64 = 1 << 20;
const CLIENTS_A_BLOCK: u64 = 1 << 14;

/// Where numbers come from.
pub(super) struct NumberSource {
    life: u64,
    commits: Counter,
    clients: Counter,
}

struct Counter {
    block: u64,
    /// The newest number given.
    last: AtomicU64,
    /// Numbers up to this are reserved, or about to be.
    asked: AtomicU64,
    /// Numbers up to this are reserved.
    reserved: AtomicU64,
}

impl Counter {
    fn new(last: u64, block: u64) -> Counter {
        let [asked, reserved] = [last + block, last + block].map(AtomicU64::new);
        Counter { block, last: AtomicU64::new(last), asked, reserved }
    }

    /// The next number, and up to where more are to be reserved, if it is time.
    fn next(&self) -> (u64, Option<u64>) {
        let number = self.last.fetch_add(1, Ordering::AcqRel) + 1;
        let asked = self.asked.load(Ordering::Relaxed);
        if number + self.block / 2 < asked {
            return (number, None);
        }
        let more = asked + self.block;
        let relaxed = Ordering::Relaxed;
        let mine = self.asked.compare_exchange(asked, more, relaxed, relaxed).is_ok();
        (number, mine.then_some(more))
    }
}

impl NumberSource {
    /// Goes on behind all that `numbers` say was reserved; with what reserves the first block, which is to
    /// be durable before any number is given.
    pub(super) fn begin(numbers: Numbers) -> (NumberSource, Operation) {
        let source = NumberSource {
            life: numbers.life,
            commits: Counter::new(numbers.commit.0, COMMITS_A_BLOCK),
            clients: Counter::new(numbers.client.0, CLIENTS_A_BLOCK),
        };
        let reserve = Numbers {
            commit: CommitNumber(source.commits.asked.load(Ordering::Relaxed)),
            client: ClientId(source.clients.asked.load(Ordering::Relaxed)),
            ..numbers
        };
        (source, Operation::Reserve(reserve))
    }

    /// Notes a commit number that somebody else gave: the next ones are greater.
    pub(super) fn seen(&self, commit: CommitNumber) {
        self.commits.last.fetch_max(commit.0, Ordering::AcqRel);
        self.commits.asked.fetch_max(commit.0, Ordering::AcqRel);
    }

    /// What gives back, at the end, the numbers that were not given.
    pub(super) fn release(&self) -> Operation {
        let numbers = |number: &dyn Fn(&Counter) -> u64| Numbers {
            life: self.life,
            commit: CommitNumber(number(&self.commits)),
            client: ClientId(number(&self.clients)),
        };
        let reserved = |counter: &Counter| counter.reserved.load(Ordering::Acquire);
        let used = |counter: &Counter| counter.last.load(Ordering::Acquire).min(reserved(counter));
        Operation::Release { used: numbers(&used), reserved: numbers(&reserved) }
    }

    pub(super) fn life(&self) -> u64 {
        self.life
    }

    pub(super) fn commit(&self) -> CommitNumber {
        CommitNumber(self.commits.last.load(Ordering::Acquire))
    }

    /// The next commit number, and what is to be kept for those to come.
    pub(super) fn next_commit(&self) -> (CommitNumber, Option<Operation>) {
        let (commit, more) = self.commits.next();
        let numbers = |more| Numbers { commit: CommitNumber(more), ..Numbers::default() };
        (CommitNumber(commit), more.map(|more| Operation::Reserve(numbers(more))))
    }

    /// The next client id, and what is to be kept for those to come. `None` if it is not reserved: the
    /// journal has not taken anything for long.
    pub(super) fn next_client(&self) -> (Option<ClientId>, Option<Operation>) {
        let (client, more) = self.clients.next();
        let numbers = |more| Numbers { client: ClientId(more), ..Numbers::default() };
        let is_reserved = client <= self.clients.reserved.load(Ordering::Acquire);
        (
            is_reserved.then_some(ClientId(client)),
            more.map(|more| Operation::Reserve(numbers(more))),
        )
    }

    /// Notes what is durable by now.
    pub(super) fn reserved(&self, operation: &Operation) {
        if let Operation::Reserve(numbers) = operation {
            self.commits.reserved.fetch_max(numbers.commit.0, Ordering::AcqRel);
            self.clients.reserved.fetch_max(numbers.client.0, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, MemoryJournal};

    fn begin(journal: &MemoryJournal) -> NumberSource {
        let (numbers, reserve) = NumberSource::begin(journal.begin().unwrap().numbers);
        journal.commit(&[reserve]).unwrap();
        numbers
    }

    #[test]
    fn no_number_is_given_twice_however_a_life_ends() {
        let journal = MemoryJournal::new();
        let (mut commits, mut clients) = (0, 0);
        for _ in 0..3 {
            let numbers = begin(&journal);
            for _ in 0..2 * CLIENTS_A_BLOCK {
                let (commit, more) = numbers.next_commit();
                assert!(commit.0 > commits && more.is_none());
                commits = commit.0;
                let (client, more) = numbers.next_client();
                let client = client.expect("it was reserved in time");
                assert!(client.0 > clients);
                clients = client.0;
                if let Some(operation) = more {
                    journal.commit(std::slice::from_ref(&operation)).unwrap();
                    numbers.reserved(&operation);
                }
            }
        }
    }

    #[test]
    fn without_a_journal_client_ids_run_out() {
        let journal = MemoryJournal::new();
        let numbers = begin(&journal);
        let given = (0..10 * CLIENTS_A_BLOCK).filter(|_| numbers.next_client().0.is_some()).count();
        assert_eq!(given as u64, CLIENTS_A_BLOCK);
    }
}

//! Counts of a run: what was sent, answered and delivered, and when.

use std::time::Instant;

use crate::histogram::Histogram;
use crate::ledger::Ledger;
use crate::session::Sink;
use crate::stamp::{Stamp, PROBE_LANE};

pub struct Tally {
    began: Instant,
    ledgers: Vec<Ledger>,
    /// For each subscriber, whose probes it has seen.
    probes_seen: Vec<Vec<bool>>,
    probes_unseen_count: usize,
    /// How many messages each lane has.
    pub sent: Vec<u64>,
    pub sent_count: u64,
    pub answered_count: u64,
    pub delivered_count: u64,
    /// Messages that no run sent, or that are no messages of ours.
    pub foreign_count: u64,
    pub latencies: Histogram,
    /// Messages sent before this moment do not count as latencies.
    pub measured_from_ns: u64,
    /// Answers that came in the session just read.
    pub answered_now: usize,
}

impl Tally {
    pub fn new(lane_count: usize, subscriber_count: usize, publisher_count: usize) -> Self {
        Tally {
            began: Instant::now(),
            ledgers: vec![Ledger::new(lane_count); subscriber_count],
            probes_seen: vec![vec![false; publisher_count]; subscriber_count],
            probes_unseen_count: subscriber_count * publisher_count,
            sent: vec![0; lane_count],
            sent_count: 0,
            answered_count: 0,
            delivered_count: 0,
            foreign_count: 0,
            latencies: Histogram::default(),
            measured_from_ns: u64::MAX,
            answered_now: 0,
        }
    }

    pub fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    pub fn are_probes_seen(&self) -> bool {
        self.probes_unseen_count == 0
    }

    /// Whether this publisher's probe is still missing somewhere.
    pub fn is_probe_missing(&self, publisher: usize) -> bool {
        self.probes_seen.iter().any(|seen| !seen[publisher])
    }

    pub fn subscriber_count(&self) -> u64 {
        self.ledgers.len() as u64
    }

    /// Messages that some subscriber has not got, on the average.
    pub fn backlog(&self) -> u64 {
        let subscribers = self.subscriber_count();
        (self.sent_count * subscribers).saturating_sub(self.delivered_count) / subscribers
    }

    pub fn is_all_delivered(&self) -> bool {
        self.delivered_count == self.sent_count * self.subscriber_count()
    }

    pub fn dropped_count(&self) -> u64 {
        let of_one = |ledger: &Ledger| ledger.dropped_count(&self.sent);
        self.ledgers.iter().map(of_one).sum()
    }

    pub fn duplicated_count(&self) -> u64 {
        self.ledgers.iter().map(|one| one.duplicated_count).sum()
    }

    pub fn reordered_count(&self) -> u64 {
        self.ledgers.iter().map(|one| one.reordered_count).sum()
    }

    fn note_probe(&mut self, subscriber: usize, publisher: u64) {
        let seen = self.probes_seen[subscriber].get_mut(publisher as usize);
        match seen {
            Some(seen) if !*seen => {
                *seen = true;
                self.probes_unseen_count -= 1;
            }
            Some(_) => {}
            None => self.foreign_count += 1,
        }
    }
}

impl Sink for Tally {
    fn delivered(&mut self, subscriber: usize, payload: &[u8]) {
        let Some(stamp) = Stamp::read(payload) else {
            self.foreign_count += 1;
            return;
        };
        if stamp.lane == PROBE_LANE {
            self.note_probe(subscriber, stamp.sequence);
            return;
        }
        match self.ledgers[subscriber].note(stamp.lane, stamp.sequence) {
            None => self.foreign_count += 1,
            Some(false) => {}
            Some(true) => {
                self.delivered_count += 1;
                if stamp.sent_ns >= self.measured_from_ns {
                    let now_ns = self.now_ns();
                    self.latencies.note(now_ns.saturating_sub(stamp.sent_ns));
                }
            }
        }
    }

    fn answered(&mut self, count: usize) {
        self.answered_now += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(lane: u16, sequence: u64) -> [u8; 16] {
        let mut payload = [0; 16];
        Stamp {
            lane,
            sequence,
            sent_ns: 0,
        }
        .write(&mut payload);
        payload
    }

    #[test]
    fn each_subscriber_is_judged_by_itself() {
        let mut tally = Tally::new(1, 2, 1);
        tally.sent = vec![3];
        tally.sent_count = 3;
        for (subscriber, sequence) in [(0, 0), (1, 0), (0, 1), (0, 1), (1, 2), (1, 1), (0, 2)] {
            tally.delivered(subscriber, &payload(0, sequence));
        }
        assert!(tally.is_all_delivered());
        assert_eq!(tally.dropped_count(), 0);
        assert_eq!((tally.duplicated_count(), tally.reordered_count()), (1, 1));
    }

    #[test]
    fn a_planted_drop_is_found() {
        let mut tally = Tally::new(1, 2, 1);
        tally.sent = vec![2];
        tally.sent_count = 2;
        for (subscriber, sequence) in [(0, 0), (0, 1), (1, 1)] {
            tally.delivered(subscriber, &payload(0, sequence));
        }
        assert!(!tally.is_all_delivered());
        assert_eq!(tally.dropped_count(), 1);
    }

    #[test]
    fn probes_are_no_messages() {
        let mut tally = Tally::new(1, 1, 2);
        tally.delivered(0, &payload(PROBE_LANE, 1));
        assert!(tally.is_probe_missing(0) && !tally.is_probe_missing(1));
        tally.delivered(0, &payload(PROBE_LANE, 0));
        assert!(tally.are_probes_seen());
        assert_eq!((tally.delivered_count, tally.foreign_count), (0, 0));
    }

    #[test]
    fn what_is_not_ours_is_counted() {
        let mut tally = Tally::new(1, 1, 1);
        tally.delivered(0, b"short");
        tally.delivered(0, &payload(9, 0));
        assert_eq!(tally.foreign_count, 2);
    }
}

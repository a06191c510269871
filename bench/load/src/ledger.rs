//! What one subscriber got: finds what was dropped, came twice or came out of order.

use std::collections::BTreeSet;

/// Numbers remembered as missing in one lane; a lane that misses more is beyond doubt.
const MISSING_MAX: usize = 1 << 20;

#[derive(Clone, Debug, Default)]
struct Lane {
    /// The lowest number above all that came.
    next: u64,
    missing: BTreeSet<u64>,
    forgotten_count: u64,
}

/// Judged lane by lane; lanes do not have an order between them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    lanes: Vec<Lane>,
    pub duplicated_count: u64,
    pub reordered_count: u64,
}

impl Ledger {
    pub fn new(lane_count: usize) -> Self {
        Ledger {
            lanes: vec![Lane::default(); lane_count],
            ..Ledger::default()
        }
    }

    /// Takes note of a message; returns whether it is new here, `None` for a lane that nobody has.
    pub fn note(&mut self, lane: u16, sequence: u64) -> Option<bool> {
        let lane = self.lanes.get_mut(usize::from(lane))?;
        if sequence == lane.next {
            lane.next += 1;
            return Some(true);
        }
        if sequence > lane.next {
            for number in lane.next..sequence {
                if lane.missing.len() < MISSING_MAX {
                    lane.missing.insert(number);
                } else {
                    lane.forgotten_count += 1;
                }
            }
            lane.next = sequence + 1;
            return Some(true);
        }
        if lane.missing.remove(&sequence) {
            self.reordered_count += 1;
            return Some(true);
        }
        self.duplicated_count += 1;
        Some(false)
    }

    /// Returns how many of the messages did not come, `sent` being how many each lane has.
    pub fn dropped_count(&self, sent: &[u64]) -> u64 {
        let of_lane = |(lane, sent): (&Lane, &u64)| {
            lane.missing.len() as u64 + lane.forgotten_count + sent.saturating_sub(lane.next)
        };
        self.lanes.iter().zip(sent).map(of_lane).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(sequences: &[u64]) -> Ledger {
        let mut ledger = Ledger::new(1);
        for sequence in sequences {
            ledger.note(0, *sequence);
        }
        ledger
    }

    #[test]
    fn nothing_is_found_where_all_is_well() {
        let ledger = ledger(&[0, 1, 2, 3]);
        assert_eq!(
            (
                ledger.dropped_count(&[4]),
                ledger.duplicated_count,
                ledger.reordered_count
            ),
            (0, 0, 0)
        );
    }

    #[test]
    fn a_drop_in_the_middle_is_found() {
        assert_eq!(ledger(&[0, 1, 3]).dropped_count(&[4]), 1);
    }

    #[test]
    fn a_drop_at_the_end_is_found() {
        assert_eq!(ledger(&[0, 1]).dropped_count(&[4]), 2);
    }

    #[test]
    fn a_drop_at_the_beginning_is_found() {
        assert_eq!(ledger(&[1, 2, 3]).dropped_count(&[4]), 1);
    }

    #[test]
    fn a_duplicate_is_found_and_is_not_new() {
        let mut ledger = ledger(&[0, 1, 2]);
        assert_eq!(ledger.note(0, 1), Some(false));
        assert_eq!((ledger.duplicated_count, ledger.reordered_count), (1, 0));
    }

    #[test]
    fn a_duplicate_does_not_hide_a_drop() {
        let ledger = ledger(&[0, 0, 1]);
        assert_eq!(ledger.dropped_count(&[3]), 1);
    }

    #[test]
    fn what_comes_late_is_reordered_and_not_dropped() {
        let ledger = ledger(&[0, 2, 1, 3]);
        assert_eq!((ledger.dropped_count(&[4]), ledger.reordered_count), (0, 1));
    }

    #[test]
    fn lanes_are_judged_by_themselves() {
        let mut ledger = Ledger::new(2);
        for (lane, sequence) in [(0, 0), (1, 0), (1, 1), (0, 2)] {
            ledger.note(lane, sequence);
        }
        assert_eq!(ledger.dropped_count(&[3, 2]), 1);
        assert_eq!(ledger.note(2, 0), None);
    }
}

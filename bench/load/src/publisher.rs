//! When a publisher sends its next message, and which.

use crate::stamp::{Stamp, PROBE_LANE};
use crate::tally::Tally;

/// What limits a publisher.
#[derive(Clone, Copy)]
pub struct Limits {
    pub in_flight_max: usize,
    pub backlog_max: Option<u64>,
    /// Nanoseconds between two messages of this publisher.
    pub interval_ns: Option<u64>,
}

pub struct Publisher {
    index: usize,
    topic_count: usize,
    next_topic: usize,
    pub in_flight_count: usize,
    probes_in_flight_count: usize,
    due_ns: u64,
    limits: Limits,
    payload: Vec<u8>,
}

impl Publisher {
    pub fn new(index: usize, topic_count: usize, payload_bytes: usize, limits: Limits) -> Self {
        Publisher {
            index,
            topic_count,
            next_topic: 0,
            in_flight_count: 0,
            probes_in_flight_count: 0,
            due_ns: 0,
            limits,
            payload: vec![b'.'; payload_bytes],
        }
    }

    /// Begins to keep the rate from this moment on.
    pub fn start(&mut self, now_ns: u64, offset_ns: u64) {
        self.due_ns = now_ns + offset_ns;
    }

    /// Returns topic and payload of a probe.
    pub fn probe(&mut self) -> (usize, &[u8]) {
        self.in_flight_count += 1;
        self.probes_in_flight_count += 1;
        Stamp {
            lane: PROBE_LANE,
            sequence: self.index as u64,
            sent_ns: 0,
        }
        .write(&mut self.payload);
        (0, &self.payload)
    }

    /// Returns topic and payload of the next message if it may go now, and takes note of it.
    pub fn next(&mut self, tally: &mut Tally) -> Option<(usize, &[u8])> {
        if self.in_flight_count >= self.limits.in_flight_max {
            return None;
        }
        if self
            .limits
            .backlog_max
            .is_some_and(|max| tally.backlog() >= max)
        {
            return None;
        }
        let now_ns = tally.now_ns();
        if let Some(interval_ns) = self.limits.interval_ns {
            if now_ns < self.due_ns {
                return None;
            }
            self.due_ns += interval_ns;
        }
        let topic = self.next_topic;
        self.next_topic = (topic + 1) % self.topic_count;
        let lane = self.index * self.topic_count + topic;
        Stamp {
            lane: lane as u16,
            sequence: tally.sent[lane],
            sent_ns: now_ns,
        }
        .write(&mut self.payload);
        tally.sent[lane] += 1;
        tally.sent_count += 1;
        self.in_flight_count += 1;
        Some((topic, &self.payload))
    }

    /// Returns when the rate allows the next message; none without a rate.
    pub fn due_ns(&self) -> Option<u64> {
        self.limits.interval_ns.map(|_| self.due_ns)
    }

    pub fn interval_ns(&self) -> Option<u64> {
        self.limits.interval_ns
    }

    /// Takes note of answers, in the order of the messages; returns how many were not to probes.
    pub fn answered(&mut self, count: usize) -> Result<usize, String> {
        self.in_flight_count = self
            .in_flight_count
            .checked_sub(count)
            .ok_or("more answers than messages")?;
        let of_probes = count.min(self.probes_in_flight_count);
        self.probes_in_flight_count -= of_probes;
        Ok(count - of_probes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Limits = Limits {
        in_flight_max: 2,
        backlog_max: None,
        interval_ns: None,
    };

    #[test]
    fn no_more_than_the_window_is_in_flight() {
        let mut tally = Tally::new(1, 1, 1);
        let mut publisher = Publisher::new(0, 1, 16, FREE);
        assert!(publisher.next(&mut tally).is_some());
        assert!(publisher.next(&mut tally).is_some());
        assert!(publisher.next(&mut tally).is_none());
        assert_eq!(publisher.answered(1), Ok(1));
        assert!(publisher.next(&mut tally).is_some());
        assert!(publisher.answered(3).is_err());
    }

    #[test]
    fn topics_take_turns_and_have_numbers_of_their_own() {
        let mut tally = Tally::new(4, 1, 2);
        let mut publisher = Publisher::new(
            1,
            2,
            16,
            Limits {
                in_flight_max: 9,
                ..FREE
            },
        );
        let mut stamps = Vec::new();
        for _ in 0..3 {
            let (topic, payload) = publisher.next(&mut tally).unwrap();
            let stamp = Stamp::read(payload).unwrap();
            stamps.push((topic, stamp.lane, stamp.sequence));
        }
        assert_eq!(stamps, [(0, 2, 0), (1, 3, 0), (0, 2, 1)]);
    }

    #[test]
    fn a_backlog_and_a_rate_hold_it_back() {
        let mut tally = Tally::new(1, 1, 1);
        let backlog_max = Some(1);
        let mut publisher = Publisher::new(
            0,
            1,
            16,
            Limits {
                backlog_max,
                ..FREE
            },
        );
        assert!(publisher.next(&mut tally).is_some());
        assert!(publisher.next(&mut tally).is_none());
        let interval_ns = Some(1 << 40);
        let mut publisher = Publisher::new(
            0,
            1,
            16,
            Limits {
                interval_ns,
                ..FREE
            },
        );
        publisher.start(0, 0);
        assert!(publisher.next(&mut tally).is_some());
        assert!(publisher.next(&mut tally).is_none());
        assert_eq!(publisher.due_ns(), Some(1 << 40));
    }
}

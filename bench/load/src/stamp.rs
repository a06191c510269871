//! What each payload begins with: who sent it, its number there, and when.

/// Lane, sequence and time; payloads are never shorter.
pub const STAMP_BYTES: usize = 16;
/// The lane of probes, which are published until every subscription is seen to work.
pub const PROBE_LANE: u16 = u16::MAX;
const SEQUENCE_BYTES: usize = 6;

/// A lane is one topic of one publisher: what must stay in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub lane: u16,
    pub sequence: u64,
    /// Nanoseconds since the generator began.
    pub sent_ns: u64,
}

impl Stamp {
    /// Writes itself over the first bytes of a payload.
    pub fn write(self, payload: &mut [u8]) {
        let sequence = self.sequence.to_be_bytes();
        payload[..2].copy_from_slice(&self.lane.to_be_bytes());
        payload[2..8].copy_from_slice(&sequence[8 - SEQUENCE_BYTES..]);
        payload[8..STAMP_BYTES].copy_from_slice(&self.sent_ns.to_be_bytes());
    }

    /// Reads the first bytes of a payload; none if it is too short.
    pub fn read(payload: &[u8]) -> Option<Stamp> {
        let bytes: &[u8; STAMP_BYTES] = payload.get(..STAMP_BYTES)?.try_into().ok()?;
        let number = |range: std::ops::Range<usize>| {
            bytes[range]
                .iter()
                .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        Some(Stamp {
            lane: u16::from_be_bytes([bytes[0], bytes[1]]),
            sequence: number(2..8),
            sent_ns: number(8..STAMP_BYTES),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let stamp = Stamp {
            lane: 513,
            sequence: (1 << 48) - 2,
            sent_ns: u64::MAX - 7,
        };
        let mut payload = [0; 20];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
    }

    #[test]
    fn a_short_payload_has_no_stamp() {
        assert_eq!(Stamp::read(&[0; STAMP_BYTES - 1]), None);
    }
}

//! Latencies, to within 1.6 %, in little memory.

/// Steps within each doubling.
const STEPS: usize = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
const DOUBLINGS: usize = 64 - STEP_BITS as usize;

pub struct Histogram {
    counts: Vec<u64>,
    total_count: u64,
    pub max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            counts: vec![0; STEPS * (DOUBLINGS + 1)],
            total_count: 0,
            max: 0,
        }
    }
}

impl Histogram {
    pub fn note(&mut self, value: u64) {
        self.counts[place(value)] += 1;
        self.total_count += 1;
        self.max = self.max.max(value);
    }

    /// Returns the value below or at which `percent` of the values lie; 0 where there is none.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = (self.total_count as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return highest(place).min(self.max);
            }
        }
        0
    }
}

fn place(value: u64) -> usize {
    if value < STEPS as u64 {
        return value as usize;
    }
    let doubling = 63 - value.leading_zeros() - STEP_BITS;
    let step = (value >> doubling) as usize - STEPS;
    STEPS * (doubling as usize + 1) + step
}

/// Returns the highest value that has this place.
fn highest(place: usize) -> u64 {
    if place < STEPS {
        return place as u64;
    }
    let doubling = place / STEPS - 1;
    let lowest = ((STEPS + place % STEPS) as u64) << doubling;
    lowest + ((1u64 << doubling) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_place() {
        for value in (0..70_000).chain([1 << 40, u64::MAX / 2, u64::MAX]) {
            let place = place(value);
            assert!(value <= highest(place));
            assert!(place == 0 || value > highest(place - 1));
        }
    }

    #[test]
    fn percentiles_are_close() {
        let mut histogram = Histogram::default();
        for value in 1..=10_000 {
            histogram.note(value * 1000);
        }
        for (percent, expected) in [(50.0, 5e6), (99.0, 9.9e6), (100.0, 1e7)] {
            let found = histogram.percentile(percent) as f64;
            assert!((found / expected - 1.0).abs() < 0.016, "{percent}: {found}");
        }
    }

    #[test]
    fn nothing_has_no_latency() {
        assert_eq!(Histogram::default().percentile(50.0), 0);
    }
}

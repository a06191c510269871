//! CPU time and memory of the servers under load, and of the generator, from `/proc`.

use std::fs;

/// What Linux counts CPU time in (`getconf CLK_TCK`): the same on every machine of today.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Debug)]
pub struct Watched {
    pub name: String,
    pub pid: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Of all threads, those that have ended included.
    pub cpu_s: f64,
    pub rss_mib: f64,
    pub rss_max_mib: f64,
}

impl Watched {
    pub fn this() -> Self {
        Watched {
            name: "generator".into(),
            pid: std::process::id(),
        }
    }

    pub fn usage(&self) -> Result<Usage, String> {
        let read = |file: &str| {
            fs::read_to_string(format!("/proc/{}/{file}", self.pid))
                .map_err(|error| format!("process {} ({}): {error}", self.name, self.pid))
        };
        let status = read("status")?;
        Ok(Usage {
            cpu_s: cpu_seconds(&read("stat")?)
                .ok_or_else(|| format!("/proc/{}/stat is not understood", self.pid))?,
            rss_mib: mebibytes(&status, "VmRSS:"),
            rss_max_mib: mebibytes(&status, "VmHWM:"),
        })
    }
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name may hold blanks and brackets; what follows the last bracket cannot.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

fn mebibytes(status: &str, key: &str) -> f64 {
    let line = status.lines().find(|line| line.starts_with(key));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kibibytes.unwrap_or_default() / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_brackets() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 2 0 0 0 150 50 0 0 20 0 9 0 5 0";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }

    #[test]
    fn memory_is_found() {
        assert_eq!(
            mebibytes("VmHWM:\t 4096 kB\nVmRSS:\t 2048 kB\n", "VmRSS:"),
            2.0
        );
    }

    #[test]
    fn the_generator_sees_itself() {
        assert!(Watched::this()
            .usage()
            .is_ok_and(|usage| usage.rss_mib > 0.0));
    }
}

//! What a run found, as one JSON object.

use crate::run::Outcome;

impl Outcome {
    pub fn to_json(&self) -> String {
        let tally = &self.tally;
        let latency_us = |percent| tally.latencies.percentile(percent) as f64 / 1e3;
        let published = self.published_count.max(1) as f64;
        let servers: Vec<String> = self
            .usages
            .iter()
            .map(|(watched, usage)| {
                format!(
                    "{{\"name\":\"{}\",\"pid\":{},\"cpu_s\":{:.3},\"cpu_us_per_message\":{:.2},\
                     \"rss_mib\":{:.1},\"rss_max_mib\":{:.1}}}",
                    watched.name,
                    watched.pid,
                    usage.cpu_s,
                    usage.cpu_s * 1e6 / published,
                    usage.rss_mib,
                    usage.rss_max_mib,
                )
            })
            .collect();
        let cpu_s: f64 = self.usages.iter().map(|(_, usage)| usage.cpu_s).sum();
        let rss_mib: f64 = self.usages.iter().map(|(_, usage)| usage.rss_mib).sum();
        let numbers = [
            ("seconds", self.seconds),
            ("drained_seconds", self.drained_seconds),
            ("published_per_s", self.answered_count as f64 / self.seconds),
            (
                "delivered_per_s",
                self.delivered_count as f64 / self.seconds,
            ),
            ("latency_p50_us", latency_us(50.0)),
            ("latency_p90_us", latency_us(90.0)),
            ("latency_p99_us", latency_us(99.0)),
            ("latency_max_us", tally.latencies.max as f64 / 1e3),
            ("cpu_us_per_message", cpu_s * 1e6 / published),
            ("rss_mib", rss_mib),
            (
                "generator_cpu_us_per_message",
                self.generator.cpu_s * 1e6 / published,
            ),
        ];
        let counts = [
            ("published", self.published_count),
            ("delivered", self.delivered_count),
            ("dropped", tally.dropped_count()),
            ("duplicated", tally.duplicated_count()),
            ("reordered", tally.reordered_count()),
            ("foreign", tally.foreign_count),
            ("unanswered", tally.sent_count - tally.answered_count),
        ];
        let numbers = numbers.map(|(name, value)| format!("\"{name}\":{value:.2}"));
        let counts = counts.map(|(name, value)| format!("\"{name}\":{value}"));
        format!(
            "{{{},{},\"servers\":[{}]}}",
            numbers.join(","),
            counts.join(","),
            servers.join(",")
        )
    }
}

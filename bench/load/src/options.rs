//! What a run shall do, from the command line.

use std::time::Duration;

use crate::processes::Watched;
use crate::protocols::wavemq::{Caller, PublishOptions};
use crate::stamp::{PROBE_LANE, STAMP_BYTES};

pub const USAGE: &str = "\
usage: wavemq-load --protocol wavemq|nats|mqtt --publish-to HOST:PORT[,...] [--subscribe-to HOST:PORT[,...]]
  --call unary|stream         how WAVEMQ is published to (unary)
  --acknowledge               Consume instead of Subscribe; NATS: explicit acknowledgements
  --entity FILE               WAVEMQ: the caller's secret
  --namespace HEX             WAVEMQ: the hash of the namespace, 34 bytes
  --partition A/B             WAVEMQ: encrypt end to end for this partition
  --persist                   WAVEMQ: retained messages; MQTT: the same
  --run NAME                  unlike that of other runs at the same broker
  --publishers N  --subscribers N  --subscriber-connections N  --topics N
  --filters N                 subscriptions besides, which match nothing
  --in-flight N               publishes of one publisher without an answer (16)
  --backlog-max N             publishes that not every subscriber has got (no limit)
  --rate N                    publishes a second, of all publishers (no limit)
  --payload-bytes N  --warmup-seconds S  --seconds S  --drain-seconds S
  --messages N                end sooner, after so many
  --watch NAME=PID            a server's process, for CPU and memory; may be repeated";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    WavemqUnary,
    WavemqStream,
    Nats,
    Mqtt,
}

#[derive(Clone)]
pub struct Options {
    pub protocol: Protocol,
    pub publish_to: Vec<String>,
    pub subscribe_to: Vec<String>,
    pub is_acknowledging: bool,
    pub caller: Caller,
    pub publish: PublishOptions,
    pub run: String,
    pub publisher_count: usize,
    pub subscriber_count: usize,
    pub subscriber_connection_count: usize,
    pub topic_count: usize,
    pub filter_count: usize,
    pub in_flight_max: usize,
    pub backlog_max: Option<u64>,
    pub rate: Option<f64>,
    pub payload_bytes: usize,
    pub warmup: Duration,
    pub duration: Duration,
    pub drain: Duration,
    pub messages_max: Option<u64>,
    pub watched: Vec<Watched>,
}

impl Options {
    /// Reads the command line; the error is a sentence.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments;
        let mut options = Options {
            protocol: Protocol::WavemqUnary,
            publish_to: Vec::new(),
            subscribe_to: Vec::new(),
            is_acknowledging: false,
            caller: Caller {
                secret: Vec::new(),
                namespace: Vec::new(),
            },
            publish: PublishOptions::default(),
            run: "run".into(),
            publisher_count: 1,
            subscriber_count: 1,
            subscriber_connection_count: 1,
            topic_count: 1,
            filter_count: 0,
            in_flight_max: 16,
            backlog_max: None,
            rate: None,
            payload_bytes: 128,
            warmup: Duration::from_secs(1),
            duration: Duration::from_secs(5),
            drain: Duration::from_secs(10),
            messages_max: None,
            watched: Vec::new(),
        };
        let (mut protocol, mut call) = (String::new(), "unary".to_owned());
        while let Some(name) = arguments.next() {
            match name.as_str() {
                "--acknowledge" => options.is_acknowledging = true,
                "--persist" => options.publish.is_persisted = true,
                _ => {
                    let value = arguments
                        .next()
                        .ok_or_else(|| format!("{name} needs a value, or is unknown"))?;
                    match name.as_str() {
                        "--protocol" => protocol = value,
                        "--call" => call = value,
                        _ => options.set(&name, &value)?,
                    }
                }
            }
        }
        options.protocol = match (protocol.as_str(), call.as_str()) {
            ("wavemq", "unary") => Protocol::WavemqUnary,
            ("wavemq", "stream") => Protocol::WavemqStream,
            ("nats", _) => Protocol::Nats,
            ("mqtt", _) => Protocol::Mqtt,
            _ => return Err(format!("no protocol {protocol:?} with call {call:?}")),
        };
        options.checked()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "--publish-to" => self.publish_to = addresses(value),
            "--subscribe-to" => self.subscribe_to = addresses(value),
            "--entity" => {
                self.caller.secret =
                    std::fs::read(value).map_err(|error| format!("{value}: {error}"))?;
            }
            "--namespace" => self.caller.namespace = from_hex(value)?,
            "--partition" => {
                self.publish.partition = value.split('/').map(str::to_owned).collect();
            }
            "--run" => self.run = value.to_owned(),
            "--publishers" => self.publisher_count = parsed(name, value)?,
            "--subscribers" => self.subscriber_count = parsed(name, value)?,
            "--subscriber-connections" => {
                self.subscriber_connection_count = parsed(name, value)?;
            }
            "--topics" => self.topic_count = parsed(name, value)?,
            "--filters" => self.filter_count = parsed(name, value)?,
            "--in-flight" => self.in_flight_max = parsed(name, value)?,
            "--backlog-max" => self.backlog_max = Some(parsed(name, value)?),
            "--rate" => self.rate = Some(parsed(name, value)?),
            "--payload-bytes" => self.payload_bytes = parsed(name, value)?,
            "--warmup-seconds" => self.warmup = seconds(name, value)?,
            "--seconds" => self.duration = seconds(name, value)?,
            "--drain-seconds" => self.drain = seconds(name, value)?,
            "--messages" => self.messages_max = Some(parsed(name, value)?),
            "--watch" => {
                let (name, pid) = value
                    .split_once('=')
                    .ok_or("--watch wants NAME=PID".to_owned())?;
                self.watched.push(Watched {
                    name: name.to_owned(),
                    pid: parsed("--watch", pid)?,
                });
            }
            _ => return Err(format!("unknown option {name}")),
        }
        Ok(())
    }

    fn checked(mut self) -> Result<Self, String> {
        if self.publish_to.is_empty() {
            return Err("--publish-to is missing".into());
        }
        if self.subscribe_to.is_empty() {
            self.subscribe_to = self.publish_to.clone();
        }
        let counts = [
            ("--publishers", self.publisher_count),
            ("--subscribers", self.subscriber_count),
            ("--subscriber-connections", self.subscriber_connection_count),
            ("--topics", self.topic_count),
            ("--in-flight", self.in_flight_max),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(format!("{name} must be 1 at least"));
        }
        if self.lane_count() >= usize::from(PROBE_LANE) {
            return Err("too many topics and publishers".into());
        }
        if self.payload_bytes < STAMP_BYTES {
            return Err(format!("a payload has {STAMP_BYTES} bytes at least"));
        }
        if self.rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
            return Err("--rate must be positive".into());
        }
        let is_wavemq = matches!(
            self.protocol,
            Protocol::WavemqUnary | Protocol::WavemqStream
        );
        if is_wavemq && (self.caller.secret.is_empty() || self.caller.namespace.is_empty()) {
            return Err("WAVEMQ needs --entity and --namespace".into());
        }
        Ok(self)
    }

    pub fn lane_count(&self) -> usize {
        self.publisher_count * self.topic_count
    }
}

fn addresses(value: &str) -> Vec<String> {
    value.split(',').map(str::to_owned).collect()
}

fn parsed<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{name}: {value:?} is not a number that fits"))
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(parsed(name, value)?).map_err(|error| format!("{name}: {error}"))
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let bad = || "--namespace is not hexadecimal".to_owned();
    if !text.is_ascii() || text.len() % 2 != 0 {
        return Err(bad());
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| bad()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_line_is_read() {
        let options =
            parse("--protocol nats --publish-to a:1,b:2 --rate 200 --watch nats=7").unwrap();
        assert_eq!(options.publish_to, ["a:1", "b:2"]);
        assert_eq!(options.subscribe_to, options.publish_to);
        assert_eq!((options.rate, options.watched[0].pid), (Some(200.0), 7));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("--protocol nats", "--publish-to"),
            ("--protocol smoke --publish-to a:1", "smoke"),
            ("--protocol nats --publish-to a:1 --speed 3", "--speed"),
            ("--protocol nats --publish-to a:1 --topics x", "--topics"),
            ("--protocol nats --publish-to a:1 --topics 0", "--topics"),
            (
                "--protocol nats --publish-to a:1 --payload-bytes 15",
                "payload",
            ),
            ("--protocol nats --publish-to a:1 --rate 0", "--rate"),
            ("--protocol wavemq --publish-to a:1", "--entity"),
        ] {
            let error = parse(line).err().unwrap();
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn hexadecimal_is_read() {
        assert_eq!(from_hex("00ff1a").unwrap(), [0, 255, 26]);
        assert!(from_hex("0").is_err() && from_hex("xx").is_err());
    }
}

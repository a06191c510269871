//! NATS with JetStream: publishes are answered when the stream has them; push consumers deliver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::session::{Failure, Session, Sink, Subscription};

const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"name\":\"wavemq-load\",\
                       \"lang\":\"rust\",\"version\":\"0\",\"protocol\":1,\"headers\":true,\
                       \"no_responders\":true}\r\n";
const API_WITHIN: Duration = Duration::from_secs(10);
const LINE_BYTES_MAX: usize = 64 << 10;

/// Returns the NATS subject of a topic or filter.
pub fn to_subject(topic: &str) -> String {
    let levels: Vec<&str> = topic
        .split('/')
        .map(|level| match level {
            "+" => "*",
            "*" => ">",
            other => other,
        })
        .collect();
    levels.join(".")
}

/// Makes the stream that keeps the messages of a run, and a consumer for each subscription.
pub fn prepare(
    address: &str,
    stream: &str,
    filter: &str,
    subscriptions: &[Subscription],
    is_acknowledging: bool,
) -> Result<(), Failure> {
    let mut api = Api::connect(address)?;
    let subject = to_subject(filter);
    api.ask(
        &format!("STREAM.CREATE.{stream}"),
        &format!(
            "{{\"name\":\"{stream}\",\"subjects\":[\"{subject}\"],\"storage\":\"file\",\
             \"retention\":\"limits\",\"max_bytes\":4294967296,\"discard\":\"old\",\"num_replicas\":1}}"
        ),
    )?;
    let policy = if is_acknowledging { "explicit" } else { "none" };
    for wanted in subscriptions {
        let name = &wanted.name;
        let filter = to_subject(&wanted.filter);
        api.ask(
            &format!("CONSUMER.DURABLE.CREATE.{stream}.{name}"),
            &format!(
                "{{\"stream_name\":\"{stream}\",\"config\":{{\"durable_name\":\"{name}\",\
                 \"deliver_subject\":\"deliver.{name}\",\"deliver_policy\":\"all\",\
                 \"ack_policy\":\"{policy}\",\"filter_subject\":\"{filter}\",\
                 \"replay_policy\":\"instant\"}}}}"
            ),
        )?;
    }
    Ok(())
}

/// Removes the stream of a run, and with it its consumers.
pub fn clear(address: &str, stream: &str) -> Result<(), Failure> {
    Api::connect(address)?.ask(&format!("STREAM.DELETE.{stream}"), "")
}

/// JetStream's API, one question at a time.
struct Api {
    socket: BufReader<TcpStream>,
}

impl Api {
    fn connect(address: &str) -> Result<Self, Failure> {
        let told = |error: std::io::Error| Failure(format!("NATS at {address}: {error}"));
        let socket = TcpStream::connect(address).map_err(told)?;
        socket.set_read_timeout(Some(API_WITHIN)).map_err(told)?;
        socket.set_nodelay(true).map_err(told)?;
        let mut api = Api {
            socket: BufReader::new(socket),
        };
        api.write(&format!("{CONNECT}SUB answers 1\r\n"))?;
        Ok(api)
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.socket
            .get_mut()
            .write_all(text.as_bytes())
            .map_err(|error| Failure(format!("NATS: {error}")))
    }

    fn ask(&mut self, subject: &str, request: &str) -> Result<(), Failure> {
        let told = |error: std::io::Error| Failure(format!("NATS: {subject}: {error}"));
        self.write(&format!(
            "PUB $JS.API.{subject} answers {}\r\n{request}\r\n",
            request.len()
        ))?;
        loop {
            let mut line = String::new();
            let limited = self.socket.by_ref().take(LINE_BYTES_MAX as u64);
            let mut limited = limited;
            limited.read_line(&mut line).map_err(told)?;
            match line.split_whitespace().next() {
                Some("PING") => self.write("PONG\r\n")?,
                Some("MSG" | "HMSG") => {
                    let size = line.split_whitespace().last().unwrap_or_default();
                    let size_bytes: usize = size.parse().unwrap_or_default();
                    let mut answer = vec![0; size_bytes.min(LINE_BYTES_MAX) + 2];
                    self.socket.read_exact(&mut answer).map_err(told)?;
                    let answer = String::from_utf8_lossy(&answer);
                    if line.starts_with("HMSG") || answer.contains("\"error\"") {
                        return Err(format!("NATS: {subject}: {}", answer.trim()).into());
                    }
                    return Ok(());
                }
                Some("-ERR") | None => return Err(format!("NATS: {subject}: {line}").into()),
                Some(_) => {}
            }
        }
    }
}

/// A connection that publishes, or one that has subscriptions.
pub struct Nats {
    subjects: Vec<String>,
    subscriptions: Vec<Subscription>,
    inbox: String,
    is_acknowledging: bool,
    is_ready: bool,
}

impl Nats {
    pub fn publisher(name: &str, topics: &[String]) -> Self {
        Nats {
            subjects: topics.iter().map(|topic| to_subject(topic)).collect(),
            subscriptions: Vec::new(),
            inbox: format!("_INBOX.{name}"),
            is_acknowledging: false,
            is_ready: false,
        }
    }

    pub fn subscriber(subscriptions: Vec<Subscription>, is_acknowledging: bool) -> Self {
        Nats {
            subjects: Vec::new(),
            subscriptions,
            inbox: String::new(),
            is_acknowledging,
            is_ready: false,
        }
    }

    fn take_message(
        &self,
        head: &Head<'_>,
        payload: &[u8],
        output: &mut Vec<u8>,
        sink: &mut dyn Sink,
    ) -> Result<(), Failure> {
        if self.subscriptions.is_empty() {
            if head.is_with_headers || payload.windows(7).any(|part| part == b"\"error\"") {
                let text = String::from_utf8_lossy(payload);
                return Err(format!("NATS refused a message: {}", text.trim()).into());
            }
            sink.answered(1);
            return Ok(());
        }
        let wanted = head.subscription.checked_sub(1);
        let wanted = wanted.and_then(|index| self.subscriptions.get(index));
        let wanted = wanted.ok_or_else(|| Failure::from("NATS: an unknown subscription"))?;
        sink.delivered(wanted.subscriber, payload);
        if let (true, Some(reply)) = (self.is_acknowledging, head.reply) {
            output.extend_from_slice(b"PUB ");
            output.extend_from_slice(reply);
            output.extend_from_slice(b" 4\r\n+ACK\r\n");
        }
        Ok(())
    }
}

impl Session for Nats {
    fn open(&mut self, output: &mut Vec<u8>) {
        output.extend_from_slice(CONNECT.as_bytes());
        if self.subscriptions.is_empty() {
            output.extend_from_slice(format!("SUB {} 1\r\n", self.inbox).as_bytes());
        }
        for (index, wanted) in self.subscriptions.iter().enumerate() {
            let line = format!("SUB deliver.{} {}\r\n", wanted.name, index + 1);
            output.extend_from_slice(line.as_bytes());
        }
        output.extend_from_slice(b"PING\r\n");
    }

    fn receive(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        sink: &mut dyn Sink,
    ) -> Result<usize, Failure> {
        let mut done = 0;
        while let Some(length) = input[done..].iter().position(|byte| *byte == b'\n') {
            let line = input[done..done + length].trim_ascii_end();
            let behind = done + length + 1;
            if line.starts_with(b"MSG ") || line.starts_with(b"HMSG ") {
                let head = Head::parse(line)?;
                let Some(payload) = input.get(behind..behind + head.size_bytes) else {
                    break;
                };
                if input.len() < behind + head.size_bytes + 2 {
                    break;
                }
                self.take_message(&head, payload, output, sink)?;
                done = behind + head.size_bytes + 2;
                continue;
            }
            if line.starts_with(b"PING") {
                output.extend_from_slice(b"PONG\r\n");
            } else if line.starts_with(b"PONG") {
                self.is_ready = true;
            } else if line.starts_with(b"-ERR") {
                return Err(format!("NATS: {}", String::from_utf8_lossy(line)).into());
            }
            done = behind;
        }
        Ok(done)
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn publish(&mut self, topic: usize, payload: &[u8], output: &mut Vec<u8>) {
        output.extend_from_slice(b"PUB ");
        output.extend_from_slice(self.subjects[topic].as_bytes());
        output.push(b' ');
        output.extend_from_slice(self.inbox.as_bytes());
        output.extend_from_slice(format!(" {}\r\n", payload.len()).as_bytes());
        output.extend_from_slice(payload);
        output.extend_from_slice(b"\r\n");
    }
}

/// `MSG subject subscription [reply] size`, or `HMSG` with one number more.
struct Head<'a> {
    subscription: usize,
    reply: Option<&'a [u8]>,
    size_bytes: usize,
    is_with_headers: bool,
}

impl<'a> Head<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, Failure> {
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let is_with_headers = line.starts_with(b"HMSG");
        let least = if is_with_headers { 5 } else { 4 };
        if words.len() < least {
            return Err("NATS: a message's line is not understood".into());
        }
        Ok(Head {
            subscription: decimal(words[2]),
            reply: (words.len() > least).then_some(words[3]),
            size_bytes: decimal(words[words.len() - 1]),
            is_with_headers,
        })
    }
}

fn decimal(digits: &[u8]) -> usize {
    let digits = digits.iter().filter(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum, byte| sum * 10 + usize::from(byte - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen {
        delivered: Vec<Vec<u8>>,
        answered_count: usize,
    }

    impl Sink for Seen {
        fn delivered(&mut self, _subscriber: usize, payload: &[u8]) {
            self.delivered.push(payload.to_vec());
        }
        fn answered(&mut self, count: usize) {
            self.answered_count += count;
        }
    }

    #[test]
    fn wildcards_are_translated() {
        assert_eq!(to_subject("load/+/a/*"), "load.*.a.>");
    }

    #[test]
    fn a_delivery_in_pieces_is_taken_once_and_acknowledged() {
        let subscription = Subscription {
            subscriber: 0,
            filter: "a/*".into(),
            name: "s0".into(),
        };
        let mut session = Nats::subscriber(vec![subscription], true);
        let (mut output, mut seen) = (Vec::new(), Seen::default());
        let input = b"MSG a.b 1 $JS.ACK.s.c.1 5\r\nhe\nlo\r\n";
        for end in [10, 30, input.len() - 1] {
            let done = session.receive(&input[..end], &mut output, &mut seen);
            assert_eq!(done.unwrap(), 0);
        }
        let done = session.receive(input, &mut output, &mut seen);
        assert_eq!(done.unwrap(), input.len());
        assert_eq!(seen.delivered, [b"he\nlo".to_vec()]);
        assert_eq!(output, b"PUB $JS.ACK.s.c.1 4\r\n+ACK\r\n");
    }

    #[test]
    fn answers_are_counted_and_errors_are_told() {
        let mut session = Nats::publisher("p0", &["a".into()]);
        let (mut output, mut seen) = (Vec::new(), Seen::default());
        let input = b"MSG _INBOX.p0 1 24\r\n{\"stream\":\"a\", \"seq\":12}\r\n";
        session.receive(input, &mut output, &mut seen).unwrap();
        assert_eq!(seen.answered_count, 1);
        let input = b"MSG _INBOX.p0 1 12\r\n{\"error\":\"a\"}\r\n";
        assert!(session.receive(input, &mut output, &mut seen).is_err());
    }
}

//! MQTT 3.1.1, QoS 1 in both directions.

use crate::session::{Failure, Session, Sink, Subscription};

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const QOS_1: u8 = 0x02;
const RETAIN: u8 = 0x01;
const CLEAN_SESSION: u8 = 0x02;
const KEEP_ALIVE_S: u16 = 0;
/// Filters asked for in one packet.
const FILTERS_MAX: usize = 100;

/// One connection has one queue at an MQTT broker, so that it is one subscriber.
pub struct Mqtt {
    client: String,
    topics: Vec<String>,
    subscriptions: Vec<Subscription>,
    is_retained: bool,
    is_connected: bool,
    asked_count: usize,
    effective_count: usize,
    packet: u16,
}

impl Mqtt {
    pub fn publisher(client: &str, topics: &[String], is_retained: bool) -> Self {
        Mqtt {
            client: client.to_owned(),
            topics: topics.to_vec(),
            subscriptions: Vec::new(),
            is_retained,
            is_connected: false,
            asked_count: 0,
            effective_count: 0,
            packet: 0,
        }
    }

    pub fn subscriber(client: &str, subscriptions: Vec<Subscription>) -> Self {
        Mqtt {
            subscriptions,
            ..Mqtt::publisher(client, &[], false)
        }
    }

    fn next_packet(&mut self) -> [u8; 2] {
        self.packet = self.packet.checked_add(1).unwrap_or(1);
        self.packet.to_be_bytes()
    }

    fn ask(&mut self, output: &mut Vec<u8>) {
        let wanted = self.subscriptions.iter().skip(self.asked_count);
        let filters: Vec<String> = wanted
            .take(FILTERS_MAX)
            .map(|one| one.filter.replace('*', "#"))
            .collect();
        if filters.is_empty() {
            return;
        }
        self.asked_count += filters.len();
        let mut body = self.next_packet().to_vec();
        for filter in filters {
            put_text(&filter, &mut body);
            body.push(1);
        }
        put_packet(SUBSCRIBE, &[&body], output);
    }

    fn take_packet(
        &mut self,
        kind: u8,
        body: &[u8],
        output: &mut Vec<u8>,
        sink: &mut dyn Sink,
    ) -> Result<(), Failure> {
        let short = || Failure::from("MQTT: a packet is too short");
        match kind & 0xf0 {
            CONNACK => {
                if *body.get(1).ok_or_else(short)? != 0 {
                    return Err(format!("MQTT: the broker refused with code {}", body[1]).into());
                }
                self.is_connected = true;
                self.ask(output);
            }
            SUBACK => {
                let codes = body.get(2..).ok_or_else(short)?;
                if codes.contains(&0x80) {
                    return Err("MQTT: the broker refused a subscription".into());
                }
                self.effective_count += codes.len();
                self.ask(output);
            }
            PUBACK => sink.answered(1),
            PUBLISH => {
                let topic_bytes = body.get(..2).ok_or_else(short)?;
                let topic_end =
                    2 + usize::from(u16::from_be_bytes([topic_bytes[0], topic_bytes[1]]));
                let mut payload = body.get(topic_end..).ok_or_else(short)?;
                if kind & QOS_1 != 0 {
                    let packet = payload.get(..2).ok_or_else(short)?;
                    put_packet(PUBACK, &[packet], output);
                    payload = &payload[2..];
                }
                let whose = self.subscriptions.first().map_or(0, |one| one.subscriber);
                sink.delivered(whose, payload);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Session for Mqtt {
    fn open(&mut self, output: &mut Vec<u8>) {
        let mut body = Vec::new();
        put_text("MQTT", &mut body);
        body.extend_from_slice(&[4, CLEAN_SESSION]);
        body.extend_from_slice(&KEEP_ALIVE_S.to_be_bytes());
        put_text(&self.client, &mut body);
        put_packet(CONNECT, &[&body], output);
    }

    fn receive(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        sink: &mut dyn Sink,
    ) -> Result<usize, Failure> {
        let mut done = 0;
        while let Some((head_bytes, size_bytes)) = head(&input[done..])? {
            let begin = done + head_bytes;
            let Some(body) = input.get(begin..begin + size_bytes) else {
                break;
            };
            self.take_packet(input[done], body, output, sink)?;
            done = begin + size_bytes;
        }
        Ok(done)
    }

    fn is_ready(&self) -> bool {
        self.is_connected && self.effective_count == self.subscriptions.len()
    }

    fn publish(&mut self, topic: usize, payload: &[u8], output: &mut Vec<u8>) {
        let packet = self.next_packet();
        let mut name = Vec::new();
        put_text(&self.topics[topic], &mut name);
        let retain = if self.is_retained { RETAIN } else { 0 };
        put_packet(PUBLISH | QOS_1 | retain, &[&name, &packet, payload], output);
    }
}

/// Returns the size of a packet's head and of its body, once the head is complete.
fn head(input: &[u8]) -> Result<Option<(usize, usize)>, Failure> {
    let mut size_bytes = 0;
    for (index, byte) in input.iter().skip(1).take(4).enumerate() {
        size_bytes |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((index + 2, size_bytes)));
        }
    }
    if input.len() > 4 {
        return Err("MQTT: a packet's length is not understood".into());
    }
    Ok(None)
}

fn put_packet(kind: u8, parts: &[&[u8]], output: &mut Vec<u8>) {
    output.push(kind);
    let size_bytes = parts.iter().map(|part| part.len()).sum::<usize>();
    super::protobuf::put_varint(size_bytes as u64, output); // the same form
    for part in parts {
        output.extend_from_slice(part);
    }
}

fn put_text(text: &str, output: &mut Vec<u8>) {
    output.extend_from_slice(&(text.len() as u16).to_be_bytes());
    output.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Seen(Vec<Vec<u8>>, usize);

    impl Sink for Seen {
        fn delivered(&mut self, _subscriber: usize, payload: &[u8]) {
            self.0.push(payload.to_vec());
        }
        fn answered(&mut self, count: usize) {
            self.1 += count;
        }
    }

    #[test]
    fn what_a_publisher_writes_a_subscriber_takes_and_acknowledges() {
        let subscription = Subscription {
            subscriber: 0,
            filter: "a/*".into(),
            name: "s0".into(),
        };
        let mut publisher = Mqtt::publisher("p", &["a/b".into()], false);
        let mut subscriber = Mqtt::subscriber("s", vec![subscription]);
        let (mut wire, mut answers, mut seen) = (Vec::new(), Vec::new(), Seen(Vec::new(), 0));
        publisher.publish(0, &[7; 300], &mut wire);
        assert_eq!(
            subscriber
                .receive(&wire[..100], &mut answers, &mut seen)
                .unwrap(),
            0
        );
        let done = subscriber.receive(&wire, &mut answers, &mut seen).unwrap();
        assert_eq!((done, seen.0.len()), (wire.len(), 1));
        assert_eq!(seen.0[0], [7; 300]);
        let mut none = Vec::new();
        publisher.receive(&answers, &mut none, &mut seen).unwrap();
        assert_eq!(seen.1, 1);
    }

    #[test]
    fn it_is_ready_when_every_filter_is_in_effect() {
        let subscriptions = (0..FILTERS_MAX + 1)
            .map(|index| Subscription {
                subscriber: 0,
                filter: format!("a/{index}/*"),
                name: String::new(),
            })
            .collect();
        let mut session = Mqtt::subscriber("s", subscriptions);
        let (mut output, mut seen) = (Vec::new(), Seen(Vec::new(), 0));
        let mut take = |input: &[u8]| session.receive(input, &mut output, &mut seen).unwrap();
        take(&[CONNACK, 2, 0, 0]);
        let mut granted = vec![SUBACK, 102, 0, 1];
        granted.extend([1; FILTERS_MAX]);
        take(&granted);
        take(&[SUBACK, 3, 0, 2, 1]);
        assert!(session.is_ready());
    }
}

//! WAVEMQ's local API: Publish or PublishStream, Subscribe or Consume (`proto/mqpb.proto`).

use std::collections::HashMap;

use super::http2::{Event, Http2, StreamId};
use super::protobuf::{put_bytes, put_head, put_number, Fields, Value};
use crate::session::{Failure, Session, Sink, Subscription};

/// Subscriptions asked for at one time on one connection.
const OPENING_MAX: usize = 64;
const EXPIRY_S: u64 = 600;
/// Deliveries without an acknowledgement.
const CREDIT: u64 = 1024;
/// Of frames that are written together, as the SDK has it.
const FRAMES_BYTES_MAX: usize = 256 << 10;
const FRAMES_COUNT_MAX: usize = 128;

/// Who asks, and about which namespace; the same for all connections of a run.
#[derive(Clone)]
pub struct Caller {
    /// The content of an entity secret's file; never shown.
    pub secret: Vec<u8>,
    pub namespace: Vec<u8>,
}

impl Caller {
    /// The fields that Publish, Subscribe and Consume begin with.
    fn to_fields(&self) -> Vec<u8> {
        let mut entity_secret = Vec::new();
        put_bytes(1, &self.secret, &mut entity_secret);
        let mut perspective = Vec::new();
        put_bytes(1, &entity_secret, &mut perspective);
        let mut fields = Vec::new();
        put_bytes(1, &perspective, &mut fields);
        put_bytes(2, &self.namespace, &mut fields);
        fields
    }
}

/// What a publisher wants of each message beyond its delivery.
#[derive(Clone, Default)]
pub struct PublishOptions {
    pub is_persisted: bool,
    /// Levels of the partition for which payloads are encrypted end to end; none for none.
    pub partition: Vec<String>,
}

impl PublishOptions {
    fn to_fields(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        for level in &self.partition {
            put_bytes(5, level.as_bytes(), &mut fields);
        }
        if self.is_persisted {
            put_number(6, 1, &mut fields);
        }
        fields
    }
}

/// Appends a payload object, the field `content` of a publish.
fn put_payload(payload: &[u8], output: &mut Vec<u8>) {
    const SCHEMA: &[u8] = b"text";
    let mut head = Vec::with_capacity(16);
    put_bytes(1, SCHEMA, &mut head);
    put_head(2, payload.len(), &mut head);
    put_head(4, head.len() + payload.len(), output);
    output.extend_from_slice(&head);
    output.extend_from_slice(payload);
}

/// Each message is a call of its own and carries the caller's secret, as programs of the original do it.
pub struct UnaryPublisher {
    http2: Http2,
    is_begun: bool,
    /// For each topic, what its requests begin with.
    openings: Vec<Vec<u8>>,
    options: Vec<u8>,
    content: Vec<u8>,
}

impl UnaryPublisher {
    pub fn new(
        address: &str,
        caller: &Caller,
        topics: &[String],
        options: &PublishOptions,
    ) -> Self {
        let opening = |topic: &String| {
            let mut fields = caller.to_fields();
            put_bytes(3, topic.as_bytes(), &mut fields);
            fields
        };
        UnaryPublisher {
            http2: Http2::new("/mqpb.WAVEMQ/Publish", address),
            is_begun: false,
            openings: topics.iter().map(opening).collect(),
            options: options.to_fields(),
            content: Vec::new(),
        }
    }
}

impl Session for UnaryPublisher {
    fn open(&mut self, output: &mut Vec<u8>) {
        self.http2.open(output);
    }

    fn receive(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        sink: &mut dyn Sink,
    ) -> Result<usize, Failure> {
        // Whatever comes first are the server's settings.
        self.is_begun |= !input.is_empty();
        self.http2.receive(input, output, |_, event| match event {
            Event::Message(response) => {
                refuse_error(response, 1, "Publish")?;
                sink.answered(1);
                Ok(())
            }
            Event::Ended { has_message: false } => Err("Publish ended without an answer".into()),
            Event::Headers | Event::Ended { .. } => Ok(()),
        })
    }

    fn is_ready(&self) -> bool {
        self.is_begun
    }

    fn publish(&mut self, topic: usize, payload: &[u8], output: &mut Vec<u8>) {
        self.content.clear();
        put_payload(payload, &mut self.content);
        let id = self.http2.call(output);
        let parts = [&self.openings[topic][..], &self.content, &self.options];
        self.http2.send(id, &parts, true, output);
    }
}

/// One call carries all messages; those that are there together are written together.
pub struct StreamPublisher {
    http2: Http2,
    stream: StreamId,
    opening: Vec<u8>,
    is_open: bool,
    topics: Vec<Vec<u8>>,
    options: Vec<u8>,
    sequence: u64,
    frames: Vec<u8>,
    frame_count: usize,
    frame: Vec<u8>,
}

impl StreamPublisher {
    pub fn new(
        address: &str,
        caller: &Caller,
        topics: &[String],
        options: &PublishOptions,
    ) -> Self {
        let mut opening = Vec::new();
        put_bytes(1, &caller.to_fields(), &mut opening);
        let topic_field = |topic: &String| {
            let mut field = Vec::new();
            put_bytes(3, topic.as_bytes(), &mut field);
            field
        };
        StreamPublisher {
            http2: Http2::new("/mqpb.WAVEMQ/PublishStream", address),
            stream: 0,
            opening,
            is_open: false,
            topics: topics.iter().map(topic_field).collect(),
            options: options.to_fields(),
            sequence: 0,
            frames: Vec::new(),
            frame_count: 0,
            frame: Vec::new(),
        }
    }
}

impl Session for StreamPublisher {
    fn open(&mut self, output: &mut Vec<u8>) {
        self.http2.open(output);
        self.stream = self.http2.call(output);
        self.http2
            .send(self.stream, &[&self.opening], false, output);
    }

    fn receive(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        sink: &mut dyn Sink,
    ) -> Result<usize, Failure> {
        let is_open = &mut self.is_open;
        self.http2.receive(input, output, |_, event| {
            match event {
                Event::Headers => *is_open = true,
                Event::Message(answers) => sink.answered(accepted_count(answers)?),
                Event::Ended { .. } => return Err("the router ended PublishStream".into()),
            }
            Ok(())
        })
    }

    fn is_ready(&self) -> bool {
        self.is_open
    }

    fn publish(&mut self, topic: usize, payload: &[u8], output: &mut Vec<u8>) {
        self.sequence += 1;
        self.frame.clear();
        self.frame.extend_from_slice(&self.topics[topic]);
        put_payload(payload, &mut self.frame);
        self.frame.extend_from_slice(&self.options);
        put_number(9, self.sequence, &mut self.frame);
        put_bytes(2, &self.frame, &mut self.frames);
        self.frame_count += 1;
        if self.frame_count == FRAMES_COUNT_MAX || self.frames.len() >= FRAMES_BYTES_MAX {
            self.flush(output);
        }
    }

    fn flush(&mut self, output: &mut Vec<u8>) {
        if self.frame_count > 0 {
            self.http2.send(self.stream, &[&self.frames], false, output);
            self.frames.clear();
            self.frame_count = 0;
        }
    }
}

fn accepted_count(answers: &[u8]) -> Result<usize, Failure> {
    let mut count = 0;
    let mut fields = Fields(answers);
    while let Some((field, value)) = fields.next()? {
        match (field, value) {
            (1, Value::Number(_)) => count += 1,
            (1, Value::Bytes(packed)) => {
                let mut numbers = Fields(packed);
                while !numbers.0.is_empty() {
                    numbers.varint()?;
                    count += 1;
                }
            }
            (2, Value::Bytes(refusal)) => refuse_error(refusal, 2, "PublishStream")?,
            _ => {}
        }
    }
    refuse_error(answers, 3, "PublishStream")?;
    Ok(count)
}

/// Subscriptions of one connection, by Subscribe or by Consume.
pub struct Subscriber {
    http2: Http2,
    fields: Vec<u8>,
    is_acknowledging: bool,
    subscriptions: Vec<Subscription>,
    asked_count: usize,
    effective_count: usize,
    /// Calls, and whose they are.
    subscribers: HashMap<StreamId, usize>,
    /// Of calls that have deliveries which are not acknowledged yet: packed indexes.
    unacknowledged: HashMap<StreamId, Vec<u8>>,
}

impl Subscriber {
    pub fn new(
        address: &str,
        caller: &Caller,
        subscriptions: Vec<Subscription>,
        is_acknowledging: bool,
    ) -> Self {
        let call = if is_acknowledging {
            "Consume"
        } else {
            "Subscribe"
        };
        Subscriber {
            http2: Http2::new(&format!("/mqpb.WAVEMQ/{call}"), address),
            fields: caller.to_fields(),
            is_acknowledging,
            subscriptions,
            asked_count: 0,
            effective_count: 0,
            subscribers: HashMap::new(),
            unacknowledged: HashMap::new(),
        }
    }

    fn ask(&mut self, output: &mut Vec<u8>) {
        while self.asked_count < self.subscriptions.len()
            && self.asked_count < self.effective_count + OPENING_MAX
        {
            let wanted = &self.subscriptions[self.asked_count];
            let mut subscribe = self.fields.clone();
            put_bytes(3, wanted.filter.as_bytes(), &mut subscribe);
            put_bytes(5, wanted.name.as_bytes(), &mut subscribe);
            put_number(6, EXPIRY_S, &mut subscribe);
            let stream = self.http2.call(output);
            self.subscribers.insert(stream, wanted.subscriber);
            if self.is_acknowledging {
                let mut request = Vec::new();
                put_bytes(1, &subscribe, &mut request);
                put_number(2, CREDIT, &mut request);
                self.http2.send(stream, &[&request], false, output);
            } else {
                self.http2.send(stream, &[&subscribe], true, output);
            }
            self.asked_count += 1;
        }
    }
}

impl Session for Subscriber {
    fn open(&mut self, output: &mut Vec<u8>) {
        self.http2.open(output);
        self.ask(output);
    }

    fn receive(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        sink: &mut dyn Sink,
    ) -> Result<usize, Failure> {
        let Subscriber {
            http2,
            subscribers,
            effective_count,
            unacknowledged,
            is_acknowledging,
            ..
        } = self;
        let done = http2.receive(input, output, |stream, event| {
            let whose = *subscribers
                .get(&stream)
                .ok_or_else(|| Failure::from("an answer to a call that nobody made"))?;
            match event {
                Event::Headers => *effective_count += 1,
                Event::Message(response) if *is_acknowledging => {
                    let indexes = unacknowledged.entry(stream).or_default();
                    take_deliveries(response, whose, indexes, sink)?;
                }
                Event::Message(response) => {
                    refuse_error(response, 1, "Subscribe")?;
                    take_message(Fields(response).find(2)?, whose, sink)?;
                }
                Event::Ended { .. } => return Err("the router ended a subscription".into()),
            }
            Ok(())
        })?;
        for (stream, indexes) in &mut *unacknowledged {
            if !indexes.is_empty() {
                let mut request = Vec::with_capacity(indexes.len() + 8);
                put_bytes(3, indexes, &mut request);
                http2.send(*stream, &[&request], false, output);
                indexes.clear();
            }
        }
        self.ask(output);
        Ok(done)
    }

    fn is_ready(&self) -> bool {
        self.effective_count == self.subscriptions.len()
    }

    fn publish(&mut self, _topic: usize, _payload: &[u8], _output: &mut Vec<u8>) {
        unreachable!("a subscribing connection does not publish");
    }
}

/// Takes the deliveries of one response of Consume.
fn take_deliveries(
    response: &[u8],
    whose: usize,
    indexes: &mut Vec<u8>,
    sink: &mut dyn Sink,
) -> Result<(), Failure> {
    refuse_error(response, 1, "Consume")?;
    let mut fields = Fields(response);
    while let Some((field, value)) = fields.next()? {
        let (2, Value::Bytes(delivery)) = (field, value) else {
            continue;
        };
        let mut index = 0;
        let mut message = None;
        let mut parts = Fields(delivery);
        while let Some(part) = parts.next()? {
            match part {
                (1, Value::Number(number)) => index = number,
                (3, Value::Bytes(bytes)) => message = Some(bytes),
                _ => {}
            }
        }
        take_message(message, whose, sink)?;
        super::protobuf::put_varint(index, indexes);
    }
    Ok(())
}

/// Finds the content of a `Message`: tbs, payload, content.
fn take_message(message: Option<&[u8]>, whose: usize, sink: &mut dyn Sink) -> Result<(), Failure> {
    let mut found = message;
    for field in [3, 5, 2] {
        found = match found {
            Some(bytes) => Fields(bytes).find(field)?,
            None => return Err("a delivery without a payload".into()),
        };
    }
    let payload = found.ok_or_else(|| Failure::from("a delivery without content"))?;
    sink.delivered(whose, payload);
    Ok(())
}

/// Fails where a response has an error in this field.
fn refuse_error(response: &[u8], field: u32, call: &str) -> Result<(), Failure> {
    let Some(error) = Fields(response).find(field)? else {
        return Ok(());
    };
    let text = Fields(error).find(2)?.unwrap_or_default();
    Err(format!("{call} was refused: {}", String::from_utf8_lossy(text)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Vec<(usize, Vec<u8>)>);

    impl Sink for Seen {
        fn delivered(&mut self, subscriber: usize, payload: &[u8]) {
            self.0.push((subscriber, payload.to_vec()));
        }
        fn answered(&mut self, _count: usize) {}
    }

    fn message(payload: &[u8]) -> Vec<u8> {
        let nested = [2, 5, 3].iter().fold(payload.to_vec(), |inner, field| {
            let mut outer = Vec::new();
            put_bytes(*field, &inner, &mut outer);
            outer
        });
        nested
    }

    #[test]
    fn the_payload_of_a_delivery_is_found() {
        let mut seen = Seen::default();
        take_message(Some(&message(b"content")), 4, &mut seen).unwrap();
        assert_eq!(seen.0, [(4, b"content".to_vec())]);
    }

    #[test]
    fn deliveries_are_acknowledged_by_their_indexes() {
        let mut response = Vec::new();
        for index in [5, 300] {
            let mut delivery = Vec::new();
            put_number(1, index, &mut delivery);
            put_bytes(3, &message(b"content"), &mut delivery);
            put_bytes(2, &delivery, &mut response);
        }
        let (mut indexes, mut seen) = (Vec::new(), Seen::default());
        take_deliveries(&response, 0, &mut indexes, &mut seen).unwrap();
        assert_eq!(indexes, [5, 0xac, 2]);
        assert_eq!(seen.0.len(), 2);
    }

    #[test]
    fn answers_are_counted_packed_or_not_and_refusals_fail() {
        let mut answers = Vec::new();
        put_bytes(1, &[1, 2, 0xac, 2], &mut answers);
        put_number(1, 7, &mut answers);
        assert_eq!(accepted_count(&answers).unwrap(), 4);
        let mut error = Vec::new();
        put_bytes(2, b"no", &mut error);
        let mut refusal = Vec::new();
        put_bytes(2, &error, &mut refusal);
        put_bytes(2, &refusal, &mut answers);
        assert!(accepted_count(&answers).unwrap_err().0.ends_with("no"));
    }
}

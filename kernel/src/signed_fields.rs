//! The signed fields of a message: read, composed as protobuf writes them, digested (wavemq.md 4).
//!
//! Mechanical only: whether anything here may pass is decided elsewhere.

use sha3::{Digest, Sha3_256};

use crate::protobuf::{Field, Fields, Put};

/// The signed fields of a message.
#[derive(Default)]
pub struct SignedFields<'a> {
    pub source: &'a [u8],
    pub location: Option<&'a [u8]>,
    pub namespace: &'a [u8],
    pub topic: &'a str,
    pub payload: Vec<(&'a str, &'a [u8])>,
    pub origin_router: &'a str,
    pub jedi_timestamp: Option<i64>,
    /// What stands before the payload.
    pub stem: &'a [u8],
}

fn text(content: &[u8]) -> Option<&str> {
    std::str::from_utf8(content).ok()
}

/// Returns a location's URL and version, if there is nothing else.
fn location(content: &[u8]) -> Option<(&str, i32)> {
    let mut fields = Fields::of(content);
    let (mut url, mut version) = ("", 0);
    while let Some((number, field)) = fields.next_field()? {
        match (number, field) {
            (1, Field::Bytes(content)) => url = text(content)?,
            (2, Field::Varint(value)) => version = value as i32,
            _ => return None,
        }
    }
    Some((url, version))
}

fn payload_object(content: &[u8]) -> Option<(&str, &[u8])> {
    let mut fields = Fields::of(content);
    let (mut schema, mut object) = ("", &[][..]);
    while let Some((number, field)) = fields.next_field()? {
        match (number, field) {
            (1, Field::Bytes(content)) => schema = text(content)?,
            (2, Field::Bytes(content)) => object = content,
            _ => return None,
        }
    }
    Some((schema, object))
}

fn jedi_timestamp(content: &[u8]) -> Option<i64> {
    let mut fields = Fields::of(content);
    let mut timestamp = 0;
    while let Some((number, field)) = fields.next_field()? {
        match (number, field) {
            (1, Field::Varint(value)) => timestamp = value as i64,
            _ => return None,
        }
    }
    Some(timestamp)
}

impl<'a> SignedFields<'a> {
    /// Returns the fields of a `MessageTBS`; none where there is anything else. Whether they stand there canonically,
    /// composing them tells.
    pub fn of(tbs: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::of(tbs);
        let mut signed = Self::default();
        while let Some((number, field)) = fields.next_field()? {
            match (number, field) {
                (1, Field::Bytes(content)) => signed.source = content,
                (2, Field::Bytes(content)) => signed.location = Some(content),
                (3, Field::Bytes(content)) => signed.namespace = content,
                (4, Field::Bytes(content)) => signed.topic = text(content)?,
                (5, Field::Bytes(content)) => signed.payload.push(payload_object(content)?),
                (6, Field::Bytes(content)) => signed.origin_router = text(content)?,
                (7, Field::Bytes(content)) => {
                    signed.jedi_timestamp = Some(jedi_timestamp(content)?);
                }
                _ => return None,
            }
            if number <= 4 {
                signed.stem = &tbs[..tbs.len() - fields.rest_bytes()];
            }
        }
        Some(signed)
    }

    /// Returns the fields as protobuf writes them.
    pub fn compose(&self, size: usize) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(size);
        out.text_field(1, self.source);
        if let Some(content) = self.location {
            let (url, version) = location(content)?;
            let mut inner = Vec::with_capacity(content.len());
            inner.text_field(1, url.as_bytes());
            // A negative number stands as one of 64 bits.
            inner.varint_field(2, i64::from(version) as u64);
            out.bytes_field(2, &inner);
        }
        out.text_field(3, self.namespace);
        out.text_field(4, self.topic.as_bytes());
        for (schema, content) in &self.payload {
            let mut object = Vec::with_capacity(schema.len() + content.len() + 16);
            object.text_field(1, schema.as_bytes());
            object.text_field(2, content);
            out.bytes_field(5, &object);
        }
        out.text_field(6, self.origin_router.as_bytes());
        if let Some(timestamp) = self.jedi_timestamp {
            let mut inner = Vec::new();
            inner.varint_field(1, timestamp as u64);
            out.bytes_field(7, &inner);
        }
        Some(out)
    }

    /// Returns what the source of the message signs (wavemq.md 4).
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha3_256::new();
        hash.update(self.source);
        hash.update(self.namespace);
        hash.update(self.topic);
        for (schema, content) in &self.payload {
            hash.update(schema);
            hash.update(content);
        }
        hash.update(self.origin_router);
        if let Some(timestamp) = self.jedi_timestamp {
            hash.update(timestamp.to_le_bytes());
        }
        hash.finalize().into()
    }
}

//! Messages of gRPC inside the bytes of a stream: five bytes of prefix, then the message.
//!
//! Bytes from outside are cut here, and inflated, under one limit: a prefix that announces more is refused before
//! anything is kept for it, and what inflates to more is refused at the first byte beyond.

use std::io::{Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::Compression;

pub const PREFIX_BYTES: usize = 5;
/// Below that, what gzip saves is not worth its work: half of a message is hashes and a signature.
const COMPRESSED_BYTES_MIN: usize = 1024;

/// Codes of gRPC that the transport itself answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    Cancelled = 1,
    Unknown = 2,
    DeadlineExceeded = 4,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

/// Why a stream of bytes is refused: a code and a sentence.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    pub text: String,
}

impl Refusal {
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

/// How the messages of one direction of a call may be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    /// Returns the encoding that a `grpc-encoding` header names; none means identity.
    pub fn named(name: Option<&[u8]>) -> Result<Self, Refusal> {
        match name {
            None | Some(b"identity") => Ok(Self::Identity),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(_) => Err(Refusal::new(
                Code::Unimplemented,
                "messages may be compressed with gzip, or not at all",
            )),
        }
    }
}

/// Cuts messages out of bytes as they arrive.
pub struct Cutter {
    encoding: Encoding,
    message_bytes_max: usize,
    held: BytesMut,
}

impl Cutter {
    pub fn new(encoding: Encoding, message_bytes_max: usize) -> Self {
        Self {
            encoding,
            message_bytes_max,
            held: BytesMut::new(),
        }
    }

    /// Bytes that are here and not yet a whole message.
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Takes bytes, and pushes the messages that they complete.
    pub fn take(&mut self, mut chunk: Bytes, mut push: impl FnMut(Bytes)) -> Result<(), Refusal> {
        if self.held.is_empty() {
            // Most messages come in one piece, and are not copied.
            while let Some(size) = self.announced(&chunk)? {
                if chunk.len() - PREFIX_BYTES < size {
                    break;
                }
                let is_compressed = chunk[0] == 1;
                chunk.advance(PREFIX_BYTES);
                push(self.inflated(is_compressed, chunk.split_to(size))?);
            }
        }
        self.held.extend_from_slice(&chunk);
        while let Some(size) = self.announced(&self.held)? {
            if self.held.len() - PREFIX_BYTES < size {
                break;
            }
            let is_compressed = self.held[0] == 1;
            self.held.advance(PREFIX_BYTES);
            let message = self.held.split_to(size).freeze();
            push(self.inflated(is_compressed, message)?);
        }
        Ok(())
    }

    /// Returns the size in the prefix, if it is whole and allowed.
    fn announced(&self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let Some(prefix) = bytes.get(..PREFIX_BYTES) else {
            return Ok(None);
        };
        match (prefix[0], self.encoding) {
            (0, _) | (1, Encoding::Gzip) => {}
            (1, Encoding::Identity) => {
                return Err(Refusal::new(
                    Code::Internal,
                    "a message is marked as compressed, and no encoding was named",
                ))
            }
            _ => {
                return Err(Refusal::new(
                    Code::Internal,
                    "the prefix of a message is malformed",
                ))
            }
        }
        let size = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if size > self.message_bytes_max {
            return Err(self.too_large(&format!("{size}")));
        }
        Ok(Some(size))
    }

    fn inflated(&self, is_compressed: bool, message: Bytes) -> Result<Bytes, Refusal> {
        if !is_compressed {
            return Ok(message);
        }
        let mut content = Vec::new();
        let limit = self.message_bytes_max as u64 + 1;
        GzDecoder::new(&message[..])
            .take(limit)
            .read_to_end(&mut content)
            .map_err(|_| Refusal::new(Code::Internal, "a message is not gzip, as it says"))?;
        if content.len() > self.message_bytes_max {
            return Err(self.too_large("more, inflated,"));
        }
        Ok(content.into())
    }

    fn too_large(&self, size: &str) -> Refusal {
        Refusal::new(
            Code::ResourceExhausted,
            format!(
                "Received message larger than max ({size} vs. {})",
                self.message_bytes_max
            ),
        )
    }
}

/// Appends a message with its prefix.
pub fn put(out: &mut BytesMut, message: &[u8], encoding: Encoding) {
    if encoding == Encoding::Gzip && message.len() >= COMPRESSED_BYTES_MIN {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory does not fail; if it did, the message would go as it is.
        if let Ok(content) = encoder.write_all(message).and_then(|()| encoder.finish()) {
            if content.len() < message.len() {
                put_prefixed(out, 1, &content);
                return;
            }
        }
    }
    put_prefixed(out, 0, message);
}

fn put_prefixed(out: &mut BytesMut, flag: u8, content: &[u8]) {
    out.reserve(PREFIX_BYTES + content.len());
    out.extend_from_slice(&[flag]);
    out.extend_from_slice(&(content.len() as u32).to_be_bytes());
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(cutter: &mut Cutter, chunks: &[&[u8]]) -> Result<Vec<Bytes>, Refusal> {
        let mut messages = Vec::new();
        for chunk in chunks {
            cutter.take(Bytes::copy_from_slice(chunk), |one| messages.push(one))?;
        }
        Ok(messages)
    }

    fn framed(messages: &[&[u8]], encoding: Encoding) -> Vec<u8> {
        let mut out = BytesMut::new();
        for message in messages {
            put(&mut out, message, encoding);
        }
        out.to_vec()
    }

    #[test]
    fn messages_come_out_however_the_bytes_arrive() {
        let large = vec![7; 3000];
        let messages: Vec<&[u8]> = vec![b"", b"a", &large, b"bc"];
        for encoding in [Encoding::Identity, Encoding::Gzip] {
            let bytes = framed(&messages, encoding);
            for size in [1, 2, 5, 7, 1000, bytes.len()] {
                let mut cutter = Cutter::new(encoding, 4096);
                let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
                assert_eq!(cut(&mut cutter, &chunks).unwrap(), messages);
                assert_eq!(cutter.held_bytes(), 0);
            }
        }
    }

    #[test]
    fn what_is_too_large_is_refused_by_its_prefix() {
        let mut cutter = Cutter::new(Encoding::Identity, 10);
        let refusal = cut(&mut cutter, &[&[0, 0, 0, 0, 11]]).unwrap_err();
        assert_eq!(refusal.code, Code::ResourceExhausted);
    }

    #[test]
    fn what_inflates_to_too_much_is_refused() {
        let bytes = framed(&[&vec![0; 100_000]], Encoding::Gzip);
        assert!(bytes.len() < 1000);
        let mut cutter = Cutter::new(Encoding::Gzip, 99_999);
        assert_eq!(
            cut(&mut cutter, &[&bytes]).unwrap_err().code,
            Code::ResourceExhausted
        );
    }

    #[test]
    fn flags_that_lie_are_refused() {
        for (encoding, bytes) in [
            (Encoding::Identity, vec![1, 0, 0, 0, 1, 0]),
            (Encoding::Gzip, vec![2, 0, 0, 0, 1, 0]),
            (Encoding::Gzip, vec![1, 0, 0, 0, 1, 0]),
        ] {
            let mut cutter = Cutter::new(encoding, 10);
            assert_eq!(
                cut(&mut cutter, &[&bytes]).unwrap_err().code,
                Code::Internal
            );
        }
        assert!(Encoding::named(Some(b"br")).is_err());
    }
}

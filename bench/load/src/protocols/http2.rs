//! The client's end of one HTTP/2 connection that makes calls of one gRPC method, without its socket.
//!
//! It reads no headers (HPACK): a call that succeeds is known by its message, and one that ends without a message
//! has failed. Everything that the server may do to the flow of bytes is honoured.

use std::collections::{HashMap, VecDeque};

use crate::session::Failure;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD_BYTES: usize = 9;
const MESSAGE_HEAD_BYTES: usize = 5;
/// Of what may come before we say that we took it: on one stream, and on all.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// What HTTP/2 begins with, until the server says otherwise.
const WINDOW_BYTES_INITIAL: i64 = 65_535;
const FRAME_BYTES_INITIAL: usize = 16_384;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const SETTING_WINDOW: u16 = 4;
const SETTING_FRAME: u16 = 5;

pub type StreamId = u32;

/// What the server did with a call.
pub enum Event<'a> {
    Headers,
    Message(&'a [u8]),
    /// The call is over, with or without messages.
    Ended {
        has_message: bool,
    },
}

#[derive(Default)]
struct Stream {
    window_bytes: i64,
    /// What came of a message that is not complete.
    partial: Vec<u8>,
    taken_bytes: u32,
    has_message: bool,
}

struct Waiting {
    stream: StreamId,
    content: Vec<u8>,
    is_last: bool,
}

pub struct Http2 {
    path: String,
    authority: String,
    streams: HashMap<StreamId, Stream>,
    next_stream: StreamId,
    window_bytes: i64,
    stream_window_bytes: i64,
    frame_bytes_max: usize,
    /// What the windows have no room for; a call's bytes stay in order.
    waiting: VecDeque<Waiting>,
    taken_bytes: u32,
}

impl Http2 {
    pub fn new(path: &str, authority: &str) -> Self {
        Http2 {
            path: path.to_owned(),
            authority: authority.to_owned(),
            streams: HashMap::new(),
            next_stream: 1,
            window_bytes: WINDOW_BYTES_INITIAL,
            stream_window_bytes: WINDOW_BYTES_INITIAL,
            frame_bytes_max: FRAME_BYTES_INITIAL,
            waiting: VecDeque::new(),
            taken_bytes: 0,
        }
    }

    pub fn open(&mut self, output: &mut Vec<u8>) {
        output.extend_from_slice(PREFACE);
        put_frame_head(6, SETTINGS, 0, 0, output);
        output.extend_from_slice(&SETTING_WINDOW.to_be_bytes());
        output.extend_from_slice(&STREAM_WINDOW_BYTES.to_be_bytes());
        put_window_update(0, CONNECTION_WINDOW_BYTES - 65_535, output);
    }

    /// Begins a call.
    pub fn call(&mut self, output: &mut Vec<u8>) -> StreamId {
        let id = self.next_stream;
        self.next_stream += 2;
        let block = self.header_block(id == 1);
        put_frame_head(block.len(), HEADERS, END_HEADERS, id, output);
        output.extend_from_slice(&block);
        let stream = Stream {
            window_bytes: self.stream_window_bytes,
            ..Stream::default()
        };
        self.streams.insert(id, stream);
        id
    }

    /// Appends a message of a call: its parts, one behind the other.
    pub fn send(&mut self, id: StreamId, parts: &[&[u8]], is_last: bool, output: &mut Vec<u8>) {
        let size_bytes = parts.iter().map(|part| part.len()).sum::<usize>();
        let framed_bytes = size_bytes + MESSAGE_HEAD_BYTES;
        let head = message_head(size_bytes);
        if self.waiting.is_empty()
            && framed_bytes <= self.frame_bytes_max
            && self.spend(id, framed_bytes)
        {
            let flags = if is_last { END_STREAM } else { 0 };
            put_frame_head(framed_bytes, DATA, flags, id, output);
            output.extend_from_slice(&head);
            for part in parts {
                output.extend_from_slice(part);
            }
            return;
        }
        let mut content = Vec::with_capacity(framed_bytes);
        content.extend_from_slice(&head);
        for part in parts {
            content.extend_from_slice(part);
        }
        self.waiting.push_back(Waiting {
            stream: id,
            content,
            is_last,
        });
        self.write_waiting(output);
    }

    pub fn receive(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        mut on_event: impl FnMut(StreamId, Event<'_>) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        let mut done_bytes = 0;
        loop {
            let rest = &input[done_bytes..];
            if rest.len() < FRAME_HEAD_BYTES {
                break;
            }
            let size_bytes =
                usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
            let Some(content) = rest.get(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + size_bytes) else {
                break;
            };
            done_bytes += FRAME_HEAD_BYTES + size_bytes;
            let id = number(&rest[5..9]) & 0x7fff_ffff;
            self.take_frame(rest[3], rest[4], id, content, output, &mut on_event)?;
        }
        Ok(done_bytes)
    }

    fn take_frame(
        &mut self,
        kind: u8,
        flags: u8,
        id: StreamId,
        content: &[u8],
        output: &mut Vec<u8>,
        on_event: &mut impl FnMut(StreamId, Event<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match kind {
            DATA => {
                if flags & PADDED != 0 {
                    return Err("the server pads frames, which is not understood here".into());
                }
                self.take_bytes(id, content, output, on_event)?;
                if flags & END_STREAM != 0 {
                    self.end(id, on_event)?;
                }
            }
            HEADERS if flags & END_STREAM != 0 => self.end(id, on_event)?,
            HEADERS => on_event(id, Event::Headers)?,
            RST_STREAM => {
                return Err(
                    format!("the server reset a call with code {}", number(content)).into(),
                );
            }
            SETTINGS if flags & ACK == 0 => {
                self.take_settings(content);
                put_frame_head(0, SETTINGS, ACK, 0, output);
                self.write_waiting(output);
            }
            PING if flags & ACK == 0 => {
                put_frame_head(content.len(), PING, ACK, 0, output);
                output.extend_from_slice(content);
            }
            GOAWAY => {
                let code = content.get(4..8).map_or(0, number);
                return Err(format!("the server ended the connection with code {code}").into());
            }
            WINDOW_UPDATE => {
                let grown_bytes = i64::from(number(content) & 0x7fff_ffff);
                if id == 0 {
                    self.window_bytes += grown_bytes;
                } else if let Some(stream) = self.streams.get_mut(&id) {
                    stream.window_bytes += grown_bytes;
                }
                self.write_waiting(output);
            }
            _ => {}
        }
        Ok(())
    }

    fn end(
        &mut self,
        id: StreamId,
        on_event: &mut impl FnMut(StreamId, Event<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(stream) = self.streams.remove(&id) else {
            return Ok(());
        };
        let has_message = stream.has_message;
        on_event(id, Event::Ended { has_message })
    }

    fn take_settings(&mut self, content: &[u8]) {
        for setting in content.chunks_exact(6) {
            let value = number(&setting[2..]);
            match u16::from_be_bytes([setting[0], setting[1]]) {
                SETTING_WINDOW => {
                    let grown_bytes = i64::from(value) - self.stream_window_bytes;
                    self.stream_window_bytes += grown_bytes;
                    for stream in self.streams.values_mut() {
                        stream.window_bytes += grown_bytes;
                    }
                }
                SETTING_FRAME => self.frame_bytes_max = value as usize,
                _ => {}
            }
        }
    }

    /// Cuts messages out of a call's bytes.
    fn take_bytes(
        &mut self,
        id: StreamId,
        content: &[u8],
        output: &mut Vec<u8>,
        on_event: &mut impl FnMut(StreamId, Event<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.taken_bytes += content.len() as u32;
        if self.taken_bytes >= CONNECTION_WINDOW_BYTES / 2 {
            put_window_update(0, self.taken_bytes, output);
            self.taken_bytes = 0;
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        stream.taken_bytes += content.len() as u32;
        if stream.taken_bytes >= STREAM_WINDOW_BYTES / 2 {
            put_window_update(id, stream.taken_bytes, output);
            stream.taken_bytes = 0;
        }
        let mut has_message = false;
        let mut on_message = |message: &[u8]| {
            has_message = true;
            on_event(id, Event::Message(message))
        };
        if stream.partial.is_empty() {
            let rest = cut_messages(content, &mut on_message)?;
            stream.partial.extend_from_slice(rest);
        } else {
            stream.partial.extend_from_slice(content);
            let rest_bytes = cut_messages(&stream.partial, &mut on_message)?.len();
            stream.partial.drain(..stream.partial.len() - rest_bytes);
        }
        stream.has_message |= has_message;
        Ok(())
    }

    /// Takes room in both windows, if there is enough.
    fn spend(&mut self, id: StreamId, size_bytes: usize) -> bool {
        let size_bytes = size_bytes as i64;
        let Some(stream) = self.streams.get_mut(&id) else {
            return true; // over already: the server ignores what comes for it
        };
        let has_room = self.window_bytes >= size_bytes && stream.window_bytes >= size_bytes;
        if has_room {
            self.window_bytes -= size_bytes;
            stream.window_bytes -= size_bytes;
        }
        has_room
    }

    fn write_waiting(&mut self, output: &mut Vec<u8>) {
        while let Some(mut first) = self.waiting.pop_front() {
            let room = self.streams.get(&first.stream).map_or(0, |stream| {
                stream.window_bytes.min(self.window_bytes).max(0) as usize
            });
            let mut written = 0;
            while written < first.content.len() {
                let size_bytes = (first.content.len() - written)
                    .min(self.frame_bytes_max)
                    .min(room - written);
                if size_bytes == 0 {
                    break;
                }
                let end = written + size_bytes;
                let is_end = first.is_last && end == first.content.len();
                let flags = if is_end { END_STREAM } else { 0 };
                put_frame_head(size_bytes, DATA, flags, first.stream, output);
                output.extend_from_slice(&first.content[written..end]);
                written = end;
            }
            self.spend(first.stream, written);
            if written < first.content.len() && self.streams.contains_key(&first.stream) {
                first.content.drain(..written);
                self.waiting.push_front(first);
                return;
            }
        }
    }

    /// The first call names its headers in full; the table that both ends keep then has them.
    fn header_block(&self, is_first: bool) -> Vec<u8> {
        let mut block = vec![0x83, 0x86]; // POST, http
        if !is_first {
            block.extend_from_slice(&[0xc1, 0xc0, 0xbf, 0xbe]); // newest last
            return block;
        }
        put_header(&[0x44], self.path.as_bytes(), &mut block);
        put_header(&[0x41], self.authority.as_bytes(), &mut block);
        put_header(&[0x5f], b"application/grpc", &mut block);
        put_header(&[0x40, 2, b't', b'e'], b"trailers", &mut block);
        block
    }
}

fn put_header(name: &[u8], value: &[u8], block: &mut Vec<u8>) {
    debug_assert!(value.len() < 127, "longer lengths take several bytes");
    block.extend_from_slice(name);
    block.push(value.len() as u8);
    block.extend_from_slice(value);
}

fn message_head(size_bytes: usize) -> [u8; MESSAGE_HEAD_BYTES] {
    let size = (size_bytes as u32).to_be_bytes();
    [0, size[0], size[1], size[2], size[3]]
}

/// Gives each complete message to `on_message` and returns what is left.
fn cut_messages<'a>(
    mut content: &'a [u8],
    on_message: &mut impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<&'a [u8], Failure> {
    while content.len() >= MESSAGE_HEAD_BYTES {
        if content[0] != 0 {
            return Err("a compressed message, though none was asked for".into());
        }
        let size_bytes = number(&content[1..MESSAGE_HEAD_BYTES]) as usize;
        if size_bytes > MESSAGE_BYTES_MAX {
            return Err(format!("a message of {size_bytes} bytes").into());
        }
        let end = MESSAGE_HEAD_BYTES + size_bytes;
        let Some(message) = content.get(MESSAGE_HEAD_BYTES..end) else {
            break;
        };
        on_message(message)?;
        content = &content[end..];
    }
    Ok(content)
}

fn number(bytes: &[u8]) -> u32 {
    let first = bytes.iter().take(4);
    first.fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

fn put_frame_head(size_bytes: usize, kind: u8, flags: u8, id: StreamId, output: &mut Vec<u8>) {
    let size = (size_bytes as u32).to_be_bytes();
    output.extend_from_slice(&[size[1], size[2], size[3], kind, flags]);
    output.extend_from_slice(&id.to_be_bytes());
}

fn put_window_update(id: StreamId, grown_bytes: u32, output: &mut Vec<u8>) {
    put_frame_head(4, WINDOW_UPDATE, 0, id, output);
    output.extend_from_slice(&grown_bytes.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(http2: &mut Http2, input: &[u8], output: &mut Vec<u8>) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let done = http2.receive(input, output, |_, event| {
            if let Event::Message(message) = event {
                found.push(message.to_vec());
            }
            Ok(())
        });
        assert_eq!(done.unwrap(), input.len());
        found
    }

    fn frame(kind: u8, flags: u8, id: StreamId, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_frame_head(content.len(), kind, flags, id, &mut bytes);
        bytes.extend_from_slice(content);
        bytes
    }

    #[test]
    fn a_message_in_two_frames_is_put_together() {
        let mut http2 = Http2::new("/a/B", "host");
        let mut output = Vec::new();
        let id = http2.call(&mut output);
        let first = frame(DATA, 0, id, &[0, 0, 0, 0, 3, b'a']);
        let second = frame(DATA, 0, id, &[b'b', b'c', 0, 0, 0, 0, 1, b'd', 0]);
        assert!(messages(&mut http2, &first, &mut output).is_empty());
        assert_eq!(
            messages(&mut http2, &second, &mut output),
            [b"abc".to_vec(), b"d".to_vec()]
        );
        let third = frame(DATA, 0, id, &[0, 0, 0, 1, b'e']);
        assert_eq!(messages(&mut http2, &third, &mut output), [b"e".to_vec()]);
    }

    #[test]
    fn windows_are_honoured() {
        let mut http2 = Http2::new("/a/B", "host");
        let mut output = Vec::new();
        let id = http2.call(&mut output);
        output.clear();
        http2.send(id, &[&[1; 100_000]], true, &mut output);
        let sent = |output: &[u8]| {
            let (mut rest, mut bytes, mut is_ended) = (output, 0, false);
            while !rest.is_empty() {
                let size = number(&[0, rest[0], rest[1], rest[2]]) as usize;
                if rest[3] == DATA {
                    bytes += size;
                    is_ended |= rest[4] & END_STREAM != 0;
                }
                rest = &rest[FRAME_HEAD_BYTES + size..];
            }
            (bytes, is_ended)
        };
        assert_eq!(sent(&output), (65_535, false));
        let update = frame(WINDOW_UPDATE, 0, 0, &1_000_000u32.to_be_bytes());
        messages(&mut http2, &update, &mut output);
        assert_eq!(sent(&output), (65_535, false));
        let settings = [
            &SETTING_WINDOW.to_be_bytes()[..],
            &1_000_000u32.to_be_bytes(),
        ]
        .concat();
        messages(&mut http2, &frame(SETTINGS, 0, 0, &settings), &mut output);
        assert_eq!(sent(&output), (100_005, true));
    }

    #[test]
    fn an_incomplete_frame_is_left() {
        let mut http2 = Http2::new("/a/B", "host");
        let bytes = frame(PING, 0, 0, &[7; 8]);
        let mut output = Vec::new();
        let mut take = |input: &[u8]| http2.receive(input, &mut output, |_, _| Ok(())).unwrap();
        assert_eq!(take(&bytes[..12]), 0);
        assert_eq!(take(&bytes), bytes.len());
        assert_eq!(output, frame(PING, ACK, 0, &[7; 8]));
    }
}

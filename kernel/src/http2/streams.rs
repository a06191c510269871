//! Reading and writing the messages of one call, the same at both of its ends.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};
use tokio::time::timeout;

use super::events::{CallId, Event, Metadata};
use super::framing::{put, Code, Cutter, Encoding, Refusal};
use super::network::{Call, Connection, Held, Network, Outgoing};

/// Messages of one call that the interpreter was given and has not done with; then the call is not read.
const UNREAD_BYTES_MAX: usize = 1 << 20;
/// A request of which no byte comes for that long is given up. Long, since over a thin link many requests take turns.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// Small messages of one call leave together.
const CHUNK_BYTES: usize = 16 << 10;
/// What a message costs beside its bytes: empty ones are not free.
pub const MESSAGE_BYTES: usize = 64;

/// Why a direction of a call has ended before its time.
pub enum Broken {
    Refused(Refusal),
    Reset(h2::Error),
}

impl From<Refusal> for Broken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<h2::Error> for Broken {
    fn from(error: h2::Error) -> Self {
        Self::Reset(error)
    }
}

/// The messages that come in over a call.
pub struct Reading {
    body: RecvStream,
    cutter: Cutter,
    held: Held,
    /// Of what is held, what is neither in the cutter nor ready.
    kept_bytes: usize,
    ready: VecDeque<Bytes>,
    ready_bytes: usize,
    /// Whether something must come: then silence is not borne for ever.
    pub is_expected: bool,
}

impl Reading {
    pub fn new(
        network: &Rc<Network>,
        connection: &Rc<Connection>,
        body: RecvStream,
        encoding: Encoding,
        message_bytes_max: usize,
    ) -> Self {
        Self {
            body,
            cutter: Cutter::new(encoding, message_bytes_max),
            held: Held::new(network, connection),
            kept_bytes: 0,
            ready: VecDeque::new(),
            ready_bytes: 0,
            is_expected: false,
        }
    }

    /// Has so many bytes counted beside those that are here and not taken; fewer are never refused.
    pub fn keep(&mut self, kept_bytes: usize) -> Result<(), Refusal> {
        self.kept_bytes = kept_bytes;
        self.count()
    }

    fn count(&mut self) -> Result<(), Refusal> {
        self.held
            .set(self.kept_bytes + self.cutter.held_bytes() + self.ready_bytes)
    }

    /// Returns the next message; none at a proper end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                self.ready_bytes -= message.len() + MESSAGE_BYTES;
                self.count()?;
                return Ok(Some(message));
            }
            let body = &mut self.body;
            let coming = poll_fn(|context| body.poll_data(context));
            let chunk = if self.is_expected {
                let silence =
                    |_| Refusal::new(Code::DeadlineExceeded, "the request does not arrive");
                timeout(SILENCE_MAX, coming).await.map_err(silence)?
            } else {
                coming.await
            };
            let Some(chunk) = chunk else {
                if self.cutter.held_bytes() > 0 {
                    let refusal = Refusal::new(Code::Internal, "the stream ends within a message");
                    return Err(refusal.into());
                }
                return Ok(None);
            };
            let chunk = chunk?;
            // What is held is bounded by `Held` and by the caller; the window need not be.
            self.body.flow_control().release_capacity(chunk.len())?;
            let (ready, ready_bytes) = (&mut self.ready, &mut self.ready_bytes);
            self.cutter.take(chunk, |message| {
                *ready_bytes += message.len() + MESSAGE_BYTES;
                ready.push_back(message);
            })?;
            self.count()?;
        }
    }

    /// Hands over messages to the interpreter until the proper end.
    pub async fn forward(
        &mut self,
        network: &Network,
        call: &Call,
        id: CallId,
    ) -> Result<(), Broken> {
        while let Some(message) = self.next().await? {
            self.keep(0)?;
            call.unread_bytes
                .set(call.unread_bytes.get() + message.len() + MESSAGE_BYTES);
            network.emit(Event::Message { call: id, message });
            while call.unread_bytes.get() >= UNREAD_BYTES_MAX {
                call.is_read.notified().await;
            }
            network.wait_inbox().await;
        }
        Ok(())
    }

    pub async fn trailers(&mut self) -> Result<Option<http::HeaderMap>, h2::Error> {
        poll_fn(|context| self.body.poll_trailers(context)).await
    }
}

/// What is to be sent next.
pub enum Next {
    Headers(Metadata),
    /// So many messages, with their prefixes.
    Messages(usize, Bytes),
    Finish {
        code: u8,
        text: String,
    },
    HalfClose,
    Cancel,
}

/// Takes what is to be sent next, small messages together; none if there is nothing.
pub fn take_next(outgoing: &RefCell<VecDeque<Outgoing>>, encoding: Encoding) -> Option<Next> {
    let mut outgoing = outgoing.borrow_mut();
    let mut framed = BytesMut::new();
    let mut count = 0;
    while let Some(Outgoing::Message(message)) = outgoing.front() {
        if count > 0 && framed.len() + message.len() > CHUNK_BYTES {
            break;
        }
        put(&mut framed, message, encoding);
        count += 1;
        outgoing.pop_front();
    }
    if count > 0 {
        return Some(Next::Messages(count, framed.freeze()));
    }
    Some(match outgoing.pop_front()? {
        Outgoing::Headers(metadata) => Next::Headers(metadata),
        Outgoing::Finish { code, text } => Next::Finish { code, text },
        Outgoing::HalfClose => Next::HalfClose,
        Outgoing::Cancel => Next::Cancel,
        Outgoing::Message(_) => unreachable!("messages were taken above"),
    })
}

/// Sends bytes as far as the other end's window goes and its connection takes them, and waits for more of it.
pub async fn send(
    connection: &Connection,
    stream: &mut SendStream<Bytes>,
    mut content: Bytes,
) -> Result<(), h2::Error> {
    while !content.is_empty() {
        stream.reserve_capacity(content.len());
        let mut capacity = stream.capacity();
        if capacity == 0 {
            capacity = match poll_fn(|context| stream.poll_capacity(context)).await {
                Some(capacity) => capacity?,
                None => return Err(Reason::CANCEL.into()),
            };
        }
        if capacity > 0 {
            connection.wait_sending().await;
            let piece = content.split_to(capacity.min(content.len()));
            connection.note_sending(piece.len());
            stream.send_data(piece, false)?;
        }
    }
    Ok(())
}

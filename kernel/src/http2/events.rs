//! What happened on the network, handed over to the interpreter in batches.
//!
//! The network's thread appends, the interpreter's thread takes all there is. A byte in a socket pair wakes the
//! interpreter once for each batch, when the network's thread has nothing left to do or the batch is large.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// So many events wake the interpreter although the network's thread is still busy.
const BATCH_MAX: usize = 128;

/// What waits for the interpreter beyond that stays in the sockets.
const FULL_BYTES: usize = 64 << 20;
const FULL_EVENTS: usize = 65_536;

pub type CallId = u64;
pub type ConnectionId = u64;
pub type Metadata = Vec<(String, String)>;

/// Something that happened, in the order in which it happened.
pub enum Event {
    /// TLS stands; the certificate is what the other end showed, empty if it showed none.
    Secured {
        connection: ConnectionId,
        certificate: Bytes,
    },
    /// Bytes before HTTP/2.
    Received {
        connection: ConnectionId,
        bytes: Bytes,
    },
    /// HTTP/2 has begun.
    Begun { connection: ConnectionId },
    /// A connection has ended; nothing more comes from it.
    Disconnected {
        connection: ConnectionId,
        reason: String,
    },
    /// A listener has let go of its address, or a service of its connections.
    Stopped { what: u64 },
    /// A call begins to arrive.
    Arriving {
        connection: ConnectionId,
        call: CallId,
        method: usize,
    },
    /// A call is here: with its request, or open for many.
    Called {
        connection: ConnectionId,
        call: CallId,
        method: usize,
        metadata: Metadata,
        message: Option<Bytes>,
    },
    /// The other end's next message of a call.
    Message { call: CallId, message: Bytes },
    /// The other end of a call has sent all it had to send.
    Finished { call: CallId },
    /// So many messages of a call have left for the network.
    Written { call: CallId, count: usize },
    /// A call that we serve is over before its answer.
    Gone { call: CallId },
    /// The headers of a call that we made.
    Headers { call: CallId, metadata: Metadata },
    /// The end of a call that we made.
    Ended {
        call: CallId,
        code: u8,
        text: String,
    },
    /// The network's thread has ended by a defect; nothing happens any more.
    Failed { reason: String },
}

impl Event {
    fn size_bytes(&self) -> usize {
        match self {
            Self::Called {
                message: Some(message),
                ..
            }
            | Self::Message { message, .. } => message.len(),
            Self::Received { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }
}

struct Pending {
    events: Vec<Event>,
    size_bytes: usize,
    is_signalled: bool,
}

/// Where events wait for the interpreter.
pub struct Inbox {
    pending: Mutex<Pending>,
    sender: UnixStream,
    receiver: UnixStream,
}

impl Inbox {
    pub fn new() -> std::io::Result<Self> {
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        Ok(Self {
            pending: Mutex::new(Pending {
                events: Vec::new(),
                size_bytes: 0,
                is_signalled: false,
            }),
            sender,
            receiver,
        })
    }

    /// Readable when there are events.
    pub fn descriptor(&self) -> RawFd {
        self.receiver.as_raw_fd()
    }

    pub fn push(&self, event: Event) {
        let mut pending = self.locked();
        pending.size_bytes += event.size_bytes();
        pending.events.push(event);
        if pending.events.len() >= BATCH_MAX {
            self.signal(pending);
        }
    }

    /// Whether the interpreter has so much to take that nothing more should be read for it.
    pub fn is_full(&self) -> bool {
        let pending = self.locked();
        pending.size_bytes >= FULL_BYTES || pending.events.len() >= FULL_EVENTS
    }

    /// Wakes the interpreter if anything waits for it.
    pub fn flush(&self) {
        let pending = self.locked();
        if !pending.events.is_empty() {
            self.signal(pending);
        }
    }

    /// Returns all events there are.
    pub fn take(&self) -> Vec<Event> {
        // Before the flag goes down: a byte that comes after that must stay. Without the lock, for which the
        // network's thread would wait.
        let mut bytes = [0; 16];
        while matches!((&self.receiver).read(&mut bytes), Err(error) if error.kind() == ErrorKind::Interrupted)
        {
        }
        let mut pending = self.locked();
        pending.is_signalled = false;
        pending.size_bytes = 0;
        std::mem::take(&mut pending.events)
    }

    fn signal(&self, mut pending: MutexGuard<'_, Pending>) {
        if !pending.is_signalled {
            pending.is_signalled = true;
            drop(pending);
            // The pair is never full: there is at most one byte in it for each time that events were taken. One that
            // comes when they have been taken meanwhile wakes the interpreter for nothing.
            while matches!((&self.sender).write(&[1]), Err(error) if error.kind() == ErrorKind::Interrupted)
            {
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Pending> {
        // Nothing panics while it is held, but a poisoned lock would not be worse than no network.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

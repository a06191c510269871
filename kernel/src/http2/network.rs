//! The state of the network's thread: services, connections, calls, and what the interpreter orders.
//!
//! All of it lives on one thread, so that nothing here is locked. The interpreter sends orders through a channel and
//! gets events through the inbox; an order for what has ended meanwhile does nothing.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::events::{CallId, ConnectionId, Event, Inbox, Metadata};
use super::framing::{Code, Refusal};

pub type ServiceId = u64;
pub type ListenerId = u64;

/// Of requests that are not whole yet: over one connection, and over all.
const CONNECTION_HELD_BYTES_MAX: usize = 48 << 20;
const HELD_BYTES_MAX: usize = 192 << 20;

/// Calls of one connection that are given up within so many seconds.
const RESETS_MAX: u32 = 1000;
const RESET_SECONDS: u64 = 10;

/// A method as far as the transport knows it.
pub struct Method {
    pub number: usize,
    /// Has many requests; else exactly one.
    pub is_streaming: bool,
    /// The interpreter hears of a call before its request is here.
    pub is_announced: bool,
}

/// What a door serves, and its limits.
pub struct Service {
    pub id: ServiceId,
    pub methods: HashMap<String, Method>,
    pub message_bytes_max: usize,
    pub streams_max: u32,
    pub is_compressing: bool,
    /// Seconds from the start of a connection, or of its preamble's end, to its first bytes of HTTP/2.
    pub begin_within: Duration,
}

/// Something to send on a call.
pub enum Outgoing {
    Headers(Metadata),
    Message(Bytes),
    Finish { code: u8, text: String },
    HalfClose,
    Cancel,
}

/// One call under way, served or made here.
#[derive(Default)]
pub struct Call {
    pub outgoing: RefCell<VecDeque<Outgoing>>,
    pub is_outgoing: Notify,
    /// Bytes that the interpreter was given and has not done with.
    pub unread_bytes: Cell<usize>,
    pub is_read: Notify,
}

impl Call {
    pub fn put(&self, outgoing: Outgoing) {
        self.outgoing.borrow_mut().push_back(outgoing);
        self.is_outgoing.notify_one();
    }
}

/// What the preamble of a connection is told.
pub enum Preamble {
    Read,
    Send(Bytes),
    Begin(Bytes),
}

/// One connection, accepted or dialled.
#[derive(Default)]
pub struct Connection {
    /// Of what serves it; none if we dialled.
    pub service: Option<ServiceId>,
    pub preamble: RefCell<VecDeque<Preamble>>,
    pub is_preamble: Notify,
    pub is_leaving: Notify,
    pub is_killed: Notify,
    pub is_gone: Notify,
    held_bytes: Cell<usize>,
    resets: Cell<(u64, u32)>,
    /// Of a connection that we dialled, once HTTP/2 has begun.
    pub requests: RefCell<Option<h2::client::SendRequest<Bytes>>>,
}

impl Connection {
    pub fn of(service: Option<ServiceId>) -> Self {
        Self {
            service,
            ..Self::default()
        }
    }

    /// Takes note of a call that its caller gave up; one that does little else is sent away.
    pub fn note_reset(&self, now_s: u64) {
        let (since, count) = self.resets.get();
        if now_s >= since + RESET_SECONDS {
            self.resets.set((now_s, 1));
        } else if count < RESETS_MAX {
            self.resets.set((since, count + 1));
        } else {
            self.is_killed.notify_one();
        }
    }
}

/// The order to make a call.
pub struct CallOrder {
    pub connection: ConnectionId,
    pub call: CallId,
    pub authority: String,
    pub path: String,
    pub metadata: Metadata,
    pub timeout: Option<Duration>,
}

/// An order of the interpreter.
pub enum Order {
    Serve(Service),
    Listen {
        listener: ListenerId,
        service: ServiceId,
        socket: std::net::TcpListener,
        connections_max: usize,
    },
    StopListening(ListenerId),
    Accept {
        connection: ConnectionId,
        service: ServiceId,
        socket: TcpStream,
        tls: Arc<rustls::ServerConfig>,
        secured_within: Duration,
        stall: Duration,
    },
    Dial {
        connection: ConnectionId,
        socket: TcpStream,
        tls: Arc<rustls::ClientConfig>,
        host: String,
        secured_within: Duration,
        begin_within: Duration,
        stall: Duration,
    },
    Preamble(ConnectionId, Preamble),
    LeaveAll(ServiceId),
    EndService(ServiceId, Duration),
    Kill(ConnectionId),
    Call(CallOrder, usize),
    Send(CallId, Vec<Outgoing>),
    Answer(Vec<(CallId, Bytes)>),
    Consumed(CallId, usize),
    Stop,
}

/// Everything that the thread knows.
pub struct Network {
    pub inbox: Arc<Inbox>,
    pub services: RefCell<HashMap<ServiceId, Rc<Service>>>,
    pub connections: RefCell<HashMap<ConnectionId, Rc<Connection>>>,
    pub calls: RefCell<HashMap<CallId, Rc<Call>>>,
    pub listeners: RefCell<HashMap<ListenerId, Rc<Notify>>>,
    next_id: Arc<AtomicU64>,
    held_bytes: Cell<usize>,
    started: Instant,
}

impl Network {
    pub fn new(inbox: Arc<Inbox>, next_id: Arc<AtomicU64>) -> Self {
        Self {
            inbox,
            services: RefCell::default(),
            connections: RefCell::default(),
            calls: RefCell::default(),
            listeners: RefCell::default(),
            next_id,
            held_bytes: Cell::new(0),
            started: Instant::now(),
        }
    }

    pub fn emit(&self, event: Event) {
        self.inbox.push(event);
    }

    /// Returns a number that nothing else has, on either thread.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Seconds since the thread began.
    pub fn now_s(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    pub fn call(&self, id: CallId) -> Option<Rc<Call>> {
        self.calls.borrow().get(&id).cloned()
    }

    pub fn connection(&self, id: ConnectionId) -> Option<Rc<Connection>> {
        self.connections.borrow().get(&id).cloned()
    }

    /// Returns the connections of a service.
    pub fn served(&self, service: ServiceId) -> Vec<Rc<Connection>> {
        self.connections
            .borrow()
            .values()
            .filter(|one| one.service == Some(service))
            .cloned()
            .collect()
    }

    /// Waits while the interpreter does not keep up.
    pub async fn wait_inbox(&self) {
        while self.inbox.is_full() {
            self.inbox.flush();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// What one call holds of a message that is not whole yet; given back when dropped.
pub struct Held {
    network: Rc<Network>,
    connection: Rc<Connection>,
    size: usize,
}

impl Held {
    pub fn new(network: &Rc<Network>, connection: &Rc<Connection>) -> Self {
        Self {
            network: network.clone(),
            connection: connection.clone(),
            size: 0,
        }
    }

    pub fn set(&mut self, size: usize) -> Result<(), Refusal> {
        let counts = [
            (&self.connection.held_bytes, CONNECTION_HELD_BYTES_MAX),
            (&self.network.held_bytes, HELD_BYTES_MAX),
        ];
        let is_more = size > self.size;
        if is_more
            && counts
                .iter()
                .any(|(all, limit)| all.get() - self.size + size > *limit)
        {
            return Err(Refusal::new(
                Code::ResourceExhausted,
                "too many requests are half arrived; send fewer at a time",
            ));
        }
        for (all, _) in counts {
            all.set(all.get() - self.size + size);
        }
        self.size = size;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for all in [&self.connection.held_bytes, &self.network.held_bytes] {
            all.set(all.get() - self.size);
        }
    }
}

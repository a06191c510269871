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
use super::shares::{relieve, Counts, Source};

pub type ServiceId = u64;
pub type ListenerId = u64;

/// Of requests that are not whole yet: over one connection, and over all.
const CONNECTION_HELD_BYTES_MAX: usize = 48 << 20;
const HELD_BYTES_MAX: usize = 192 << 20;
/// Calls under way, served over all connections.
const CALLS_MAX: usize = 131_072;

/// Of bytes that one connection has read before others have their turn: frames may be small, and many.
const TURN_BYTES_MAX: usize = 256 << 10;

/// Of bytes that were given to one connection and that its other end does not take; then no more are given.
const UNSENT_BYTES_MAX: usize = 4 << 20;

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
    /// A connection without calls for that long is ended.
    pub idle: Duration,
    pub connections: RefCell<Counts>,
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
pub struct Connection {
    /// Of what serves it; none if we dialled.
    pub service: Option<ServiceId>,
    pub source: Source,
    /// Calls under way that we serve.
    pub calls: Cell<usize>,
    quiet_since: Cell<Instant>,
    /// It is being ended for the sake of others; what it holds counts no more.
    pub is_giving_way: Cell<bool>,
    pub end: RefCell<&'static str>,
    pub preamble: RefCell<VecDeque<Preamble>>,
    pub is_preamble: Notify,
    pub is_leaving: Notify,
    pub is_killed: Notify,
    pub is_gone: Notify,
    held_bytes: Cell<usize>,
    turn_bytes: Cell<usize>,
    unsent_bytes: Cell<usize>,
    is_sent: Notify,
    resets: Cell<(u64, u32)>,
    /// Of a connection that we dialled, once HTTP/2 has begun.
    pub requests: RefCell<Option<h2::client::SendRequest<Bytes>>>,
}

impl Connection {
    pub fn of(service: Option<ServiceId>, source: Source) -> Self {
        Self {
            service,
            source,
            calls: Cell::new(0),
            quiet_since: Cell::new(Instant::now()),
            is_giving_way: Cell::new(false),
            end: RefCell::new("ended here"),
            preamble: RefCell::default(),
            is_preamble: Notify::default(),
            is_leaving: Notify::default(),
            is_killed: Notify::default(),
            is_gone: Notify::default(),
            held_bytes: Cell::new(0),
            turn_bytes: Cell::new(0),
            unsent_bytes: Cell::new(0),
            is_sent: Notify::default(),
            resets: Cell::default(),
            requests: RefCell::default(),
        }
    }

    /// Returns for how long it has had no calls; none if it has any.
    pub fn quiet_for(&self) -> Option<Duration> {
        (self.calls.get() == 0).then(|| self.quiet_since.get().elapsed())
    }

    /// Takes note of bytes that were read without a pause.
    pub fn note_read(&self, size: usize) {
        self.turn_bytes.set(self.turn_bytes.get() + size);
    }

    /// Whether so many bytes were read without a pause that others are to have their turn.
    pub fn is_turn_over(&self) -> bool {
        self.turn_bytes.get() >= TURN_BYTES_MAX
    }

    /// Lets bytes be read again; returns whether they could not.
    pub fn begin_turn(&self) -> bool {
        let is_over = self.is_turn_over();
        self.turn_bytes.set(0);
        is_over
    }

    /// Waits while too many bytes wait for the other end to take them.
    pub async fn wait_sending(&self) {
        while self.unsent_bytes.get() >= UNSENT_BYTES_MAX {
            self.is_sent.notified().await;
        }
    }

    pub fn note_sending(&self, size: usize) {
        self.unsent_bytes.set(self.unsent_bytes.get() + size);
    }

    /// Takes note that so many bytes have left; none: that nothing waits any more.
    pub fn note_sent(&self, size: Option<usize>) {
        let before = self.unsent_bytes.get();
        let now = size.map_or(0, |size| before.saturating_sub(size));
        self.unsent_bytes.set(now);
        if before >= UNSENT_BYTES_MAX && now < UNSENT_BYTES_MAX {
            self.is_sent.notify_waiters();
        }
    }

    pub fn kill(&self, reason: &'static str) {
        self.end.replace(reason);
        self.is_killed.notify_one();
    }

    /// Ends it for the sake of others; what it holds is free at once.
    pub fn give_way(&self, network: &Network, reason: &'static str) {
        if self.is_giving_way.replace(true) {
            return;
        }
        let (held, calls) = (&network.held_bytes, &network.calls_served);
        held.set(held.get() - self.held_bytes.get());
        calls.set(calls.get() - self.calls.get());
        self.kill(reason);
    }

    /// Takes note of a call that its caller gave up, or for which there was no room; one that does little else is sent
    /// away.
    pub fn note_reset(&self, now_s: u64) {
        let (since, count) = self.resets.get();
        if now_s >= since + RESET_SECONDS {
            self.resets.set((now_s, 1));
        } else if count < RESETS_MAX {
            self.resets.set((since, count + 1));
        } else {
            self.kill("its calls were given up or refused too often");
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
    Answer(CallId, Bytes),
    Consumed(CallId, usize),
    /// For tests only.
    Panic(Panic),
    Stop,
}

/// Where a test wants a panic.
pub enum Panic {
    Loop,
    Task,
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
    calls_served: Cell<usize>,
    failure: Cell<Option<&'static str>>,
    is_failed: Notify,
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
            calls_served: Cell::new(0),
            failure: Cell::default(),
            is_failed: Notify::default(),
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

    /// Has the thread end, since it cannot do what it is for.
    pub fn fail(&self, reason: &'static str) {
        self.failure.set(Some(reason));
        self.is_failed.notify_one();
    }

    pub async fn wait_failure(&self) -> &'static str {
        loop {
            if let Some(reason) = self.failure.get() {
                return reason;
            }
            self.is_failed.notified().await;
        }
    }

    /// Waits while the interpreter does not keep up.
    pub async fn wait_inbox(&self) {
        while self.inbox.is_full() {
            self.inbox.flush();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// What one call holds of a request that is not whole yet; given back when dropped.
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

    /// Takes note of how much is held now; more than there is room for is refused.
    pub fn set(&mut self, size: usize) -> Result<(), Refusal> {
        if size > self.size {
            let more = size - self.size;
            let is_too_much = self.connection.held_bytes.get() + more > CONNECTION_HELD_BYTES_MAX;
            let is_full = || self.network.held_bytes.get() + more > HELD_BYTES_MAX;
            let of = |one: &Connection| one.held_bytes.get();
            if is_too_much || (is_full() && !relieve(&self.network, &self.connection, of)) {
                return Err(Refusal::new(
                    Code::ResourceExhausted,
                    "too many requests are half arrived; send fewer at a time",
                ));
            }
        }
        self.put(size);
        Ok(())
    }

    fn put(&mut self, size: usize) {
        let own = &self.connection.held_bytes;
        own.set(own.get() - self.size + size);
        if !self.connection.is_giving_way.get() {
            let all = &self.network.held_bytes;
            all.set(all.get() - self.size + size);
        }
        self.size = size;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.put(0);
    }
}

/// A call that we serve, as it is counted; over when dropped.
pub struct Counted {
    network: Rc<Network>,
    connection: Rc<Connection>,
}

impl Counted {
    /// Counts one more call, unless there are too many of this connection's source.
    pub fn new(network: &Rc<Network>, connection: &Rc<Connection>) -> Result<Self, Refusal> {
        let all = &network.calls_served;
        if all.get() >= CALLS_MAX && !relieve(network, connection, |one| one.calls.get()) {
            return Err(Refusal::new(
                Code::ResourceExhausted,
                "too many calls are under way",
            ));
        }
        connection.calls.set(connection.calls.get() + 1);
        if !connection.is_giving_way.get() {
            all.set(all.get() + 1);
        }
        Ok(Self {
            network: network.clone(),
            connection: connection.clone(),
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let own = &self.connection.calls;
        own.set(own.get() - 1);
        if own.get() == 0 {
            self.connection.quiet_since.set(Instant::now());
        }
        if !self.connection.is_giving_way.get() {
            let all = &self.network.calls_served;
            all.set(all.get() - 1);
        }
    }
}

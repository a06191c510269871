//! gRPC over HTTP/2, server and client, on one thread of its own without the interpreter's lock.
//!
//! The thread moves bytes: connections, TLS, HTTP/2, the framing of gRPC, compression, flow control, and the limits
//! of all these. What a call means, who may make it, and what it is answered is decided by the interpreter, which
//! gives orders and takes events in batches (docs/adr/0010-transport.md).

mod calling;
mod events;
pub mod framing;
mod link;
mod metadata;
mod network;
mod serving;
mod shares;
mod streams;
mod thread;
mod tls;

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use tokio::sync::mpsc::{unbounded_channel, UnboundedSender};

use crate::bulk::locked;
use events::{Event, Inbox, Metadata};
use network::{CallOrder, Method, Order, Outgoing, Panic, Preamble, Service};

/// TLS of a server: a certificate and its key.
#[pyclass(frozen)]
pub struct ServerTls(Arc<rustls::ServerConfig>);

#[pymethods]
impl ServerTls {
    /// Takes both in DER, the key as PKCS #8.
    #[new]
    fn new(certificate: Vec<u8>, key: Vec<u8>) -> PyResult<Self> {
        tls::server_config(certificate, key)
            .map(Self)
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

/// The network's thread, as the interpreter sees it.
#[pyclass(frozen)]
pub struct Http2 {
    orders: UnboundedSender<Order>,
    inbox: Arc<Inbox>,
    next_id: Arc<AtomicU64>,
    client_tls: Arc<rustls::ClientConfig>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Http2 {
    /// Sends an order; after the stop nobody takes it, and nothing happens.
    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    fn id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn send(&self, call: u64, outgoing: Vec<Outgoing>) {
        self.order(Order::Send(call, outgoing));
    }
}

#[pymethods]
impl Http2 {
    #[new]
    fn new() -> PyResult<Self> {
        let inbox = Arc::new(Inbox::new()?);
        let next_id = Arc::new(AtomicU64::new(1));
        let (orders, taken) = unbounded_channel();
        let flushed = inbox.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || flushed.flush())
            .build()?;
        let (own_inbox, own_id) = (inbox.clone(), next_id.clone());
        let thread = std::thread::Builder::new()
            .name("wavemq-http2".into())
            .spawn(move || thread::run(&runtime, own_inbox, own_id, taken))?;
        let client_tls =
            tls::client_config().map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self {
            orders,
            inbox,
            next_id,
            client_tls,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Readable when there are events.
    fn fileno(&self) -> RawFd {
        self.inbox.descriptor()
    }

    /// Returns all events there are.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let events = locked(py, || self.inbox.take())?;
        events.into_iter().map(|event| tuple(py, event)).collect()
    }

    /// Ends everything; returns when the thread has.
    fn stop(&self, py: Python<'_>) {
        self.order(Order::Stop);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic in it was told as an event.
            py.detach(|| drop(thread.join()));
        }
    }

    /// For tests only: has the thread fail as by a defect, in its loop or in a task that it needs.
    fn panic_for_test(&self, in_loop: bool) {
        self.order(Order::Panic(match in_loop {
            true => Panic::Loop,
            false => Panic::Task,
        }));
    }

    #[classattr]
    const MESSAGE_BYTES: usize = streams::MESSAGE_BYTES;

    // --- doors --------------------------------------------------------------------------------

    /// Defines what a door serves: of each method its number in events, its path, and whether it has many requests
    /// and is announced.
    fn serve(
        &self,
        methods: Vec<(usize, String, bool, bool)>,
        message_bytes_max: usize,
        streams_max: u32,
        is_compressing: bool,
        begin_s: f64,
        idle_s: f64,
    ) -> PyResult<u64> {
        let methods: HashMap<_, _> = methods
            .into_iter()
            .map(|(number, path, is_streaming, is_announced)| {
                let method = Method {
                    number,
                    is_streaming,
                    is_announced,
                };
                (path, method)
            })
            .collect();
        let service = self.id();
        let definition = Service {
            id: service,
            methods,
            message_bytes_max,
            streams_max,
            is_compressing,
            begin_within: seconds(begin_s)?,
            idle: seconds(idle_s)?,
            connections: RefCell::default(),
        };
        self.order(Order::Serve(definition));
        Ok(service)
    }

    /// Accepts plaintext connections at a listening socket, which is ours from now on.
    fn listen(&self, descriptor: RawFd, service: u64, connections_max: usize) -> PyResult<u64> {
        let socket = TcpListener::from(owned(descriptor)?);
        socket.set_nonblocking(true)?;
        let listener = self.id();
        self.order(Order::Listen {
            listener,
            service,
            socket,
            connections_max,
        });
        Ok(listener)
    }

    fn stop_listening(&self, listener: u64) {
        self.order(Order::StopListening(listener));
    }

    /// Serves an accepted connection, which is ours from now on: TLS, the preamble, HTTP/2.
    fn accept(
        &self,
        descriptor: RawFd,
        service: u64,
        tls: &ServerTls,
        secured_s: f64,
        stall_s: f64,
    ) -> PyResult<u64> {
        let socket = TcpStream::from(owned(descriptor)?);
        socket.set_nonblocking(true)?;
        let connection = self.id();
        self.order(Order::Accept {
            connection,
            service,
            socket,
            tls: tls.0.clone(),
            secured_within: seconds(secured_s)?,
            stall: seconds(stall_s)?,
        });
        Ok(connection)
    }

    /// Holds a dialled connection, which is ours from now on: TLS, the preamble, HTTP/2.
    fn dial(
        &self,
        descriptor: RawFd,
        host: String,
        secured_s: f64,
        begin_s: f64,
        stall_s: f64,
    ) -> PyResult<u64> {
        let socket = TcpStream::from(owned(descriptor)?);
        socket.set_nonblocking(true)?;
        let connection = self.id();
        self.order(Order::Dial {
            connection,
            socket,
            tls: self.client_tls.clone(),
            host,
            secured_within: seconds(secured_s)?,
            begin_within: seconds(begin_s)?,
            stall: seconds(stall_s)?,
        });
        Ok(connection)
    }

    // --- connections --------------------------------------------------------------------------

    /// Has what comes next before HTTP/2 told.
    fn read_preamble(&self, connection: u64) {
        self.order(Order::Preamble(connection, Preamble::Read));
    }

    fn send_preamble(&self, connection: u64, content: Vec<u8>) {
        let content = Preamble::Send(content.into());
        self.order(Order::Preamble(connection, content));
    }

    /// Begins HTTP/2, with bytes that were read too far.
    fn begin(&self, connection: u64, surplus: Vec<u8>) {
        let surplus = Preamble::Begin(surplus.into());
        self.order(Order::Preamble(connection, surplus));
    }

    /// Has the connections of a service take no further calls, and end when those under way have.
    fn leave_all(&self, service: u64) {
        self.order(Order::LeaveAll(service));
    }

    /// Ends the connections of a service, those with calls after a while; then tells that it has stopped.
    fn end_service(&self, service: u64, linger_s: f64) -> PyResult<()> {
        self.order(Order::EndService(service, seconds(linger_s)?));
        Ok(())
    }

    /// Ends a connection at once.
    fn kill(&self, connection: u64) {
        self.order(Order::Kill(connection));
    }

    // --- calls --------------------------------------------------------------------------------

    /// Begins a call over a dialled connection.
    fn call(
        &self,
        connection: u64,
        authority: String,
        path: String,
        metadata: Metadata,
        timeout_s: Option<f64>,
        message_bytes_max: usize,
    ) -> PyResult<u64> {
        let call = self.id();
        let order = CallOrder {
            connection,
            call,
            authority,
            path,
            metadata,
            timeout: timeout_s.map(seconds).transpose()?,
        };
        self.order(Order::Call(order, message_bytes_max));
        Ok(call)
    }

    fn headers(&self, call: u64, metadata: Metadata) {
        self.send(call, vec![Outgoing::Headers(metadata)]);
    }

    fn write(&self, call: u64, messages: Vec<Bound<'_, PyBytes>>) {
        let messages = messages.iter().map(|one| Outgoing::Message(copied(one)));
        self.send(call, messages.collect());
    }

    fn finish(&self, call: u64, code: u8, text: String) {
        self.send(call, vec![Outgoing::Finish { code, text }]);
    }

    fn half_close(&self, call: u64) {
        self.send(call, vec![Outgoing::HalfClose]);
    }

    fn cancel(&self, call: u64) {
        self.send(call, vec![Outgoing::Cancel]);
    }

    /// Answers calls that have one answer, each by its number.
    fn answer(&self, answers: Vec<(u64, Bound<'_, PyBytes>)>) {
        let answers = answers.iter().map(|(call, one)| (*call, copied(one)));
        self.order(Order::Answer(answers.collect()));
    }

    /// Lets so many more bytes of a call's messages come; each counts `MESSAGE_BYTES` more than it has.
    fn consumed(&self, call: u64, size_bytes: usize) {
        self.order(Order::Consumed(call, size_bytes));
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        // Forgotten without a stop: the thread ends by itself.
        self.order(Order::Stop);
    }
}

fn copied(bytes: &Bound<'_, PyBytes>) -> Bytes {
    Bytes::copy_from_slice(bytes.as_bytes())
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err("a number of seconds is out of range"))
}

/// Takes a descriptor that the interpreter gives away.
fn owned(descriptor: RawFd) -> PyResult<OwnedFd> {
    if descriptor < 0 {
        return Err(PyOSError::new_err("the socket is closed"));
    }
    // SAFETY: the caller has detached the descriptor from its socket object, so that nobody else closes or uses it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Returns an event as the interpreter knows it: its kind, then its parts.
fn tuple(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    let bytes = |content: &Bytes| PyBytes::new(py, content);
    match event {
        Event::Called {
            connection,
            call,
            method,
            metadata,
            message,
        } => {
            let message = message.as_ref().map(bytes);
            ("called", call, connection, method, metadata, message).into_pyobject(py)
        }
        Event::Message { call, message } => ("message", call, bytes(&message)).into_pyobject(py),
        Event::Written { call, count } => ("written", call, count).into_pyobject(py),
        Event::Finished { call } => ("finished", call).into_pyobject(py),
        Event::Gone { call } => ("gone", call).into_pyobject(py),
        Event::Headers { call, metadata } => ("headers", call, metadata).into_pyobject(py),
        Event::Ended { call, code, text } => ("ended", call, code, text).into_pyobject(py),
        Event::Arriving {
            connection,
            call,
            method,
        } => ("arriving", call, connection, method).into_pyobject(py),
        Event::Secured {
            connection,
            certificate,
        } => ("secured", connection, bytes(&certificate)).into_pyobject(py),
        Event::Received {
            connection,
            bytes: received,
        } => ("received", connection, bytes(&received)).into_pyobject(py),
        Event::Begun { connection } => ("begun", connection).into_pyobject(py),
        Event::Disconnected { connection, reason } => {
            ("disconnected", connection, reason).into_pyobject(py)
        }
        Event::Stopped { what } => ("stopped", what).into_pyobject(py),
        Event::Failed { reason } => ("failed", reason).into_pyobject(py),
    }
}

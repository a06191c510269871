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

use crate::bulk::{locked, unlocked};
use events::{Event, Inbox, Metadata};
use network::{CallOrder, Method, Order, Outgoing, Panic, Preamble, Service};

/// TLS of a server: a certificate and its key.
#[pyclass(frozen)]
pub struct ServerTls(Arc<rustls::ServerConfig>);

#[pymethods]
impl ServerTls {
    /// Takes both in DER, the key as PKCS #8.
    #[new]
    fn new(py: Python<'_>, certificate: Vec<u8>, key: Vec<u8>) -> PyResult<Self> {
        unlocked(py, || tls::server_config(certificate, key))?
            .map(Self)
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

/// The network's thread, as the interpreter sees it.
///
/// Orders are gathered until the interpreter's event loop turns, and go over together: each time that the thread is
/// woken costs more than an order.
#[pyclass(frozen)]
pub struct Http2 {
    call_soon: Py<PyAny>,
    gathered: Mutex<Vec<Order>>,
    orders: UnboundedSender<Vec<Order>>,
    inbox: Arc<Inbox>,
    next_id: Arc<AtomicU64>,
    client_tls: Arc<rustls::ClientConfig>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Http2 {
    fn of(call_soon: Py<PyAny>) -> PyResult<Self> {
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
            call_soon,
            gathered: Mutex::default(),
            orders,
            inbox,
            next_id,
            client_tls,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Gathers an order, and has what is gathered sent when the event loop turns; at once where it does not any more.
    fn order(this: &Bound<'_, Self>, order: Order) {
        let own = this.get();
        let is_first = own.gather(order) == 1;
        if is_first {
            let is_soon = this
                .getattr("flush")
                .and_then(|flush| own.call_soon.call1(this.py(), (flush,)));
            if is_soon.is_err() {
                own.flush();
            }
        }
    }

    /// Returns how many orders wait now.
    fn gather(&self, order: Order) -> usize {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.push(order);
        gathered.len()
    }

    fn id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn send(this: &Bound<'_, Self>, call: u64, outgoing: Vec<Outgoing>) {
        Self::order(this, Order::Send(call, outgoing));
    }
}

#[pymethods]
impl Http2 {
    /// Takes what has a function called when the event loop turns.
    #[new]
    fn new(py: Python<'_>, call_soon: Py<PyAny>) -> PyResult<Self> {
        unlocked(py, || Self::of(call_soon))?
    }

    /// Readable when there are events.
    fn fileno(&self) -> RawFd {
        self.inbox.descriptor()
    }

    /// Returns all events there are; calls to one method that follow one another are one event.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        locked(py, || {
            let mut tuples = Vec::new();
            let mut events = self.inbox.take().into_iter().peekable();
            while let Some(event) = events.next() {
                let Event::Called { method, .. } = event else {
                    tuples.push(tuple(py, event)?);
                    continue;
                };
                let same = |next: &Event| matches!(next, Event::Called { method: other, .. } if *other == method);
                let mut calls = vec![tuple(py, event)?];
                while let Some(event) = events.next_if(same) {
                    calls.push(tuple(py, event)?);
                }
                tuples.push(("called", method, calls).into_pyobject(py)?);
            }
            Ok(tuples)
        })?
    }

    /// Sends what is gathered; after the stop nobody takes it, and nothing happens.
    fn flush(&self) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        if !gathered.is_empty() {
            let _ = self.orders.send(std::mem::take(&mut *gathered));
        }
    }

    /// Ends everything; returns when the thread has.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        self.gather(Order::Stop);
        self.flush();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic in it was told as an event.
            unlocked(py, || drop(thread.join()))?;
        }
        Ok(())
    }

    /// For tests only: has the thread fail as by a defect, in its loop or in a task that it needs.
    fn panic_for_test(this: &Bound<'_, Self>, in_loop: bool) {
        Self::order(
            this,
            Order::Panic(match in_loop {
                true => Panic::Loop,
                false => Panic::Task,
            }),
        );
    }

    #[classattr]
    const MESSAGE_BYTES: usize = streams::MESSAGE_BYTES;

    // --- doors --------------------------------------------------------------------------------

    /// Defines what a door serves: of each method its number in events, its path, and whether it has many requests
    /// and is announced.
    fn serve(
        this: &Bound<'_, Self>,
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
        let service = this.get().id();
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
        Self::order(this, Order::Serve(definition));
        Ok(service)
    }

    /// Accepts plaintext connections at a listening socket, which is ours from now on.
    fn listen(
        this: &Bound<'_, Self>,
        descriptor: RawFd,
        service: u64,
        connections_max: usize,
    ) -> PyResult<u64> {
        let socket = TcpListener::from(owned(descriptor)?);
        socket.set_nonblocking(true)?;
        let listener = this.get().id();
        Self::order(
            this,
            Order::Listen {
                listener,
                service,
                socket,
                connections_max,
            },
        );
        Ok(listener)
    }

    fn stop_listening(this: &Bound<'_, Self>, listener: u64) {
        Self::order(this, Order::StopListening(listener));
    }

    /// Serves an accepted connection, which is ours from now on: TLS, the preamble, HTTP/2.
    fn accept(
        this: &Bound<'_, Self>,
        descriptor: RawFd,
        service: u64,
        tls: &ServerTls,
        secured_s: f64,
        stall_s: f64,
    ) -> PyResult<u64> {
        let socket = TcpStream::from(owned(descriptor)?);
        socket.set_nonblocking(true)?;
        let connection = this.get().id();
        Self::order(
            this,
            Order::Accept {
                connection,
                service,
                socket,
                tls: tls.0.clone(),
                secured_within: seconds(secured_s)?,
                stall: seconds(stall_s)?,
            },
        );
        Ok(connection)
    }

    /// Holds a dialled connection, which is ours from now on: TLS, the preamble, HTTP/2.
    fn dial(
        this: &Bound<'_, Self>,
        descriptor: RawFd,
        host: String,
        secured_s: f64,
        begin_s: f64,
        stall_s: f64,
    ) -> PyResult<u64> {
        let socket = TcpStream::from(owned(descriptor)?);
        socket.set_nonblocking(true)?;
        let connection = this.get().id();
        Self::order(
            this,
            Order::Dial {
                connection,
                socket,
                tls: this.get().client_tls.clone(),
                host,
                secured_within: seconds(secured_s)?,
                begin_within: seconds(begin_s)?,
                stall: seconds(stall_s)?,
            },
        );
        Ok(connection)
    }

    // --- connections --------------------------------------------------------------------------

    /// Has what comes next before HTTP/2 told.
    fn read_preamble(this: &Bound<'_, Self>, connection: u64) {
        Self::order(this, Order::Preamble(connection, Preamble::Read));
    }

    fn send_preamble(this: &Bound<'_, Self>, connection: u64, content: Vec<u8>) {
        let content = Preamble::Send(content.into());
        Self::order(this, Order::Preamble(connection, content));
    }

    /// Begins HTTP/2, with bytes that were read too far.
    fn begin(this: &Bound<'_, Self>, connection: u64, surplus: Vec<u8>) {
        let surplus = Preamble::Begin(surplus.into());
        Self::order(this, Order::Preamble(connection, surplus));
    }

    /// Has the connections of a service take no further calls, and end when those under way have.
    fn leave_all(this: &Bound<'_, Self>, service: u64) {
        Self::order(this, Order::LeaveAll(service));
    }

    /// Ends the connections of a service, those with calls after a while; then tells that it has stopped.
    fn end_service(this: &Bound<'_, Self>, service: u64, linger_s: f64) -> PyResult<()> {
        Self::order(this, Order::EndService(service, seconds(linger_s)?));
        Ok(())
    }

    /// Ends a connection at once.
    fn kill(this: &Bound<'_, Self>, connection: u64) {
        Self::order(this, Order::Kill(connection));
    }

    // --- calls --------------------------------------------------------------------------------

    /// Begins a call over a dialled connection.
    fn call(
        this: &Bound<'_, Self>,
        connection: u64,
        authority: String,
        path: String,
        metadata: Metadata,
        timeout_s: Option<f64>,
        message_bytes_max: usize,
    ) -> PyResult<u64> {
        let call = this.get().id();
        let order = CallOrder {
            connection,
            call,
            authority,
            path,
            metadata,
            timeout: timeout_s.map(seconds).transpose()?,
        };
        Self::order(this, Order::Call(order, message_bytes_max));
        Ok(call)
    }

    fn headers(this: &Bound<'_, Self>, call: u64, metadata: Metadata) {
        Self::send(this, call, vec![Outgoing::Headers(metadata)]);
    }

    fn write(this: &Bound<'_, Self>, call: u64, messages: Vec<Bound<'_, PyBytes>>) {
        let messages = messages.iter().map(|one| Outgoing::Message(copied(one)));
        Self::send(this, call, messages.collect());
    }

    fn finish(this: &Bound<'_, Self>, call: u64, code: u8, text: String) {
        Self::send(this, call, vec![Outgoing::Finish { code, text }]);
    }

    fn half_close(this: &Bound<'_, Self>, call: u64) {
        Self::send(this, call, vec![Outgoing::HalfClose]);
    }

    fn cancel(this: &Bound<'_, Self>, call: u64) {
        Self::send(this, call, vec![Outgoing::Cancel]);
    }

    /// Answers a call that has one answer.
    fn answer(this: &Bound<'_, Self>, call: u64, content: &Bound<'_, PyBytes>) {
        Self::order(this, Order::Answer(call, copied(content)));
    }

    /// Lets so many more bytes of a call's messages come; each counts `MESSAGE_BYTES` more than it has.
    fn consumed(this: &Bound<'_, Self>, call: u64, size_bytes: usize) {
        Self::order(this, Order::Consumed(call, size_bytes));
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        // Forgotten without a stop: the thread ends by itself.
        self.gather(Order::Stop);
        self.flush();
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

/// Returns an event as the interpreter knows it: its kind, then its parts; of a call, its parts alone.
fn tuple(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    let bytes = |content: &Bytes| PyBytes::new(py, content);
    match event {
        Event::Called {
            connection,
            call,
            metadata,
            message,
            ..
        } => (call, connection, metadata, message.as_ref().map(bytes)).into_pyobject(py),
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

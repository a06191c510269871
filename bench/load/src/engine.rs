//! The loop that moves bytes: one thread, every connection in it.

use std::io::{ErrorKind, Read, Write};
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::publisher::Publisher;
use crate::session::{Failure, Session};
use crate::tally::Tally;

const READ_BYTES: usize = 256 << 10;
/// What is read from one connection before the others have their turn.
const READ_BYTES_MAX: usize = 1 << 20;
/// A connection with so much unwritten gets no more messages.
const UNWRITTEN_BYTES_MAX: usize = 4 << 20;
const EVENTS_MAX: usize = 1024;
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

struct Connection {
    address: String,
    socket: TcpStream,
    session: Box<dyn Session>,
    publisher: Option<usize>,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    is_readable: bool,
}

/// Connections, publishers and the counts of what they do.
pub struct Engine {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    /// With the place of the connection of each.
    publishers: Vec<(Publisher, usize)>,
    pub tally: Tally,
    buffer: Vec<u8>,
}

impl Engine {
    pub fn new(tally: Tally) -> Result<Self, Failure> {
        let poll = Poll::new().map_err(|error| Failure(format!("epoll: {error}")))?;
        Ok(Engine {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            connections: Vec::new(),
            publishers: Vec::new(),
            tally,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Dials, and lets the session begin.
    pub fn connect(
        &mut self,
        address: &str,
        mut session: Box<dyn Session>,
        publisher: Option<Publisher>,
    ) -> Result<(), Failure> {
        let told = |error: std::io::Error| Failure(format!("{address}: {error}"));
        let resolved = address.to_socket_addrs().map_err(told)?.next();
        let resolved = resolved.ok_or_else(|| Failure(format!("{address}: no such address")))?;
        let dialled =
            std::net::TcpStream::connect_timeout(&resolved, CONNECT_WITHIN).map_err(told)?;
        dialled.set_nodelay(true).map_err(told)?;
        dialled.set_nonblocking(true).map_err(told)?;
        let mut socket = TcpStream::from_std(dialled);
        let place = self.connections.len();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut socket, Token(place), interest)
            .map_err(told)?;
        let mut output = Vec::new();
        session.open(&mut output);
        self.connections.push(Connection {
            address: address.to_owned(),
            socket,
            session,
            publisher: publisher.is_some().then_some(self.publishers.len()),
            input: Vec::new(),
            output,
            written: 0,
            is_readable: false,
        });
        self.publishers.extend(publisher.map(|one| (one, place)));
        self.connections[place].write()
    }

    pub fn are_all_ready(&self) -> bool {
        self.connections.iter().all(|one| one.session.is_ready())
    }

    pub fn is_all_answered(&self) -> bool {
        self.publishers
            .iter()
            .all(|(one, _)| one.in_flight_count == 0)
    }

    /// Lets publishers with a rate begin, one after the other.
    pub fn start_rates(&mut self) {
        let now_ns = self.tally.now_ns();
        let count = self.publishers.len() as u64;
        for (index, (publisher, _)) in self.publishers.iter_mut().enumerate() {
            let interval_ns = publisher.interval_ns().unwrap_or_default();
            publisher.start(now_ns, interval_ns * index as u64 / count);
        }
    }

    /// Publishes a probe for every publisher that is not seen everywhere.
    pub fn probe(&mut self) -> Result<(), Failure> {
        for (index, (publisher, place)) in self.publishers.iter_mut().enumerate() {
            if self.tally.is_probe_missing(index) {
                let connection = &mut self.connections[*place];
                let (topic, payload) = publisher.probe();
                connection
                    .session
                    .publish(topic, payload, &mut connection.output);
                connection.session.flush(&mut connection.output);
                connection.write()?;
            }
        }
        Ok(())
    }

    /// Publishes whatever may go now.
    pub fn publish(&mut self) -> Result<(), Failure> {
        for (publisher, place) in &mut self.publishers {
            let connection = &mut self.connections[*place];
            let mut is_any = false;
            while connection.unwritten_bytes() < UNWRITTEN_BYTES_MAX {
                let Some((topic, payload)) = publisher.next(&mut self.tally) else {
                    break;
                };
                connection
                    .session
                    .publish(topic, payload, &mut connection.output);
                is_any = true;
            }
            if is_any {
                connection.session.flush(&mut connection.output);
                connection.write()?;
            }
        }
        Ok(())
    }

    /// Returns how long there is nothing to publish, `limit` at most.
    pub fn idle(&self, limit: Duration) -> Duration {
        let due_ns = self.publishers.iter().filter_map(|(one, _)| one.due_ns());
        match due_ns.min() {
            None => limit,
            Some(due_ns) => {
                Duration::from_nanos(due_ns.saturating_sub(self.tally.now_ns())).min(limit)
            }
        }
    }

    /// Waits for bytes, `limit` at most, and takes them.
    pub fn turn(&mut self, limit: Duration) -> Result<(), Failure> {
        let is_any_readable = self.connections.iter().any(|one| one.is_readable);
        let limit = if is_any_readable {
            Duration::ZERO
        } else {
            limit
        };
        match self.poll.poll(&mut self.events, Some(limit)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other.map_err(|error| Failure(format!("epoll: {error}")))?,
        }
        for event in &self.events {
            let connection = &mut self.connections[event.token().0];
            connection.is_readable |= event.is_readable() || event.is_read_closed();
            if event.is_writable() {
                connection.write()?;
            }
        }
        for connection in &mut self.connections {
            if !connection.is_readable {
                continue;
            }
            self.tally.answered_now = 0;
            connection.read(&mut self.buffer, &mut self.tally)?;
            connection.write()?;
            let answered = std::mem::take(&mut self.tally.answered_now);
            if answered > 0 {
                let whose = connection.publisher.ok_or("an answer to a subscriber")?;
                let count = self.publishers[whose].0.answered(answered)?;
                self.tally.answered_count += count as u64;
            }
        }
        Ok(())
    }

    /// Takes turns until `is_reached`, or fails.
    pub fn turn_until(
        &mut self,
        what: &str,
        within: Duration,
        is_reached: impl Fn(&Engine) -> bool,
    ) -> Result<(), Failure> {
        let end = Instant::now() + within;
        while !is_reached(self) {
            if Instant::now() > end {
                return Err(format!("{what}: not within {:.0} s", within.as_secs_f64()).into());
            }
            self.turn(Duration::from_millis(50))?;
        }
        Ok(())
    }
}

impl Connection {
    fn unwritten_bytes(&self) -> usize {
        self.output.len() - self.written
    }

    fn read(&mut self, buffer: &mut [u8], tally: &mut Tally) -> Result<(), Failure> {
        let mut taken = 0;
        while taken < READ_BYTES_MAX {
            match self.socket.read(buffer) {
                Ok(0) => return Err(format!("{} ended the connection", self.address).into()),
                Ok(count) => {
                    taken += count;
                    self.take(&buffer[..count], tally)?;
                    if count < buffer.len() {
                        // All that was there: more of it makes another event.
                        self.is_readable = false;
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("{}: {error}", self.address).into()),
            }
        }
        Ok(())
    }

    /// Gives the session what came, with what it left before.
    fn take(&mut self, came: &[u8], tally: &mut Tally) -> Result<(), Failure> {
        if self.input.is_empty() {
            let done = self.session.receive(came, &mut self.output, tally)?;
            self.input.extend_from_slice(&came[done..]);
            return Ok(());
        }
        self.input.extend_from_slice(came);
        let done = self.session.receive(&self.input, &mut self.output, tally)?;
        self.input.drain(..done);
        Ok(())
    }

    fn write(&mut self) -> Result<(), Failure> {
        while self.written < self.output.len() {
            match self.socket.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.output.drain(..self.written);
                    self.written = 0;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("{}: {error}", self.address).into()),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }
}

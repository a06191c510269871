//! Connections: from a socket, through TLS and the preamble where there are any, to HTTP/2 and the end.
//!
//! Whatever happens, the end is told once, and everything that a connection held is let go.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout, Sleep};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::events::{ConnectionId, Event};
use super::network::{Connection, Network, Preamble, Service};
use super::shares::Source;
use super::{calling, serving};

/// Of bytes before HTTP/2 that are read at once.
const PREAMBLE_READ_BYTES: usize = 16 << 10;
/// A program that takes no byte for that long while bytes wait for it is given up. Long, since it may be stopped by hand.
const PLAIN_STALL: Duration = Duration::from_secs(300);

/// What distinguishes connections that we accept and that we dial, after the socket.
pub enum Role {
    Plain(Rc<Service>),
    Accepted {
        service: Rc<Service>,
        tls: Arc<rustls::ServerConfig>,
        secured_within: Duration,
        stall: Duration,
    },
    Dialled {
        tls: Arc<rustls::ClientConfig>,
        host: String,
        secured_within: Duration,
        begin_within: Duration,
        stall: Duration,
    },
}

/// Registers a connection at once, so that orders reach it; the future holds it until it ends or is killed.
pub fn hold(
    network: &Rc<Network>,
    id: ConnectionId,
    socket: TcpStream,
    role: Role,
) -> impl Future<Output = ()> {
    let service = match &role {
        Role::Plain(service) | Role::Accepted { service, .. } => Some(service.clone()),
        Role::Dialled { .. } => None,
    };
    let source = Source::of(&socket);
    if let Some(service) = &service {
        service.connections.borrow_mut().add(source);
    }
    let connection = Rc::new(Connection::of(
        service.as_ref().map(|service| service.id),
        source,
    ));
    let known = Known {
        network: network.clone(),
        id,
        service,
        source,
        reason: "the connection's task failed".into(),
    };
    let mut connections = network.connections.borrow_mut();
    connections.insert(id, connection.clone());
    async move {
        let mut known = known;
        let network = known.network.clone();
        let ended = tokio::select! {
            ended = run(&network, id, &connection, socket, role) => ended,
            () = connection.is_killed.notified() => Err((*connection.end.borrow()).to_owned()),
        };
        known.reason = ended.err().unwrap_or_default();
    }
}

/// Forgets a connection when dropped, and tells its end: also when its task is dropped or panics.
struct Known {
    network: Rc<Network>,
    id: ConnectionId,
    service: Option<Rc<Service>>,
    source: Source,
    reason: String,
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(service) = &self.service {
            service.connections.borrow_mut().remove(self.source);
        }
        let connection = self.network.connections.borrow_mut().remove(&self.id);
        self.network.emit(Event::Disconnected {
            connection: self.id,
            reason: std::mem::take(&mut self.reason),
        });
        if let Some(connection) = connection {
            connection.is_gone.notify_waiters();
        }
    }
}

async fn run(
    network: &Rc<Network>,
    id: ConnectionId,
    connection: &Rc<Connection>,
    socket: TcpStream,
    role: Role,
) -> Result<(), String> {
    // Answers are small and urgent; what is sent together is gathered before.
    socket
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    match role {
        Role::Plain(service) => {
            let io = Metered::new(connection, Watched::new(socket, PLAIN_STALL));
            serving::serve(network, id, connection, &service, io).await
        }
        Role::Accepted {
            service,
            tls,
            secured_within,
            stall,
        } => {
            let shake = TlsAcceptor::from(tls).accept(Watched::new(socket, stall));
            let mut io = secured(secured_within, shake).await?;
            network.emit(Event::Secured {
                connection: id,
                certificate: Bytes::new(),
            });
            let surplus = preamble(network, id, connection, &mut io).await?;
            let io = Metered::new(connection, Surplus { surplus, io });
            serving::serve(network, id, connection, &service, io).await
        }
        Role::Dialled {
            tls,
            host,
            secured_within,
            begin_within,
            stall,
        } => {
            // A proxy in between may look at the name; nobody verifies it, and one that is none is not sent.
            let name = ServerName::try_from(host).unwrap_or(ServerName::IpAddress(
                std::net::Ipv4Addr::UNSPECIFIED.into(),
            ));
            let shake = TlsConnector::from(tls).connect(name, Watched::new(socket, stall));
            let mut io = secured(secured_within, shake).await?;
            let shown = io.get_ref().1.peer_certificates();
            let certificate = shown.and_then(<[_]>::first);
            network.emit(Event::Secured {
                connection: id,
                certificate: certificate
                    .map_or_else(Bytes::new, |one| Bytes::copy_from_slice(one.as_ref())),
            });
            let surplus = preamble(network, id, connection, &mut io).await?;
            let io = Metered::new(connection, Surplus { surplus, io });
            calling::hold(network, id, connection, begin_within, io).await
        }
    }
}

async fn secured<T>(
    within: Duration,
    shake: impl Future<Output = io::Result<T>>,
) -> Result<T, String> {
    match timeout(within, shake).await {
        Ok(Ok(io)) => Ok(io),
        Ok(Err(error)) => Err(format!("TLS failed: {error}")),
        Err(_) => Err("TLS took too long".into()),
    }
}

/// Does what the interpreter orders before HTTP/2; returns what had been read too far.
async fn preamble<IO: AsyncRead + AsyncWrite + Unpin>(
    network: &Network,
    id: ConnectionId,
    connection: &Connection,
    io: &mut IO,
) -> Result<Bytes, String> {
    let take = |all: &mut VecDeque<Preamble>| all.pop_front();
    loop {
        let next = take(&mut connection.preamble.borrow_mut());
        match next {
            None => connection.is_preamble.notified().await,
            Some(Preamble::Begin(surplus)) => return Ok(surplus),
            Some(Preamble::Send(content)) => {
                let sent = async {
                    io.write_all(&content).await?;
                    io.flush().await
                };
                sent.await.map_err(|error: io::Error| error.to_string())?;
            }
            Some(Preamble::Read) => {
                let mut content = BytesMut::with_capacity(PREAMBLE_READ_BYTES);
                let count = io
                    .read_buf(&mut content)
                    .await
                    .map_err(|error| error.to_string())?;
                network.emit(Event::Received {
                    connection: id,
                    bytes: content.freeze(),
                });
                if count == 0 {
                    return Err("the peer closed the connection".into());
                }
            }
        }
    }
}

/// Bytes that were read too far, before those that follow.
struct Surplus<IO> {
    surplus: Bytes,
    io: IO,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Surplus<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.surplus.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, buffer);
        }
        take_from(&mut self.surplus, buffer);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Surplus<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        content: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, content)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        contents: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, contents)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// A socket whose peer is given up when it takes no byte for too long while bytes wait for it.
///
/// It is read in large pieces, of which those above read smaller ones: each call of the system costs as much as copying
/// many kilobytes.
struct Watched {
    socket: TcpStream,
    ahead: Bytes,
    stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

/// Of bytes that are read from a socket at once.
const AHEAD_BYTES: usize = 64 << 10;

thread_local! {
    /// What connections read into in turn; what one does not take at once is kept with it.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; AHEAD_BYTES].into());
}

impl Watched {
    fn new(socket: TcpStream, stall: Duration) -> Self {
        Self {
            socket,
            ahead: Bytes::new(),
            stall,
            stalled: None,
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            READ.with_borrow_mut(|scratch| {
                let mut read = ReadBuf::new(scratch);
                ready!(Pin::new(&mut self.socket).poll_read(context, &mut read))?;
                let (now, later) = read
                    .filled()
                    .split_at(buffer.remaining().min(read.filled().len()));
                buffer.put_slice(now);
                self.ahead = Bytes::copy_from_slice(later);
                Poll::Ready(Ok(()))
            })
        } else {
            take_from(&mut self.ahead, buffer);
            Poll::Ready(Ok(()))
        }
    }
}

/// Moves as many bytes as there is room for; the last ones let the memory go.
fn take_from(from: &mut Bytes, buffer: &mut ReadBuf<'_>) {
    let count = from.len().min(buffer.remaining());
    buffer.put_slice(&from[..count]);
    from.advance(count);
    if from.is_empty() {
        *from = Bytes::new();
    }
}

impl Watched {
    /// Fails a write that has been pending for too long.
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        content: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, content);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        contents: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, contents);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// What HTTP/2 reads and writes: notes what has left, and lets a flood take turns with other connections.
struct Metered<IO> {
    connection: Rc<Connection>,
    io: IO,
}

impl<IO> Metered<IO> {
    fn new(connection: &Rc<Connection>, io: IO) -> Self {
        Self {
            connection: connection.clone(),
            io,
        }
    }

    fn note<T>(
        &self,
        done: Poll<io::Result<T>>,
        sent: impl Fn(&T) -> Option<usize>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(Ok(result)) = &done {
            self.connection.note_sent(sent(result));
        }
        done
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Metered<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.connection.is_turn_over() {
            // What serves begins the next turn when it has taken all calls; one that dialled takes none.
            if self.connection.service.is_none() {
                self.connection.begin_turn();
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if read.is_ready() {
            self.connection.note_read(buffer.filled().len() - before);
        } else {
            self.connection.begin_turn();
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Metered<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        content: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, content);
        self.note(written, |size| Some(*size))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        contents: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, contents);
        self.note(written, |size| Some(*size))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.note(flushed, |()| None)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

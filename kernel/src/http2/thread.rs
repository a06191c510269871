//! The network's thread: carries out orders and accepts connections.

use std::future::Future;
use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::Notify;
use tokio::task::{spawn_local, LocalSet};
use tokio::time::{sleep, Instant};

use crate::bulk::reason_of;

use super::calling;
use super::events::{ConnectionId, Event, Inbox};
use super::link::{hold, Role};
use super::network::{Call, ListenerId, Network, Order, Outgoing, Panic, Service, ServiceId};
use super::shares::make_room;

/// After an accept that failed, mostly because there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether connections have ended.
const LOOK: Duration = Duration::from_millis(5);

/// Runs until it is told to stop, or fails: then that is told, after the end of all calls and connections.
pub fn run(
    runtime: &tokio::runtime::Runtime,
    inbox: Arc<Inbox>,
    next_id: Arc<AtomicU64>,
    orders: UnboundedReceiver<Vec<Order>>,
) {
    let worked = catch_unwind(AssertUnwindSafe(|| {
        work(runtime, inbox.clone(), next_id, orders);
    }));
    if let Err(panic) = worked {
        inbox.push(Event::Failed {
            reason: reason_of(&*panic),
        });
    }
    inbox.flush();
}

fn work(
    runtime: &tokio::runtime::Runtime,
    inbox: Arc<Inbox>,
    next_id: Arc<AtomicU64>,
    mut orders: UnboundedReceiver<Vec<Order>>,
) {
    let network = Rc::new(Network::new(inbox, next_id));
    let all = LocalSet::new();
    all.block_on(runtime, async {
        loop {
            let together = tokio::select! {
                together = orders.recv() => together,
                reason = network.wait_failure() => panic!("{reason}"),
            };
            for order in together.unwrap_or_else(|| vec![Order::Stop]) {
                match order {
                    Order::Stop => return,
                    order => carry_out(&network, order),
                }
            }
        }
    });
    // Tasks tell their ends when they are dropped, to a network that is still there.
    drop(all);
}

/// Runs a task without which the network is none: its panic is the network's.
fn spawn_needed(network: &Rc<Network>, task: impl Future<Output = ()> + 'static) {
    struct Needed(Rc<Network>);
    impl Drop for Needed {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.fail("a task of the network failed");
            }
        }
    }
    let needed = Needed(network.clone());
    spawn_local(async move {
        let _needed = needed;
        task.await;
    });
}

fn carry_out(network: &Rc<Network>, order: Order) {
    match order {
        Order::Serve(service) => {
            let mut services = network.services.borrow_mut();
            services.insert(service.id, Rc::new(service));
        }
        Order::Listen {
            listener,
            service,
            socket,
            connections_max,
        } => {
            let Some(service) = network.services.borrow().get(&service).cloned() else {
                return;
            };
            let is_ended = Rc::new(Notify::new());
            network
                .listeners
                .borrow_mut()
                .insert(listener, is_ended.clone());
            let own = network.clone();
            spawn_needed(network, async move {
                listen(&own, socket, service, connections_max, &is_ended).await;
                own.emit(Event::Stopped { what: listener });
            });
        }
        Order::StopListening(listener) => stop_listening(network, listener),
        Order::Accept {
            connection,
            service,
            socket,
            tls,
            secured_within,
            stall,
        } => {
            let known = network.services.borrow().get(&service).cloned();
            let role = known.map(|service| Role::Accepted {
                service,
                tls,
                secured_within,
                stall,
            });
            connect(network, connection, socket, role);
        }
        Order::Dial {
            connection,
            socket,
            tls,
            host,
            secured_within,
            begin_within,
            stall,
        } => {
            let role = Role::Dialled {
                tls,
                host,
                secured_within,
                begin_within,
                stall,
            };
            connect(network, connection, socket, Some(role));
        }
        Order::Preamble(connection, preamble) => {
            if let Some(connection) = network.connection(connection) {
                connection.preamble.borrow_mut().push_back(preamble);
                connection.is_preamble.notify_one();
            }
        }
        Order::LeaveAll(service) => {
            for connection in network.served(service) {
                connection.is_leaving.notify_one();
            }
        }
        Order::EndService(service, linger) => {
            network.services.borrow_mut().remove(&service);
            spawn_needed(network, end_service(network.clone(), service, linger));
        }
        Order::Kill(connection) => {
            if let Some(connection) = network.connection(connection) {
                connection.kill("ended here");
            }
        }
        Order::Call(order, message_bytes_max) => {
            let call = Rc::new(Call::default());
            network.calls.borrow_mut().insert(order.call, call);
            spawn_local(calling::call(network.clone(), order, message_bytes_max));
        }
        Order::Send(call, all) => {
            if let Some(call) = network.call(call) {
                for one in all {
                    call.put(one);
                }
            }
        }
        Order::Answer(call, message) => {
            if let Some(call) = network.call(call) {
                call.put(Outgoing::Message(message));
                call.put(Outgoing::Finish {
                    code: 0,
                    text: String::new(),
                });
            }
        }
        Order::Consumed(call, size_bytes) => {
            if let Some(call) = network.call(call) {
                let left = call.unread_bytes.get().saturating_sub(size_bytes);
                call.unread_bytes.set(left);
                call.is_read.notify_one();
            }
        }
        Order::Panic(Panic::Loop) => panic!("asked to"),
        Order::Panic(Panic::Task) => spawn_needed(network, async { panic!("asked to") }),
        Order::Stop => {}
    }
}

/// Holds a connection; one that cannot be held has ended.
fn connect(
    network: &Rc<Network>,
    connection: ConnectionId,
    socket: std::net::TcpStream,
    role: Option<Role>,
) {
    match (TcpStream::from_std(socket), role) {
        (Ok(socket), Some(role)) => {
            spawn_local(hold(network, connection, socket, role));
        }
        _ => network.emit(Event::Disconnected {
            connection,
            reason: "the socket cannot be used".into(),
        }),
    }
}

fn stop_listening(network: &Network, listener: ListenerId) {
    if let Some(is_ended) = network.listeners.borrow_mut().remove(&listener) {
        is_ended.notify_one();
    }
}

/// Ends the connections of a service: those that are done at once, the others after a while.
async fn end_service(network: Rc<Network>, service: ServiceId, linger: Duration) {
    for connection in network.served(service) {
        connection.is_leaving.notify_one();
    }
    let end = Instant::now() + linger;
    while !network.served(service).is_empty() && Instant::now() < end {
        sleep(LOOK).await;
    }
    for connection in network.served(service) {
        connection.kill("ended here");
    }
    network.emit(Event::Stopped { what: service });
}

/// Accepts plaintext connections until told to stop.
async fn listen(
    network: &Rc<Network>,
    socket: std::net::TcpListener,
    service: Rc<Service>,
    connections_max: usize,
    is_ended: &Notify,
) {
    let Ok(socket) = TcpListener::from_std(socket) else {
        return;
    };
    loop {
        let accepted: io::Result<_> = tokio::select! {
            accepted = socket.accept() => accepted,
            () = is_ended.notified() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                let count = service.connections.borrow().total();
                let is_full = count >= connections_max;
                if is_full && !make_room(network, &service, address.ip().into()) {
                    // Closed at once: those who are connected are not disturbed.
                    continue;
                }
                let id = network.next_id();
                spawn_local(hold(network, id, stream, Role::Plain(service.clone())));
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

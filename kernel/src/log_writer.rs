//! Appends to the log of a journal: at once, or by a thread of its own while the interpreter goes on.
//!
//! The thread never needs the interpreter's lock, so that neither waits for the other. It decides nothing: one append is
//! under way at a time, and what its failure means is decided elsewhere.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::catch_unwind;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::append::{frame, write_durably, Place};
use crate::bulk::{locked, reason_of, unlocked};

/// Frames beyond that are composed without the interpreter's lock.
const SHORT_BYTES: usize = 64 << 10;

/// Where a frame goes: files of log and mark; offset of the frame and end of the file; salt, sequence, and the next
/// numbers of queues and records.
type Target = ((RawFd, RawFd), (u64, u64), (u64, u64, u64, u64));
/// Its target, numbers and blobs.
type FrameIn<'py> = (Target, Bound<'py, PyBytes>, Vec<Bound<'py, PyBytes>>);
type Content<'a> = (Target, &'a [u8], Vec<&'a [u8]>);

/// A frame to be written: files of log and mark, the offset, the frame, the mark.
struct Order {
    files: (RawFd, RawFd),
    offset: u64,
    frame: Vec<u8>,
    mark: [u8; 36],
}

impl Order {
    /// Returns what writes a frame; None if it does not fit between the room's offset and end.
    fn of(((files, room, place), meta, blobs): Content<'_>) -> Option<Self> {
        let (salt, sequence, next_queue, next_record) = place;
        let place = Place {
            salt,
            sequence,
            next_queue,
            next_record,
        };
        let frame = frame(&place, meta, &blobs)?;
        let (offset, end) = room;
        (offset.checked_add(frame.len() as u64)? <= end).then(|| Self {
            files,
            offset,
            frame,
            mark: place.mark(),
        })
    }

    fn perform(&self) -> io::Result<()> {
        let (log, mark) = self.files;
        write_durably(log, self.offset, &self.frame, mark, &self.mark)
    }
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    UnderWay,
    Ended(io::Result<()>),
}

/// What the interpreter and the thread have in common.
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
    ringing: UnixStream,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is ordered until nobody can order any more.
    fn work(&self, orders: &Receiver<Order>) {
        for order in orders {
            let result = catch_unwind(|| order.perform());
            let result = result.unwrap_or_else(|panic| Err(io::Error::other(reason_of(&*panic))));
            let mut state = self.state();
            *state = State::Ended(result);
            // Before anybody can begin another one, so that each ring belongs to its own.
            let _ = (&self.ringing).write(&[0]);
            self.ended.notify_all();
        }
    }

    /// Waits for the end of what is under way, and returns how it ended.
    fn end(&self) -> io::Result<()> {
        let mut state = self.state();
        while matches!(*state, State::UnderWay) {
            state = self
                .ended
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Self::outcome(&mut state)
    }

    /// Returns how what was begun has ended; None while it is under way.
    fn end_now(&self) -> Option<io::Result<()>> {
        let mut state = self.state();
        (!matches!(*state, State::UnderWay)).then(|| Self::outcome(&mut state))
    }

    fn outcome(state: &mut State) -> io::Result<()> {
        match std::mem::take(state) {
            State::Ended(result) => result,
            State::Idle | State::UnderWay => Ok(()),
        }
    }
}

/// Writes frames to the log of a journal.
#[pyclass(frozen)]
pub struct LogWriter {
    shared: Arc<Shared>,
    /// To the thread, from the first order on that it is given.
    orders: Mutex<Option<Sender<Order>>>,
    rung: UnixStream,
}

impl LogWriter {
    fn made() -> io::Result<Self> {
        let (rung, ringing) = UnixStream::pair()?;
        rung.set_nonblocking(true)?;
        // Rings that nobody takes note of must not hold up the thread.
        ringing.set_nonblocking(true)?;
        let shared = Shared {
            state: Mutex::default(),
            ended: Condvar::new(),
            ringing,
        };
        Ok(Self {
            shared: Arc::new(shared),
            orders: Mutex::default(),
            rung,
        })
    }

    fn give(&self, order: Order) -> io::Result<()> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match &mut *orders {
            Some(sender) => sender,
            none => {
                let (sender, receiver) = channel();
                let shared = Arc::clone(&self.shared);
                thread::Builder::new()
                    .name("wavemq-log".to_owned())
                    .spawn(move || shared.work(&receiver))?;
                none.insert(sender)
            }
        };
        *self.shared.state() = State::UnderWay;
        sender.send(order).map_err(|_| {
            *self.shared.state() = State::Idle;
            io::Error::other("the thread that writes the log has ended")
        })
    }
}

#[pymethods]
impl LogWriter {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self::made()?)
    }

    fn fileno(&self) -> RawFd {
        self.rung.as_raw_fd()
    }

    /// Appends a frame, durably, and marks it; returns the bytes that it took, or 0 if there is no room.
    fn append(&self, py: Python<'_>, frame: FrameIn<'_>) -> PyResult<usize> {
        let content = content_of(&frame);
        let written = unlocked(py, || {
            let Some(order) = Order::of(content) else {
                return Ok(0);
            };
            order.perform()?;
            Ok::<usize, io::Error>(order.frame.len())
        })??;
        Ok(written)
    }

    /// Begins to append a frame, as `append` does; the descriptor is readable when that has ended.
    ///
    /// The files stay open until `end` has told how. One append at a time.
    fn begin(&self, py: Python<'_>, frame: FrameIn<'_>) -> PyResult<usize> {
        let content = content_of(&frame);
        let size_bytes: usize = content.2.iter().map(|one| one.len()).sum();
        let made = || Order::of(content);
        let order = if size_bytes <= SHORT_BYTES {
            locked(py, made)?
        } else {
            unlocked(py, made)?
        };
        let Some(order) = order else { return Ok(0) };
        let frame_bytes = order.frame.len();
        self.give(order)?;
        Ok(frame_bytes)
    }

    /// Waits for the end of what was begun, and raises what it failed with.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        let ended = match locked(py, || self.shared.end_now())? {
            Some(ended) => ended,
            None => unlocked(py, || self.shared.end())?,
        };
        Ok(ended?)
    }

    /// Takes note that the descriptor was readable.
    fn take(&self) {
        let _ = (&self.rung).read(&mut [0; 8]);
    }
}

fn content_of<'a>((target, meta, blobs): &'a FrameIn<'_>) -> Content<'a> {
    let blobs = blobs.iter().map(|one| one.as_bytes()).collect();
    (*target, meta.as_bytes(), blobs)
}

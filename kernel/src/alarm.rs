//! An alarm for the interpreter's event loop, finer than its own timers, which epoll rounds up to milliseconds.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A descriptor that is readable when the time has come (timerfd_create(2)).
#[pyclass(frozen)]
pub struct Alarm(File);

#[pymethods]
impl Alarm {
    #[new]
    fn new() -> PyResult<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: the call takes no pointers.
        let descriptor = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error().into());
        }
        // SAFETY: the descriptor was opened just now, and nobody else knows it.
        Ok(Self(File::from(unsafe {
            OwnedFd::from_raw_fd(descriptor)
        })))
    }

    fn fileno(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Rings once, after so many seconds; what was set before does not ring any more.
    fn set(&self, seconds: f64) -> PyResult<()> {
        let wait = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err("a number of seconds is out of range"))?;
        // Zero would stop it.
        let wait = wait.max(Duration::from_nanos(1));
        let once = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: libc::timespec {
                tv_sec: wait.as_secs() as libc::time_t,
                tv_nsec: wait.subsec_nanos() as libc::c_long,
            },
        };
        // SAFETY: the descriptor is open as long as this is, and the value outlives the call, which writes nothing.
        let result = unsafe { libc::timerfd_settime(self.fileno(), 0, &once, ptr::null_mut()) };
        if result < 0 {
            return Err(io::Error::last_os_error().into());
        }
        Ok(())
    }

    /// Takes note of a ring; returns whether there was one.
    fn take(&self) -> bool {
        (&self.0).read(&mut [0; 8]).is_ok()
    }
}

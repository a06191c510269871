//! Work that is done in bulk: on all cores, without the interpreter's lock, and never panicking
//! into Python.

use std::any::Any;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// Threads that a bulk operation uses at most, the caller's among them.
const THREADS_MAX: usize = 8;

/// Runs `work` over `items` on a few threads; the results are in order of the items.
///
/// The caller's thread takes part. Where the system gives no other thread, it does all of it.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = thread_count().min(items.len());
    if threads <= 1 {
        return items.iter().map(&work).collect();
    }
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        // Items differ in size, so that each thread takes the next one when it is free.
        while let Some((index, item)) = take_next(items, &next) {
            done.push((index, work(item)));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, take).ok())
            .collect();
        let mut done = take();
        for other in others {
            match other.join() {
                Ok(results) => done.extend(results),
                Err(panic) => resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Asked of the system once: the answer takes longer than a small piece of work.
fn thread_count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX))
    })
}

fn take_next<'a, T>(items: &'a [T], next: &AtomicUsize) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    items.get(index).map(|item| (index, item))
}

/// Runs `work` without the interpreter's lock; a panic in it becomes `InternalError`.
///
/// `PanicException` would pass by every `except Exception` and end the whole router.
pub fn unlocked<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    py.detach(|| catch_unwind(AssertUnwindSafe(work)))
        .map_err(|panic| internal_error(py, &*panic))
}

/// Runs `work`, too short to give the interpreter's lock away; a panic becomes `InternalError`.
pub fn locked<T>(py: Python<'_>, work: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| internal_error(py, &*panic))
}

/// Returns what a panic says.
pub fn reason_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
        .to_owned()
}

fn internal_error(py: Python<'_>, panic: &(dyn Any + Send)) -> PyErr {
    let text = format!("the kernel failed: {}", reason_of(panic));
    let made = py
        .import("wavemq.errors")
        .and_then(|errors| errors.getattr("InternalError"))
        .and_then(|class| class.call1((text.as_str(),)));
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(_) => PyRuntimeError::new_err(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        for count in [0, 1, 2, 3, 1000] {
            let items: Vec<usize> = (0..count).collect();
            let doubled: Vec<usize> = items.iter().map(|one| 2 * one).collect();
            assert_eq!(in_parallel(&items, |one| 2 * one), doubled);
        }
    }

    #[test]
    fn a_panic_in_any_thread_reaches_the_caller() {
        let items: Vec<usize> = (0..64).collect();
        let caught = catch_unwind(|| {
            in_parallel(&items, |one| {
                assert!(*one != 40, "forty");
                *one
            })
        });
        assert!(caught.is_err());
    }
}

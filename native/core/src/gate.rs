//! The lock over everything that is kept: readers side by side, one writer, nobody asleep for long.
//!
//! Covers: waiting. Does not cover: what is locked (`cache.rs`).
//!
//! The lock itself is a sharded one: readers on different processors touch different cache lines.
//! Everybody holds it for microseconds, and being woken by the system takes tens of them, so
//! whoever waits first looks again and again, and readers step back for a writer that waits; only
//! then is the waiting left to the lock, which sleeps.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};

use crate::error::Error;

/// Looks without a system call, a few microseconds in all.
const SPINS: u32 = 100;
/// How long to look on, letting other threads run in between, before sleeping.
const PATIENCE: Duration = Duration::from_micros(100);

/// A lock over a value.
pub struct Gate<T> {
    lock: ShardedLock<T>,
    /// Writers that have not got it yet.
    writers: AtomicU32,
}

/// Look until there is something, or until patience is at its end.
fn look<T>(mut found: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..SPINS {
        if let Some(found) = found() {
            return Some(found);
        }
        for _ in 0..8 {
            std::hint::spin_loop();
        }
    }
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = found() {
            return Some(found);
        }
        thread::yield_now();
    }
    None
}

impl<T> Gate<T> {
    /// A lock that nobody holds.
    pub fn new(value: T) -> Self {
        Gate {
            lock: ShardedLock::new(value),
            writers: AtomicU32::new(0),
        }
    }

    /// Share it. `Broken` if a writer panicked.
    #[inline]
    pub fn read(&self) -> Result<ShardedLockReadGuard<'_, T>, Error> {
        if self.writers.load(Relaxed) == 0 {
            if let Ok(guard) = self.lock.try_read() {
                return Ok(guard);
            }
        }
        look(|| {
            if self.writers.load(Relaxed) == 0 {
                self.lock.try_read().ok()
            } else {
                None
            }
        })
        .map_or_else(|| self.lock.read().map_err(|_| Error::Broken), Ok)
    }

    /// Have it alone. `Broken` if a writer panicked.
    #[inline]
    pub fn write(&self) -> Result<ShardedLockWriteGuard<'_, T>, Error> {
        if let Ok(guard) = self.lock.try_write() {
            return Ok(guard);
        }
        self.writers.fetch_add(1, Relaxed);
        let guard = look(|| self.lock.try_write().ok());
        let guard = guard.map_or_else(|| self.lock.write().map_err(|_| Error::Broken), Ok);
        self.writers.fetch_sub(1, Relaxed);
        guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn writers_are_alone_and_readers_see_whole_changes() {
        let gate = Gate::new((0u64, 0u64));
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..2000 {
                        let mut pair = gate.write().unwrap();
                        pair.0 += 1;
                        pair.1 += 1;
                    }
                });
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..2000 {
                        let pair = gate.read().unwrap();
                        assert_eq!(pair.0, pair.1);
                    }
                });
            }
        });
        assert_eq!(*gate.read().unwrap(), (4000, 4000));
        assert_eq!(gate.writers.load(Relaxed), 0);
    }

    #[test]
    fn a_writer_waits_for_a_reader_that_takes_long() {
        let gate = Gate::new(0);
        let reader = gate.read().unwrap();
        thread::scope(|scope| {
            let writer = scope.spawn(|| *gate.write().unwrap() = 1);
            while gate.writers.load(Relaxed) == 0 {
                thread::yield_now();
            }
            assert_eq!(*reader, 0);
            drop(reader);
            writer.join().unwrap();
        });
        assert_eq!(*gate.read().unwrap(), 1);
    }

    #[test]
    fn after_a_panic_in_a_change_nothing_is_answered_any_more() {
        let gate = Gate::new(0);
        let failed = thread::scope(|scope| {
            let broken = || {
                let _guard = gate.write().unwrap();
                panic!("in the middle of a change");
            };
            scope.spawn(broken).join().is_err()
        });
        assert!(failed);
        assert_eq!(gate.read().err(), Some(Error::Broken));
        assert_eq!(gate.write().err(), Some(Error::Broken));
    }
}

//! Interleaved rounds: every operation once a round, one after the other, medians over rounds.
//!
//! Times are CPU time of the thread, so that waiting for a CPU does not count.

/// A named operation over all pages.
pub struct Operation<'a> {
    pub name: &'static str,
    pub body: Box<dyn FnMut() + 'a>,
}

/// Nanoseconds a page of one operation.
pub struct Time {
    pub median: f64,
    pub best: f64,
}

/// Runs every operation once to warm up, then `rounds` times, and gives the times a page.
pub fn run(operations: &mut [Operation], rounds: usize, pages: usize) -> Vec<Time> {
    let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); operations.len()];
    for round in 0..=rounds {
        for (operation, seconds) in operations.iter_mut().zip(&mut seconds) {
            let start = thread_seconds();
            (operation.body)();
            let spent = thread_seconds() - start;
            if round > 0 {
                seconds.push(spent);
            }
        }
    }
    let per_page = 1e9 / pages as f64;
    seconds
        .iter_mut()
        .map(|seconds| {
            seconds.sort_by(f64::total_cmp);
            Time {
                median: seconds[rounds / 2] * per_page,
                best: seconds[0] * per_page,
            }
        })
        .collect()
}

/// CPU time of this thread.
fn thread_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of our own.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "no clock of the thread's CPU time");
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

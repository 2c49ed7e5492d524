//! How long something takes, for every bench.

use std::{hint::black_box, time::Instant};

/// The seconds of the shortest of several rounds, the one that was disturbed least, and what it made.
pub fn best<T>(rounds: usize, mut work: impl FnMut() -> T) -> (f64, T) {
    let mut timed = || {
        let begun = Instant::now();
        let made = black_box(work());
        (begun.elapsed().as_secs_f64(), made)
    };
    let first = timed();
    (1..rounds).map(|_| timed()).fold(first, |best, next| if next.0 < best.0 { next } else { best })
}

//! The cells that other runners are computing: when to look at them again, and what was seen of their leases.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use assay_cache::Watch;

/// Cells whose lease somebody else holds.
pub struct Elsewhere {
    cells: BTreeMap<usize, Held>,
    /// When to look again, and how long it will be until the time after.
    next: Instant,
    pause: Duration,
}

/// A lease of somebody else: who that is, and what was seen of it, unless that is being looked at.
struct Held {
    holder: String,
    watch: Option<Watch>,
}

/// Between two looks, at first and at most: what was just leased may be short.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

impl Elsewhere {
    pub fn new() -> Self {
        Self { cells: BTreeMap::new(), next: Instant::now(), pause: PAUSE.0 }
    }

    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    pub fn has(&self, cell: usize) -> bool {
        self.cells.contains_key(&cell)
    }

    /// Notes that somebody else has a cell; the name of who, if that is news.
    pub fn note(&mut self, cell: usize, watch: Watch) -> Option<String> {
        let holder = watch.holder().map_or("another runner".to_owned(), ToString::to_string);
        let held = Held { holder: holder.clone(), watch: Some(watch) };
        if self.cells.insert(cell, held).is_some_and(|before| before.holder == holder) {
            return None;
        }
        self.news();
        Some(holder)
    }

    /// What was seen of a cell's lease, to claim it with.
    pub fn watched(&mut self, cell: usize) -> Option<Watch> {
        self.cells.get_mut(&cell)?.watch.take()
    }

    /// The cell is elsewhere no more.
    pub fn forget(&mut self, cell: usize) {
        self.cells.remove(&cell);
    }

    /// How long until the next look; none where there is nothing to look at.
    pub fn rest(&self) -> Option<Duration> {
        (!self.is_empty()).then(|| self.next.saturating_duration_since(Instant::now()))
    }

    /// The cells to look at now, and none again for a while: longer each time, until there is `news`.
    pub fn due(&mut self) -> Vec<usize> {
        if self.rest().is_none_or(|rest| !rest.is_zero()) {
            return vec![];
        }
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE.1);
        self.cells.keys().copied().collect()
    }

    /// Something has moved: look soon.
    pub fn news(&mut self) {
        self.pause = PAUSE.0;
        self.next = self.next.min(Instant::now() + self.pause);
    }
}

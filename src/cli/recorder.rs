//! Takes down what happens in a run: results as stages finish, failures in `errors.log`, all of it on the screen.

use assay_cache::Store;

use super::progress::Progress;
use crate::{
    plan::Plan,
    report::{Notes, Results},
    run::{Event, Observer, Outcome},
};

/// The observer of `assay run`.
pub struct Recorder<'a> {
    plan: &'a Plan,
    store: &'a Store,
    results: &'a mut Results,
    progress: &'a mut Progress,
    page: Notes,
    /// The first result that could not be written.
    pub broken: Option<String>,
}

impl<'a> Recorder<'a> {
    pub fn new(
        plan: &'a Plan,
        store: &'a Store,
        results: &'a mut Results,
        progress: &'a mut Progress,
        page: Notes,
    ) -> Self {
        Self { plan, store, results, progress, page, broken: None }
    }

    fn note(&mut self, cell: usize, cause: &str) {
        if let Err(error) = self.results.log_error(self.plan, &self.plan.cells[cell], cause) {
            self.broken.get_or_insert(format!("cannot write errors.log: {error}"));
        }
    }
}

impl Observer for Recorder<'_> {
    fn on(&mut self, event: &Event) {
        self.progress.on(event);
        match event {
            Event::Retry { cell, cause, .. } | Event::Lost { cell, cause } => self.note(*cell, cause),
            Event::Ended { cell, outcome: Outcome::Failed { cause }, .. } => self.note(*cell, cause),
            Event::Ended { cell, entry: Some(entry), .. } => {
                if let Err(error) = self.results.write(self.plan, &self.plan.cells[*cell], entry, self.store) {
                    self.broken.get_or_insert(error);
                }
            }
            _ => {}
        }
        self.page.take(event);
    }
}

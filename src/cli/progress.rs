//! What a run says while it goes on: one live line a running stage on a terminal, plain lines elsewhere.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    time::{Duration, Instant},
};

use super::{
    conclusion::counted,
    live::{Doing, Live, waits_for},
    pace::Pace,
};
use crate::{
    manifest::visible,
    plan::Plan,
    report::span,
    run::{Event, Options, Outcome, StopKind},
};

/// The display of a run, on stderr.
pub struct Progress {
    ids: Vec<String>,
    forced: Vec<bool>,
    screen: Screen,
    /// How many cells were asked for, and how those that ended did.
    wanted: usize,
    ended: BTreeMap<&'static str, usize>,
    /// Whether anything was said of a cell that runs or waits.
    begun: bool,
    /// Who computes a cell that this run waits for.
    waiting: BTreeMap<usize, String>,
}

enum Screen {
    /// `--json`, and nobody looks: warnings, failures, and how far stages are that take long.
    Quiet(BTreeMap<usize, Plain>),
    Lines(BTreeMap<usize, Plain>),
    Live(Live),
}

impl Screen {
    /// Whoever sits at a terminal sees how far the run is, whatever goes to stdout.
    fn of(quiet: bool, terminal: bool) -> Self {
        match (quiet, terminal) {
            (_, true) => Self::Live(Live::default()),
            (true, false) => Self::Quiet(BTreeMap::new()),
            (false, false) => Self::Lines(BTreeMap::new()),
        }
    }
}

/// A running stage without a line of its own.
struct Plain {
    pace: Pace,
    printed: Instant,
}

const LINE_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    pub fn new(plan: &Plan, options: &Options, quiet: bool) -> Self {
        Self {
            ids: plan.cells.iter().map(|cell| cell.id.clone()).collect(),
            screen: Screen::of(quiet, is_terminal()),
            forced: options.forced.clone(),
            wanted: options.wanted.iter().filter(|wanted| **wanted).count(),
            ended: BTreeMap::new(),
            begun: false,
            waiting: BTreeMap::new(),
        }
    }

    pub fn on(&mut self, event: &Event) {
        match event {
            Event::Started { cell } => self.started(*cell),
            Event::Waiting { cell, holder } => self.waits(*cell, holder),
            Event::Progress { cell, done, of, what, resumed } => self.advanced(*cell, *done, *of, what, *resumed),
            Event::Warning { cell, message } => self.say(&format!("warning: {}: {message}", self.ids[*cell])),
            Event::Retry { cell, attempt, cause } => {
                self.say(&format!("warning: {}: {cause}; attempt {} follows", self.ids[*cell], attempt + 1));
            }
            Event::Lost { cell, cause } => self.say(&format!("warning: {}: {cause}", self.ids[*cell])),
            Event::Unleased { cause } => self.say(&format!(
                "warning: {cause}; this run shares no work with others: what two compute at the same time is computed twice"
            )),
            Event::Ended { cell, outcome, .. } => self.ended(*cell, outcome),
            Event::Stopping(StopKind::Interrupted) => {
                self.say("stopping: saving what is done (interrupt again to end at once)")
            }
            Event::Stopping(StopKind::Terminated) => self.say("stopping: saving what is done"),
        }
    }

    /// Takes the live lines away: what is printed from now on stays.
    pub fn end(&mut self) {
        if let Screen::Live(live) = &mut self.screen {
            live.end();
        }
    }

    fn started(&mut self, cell: usize) {
        self.begin();
        self.waiting.remove(&cell);
        let (count, id, now) = (self.count(), &self.ids[cell], Instant::now());
        match &mut self.screen {
            Screen::Quiet(stages) => drop(stages.insert(cell, Plain { pace: Pace::new(now), printed: now })),
            Screen::Lines(stages) => {
                eprintln!("{id} …");
                stages.insert(cell, Plain { pace: Pace::new(now), printed: now });
            }
            Screen::Live(live) => live.show(cell, id, Doing::Running(Pace::new(now)), count),
        }
    }

    fn waits(&mut self, cell: usize, holder: &str) {
        self.begin();
        self.waiting.insert(cell, holder.to_owned());
        let (count, id) = (self.count(), &self.ids[cell]);
        match &mut self.screen {
            Screen::Quiet(_) => {}
            Screen::Lines(_) => eprintln!("{id}  {}", waits_for(holder)),
            Screen::Live(live) => live.show(cell, id, Doing::Waiting(holder.to_owned()), count),
        }
    }

    /// Says how much is done before anything begins. On a terminal the last line says so all the time.
    fn begin(&mut self) {
        if !std::mem::replace(&mut self.begun, true)
            && matches!(self.screen, Screen::Lines(_))
            && !self.ended.is_empty()
        {
            eprintln!("{}", self.count());
        }
    }

    fn advanced(&mut self, cell: usize, done: u64, of: u64, what: &str, resumed: bool) {
        match &mut self.screen {
            Screen::Quiet(stages) | Screen::Lines(stages) => {
                let Some(stage) = stages.get_mut(&cell) else { return };
                let now = Instant::now();
                stage.pace.report(now, done, of, what, resumed);
                if now - stage.printed >= LINE_EVERY {
                    stage.printed = now;
                    eprintln!("{}  {}", self.ids[cell], stage.pace.text(now));
                }
            }
            Screen::Live(live) => live.report(cell, done, of, what, resumed),
        }
    }

    fn ended(&mut self, cell: usize, outcome: &Outcome) {
        *self.ended.entry(outcome.name()).or_default() += 1;
        let count = self.count();
        if let Screen::Live(live) = &mut self.screen {
            live.remove(cell, count);
        }
        if let Some(line) = self.last_line(cell, outcome) {
            self.say(&line);
        }
    }

    /// What is said of a cell that has ended. Under `--json`, away from a terminal, its failure alone.
    fn last_line(&mut self, cell: usize, outcome: &Outcome) -> Option<String> {
        let id = &self.ids[cell];
        let holder = self.waiting.remove(&cell);
        let quiet = matches!(self.screen, Screen::Quiet(_));
        match outcome {
            Outcome::Failed { cause } => Some(format!("error: {id}: {cause}")),
            Outcome::Skipped { because } => Some(format!("{id}  skipped: {because}")),
            Outcome::Stopped if self.forced[cell] => Some(format!("{id}  stopped; forced again, it begins anew")),
            Outcome::Stopped => Some(format!("{id}  stopped; the next run goes on from its saved units")),
            _ if quiet => None,
            Outcome::Ran { seconds } => Some(format!("{id}  done in {}", span(*seconds))),
            Outcome::Reproduced { seconds } => Some(format!("{id}  reproduced in {}", span(*seconds))),
            Outcome::Cached | Outcome::Same => holder.map(|holder| format!("{id}  done by {holder}")),
            Outcome::Unwanted => None,
        }
    }

    /// `5 of 12 stages: 2 ran, 3 cached`
    fn count(&self) -> String {
        let ended: usize = self.ended.values().sum();
        let counts = counted(|name| self.ended.get(name).copied().unwrap_or(0));
        format!("{ended} of {} stages{}{counts}", self.wanted, if counts.is_empty() { "" } else { ": " })
    }

    /// Prints a line without disturbing the live ones.
    fn say(&self, line: &str) {
        let line = visible(line);
        match &self.screen {
            Screen::Live(live) => live.say(&line),
            Screen::Quiet(_) | Screen::Lines(_) => eprintln!("{line}"),
        }
    }
}

/// Whether lines can be rewritten where this goes.
fn is_terminal() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_how_far_a_run_is_even_where_a_document_is_asked_for() {
        assert!(matches!(Screen::of(true, true), Screen::Live(_)));
        assert!(matches!(Screen::of(false, true), Screen::Live(_)));
        assert!(matches!(Screen::of(true, false), Screen::Quiet(_)));
        assert!(matches!(Screen::of(false, false), Screen::Lines(_)));
    }
}

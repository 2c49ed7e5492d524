//! The live lines of a run on a terminal: one a stage that runs or waits, and one that counts.
//!
//! Between two events only time passes, so a thread brings the lines up to date once a second; it starts with the first
//! line. There is no colour, nothing moves by itself, and what is over in a moment gets no line: it would only flicker.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::pace::{BAR, Pace};

/// What a line is about.
pub enum Doing {
    Running(Pace),
    /// Another runner computes it.
    Waiting(String),
}

/// The lines, and the thread that keeps them true.
#[derive(Default)]
pub struct Live {
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    board: Mutex<Board>,
    changed: Condvar,
}

struct Board {
    screen: MultiProgress,
    lines: BTreeMap<usize, Line>,
    /// The last line, and what it says.
    last: Option<ProgressBar>,
    count: String,
    over: bool,
}

struct Line {
    id: String,
    doing: Doing,
    since: Instant,
    /// None until it has been there for a moment.
    bar: Option<ProgressBar>,
}

const TICK: Duration = Duration::from_secs(1);

/// What is over sooner gets no line.
pub const MOMENT: Duration = Duration::from_millis(250);

impl Default for Board {
    fn default() -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { screen, lines: BTreeMap::new(), last: None, count: String::new(), over: false }
    }
}

impl Live {
    /// Has a line about a cell, in place of the one that there was.
    pub fn show(&mut self, cell: usize, id: &str, doing: Doing, count: String) {
        {
            let mut board = self.shared.board();
            board.count(count);
            let (since, bar) = board.lines.remove(&cell).map_or((Instant::now(), None), |line| (line.since, line.bar));
            board.lines.insert(cell, Line { id: id.to_owned(), doing, since, bar });
            board.draw();
        }
        self.shared.changed.notify_all();
        self.tick();
    }

    pub fn report(&mut self, cell: usize, done: u64, of: u64, what: &str, resumed: bool) {
        let mut board = self.shared.board();
        if let Some(Line { doing: Doing::Running(pace), .. }) = board.lines.get_mut(&cell) {
            pace.report(Instant::now(), done, of, what, resumed);
            board.draw();
        }
    }

    /// Takes the line of a cell away.
    pub fn remove(&mut self, cell: usize, count: String) {
        let mut board = self.shared.board();
        if let Some(Line { bar: Some(bar), .. }) = board.lines.remove(&cell) {
            bar.finish_and_clear();
        }
        board.count(count);
    }

    /// Prints a line that stays, above the live ones.
    pub fn say(&self, line: &str) {
        self.shared.board().screen.suspend(|| eprintln!("{line}"));
    }

    /// Takes all lines away.
    pub fn end(&mut self) {
        self.shared.board().end();
        self.shared.changed.notify_all();
        if let Some(ticker) = self.ticker.take() {
            // A display that broke is no reason to fail.
            let _ = ticker.join();
        }
    }

    fn tick(&mut self) {
        if self.ticker.is_none() {
            let shared = Arc::clone(&self.shared);
            // Without a thread the lines are as old as the last event, no worse.
            self.ticker = thread::Builder::new().name("display".into()).spawn(move || shared.keep_true()).ok();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn keep_true(&self) {
        let mut board = self.board();
        while !board.over {
            let pause = if board.lines.values().all(|line| line.bar.is_some()) { TICK } else { MOMENT };
            board = self.changed.wait_timeout(board, pause).unwrap_or_else(PoisonError::into_inner).0;
            board.draw();
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// Brings every line up to date, and adds those whose moment has come above the last.
    fn draw(&mut self) {
        let now = Instant::now();
        for line in self.lines.values_mut().filter(|line| line.bar.is_some() || now - line.since >= MOMENT) {
            let last = self.last.get_or_insert_with(|| self.screen.add(bar()).with_message(self.count.clone()));
            let bar = line.bar.get_or_insert_with(|| self.screen.insert_before(last, bar()));
            bar.set_message(line.doing.text(&line.id, now));
        }
    }

    fn count(&mut self, text: String) {
        if let Some(last) = &self.last {
            last.set_message(text.clone());
        }
        self.count = text;
    }

    fn end(&mut self) {
        self.over = true;
        let bars = std::mem::take(&mut self.lines).into_values().filter_map(|line| line.bar);
        bars.chain(self.last.take()).for_each(|bar| bar.finish_and_clear());
    }
}

/// A line of text, cut where the terminal ends.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}").expect("the template is well formed");
    ProgressBar::new(0).with_style(style)
}

impl Doing {
    /// `━━━━━━──────  treated[sigma=0.1]  300/600 tokens, 12.3 a second, 24 s left`
    fn text(&self, id: &str, now: Instant) -> String {
        let (bar, text) = match self {
            Self::Running(pace) => (pace.bar(), pace.text(now)),
            Self::Waiting(holder) => (" ".repeat(BAR), waits_for(holder)),
        };
        format!("{bar}  {id}  {text}").trim_end().to_owned()
    }
}

/// What is said of a cell that another runner computes.
pub fn waits_for(holder: &str) -> String {
    format!("waiting for {holder}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_known() {
        let begun = Instant::now();
        let at = |second| begun + Duration::from_secs(second);
        let blank = " ".repeat(BAR);
        let mut doing = Doing::Running(Pace::new(begun));
        assert_eq!(doing.text("a[x=1]", at(0)), format!("{blank}  a[x=1]"));
        assert_eq!(doing.text("a[x=1]", at(3)), format!("{blank}  a[x=1]  running for 3 s"));
        if let Doing::Running(pace) = &mut doing {
            pace.report(at(4), 0, 40, "pairs", false);
            pace.report(at(6), 20, 40, "pairs", false);
        }
        let line = "━━━━━━──────  a[x=1]  20/40 pairs, 10.0 a second, 2 s left";
        assert_eq!(doing.text("a[x=1]", at(6)), line);
        let waiting = Doing::Waiting("n1 pid 7".to_owned());
        assert_eq!(waiting.text("a[x=1]", at(6)), format!("{blank}  a[x=1]  waiting for n1 pid 7"));
    }
}

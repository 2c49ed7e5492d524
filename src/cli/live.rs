//! The live lines of a run on a terminal: one a stage that runs or waits, and one that counts.
//!
//! Between two events only time passes, so a thread brings the lines up to date once a second; it starts with the first
//! line. There is no colour and nothing moves by itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::pace::Pace;

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
    ended: Condvar,
}

struct Board {
    screen: MultiProgress,
    lines: BTreeMap<usize, Line>,
    /// The last line.
    count: Option<ProgressBar>,
    over: bool,
}

struct Line {
    id: String,
    doing: Doing,
    bar: ProgressBar,
}

const TICK: Duration = Duration::from_secs(1);

impl Default for Board {
    fn default() -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { screen, lines: BTreeMap::new(), count: None, over: false }
    }
}

impl Live {
    /// Shows a line about a cell, in place of the one that there was.
    pub fn show(&mut self, cell: usize, id: &str, doing: Doing, count: String) {
        let mut board = self.shared.board();
        board.count(count);
        let bar = match board.lines.remove(&cell) {
            Some(line) => line.bar,
            None => board.add(),
        };
        let line = Line { id: id.to_owned(), doing, bar };
        line.draw();
        board.lines.insert(cell, line);
        drop(board);
        self.tick();
    }

    pub fn report(&mut self, cell: usize, done: u64, of: u64, what: &str, resumed: bool) {
        if let Some(Line { doing: Doing::Running(pace), .. }) = self.shared.board().lines.get_mut(&cell) {
            pace.report(Instant::now(), done, of, what, resumed);
        }
        self.shared.board().lines.get(&cell).inspect(|line| line.draw());
    }

    /// Takes the line of a cell away.
    pub fn remove(&mut self, cell: usize, count: String) {
        let mut board = self.shared.board();
        if let Some(line) = board.lines.remove(&cell) {
            line.bar.finish_and_clear();
        }
        if board.count.is_some() {
            board.count(count);
        }
    }

    /// Prints a line that stays, above the live ones.
    pub fn say(&self, line: &str) {
        self.shared.board().screen.suspend(|| eprintln!("{line}"));
    }

    /// Takes all lines away.
    pub fn end(&mut self) {
        {
            let mut board = self.shared.board();
            board.over = true;
            std::mem::take(&mut board.lines).into_values().for_each(|line| line.bar.finish_and_clear());
            if let Some(count) = board.count.take() {
                count.finish_and_clear();
            }
        }
        self.shared.ended.notify_all();
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
            board.lines.values().for_each(Line::draw);
            board = self.ended.wait_timeout(board, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// A new line above the one that counts.
    fn add(&self) -> ProgressBar {
        let bar = line();
        match &self.count {
            Some(count) => self.screen.insert_before(count, bar),
            None => self.screen.add(bar),
        }
    }

    fn count(&mut self, text: String) {
        let count = self.count.get_or_insert_with(|| self.screen.add(line()));
        count.set_message(text);
    }
}

/// A line of text, cut where the terminal ends.
fn line() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}").expect("the template is well formed");
    ProgressBar::new(0).with_style(style)
}

impl Line {
    fn draw(&self) {
        let now = Instant::now();
        self.bar.set_message(match &self.doing {
            Doing::Running(pace) => running(&self.id, pace, now),
            Doing::Waiting(holder) => waiting(&self.id, holder),
        });
    }
}

/// `━━━━━━──────  treated[sigma=0.1]  300/600 tokens, 12.3 a second, 24 s left`
fn running(id: &str, pace: &Pace, now: Instant) -> String {
    format!("{}  {id}  {}", pace.bar(), pace.text(now)).trim_end().to_owned()
}

/// What a line about a cell that another runner computes says after its id.
pub fn waits_for(holder: &str) -> String {
    format!("waiting for {holder}")
}

fn waiting(id: &str, holder: &str) -> String {
    format!("{:12}  {id}  {}", "", waits_for(holder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_known() {
        let begun = Instant::now();
        let at = |second| begun + Duration::from_secs(second);
        let mut pace = Pace::new(begun);
        let blank = " ".repeat(12);
        assert_eq!(running("a[x=1]", &pace, at(0)), format!("{blank}  a[x=1]"));
        assert_eq!(running("a[x=1]", &pace, at(3)), format!("{blank}  a[x=1]  running for 3 s"));
        pace.report(at(4), 0, 40, "pairs", false);
        pace.report(at(6), 20, 40, "pairs", false);
        let line = "━━━━━━──────  a[x=1]  20/40 pairs, 10.0 a second, 2 s left";
        assert_eq!(running("a[x=1]", &pace, at(6)), line);
        assert_eq!(waiting("a[x=1]", "n1 pid 7"), format!("{blank}  a[x=1]  waiting for n1 pid 7"));
    }
}

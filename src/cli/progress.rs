//! What a run says while it goes on: one live line a running stage on a terminal, plain lines elsewhere.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::{
    manifest::visible,
    plan::Plan,
    report::Results,
    run::{Event, Finding, Held, Outcome, Record, StopKind, Verdict},
};

/// What a run has to tell at its end.
pub struct Told {
    pub verdicts: Vec<Verdict>,
    pub findings: Vec<Finding>,
}

/// The display of a run, on stderr.
pub struct Progress {
    ids: Vec<String>,
    screen: Screen,
    cached: usize,
}

enum Screen {
    /// `--json`: warnings and failures only.
    Quiet,
    Lines(BTreeMap<usize, Pace>),
    Live(MultiProgress, BTreeMap<usize, ProgressBar>),
}

/// When a plain line about a running stage was last printed.
struct Pace {
    started: Instant,
    printed: Instant,
    /// Things done when the stage reported first: units of an earlier run do not count towards its rate.
    first: Option<u64>,
}

const LINE_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    pub fn new(plan: &Plan, quiet: bool) -> Self {
        let screen = match quiet {
            true => Screen::Quiet,
            false if std::io::stderr().is_terminal() => {
                Screen::Live(MultiProgress::with_draw_target(ProgressDrawTarget::stderr()), BTreeMap::new())
            }
            false => Screen::Lines(BTreeMap::new()),
        };
        Self { ids: plan.cells.iter().map(|cell| cell.id.clone()).collect(), screen, cached: 0 }
    }

    pub fn on(&mut self, event: &Event) {
        match event {
            Event::Started { cell } => self.started(*cell),
            Event::Progress { cell, done, of, what } => self.advanced(*cell, *done, *of, what),
            Event::Warning { cell, message } => self.say(&format!("warning: {}: {message}", self.ids[*cell])),
            Event::Retry { cell, attempt, cause } => {
                self.say(&format!("warning: {}: {cause}; attempt {} follows", self.ids[*cell], attempt + 1));
            }
            Event::Lost { cell, cause } => self.say(&format!("warning: {}: {cause}", self.ids[*cell])),
            Event::Ended { cell, outcome, .. } => self.ended(*cell, outcome),
            Event::Stopping(StopKind::Interrupted) => {
                self.say("stopping: saving what is done (interrupt again to end at once)")
            }
            Event::Stopping(StopKind::Terminated) => self.say("stopping: saving what is done"),
        }
    }

    fn started(&mut self, cell: usize) {
        let id = &self.ids[cell];
        match &mut self.screen {
            Screen::Quiet => {}
            Screen::Lines(paces) => {
                eprintln!("{id} …");
                let now = Instant::now();
                paces.insert(cell, Pace { started: now, printed: now, first: None });
            }
            Screen::Live(lines, bars) => {
                let style = ProgressStyle::with_template("  {prefix}  {msg}").expect("the template is well formed");
                let bar = lines.add(ProgressBar::new(0).with_style(style).with_prefix(id.clone()));
                bar.tick();
                bars.insert(cell, bar);
            }
        }
    }

    fn advanced(&mut self, cell: usize, done: u64, of: u64, what: &str) {
        match &mut self.screen {
            Screen::Quiet => {}
            Screen::Lines(paces) => {
                let Some(pace) = paces.get_mut(&cell) else { return };
                let first = *pace.first.get_or_insert(done);
                if pace.printed.elapsed() >= LINE_EVERY {
                    pace.printed = Instant::now();
                    eprintln!(
                        "{}  {done}/{of} {what}{}",
                        self.ids[cell],
                        left(pace.started.elapsed(), done - first, of - done)
                    );
                }
            }
            Screen::Live(_, bars) => {
                let Some(bar) = bars.get(&cell) else { return };
                if bar.length() == Some(0) {
                    bar.set_style(moving());
                    bar.reset_eta();
                }
                bar.set_length(of);
                bar.set_message(what.to_owned());
                bar.set_position(done);
            }
        }
    }

    fn ended(&mut self, cell: usize, outcome: &Outcome) {
        if let Screen::Live(_, bars) = &mut self.screen
            && let Some(bar) = bars.remove(&cell)
        {
            bar.finish_and_clear();
        }
        let id = &self.ids[cell];
        match outcome {
            Outcome::Cached => self.cached += 1,
            Outcome::Unwanted => {}
            Outcome::Ran { seconds } if !matches!(self.screen, Screen::Quiet) => {
                self.say(&format!("{id}  done in {}", span(*seconds)))
            }
            Outcome::Ran { .. } => {}
            Outcome::Failed { cause } => self.say(&format!("error: {id}: {cause}")),
            Outcome::Skipped { because } => self.say(&format!("{id}  skipped: {because}")),
            Outcome::Stopped => self.say(&format!("{id}  stopped; the next run goes on from its saved units")),
        }
    }

    /// Prints a line without disturbing the live ones.
    fn say(&self, line: &str) {
        let line = visible(line);
        match &self.screen {
            Screen::Live(lines, _) => lines.suspend(|| eprintln!("{line}")),
            Screen::Quiet | Screen::Lines(_) => eprintln!("{line}"),
        }
    }

    /// The last lines of a run: what was done, what was expected, and where the results are.
    pub fn conclude(&self, plan: &Plan, record: &Record, told: &Told, results: &Results) {
        told.verdicts.iter().for_each(|verdict| self.say(&judgement(verdict)));
        told.findings.iter().for_each(|finding| self.say(&sentence(finding)));
        let count = |name: &str| record.outcomes.iter().filter(|outcome| outcome.name() == name).count();
        let parts: Vec<_> = ["ran", "cached", "failed", "skipped", "stopped"]
            .iter()
            .map(|name| (count(name), name))
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        let study = &plan.manifest.study.name.value;
        if record.complete() && record.nothing_to_do() {
            eprintln!(
                "{study}: nothing to do, all {} stages are cached; results in {}",
                self.cached,
                results.folder().display()
            );
        } else if record.stopped.is_some() {
            eprintln!("{study}: stopped ({}); the same command goes on from here", parts.join(", "));
        } else {
            eprintln!("{study}: {}; results in {}", parts.join(", "), results.folder().display());
        }
    }
}

/// The style of a line whose stage has said how far it is.
fn moving() -> ProgressStyle {
    let rate = |state: &ProgressState, line: &mut dyn std::fmt::Write| {
        // A line that cannot be written is a line less.
        let _ = write!(line, "{:.1} a second", state.per_sec());
    };
    let style = ProgressStyle::with_template("  {prefix}  {bar:24} {pos}/{len} {msg}, {rate}, {eta} left");
    style.expect("the template is well formed").with_key("rate", rate).progress_chars("━╸ ")
}

/// A verdict, and the question it answers, for people.
fn judgement(verdict: &Verdict) -> String {
    let text = verdict.verdict.as_str().map_or_else(|| verdict.verdict.to_string(), str::to_owned);
    match &verdict.title {
        Some(title) => format!("{}: {text} ({title})", verdict.cell),
        None => format!("{}: {text}", verdict.cell),
    }
}

/// What an expectation says, for people.
fn sentence(finding: &Finding) -> String {
    let labels = finding.cell.split_once('[').map(|(_, labels)| labels.trim_end_matches(']').to_owned());
    let picks =
        finding.picks.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or(&value.to_string())));
    let details: Vec<_> = labels.into_iter().chain(picks).collect();
    let that = match details.as_slice() {
        [] => finding.that.clone(),
        _ => format!("{} [{}]", finding.that, details.join(",")),
    };
    match &finding.held {
        Held::Pass { .. } => format!("expect {that}: pass"),
        Held::Fail { found, because } => {
            format!("expect {that}: FAIL: found {found}, expected {}: {because}", finding.expected)
        }
        Held::NotApplicable { because } => format!("expect {that}: not applicable to these weights ({because})"),
        Held::NotRun => format!("expect {that}: its stage is not finished"),
    }
}

/// `, 3.1 a second, 12 s left`, once there is something to go by.
fn left(elapsed: Duration, done: u64, to_do: u64) -> String {
    if done == 0 {
        return String::new();
    }
    let rate = done as f64 / elapsed.as_secs_f64();
    format!(", {rate:.1} a second, {} left", span(to_do as f64 / rate))
}

/// A span of time in the unit that suits it.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_in_the_unit_that_suits_them() {
        assert_eq!([0.0123, 2.345, 150.0, 7200.0].map(span), ["12 ms", "2.3 s", "2 min", "2.0 h"]);
    }

    #[test]
    fn the_rate_leaves_out_what_an_earlier_run_did() {
        assert_eq!(left(Duration::from_secs(10), 20, 40), ", 2.0 a second, 20.0 s left");
        assert_eq!(left(Duration::from_secs(10), 0, 40), "");
    }
}

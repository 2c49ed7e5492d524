//! How fast a stage goes, and how long it will still take: only what its reports bear out.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::report::span;

/// The progress of a running stage.
pub struct Pace {
    begun: Instant,
    /// The last reports: when, and how much was done. The first may be far back, if reports are rare.
    reports: VecDeque<(Instant, u64)>,
    of: u64,
    what: String,
}

/// Only what was done so recently counts towards the rate.
const WINDOW: Duration = Duration::from_secs(30);

/// Reports that are closer together say nothing of a rate.
const BASIS: Duration = Duration::from_secs(1);

/// Characters of a bar.
pub const BAR: usize = 12;

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self { begun: now, reports: VecDeque::new(), of: 0, what: String::new() }
    }

    /// Takes down a report. What an earlier run did, and a stage that begins to count anew, start another window.
    pub fn report(&mut self, now: Instant, done: u64, of: u64, what: &str, resumed: bool) {
        let goes_on = self.reports.back().is_some_and(|(_, before)| *before <= done);
        if resumed || !goes_on || (self.of, self.what.as_str()) != (of, what) {
            self.reports.clear();
        }
        (self.of, self.what) = (of, what.to_owned());
        self.reports.push_back((now, done));
        while self.reports.len() > 2 && now - self.reports[1].0 > WINDOW {
            self.reports.pop_front();
        }
    }

    /// `120/600 tokens, 12.3 a second, 39 s left`; until there is a report, how long the stage has been running.
    pub fn text(&self, now: Instant) -> String {
        let Some((_, done)) = self.reports.back() else {
            let elapsed = (now - self.begun).as_secs_f64();
            return if elapsed < 1.0 { String::new() } else { format!("running for {}", whole(elapsed)) };
        };
        let counted = format!("{done}/{} {}", self.of, self.what);
        match self.rate(now) {
            Some(rate) if *done < self.of => {
                let left = (self.of - done) as f64 / rate - self.silence(now).as_secs_f64();
                format!("{counted}, {}, {} left", spoken(rate), whole(left.max(0.0)))
            }
            _ => counted,
        }
    }

    /// `━━━━━━──────`; blank until there is a report.
    pub fn bar(&self) -> String {
        let filled = match self.reports.back() {
            Some((_, done)) if self.of > 0 => (BAR as f64 * (*done as f64 / self.of as f64)) as usize,
            _ => return " ".repeat(BAR),
        };
        "━".repeat(filled.min(BAR)) + &"─".repeat(BAR - filled.min(BAR))
    }

    /// Things done a second. Where the next report is overdue, the rate goes down from then on.
    fn rate(&self, now: Instant) -> Option<f64> {
        let ((first, from), (last, to)) = (*self.reports.front()?, *self.reports.back()?);
        let overdue = (now - last).saturating_sub(self.silence(now));
        let between = last - first;
        (to > from && between >= BASIS).then(|| (to - from) as f64 / (between + overdue).as_secs_f64())
    }

    /// How long nothing was heard, as far as that is usual between two reports.
    fn silence(&self, now: Instant) -> Duration {
        match (self.reports.front(), self.reports.back()) {
            (Some((first, _)), Some((last, _))) if self.reports.len() > 1 => {
                (now - *last).min((*last - *first) / (self.reports.len() as u32 - 1))
            }
            _ => Duration::ZERO,
        }
    }
}

/// A rate in the unit in which it is not zero.
fn spoken(rate: f64) -> String {
    match rate {
        r if r >= 100.0 => format!("{r:.0} a second"),
        r if r >= 1.0 => format!("{r:.1} a second"),
        r if r >= 1.0 / 60.0 => format!("{:.1} a minute", r * 60.0),
        r => format!("{:.1} an hour", r * 3600.0),
    }
}

/// A span of time as exact as an estimate is.
fn whole(seconds: f64) -> String {
    if seconds < 100.0 { format!("{seconds:.0} s") } else { span(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pace after reports `(second, done)` of 600 tokens, and a clock in seconds.
    fn paced(reports: &[(f64, u64)]) -> (Pace, impl Fn(f64) -> Instant) {
        let begun = Instant::now();
        let at = move |second: f64| begun + Duration::from_secs_f64(second);
        let mut pace = Pace::new(begun);
        reports.iter().for_each(|(second, done)| pace.report(at(*second), *done, 600, "tokens", false));
        (pace, at)
    }

    #[test]
    fn nothing_is_said_before_there_is_a_basis() {
        let (pace, at) = paced(&[]);
        assert_eq!((pace.text(at(0.5)), pace.text(at(12.0))), (String::new(), "running for 12 s".to_owned()));
        let (pace, at) = paced(&[(0.0, 100)]);
        assert_eq!(pace.text(at(5.0)), "100/600 tokens");
        let (pace, at) = paced(&[(0.0, 100), (0.5, 200)]);
        assert_eq!(pace.text(at(0.5)), "200/600 tokens", "half a second is no basis");
        let (pace, at) = paced(&[(0.0, 100), (5.0, 100)]);
        assert_eq!(pace.text(at(5.0)), "100/600 tokens", "nothing was done");
    }

    #[test]
    fn the_rate_is_of_what_this_run_did() {
        let (mut pace, at) = paced(&[(0.0, 100), (2.0, 120)]);
        assert_eq!(pace.text(at(2.0)), "120/600 tokens, 10.0 a second, 48 s left");
        pace.report(at(2.1), 500, 600, "tokens", true);
        assert_eq!(pace.text(at(2.1)), "500/600 tokens", "what was resumed is no work");
        pace.report(at(4.1), 510, 600, "tokens", false);
        assert_eq!(pace.text(at(4.1)), "510/600 tokens, 5.0 a second, 18 s left");
        pace.report(at(5.0), 600, 600, "tokens", false);
        assert_eq!(pace.text(at(5.0)), "600/600 tokens");
    }

    #[test]
    fn only_the_last_half_minute_counts() {
        let (pace, at) = paced(&[(0.0, 0), (10.0, 100), (40.0, 130), (50.0, 140)]);
        // From second 10 on: 40 tokens in 40 seconds.
        assert_eq!(pace.text(at(50.0)), "140/600 tokens, 1.0 a second, 8 min left");
    }

    #[test]
    fn a_stage_that_falls_silent_slows_down_and_one_that_reports_rarely_does_not() {
        let (pace, at) = paced(&[(0.0, 0), (40.0, 80), (80.0, 160)]);
        // 2 a second; the remaining 440 take 220 s.
        assert_eq!(pace.text(at(80.0)), "160/600 tokens, 2.0 a second, 4 min left");
        assert!(pace.text(at(119.0)).contains("2.0 a second"), "the next report is due after 40 s");
        // In the window are the last two reports: 80 in 40 s, and 80 s more than usual since.
        assert!(pace.text(at(200.0)).contains("40.0 a minute"), "{}", pace.text(at(200.0)));
    }

    #[test]
    fn time_left_counts_down_between_reports() {
        let (pace, at) = paced(&[(0.0, 0), (10.0, 200), (20.0, 400)]);
        assert_eq!(pace.text(at(20.0)), "400/600 tokens, 20.0 a second, 10 s left");
        assert_eq!(pace.text(at(26.0)), "400/600 tokens, 20.0 a second, 4 s left");
    }

    #[test]
    fn another_count_begins_anew() {
        let (mut pace, at) = paced(&[(0.0, 0), (10.0, 600)]);
        pace.report(at(11.0), 0, 30, "pairs", false);
        assert_eq!((pace.text(at(20.0)), pace.bar()), ("0/30 pairs".to_owned(), "─".repeat(12)));
    }

    #[test]
    fn bars_and_rates_suit_their_numbers() {
        assert_eq!(paced(&[]).0.bar(), " ".repeat(12));
        assert_eq!(paced(&[(0.0, 150)]).0.bar(), "━━━─────────");
        assert_eq!(paced(&[(0.0, 600)]).0.bar(), "━".repeat(12));
        assert_eq!(
            [250.0, 2.0, 0.5, 0.001].map(spoken),
            ["250 a second", "2.0 a second", "30.0 a minute", "3.6 an hour"]
        );
    }
}

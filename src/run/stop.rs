//! Signals. SIGTERM, SIGUSR2, SIGHUP and the first SIGINT ask the run to save what is done and leave; a second SIGINT
//! ends it at once, which loses at most the units in flight.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    thread,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2},
    iterator::Signals,
};

/// What asked the run to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum StopKind {
    /// SIGTERM and its like: the run is resumable (exit code 75).
    Terminated = 1,
    /// SIGINT: the user interrupted (exit code 130).
    Interrupted = 2,
}

/// The stop flag of the process, and who is told when it goes up.
#[derive(Default)]
pub struct Stop {
    flag: AtomicU8,
    told: Mutex<Option<Told>>,
}

/// What is done when the flag goes up.
type Told = Box<dyn FnOnce(StopKind) + Send>;

const INTERRUPTED: i32 = 130;

impl Stop {
    /// Installs the signal handlers. SIGHUP stays ignored where it was, as under nohup.
    pub fn on_signals() -> io::Result<Arc<Self>> {
        let stop = Arc::new(Self::default());
        let mut wanted = vec![SIGTERM, SIGUSR2, SIGINT];
        if !is_ignored(SIGHUP) {
            wanted.push(SIGHUP);
        }
        let mut signals = Signals::new(wanted)?;
        let flag = Arc::clone(&stop);
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                flag.hear(signal);
            }
        })?;
        Ok(stop)
    }

    pub fn asked(&self) -> Option<StopKind> {
        match self.flag.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(StopKind::Terminated),
            _ => Some(StopKind::Interrupted),
        }
    }

    /// Calls `tell` when the flag goes up, or now where it is up already.
    pub fn when_asked(&self, tell: impl FnOnce(StopKind) + Send + 'static) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match self.asked() {
            Some(kind) => tell(kind),
            None => *told = Some(Box::new(tell)),
        }
    }

    fn hear(&self, signal: i32) {
        let kind = if signal == SIGINT { StopKind::Interrupted } else { StopKind::Terminated };
        if kind == StopKind::Interrupted && self.asked() == Some(StopKind::Interrupted) {
            std::process::exit(INTERRUPTED);
        }
        let told = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            self.flag.fetch_max(kind as u8, Ordering::SeqCst);
            told.take()
        };
        if let Some(tell) = told {
            tell(kind);
        }
    }
}

/// Whether the process was started with `signal` ignored. `/proc` tells without changing the disposition.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn an_interrupt_outweighs_a_termination() {
        let stop = Stop::default();
        stop.hear(SIGTERM);
        assert_eq!(stop.asked(), Some(StopKind::Terminated));
        stop.hear(SIGINT);
        assert_eq!(stop.asked(), Some(StopKind::Interrupted));
        stop.hear(SIGTERM);
        assert_eq!(stop.asked(), Some(StopKind::Interrupted));
    }

    #[test]
    fn whoever_asks_is_told_once_even_if_late() {
        let stop = Stop::default();
        let (tell, told) = mpsc::channel();
        let early = tell.clone();
        stop.when_asked(move |kind| early.send(kind).unwrap());
        stop.hear(SIGUSR2);
        stop.hear(SIGTERM);
        stop.when_asked(move |kind| tell.send(kind).unwrap());
        assert_eq!(told.iter().collect::<Vec<_>>(), [StopKind::Terminated, StopKind::Terminated]);
    }
}

//! Who computes something, written so that others can tell whether it still does.
//!
//! On one machine that is certain: its kernel says whether a process lives. About a process elsewhere this knows
//! nothing, except that an earlier incarnation of one's own cluster job is over. It compares no clocks.

use std::{fmt, fs, process};

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// A process, named uniquely as far as its system allows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    pub host: String,
    pub pid: u32,
    /// The boot of the kernel that it runs under, and the namespace that its pid belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// When it started, in ticks since the boot: pids are given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<Job>,
}

/// A job of a cluster, which keeps its id when it is started again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Job {
    id: String,
    /// How often it was started again before.
    restarts: u32,
}

impl Holder {
    /// This process.
    pub fn this_process() -> Self {
        let read = |path: &str| Some(fs::read_to_string(path).ok()?.trim().to_owned());
        let namespace = fs::read_link("/proc/self/ns/pid").ok();
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            pid: process::id(),
            boot: read("/proc/sys/kernel/random/boot_id"),
            namespace: namespace.map(|name| name.to_string_lossy().into_owned()),
            started: process_of(process::id()).map(|process| process.started),
            job: Job::of_environment(|name| std::env::var(name).ok()),
        }
    }

    /// Whether `observer` knows that this process has ended. False where it cannot know.
    pub fn is_gone(&self, observer: &Self) -> bool {
        self.is_earlier_incarnation(observer) || self.shares_a_kernel(observer) && !self.lives()
    }

    /// One job is started again only after it has ended. Processes of one incarnation may live side by side.
    fn is_earlier_incarnation(&self, observer: &Self) -> bool {
        match (&self.job, &observer.job) {
            (Some(theirs), Some(ours)) => theirs.id == ours.id && theirs.restarts < ours.restarts,
            _ => false,
        }
    }

    fn shares_a_kernel(&self, observer: &Self) -> bool {
        self.boot.is_some() && self.boot == observer.boot && self.namespace == observer.namespace
    }

    fn lives(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if pid.is_none_or(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH)) {
            return false;
        }
        // Where /proc hides other users' processes, the answer to the signal has to do.
        let alike = |found: Process| !found.has_ended && self.started.is_none_or(|started| started == found.started);
        process_of(self.pid).is_none_or(alike)
    }
}

impl fmt::Display for Holder {
    /// `HOST pid N`. A file may hold anything, so what could steer a terminal is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host: String = self.host.chars().filter(|c| !c.is_control()).collect();
        write!(f, "{host} pid {}", self.pid)
    }
}

impl Job {
    fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let id = variable("SLURM_JOB_ID").filter(|id| !id.is_empty())?;
        let restarts = variable("SLURM_RESTART_COUNT").and_then(|count| count.parse().ok()).unwrap_or(0);
        Some(Self { id, restarts })
    }
}

/// What the kernel says of a process.
struct Process {
    started: u64,
    /// It has, but its parent has not looked yet.
    has_ended: bool,
}

fn process_of(pid: u32) -> Option<Process> {
    process_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 3 of `/proc/PID/stat` is the state, field 22 the start. Field 2 is a name in parentheses, with anything in it.
fn process_in(stat: &str) -> Option<Process> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X");
    Some(Process { started: fields.nth(18)?.parse().ok()?, has_ended })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_gone_once_it_has_ended_even_if_nobody_has_looked() {
        let me = Holder::this_process();
        assert!(!me.is_gone(&me));
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let started = process_of(child.id()).map(|process| process.started);
        let other = Holder { pid: child.id(), started, ..me.clone() };
        assert!(!other.is_gone(&me));
        child.kill().unwrap();
        while !other.is_gone(&me) {
            std::thread::yield_now(); // until the signal has arrived: the child is a zombie then
        }
        child.wait().unwrap();
        assert!(other.is_gone(&me));
    }

    #[test]
    fn a_pid_that_was_given_again_is_another_process() {
        let me = Holder::this_process();
        let before = Holder { started: me.started.map(|ticks| ticks - 1), ..me.clone() };
        assert!(before.is_gone(&me));
    }

    #[test]
    fn of_another_machine_or_container_nothing_is_known() {
        let me = Holder::this_process();
        let dead = Holder { pid: i32::MAX as u32, ..me.clone() };
        assert!(dead.is_gone(&me));
        assert!(!Holder { boot: Some("another".into()), ..dead.clone() }.is_gone(&me));
        assert!(!Holder { namespace: Some("pid:[1]".into()), ..dead.clone() }.is_gone(&me));
        assert!(!Holder { boot: None, ..dead.clone() }.is_gone(&Holder { boot: None, ..me }));
    }

    #[test]
    fn a_job_that_is_started_again_has_ended_before() {
        let job = |restarts: Option<&str>| {
            Job::of_environment(|name| match name {
                "SLURM_JOB_ID" => Some("17".to_owned()),
                _ => restarts.map(str::to_owned),
            })
        };
        let here = Holder { job: job(Some("1")), ..Holder::this_process() };
        let elsewhere = |job| Holder { host: "n1".into(), boot: Some("b".into()), job, ..here.clone() };
        assert!(elsewhere(job(None)).is_gone(&here));
        assert!(!elsewhere(here.job.clone()).is_gone(&here), "a process of the same incarnation on another node");
        assert!(!elsewhere(None).is_gone(&here));
    }

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let stat = "7 (a) Z 1 (b) S 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4321 1 2";
        let process = process_in(stat).unwrap();
        assert_eq!((process.started, process.has_ended), (4321, false));
        assert!(process_in("7 (a").is_none() && process_in("").is_none());
    }

    #[test]
    fn a_host_cannot_steer_the_terminal() {
        let holder = Holder { host: "a\u{1b}[31mb\n".into(), pid: 5, ..Holder::this_process() };
        assert_eq!(holder.to_string(), "a[31mb pid 5");
    }
}

//! What the thread of a running cell does: load the inputs, run the stage, commit the outputs.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc::Sender},
    thread,
    time::{Duration, Instant, SystemTime},
};

use assay_cache::{Artifact, Committed, Digest, Entry, Made, Recommitted, Store, StoreError};
use assay_stages::{Failure, Inputs, Lane, Loaded, Outputs, Session};

use super::{Event, Outcome, Stop, context::Context, event::Heard, found::Ready};
use crate::plan::{Cell, Plan};

/// What every thread of a run shares.
pub struct Shared<'a> {
    pub plan: &'a Plan,
    pub store: &'a Store,
    pub session: &'a dyn Session,
    pub stop: &'a Stop,
    pub places: BTreeMap<Digest, PathBuf>,
    pub retries: u32,
    /// When this run began, in seconds since 1970.
    pub began: u64,
    /// The commit that is checked out where the manifest lies.
    pub git_commit: Option<String>,
}

/// A cell whose inputs are finished.
pub struct Job {
    pub cell: usize,
    pub ready: Ready,
    /// The entries of the cells upstream.
    pub upstream: BTreeMap<usize, Entry>,
}

/// How the work on a cell ended.
pub enum Ended {
    Done(Outcome, Box<Entry>),
    Stopped,
    Failed(String),
    /// The stage panicked: its device can no longer be trusted.
    Panicked(String),
    /// An output of this upstream cell is damaged or missing.
    Lost {
        upstream: usize,
        cause: String,
    },
}

/// Works on a cell until it is finished, stopped, or failed for good. A forced cell takes nothing from an earlier run,
/// not even from a forced one, and leaves nothing to a later one.
pub fn work(shared: &Shared, job: &Job, events: &Sender<Heard>) -> Ended {
    if let Err(error) = forget_forced(shared, job) {
        return Ended::Failed(error.to_string());
    }
    let ended = try_until_done(shared, job, events);
    match forget_forced(shared, job) {
        Err(error) if matches!(ended, Ended::Done(..)) => Ended::Failed(error.to_string()),
        _ => ended,
    }
}

fn forget_forced(shared: &Shared, job: &Job) -> Result<(), StoreError> {
    if job.ready.forced { shared.store.drop_units(job.ready.place()) } else { Ok(()) }
}

fn try_until_done(shared: &Shared, job: &Job, events: &Sender<Heard>) -> Ended {
    let started = Instant::now();
    let inputs = match load(shared, job) {
        Ok(inputs) => inputs,
        Err(ended) => return ended,
    };
    let mut attempt = 0;
    loop {
        let failure = match attempt_once(shared, job, &inputs, events, started) {
            Ok((outcome, entry)) => return Ended::Done(outcome, Box::new(entry)),
            Err(Broken::Panicked(cause)) => return Ended::Panicked(cause),
            Err(Broken::Lost(upstream, cause)) => return Ended::Lost { upstream, cause },
            Err(Broken::Failed(failure)) => failure,
        };
        let passing = matches!(&failure, Failure::Transient(_) | Failure::Store(StoreError::Io { .. }));
        match failure {
            Failure::Stopped => return Ended::Stopped,
            _ if !passing || attempt == shared.retries || shared.stop.asked().is_some() => {
                return Ended::Failed(failure.to_string());
            }
            _ => attempt += 1,
        }
        let _ = events.send(Heard::Event(Event::Retry { cell: job.cell, attempt, cause: failure.to_string() }));
        thread::sleep(PAUSE * attempt);
    }
}

/// Pause before a second attempt; the third waits twice as long, and so on.
const PAUSE: Duration = Duration::from_millis(500);

enum Broken {
    Failed(Failure),
    Lost(usize, String),
    Panicked(String),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

fn attempt_once(
    shared: &Shared,
    job: &Job,
    inputs: &Inputs,
    events: &Sender<Heard>,
    started: Instant,
) -> Result<(Outcome, Entry), Broken> {
    let cell = &shared.plan.cells[job.cell];
    let ready = &job.ready;
    let context = Context {
        cell: job.cell,
        units: shared.store.units(ready.place())?,
        files: &ready.keyed.recipe.files,
        places: &shared.places,
        store: shared.store,
        upstream: &job.upstream,
        session: shared.session,
        stop: shared.stop,
        events: events.clone(),
        told: Mutex::default(),
    };
    let run = catch_unwind(AssertUnwindSafe(|| cell.body.run(inputs, &context)));
    let run = run.map_err(|panic| Broken::Panicked(said(&*panic)))?;
    let told = context.told.into_inner().unwrap_or_else(PoisonError::into_inner);
    let outputs = run.map_err(|failure| match told.lost {
        Some((upstream, cause)) => Broken::Lost(upstream, cause),
        None => failure.into(),
    })?;
    check(cell, &outputs)?;
    let mut made = circumstances(shared, cell, started);
    made.notes = outputs.notes;
    if !told.warnings.is_empty() {
        made.notes.insert("warnings".to_owned(), told.warnings.into());
    }
    let entry = Entry {
        key: ready.keyed.key,
        inputs_key: ready.inputs_key,
        recipe: ready.keyed.recipe.clone(),
        inputs: ready.digests.clone(),
        outputs: BTreeMap::new(),
        made,
        provenance: cell.provenance(),
    };
    let committed = commit(shared, job, entry, &outputs.artifacts, events)?;
    shared.store.drop_units(ready.place())?;
    Ok(committed)
}

/// Commits what was computed. A forced cell is held against the entry that was there, and a difference is told.
fn commit(
    shared: &Shared,
    job: &Job,
    entry: Entry,
    outputs: &BTreeMap<String, Artifact>,
    events: &Sender<Heard>,
) -> Result<(Outcome, Entry), StoreError> {
    let seconds = entry.made.seconds;
    if !job.ready.forced {
        let (Committed::New(entry) | Committed::Adopted(entry)) = shared.store.commit(entry, outputs)?;
        return Ok((Outcome::Ran { seconds }, entry));
    }
    Ok(match shared.store.recommit(entry, outputs)? {
        Recommitted::New(entry) => (Outcome::Ran { seconds }, entry),
        Recommitted::Reproduced(entry) => (Outcome::Reproduced { seconds }, entry),
        Recommitted::Replaced { entry, ports, aside } => {
            let message = difference(&ports, &aside);
            let _ = events.send(Heard::Event(Event::Warning { cell: job.cell, message }));
            (Outcome::Ran { seconds }, entry)
        }
    })
}

fn difference(ports: &[String], aside: &Path) -> String {
    let names: Vec<_> = ports.iter().map(|port| format!("`{port}`")).collect();
    let told = match names.as_slice() {
        [] => "it was computed from other inputs than its old entry, and made the same".to_owned(),
        [one] => format!("not reproduced: {one} differs from its old entry"),
        all => format!("not reproduced: {} differ from its old entry", all.join(", ")),
    };
    format!("{told}, which is now {}", aside.display())
}

fn load(shared: &Shared, job: &Job) -> Result<Inputs, Ended> {
    let cell = &shared.plan.cells[job.cell];
    let mut inputs = Inputs::default();
    for (port, slot) in &cell.inputs {
        for (labels, from) in slot.labelled() {
            let output = &job.upstream[&from.cell].outputs[&from.port];
            let artifact = shared.store.read(output).map_err(|error| match error {
                StoreError::Io { .. } => Ended::Failed(error.to_string()),
                _ => Ended::Lost { upstream: from.cell, cause: error.to_string() },
            })?;
            let id = format!("{}.{}", shared.plan.cells[from.cell].id, from.port);
            let loaded = Loaded { labels: labels.to_vec(), from: id, artifact: Arc::new(artifact) };
            inputs.0.entry(port.clone()).or_default().push(loaded);
        }
    }
    Ok(inputs)
}

/// Holds the outputs against the declared ports. A difference is a fault of the stage's code, and must not be stored.
fn check(cell: &Cell, outputs: &Outputs) -> Result<(), Failure> {
    for port in &cell.ports.outputs {
        let fault = match outputs.artifacts.get(&port.name) {
            None => "is missing".to_owned(),
            Some(Artifact::Tensor(tensor)) if tensor.axis_names() != port.ty.axes => {
                format!("has the axes [{}], not those of {}", tensor.axis_names().join(", "), port.ty)
            }
            Some(_) => continue,
        };
        let kind = cell.kind.name;
        return Err(Failure::fatal(format!(
            "the output `{}` {fault}: this is a fault of the kind `{kind}`",
            port.name
        )));
    }
    Ok(())
}

fn circumstances(shared: &Shared, cell: &Cell, started: Instant) -> Made {
    let device = match cell.kind.lane {
        Lane::Host => "host".to_owned(),
        Lane::Device => shared.session.device_name(),
    };
    Made {
        at: now(),
        seconds: started.elapsed().as_secs_f64(),
        run: Some(shared.began),
        git_commit: shared.git_commit.clone(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        device,
        assay: env!("CARGO_PKG_VERSION").to_owned(),
        machine: machine(),
        notes: BTreeMap::new(),
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The architecture and the widest instruction set, which decides the last digits of matrix products.
fn machine() -> String {
    #[cfg(target_arch = "x86_64")]
    let vectors = match () {
        () if is_x86_feature_detected!("avx512f") => "+avx512",
        () if is_x86_feature_detected!("avx2") => "+avx2",
        () => "",
    };
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = "";
    format!("{}-{}{vectors}", std::env::consts::ARCH, std::env::consts::OS)
}

/// The message of a panic.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("the stage panicked: {}", text.unwrap_or("no message"))
}

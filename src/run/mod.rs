//! Plan + store → [`Record`]: what became of each cell.
//!
//! One coordinator owns all state. Each running stage has a thread of its own, which computes on rayon's pool or on
//! the device; everything that happens reaches the coordinator through one channel of [`Event`]s. Only what another
//! runner is computing is looked at again and again, since nobody tells of it.

mod checkout;
mod context;
mod coordinator;
mod elsewhere;
mod event;
mod expect;
mod fetch;
mod found;
mod lanes;
mod record;
mod status;
mod stop;
mod verdicts;
mod work;

pub use coordinator::{Options, run};
pub use event::{Event, Observer};
pub use expect::{Finding, Held, findings};
pub use fetch::{complete, fetch};
pub use record::{Outcome, Record};
pub use stop::{Stop, StopKind};
pub use verdicts::{Control, Criterion, Decided, Verdict, controls, named_in, verdicts};

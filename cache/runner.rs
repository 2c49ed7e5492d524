//! Who is computing something now, as far as leases tell: for people who look. No computation rests on it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{InputsKey, Store, StoreError, durable, store::parsed};

/// A process that holds a lease.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Runner {
    pub host: String,
    pub pid: u32,
    #[serde(default, skip_serializing)]
    boot: Option<String>,
}

/// What is read of the file of a lease.
#[derive(Deserialize)]
struct Lease {
    holder: Runner,
}

/// Leases are renewed twice a minute: one this old is nobody's. (The clocks of a file system and of its reader may
/// differ by seconds.)
const STALE: Duration = Duration::from_secs(120);

impl Store {
    /// Who holds the lease of a computation; none where its holder has ended, or has not renewed it.
    pub fn runner(&self, key: InputsKey) -> Result<Option<Runner>, StoreError> {
        let path = self.root().join("leases").join(format!("{key}.json"));
        let Some(bytes) = durable::read(&path).map_err(StoreError::io("read", &path))? else { return Ok(None) };
        let runner = parsed::<Lease>(&bytes).map(|lease| lease.holder);
        Ok(runner.filter(|runner| !runner.has_ended() && !is_stale(&path)))
    }
}

impl Runner {
    /// Whether this machine's kernel knows of no such process; false of other machines' processes.
    fn has_ended(&self) -> bool {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let is_here = self.boot.as_deref().is_some_and(|own| boot.is_some_and(|boot| boot.trim() == own));
        is_here && !PathBuf::from(format!("/proc/{}", self.pid)).exists()
    }
}

/// A file that has gone meanwhile is.
fn is_stale(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|found| found.modified());
    modified.map_or(true, |at| SystemTime::now().duration_since(at).is_ok_and(|age| age > STALE))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, process};

    use serde_json::json;

    use super::*;
    use crate::Digest;

    #[test]
    fn a_lease_tells_who_runs_until_its_holder_ends_or_falls_silent() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(home.path());
        let key = InputsKey(Digest::of(b"inputs"));
        assert_eq!(store.runner(key).unwrap(), None);
        let path = home.path().join(format!("leases/{key}.json"));
        fs::create_dir_all(home.path().join("leases")).unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned();
        let write = |pid: u32, boot: &str| {
            let lease =
                json!({"format": 1, "count": 3, "holder": {"host": "n1", "pid": pid, "boot": boot, "started": 5}});
            fs::write(&path, lease.to_string()).unwrap();
        };
        write(process::id(), &boot);
        assert_eq!(
            store.runner(key).unwrap().map(|runner| (runner.host, runner.pid)),
            Some(("n1".into(), process::id()))
        );
        write(u32::MAX, &boot);
        assert_eq!(store.runner(key).unwrap(), None, "no process has this pid");
        write(u32::MAX, "another");
        assert!(store.runner(key).unwrap().is_some(), "of another machine's processes nothing is known");
        File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() - 2 * STALE).unwrap();
        assert_eq!(store.runner(key).unwrap(), None, "it was not renewed");
        fs::write(&path, "{").unwrap();
        assert_eq!(store.runner(key).unwrap(), None, "it is torn");
    }
}

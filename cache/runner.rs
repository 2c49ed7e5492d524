//! Who is computing something now, as far as leases tell: for people who look. No computation rests on it.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{Holder, InputsKey, Store, StoreError, durable, lease::Lease, store::parsed};

/// Leases are renewed twice a minute: one this old is nobody's. (The clocks of a file system and of its reader may
/// differ by seconds.)
const STALE: Duration = Duration::from_secs(120);

impl Store {
    /// Who holds the lease of a computation; none where its holder has ended, or has not renewed it.
    pub fn runner(&self, key: InputsKey) -> Result<Option<Holder>, StoreError> {
        let path = self.lease_path(key);
        let Some(bytes) = durable::read(&path).map_err(StoreError::io("read", &path))? else { return Ok(None) };
        let holder = parsed::<Lease>(&bytes).map(|lease| lease.holder);
        Ok(holder.filter(|holder| !holder.is_gone(&Holder::this_process()) && !is_stale(&path)))
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
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap();
        let write = |pid: u32, boot: &str| {
            let lease = json!({"format": 1, "count": 3, "holder": {"host": "n1", "pid": pid, "boot": boot, "namespace": namespace}});
            fs::write(&path, lease.to_string()).unwrap();
        };
        write(process::id(), &boot);
        assert_eq!(
            store.runner(key).unwrap().map(|holder| holder.to_string()),
            Some(format!("n1 pid {}", process::id()))
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

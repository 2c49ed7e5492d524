//! Who is computing something now, as far as one look at the leases tells: for people, and for the collection of garbage.
//! No computation rests on it.

use std::{
    io::ErrorKind,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{
    Holder, InputsKey, Store, StoreError, census, durable,
    lease::{Lease, STALE, is_over},
    store::parsed,
};

/// A lease that is not over.
struct Living {
    /// None where its file does not say.
    holder: Option<Holder>,
}

impl Store {
    /// Who holds the lease of a computation; none where its holder has ended, or has not renewed it.
    pub fn runner(&self, key: InputsKey) -> Result<Option<Holder>, StoreError> {
        let living = living(&self.lease_path(key), &Holder::this_process())?;
        Ok(living.and_then(|living| living.holder))
    }

    /// The inputs-keys of the leases that are not over.
    pub(crate) fn live_leases(&self) -> Result<Vec<InputsKey>, StoreError> {
        let me = Holder::this_process();
        let mut live = Vec::new();
        for (path, _) in census::files(&self.root().join("leases"))? {
            let key = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            if let (Some(key), Some(_)) = (key, living(&path, &me)?) {
                live.push(InputsKey(key));
            }
        }
        Ok(live)
    }
}

/// The lease in a file. One that is given back while it is being looked at is over.
fn living(path: &Path, me: &Holder) -> Result<Option<Living>, StoreError> {
    let Some(bytes) = durable::read(path).map_err(StoreError::io("read", path))? else { return Ok(None) };
    let holder = parsed::<Lease>(&bytes).map(|lease| lease.holder);
    let modified = match path.metadata().and_then(|found| found.modified()) {
        Ok(modified) => modified,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("look at", path)(error)),
    };
    // A time that is yet to come is of a clock that is ahead: the file is young.
    let age = SystemTime::now().duration_since(modified).unwrap_or(Duration::ZERO);
    Ok((!is_over(holder.as_ref(), me, age, STALE)).then_some(Living { holder }))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        process,
    };

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

    #[test]
    fn a_collection_spares_what_a_process_may_be_at_work_on_whoever_that_is() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(home.path());
        let live = |holder: &str| {
            let text = format!(r#"{{"count":1,"format":1,"holder":{holder}}}"#);
            fs::create_dir_all(home.path().join("leases")).unwrap();
            fs::write(store.lease_path(InputsKey(Digest::of(b"inputs"))), text).unwrap();
            store.live_leases().unwrap().len()
        };
        let me = serde_json::to_value(Holder::this_process()).unwrap();
        let mut ended = me.clone();
        ended["pid"] = json!(i32::MAX);
        assert_eq!([&me, &ended].map(|holder| live(&holder.to_string())), [1, 0]);
        assert_eq!(live(r#"{"host":"elsewhere","pid":7,"boot":"b"}"#), 1);
        assert_eq!(live("{}"), 1, "torn, but young");
    }
}

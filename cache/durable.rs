//! Files that are whole or not there: how every file of a store is written.
//!
//! A file is written under a temporary name in its own folder, then given its name in one step. A process that is killed
//! at any moment leaves at most a file whose name begins with `.tmp-`, which no reader looks at. Nothing here knows what
//! is in the files.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::{
    fs::{AtFlags, CWD, RenameFlags, Timespec, Timestamps, UTIME_NOW, renameat_with, utimensat},
    io::Errno,
};
use tempfile::NamedTempFile;

/// Makes a folder and those above it, durably.
pub fn folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    folder(parent(path))?;
    ignore(fs::create_dir(path), io::ErrorKind::AlreadyExists)?;
    sync_folder(parent(path))
}

/// Gives these bytes a name that nothing has yet, durably; false where something has it.
pub fn place_new(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let file = temporary(path, bytes)?;
    file.as_file().sync_all()?;
    let placed = link_new(file.path(), path)?;
    sync_folder(parent(path))?;
    Ok(placed)
}

/// Makes a file that nothing depends on, unless there is one. It may be seen empty at first, and be lost with the power.
pub fn place_hint(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut file = match File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        created => created?,
    };
    let written = file.write_all(bytes);
    if written.is_err() {
        ignore(fs::remove_file(path), io::ErrorKind::NotFound)?;
    }
    written.map(|()| true)
}

/// Removes a file if it holds these bytes. One that has changed keeps its name, unless that was given anew meanwhile.
pub fn remove_exactly(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = temporary(path, b"")?; // only a name that nobody else has
    match fs::rename(path, aside.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    if read(aside.path())?.is_none_or(|found| found == bytes) {
        return Ok(());
    }
    link_new(aside.path(), path).map(|_| ())
}

/// Gives these bytes the name of a file that keeps its content under `<name>.<why>-N`: at every moment one of the two
/// has the name. The new name of the old file, if there was one.
pub fn supersede(path: &Path, why: &str, bytes: &[u8]) -> io::Result<Option<PathBuf>> {
    let mut aside = None;
    for n in 1_u32.. {
        let name = aside_name(path, why, n);
        match link(path, &name) {
            Ok(true) => aside = Some(name),
            Ok(false) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if is_one_of(&error, &LINKS_ARE_REFUSED) => aside = set_aside(path, why)?,
            Err(error) => return Err(error),
        }
        break;
    }
    replace(path, bytes, true)?;
    Ok(aside)
}

/// Gives these bytes a name, in place of what had it. What is not durable may be found torn after a loss of power.
pub fn replace(path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
    let file = temporary(path, bytes)?;
    if durable {
        file.as_file().sync_all()?;
    }
    file.persist(path).map_err(|refused| refused.error)?;
    if durable { sync_folder(parent(path)) } else { Ok(()) }
}

/// Renames `<name>` or `<name>.json` to `<name>.<why>-N`, with the first N that is free. None where there is no such file.
pub fn set_aside(path: &Path, why: &str) -> io::Result<Option<PathBuf>> {
    for n in 1_u32.. {
        let aside = aside_name(path, why, n);
        match move_new(path, &aside) {
            Ok(false) => continue,
            Ok(true) => {
                sync_folder(parent(path))?;
                return Ok(Some(aside));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    unreachable!("a folder has fewer than 2³² files")
}

/// The name under which a file is set aside for the `n`th time.
fn aside_name(path: &Path, why: &str, n: u32) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{}.{why}-{n}", name.strip_suffix(".json").unwrap_or(&name)))
}

/// Removes a file that nobody has written or touched since `then`, and says whether it did. A writer that touches it
/// meanwhile finds it gone, or finds it again: never is a file removed whose touching succeeded.
pub fn remove_if_older(path: &Path, then: SystemTime) -> io::Result<bool> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(".tmp-gc-{name}"));
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        renamed => renamed?,
    }
    let is_young = fs::symlink_metadata(&aside)?.modified()? > then;
    if is_young {
        move_new(&aside, path)?; // where the name has been given anew, what has it is as good
    }
    ignore(fs::remove_file(&aside), io::ErrorKind::NotFound)?;
    Ok(!is_young)
}

/// Makes a file young. Who may write a file may do so, even if it is somebody else's.
pub fn touch(path: &Path) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    Ok(utimensat(CWD, path, &Timestamps { last_access: now, last_modification: now }, AtFlags::empty())?)
}

/// The content of a file, or none where there is no such file.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Success, where the failure is of this kind.
pub fn ignore(result: io::Result<()>, kind: io::ErrorKind) -> io::Result<()> {
    result.or_else(|error| if error.kind() == kind { Ok(()) } else { Err(error) })
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file beside `path` that is removed when dropped. A store may be shared: the umask alone says who may read it.
fn temporary(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    let mut file = builder.prefix(".tmp-").permissions(Permissions::from_mode(0o666)).tempfile_in(parent(path))?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Gives a file a name that nothing has yet; false where something has it. The old name may stay beside it.
fn link_new(from: &Path, to: &Path) -> io::Result<bool> {
    match link(from, to) {
        Err(error) if is_one_of(&error, &LINKS_ARE_REFUSED) => rename_new(from, to),
        outcome => outcome,
    }
}

fn link(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(true),
        // A network file system may have made the link and lost its answer.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(same_file(from, to)),
        Err(error) => Err(error),
    }
}

/// Moves a file to a name that nothing has yet; false where something has it.
fn move_new(from: &Path, to: &Path) -> io::Result<bool> {
    match rename_new(from, to) {
        Err(error) if is_one_of(&error, &RENAMES_ARE_REFUSED) => {
            let linked = link(from, to)?;
            if linked {
                ignore(fs::remove_file(from), io::ErrorKind::NotFound)?;
            }
            Ok(linked)
        }
        outcome => outcome,
    }
}

fn rename_new(from: &Path, to: &Path) -> io::Result<bool> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (fs::symlink_metadata(a), fs::symlink_metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// What file systems without links answer: FAT, some FUSE and some network ones.
const LINKS_ARE_REFUSED: [Errno; 6] =
    [Errno::PERM, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::XDEV, Errno::NOSYS, Errno::MLINK];

/// What file systems that cannot rename without replacing answer, NFS among them. Those link.
const RENAMES_ARE_REFUSED: [Errno; 3] = [Errno::INVAL, Errno::NOTSUP, Errno::NOSYS];

fn is_one_of(error: &io::Error, refusals: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| refusals.contains(&errno))
}

/// Makes the names in a folder durable, on file systems that can.
fn sync_folder(path: &Path) -> io::Result<()> {
    ignore(File::open(path)?.sync_all(), io::ErrorKind::InvalidInput)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_name_is_given_once() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        assert!(place_new(&path, b"first").unwrap());
        assert!(!place_new(&path, b"second").unwrap());
        assert_eq!(read(&path).unwrap().unwrap(), b"first");
        assert_eq!(names(home.path()), ["a"]);
        assert_eq!(fs::metadata(&path).unwrap().nlink(), 1);
    }

    #[test]
    fn a_file_may_be_read_by_whom_the_umask_lets() {
        let home = tempfile::tempdir().unwrap();
        let [ours, usual] = ["ours", "usual"].map(|name| home.path().join(name));
        place_new(&ours, b"").unwrap();
        File::create(&usual).unwrap();
        assert_eq!(fs::metadata(ours).unwrap().mode(), fs::metadata(usual).unwrap().mode());
    }

    #[test]
    fn renaming_without_replacing_gives_a_name_once_too() {
        let home = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| home.path().join(name));
        fs::write(&a, "first").unwrap();
        fs::write(&b, "second").unwrap();
        assert!(rename_new(&a, &c).unwrap());
        assert!(!rename_new(&b, &c).unwrap());
        assert_eq!(read(&c).unwrap().unwrap(), b"first");
        assert_eq!(names(home.path()), ["b", "c"]);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let taken = home.path().join("folder");
        fs::create_dir_all(taken.join("inside")).unwrap();
        assert!(replace(&taken, b"bytes", true).is_err());
        assert!(place_new(&home.path().join("nowhere/a"), b"bytes").is_err());
        assert!(place_new(&home.path().join("n".repeat(300)), b"bytes").is_err());
        assert_eq!(names(home.path()), ["folder"]);
    }

    #[test]
    fn what_is_set_aside_keeps_its_content_and_its_turn() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        for n in 1..=2 {
            fs::write(&path, format!("{n}")).unwrap();
            let aside = set_aside(&path, "damaged").unwrap().unwrap();
            assert_eq!(aside, home.path().join(format!("a.damaged-{n}")));
            assert_eq!(fs::read_to_string(aside).unwrap(), format!("{n}"));
        }
        assert_eq!(set_aside(&path, "damaged").unwrap(), None);
        assert_eq!(names(home.path()), ["a.damaged-1", "a.damaged-2"]);
    }

    #[test]
    fn a_superseded_file_keeps_its_content_under_another_name() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.json");
        assert_eq!(supersede(&path, "superseded", b"0").unwrap(), None);
        for n in 1..=2 {
            let aside = supersede(&path, "superseded", n.to_string().as_bytes()).unwrap().unwrap();
            assert_eq!(aside, home.path().join(format!("a.superseded-{n}")));
            assert_eq!(fs::read_to_string(aside).unwrap(), (n - 1).to_string());
            assert_eq!(fs::read_to_string(&path).unwrap(), n.to_string());
        }
        assert_eq!(names(home.path()), ["a.json", "a.superseded-1", "a.superseded-2"]);
    }

    #[test]
    fn only_what_was_seen_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        assert!(place_hint(&path, b"old").unwrap() && !place_hint(&path, b"new").unwrap());
        remove_exactly(&path, b"older").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"old");
        remove_exactly(&path, b"old").unwrap();
        remove_exactly(&path, b"old").unwrap();
        assert_eq!(names(home.path()), [""; 0]);
    }

    #[test]
    fn only_what_is_old_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        let now = SystemTime::now();
        let hour = Duration::from_secs(3600);
        fs::write(&path, "a").unwrap();
        assert!(!remove_if_older(&path, now - hour).unwrap());
        assert_eq!(names(home.path()), ["a"]);
        assert!(remove_if_older(&path, now + hour).unwrap());
        assert!(!remove_if_older(&path, now + hour).unwrap());
        assert_eq!(names(home.path()), [""; 0]);
    }

    #[test]
    fn a_touched_file_is_young() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        let old = SystemTime::now() - Duration::from_secs(3 * 86_400);
        File::create(&path).unwrap().set_modified(old).unwrap();
        touch(&path).unwrap();
        assert!(fs::metadata(&path).unwrap().modified().unwrap() > old + Duration::from_secs(2 * 86_400));
    }
}

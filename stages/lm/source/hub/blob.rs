//! One file of a repository, downloaded into the cache: resumed where it was cut, compared with the hub's own size and
//! digest before anybody sees it, and renamed into place.
//!
//! Two processes that want one file take turns by a lock on a file, as `huggingface_hub` does. Where locks do nothing,
//! they spoil each other's download, which the digest shows, and somebody loads again.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ureq::http::header;

use super::{
    Hub, Place,
    client::{Client, Failed},
    in_cache,
    listing::Remote,
    sum::{self, Sum},
};
use crate::contract::SourceError;

/// Between two lines about a download that takes long.
const NEWS: Duration = Duration::from_secs(10);

/// The file of the cache that holds `remote`, downloaded if it is not there. `url` is its path at the hub.
pub fn download(hub: &Hub, client: &Client, place: &Place, remote: &Remote, url: &str) -> Result<PathBuf, SourceError> {
    let blob = place.blob(remote.digest.hex());
    if is_whole(&blob, remote) {
        return Ok(blob);
    }
    for folder in [blob.parent(), Some(place.locks.as_path())].into_iter().flatten() {
        fs::create_dir_all(folder).map_err(in_cache(folder))?;
    }
    let _turn = turn(&place.locks.join(format!("{}.lock", remote.digest.hex())), remote)?;
    if is_whole(&blob, remote) {
        return Ok(blob); // while we waited
    }
    let partial = blob.with_extension("incomplete");
    client.trying(hub, |failures| {
        let mut download = Download::resume(&partial, remote).map_err(Failed::Final)?;
        let before = download.length;
        let done = download.go_on(hub, client, url);
        if download.length > before {
            *failures = 0;
        }
        done?;
        download.verify(hub)
    })?;
    fs::rename(&partial, &blob).map_err(in_cache(&blob))?;
    Ok(blob)
}

/// Whether a blob is there, with the bytes that its name promises.
fn is_whole(blob: &Path, remote: &Remote) -> bool {
    fs::metadata(blob).is_ok_and(|file| file.is_file() && file.len() == remote.size) && sum::check(blob).is_ok()
}

/// Waits until no other process downloads the same. Nothing where the file system has no locks.
fn turn(path: &Path, remote: &Remote) -> Result<File, SourceError> {
    let lock = File::create(path).map_err(in_cache(path))?;
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        tracing::info!(target: "fetch", "{}: another process is downloading it; waiting", remote.name);
        lock.lock().map_err(in_cache(path))?;
    }
    Ok(lock)
}

/// A file on its way.
struct Download<'a> {
    path: &'a Path,
    remote: &'a Remote,
    file: File,
    /// Bytes that are there.
    length: u64,
    sum: Sum,
}

impl<'a> Download<'a> {
    /// What an earlier attempt left, or nothing.
    fn resume(path: &'a Path, remote: &'a Remote) -> Result<Self, SourceError> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).append(true).open(path);
        let file = file.map_err(in_cache(path))?;
        let mut download = Self { path, remote, file, length: 0, sum: Sum::of(&remote.digest, remote.size) };
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = download.file.read(&mut buffer).map_err(in_cache(path))?;
            if count == 0 {
                return Ok(download);
            }
            download.note(&buffer[..count]);
            if download.length > remote.size {
                download.restart()?;
                return Ok(download);
            }
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.sum.update(bytes);
    }

    /// Forgets what is there.
    fn restart(&mut self) -> Result<(), SourceError> {
        self.file.set_len(0).map_err(in_cache(self.path))?;
        (self.length, self.sum) = (0, Sum::of(&self.remote.digest, self.remote.size));
        Ok(())
    }

    /// Downloads what is missing.
    fn go_on(&mut self, hub: &Hub, client: &Client, url: &str) -> Result<(), Failed> {
        if self.length == self.remote.size {
            return Ok(());
        }
        let mut answer = client.get(hub, url, self.length)?;
        if self.length > 0 && !continues(&answer, self.length) {
            self.restart().map_err(Failed::Final)?;
            if answer.status().as_u16() != 200 {
                return Err(Failed::Passing("the hub does not go on where the download was cut".to_owned()));
            }
        }
        let mut body = answer.body_mut().with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; 1 << 16];
        let mut news = News::new(self.length);
        loop {
            let count = body.read(&mut buffer).map_err(|error| Failed::Passing(error.to_string()))?;
            if count == 0 {
                break;
            }
            self.file.write_all(&buffer[..count]).map_err(|error| Failed::Final(in_cache(self.path)(error)))?;
            self.note(&buffer[..count]);
            if self.length > self.remote.size {
                break; // `verify` says so
            }
            news.tell(hub, self);
        }
        match self.length < self.remote.size {
            true => Err(Failed::Passing(format!("cut after {} of {} bytes", self.length, self.remote.size))),
            false => Ok(()),
        }
    }

    /// Compares length and digest with the hub's; what differs is thrown away.
    fn verify(self, hub: &Hub) -> Result<(), Failed> {
        let Self { path, remote, file, length, sum } = self;
        let found = sum.finish();
        if length == remote.size && found == remote.digest.hex() {
            return file.sync_all().map_err(|error| Failed::Final(in_cache(path)(error)));
        }
        fs::remove_file(path).map_err(|error| Failed::Final(in_cache(path)(error)))?;
        Err(Failed::Final(hub.wrong(&format!(
            "{} came with {length} bytes and the digest {found}, where the hub announces {} bytes and {}: it was thrown \
             away; try again",
            remote.name,
            remote.size,
            remote.digest.hex()
        ))))
    }
}

/// Whether an answer begins at byte `from`.
fn continues(answer: &ureq::http::Response<ureq::Body>, from: u64) -> bool {
    let range = answer.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    answer.status().as_u16() == 206 && range.starts_with(&format!("bytes {from}-"))
}

/// Says now and then how far a download is.
struct News {
    started: Instant,
    told: Instant,
    from: u64,
}

impl News {
    fn new(from: u64) -> Self {
        let now = Instant::now();
        Self { started: now, told: now, from }
    }

    fn tell(&mut self, hub: &Hub, download: &Download) {
        if self.told.elapsed() < NEWS {
            return;
        }
        self.told = Instant::now();
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let rate = megabytes(download.length - self.from) / self.started.elapsed().as_secs_f64();
        let Remote { name, size, .. } = download.remote;
        tracing::info!(
            target: "fetch", "{}: {name}: {:.0} of {:.0} MB, {rate:.1} MB/s",
            hub.repository, megabytes(download.length), megabytes(*size)
        );
    }
}

/// Copies or links a blob to where a commit has it, all at once.
pub fn link(blob: &Path, place: &Path) -> Result<(), SourceError> {
    let (Some(folder), Some(name)) = (place.parent(), blob.file_name()) else { return Ok(()) };
    fs::create_dir_all(folder).map_err(in_cache(folder))?;
    let target = Path::new("../../blobs").join(name);
    if fs::read_link(place).is_ok_and(|there| there == target) {
        return Ok(());
    }
    let temporary = tempfile::Builder::new().prefix(".link").make_in(folder, |path| {
        std::os::unix::fs::symlink(&target, path).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            _ => fs::hard_link(blob, path), // a file system without symbolic links
        })
    });
    let temporary = temporary.map_err(in_cache(folder))?;
    fs::rename(temporary.path(), place).map_err(in_cache(place))
}

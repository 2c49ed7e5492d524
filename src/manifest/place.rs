//! Where a path in a manifest leads.

use std::{fs, io::ErrorKind, path::Path};

use super::{node::quoted, spelling::nearest};

/// What is wrong with a path, and what to do.
pub type Misplaced = (String, Option<String>);

/// The absolute path of a file that is there.
pub fn file(text: &str, base: &Path) -> Result<String, Misplaced> {
    let path = absolute(text, base)?;
    match fs::metadata(&path) {
        Ok(found) if found.is_dir() => Err((format!("{path} is a folder, and a file is wanted"), None)),
        Ok(_) => Ok(path),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err((format!("no such file: {path}"), neighbour(Path::new(&path))))
        }
        Err(error) => Err((format!("cannot read {path}: {error}"), None)),
    }
}

/// The source of a model: a path is made absolute; what names a package or a repository stays as it is.
pub fn source(text: &str, base: &Path) -> Result<String, Misplaced> {
    let says_path = ["./", "../", "/"].iter().any(|start| text.starts_with(start));
    if says_path || (!text.is_empty() && base.join(text).exists()) { absolute(text, base) } else { Ok(text.to_owned()) }
}

fn absolute(text: &str, base: &Path) -> Result<String, Misplaced> {
    let path = base.join(text).components().collect::<std::path::PathBuf>();
    path.into_os_string().into_string().map_err(|path| (format!("the path {} is not UTF-8", path.display()), None))
}

/// The file beside a missing one whose name is nearest to it.
pub fn neighbour(missing: &Path) -> Option<String> {
    const MOST: usize = 1000;
    let (folder, name) = (missing.parent()?, missing.file_name()?.to_str()?);
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = fs::read_dir(folder) else {
        return Some(format!("the folder {} does not exist", quoted(&folder.to_string_lossy())));
    };
    let names: Vec<_> = entries.take(MOST).flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    nearest(name, names.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"))
}

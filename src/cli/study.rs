//! What every subcommand that takes a manifest does first: read it, plan it, find its store.

use std::{
    env,
    path::{Path, PathBuf},
};

use assay_cache::Store;
use assay_stages::Kind;
use clap::Args;

use super::Exit;
use crate::{
    manifest::{encode_label, suggest},
    plan::{Digests, Plan},
};

/// The manifest, and what of it and around it the command line changes.
#[derive(Args)]
pub struct StudyArguments {
    /// The study: a TOML manifest
    pub manifest: PathBuf,

    /// Change a value of [params]; the value is TOML, else a string
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,

    /// Where results are cached [default: $ASSAY_STORE, else cache/store in a folder above the manifest, else .assay beside it]
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

impl StudyArguments {
    /// Reads and plans the manifest; with `json`, mistakes go to stdout as a document.
    pub fn plan(&self, catalogue: &'static [Kind], json: bool) -> Result<Plan, Exit> {
        let mut digests = Digests::remembered();
        let plan = Plan::read(&self.manifest, &self.set, catalogue, &mut digests);
        let plan = plan.map_err(|problems| Exit::manifest(&problems, json))?;
        digests.keep();
        Ok(plan)
    }

    pub fn store(&self) -> Store {
        store_for(self.store.as_deref(), &self.manifest)
    }

    /// The name of the study's folder of results: variants made with `--set` have folders of their own.
    pub fn results_name(&self, plan: &Plan) -> String {
        let sets = self.set.iter().map(|set| {
            let (name, value) = set.split_once('=').unwrap_or((set, ""));
            format!("+{}={}", encode_label(name.trim()), encode_label(value.trim()))
        });
        sets.fold(plan.manifest.study.name.value.clone(), |name, set| name + &set)
    }
}

/// Refuses stages that the study does not have.
pub fn check_stages(plan: &Plan, names: &[String]) -> Result<(), Exit> {
    let known = || plan.manifest.stages.iter().map(|stage| stage.name.value.as_str());
    match names.iter().find(|name| !known().any(|stage| stage == *name)) {
        None => Ok(()),
        Some(name) => Err(no_such("stage", name, known())),
    }
}

/// The mistake of naming something that is not there, with what was probably meant.
pub fn no_such<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Exit {
    let plural = what.strip_suffix('y').map_or_else(|| format!("{what}s"), |stem| format!("{stem}ies"));
    let help = suggest(name, &plural, known).unwrap_or_default();
    Exit::usage(format!("there is no {what} `{name}`\n  help: {help}"))
}

/// The store that is named, else that of the environment, else the one near a manifest or a folder of results.
pub fn store_for(named: Option<&Path>, near: &Path) -> Store {
    let ours = || env::var_os("ASSAY_STORE").filter(|name| !name.is_empty()).map(PathBuf::from);
    Store::at(named.map(Path::to_owned).or_else(ours).unwrap_or_else(|| default_store(near)))
}

/// `cache/store` in the nearest folder above the manifest that has it, else `.assay` beside the manifest.
fn default_store(manifest: &Path) -> PathBuf {
    let absolute = std::path::absolute(manifest).unwrap_or_else(|_| manifest.to_owned());
    let shared = absolute.ancestors().skip(1).map(|folder| folder.join("cache/store")).find(|store| store.is_dir());
    shared.unwrap_or_else(|| absolute.with_file_name(".assay"))
}

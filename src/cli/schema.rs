//! `assay schema`: the JSON Schema of manifests, for editors.

use assay_stages::Kind;
use clap::Args;

use super::{Exit, print};
use crate::manifest;

/// Print the JSON Schema of manifests (Draft 7), for completion and checks in an editor
///
/// Editors that use Taplo find it by the first line of a manifest: `#:schema assay.schema.json`, relative to the manifest.
#[derive(Args)]
#[command(after_help = "\
Examples:
  assay schema > manifests/assay.schema.json
  assay schema | jq '.definitions | keys'")]
pub struct Arguments {}

pub fn schema(_: &Arguments, catalogue: &'static [Kind]) -> Result<Exit, Exit> {
    let schema = manifest::schema(catalogue.iter().map(|kind| (kind.name, kind.schema().to_value())));
    print(&format!("{schema:#}\n"))?;
    Ok(Exit::DONE)
}

//! Brings a repository into the cache: only the files that a model is read from, and in an order in which a snapshot
//! that somebody sees is a whole one.

use std::{fs, io::Write, path::Path};

use super::{
    Hub, Place,
    blob::{download, link},
    client::Client,
    in_cache,
    listing::{Listing, Remote},
    settings::Settings,
};
use crate::{contract::SourceError, lm::source::Wanted};

pub fn fetch(hub: &Hub, settings: &Settings, place: &Place, wanted: Wanted) -> Result<(), SourceError> {
    let client = Client::new(settings)?;
    // a branch that was fetched before means its commit of then, of which something is missing
    let listing = Listing::ask(hub, &client, &place.commit(hub.revision))?;
    let get = |remote: &Remote| {
        tracing::info!(target: "fetch", "{}: {} ({:.1} MB)", hub.repository, remote.name, remote.size as f64 / 1e6);
        let url = format!("/{}/resolve/{}/{}", hub.repository, listing.commit, remote.name);
        download(hub, &client, place, remote, &url)
    };
    let (beside, absent) = listing.beside(hub)?;
    let index = listing.index(hub, wanted)?;
    let index_blob = index.as_ref().map(get).transpose()?;
    let weights = match wanted {
        Wanted::Configuration => vec![],
        Wanted::Everything => listing.weights(hub, index_blob.as_deref())?,
    };
    let snapshot = place.snapshot(&listing.commit);
    // Without what the index names there are no weights, without a configuration no snapshot: it comes last.
    let files = index.iter().chain(&weights).chain(beside.iter().rev());
    let blobs = files.map(|remote| Ok((remote, get(remote)?))).collect::<Result<Vec<_>, SourceError>>()?;
    for (remote, blob) in blobs {
        link(&blob, &snapshot.join(&remote.name))?;
    }
    for name in absent {
        written(&place.absent(&listing.commit, name), "")?;
    }
    match hub.revision == listing.commit {
        true => Ok(()), // a commit names itself
        false => written(&place.reference(hub.revision), &listing.commit),
    }
}

/// A small file, all at once.
fn written(path: &Path, text: &str) -> Result<(), SourceError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(in_cache(folder))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(in_cache(folder))?;
    file.write_all(text.as_bytes()).map_err(in_cache(path))?;
    file.persist(path).map_err(|error| in_cache(path)(error.error))?;
    Ok(())
}

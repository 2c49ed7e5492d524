//! The commit of the git checkout that a manifest lies in, read from git's own files.
//!
//! It is provenance and nothing depends on it: where there is no checkout, no commit yet, or a layout that is not
//! known here (reftables), there is none, which is no error. It does not say whether files differ from that commit.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// References that name references; git itself gives up after five.
const MOST_STEPS: usize = 5;

/// The commit that is checked out in the nearest checkout around `file`.
pub fn commit(file: &Path) -> Option<String> {
    let absolute = std::path::absolute(file).ok()?;
    let own = absolute.ancestors().skip(1).find_map(git_folder)?;
    resolve(&own, &shared_folder(&own))
}

/// The folder that holds a checkout's `HEAD`: `.git`, or what a file of that name points to (worktrees, submodules).
fn git_folder(folder: &Path) -> Option<PathBuf> {
    let git = folder.join(".git");
    let own = match fs::read_to_string(&git) {
        Ok(text) => folder.join(text.strip_prefix("gitdir:")?.trim()),
        Err(_) => git,
    };
    own.join("HEAD").is_file().then_some(own)
}

/// The folder with the branches, which the worktrees of a repository share.
fn shared_folder(own: &Path) -> PathBuf {
    let common = fs::read_to_string(own.join("commondir"));
    common.map_or_else(|_| own.to_owned(), |common| own.join(common.trim()))
}

/// The commit behind `HEAD`.
fn resolve(own: &Path, shared: &Path) -> Option<String> {
    let mut name = "HEAD".to_owned();
    for _ in 0..MOST_STEPS {
        let text = loose(own, &name).or_else(|| loose(shared, &name)).or_else(|| packed(shared, &name))?;
        match text.strip_prefix("ref:") {
            None => return Some(text).filter(|text| is_commit(text)),
            Some(other) => name = other.trim().to_owned(),
        }
    }
    None
}

/// What a reference holds that has a file of its own.
fn loose(folder: &Path, name: &str) -> Option<String> {
    let stays = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let text = stays.then(|| fs::read_to_string(folder.join(name)).ok())??;
    Some(text.trim().to_owned())
}

/// What a reference holds that was packed: lines of `<commit> <name>`.
fn packed(shared: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(shared.join("packed-refs")).ok()?;
    let line = text.lines().filter_map(|line| line.split_once(' ')).find(|(_, packed)| *packed == name);
    line.map(|(commit, _)| commit.to_owned())
}

/// Forty digits of SHA-1, or sixty-four of SHA-256.
fn is_commit(text: &str) -> bool {
    [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_branch_is_found_loose_or_packed_and_a_detached_head_is_itself() {
        let home = tempfile::tempdir().unwrap();
        let manifest = home.path().join("studies/a.toml");
        write(home.path(), "studies/a.toml", "");
        write(home.path(), ".git/HEAD", "ref: refs/heads/main\n");
        assert_eq!(commit(&manifest), None, "a checkout without a commit");
        write(home.path(), ".git/packed-refs", &format!("# pack-refs with: peeled\n{TWO} refs/heads/main\n^{ONE}\n"));
        assert_eq!(commit(&manifest).as_deref(), Some(TWO));
        write(home.path(), ".git/refs/heads/main", &format!("{ONE}\n"));
        assert_eq!(commit(&manifest).as_deref(), Some(ONE), "a loose reference is the newer one");
        write(home.path(), ".git/HEAD", &format!("{TWO}\n"));
        assert_eq!(commit(&manifest).as_deref(), Some(TWO));
    }

    #[test]
    fn a_worktree_has_its_own_head_and_the_branches_of_its_repository() {
        let home = tempfile::tempdir().unwrap();
        write(home.path(), "main/.git/refs/heads/topic", &format!("{ONE}\n"));
        write(home.path(), "main/.git/HEAD", &format!("{TWO}\n"));
        write(home.path(), "main/.git/worktrees/side/HEAD", "ref: refs/heads/topic\n");
        write(home.path(), "main/.git/worktrees/side/commondir", "../..\n");
        write(home.path(), "side/.git", "gitdir: ../main/.git/worktrees/side\n");
        assert_eq!(commit(&home.path().join("side/a.toml")).as_deref(), Some(ONE));
    }

    #[test]
    fn what_is_no_checkout_or_a_strange_one_has_no_commit() {
        let home = tempfile::tempdir().unwrap();
        let manifest = home.path().join("a.toml");
        write(home.path(), ".git/HEAD", "ref: ../../../etc/passwd\n");
        assert_eq!(commit(&manifest), None);
        write(home.path(), ".git/HEAD", "ref: HEAD\n");
        assert_eq!(commit(&manifest), None, "a reference to itself");
        write(home.path(), ".git/HEAD", "not a commit\n");
        assert_eq!(commit(&manifest), None);
    }
}

//! The hub, played by a server of our own on this machine: what it is asked, what it answers, and what of it ends in
//! the cache.

use std::{collections::BTreeMap, thread, time::Duration};

use sha2::{Digest as _, Sha256};

use super::{
    git::GitBlob,
    server::{Asked, Reply, Server, ok, status},
    settings::{Settings, Token},
    *,
};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn paths(server: &Server) -> Vec<String> {
    server.asked().into_iter().map(|asked| asked.path).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn git(bytes: &[u8]) -> String {
    let mut name = GitBlob::of_size(bytes.len() as u64);
    name.update(bytes);
    name.finish()
}

/// A repository: large files (safetensors) have a SHA-256, others Git's name.
#[derive(Clone)]
struct Repository(BTreeMap<&'static str, Vec<u8>>);

impl Repository {
    fn tiny() -> Self {
        let weights: Vec<u8> = (0..300_000u32).map(|i| (i * 7 % 256) as u8).collect();
        Self(BTreeMap::from([
            ("README.md", b"not wanted".to_vec()),
            ("config.json", b"{\"model_type\": \"llama\"}".to_vec()),
            ("tokenizer.json", b"{}".to_vec()),
            ("model.safetensors", weights),
            ("pytorch_model.bin", b"pickle".to_vec()),
        ]))
    }

    fn with(mut self, name: &'static str, content: &str) -> Self {
        self.0.insert(name, content.as_bytes().to_vec());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    fn listing(&self) -> Reply {
        let sibling = |(name, bytes): (&&str, &Vec<u8>)| match name.ends_with(".safetensors") {
            true => json!({ "rfilename": name, "size": bytes.len(), "blobId": git(b"pointer"),
                            "lfs": { "sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 134 } }),
            false => json!({ "rfilename": name, "size": bytes.len(), "blobId": git(bytes) }),
        };
        ok(json!({ "sha": COMMIT, "siblings": self.0.iter().map(sibling).collect::<Vec<_>>() }).to_string())
    }

    /// What the hub answers, redirects aside.
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.path.starts_with("/api/models/org/tiny/revision/") {
            return self.listing();
        }
        let name = asked.path.strip_prefix(&format!("/org/tiny/resolve/{COMMIT}/"));
        let Some(bytes) = name.and_then(|name| self.0.get(name)) else { return status(404, &[]) };
        match asked.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
        {
            Some(from) => Reply {
                status: 206,
                headers: vec![("Content-Range".into(), format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()))],
                body: bytes[from..].to_vec(),
                cut: None,
            },
            None => ok(bytes.clone()),
        }
    }

    fn server(self) -> Server {
        Server::new(move |asked, _| self.answer(asked))
    }
}

/// A cache of its own, and the settings that name it.
struct Cache {
    folder: tempfile::TempDir,
    settings: Settings,
}

impl Cache {
    fn at(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            cache: folder.path().to_owned(),
            endpoint: server.address.clone(),
            token: None,
            offline: false,
            pause: Duration::from_millis(1),
            certificates: None,
        };
        Self { folder, settings }
    }

    fn find(&self, revision: &str, fetch: Fetch) -> Result<Found, SourceError> {
        Hub { repository: "org/tiny", revision }.find_with(&self.settings, Wanted::Everything, fetch)
    }

    fn fetched(&self) -> Result<Found, String> {
        self.find("main", Fetch::IfMissing).map_err(|error| error.to_string())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("models--org--tiny").join(name)
    }

    fn incomplete(&self) -> Vec<PathBuf> {
        let blobs = fs::read_dir(self.file("blobs")).unwrap().map(|entry| entry.unwrap().path());
        blobs.filter(|path| path.extension().is_some()).collect()
    }
}

#[test]
fn what_a_model_needs_is_fetched_once() {
    let repository = Repository::tiny();
    let server = repository.clone().server();
    let cache = Cache::at(&server);
    assert!(matches!(cache.find("main", Fetch::Never), Err(SourceError::NotFetched(_))));
    assert_eq!(server.asked().len(), 0);

    let found = cache.fetched().unwrap();
    assert_eq!(found.provenance["commit"], COMMIT);
    assert_eq!(found.files.keys().collect::<Vec<_>>(), ["config", "tokenizer", "weights/00000"]);
    assert_eq!(fs::read(&found.files["weights/00000"]).unwrap(), repository.0["model.safetensors"]);
    let mut paths = paths(&server);
    assert_eq!(paths.remove(0), "/api/models/org/tiny/revision/main?blobs=true");
    let file = |name: &str| format!("/org/tiny/resolve/{COMMIT}/{name}");
    assert_eq!(
        paths,
        [file("model.safetensors"), file("tokenizer.json"), file("config.json")],
        "the configuration last"
    );

    // as `huggingface_hub` has it
    assert_eq!(fs::read_to_string(cache.file("refs/main")).unwrap(), COMMIT);
    let link = fs::read_link(cache.file(&format!("snapshots/{COMMIT}/config.json"))).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(git(&repository.0["config.json"])));
    assert!(cache.file(&format!("blobs/{}", sha256(&repository.0["model.safetensors"]))).is_file());
    assert_eq!(cache.incomplete(), Vec::<PathBuf>::new());

    // the branch, the commit, online or not: nothing more is asked
    let before = server.asked().len();
    for (revision, fetch) in [("main", Fetch::IfMissing), (COMMIT, Fetch::IfMissing), ("main", Fetch::Never)] {
        assert_eq!(cache.find(revision, fetch).unwrap().files, found.files);
    }
    assert_eq!(server.asked().len(), before);
}

/// A bit that turned on the disk.
#[test]
fn what_was_damaged_in_the_cache_is_refused_and_can_be_fetched_again() {
    let repository = Repository::tiny();
    let server = repository.clone().server();
    let cache = Cache::at(&server);
    let found = cache.fetched().unwrap();
    let check = found.check.unwrap();
    assert!(found.files.values().all(|path| check(path).is_ok()));
    for (role, name) in [("weights/00000", "model.safetensors"), ("config", "config.json")] {
        let blob = fs::canonicalize(&found.files[role]).unwrap();
        let mut bytes = repository.0[name].clone();
        bytes[7] ^= 1;
        fs::write(&blob, bytes).unwrap();
        let refused = check(&found.files[role]).unwrap_err();
        assert!(refused.contains("is damaged") && refused.contains(&blob.display().to_string()), "{refused}");
        fs::remove_file(&blob).unwrap();
        let missing = cache.find("main", Fetch::Never).unwrap_err();
        assert!(matches!(missing, SourceError::NotFetched(_)), "{missing}");
        cache.fetched().unwrap();
        check(&found.files[role]).unwrap();
    }
}

#[test]
fn a_configuration_comes_without_weights_and_they_later() {
    let server = Repository::tiny().server();
    let cache = Cache::at(&server);
    let find =
        |wanted, fetch| Hub { repository: "org/tiny", revision: "step0" }.find_with(&cache.settings, wanted, fetch);
    let found = find(Wanted::Configuration, Fetch::IfMissing).unwrap();
    assert_eq!(found.files.keys().collect::<Vec<_>>(), ["config", "tokenizer"]);
    assert!(paths(&server)[0].contains("/revision/step0?"), "{:?}", paths(&server));
    let error = find(Wanted::Everything, Fetch::Never).unwrap_err().to_string();
    assert!(error.contains("org/tiny at step0; `assay fetch MANIFEST` brings its weights"), "{error}");
    let before = server.asked().len();
    assert!(find(Wanted::Everything, Fetch::IfMissing).unwrap().has_weights());
    assert_eq!(server.asked().len(), before + 2, "the listing and the weights");
}

#[test]
fn shards_are_what_the_index_names() {
    let index = r#"{"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors"}}"#;
    let sharded = Repository::tiny().without("model.safetensors").with(local::INDEX, index);
    let whole = sharded.clone().with("model-1.safetensors", "one").with("model-2.safetensors", "two");
    let cache = Cache::at(&whole.with("stray.safetensors", "").server());
    let found = cache.fetched().unwrap();
    assert_eq!(fs::read(&found.files["weights/00001"]).unwrap(), b"two");
    assert_eq!(found.files.len(), 4);

    let error = Cache::at(&sharded.clone().server()).fetched().unwrap_err();
    assert!(error.contains("names model-1.safetensors, which the repository does not have"), "{error}");
    let escape = sharded.with(local::INDEX, r#"{"weight_map": {"a": "../../../x.safetensors"}}"#);
    assert!(Cache::at(&escape.server()).fetched().unwrap_err().contains("no file name"));
}

#[test]
fn a_revision_is_one_part_of_an_address() {
    let server = Repository::tiny().server();
    let cache = Cache::at(&server);
    cache.find("refs/pr/1", Fetch::IfMissing).unwrap();
    assert_eq!(paths(&server)[0], "/api/models/org/tiny/revision/refs%2Fpr%2F1?blobs=true");
    assert_eq!(fs::read_to_string(cache.file("refs/refs/pr/1")).unwrap(), COMMIT);
    assert!(matches!(cache.find("../../x", Fetch::IfMissing), Err(SourceError::Unavailable(_))));
}

#[test]
fn a_cut_download_goes_on_where_it_was_cut() {
    let repository = Repository::tiny();
    let weights = repository.0["model.safetensors"].clone();
    let server = Server::new(move |asked, before| {
        let reply = repository.answer(asked);
        let cut = asked.path.ends_with("model.safetensors") && before < 3;
        Reply { cut: cut.then_some(50_000), ..reply }
    });
    let cache = Cache::at(&server);
    assert_eq!(fs::read(&cache.fetched().unwrap().files["weights/00000"]).unwrap(), weights);
    let ranges: Vec<_> = server.asked().into_iter().filter(|asked| asked.path.ends_with("model.safetensors")).collect();
    let ranges: Vec<_> = ranges.iter().map(|asked| asked.headers.get("range").map(String::as_str)).collect();
    assert_eq!(ranges, [None, Some("bytes=50000-"), Some("bytes=100000-"), Some("bytes=150000-")]);
}

#[test]
fn what_an_earlier_process_left_is_used_if_it_is_right() {
    let weights = Repository::tiny().0["model.safetensors"].clone();
    let begun = |left: &[u8]| {
        let server = Repository::tiny().server();
        let cache = Cache::at(&server);
        fs::create_dir_all(cache.file("blobs")).unwrap();
        fs::write(cache.file(&format!("blobs/{}.incomplete", sha256(&weights))), left).unwrap();
        let first = cache.fetched();
        (first, cache, server)
    };
    let (found, _cache, server) = begun(&weights[..200_000]);
    assert_eq!(fs::read(&found.unwrap().files["weights/00000"]).unwrap(), weights);
    assert_eq!(server.asked()[1].headers["range"], "bytes=200000-");

    let (found, _cache, server) = begun(&vec![7; 400_000]); // longer than the file: no part of it
    assert!(found.is_ok() && !server.asked()[1].headers.contains_key("range"));

    let (refused, cache, _server) = begun(&[7; 100]); // other bytes: seen at the end, gone the next time
    let refused = refused.unwrap_err();
    assert!(refused.contains("model.safetensors") && refused.contains("thrown away"), "{refused}");
    assert!(cache.find("main", Fetch::Never).is_err());
    assert!(cache.fetched().is_ok());
}

#[test]
fn a_server_that_knows_no_ranges_sends_all_again() {
    let repository = Repository::tiny();
    let server = Server::new(move |asked, before| {
        let whole = Asked { headers: BTreeMap::new(), ..asked.clone() };
        let cut = asked.path.ends_with("model.safetensors") && before == 0;
        Reply { cut: cut.then_some(1000), ..repository.answer(&whole) }
    });
    assert!(Cache::at(&server).fetched().is_ok());
}

#[test]
fn wrong_bytes_never_reach_the_cache() {
    for file in ["model.safetensors", "tokenizer.json"] {
        let repository = Repository::tiny();
        let server = Server::new(move |asked, _| {
            let mut reply = repository.answer(asked);
            if asked.path.ends_with(file) {
                reply.body[0] ^= 1;
            }
            reply
        });
        let cache = Cache::at(&server);
        let error = cache.fetched().unwrap_err();
        assert!(error.contains(file) && error.contains("thrown away"), "{error}");
        assert!(matches!(cache.find("main", Fetch::Never), Err(SourceError::NotFetched(_))));
        assert_eq!(cache.incomplete(), Vec::<PathBuf>::new());
    }
}

#[test]
fn the_token_goes_to_the_hub_alone() {
    let repository = Repository::tiny();
    let content = repository.clone();
    let store = Server::new(move |asked, _| ok(content.0[asked.path.trim_start_matches('/')].clone()));
    let elsewhere = store.address.clone();
    let hub = Server::new(move |asked, _| match asked.path.rsplit_once('/') {
        Some((_, "model.safetensors")) => status(302, &[("Location", &format!("{elsewhere}/model.safetensors"))]),
        Some((path, "config.json")) if !path.contains("moved") => {
            status(307, &[("Location", "/moved/config.json")]) // as after a repository was renamed
        }
        Some((_, "config.json")) => ok(repository.0["config.json"].clone()),
        _ => repository.answer(asked),
    });
    let mut cache = Cache::at(&hub);
    cache.settings.token = Some(Token { secret: "hf_secret".into(), from: "HF_TOKEN".into() });
    assert!(cache.fetched().unwrap().has_weights());
    let tokens = |server: &Server| {
        server.asked().iter().map(|asked| asked.headers.get("authorization").cloned()).collect::<Vec<_>>()
    };
    assert!(tokens(&hub).iter().all(|token| token.as_deref() == Some("Bearer hf_secret")), "{:?}", tokens(&hub));
    assert_eq!(tokens(&store), [None], "the token leaked to another host");
}

#[test]
fn refusals_say_what_to_do() {
    let refused = |code: u16, headers: &'static [(&str, &str)], token: bool| {
        let server = Server::new(move |_, _| status(code, headers));
        let mut cache = Cache::at(&server);
        cache.settings.token = token.then(|| Token { secret: "hf_secret".into(), from: "HF_TOKEN".into() });
        let error = cache.fetched().unwrap_err();
        assert!(!error.contains("hf_secret") && error.starts_with("org/tiny at main: "), "{error}");
        assert_eq!(server.asked().len(), 1, "nothing to try again");
        error
    };
    let gated = refused(401, &[("X-Error-Code", "GatedRepo")], false);
    assert!(gated.contains("accept its terms") && gated.contains("set HF_TOKEN"), "{gated}");
    let gated = refused(403, &[("X-Error-Code", "GatedRepo")], true);
    assert!(gated.contains("the token in HF_TOKEN may not read it"), "{gated}");
    assert!(refused(401, &[], false).contains("no such repository, or a private one"));
    assert!(refused(404, &[("X-Error-Code", "RepoNotFound")], false).contains("no such repository: check the name"));
    assert!(refused(404, &[("X-Error-Code", "RevisionNotFound")], false).contains("no such revision"));
    assert!(refused(400, &[("X-Error-Message", "what?")], false).contains("status 400  what?"));
}

#[test]
fn failures_that_pass_are_waited_for_and_others_not_for_ever() {
    let repository = Repository::tiny();
    let server = Server::new(move |asked, before| match before {
        0 => status(503, &[]),
        1 => status(429, &[]),
        _ => repository.answer(asked),
    });
    assert!(Cache::at(&server).fetched().is_ok());

    let server = Server::new(|_, _| status(500, &[]));
    let error = Cache::at(&server).fetched().unwrap_err();
    assert!(error.contains("HTTP status 500") && error.contains("after 5 attempts"), "{error}");
    assert_eq!(server.asked().len(), 5);

    let mut cache = Cache::at(&server);
    cache.settings.endpoint = "http://127.0.0.1:1".into(); // nobody listens there
    let error = cache.fetched().unwrap_err();
    assert!(error.contains("http://127.0.0.1:1 does not answer"), "{error}");

    let lost = Server::new(|_, _| status(302, &[("Location", "/again")]));
    assert!(Cache::at(&lost).fetched().unwrap_err().contains("redirected without end"));
}

#[test]
fn repositories_without_what_is_needed_say_what_they_have() {
    let refused = |repository: Repository| Cache::at(&repository.server()).fetched().unwrap_err();
    let bin = refused(Repository::tiny().without("model.safetensors"));
    assert!(bin.contains("only pytorch_model.bin: PyTorch's pickles are programs"), "{bin}");
    let gguf = Repository(BTreeMap::from([("tiny.Q4_K_M.gguf", vec![])]));
    assert!(refused(gguf).contains("give the path of one file, such as tiny.Q4_K_M.gguf"));
    let empty = refused(Repository::tiny().without("model.safetensors").without("pytorch_model.bin"));
    assert!(empty.contains("no weights (*.safetensors); there are README.md, config.json"), "{empty}");
    let nonsense = Server::new(|_, _| ok("<html>"));
    assert!(Cache::at(&nonsense).fetched().unwrap_err().contains("not what it should be"));
    let evil = Server::new(|_, _| ok(json!({ "sha": "../../../../etc", "siblings": [] }).to_string()));
    assert!(Cache::at(&evil).fetched().unwrap_err().contains("which is none"));
    let unnamed =
        json!({ "sha": COMMIT, "siblings": [{ "rfilename": "config.json", "blobId": "../../x", "size": 1 }] });
    let unnamed = Server::new(move |_, _| ok(unnamed.to_string()));
    assert!(Cache::at(&unnamed).fetched().unwrap_err().contains("no digest and size for config.json"));
}

#[test]
fn two_at_once_download_once() {
    let repository = Repository::tiny();
    let server = Server::new(move |asked, _| {
        thread::sleep(Duration::from_millis(20));
        repository.answer(asked)
    });
    let cache = Cache::at(&server);
    thread::scope(|scope| {
        let fetches: Vec<_> = (0..4).map(|_| scope.spawn(|| cache.fetched().unwrap().files)).collect();
        let found: Vec<_> = fetches.into_iter().map(|fetch| fetch.join().unwrap()).collect();
        assert!(found.iter().all(|files| *files == found[0]));
    });
    let weights = paths(&server).iter().filter(|path| path.ends_with("model.safetensors")).count();
    assert_eq!(weights, 1);
}

#[test]
fn offline_means_offline() {
    let server = Repository::tiny().server();
    let mut cache = Cache::at(&server);
    cache.settings.offline = true;
    let error = cache.find("main", Fetch::IfMissing).unwrap_err();
    assert!(matches!(&error, SourceError::NotFetched(why) if why.contains("HF_HUB_OFFLINE is set")), "{error}");
    assert_eq!(server.asked().len(), 0);
}

/// What Python left: no `.no_exist`, only what somebody loaded.
#[test]
fn a_cache_that_others_filled_is_read_as_it_is() {
    let server = Repository::tiny().server();
    let cache = Cache::at(&server);
    let snapshot = cache.file("snapshots/0123abcd");
    for folder in [&snapshot, &cache.file("blobs"), &cache.file("refs")] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(cache.file("refs/main"), "0123abcd\n").unwrap();
    let partial = cache.find("main", Fetch::Never).unwrap_err();
    assert!(matches!(&partial, SourceError::NotFetched(why) if why.contains("no config.json")), "{partial}");
    for name in ["config.json", "model.safetensors"] {
        fs::write(cache.file("blobs").join(name), "{}").unwrap();
        std::os::unix::fs::symlink(Path::new("../../blobs").join(name), snapshot.join(name)).unwrap();
    }
    for revision in ["main", "0123abcd"] {
        let found = cache.find(revision, Fetch::Never).unwrap();
        assert_eq!(found.files["config"], snapshot.join("config.json"));
        assert_eq!(found.provenance["commit"], "0123abcd");
    }
    assert_eq!(server.asked().len(), 0);
    // who may fetch asks for what else there is at that commit, not at the branch's newest
    cache.fetched().unwrap();
    assert_eq!(paths(&server)[0], "/api/models/org/tiny/revision/0123abcd?blobs=true");
}

#[test]
fn repositories_have_names() {
    assert!(is_repository("gpt2") && is_repository("EleutherAI/pythia-1b") && is_repository("a/b_c.d"));
    for text in ["", "a/b/c", "a//b", "../b", "a/..", "a b/c", "-a/b", "a--b/c", "http://a"] {
        assert!(!is_repository(text), "{text}");
    }
}

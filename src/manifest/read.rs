//! A file → [`Manifest`]: the top-level tables, and everything that is wrong with them.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
    sync::Arc,
};

use super::{
    Axis, Manifest, Node, NodeValue, Problem, Problems, Spanned, StageDecl, Study, Text,
    axes::{self, bad_name},
    expect,
    fields::{self, Fields},
    label::{is_name, is_study_name},
    place, settings, stages,
    substitute::literal,
    syntax,
};

/// A manifest is written by a person: what is longer than this is some other file.
const MOST_BYTES: u64 = 8 << 20;

impl Manifest {
    /// The manifest at `path` with each `--set name=value` applied, and all that is wrong with it. It is there if the text
    /// is TOML that has stages, so that a plan can go on and find the mistakes of the next layer as well.
    pub fn recover(path: &Path, sets: &[String]) -> (Option<Self>, Problems) {
        let mut problems = vec![];
        let content = read_text(path, &mut problems);
        let text = Arc::new(Text { path: path.to_owned(), content });
        let manifest = if problems.is_empty() { parse(&text, sets, &mut problems) } else { None };
        (manifest, Problems::new(text, problems))
    }
}

/// The text of a manifest; empty where it cannot be read. What is not UTF-8 in it is replaced, and told where it stands.
fn read_text(path: &Path, problems: &mut Vec<Problem>) -> String {
    match read_bytes(path) {
        Ok(bytes) => String::from_utf8(bytes).unwrap_or_else(|error| {
            problems.push(not_utf8(error.as_bytes(), error.utf8_error().valid_up_to()));
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        }),
        Err(problem) => {
            problems.push(problem);
            String::new()
        }
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, Problem> {
    let name = path.display();
    if path.is_dir() {
        return Err(Problem::nowhere(format!("{name} is a folder")).help("name the manifest in it"));
    }
    let mut bytes = vec![];
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        let problem = Problem::nowhere(format!("cannot read {name}: {error}"));
        match (error.kind(), place::neighbour(path)) {
            (ErrorKind::NotFound, Some(help)) => problem.help(help),
            (ErrorKind::NotFound, None) => problem.help("`assay new NAME` writes a manifest to begin with"),
            _ => problem,
        }
    })?;
    if bytes.len() as u64 > MOST_BYTES {
        let problem = Problem::nowhere(format!("{name} has more than {} MiB", MOST_BYTES >> 20));
        return Err(problem.help("this is hardly a manifest; data belongs in files that the manifest names"));
    }
    Ok(bytes.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(bytes)) // a byte order mark
}

/// Up to `good`, the bytes are the text that is shown.
fn not_utf8(bytes: &[u8], good: usize) -> Problem {
    let problem = Problem::new(
        good..good + char::REPLACEMENT_CHARACTER.len_utf8(),
        format!("this is not UTF-8 text: byte {good} is 0x{:02x}", bytes[good]),
    );
    let is_utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    problem.help(if is_utf16 { "the file looks like UTF-16: save it as UTF-8" } else { "save the file as UTF-8" })
}

fn parse(text: &Arc<Text>, sets: &[String], problems: &mut Vec<Problem>) -> Option<Manifest> {
    let document = syntax::document(&text.content, problems)?;
    let mut top = Fields::of(document, problems)?;
    let study = top.take("study");
    let study = read_study(study, top.problems);
    let mut params = top.take("params").map_or(vec![], |node| read_params(node, top.problems));
    settings::apply(sets, &mut params, top.problems);
    let axes = top.take("axes").map_or(vec![], |node| axes::read(node, top.problems));
    let stages = top.take("stages");
    let stages = read_stages(stages, &axes, top.problems);
    let expects = top.take("expect").map_or(vec![], |node| expect::read(node, &axes, top.problems));
    let exports = top.take("export").map_or(vec![], |node| expect::exports(node, top.problems));
    let cluster = top.take("cluster");
    check_cluster(cluster.as_ref(), top.problems);
    top.finish("table");
    let (stages, misread) = stages?;
    let study = study.unwrap_or_else(Study::unknown);
    Some(Manifest { text: text.clone(), study, params, axes, stages, misread, expects, exports })
}

impl Study {
    /// Stands for one that could not be understood; its problem is told.
    fn unknown() -> Self {
        Self { name: Spanned { span: 0..0, value: String::new() }, question: None, seed: 0, seed_at: None }
    }
}

fn read_study(node: Option<Node>, problems: &mut Vec<Problem>) -> Option<Study> {
    let Some(node) = node else {
        let problem = Problem::new(0..0, "the table `[study]` is missing");
        problems.push(problem.help("begin with:  [study]  and  name = \"…\""));
        return None;
    };
    let mut fields = Fields::of(node, problems)?;
    let name = fields.required("name", "results go to `results/<name>`");
    let name = name.inspect(|name| check_study_name(name, fields.problems));
    let question = fields.string("question").map(|text| text.value);
    let seed = fields.take("seed");
    let seed_at = seed.as_ref().map(|node| node.span.clone());
    let seed = seed.map_or(Some(0), |node| read_seed(&node, fields.problems));
    fields.finish("key in [study]");
    Some(Study { name: name?, question, seed: seed?, seed_at })
}

fn check_study_name(name: &Spanned<String>, problems: &mut Vec<Problem>) {
    if !is_study_name(&name.value) {
        let message = format!("{} cannot be the name of a study", super::node::quoted(&name.value));
        let help = "it names a folder: letters, digits, `.`, `_`, `+` and `-`, with no dot in front, 200 at most";
        problems.push(Problem::new(name.span.clone(), message).help(help));
    }
}

fn read_seed(node: &Node, problems: &mut Vec<Problem>) -> Option<u64> {
    match node.value {
        NodeValue::Integer(seed) if seed >= 0 => Some(seed.unsigned_abs()),
        _ => {
            problems.push(Problem::expected("an integer from 0", node));
            None
        }
    }
}

fn read_params(node: Node, problems: &mut Vec<Problem>) -> Vec<(Spanned<String>, Node)> {
    let entries = fields::table(node, problems).unwrap_or_default();
    let param = |(name, node): (Spanned<String>, Node)| {
        if !is_name(&name.value) {
            problems.push(bad_name("a parameter", &name));
        }
        let value = literal(node, "a parameter", problems);
        (name, value)
    };
    entries.into_iter().map(param).collect()
}

/// The stages, and the names of those that could not be understood.
fn read_stages(
    node: Option<Node>,
    axes: &[Axis],
    problems: &mut Vec<Problem>,
) -> Option<(Vec<StageDecl>, Vec<String>)> {
    let (stages, misread) = match node {
        Some(node) => stages::read(node, axes, problems)?,
        None => (vec![], vec![]),
    };
    if stages.is_empty() && misread.is_empty() {
        let problem = Problem::new(0..0, "this study has no stages");
        problems.push(problem.help("add one:  [stages.NAME]  and  kind = \"…\""));
        return None;
    }
    Some((stages, misread))
}

fn check_cluster(node: Option<&Node>, problems: &mut Vec<Problem>) {
    if let Some(node) = node
        && !matches!(node.value, NodeValue::Table(_))
    {
        problems.push(Problem::expected("a table", node));
    }
}

//! The kind `prompts`: texts or token ids, from a file or from the manifest, for models to read.
//!
//! It turns nothing into tokens: that is done by the tokenizer of the model that reads the prompts, so that the same
//! prompts serve several.

use std::{collections::BTreeSet, fs, path::Path};

use assay_cache::{Artifact, Table, Values};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Fetch, File, Given, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Resolved, SourceError,
    Stage,
    lm::text::{
        prompts::{self, Content, Prompt},
        tokenizer::Bos,
    },
};

/// What stands between the texts of which an MD5 is taken.
const SEPARATOR: &str = "|||";

/// The output that answers stand in.
const ANSWERS: &str = "answers";

/// For each prompt the right answer and the wrong one.
type Answers = Vec<[String; 2]>;

/// Prompts for a model: exactly one of `file`, `texts` and `tokens` says what they are.
///
/// Where a file gives answers, they are an output too: the table `answers`, which `score` and `attribute` read.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Prompts {
    /// A TOML file with a table `[[prompts]]` for each prompt: its `text`, and if wanted its `category`, its `id`, and its
    /// right and wrong answers, `correct` and `incorrect` (all prompts have them, or none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
    /// The prompts themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<Vec<String>>,
    /// The prompts as token ids, for which no tokenizer is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<Vec<u32>>>,
    /// The MD5 of all texts, joined with `|||`. Other prompts are then refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// Puts each text, as one turn of a user, into the model's chat template, with the beginning of an answer after it.
    #[serde(default)]
    pub chat_template: bool,
    /// The most tokens that a prompt has, special ones included; what is over is cut off at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_length: Option<usize>,
    /// Whether a prompt begins with the token that marks a beginning: `"auto"` is what the tokenizer does by itself (one
    /// more even after a chat template that wrote one, as Hugging Face does), `true` makes it exactly one, `false` adds
    /// none.
    #[serde(default)]
    pub bos: Bos,
    /// Only the first so many prompts. (The MD5 is that of all.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub first: Option<usize>,
}

impl Stage for Prompts {
    const KIND: &'static str = "prompts";
    const VERSION: &'static [(&'static str, u32)] = &[("prompts", 1)];

    fn resolve(&self, _: Fetch) -> Result<Resolved, SourceError> {
        match &self.file {
            None => Ok(Resolved::default()),
            Some(File(path)) if path.is_file() => Ok(Resolved::file(path.clone())),
            Some(File(path)) => Err(SourceError::Unavailable(format!("there is no file {}", path.display()))),
        }
    }

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let file = given.files.and_then(|files| files.files.get("file"));
        let port = OutputPort::new("prompts", PortType::of("prompts"));
        let outputs = match (&self.file, file) {
            (Some(_), None) => vec![port], // another mistake: the file is not there
            _ => {
                let (prompts, answers) = self.prompts(file.map(AsRef::as_ref)).map_err(|mistake| vec![mistake])?;
                let columns = json!({ "columns": ["prompt", "correct", "incorrect"] });
                let answers = answers.map(|_| OutputPort::new(ANSWERS, PortType::of("table")).with_facts(columns));
                std::iter::once(port.with_facts(prompts.facts())).chain(answers).collect()
            }
        };
        Ok(Ports { inputs: vec![], outputs })
    }

    fn run(&self, _: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let file = ctx.files().get("file").map(|digest| ctx.place(digest)).transpose()?;
        let (prompts, answers) = self.prompts(file.as_deref()).map_err(|mistake| Failure::fatal(mistake.message))?;
        let outputs = Outputs::default().with("prompts", Artifact::Record(prompts.to_value()));
        Ok(match answers {
            Some(answers) => outputs.with(ANSWERS, Artifact::Table(table(&prompts, answers))),
            None => outputs,
        })
    }
}

impl Prompts {
    /// The prompts, checked, and their answers where a file has some. `file` is where the parameter `file` lies.
    fn prompts(&self, file: Option<&Path>) -> Result<(prompts::Prompts, Option<Answers>), Mistake> {
        let (mut prompts, answers) = match (&self.file, &self.texts, &self.tokens) {
            (Some(File(named)), None, None) => read_file(file.unwrap_or(named))?,
            (None, Some(texts), None) => (numbered(texts.iter().cloned().map(Content::Text)), None),
            (None, None, Some(tokens)) => (numbered(tokens.iter().cloned().map(Content::Tokens)), None),
            _ => {
                return Err(Mistake::new("", "exactly one of `file`, `texts` and `tokens` says what the prompts are")
                    .help("file = \"prompts/standard-10.toml\", texts = [\"…\"] or tokens = [[1, 2]]"));
            }
        };
        self.check(&prompts)?;
        prompts.truncate(self.first.unwrap_or(usize::MAX));
        let Self { chat_template, max_length, bos, .. } = *self;
        Ok((prompts::Prompts { prompts, chat_template, max_length, bos }, answers))
    }

    fn check(&self, prompts: &[Prompt]) -> Result<(), Mistake> {
        if prompts.is_empty() {
            return Err(Mistake::new("", "there are no prompts"));
        }
        for (name, value) in [("max-length", self.max_length), ("first", self.first)] {
            if value == Some(0) {
                return Err(Mistake::new(name, format!("`{name}` must be at least 1")));
            }
        }
        let mut seen = BTreeSet::new();
        if let Some(prompt) = prompts.iter().find(|prompt| !seen.insert(&prompt.id)) {
            return Err(Mistake::new("file", format!("two prompts have the id `{}`", prompt.id)));
        }
        if self.tokens.is_some() && (self.chat_template || self.bos != Bos::default()) {
            return Err(Mistake::new(
                "tokens",
                "`tokens` are taken as they are: `chat-template` and `bos` are for texts",
            ));
        }
        self.check_md5(prompts)
    }

    fn check_md5(&self, prompts: &[Prompt]) -> Result<(), Mistake> {
        let Some(expected) = &self.md5 else { return Ok(()) };
        let texts: Option<Vec<&str>> = prompts
            .iter()
            .map(|prompt| if let Content::Text(text) = &prompt.content { Some(text.as_str()) } else { None })
            .collect();
        let texts = texts.ok_or_else(|| Mistake::new("md5", "`md5` is taken of texts, and these are `tokens`"))?;
        let found = format!("{:x}", md5::compute(texts.join(SEPARATOR)));
        if found == expected.to_ascii_lowercase() {
            return Ok(());
        }
        let message = format!("the prompts are not the ones that are meant: their MD5 is {found}, not {expected}");
        Err(Mistake::new("md5", message)
            .help(format!("it is the MD5 of all {} texts, joined with `{SEPARATOR}`", texts.len())))
    }
}

/// A prompt file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptFile {
    prompts: Vec<FilePrompt>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePrompt {
    text: String,
    category: Option<String>,
    id: Option<String>,
    correct: Option<String>,
    incorrect: Option<String>,
}

fn read_file(path: &Path) -> Result<(Vec<Prompt>, Option<Answers>), Mistake> {
    let wrong = |problem: String| {
        Mistake::new("file", format!("{}: {problem}", path.display())).help(
            "a prompt file has a table for each prompt: [[prompts]], then text = \"…\", and if wanted category and id",
        )
    };
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let file: PromptFile = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let answers = file.prompts.iter().map(FilePrompt::answers).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    let answered = answers.iter().flatten().count();
    if answered > 0 && answered < answers.len() {
        let message = format!("{answered} of {} prompts have answers: all have them, or none", answers.len());
        return Err(wrong(message));
    }
    let prompt = |(i, FilePrompt { text, category, id, .. }): (usize, FilePrompt)| Prompt {
        id: id.unwrap_or_else(|| i.to_string()),
        category,
        content: Content::Text(text),
    };
    let prompts = file.prompts.into_iter().enumerate().map(prompt).collect();
    Ok((prompts, answers.into_iter().collect::<Option<Answers>>().filter(|answers| !answers.is_empty())))
}

impl FilePrompt {
    /// The right answer and the wrong one.
    fn answers(&self) -> Result<Option<[String; 2]>, String> {
        match (&self.correct, &self.incorrect) {
            (Some(correct), Some(incorrect)) => Ok(Some([correct.clone(), incorrect.clone()])),
            (None, None) => Ok(None),
            _ => Err(format!("{:?} has one answer: give both `correct` and `incorrect`", self.text)),
        }
    }
}

/// The table of answers, by the ids of the prompts.
fn table(prompts: &prompts::Prompts, answers: Answers) -> Table {
    let (correct, incorrect) = answers.into_iter().take(prompts.prompts.len()).map(|[a, b]| (a, b)).unzip();
    Table::default()
        .with("prompt", Values::Text(prompts.labels()))
        .with("correct", Values::Text(correct))
        .with("incorrect", Values::Text(incorrect))
}

/// Prompts whose ids are their places.
fn numbered(contents: impl Iterator<Item = Content>) -> Vec<Prompt> {
    contents.enumerate().map(|(i, content)| Prompt { id: i.to_string(), category: None, content }).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::Value;

    use super::*;

    fn parsed(params: Value) -> Prompts {
        serde_json::from_value(params).unwrap()
    }

    fn refused(params: Value) -> Mistake {
        parsed(params).ports(&Given::default()).unwrap_err().remove(0)
    }

    fn shipped(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../manifests/prompts").join(name)
    }

    fn facts_of(params: Value) -> Value {
        let stage = parsed(params);
        let files = stage.resolve(Fetch::Never).unwrap();
        let given = Given { files: Some(&files), ..Given::default() };
        stage.ports(&given).unwrap().outputs.remove(0).facts
    }

    /// The MD5 is the one that the study's authors published.
    #[test]
    fn the_standard_prompts_pass_their_gate() {
        let params = json!({ "file": shipped("standard-10.toml"), "md5": "715065bab181f46bf12ed471951141e2" });
        assert_eq!(facts_of(params)["count"], 10);
        let params =
            json!({ "file": shipped("standard-10.toml"), "md5": "715065bab181f46bf12ed471951141e2", "first": 2 });
        assert_eq!(facts_of(params)["labels"], json!(["0", "1"]));
    }

    #[test]
    fn other_prompts_do_not() {
        // RFC 1321: the MD5 of "abc"
        let abc = "900150983cd24fb0d6963f7d28e17f72";
        assert_eq!(facts_of(json!({ "texts": ["abc"], "md5": abc }))["count"], 1);
        let mistake = refused(json!({ "texts": ["abd"], "md5": abc }));
        assert_eq!(mistake.at, "md5");
        assert!(mistake.message.contains(abc) && mistake.help.unwrap().contains("|||"));
        assert!(refused(json!({ "tokens": [[1]], "md5": abc })).message.contains("tokens"));
    }

    #[test]
    fn the_sixty_prompts_come_in_six_categories() {
        let facts = facts_of(json!({ "file": shipped("cognitive-60.toml") }));
        assert_eq!((&facts["count"], facts["categories"].as_array().unwrap().len()), (&json!(60), 6));
        let (prompts, answers) = read_file(&shipped("cognitive-60.toml")).unwrap();
        assert!(answers.is_none());
        for of_category in prompts.chunks(10) {
            assert!(of_category.iter().all(|prompt| prompt.category == of_category[0].category));
        }
        assert_eq!(prompts[0].content, Content::Text("Correct the error: He go to school every day.".into()));
    }

    #[test]
    fn exactly_one_source_of_prompts() {
        for params in [json!({}), json!({ "texts": ["a"], "tokens": [[1]] })] {
            assert!(refused(params).message.contains("exactly one"));
        }
        assert!(refused(json!({ "texts": [] })).message.contains("no prompts"));
        assert!(refused(json!({ "texts": ["a"], "max-length": 0 })).message.contains("at least 1"));
        assert!(refused(json!({ "tokens": [[1]], "chat-template": true })).message.contains("as they are"));
    }

    #[test]
    fn a_prompt_file_says_where_it_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        let refused = |content: &str| {
            fs::write(&path, content).unwrap();
            let stage = parsed(json!({ "file": path }));
            let files = stage.resolve(Fetch::Never).unwrap();
            stage.ports(&Given { files: Some(&files), ..Given::default() }).unwrap_err().remove(0).message
        };
        let typo = refused("[[prompts]]\ntext = \"a\"\ncategry = \"b\"\n");
        assert!(typo.contains("p.toml") && typo.contains("line 3") && typo.contains("categry"), "{typo}");
        assert!(refused("[[prompts]]\ncategory = \"b\"\n").contains("text"));
        let twins = "[[prompts]]\ntext = \"a\"\nid = \"1\"\n[[prompts]]\ntext = \"b\"\n";
        assert!(refused(twins).contains("two prompts have the id `1`"));
        let missing = parsed(json!({ "file": folder.path().join("q.toml") })).resolve(Fetch::Never);
        assert!(missing.unwrap_err().to_string().contains("q.toml"));
    }

    /// The names in a prompt are its two answers, and the one that comes twice is the wrong one.
    #[test]
    fn the_eight_prompts_come_with_their_answers() {
        let (prompts, answers) = read_file(&shipped("ioi-8.toml")).unwrap();
        let answers = answers.unwrap();
        assert_eq!((prompts.len(), answers.len()), (8, 8));
        for (prompt, [correct, incorrect]) in prompts.iter().zip(&answers) {
            let Content::Text(text) = &prompt.content else { panic!("a text") };
            assert_eq!((text.matches(correct).count(), text.matches(incorrect).count()), (1, 2), "{text}");
        }
        let params = json!({ "file": shipped("ioi-8.toml"), "first": 3 });
        let (prompts, answers) = parsed(params).prompts(None).unwrap();
        let table = table(&prompts, answers.unwrap());
        assert_eq!(table.rows(), 3);
        assert_eq!(table.columns[1].values, Values::Text([" Mary", " John", " Tom"].map(String::from).to_vec()));
    }

    #[test]
    fn answers_come_in_pairs_and_for_all_prompts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        let refused = |content: &str| {
            fs::write(&path, content).unwrap();
            read_file(&path).unwrap_err().message
        };
        let one = "[[prompts]]\ntext = \"a\"\ncorrect = \" b\"\n";
        assert!(refused(one).contains("give both"), "{}", refused(one));
        let some = "[[prompts]]\ntext = \"a\"\ncorrect = \" b\"\nincorrect = \" c\"\n[[prompts]]\ntext = \"d\"\n";
        assert!(refused(some).contains("1 of 2 prompts have answers"));
    }

    #[test]
    fn defaults_stay_out_of_the_parameters() {
        let stage = parsed(json!({ "texts": ["a"] }));
        assert_eq!(
            serde_json::to_value(&stage).unwrap(),
            json!({ "texts": ["a"], "chat-template": false, "bos": "auto" })
        );
        assert!(serde_json::from_value::<Prompts>(json!({ "texts": ["a"], "bos": "yes" })).is_err());
        assert_eq!(parsed(json!({ "texts": ["a"], "bos": false })).bos, Bos::Given(false));
    }
}

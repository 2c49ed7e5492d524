//! The kind `text-windows`: a text file as a task, cut into windows of one length.
//!
//! Without a model in its port a token is a byte, which needs no tokenizer; with one, what its tokenizer makes of the
//! text. It cleans and splits nothing: what is in the file is learned.

use std::fs;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Ctx, Failure, Fetch, File, Given, InputPort, Inputs, Mistake, Outputs, PortType, Ports, Resolved, SourceError,
    Stage,
    lm::{
        self, ModelFacts, ModelRecord, Session, probe,
        text::{
            tokenizer::Bos,
            tokens::{Sequence, Tokens, task_ports},
        },
    },
};

/// Tokens that there are where a token is a byte.
const BYTES: u32 = 256;

/// Windows of a text file, as texts to learn and texts held out.
///
/// The file is cut into windows one after the other, and what is left over at its end is left out. The first token of each
/// is given, the rest is to be predicted. The last windows are held out. Tokens are bytes, or those of the tokenizer of the
/// model in the port `model`. Outputs: `train` and `test`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TextWindows {
    /// A text file; UTF-8 where a tokenizer reads it.
    pub file: File,
    /// Tokens of a window.
    #[schemars(range(min = 2))]
    pub length: usize,
    /// The share of windows that is learned.
    #[serde(default = "most")]
    pub train_fraction: f64,
}

fn most() -> f64 {
    0.9
}

impl Stage for TextWindows {
    const KIND: &'static str = "text-windows";
    const VERSION: &'static [(&'static str, u32)] = &[("text-windows", 1), lm::VERSION];

    fn resolve(&self, _: Fetch) -> Result<Resolved, SourceError> {
        let File(path) = &self.file;
        match path.is_file() {
            true => Ok(Resolved::file(path.clone())),
            false => Err(SourceError::Unavailable(format!("there is no file {}", path.display()))),
        }
    }

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let mut found = vec![];
        if self.length < 2 {
            found.push(Mistake::new("length", "at least two tokens"));
        }
        if !(self.train_fraction > 0.0 && self.train_fraction < 1.0) {
            let message = format!("a share between 0 and 1, neither of them, not {}", self.train_fraction);
            found.push(Mistake::new("train-fraction", message));
        }
        let facts = probe::facts(given.one("model"));
        found.extend(facts.as_ref().and_then(|facts| facts.tokenizer_mistake("inputs.model")));
        if !found.is_empty() {
            return Err(found);
        }
        let vocab = facts.map_or(BYTES, |facts| facts.vocab as u32);
        let model = InputPort::one("model", PortType::of("model")).optional();
        Ok(Ports { inputs: vec![model], ..task_ports(vocab, self.length) })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let digest = ctx.files().get("file").ok_or_else(|| Failure::fatal("the file is not there"))?;
        let path = ctx.place(digest)?;
        let bytes = fs::read(&path).map_err(|error| Failure::Transient(format!("{}: {error}", path.display())))?;
        let (ids, vocab) = match inputs.optional("model") {
            None => (bytes.into_iter().map(u32::from).collect(), BYTES),
            Some(_) => read(bytes, inputs, ctx)?,
        };
        let [train, test] = self.sides(&ids, vocab)?;
        Ok(Outputs::default().with("train", train.artifact()).with("test", test.artifact()))
    }
}

/// What a model's tokenizer makes of a text, without the token that marks a beginning; and how many tokens it has.
fn read(bytes: Vec<u8>, inputs: &Inputs, ctx: &dyn Ctx) -> Result<(Vec<u32>, u32), Failure> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::fatal(format!("the file is no UTF-8 at byte {at}: without a `model`, its tokens are its bytes"))
    })?;
    let record = inputs.record("model")?;
    let facts = ModelFacts::of(&ModelRecord::read(record)?.config).map_err(Failure::fatal)?;
    let tokenizer = Session::of(ctx).tokenizer(record, ctx)?;
    let ids = tokenizer.encode(&text, Bos::Given(false), None).map_err(|error| Failure::fatal(error.0))?;
    Ok((ids, facts.vocab as u32))
}

impl TextWindows {
    fn sides(&self, ids: &[u32], vocab: u32) -> Result<[Tokens; 2], Failure> {
        let windows: Vec<&[u32]> = ids.chunks_exact(self.length).collect();
        let learned = (self.train_fraction * windows.len() as f64).round() as usize;
        if learned == 0 || learned == windows.len() {
            let (count, tokens) = (windows.len(), ids.len());
            return Err(Failure::fatal(format!(
                "the file has {tokens} tokens, {count} windows of {}: too few to learn some and hold some out",
                self.length
            )));
        }
        let sequence = |(i, window): (usize, &&[u32])| Sequence {
            id: i.to_string(),
            prompt: window[..1].to_vec(),
            new: window[1..].to_vec(),
        };
        let sequences: Vec<_> = windows.iter().enumerate().map(sequence).collect();
        let (train, test) = sequences.split_at(learned);
        Ok([train, test].map(|side| Tokens { sequences: side.to_vec(), vocab: Some(vocab) }))
    }
}

#[cfg(test)]
mod tests {
    use assay_cache::{Artifact, Digest};

    use super::*;
    use crate::contract::testing::TestCtx;

    fn run(text: &str, length: usize, train_fraction: f64) -> Result<[Tokens; 2], Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.txt");
        fs::write(&path, text).unwrap();
        let stage = TextWindows { file: File(path.clone()), length, train_fraction };
        let ctx = TestCtx::new().with_file("file", Digest::of_file(&path).unwrap(), path);
        let made = stage.run(&Inputs::default(), &ctx)?;
        Ok(["train", "test"].map(|side| match &made.artifacts[side] {
            Artifact::Record(record) => Tokens::read(record).unwrap(),
            _ => panic!("tokens are a record"),
        }))
    }

    /// 23 bytes are five windows of four; what is over is left out.
    #[test]
    fn windows_follow_each_other_and_the_last_are_held_out() {
        let [train, test] = run("abcdefghijklmnopqrstuvw", 4, 0.8).unwrap();
        assert_eq!((train.sequences.len(), test.sequences.len()), (4, 1));
        assert_eq!((train.vocab, test.vocab), (Some(256), Some(256)));
        let text: Vec<u8> =
            train.sequences.iter().chain(&test.sequences).flat_map(Sequence::text).map(|b| b as u8).collect();
        assert_eq!(text, b"abcdefghijklmnopqrst");
        assert_eq!((test.sequences[0].id.as_str(), test.sequences[0].prompt.len()), ("4", 1));
    }

    #[test]
    fn too_short_a_file_is_refused() {
        let said = run("abcdef", 4, 0.9).unwrap_err().to_string();
        assert_eq!(said, "the file has 6 tokens, 1 windows of 4: too few to learn some and hold some out");
    }

    #[test]
    fn bytes_that_a_tokenizer_cannot_read_are_refused() {
        let said = read(vec![b'a', 0xff], &Inputs::default(), &TestCtx::new()).unwrap_err().to_string();
        assert!(said.contains("no UTF-8 at byte 1"), "{said}");
    }
}

//! Prompts: what stands in a port of the type `prompts`, and how a model's tokenizer turns it into ids.
//!
//! The artifact holds texts and how to treat them (chat template, first token, truncation), not ids: the same prompts
//! go to models with different tokenizers.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tokenizer::{Bos, Message, Tokenizer};
use crate::contract::{Ctx, Failure};
use crate::lm::{ModelFacts, ModelRecord, Session};

/// Prompts, in order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Prompts {
    pub prompts: Vec<Prompt>,
    /// Each text is one turn of a user, put into the model's chat template.
    #[serde(default)]
    pub chat_template: bool,
    /// The most tokens a prompt has; what is over is cut off at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    #[serde(default)]
    pub bos: Bos,
}

/// One prompt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Prompt {
    /// The label of this prompt on an axis `prompt`.
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(flatten)]
    pub content: Content,
}

/// What a prompt says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    Text(String),
    Tokens(Vec<u32>),
}

impl Prompts {
    pub fn read(record: &Value) -> Result<Self, Failure> {
        serde_json::from_value(record.clone())
            .map_err(|error| Failure::fatal(format!("the input `prompts` holds no prompts: {error}")))
    }

    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("prompts are plain data")
    }

    /// What is known of them at plan time.
    pub fn facts(&self) -> Value {
        let categories: BTreeSet<_> = self.prompts.iter().filter_map(|prompt| prompt.category.as_deref()).collect();
        json!({
            "count": self.prompts.len(), "labels": self.labels(), "categories": categories,
            "chat_template": self.chat_template, "texts": self.has_text(),
        })
    }

    fn has_text(&self) -> bool {
        self.prompts.iter().any(|prompt| matches!(prompt.content, Content::Text(_)))
    }

    /// The ids of the prompts, in order.
    pub fn labels(&self) -> Vec<String> {
        self.prompts.iter().map(|prompt| prompt.id.clone()).collect()
    }

    /// Token ids for a model, every one of them in its vocabulary. The tokenizer is only needed, and only loaded, for
    /// texts.
    pub fn token_ids(&self, model: &Value, ctx: &dyn Ctx) -> Result<Vec<Vec<u32>>, Failure> {
        let tokenizer: Option<Arc<Tokenizer>> =
            if self.has_text() { Some(Session::of(ctx).tokenizer(model, ctx)?) } else { None };
        let ids = self.encode(tokenizer.as_deref(), &|message| ctx.warn(message)).map_err(Failure::fatal)?;
        let facts = ModelFacts::of(&ModelRecord::read(model)?.config).map_err(Failure::fatal)?;
        for (prompt, ids) in self.prompts.iter().zip(&ids) {
            if let Some(id) = ids.iter().find(|id| **id as usize >= facts.vocab) {
                return Err(Failure::fatal(format!(
                    "prompt `{}` has the token {id}, but the model knows {} tokens: does its tokenizer belong to it?",
                    prompt.id, facts.vocab
                )));
            }
        }
        Ok(ids)
    }

    fn encode(&self, tokenizer: Option<&Tokenizer>, warn: &dyn Fn(&str)) -> Result<Vec<Vec<u32>>, String> {
        let chosen = self.prompts.iter().map(|prompt| {
            let ids = match (&prompt.content, tokenizer) {
                (Content::Tokens(ids), _) => ids[..ids.len().min(self.max_length.unwrap_or(usize::MAX))].to_vec(),
                (Content::Text(text), Some(tokenizer)) => self
                    .encode_text(text, tokenizer, warn)
                    .map_err(|error| format!("prompt `{}`: {error}", prompt.id))?,
                (Content::Text(_), None) => unreachable!("a tokenizer is loaded where there are texts"),
            };
            if ids.is_empty() { Err(format!("prompt `{}` has no tokens", prompt.id)) } else { Ok(ids) }
        });
        chosen.collect()
    }

    fn encode_text(&self, text: &str, tokenizer: &Tokenizer, warn: &dyn Fn(&str)) -> Result<Vec<u32>, String> {
        let said = |error: super::tokenizer::TokenizerError| error.0;
        if !self.chat_template {
            return tokenizer.encode(text, self.bos, self.max_length).map_err(said);
        }
        let chat = tokenizer.chat(&[Message { role: "user", content: text }]).map_err(said)?;
        let ids = tokenizer.encode(&chat, self.bos, self.max_length).map_err(said)?;
        if let (Some(bos), [first, second, ..]) = (tokenizer.bos_id(), ids.as_slice())
            && *first == bos
            && *second == bos
        {
            warn(
                "the chat template writes the token that marks a beginning and the tokenizer adds another, as Hugging \
                 Face does; `bos = false` leaves one",
            );
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;

    use super::*;
    use crate::lm::{smollm2, text::tokenizer::tests::opened_with_template, weights::gguf::Gguf};

    fn prompts(content: Content) -> Prompts {
        let prompt = Prompt { id: "0".into(), category: None, content };
        Prompts { prompts: vec![prompt], chat_template: false, max_length: None, bos: Bos::default() }
    }

    #[test]
    fn a_record_survives_its_json() {
        let mut made = prompts(Content::Text("hi".into()));
        made.prompts.push(Prompt { id: "x".into(), category: Some("c".into()), content: Content::Tokens(vec![1, 2]) });
        made.max_length = Some(3);
        let value = made.to_value();
        assert_eq!(
            value["prompts"],
            json!([{ "id": "0", "text": "hi" }, { "id": "x", "category": "c", "tokens": [1, 2] }])
        );
        assert_eq!(value["bos"], "auto");
        assert_eq!(Prompts::read(&value).unwrap(), made);
        assert!(Prompts::read(&json!({ "tokens": [] })).is_err());
    }

    #[test]
    fn tokens_need_no_tokenizer_and_are_cut_at_the_end() {
        let mut made = prompts(Content::Tokens(vec![3, 1, 2]));
        made.max_length = Some(2);
        assert_eq!(made.encode(None, &|_| ()).unwrap(), [[3, 1]]);
        assert!(
            prompts(Content::Tokens(vec![])).encode(None, &|_| ()).unwrap_err().contains("prompt `0` has no tokens")
        );
    }

    #[test]
    fn a_second_beginning_is_kept_with_a_warning_or_left_out() {
        let tokenizer = opened_with_template("{{ bos_token }}{{ messages[0].content }}");
        let mut made = prompts(Content::Text("ab".into()));
        made.chat_template = true;
        let warnings = RefCell::new(vec![]);
        let encode =
            |made: &Prompts| made.encode(Some(&tokenizer), &|message| warnings.borrow_mut().push(message.to_owned()));
        assert_eq!(encode(&made).unwrap(), [[0, 0, 5]]);
        assert!(warnings.borrow()[0].contains("`bos = false` leaves one"));
        made.bos = Bos::Given(false);
        assert_eq!(encode(&made).unwrap(), [[0, 5]]);
        assert_eq!(warnings.borrow().len(), 1);
    }

    #[test]
    fn smollm2_reads_a_chat() {
        let Some(path) = smollm2::file() else { return };
        let tokenizer = Tokenizer::from_gguf(&Gguf::open(&path).unwrap()).unwrap();
        let reference: Value = serde_json::from_str(include_str!("../../fixtures/smollm2/tokens.json")).unwrap();
        let mut made = prompts(Content::Text("What is the capital of France?".into()));
        made.chat_template = true;
        assert_eq!(json!(made.encode(Some(&tokenizer), &|_| ()).unwrap()[0]), reference["cases"][16]["ids"]);
    }
}

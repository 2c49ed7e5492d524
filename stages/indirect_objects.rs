//! The kind `indirect-objects`: sentences in which one of two people gives something, and the model should name the
//! other (the task IOI of Wang et al. 2022).
//!
//! It makes texts and looks names up in a tokenizer; it runs no model. What its sentences say is in `corpus.rs`.

mod corpus;

use std::collections::BTreeSet;

use assay_cache::{Artifact, Table, Values};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Purpose, Seed, Stage, below,
    lm::{
        Session, probe,
        text::{
            answers::one_token,
            prompts::{Content, Prompt, Prompts},
            tokenizer::{Bos, Tokenizer},
        },
    },
    rng, shuffle,
};

/// Sentences whose next word is the indirect object: "When Mary and John went to the shop, John gave a drink to".
///
/// Each prompt draws a template, three names, a place and an object. Outputs: `prompts`; `answers`, with the columns
/// `prompt`, `correct` (the name that occurs once), `incorrect` (the one that occurs twice), `order` and `template`; and
/// `abc`, the same sentences with three different names, in which nothing tells who is given something: the corpus for
/// mean ablation. In `answers` names begin with a space. Every name is one token of the model in the input `model`, and
/// so are the answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct IndirectObjects {
    /// How many prompts.
    #[schemars(range(min = 1))]
    pub count: usize,
    /// Who is named first: `abba` names the answer first, `baba` second; `both` takes turns.
    #[serde(default)]
    pub order: Order,
    /// Sentences with {first}, {second} and {giver}, each once and after a space, and if wanted {place} and {object}; they
    /// end before the answer. Without them, fifteen of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<Vec<String>>,
    /// Names; one that is not a single token of the model is refused. Without them, a list of our own, from which those
    /// are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// What {place} may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places: Option<Vec<String>>,
    /// What {object} may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<Vec<String>>,
    /// Whether a prompt begins with the token that marks a beginning, as for `prompts`.
    #[serde(default)]
    pub bos: Bos,
    /// What the draws depend on.
    pub seed: Seed,
}

/// Who is named first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    #[default]
    Both,
    Abba,
    Baba,
}

/// The words of which sentences are made.
struct Words {
    templates: Vec<String>,
    names: Vec<String>,
    places: Vec<String>,
    objects: Vec<String>,
}

/// One sentence and its counterpart of three names.
struct Sentence {
    text: String,
    abc: String,
    /// The name that is named once.
    object: String,
    /// The name that gives.
    subject: String,
    abba: bool,
    template: usize,
}

const COLUMNS: [&str; 5] = ["prompt", "correct", "incorrect", "order", "template"];

/// What a template must hold, each once.
const ROLES: [&str; 3] = ["{first}", "{second}", "{giver}"];

impl Stage for IndirectObjects {
    const KIND: &'static str = "indirect-objects";
    const VERSION: &'static [(&'static str, u32)] = &[("indirect-objects", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let mut found = self.mistakes();
        found.extend(probe::facts(given.one("model")).and_then(|facts| facts.tokenizer_mistake("inputs.model")));
        if !found.is_empty() {
            return Err(found);
        }
        let labels: Vec<String> = (0..self.count).map(|i| i.to_string()).collect();
        let known =
            json!({ "count": self.count, "labels": labels, "categories": [], "chat_template": false, "texts": true });
        let prompts = |name| OutputPort::new(name, PortType::of("prompts")).with_facts(known.clone());
        let answers = OutputPort::new("answers", PortType::of("table")).with_facts(json!({ "columns": COLUMNS }));
        Ok(Ports {
            inputs: vec![InputPort::one("model", PortType::of("model"))],
            outputs: vec![prompts("prompts"), answers, prompts("abc")],
        })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let tokenizer = Session::of(ctx).tokenizer(inputs.record("model")?, ctx)?;
        let words = self.words(&tokenizer).map_err(Failure::fatal)?;
        let sentences: Vec<_> = (0..self.count).map(|i| self.sentence(i, &words)).collect();
        let prompts = |of: fn(&Sentence) -> &String| Artifact::Record(self.prompts(&sentences, of).to_value());
        Ok(Outputs::default()
            .with("prompts", prompts(|sentence| &sentence.text))
            .with("answers", Artifact::Table(answers(&sentences)))
            .with("abc", prompts(|sentence| &sentence.abc))
            .note("names", words.names.len()))
    }
}

impl IndirectObjects {
    fn mistakes(&self) -> Vec<Mistake> {
        let mut found = vec![];
        if self.count == 0 {
            found.push(Mistake::new("count", "at least one prompt"));
        }
        for (i, template) in self.templates.iter().flatten().enumerate() {
            found.extend(template_mistake(template).map(|message| Mistake::new(format!("templates[{i}]"), message)));
        }
        let lists = [
            ("templates", &self.templates, 1),
            ("names", &self.names, 3),
            ("places", &self.places, 1),
            ("objects", &self.objects, 1),
        ];
        for (at, list, least) in lists {
            let Some(list) = list else { continue };
            let different: BTreeSet<_> = list.iter().collect();
            if different.len() < list.len() {
                found.push(Mistake::new(at, "something stands here twice"));
            } else if list.len() < least {
                found.push(Mistake::new(at, format!("there must be {least} or more")));
            }
        }
        found
    }

    /// The words to draw from, names that the tokenizer knows as one token.
    fn words(&self, tokenizer: &Tokenizer) -> Result<Words, String> {
        let own = |list: &Option<Vec<String>>, ours: &[&str]| match list {
            Some(list) => list.clone(),
            None => ours.iter().map(|word| (*word).to_owned()).collect(),
        };
        let mut names = own(&self.names, corpus::NAMES);
        match self.names {
            Some(_) => names.iter().try_for_each(|name| one_token(&spaced(name), tokenizer).map(drop))?,
            None => names.retain(|name| one_token(&spaced(name), tokenizer).is_ok()),
        }
        if names.len() < 3 {
            let message = "fewer than three of our names are single tokens of this model: give `names` of your own";
            return Err(message.to_owned());
        }
        Ok(Words {
            templates: own(&self.templates, corpus::TEMPLATES),
            names,
            places: own(&self.places, corpus::PLACES),
            objects: own(&self.objects, corpus::OBJECTS),
        })
    }

    /// The sentence of this number: it depends on the seed, its number and the words, and on no other sentence.
    fn sentence(&self, index: usize, words: &Words) -> Sentence {
        let mut rng = rng(self.seed.0, Purpose::Task, &[index as u64]);
        let mut pick = |list: &[String]| below(list.len() as u64, &mut rng) as usize;
        let template = pick(&words.templates);
        let (place, thing) = (&words.places[pick(&words.places)], &words.objects[pick(&words.objects)]);
        let mut names = words.names.clone();
        shuffle(&mut names, &mut rng);
        let (object, subject) = (names[0].clone(), names[1].clone());
        // Other names than these three where there are as many.
        let strangers: Vec<&String> = names.iter().rev().take(3).collect();
        let abba = match self.order {
            Order::Both => index.is_multiple_of(2),
            order => order == Order::Abba,
        };
        let (first, second) = if abba { (&object, &subject) } else { (&subject, &object) };
        let filled = |roles: [&str; 3]| {
            let [first, second, giver] = roles;
            let words_of = [ROLES[0], ROLES[1], ROLES[2], "{place}", "{object}"].into_iter();
            let roles = words_of.zip([first, second, giver, place, thing]);
            roles.fold(words.templates[template].clone(), |text, (role, word)| text.replace(role, word))
        };
        Sentence {
            text: filled([first, second, &subject]),
            abc: filled([strangers[0], strangers[1], strangers[2]]),
            object,
            subject,
            abba,
            template,
        }
    }

    fn prompts(&self, sentences: &[Sentence], of: fn(&Sentence) -> &String) -> Prompts {
        let prompt = |(i, sentence): (usize, &Sentence)| Prompt {
            id: i.to_string(),
            category: None,
            content: Content::Text(of(sentence).clone()),
        };
        let prompts = sentences.iter().enumerate().map(prompt).collect();
        Prompts { prompts, chat_template: false, max_length: None, bos: self.bos }
    }
}

/// A name as it stands in a sentence.
fn spaced(name: &str) -> String {
    format!(" {name}")
}

/// What is wrong with a template.
fn template_mistake(template: &str) -> Option<String> {
    let count = |role: &str| template.matches(role).count();
    if let Some(role) = ROLES.iter().find(|role| count(role) != 1) {
        return Some(format!("{role} stands here {} times, and must stand here once", count(role)));
    }
    if let Some(role) = ROLES.iter().find(|role| count(&format!(" {role}")) == 0) {
        return Some(format!("there is no space before {role}, so that a name would be another token"));
    }
    let rest =
        ROLES.iter().chain(&["{place}", "{object}"]).fold(template.to_owned(), |text, role| text.replace(role, ""));
    match rest.find(['{', '}']) {
        Some(_) => {
            Some(format!("there are {}, {{place}} and {{object}}, and nothing else in braces", ROLES.join(", ")))
        }
        None if template.ends_with(char::is_whitespace) => {
            Some("it ends with a space, and so does not end before the answer's".to_owned())
        }
        None => None,
    }
}

fn answers(sentences: &[Sentence]) -> Table {
    let texts = |of: &dyn Fn(&Sentence) -> String| Values::Text(sentences.iter().map(of).collect());
    let ints = |of: &dyn Fn(usize) -> usize| Values::Int((0..sentences.len()).map(|i| Some(of(i) as i64)).collect());
    Table::default()
        .with(COLUMNS[0], ints(&|i| i))
        .with(COLUMNS[1], texts(&|sentence| spaced(&sentence.object)))
        .with(COLUMNS[2], texts(&|sentence| spaced(&sentence.subject)))
        .with(COLUMNS[3], texts(&|sentence| if sentence.abba { "abba" } else { "baba" }.to_owned()))
        .with(COLUMNS[4], ints(&|i| sentences[i].template))
}

#[cfg(test)]
mod tests;

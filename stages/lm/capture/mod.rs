//! What is recorded at a site: which layers, heads and positions, reduced before it leaves the device.
//!
//! | to find | look in |
//! | --- | --- |
//! | the reductions, and the axes that each leaves | `reduce.rs` |
//! | what happens on the device while a pass goes on | `take.rs` |
//! | what happens on the host, and what needs the unembedding | `ending.rs` |
//! | arrays of several prompts or steps as one | `grid.rs` |

mod ending;
mod grid;
mod reduce;
mod take;

pub use ending::{Ending, chunks};
pub use grid::{joined, stacked};
pub use reduce::{Kept, Reduce, Reductions};
pub use take::{At, Minus, Step, Take};

use std::sync::Arc;

use ndarray::{ArrayD, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use assay_cache::Artifact;

use super::{
    donor::{Asked, Donor, Need, Vector},
    edit::frozen,
    facts::ModelFacts,
    probe::Material,
    site::{Extent, Site},
};
use crate::{Inputs, Mistake, Select};

/// One capture: a site, which of its layers, heads and positions, and what becomes of them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Capture {
    /// Where: `z`, `pattern`, `resid_post`, `logits`, …
    pub site: Site,
    /// Which layers: "all", a half-open range "10..26", a number or a list; -1 is the last.
    #[serde(default)]
    pub layers: Select,
    /// Which heads; at `k`, `v` and `rot_k` these are key/value heads.
    #[serde(default)]
    pub heads: Select,
    /// Which positions, counted from the first token, negative ones from the end: "-16.." is the last 16 tokens. A
    /// text that lacks a position has NaN there. At `pattern`, of the queries.
    #[serde(default)]
    pub positions: Select,
    /// What becomes of it: one word, or several that are applied in order (["norm", "mean"]); without, the raw values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce: Option<Reductions>,
    /// With `top-k`: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
    /// With `dot`: a list of numbers, or the name of an input port that holds a vector, tensor[d] (or one for each
    /// layer, each head, or both: tensor[layer, head, d]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Vector>,
    /// With `unembed`: whether the final norm comes before it (it does by default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_norm: Option<bool>,
    /// The name of an input port that holds a raw capture of this site from another run on the same texts. What is
    /// recorded is then the difference to it, which the reduction reduces: ["norm", "mean"] is how far values moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minus: Option<String>,
    /// The name of an input port, tensor[prompt], that says of each text how many of the selected positions count: the
    /// last so many, and the others are as if the text lacked them. (A pair of texts is compared over a window that both
    /// have.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// The name of the output; without one, the site's.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// One output of a capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    pub name: String,
    pub axes: Vec<String>,
    pub what: What,
}

/// What an output holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    Values,
    /// Of the largest values: which they are.
    Index,
    /// Of the largest logits: how likely.
    Probability,
    /// Of surprisal: whether the next token is the most likely one.
    Right,
}

impl Capture {
    /// The name of the first output.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.site.name())
    }

    fn words(&self) -> &[Reduce] {
        self.reduce.as_ref().map_or(&[], |reduce| &reduce.0)
    }

    fn uses(&self, word: Reduce) -> bool {
        self.words().contains(&word)
    }

    fn kept(&self) -> Result<Kept, String> {
        Reductions(self.words().to_vec()).kept(self.site)
    }

    /// Everything that is wrong with this capture on any model; `at` is where it stands in the manifest.
    pub fn own_mistakes(&self, at: &str) -> Vec<Mistake> {
        let mut found: Vec<_> =
            self.kept().err().map(|problem| Mistake::new(format!("{at}.reduce"), problem)).into_iter().collect();
        let mut fits = |key: &str, given: bool, word: Reduce, needed: bool| match (given, self.uses(word)) {
            (true, false) => {
                found
                    .push(Mistake::new(format!("{at}.{key}"), format!("only the reduction `{}` uses it", word.word())));
            }
            (false, true) if needed => {
                found.push(Mistake::new(at, format!("`{}` needs `{key}`", word.word())));
            }
            _ => (),
        };
        fits("k", self.k.is_some(), Reduce::TopK, true);
        fits("direction", self.direction.is_some(), Reduce::Dot, true);
        fits("final-norm", self.final_norm.is_some(), Reduce::Unembed, false);
        if self.k == Some(0) {
            found.push(Mistake::new(format!("{at}.k"), "there must be one to take"));
        }
        if self.minus.is_some() && self.site.extent() == Extent::Pattern {
            found.push(Mistake::new(format!("{at}.minus"), "a query's row has no fixed number of keys to subtract"));
        }
        if self.minus.is_some() && self.uses(Reduce::Surprisal) {
            found.push(Mistake::new(
                format!("{at}.minus"),
                "a difference of logits predicts nothing: subtract surprisals",
            ));
        }
        found
    }

    /// What cannot be recorded while texts are still being written.
    pub fn step_mistakes(&self, at: &str) -> Vec<Mistake> {
        let whole = [("minus", self.minus.is_some()), ("window", self.window.is_some())];
        if let Some((key, _)) = whole.into_iter().find(|(_, given)| *given) {
            let help = "record it with a `forward` stage that reads the tokens";
            return vec![Mistake::new(format!("{at}.{key}"), format!("`{key}` is about whole texts")).help(help)];
        }
        let before = self.words().split_last().map_or(&[][..], |(_, before)| before);
        let problem = match before.iter().find(|word| word.over_positions()) {
            _ if self.uses(Reduce::ReceivedEntropy) => {
                "a step has one query, and `received-entropy` is over many".to_owned()
            }
            _ if self.uses(Reduce::Surprisal) => {
                "a step has no token after it yet, and `surprisal` is of the next one".to_owned()
            }
            Some(word) => format!("here `{}` is over steps, and nothing can come after it", word.word()),
            None => return vec![],
        };
        let help = "record it with a `forward` stage that reads the tokens";
        vec![Mistake::new(format!("{at}.reduce"), problem).help(help)]
    }

    /// Everything about this capture that the model cannot give.
    pub fn mistakes(&self, at: &str, facts: &ModelFacts) -> Vec<Mistake> {
        let mut found = facts.site_mistakes(at, self.site, &self.layers, &self.heads);
        let width = facts.width_at(self.site);
        found.extend(self.direction.as_ref().and_then(|given| given.mistake(&format!("{at}.direction"), width)));
        let candidates = if self.uses(Reduce::Unembed) { Some(facts.vocab) } else { width };
        if let (Some(k), Some(candidates)) = (self.k, candidates)
            && k > candidates
        {
            found.push(Mistake::new(format!("{at}.k"), format!("there are {candidates} to take the largest of")));
        }
        found
    }

    /// What it wants of input ports.
    pub fn needs(&self, at: &str) -> Vec<Need> {
        let direction = self.direction.as_ref().and_then(Vector::port);
        let direction = direction.map(|port| Need::directions(format!("{at}.direction"), port, self.site));
        let minus = self.minus.as_ref().map(|port| Need::tokens(format!("{at}.minus"), port, self.site));
        let window = self.window.as_ref().map(|port| Need::counts(format!("{at}.window"), port));
        [direction, minus, window].into_iter().flatten().collect()
    }

    /// This capture on a model that has been asked for its [`mistakes`](Self::mistakes).
    pub fn on(&self, facts: &ModelFacts, material: &Material) -> Result<Take, String> {
        let layers = facts.layers_at(self.site, &self.layers)?;
        let heads =
            (self.heads != Select::All).then(|| self.heads.indices(facts.heads_at(self.site), "head")).transpose()?;
        let mut steps = vec![];
        let mut ending = Ending::Values;
        for word in self.words() {
            match word {
                Reduce::Norm => steps.push(Step::Norm),
                Reduce::Rms => steps.push(Step::Rms),
                Reduce::Mean => steps.push(Step::Mean),
                Reduce::Last => steps.push(Step::Last),
                Reduce::Variance => steps.push(Step::Variance),
                Reduce::MeanHeads => steps.push(Step::MeanHeads),
                Reduce::Entropy => steps.push(Step::Entropy),
                Reduce::RelativeEntropy => steps.extend([Step::Entropy, Step::Relative]),
                Reduce::Reciprocal => steps.push(Step::Reciprocal),
                Reduce::Dot => steps.push(Step::Dot(Arc::new(self.direction(facts, material.inputs)?))),
                Reduce::ReceivedEntropy => {
                    steps.push(Step::Mean);
                    ending = Ending::Received;
                }
                Reduce::ParticipationRatio => ending = Ending::Participation,
                Reduce::Unembed => {
                    ending = Ending::Unembed { final_norm: self.final_norm.unwrap_or(true), top: None };
                }
                Reduce::TopK => ending = ending.topped(self.k.unwrap_or(1)),
                Reduce::Surprisal => ending = Ending::Surprisal,
            }
        }
        let minus = self.minus.as_ref().map(|port| self.minus(port, facts, material)).transpose()?;
        let window = self.window.as_ref().map(|port| windows(port, material)).transpose()?.map(Arc::new);
        let at = At::Positions(self.positions.clone());
        Ok(Take { site: self.site, layers, heads, at, minus, window, steps, ending })
    }

    fn minus(&self, port: &str, facts: &ModelFacts, material: &Material) -> Result<Minus, String> {
        let donor = Donor::of(port, material.inputs)?;
        donor.check(&self.asked(facts))?;
        Ok(Minus { values: frozen(donor, material.prompts)?, heads: facts.heads_at(self.site).max(1) })
    }

    fn direction(&self, facts: &ModelFacts, inputs: &Inputs) -> Result<take::Direction, String> {
        let donor = self.direction.as_ref().ok_or("`dot` needs `direction`")?.donor(inputs)?;
        donor.check(&self.asked(facts))?;
        Ok(take::Direction { donor, heads: facts.heads_at(self.site).max(1) })
    }

    /// What it wants of what stands there.
    pub fn asked(&self, facts: &ModelFacts) -> Asked {
        Asked::of(facts, self.site, &self.layers, &self.heads)
    }

    /// The names of the outputs' axes, in order, but for the last; `position` is what the axis of positions is called.
    fn axes(&self, position: &str) -> Vec<String> {
        let kept = self.kept().unwrap_or(Kept::of(self.site));
        let layer = self.site.per_layer().then_some("layer");
        let node = if self.site.extent() == Extent::Experts { "expert" } else { "head" };
        let head = kept.head.then_some(node);
        let (first, second) = match self.site.extent() {
            Extent::Pattern => (head, kept.position.then_some("query")),
            _ => (kept.position.then_some(position), head),
        };
        [Some("prompt"), layer, first, second, kept.last].into_iter().flatten().map(str::to_owned).collect()
    }

    /// The outputs, the values first; `position` is what their axis of positions is called.
    pub fn outputs(&self, position: &str) -> Vec<Output> {
        let output =
            |suffix: &str, what| Output { name: format!("{}{suffix}", self.name()), axes: self.axes(position), what };
        let mut outputs = vec![output("", What::Values)];
        if self.uses(Reduce::TopK) {
            outputs.push(output(".index", What::Index));
        }
        if self.uses(Reduce::TopK) && (self.site == Site::Logits || self.uses(Reduce::Unembed)) {
            outputs.push(output(".probability", What::Probability));
        }
        if self.uses(Reduce::Surprisal) {
            outputs.push(output(".right", What::Right));
        }
        outputs
    }

    /// The unit of an output's numbers, where they have one.
    pub fn unit(&self, what: What) -> Option<&'static str> {
        let last = self.words().last();
        match (what, last) {
            (What::Index | What::Right, _) => None,
            (What::Probability, _) => Some("probability"),
            _ if self.uses(Reduce::RelativeEntropy) || self.uses(Reduce::Reciprocal) => None,
            (_, _) if self.uses(Reduce::Entropy) || self.uses(Reduce::Surprisal) => Some("nats"),
            (_, Some(Reduce::Norm | Reduce::Rms | Reduce::ReceivedEntropy)) => None,
            _ => (self.site == Site::Pattern && !self.uses(Reduce::Norm) && !self.uses(Reduce::Rms))
                .then_some("probability"),
        }
    }

    /// What is recorded at each step of a text that is being written, before anything is made of all steps.
    pub fn each_step(&self) -> Self {
        let words = self.words();
        let own = words.iter().copied().filter(|word| !word.over_positions()).collect::<Vec<_>>();
        let reduce = (!own.is_empty()).then_some(Reductions(own));
        Self { positions: Select::All, reduce, ..self.clone() }
    }

    /// Of an array with an axis of all steps: those that are selected, or what is made of them.
    pub fn over_steps(&self, array: &ArrayD<f32>) -> ArrayD<f32> {
        let names = self.each_step().axes("step");
        let along = names.iter().skip(1).position(|name| name == "step" || name == "query");
        let axis = Axis(along.expect("what is recorded at each step has an axis of steps"));
        let chosen = self.positions.slots(array.shape()[axis.0]);
        match self.words().last() {
            Some(Reduce::Last) => grid::last(array, &chosen, axis),
            Some(Reduce::Mean) => grid::mean(array, &chosen, axis),
            Some(Reduce::Variance) => {
                grid::variance(array, &chosen, axis, matches!(names.last().map(String::as_str), Some("d" | "token")))
            }
            Some(Reduce::ParticipationRatio) => {
                ending::participation_over(&grid::picked(array, &chosen, axis), self.site)
            }
            _ => grid::picked(array, &chosen, axis),
        }
    }
}

/// How many of the selected positions count in each text.
fn windows(port: &str, material: &Material) -> Result<Vec<usize>, String> {
    let counts = match material.inputs.optional(port) {
        Some(Artifact::Tensor(counts)) => counts,
        _ => return Err(format!("the input `{port}` is no tensor")),
    };
    let labels = counts.axes.first().and_then(|axis| axis.labels.as_deref());
    if labels.is_some_and(|own| own != material.prompts) || counts.shape() != [material.prompts.len()] {
        return Err(format!("`{port}` must have a number for each prompt here, and it has other prompts"));
    }
    let count = |(n, prompt): (&f64, &String)| match *n {
        n if n >= 1.0 && n.fract() == 0.0 => Ok(n as usize),
        n => Err(format!("`{port}` has {n} for the prompt `{prompt}`: a window has at least one position")),
    };
    counts.data.to_f64().iter().zip(material.prompts).map(count).collect()
}

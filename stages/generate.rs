//! `generate`: continue prompts, and record what goes on inside at every step.

use assay_cache::{Artifact, Data, Tensor, Unit};
use ndarray::{ArrayD, IxDyn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Ctx, Failure, Given, Inputs, Lane, Mistake, OutputPort, Outputs, PortType, Ports, Seed, Stage,
    lm::{
        self, Model, ModelFacts, Session,
        batching::{BatchSize, groups},
        capture::{At, Capture},
        edit::Edit,
        generate::{Generated, generate},
        probe::{self, Material, Probe},
        sampling::Sampling,
        text::{
            texts::{self, Text, beginnings, room_for, warn_of_length},
            tokens::{Sequence, Tokens},
        },
    },
};

/// What does a model write, and what happens inside while it writes?
///
/// Every prompt is extended by exactly `new-tokens` tokens (an end-of-text token ends nothing), with a KV cache and in
/// batches; no result depends on which prompts share a batch. `prompts` may also be `tokens`, a task's texts for one: then
/// the part of each that is given is extended. Captures record their site at the newest position of
/// each step; step 0 is the last token of the prompt. Outputs: `tokens`, and a tensor a capture, named by its site or
/// by `as`, whose axis of positions is called `step`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Generate {
    /// How many tokens each prompt is extended by.
    #[serde(default = "default_new_tokens")]
    pub new_tokens: usize,
    /// What is recorded at each step. `positions` select steps; `mean`, `last` and `participation-ratio` are over steps,
    /// and come last.
    #[serde(default)]
    pub capture: Vec<Capture>,
    /// What is changed inside the model while it writes.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// 0: the most likely token. Above: draws from softmax(logits / temperature).
    #[serde(default)]
    pub temperature: f64,
    /// Draws are from this many of the most likely tokens; not given: from all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Draws are from the fewest tokens whose probability reaches this.
    #[serde(default = "default_top_p")]
    pub top_p: f64,
    /// What draws depend on, beside prompt and step.
    pub seed: Seed,
    /// Prompts that go through the model together.
    #[serde(default)]
    pub batch: BatchSize,
}

fn default_new_tokens() -> usize {
    100
}

fn default_top_p() -> f64 {
    1.0
}

impl Stage for Generate {
    const KIND: &'static str = "generate";
    const VERSION: &'static [(&'static str, u32)] = &[("generate", 1), lm::VERSION];
    const LANE: Lane = Lane::Device;

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let facts = probe::facts(given.one("model"));
        let mut found = self.sampling_mistakes();
        found.extend(facts.as_ref().and_then(ModelFacts::prediction_mistake));
        found.extend(probe::mistakes(&self.edits, &self.capture, (&texts::PORTS, &["tokens"]), given, facts.as_ref()));
        let captures = self.capture.iter().enumerate();
        found.extend(captures.flat_map(|(i, capture)| capture.step_mistakes(&format!("capture[{i}]"))));
        if !found.is_empty() {
            return Err(found);
        }
        let tokens = OutputPort::new("tokens", PortType::of("tokens"));
        let captures = probe::ports(&self.capture, "step", facts.as_ref());
        let mut inputs = texts::ports();
        inputs.extend(probe::inputs(&self.edits, &self.capture));
        Ok(Ports { inputs, outputs: std::iter::once(tokens).chain(captures).collect() })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let record = inputs.record("model")?;
        let model = Session::of(ctx).model(record, ctx)?;
        let prompts = beginnings(inputs.record("prompts")?, record, &model.facts, ctx)?;
        let labels: Vec<String> = prompts.iter().map(|text| text.id.clone()).collect();
        let longest = prompts.iter().map(|text| text.ids.len()).max().unwrap_or(0) + self.new_tokens;
        probe::refuse_absent_positions(&self.edits, &[], longest)?;
        let probe = self.probe(&model, &Material { inputs, prompts: &labels })?;
        let (made, rows) = self.continued(&model, &prompts, &probe, longest, ctx)?;
        Ok(self.outputs(&model.facts, &prompts, &labels, &made).note("batch", json!(rows)))
    }

    /// Greedy decoding draws nothing: how it would draw does not matter.
    fn keyed(&self) -> Value {
        let mut params = json!(self);
        if let (true, Some(fields)) = (self.temperature == 0.0, params.as_object_mut()) {
            ["seed", "top-k", "top-p"].iter().for_each(|unused| drop(fields.remove(*unused)));
        }
        params
    }
}

impl Generate {
    fn sampling_mistakes(&self) -> Vec<Mistake> {
        let wrong = |at: &str, message: String| Some(Mistake::new(at, message));
        let found = [
            if self.new_tokens == 0 { wrong("new-tokens", "nothing is to be written".to_owned()) } else { None },
            match self.temperature {
                t if t.is_finite() && t >= 0.0 => None,
                t => wrong("temperature", format!("a temperature is 0 or more, not {t}")),
            },
            match self.top_p {
                p if p > 0.0 && p <= 1.0 => None,
                p => wrong("top-p", format!("a probability to reach is above 0 and at most 1, not {p}")),
            },
            match self.top_k {
                Some(0) => wrong("top-k", "there must be a token to draw".to_owned()),
                _ => None,
            },
        ];
        found.into_iter().flatten().collect()
    }

    fn sampling(&self) -> Sampling {
        match self.temperature {
            0.0 => Sampling::Greedy,
            temperature => Sampling::Random { temperature, top_k: self.top_k, top_p: self.top_p, seed: self.seed.0 },
        }
    }

    /// What happens at each step: what is over steps is made of them when all are there.
    fn probe(&self, model: &Model, material: &Material) -> Result<Probe, Failure> {
        let captures: Vec<_> = self.capture.iter().map(Capture::each_step).collect();
        let mut probe = Probe::new(&self.edits, &captures, &model.facts, material)?;
        probe.takes.iter_mut().for_each(|take| take.at = At::Newest);
        Ok(probe)
    }

    /// Every prompt continued, those of an interrupted run taken from their units; and the batch that was used.
    fn continued(
        &self,
        model: &Model,
        prompts: &[Text],
        probe: &Probe,
        longest: usize,
        ctx: &dyn Ctx,
    ) -> Result<(Vec<Generated>, usize), Failure> {
        // The newest token of all is read by nobody.
        let read = |text: &Text| (text.ids.len() + self.new_tokens).saturating_sub(1);
        prompts.iter().try_for_each(|text| room_for(&text.id, read(text), &model.facts))?;
        warn_of_length(longest, &model.facts, ctx);
        let rows = self.batch.rows(&model.facts, longest, 1, model.device());

        let mut done = (0..prompts.len()).map(|i| self.saved(i, ctx)).collect::<Result<Vec<_>, _>>()?;
        let pending = (0..prompts.len()).filter(|&i| done[i].is_none()).collect();
        for group in groups(pending, |i| prompts[i].ids.len(), rows) {
            let finished = done.iter().flatten().count();
            let batch: Vec<(usize, &[u32])> = group.iter().map(|&i| (i, prompts[i].ids.as_slice())).collect();
            let made = generate(model, &batch, self.new_tokens, probe, self.sampling(), |step| {
                let steps = finished * self.new_tokens + step * group.len();
                ctx.progress(steps as u64, (prompts.len() * self.new_tokens) as u64, "tokens");
                ctx.go_on()
            })?;
            let units: Vec<_> = group.iter().zip(&made).map(|(i, made)| (unit_name(*i), self.unit(made))).collect();
            ctx.save(&units)?;
            group.into_iter().zip(made).for_each(|(i, made)| done[i] = Some(made));
        }
        Ok((done.into_iter().flatten().collect(), rows))
    }

    fn unit(&self, made: &Generated) -> Unit {
        let new: Vec<i64> = made.new.iter().map(|&id| i64::from(id)).collect();
        let new = ArrayD::from_shape_vec(IxDyn(&[new.len()]), new).expect("one axis");
        let tokens = Artifact::Tensor(Tensor::new(&["step"], Data::I64(new)));
        let captures = probe::outputs(&self.capture, "step").zip(&made.captures).map(|((capture, output), array)| {
            let steps = capture.each_step().outputs("step").remove(0);
            let axes: Vec<_> = steps.axes.iter().skip(1).map(String::as_str).collect();
            (output.name, Artifact::Tensor(Tensor::new(&axes, Data::F32(array.clone()))))
        });
        std::iter::once(("tokens".to_owned(), tokens)).chain(captures).collect()
    }

    /// What an interrupted run saved of prompt `i`.
    fn saved(&self, i: usize, ctx: &dyn Ctx) -> Result<Option<Generated>, Failure> {
        let Some(mut unit) = ctx.unit(&unit_name(i))? else { return Ok(None) };
        let mut array = |name: &str| match unit.remove(name) {
            Some(Artifact::Tensor(tensor)) => Some(tensor.data),
            _ => None,
        };
        let Some(Data::I64(new)) = array("tokens") else { return Ok(None) };
        let captures = probe::outputs(&self.capture, "step").map(|(_, output)| match array(&output.name) {
            Some(Data::F32(array)) => Some(array),
            _ => None,
        });
        let new = new.iter().map(|&id| id as u32).collect();
        Ok(captures.collect::<Option<_>>().map(|captures| Generated { new, captures }))
    }

    fn outputs(&self, facts: &ModelFacts, prompts: &[Text], labels: &[String], made: &[Generated]) -> Outputs {
        let sequence = |(text, made): (&Text, &Generated)| Sequence {
            id: text.id.clone(),
            prompt: text.ids.clone(),
            new: made.new.clone(),
        };
        let tokens = Tokens { sequences: prompts.iter().zip(made).map(sequence).collect(), vocab: None };
        let mut outputs = Outputs::default().with("tokens", tokens.artifact());
        for (i, (capture, output)) in probe::outputs(&self.capture, "step").enumerate() {
            let parts: Vec<_> = made.iter().map(|made| capture.over_steps(&made.captures[i])).collect();
            outputs = outputs.with(&output.name, probe::artifact(capture, &output, facts, labels, &parts));
        }
        outputs
    }
}

fn unit_name(prompt: usize) -> String {
    format!("prompt-{prompt}")
}

#[cfg(test)]
mod tests;

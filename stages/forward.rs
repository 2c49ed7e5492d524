//! `forward`: read texts once, and record what goes on inside.

use assay_cache::{Artifact, Data, Tensor, Unit};
use ndarray::{ArrayD, IxDyn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Given, Inputs, Lane, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    lm::{
        self, Model, ModelFacts,
        batching::{BatchSize, groups},
        capture::{Capture, Reduce},
        edit::Edit,
        probe::{self, Material, Probe},
        read::read,
        site::Site,
        text::texts::{self, Reading, Text},
    },
};

/// What happens inside a model while it reads a text?
///
/// One pass over each text: prompts, or the whole texts of `tokens` (a task's, or what a `generate` stage wrote). Outputs: a
/// tensor a capture, named by its site or by `as`, with the axes [prompt, layer, position, head, d] (a `pattern` has
/// [prompt, layer, head, query, key], `logits` [prompt, position, token]) but for those that the site lacks or the
/// reduction takes; texts of different lengths are filled up with NaN on the right, and `length` says how many tokens
/// each has. Logits are computed at the positions asked for and nowhere else. Edits and captures may name further
/// inputs, which `inputs` then wires.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Forward {
    /// What is recorded.
    pub capture: Vec<Capture>,
    /// What is changed inside the model while it reads.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// Texts that go through the model together.
    #[serde(default)]
    pub batch: BatchSize,
}

/// What was recorded of one text: an array an output.
type Recorded = Vec<ArrayD<f32>>;

impl Stage for Forward {
    const KIND: &'static str = "forward";
    const VERSION: &'static [(&'static str, u32)] = &[("forward", 1), lm::VERSION];
    const LANE: Lane = Lane::Device;

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let facts = probe::facts(given.one("model"));
        let mut found =
            probe::mistakes(&self.edits, &self.capture, (&texts::PORTS, &["length"]), given, facts.as_ref());
        if self.capture.is_empty() {
            found.push(Mistake::new("capture", "nothing is recorded, so there would be no output"));
        }
        if !found.is_empty() {
            return Err(found);
        }
        let mut outputs = probe::ports(&self.capture, "position", facts.as_ref());
        outputs.push(OutputPort::new("length", PortType::tensor(&["prompt"])));
        let mut inputs = texts::ports();
        inputs.extend(probe::inputs(&self.edits, &self.capture));
        Ok(Ports { inputs, outputs })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let Reading { model, texts, longest, .. } = Reading::of(inputs, ctx)?;
        probe::refuse_absent_positions(&self.edits, &self.capture, longest)?;
        let labels: Vec<String> = texts.iter().map(|text| text.id.clone()).collect();
        let material = Material { inputs, prompts: &labels };
        let probe = Probe::new(&self.edits, &self.capture, &model.facts, &material)?;
        let (recorded, rows) = self.recorded(&model, &texts, &probe, longest, ctx)?;
        Ok(self.outputs(&model.facts, &texts, &labels, &recorded).note("batch", json!(rows)))
    }
}

impl Forward {
    /// For each text an array an output, those of an interrupted run taken from their units; and the batch that was used.
    fn recorded(
        &self,
        model: &Model,
        texts: &[Text],
        probe: &Probe,
        longest: usize,
        ctx: &dyn Ctx,
    ) -> Result<(Vec<Recorded>, usize), Failure> {
        let rows = self.batch.rows(&model.facts, longest, self.logits(longest), model.device());
        let mut done = (0..texts.len()).map(|i| self.saved(i, ctx)).collect::<Result<Vec<_>, _>>()?;
        let pending = (0..texts.len()).filter(|&i| done[i].is_none()).collect();
        for group in groups(pending, |i| texts[i].ids.len(), rows) {
            ctx.go_on()?;
            ctx.progress(done.iter().flatten().count() as u64, texts.len() as u64, "prompts");
            let batch: Vec<(usize, &[u32])> = group.iter().map(|&i| (i, texts[i].ids.as_slice())).collect();
            let mut captures: Vec<_> = read(model, &batch, probe)?.into_iter().map(Vec::into_iter).collect();
            let by_text: Vec<Recorded> =
                group.iter().map(|_| captures.iter_mut().filter_map(Iterator::next).collect()).collect();
            let units: Vec<_> =
                group.iter().zip(&by_text).map(|(i, arrays)| (unit_name(*i), self.unit(arrays))).collect();
            ctx.save(&units)?;
            group.into_iter().zip(by_text).for_each(|(i, arrays)| done[i] = Some(arrays));
        }
        ctx.progress(texts.len() as u64, texts.len() as u64, "prompts");
        Ok((done.into_iter().flatten().collect(), rows))
    }

    /// The most logits of one text that a capture keeps at once.
    fn logits(&self, longest: usize) -> usize {
        let of = |capture: &Capture| {
            let words = capture.reduce.as_ref().map_or(&[][..], |reduce| &reduce.0);
            match words.first() {
                _ if capture.site != Site::Logits && !words.contains(&Reduce::Unembed) => 0,
                Some(Reduce::Last | Reduce::Mean) if capture.site != Site::Logits => 1,
                Some(Reduce::Last) => 1,
                _ => capture.positions.present(longest).len(),
            }
        };
        self.capture.iter().map(of).max().unwrap_or(0)
    }

    fn unit(&self, arrays: &[ArrayD<f32>]) -> Unit {
        let parts = probe::outputs(&self.capture, "position").zip(arrays).map(|((_, output), array)| {
            let axes: Vec<_> = output.axes.iter().skip(1).map(String::as_str).collect();
            (output.name, Artifact::Tensor(Tensor::new(&axes, Data::F32(array.clone()))))
        });
        parts.collect()
    }

    /// What an interrupted run saved of text `i`.
    fn saved(&self, i: usize, ctx: &dyn Ctx) -> Result<Option<Recorded>, Failure> {
        let Some(mut unit) = ctx.unit(&unit_name(i))? else { return Ok(None) };
        let arrays = probe::outputs(&self.capture, "position").map(|(_, output)| match unit.remove(&output.name) {
            Some(Artifact::Tensor(Tensor { data: Data::F32(array), .. })) => Some(array),
            _ => None,
        });
        Ok(arrays.collect())
    }

    fn outputs(&self, facts: &ModelFacts, texts: &[Text], labels: &[String], recorded: &[Recorded]) -> Outputs {
        let lengths: Vec<i64> = texts.iter().map(|text| text.ids.len() as i64).collect();
        let lengths = ArrayD::from_shape_vec(IxDyn(&[texts.len()]), lengths).expect("one axis");
        let length = Tensor::new(&["prompt"], Data::I64(lengths)).with_unit("tokens");
        let mut outputs = Outputs::default().with("length", Artifact::Tensor(length));
        for (i, (capture, output)) in probe::outputs(&self.capture, "position").enumerate() {
            let parts: Vec<_> = recorded.iter().map(|arrays| arrays[i].clone()).collect();
            outputs = outputs.with(&output.name, probe::artifact(capture, &output, facts, labels, &parts));
        }
        outputs
    }
}

fn unit_name(text: usize) -> String {
    format!("prompt-{text}")
}

#[cfg(test)]
mod tests;

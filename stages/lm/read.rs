//! One pass over whole texts: what its captures record of each.

use ndarray::ArrayD;

use super::{
    Model, Tensor,
    batch::Batch,
    capture::{Step, Take, chunks},
    pass::{Pass, Wanted},
    probe::Probe,
    site::Site,
};
use crate::Failure;

/// For each output of each capture, an array for each text (its index in the study, its tokens), with the axes of
/// [`Capture::outputs`](super::capture::Capture::outputs) but the first.
///
/// Logits are only computed at the positions that are asked for.
pub fn read(model: &Model, texts: &[(usize, &[u32])], probe: &Probe) -> Result<Vec<Vec<ArrayD<f32>>>, Failure> {
    let batch = Batch::right_padded(texts);
    let mut pass = Pass::new(&batch, probe, Wanted::All);
    let hidden = model.hidden(&mut pass, None);
    pass.checked()?;
    let mut outputs = vec![];
    for (take, layers) in probe.takes.iter().zip(pass.taken()) {
        outputs.extend(match take.site {
            Site::Logits => logits(model, &hidden, take, &batch).map_err(Failure::fatal)?,
            _ => take.outputs(layers, &batch, model),
        });
    }
    Ok(outputs)
}

/// Row by row and a chunk of positions at a time: the logits of a whole text can be larger than the model.
fn logits(model: &Model, hidden: &Tensor<2>, take: &Take, batch: &Batch) -> Result<Vec<Vec<ArrayD<f32>>>, String> {
    let mut outputs: Vec<Vec<ArrayD<f32>>> = vec![];
    for row in 0..batch.rows() {
        let made = Reader { model, hidden, take, first: row * batch.width(), own: batch.row(row) };
        let made = made.outputs(take.slots(batch, row))?;
        outputs.resize_with(made.len(), Vec::new);
        made.into_iter().zip(&mut outputs).for_each(|(own, rows)| rows.push(own));
    }
    Ok(outputs)
}

/// Reads the logits of one row.
struct Reader<'a> {
    model: &'a Model,
    /// Of all rows, `[token, d_model]`.
    hidden: &'a Tensor<2>,
    take: &'a Take,
    /// Where the row begins.
    first: usize,
    own: Batch,
}

impl Reader<'_> {
    fn outputs(&self, mut slots: Vec<Option<usize>>) -> Result<Vec<ArrayD<f32>>, String> {
        let take = self.take;
        if let (true, Some(last)) =
            (take.steps.iter().any(|step| matches!(step, Step::Last)), slots.iter().flatten().max())
        {
            slots = vec![Some(*last)];
        }
        if let Some(at) = take.steps.iter().position(|step| matches!(step, Step::Mean)) {
            let (upto, after) = take.steps.split_at(at + 1);
            let mean = take.stepped(after, self.mean(upto, &slots)?, 0, &vec![vec![Some(0)]], &self.own)?;
            return Ok(self.made(take, mean));
        }
        let pieces = chunks(slots.len(), self.model.facts.vocab).map(|chunk| {
            let slots = &slots[chunk];
            let values = self.stepped(&take.steps, slots)?;
            Ok(self.made(&take.of(slots), values))
        });
        Ok(take.side_by_side(pieces.collect::<Result<_, String>>()?))
    }

    /// What these steps, of which the last is the mean over positions, make of all chunks.
    fn mean(&self, steps: &[Step], slots: &[Option<usize>]) -> Result<Tensor<4>, String> {
        let mut sum: Option<Tensor<4>> = None;
        let mut count = 0;
        for chunk in chunks(slots.len(), self.model.facts.vocab) {
            let slots = &slots[chunk];
            let own = slots.iter().flatten().count();
            if own > 0 {
                let mean = self.stepped(steps, slots)? * own as f32;
                sum = Some(sum.map_or(mean.clone(), |sum| sum + mean));
                count += own;
            }
        }
        match sum {
            Some(sum) => Ok(sum / count as f32),
            None => self.stepped(steps, &[]), // the mean of nothing
        }
    }

    /// `[1, place, 1, vocab]`. Where a short text has nothing, any of its logits stand until they are cut off.
    fn logits(&self, slots: &[Option<usize>]) -> Tensor<4> {
        let mut places: Vec<usize> = slots.iter().map(|slot| self.first + slot.unwrap_or(0)).collect();
        if places.is_empty() {
            places.push(self.first);
        }
        let logits = self.model.logits(self.hidden.clone(), &places); // [place, vocab]
        logits.reshape([1, places.len(), 1, self.model.facts.vocab])
    }

    fn stepped(&self, steps: &[Step], slots: &[Option<usize>]) -> Result<Tensor<4>, String> {
        let (logits, slots) = (self.logits(slots), vec![slots.to_vec()]);
        self.take.stepped(steps, self.take.less_other(logits, 0, &slots, &self.own)?, 0, &slots, &self.own)
    }

    fn made(&self, take: &Take, values: Tensor<4>) -> Vec<ArrayD<f32>> {
        let made = take.outputs(vec![values], &self.own, self.model);
        made.into_iter().filter_map(|mut rows| rows.pop()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Inputs,
        lm::{
            capture::{Capture, stacked},
            edit::{Change, Edit},
            fixture::{FAMILIES, Fixture, distance},
            probe::Material,
        },
    };

    fn capture(toml: &str) -> Capture {
        toml::from_str(toml).unwrap()
    }

    /// A probe that draws on nothing.
    fn probe(edits: &[Edit], captures: &[Capture], model: &Model) -> Probe {
        let material = Material { inputs: &Inputs::default(), prompts: &[] };
        Probe::new(edits, captures, &model.facts, &material).unwrap()
    }

    fn run(family: &str, toml: &str) -> (Fixture, Vec<ArrayD<f32>>) {
        let fixture = Fixture::of(family);
        let model = fixture.model();
        let (a, b) = (fixture.ids("a"), fixture.ids("b"));
        let probe = probe(&[], &[capture(toml)], &model);
        let mut made = read(&model, &[(0, &a), (1, &b)], &probe).unwrap();
        (fixture, made.pop().unwrap())
    }

    #[test]
    fn logits_stand_at_the_positions_asked_for() {
        for family in FAMILIES {
            let (fixture, made) = run(family, "site = \"logits\"\npositions = [2, 17]");
            let expected = |run: &str, position: usize| {
                fixture.expected.get(&format!("{run}.logits"))[position * 257..][..257].to_vec()
            };
            assert_eq!(made[0].shape(), [2, 257]);
            assert_eq!(made[1].shape(), [2, 257]);
            assert!(made[1][[1, 9]].is_nan(), "prompt B has 14 tokens");
            assert!(distance(&made[0].as_slice().unwrap()[257..], &expected("a", 17)) < 1e-4);
            assert!(distance(&made[1].as_slice().unwrap()[..257], &expected("b", 2)) < 1e-4);
            let (_, made) = run(family, "site = \"logits\"\nreduce = \"last\"");
            assert!(distance(made[1].as_slice().unwrap(), &expected("b", 13)) < 1e-4);
        }
    }

    /// From Hugging Face's logits: −ln p of the token after each, and whether it is the most likely.
    #[test]
    fn surprisal_is_of_the_next_token() {
        for family in FAMILIES {
            let fixture = Fixture::of(family);
            let model = fixture.model();
            let (a, b) = (fixture.ids("a"), fixture.ids("b"));
            let capture = capture("site = \"logits\"\nreduce = \"surprisal\"\npositions = \"5..\"");
            let names: Vec<_> = capture.outputs("position").into_iter().map(|output| output.name).collect();
            assert_eq!(names, ["logits", "logits.right"]);
            let made = read(&model, &[(0, &a), (1, &b)], &probe(&[], &[capture], &model)).unwrap();
            let [surprisal, right] = made.as_slice() else { panic!("two outputs") };
            assert_eq!((surprisal[0].shape(), surprisal[1].shape()), (&[16][..], &[9][..]));
            for (run, (ids, row)) in [("a", (&a, 0)), ("b", (&b, 1))] {
                let logits = fixture.expected.get(&format!("{run}.logits"));
                for (place, position) in (5..ids.len() - 1).enumerate() {
                    let own = &logits[position * 257..][..257];
                    let next = ids[position + 1] as usize;
                    let expected = own.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln() - f64::from(own[next]);
                    let found = f64::from(surprisal[row][[place]]);
                    assert!((found - expected).abs() < 1e-4, "{family} {run} {position}: {found} for {expected}");
                    let best = own.iter().all(|x| *x <= own[next]);
                    assert_eq!(right[row][[place]], f32::from(best), "{family} {run} {position}");
                }
                let last = ids.len() - 6;
                assert!(surprisal[row][[last]].is_nan() && right[row][[last]].is_nan(), "nothing comes after the last");
            }
        }
    }

    #[test]
    fn reductions_are_those_of_the_raw_values() {
        let (fixture, norms) = run("llama", "site = \"z\"\nlayers = [0, 2]\nheads = [1, 3]\nreduce = \"norm\"");
        let (_, means) = run("llama", "site = \"attn_out\"\nlayers = 1\nreduce = \"mean\"\npositions = \"3..99\"");
        let (_, last) = run("llama", "site = \"attn_out\"\nreduce = \"last\"");
        let z = fixture.expected.get("b.z"); // [3, 14, 4, 16]
        assert_eq!(norms[1].shape(), [2, 14, 2]);
        let at = ((2 * 14 + 5) * 4 + 3) * 16;
        let norm = z[at..at + 16].iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((norms[1][[1, 5, 1]] - norm).abs() < 1e-4);
        let out = fixture.expected.get("b.attn_out"); // [3, 14, 64]
        let mean = (3..14).map(|position| out[(14 + position) * 64 + 7]).sum::<f32>() / 11.0;
        assert_eq!(means[1].shape(), [1, 64]);
        assert!((means[1][[0, 7]] - mean).abs() < 1e-4);
        assert_eq!(last[1].shape(), [3, 64]);
        assert!((last[1][[2, 7]] - out[(2 * 14 + 13) * 64 + 7]).abs() < 1e-4);
    }

    #[test]
    fn short_texts_are_filled_up_with_nan() {
        let (fixture, made) = run("gpt_neox", "site = \"pattern\"\nlayers = 1\nheads = \"0..2\"");
        let whole = stacked(&made);
        assert_eq!(whole.shape(), [2, 1, 2, 21, 21]);
        assert!(whole[[1, 0, 0, 13, 14]].is_nan() && whole[[1, 0, 0, 14, 0]].is_nan());
        let expected = fixture.expected.get("b.pattern"); // [3, 4, 14, 14]
        assert!((whole[[1, 0, 1, 13, 5]] - expected[((4 + 1) * 14 + 13) * 14 + 5]).abs() < 1e-4);
    }

    /// Zeroing no head, and noise of standard deviation 0, change no bit.
    #[test]
    fn edits_that_change_nothing_change_no_bit() {
        let fixture = Fixture::of("llama");
        let model = fixture.model();
        let a = fixture.ids("a");
        let captures = [capture("site = \"resid_post\"")];
        let edits: Vec<Edit> = [
            "op = \"zero\"\nsite = \"z\"\npositions = \"90..95\"",
            "op = \"noise\"\nsite = \"attn_out\"\nstd = 0.0\nseed = 1",
        ]
        .map(|edit| toml::from_str(edit).unwrap())
        .to_vec();
        let plain = read(&model, &[(0, &a)], &probe(&[], &captures, &model)).unwrap();
        let edited = read(&model, &[(0, &a)], &probe(&edits, &captures, &model)).unwrap();
        assert_eq!(plain, edited);
        let none = Probe { changes: Change::zero_heads(&[], &model.facts), ..Probe::default() };
        assert!(none.changes.is_empty());
    }

    /// Noise is a function of seed, layer, prompt and position: alone or in a batch, whole or token by token.
    #[test]
    fn noise_does_not_depend_on_the_batch() {
        let fixture = Fixture::of("llama");
        let model = fixture.model();
        let (a, b) = (fixture.ids("a"), fixture.ids("b"));
        let edit: Edit =
            toml::from_str("op = \"noise\"\nsite = \"attn_out\"\nlayers = [1]\nstd = 0.5\nseed = 3").unwrap();
        let probe = probe(&[edit], &[capture("site = \"attn_out\"")], &model);
        let both = read(&model, &[(0, &a), (1, &b)], &probe).unwrap();
        let alone = read(&model, &[(1, &b)], &probe).unwrap();
        let values = |array: &ArrayD<f32>| array.iter().copied().collect::<Vec<_>>();
        assert!(distance(&values(&both[0][1]), &values(&alone[0][0])) < 1e-5);

        // What was added at layer 1 has the standard deviation asked for.
        let plain = fixture.expected.get("b.attn_out");
        let layer = 14 * 64;
        let added =
            values(&alone[0][0])[layer..2 * layer].iter().zip(&plain[layer..]).map(|(x, y)| x - y).collect::<Vec<_>>();
        let std = (added.iter().map(|x| x * x).sum::<f32>() / added.len() as f32).sqrt();
        assert!((std - 0.5).abs() < 4.0 * 0.5 / (2.0 * added.len() as f32).sqrt(), "{std}");
    }
}

//! Values from other stages, laid beside a text: which donor's value stands where.

use std::{collections::BTreeMap, sync::Arc};

use super::{Addend, Replacement, Token};
use crate::{
    Purpose, below,
    lm::donor::{Align, Donor},
    rng,
};

/// How wide a vector of `count` numbers of `heads` heads is.
fn each(count: usize, heads: usize) -> usize {
    count / heads.max(1)
}

/// The mean over a donor's prompts and positions.
pub fn mean(donor: &Donor, layers: &[usize], heads: usize) -> Result<Replacement, String> {
    let width = if donor.has("d") { donor.len("d") } else { 1 };
    let by_layer = layers.iter().map(|layer| Ok((*layer, donor.mean(*layer, heads, width)?)));
    let by_layer = by_layer.collect::<Result<BTreeMap<_, _>, String>>()?;
    Ok(Arc::new(move |token, _| Ok(by_layer.get(&token.layer).cloned())))
}

/// Another prompt's value, by a permutation in one cycle.
pub fn resampled(donor: Donor, align: Align, seed: u64, prompts: usize) -> Result<Replacement, String> {
    donor.check_alignment(align, "position")?;
    let own = donor.len("prompt");
    if own < prompts.max(2) {
        let needed = prompts.max(2);
        return Err(format!("`{}` has {own} prompts: to resample, it takes at least {needed}", donor.port()));
    }
    let other = cycle(own, seed);
    Ok(Arc::new(move |token, count| {
        let other = other[token.prompt];
        let wanted = match align {
            Align::Start => token.position.min(donor.length(other).saturating_sub(1)),
            // Positions before the other text's first get its first.
            Align::End => token.position.max(token.length.saturating_sub(donor.length(other))),
        };
        match value(&donor, other, wanted, align, token, count)? {
            Some(values) => Ok(Some(values)),
            None => Err(format!("`{}` holds nothing of prompt {other} at layer {}", donor.port(), token.layer)),
        }
    }))
}

/// Another run's value, where it has one.
pub fn patched(donor: Donor, align: Align, prompts: usize) -> Result<Replacement, String> {
    donor.check_prompts(prompts)?;
    donor.check_alignment(align, if donor.has("query") { "query" } else { "position" })?;
    Ok(Arc::new(move |token, count| value(&donor, token.prompt, token.position, align, token, count)))
}

/// The value of a run on the same texts.
pub fn frozen(donor: Donor, prompts: &[String]) -> Result<Replacement, String> {
    if donor.prompts.as_deref().is_some_and(|own| own != prompts) || donor.len("prompt") != prompts.len() {
        return Err(format!("`{}` has other prompts than this stage: they must be the same", donor.port()));
    }
    let align = donor.counted_from(if donor.has("query") { "query" } else { "position" });
    Ok(Arc::new(move |token, count| match value(&donor, token.prompt, token.position, align, token, count)? {
        Some(values) => Ok(Some(values)),
        None => Err(format!(
            "`{}` holds nothing of prompt {} at position {} of layer {}: all must be there",
            donor.port(),
            token.prompt,
            token.position,
            token.layer
        )),
    }))
}

fn value(
    donor: &Donor,
    prompt: usize,
    position: usize,
    align: Align,
    token: Token,
    count: usize,
) -> Result<Option<Vec<f32>>, String> {
    let Some(place) = donor.beside(prompt, position, token.length, align) else { return Ok(None) };
    let Some(values) = donor.token(prompt, token.layer, Some(place)) else { return Ok(None) };
    donor.by_head(&values, token.heads, each(count, token.heads)).map(Some)
}

/// A direction times a factor, the same at every token; nothing where it is zero everywhere.
pub fn direction(donor: Donor, layers: &[usize], heads: usize, factor: f64) -> Result<Option<Addend>, String> {
    let width = donor.len("d");
    let mut by_layer = BTreeMap::new();
    for layer in layers {
        let vector = donor.token(0, *layer, None);
        let vector = vector.ok_or_else(|| format!("`{}` holds no direction for layer {layer}", donor.port()))?;
        let values = donor.by_head(&vector, heads, width)?;
        by_layer.insert(*layer, values.into_iter().map(|x| (f64::from(x) * factor) as f32).collect::<Vec<f32>>());
    }
    if by_layer.values().flatten().all(|x| *x == 0.0) {
        return Ok(None);
    }
    Ok(Some(Arc::new(move |place, _, _, _| by_layer.get(&place.layer).cloned().unwrap_or_default())))
}

/// For each of `count` prompts another one: a permutation that is one cycle (Sattolo's shuffle).
pub fn cycle(count: usize, seed: u64) -> Vec<usize> {
    let mut others: Vec<usize> = (0..count).collect();
    let mut rng = rng(seed, Purpose::Resample, &[]);
    for last in (1..count).rev() {
        others.swap(last, below(last as u64, &mut rng) as usize);
    }
    others
}

//! Direct logit attribution: what each part of a model adds to the difference of two logits, straight through the
//! unembedding, while the norms on the way stay what they were.
//!
//! The residual stream is a sum, and behind frozen norms the logits are affine in it: the shares of embeddings, heads,
//! MLPs and biases add up to the difference, as it is before a soft cap bends it. What a part does through later parts
//! is not in its share.

use ndarray::{ArrayD, s};

use super::Model;
use crate::{
    Failure, Select,
    lm::{
        Tensor,
        batch::Batch,
        capture::{At, Take},
        edit::Change,
        layers::{block::Block, linear::host},
        pass::{Pass, Wanted},
        probe::Probe,
        site::Site,
    },
    metrics::attribution::{along, before},
};

/// A part of a model that adds to the residual stream, or to the logits themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The token's embedding.
    Embedding,
    /// The position's, where positions are learned.
    Position,
    Head {
        layer: usize,
        head: usize,
    },
    /// What attention adds beside its heads: the bias of its output projection.
    AttentionBias {
        layer: usize,
    },
    Mlp {
        layer: usize,
    },
    /// The bias of the final norm.
    NormBias,
    UnembeddingBias,
}

/// What the parts add to the difference of two logits at one position of a text.
pub struct Attribution {
    pub shares: Vec<(Part, f64)>,
    /// The difference as the model computes it, before a soft cap.
    pub difference: f64,
    /// What the final norm divides by; 1 where there is none.
    pub divisor: f64,
}

/// The sites that a pass records, in this order.
const SITES: [Site; 6] = [Site::Embed, Site::ResidPre, Site::Result, Site::AttnOut, Site::MlpOut, Site::LnFinalScale];

/// What one text left at each of [`SITES`] at its position: `[layer, 1, head, d]`, or `[layer, 1, 1, d]`.
struct Seen(Vec<ArrayD<f32>>);

impl Model {
    /// What the parts add to the difference of two logits, the first of `tokens` minus the second, at one position of
    /// each text (its index in the study, its tokens), under these changes. Every text has that position.
    pub fn attributions(
        &self,
        texts: &[(usize, &[u32])],
        position: i64,
        tokens: &[[u32; 2]],
        changes: &[Change],
    ) -> Result<Vec<Attribution>, Failure> {
        let batch = Batch::right_padded(texts);
        let at = At::Positions(Select::List(vec![position]));
        let take = |site: Site| match site {
            Site::ResidPre => Take { at: at.clone(), ..Take::raw(site, vec![0]) },
            _ => {
                Take { at: at.clone(), ..Take::raw(site, self.facts.layers_at(site, &Select::All).unwrap_or_default()) }
            }
        };
        let probe = Probe { changes: changes.to_vec(), takes: SITES.map(take).to_vec() };
        let mut pass = Pass::new(&batch, &probe, Wanted::All);
        let hidden = self.hidden(&mut pass, None); // [token, d_model]
        pass.checked()?;
        let sites = pass.taken().into_iter().zip(&probe.takes).map(|(layers, take)| take.grids(layers, &batch));
        let mut by_site: Vec<_> = sites.map(Vec::into_iter).collect();
        let attribution = |(row, tokens): (usize, &[u32; 2])| {
            let seen = Seen(by_site.iter_mut().filter_map(Iterator::next).collect());
            let place = probe.takes[0].slots(&batch, row)[0].expect("every text has the position");
            let hidden = hidden.clone().narrow(0, row * batch.width() + place, 1);
            self.attribution(&seen, hidden, *tokens)
        };
        Ok(tokens.iter().enumerate().map(attribution).collect())
    }

    /// `hidden` is what the unembedding reads, `[1, d_model]`.
    fn attribution(&self, seen: &Seen, hidden: Tensor<2>, [first, second]: [u32; 2]) -> Attribution {
        let (first, second) = (first as usize, second as usize);
        let logits = host(self.unembed.forward(hidden, &self.embed.tokens, self.dtype));
        let of = |token| self.unembed.of_token(token, &self.embed.tokens);
        let ((to, to_bias), (from, from_bias)) = (of(first), of(second));
        let wanted: Vec<f64> = to.iter().zip(&from).map(|(to, from)| f64::from(*to) - f64::from(*from)).collect();

        let divisor = seen.number(Site::LnFinalScale).unwrap_or(1.0);
        let norm = self.norm.as_ref().map(|norm| norm.frozen(divisor));
        let (direction, norm_bias) = before(norm.as_ref(), &wanted);
        let mut shares = self.embedded(seen, &direction);
        for (layer, block) in self.blocks.iter().enumerate() {
            shares.extend(attended(block, layer, seen, &direction));
            if block.has_mlp() {
                let out = seen.vector(Site::MlpOut, layer, 0);
                let (own, bias) = before(block.behind_mlp(&out).as_ref(), &direction);
                shares.push((Part::Mlp { layer }, along(&out, &own) + bias));
            }
        }
        if norm.is_some_and(|norm| norm.bias.is_some()) {
            shares.push((Part::NormBias, norm_bias));
        }
        if self.unembed.has_bias() {
            shares.push((Part::UnembeddingBias, f64::from(to_bias) - f64::from(from_bias)));
        }
        Attribution { shares, difference: f64::from(logits[first]) - f64::from(logits[second]), divisor }
    }

    /// The shares of what enters the first block.
    fn embedded(&self, seen: &Seen, direction: &[f64]) -> Vec<(Part, f64)> {
        let token = along(&seen.vector(Site::Embed, 0, 0), direction);
        let mut shares = vec![(Part::Embedding, token)];
        if self.facts.positions.is_some() {
            shares.push((Part::Position, along(&seen.vector(Site::ResidPre, 0, 0), direction) - token));
        }
        shares
    }
}

/// The shares of a block's heads, and of the bias behind them.
fn attended(block: &Block, layer: usize, seen: &Seen, direction: &[f64]) -> Vec<(Part, f64)> {
    let out = seen.vector(Site::AttnOut, layer, 0);
    let (own, norm_bias) = before(block.behind_attention(&out).as_ref(), direction);
    let heads = seen.heads();
    let mut shares: Vec<_> = (0..heads)
        .map(|head| (Part::Head { layer, head }, along(&seen.vector(Site::Result, layer, head), &own)))
        .collect();
    if block.has_attention_bias() {
        let of_heads: f64 = shares.iter().map(|(_, share)| share).sum();
        shares.push((Part::AttentionBias { layer }, along(&out, &own) - of_heads + norm_bias));
    }
    shares
}

impl Seen {
    fn at(&self, site: Site) -> &ArrayD<f32> {
        let index = SITES.iter().position(|own| *own == site).expect("a recorded site");
        &self.0[index]
    }

    fn heads(&self) -> usize {
        self.at(Site::Result).shape()[2]
    }

    fn vector(&self, site: Site, layer: usize, head: usize) -> Vec<f32> {
        self.at(site).slice(s![layer, 0, head, ..]).to_vec()
    }

    /// What stands at a site that is one number; nothing where the model has no such site.
    fn number(&self, site: Site) -> Option<f64> {
        self.at(site).iter().next().map(|number| f64::from(*number))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::lm::fixture::{FAMILIES, Fixture};

    /// attribution.py, beside the fixtures, computes the same in f64 from what PyTorch saw.
    fn theirs() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/attribution.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn close(family: &str, what: &str, ours: f64, theirs: &Value) {
        let theirs = theirs.as_f64().unwrap_or_else(|| panic!("{family} {what}"));
        assert!((ours - theirs).abs() < 1e-5 * theirs.abs().max(1.0), "{family} {what}: {ours}, not {theirs}");
    }

    #[test]
    fn every_share_is_what_numpy_makes_of_pytorchs_activations() {
        let theirs = theirs();
        for family in FAMILIES {
            let fixture = Fixture::of(family);
            let (ids, theirs) = (fixture.ids("a"), &theirs[family]);
            let tokens = [0, 1].map(|i| theirs["tokens"][i].as_u64().unwrap() as u32);
            let made = fixture.model().attributions(&[(0, &ids)], -1, &[tokens], &[]).unwrap().remove(0);
            close(family, "difference", made.difference, &theirs["difference"]);
            close(family, "divisor", made.divisor, &theirs["divisor"]);
            let mut biases = 0.0;
            for (part, share) in &made.shares {
                match part {
                    Part::Embedding => close(family, "embedding", *share, &theirs["embedding"]),
                    Part::Position => close(family, "position", *share, &theirs["position"]),
                    Part::Head { layer, head } => {
                        close(family, &format!("head {layer} {head}"), *share, &theirs["heads"][layer][head]);
                    }
                    Part::Mlp { layer } => close(family, &format!("mlp {layer}"), *share, &theirs["mlps"][layer]),
                    Part::AttentionBias { layer } => {
                        close(family, &format!("bias {layer}"), *share, &theirs["attention_biases"][layer]);
                    }
                    Part::NormBias | Part::UnembeddingBias => biases += share,
                }
            }
            close(family, "biases", biases, &theirs["biases"]);
            let heads = made.shares.iter().filter(|(part, _)| matches!(part, Part::Head { .. })).count();
            assert_eq!(heads, 3 * 4, "{family}");
        }
    }

    /// In any batch, at any position, and whatever is zeroed: the shares add up to the model's own difference.
    #[test]
    fn shares_add_up_to_the_difference() {
        for family in FAMILIES {
            let fixture = Fixture::of(family);
            let model = fixture.model();
            let (a, b) = (fixture.ids("a"), fixture.ids("b"));
            let without = Change::zero_heads(&[(1, 0), (2, 3)], &model.facts);
            for (position, changes) in [(-1, &[][..]), (3, &[]), (-2, &without)] {
                let made = model.attributions(&[(0, &a), (1, &b)], position, &[[7, 200], [3, 11]], changes).unwrap();
                for one in made {
                    let sum: f64 = one.shares.iter().map(|(_, share)| share).sum();
                    assert!(
                        (sum - one.difference).abs() < 2e-5,
                        "{family} at {position}: {sum}, not {}",
                        one.difference
                    );
                    let zeroed = one.shares.iter().find(|(part, _)| *part == Part::Head { layer: 1, head: 0 }).unwrap();
                    assert_eq!(zeroed.1 == 0.0, !changes.is_empty(), "{family}");
                }
            }
        }
    }
}

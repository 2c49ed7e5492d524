//! Weights that training leaves as they are: neither gradient nor decay moves them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Mistake, Select, lm::ModelFacts};

/// Weights that stay as they are.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Freeze {
    /// Which layers.
    #[serde(default)]
    pub layers: Select,
    /// Only the query, key, value and output slices of these heads; without it, the whole layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heads: Option<Select>,
    /// The step after which they stay as they are.
    #[serde(default)]
    pub after: u64,
}

impl Freeze {
    pub fn mistakes(&self, at: &str, facts: &ModelFacts) -> Vec<Mistake> {
        let layers = self.layers.indices(facts.layers, "layer").err();
        let heads = self.heads.as_ref().and_then(|heads| heads.indices(facts.heads, "head").err());
        let wrong = [("layers", layers), ("heads", heads)];
        wrong.into_iter().filter_map(|(name, wrong)| Some(Mistake::new(format!("{at}.{name}"), wrong?))).collect()
    }

    /// Marks in `moves`, all of a tensor's values in row-major order, those that this keeps.
    fn mark(&self, path: &str, shape: &[usize], facts: &ModelFacts, moves: &mut [bool]) {
        let Some((layer, name)) = in_layer(path) else { return };
        if !self.layers.indices(facts.layers, "layer").is_ok_and(|layers| layers.contains(&layer)) {
            return;
        }
        let Some(heads) = &self.heads else { return moves.fill(false) };
        let heads = heads.indices(facts.heads, "head").unwrap_or_default();
        let of = |head: usize, heads: &[usize]| heads.contains(&head);
        let columns = shape.get(1).copied().unwrap_or(1);
        for (i, moves) in moves.iter_mut().enumerate() {
            let (row, column) = (i / columns, i % columns);
            let head = match name {
                _ if name.starts_with("self_attn.q_proj.") => Some(row / facts.d_head),
                // A key/value head stays where every query head of its group does.
                _ if name.starts_with("self_attn.k_proj.") || name.starts_with("self_attn.v_proj.") => {
                    let group = facts.heads / facts.kv_heads;
                    let first = row / facts.d_head * group;
                    (first..first + group).all(|head| of(head, &heads)).then_some(first)
                }
                "self_attn.o_proj.weight" => Some(column / facts.d_head),
                _ => None,
            };
            *moves &= !head.is_some_and(|head| of(head, &heads));
        }
    }
}

/// Which values of a tensor still move at a step, under all that is frozen; none where all do.
pub fn moves(freeze: &[Freeze], step: u64, path: &str, shape: &[usize], facts: &ModelFacts) -> Option<Vec<bool>> {
    let mut moves = vec![true; shape.iter().product()];
    let in_force = freeze.iter().filter(|freeze| step > freeze.after);
    in_force.for_each(|freeze| freeze.mark(path, shape, facts, &mut moves));
    moves.contains(&false).then_some(moves)
}

/// The layer of a tensor, and its name there.
fn in_layer(path: &str) -> Option<(usize, &str)> {
    let (_, rest) = path.split_once("layers.")?;
    let (layer, name) = rest.split_once('.')?;
    Some((layer.parse().ok()?, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::fixture::Fixture;

    /// The fixture has 4 heads of 16 in groups of 2, and 64 dimensions.
    fn moving(freeze: &Freeze, step: u64, path: &str, shape: &[usize]) -> Option<Vec<bool>> {
        let facts = ModelFacts::of(&Fixture::of("llama").config).unwrap();
        moves(std::slice::from_ref(freeze), step, path, shape, &facts)
    }

    #[test]
    fn heads_are_rows_of_queries_and_columns_of_outputs() {
        let freeze = Freeze { layers: Select::List(vec![1]), heads: Some(Select::List(vec![0, 1, 2])), after: 0 };
        let still = |name: &str, shape: &[usize]| {
            let path = format!("model.layers.1.{name}");
            moving(&freeze, 1, &path, shape).map(|moves| moves.iter().map(|moves| !moves).collect::<Vec<_>>())
        };
        let q = still("self_attn.q_proj.weight", &[64, 64]).unwrap();
        assert!(q[..48 * 64].iter().all(|still| *still) && q[48 * 64..].iter().all(|still| !still));
        let o = still("self_attn.o_proj.weight", &[64, 64]).unwrap();
        assert!(o.chunks(64).all(|row| row[..48].iter().all(|still| *still) && !row[48..].contains(&true)));
        let k = still("self_attn.k_proj.weight", &[32, 64]).unwrap();
        assert!(k[..16 * 64].iter().all(|still| *still), "both heads of group 0 stay");
        assert!(k[16 * 64..].iter().all(|still| !still), "head 3 moves, so group 1 does");
        assert_eq!(still("mlp.up_proj.weight", &[128, 64]), None);
        assert_eq!(moving(&freeze, 1, "model.layers.0.self_attn.q_proj.weight", &[64, 64]), None);
    }

    #[test]
    fn a_whole_layer_stays_after_its_step() {
        let freeze = Freeze { layers: Select::List(vec![0]), heads: None, after: 10 };
        assert_eq!(moving(&freeze, 10, "model.layers.0.mlp.up_proj.weight", &[2, 2]), None);
        assert_eq!(moving(&freeze, 11, "model.layers.0.mlp.up_proj.weight", &[2, 2]), Some(vec![false; 4]));
        assert_eq!(moving(&freeze, 11, "model.norm.weight", &[2]), None);
    }
}

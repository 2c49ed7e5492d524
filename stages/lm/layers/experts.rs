//! A mixture of experts: a router sends each token to some of many gated MLPs; a shared one sees all of them.
//!
//! What each expert adds to the residual stream is a node of its own (the site `expert_out`): its output times the
//! router's weight, 0 for tokens that are not sent to it. The routed experts come first, the shared one last, so that
//! the nodes of a layer sum to its `mlp_out`. An expert computes its own tokens alone, unless something looks at the
//! site or edits it; the sums are the same to the bit.

use super::{
    dense::{Dense, DenseSpec},
    embed::indices,
    linear::{Linear, LinearSpec, host},
    param::Param,
    routing::Routing,
};
use crate::lm::{
    Dtype, Tensor,
    pass::{Pass, Place},
    site::Site,
    weights::{Weights, checkpoint::WeightsError},
};

#[derive(Clone, PartialEq, Debug)]
pub struct ExpertsSpec {
    pub router: LinearSpec,
    pub routing: Routing,
    pub routed: Vec<DenseSpec>,
    pub shared: Option<DenseSpec>,
}

#[derive(Clone, Debug)]
pub struct Experts {
    router: Linear,
    routing: Routing,
    routed: Vec<Dense>,
    shared: Option<Dense>,
    dtype: Dtype,
}

/// The tokens of one pass, sorted by the expert that they go to.
struct Dispatch {
    /// For each expert, its tokens, ascending, and their weights.
    of: Vec<(Vec<usize>, Vec<f32>)>,
    /// For each token, where its experts' outputs stand when those of all experts are put one after the other.
    places: Vec<Vec<usize>>,
}

impl ExpertsSpec {
    /// How many nodes there are: the routed experts, and the shared one.
    pub fn nodes(&self) -> usize {
        self.routed.len() + usize::from(self.shared.is_some())
    }

    pub fn params(&self) -> Vec<&Param> {
        let experts = self.routed.iter().chain(&self.shared).flat_map(DenseSpec::params);
        self.router.params().into_iter().chain(experts).collect()
    }

    pub fn load(&self, weights: &Weights) -> Result<Experts, WeightsError> {
        Ok(Experts {
            router: self.router.load(weights)?,
            routing: self.routing.clone(),
            routed: self.routed.iter().map(|expert| expert.load(weights)).collect::<Result<_, _>>()?,
            shared: self.shared.as_ref().map(|shared| shared.load(weights)).transpose()?,
            dtype: weights.dtype(),
        })
    }
}

impl Experts {
    /// `[token, d_model]` → `[token, d_model]`
    pub fn forward(&self, x: Tensor<2>, layer: usize, pass: &mut Pass) -> Tensor<2> {
        let x = pass.at(Place::of(Site::MlpIn, layer), x);
        let dispatch = Dispatch::new(&self.routing, &host(self.router.forward_in_f32(x.clone())), self.routed.len());
        let outputs = self.outputs(&x, &dispatch); // [token and expert, d_model], expert by expert
        let shared = self.shared.as_ref().map(|shared| shared.plain(x)); // [token, d_model]
        let place = Place::of(Site::ExpertOut, layer);
        let out = match pass.touches(place) {
            true => self.sum(separate(pass.at(place, dispatch.nodes(outputs, shared, pass)))),
            false => self.sum(dispatch.shares(outputs).chain(shared)),
        };
        pass.at(Place::of(Site::MlpOut, layer), out)
    }

    /// What each expert makes of its tokens, weighted.
    fn outputs(&self, x: &Tensor<2>, dispatch: &Dispatch) -> Tensor<2> {
        let busy = self.routed.iter().zip(&dispatch.of).filter(|(_, (tokens, _))| !tokens.is_empty());
        let made = busy.map(|(expert, (tokens, weights))| {
            let own = x.clone().select(0, indices(tokens.iter().copied(), &x.device())); // [own token, d_model]
            let weights = Tensor::<1>::from_floats(weights.as_slice(), &x.device());
            self.dtype.round(expert.plain(own) * weights.unsqueeze_dim(1))
        });
        Tensor::cat(made.collect(), 0)
    }

    /// Added one after the other.
    fn sum(&self, parts: impl Iterator<Item = Tensor<2>>) -> Tensor<2> {
        parts.reduce(|sum, next| self.dtype.round(sum + next)).expect("a token goes to one expert or more")
    }
}

impl Dispatch {
    /// From the router's `logits`, `[token, expert]`.
    fn new(routing: &Routing, logits: &[f32], experts: usize) -> Self {
        let mut of = vec![(vec![], vec![]); experts];
        let chosen: Vec<_> = logits.chunks_exact(experts).map(|logits| routing.choose(logits)).collect();
        for (token, chosen) in chosen.iter().enumerate() {
            for &(expert, weight) in chosen {
                let (tokens, weights): &mut (Vec<usize>, Vec<f32>) = &mut of[expert];
                tokens.push(token);
                weights.push(weight);
            }
        }
        let mut places = vec![vec![]; chosen.len()];
        let tokens = of.iter().flat_map(|(tokens, _)| tokens);
        tokens.enumerate().for_each(|(place, &token)| places[token].push(place));
        Self { of, places }
    }

    /// The output of each token's first expert, that of its second, and so on: `[token, d_model]`.
    fn shares(&self, outputs: Tensor<2>) -> impl Iterator<Item = Tensor<2>> {
        let each = self.places.first().map_or(0, Vec::len); // every token goes to as many experts
        (0..each).map(move |n| {
            let places = indices(self.places.iter().map(|places| places[n]), &outputs.device());
            outputs.clone().select(0, places)
        })
    }

    /// `[row, pos, expert, d_model]`, 0 where a token does not go to an expert.
    fn nodes(&self, outputs: Tensor<2>, shared: Option<Tensor<2>>, pass: &Pass) -> Tensor<4> {
        let (rows, length, [made, d]) = (pass.batch.rows(), pass.batch.width(), outputs.dims());
        let device = outputs.device();
        let with_nothing = Tensor::cat(vec![outputs, Tensor::zeros([1, d], &device)], 0);
        let mut order = Vec::with_capacity(rows * length * self.of.len());
        for (token, places) in self.places.iter().enumerate() {
            let mut places = places.iter().copied();
            let sent = self.of.iter().map(|(tokens, _)| tokens.binary_search(&token).is_ok());
            order.extend(sent.map(|sent| if sent { places.next().unwrap_or(made) } else { made }));
        }
        let nodes = with_nothing.select(0, indices(order, &device)).reshape([rows, length, self.of.len(), d]);
        match shared {
            Some(shared) => Tensor::cat(vec![nodes, shared.reshape([rows, length, 1, d])], 2),
            None => nodes,
        }
    }
}

/// `[row, pos, expert, d_model]` → for each expert `[token, d_model]`
fn separate(nodes: Tensor<4>) -> impl Iterator<Item = Tensor<2>> {
    let [rows, length, experts, d] = nodes.dims();
    (0..experts).map(move |expert| nodes.clone().narrow(2, expert, 1).reshape([rows * length, d]))
}

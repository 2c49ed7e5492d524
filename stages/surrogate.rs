//! Surrogate data: what a measurement has, without what is to be tested.
//!
//! A null or a control is a second data set that shares with the first all but one thing: its order, its directions, or
//! what it has in common with another. What follows (a patch, PhiID) then reads it in place of the first. The arithmetic
//! is in `metrics::vector`; nothing is compared here.

use assay_cache::{Artifact, Data, Tensor};
use ndarray::{Array2, ArrayD, IxDyn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Purpose, Seed, Stage,
    metrics::vector, normal_pair, rng, shuffle,
};

/// Makes surrogate data: the same numbers in another order, noise of the same norm, or what is orthogonal to other data.
///
/// The tensor is cut into blocks, one for each place of the axes `by`: with `by = ["prompt", "layer"]` there is one for
/// each layer of each prompt, and it holds all other axes. A block's draw depends on the seed and the block's number
/// alone. Where there is no number (NaN), there is none in the surrogate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Surrogate {
    /// What is done.
    pub method: Method,
    /// The axes whose places are treated one by one. With `shuffle`, each gets a permutation of its own: ["prompt"]
    /// moves all heads of a prompt together in time, ["prompt", "head"] breaks them apart.
    #[serde(default)]
    pub by: Vec<String>,
    /// With `shuffle`: the axis along which things change places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<String>,
    /// What permutations and noise depend on.
    pub seed: Seed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The places of `axis` in another order, all that stands at a place together. Places where a block has no number
    /// at all keep theirs.
    Shuffle,
    /// Gaussian noise, each block at the Frobenius norm that it had.
    Gaussian,
    /// Each block, as one vector, without its projection on the same block of the input `to`, at the norm that it had.
    /// Where it lies along the other, nothing is left: NaN, and a warning that counts them.
    Orthogonal,
}

const DATA: &str = "data";
const TO: &str = "to";

impl Stage for Surrogate {
    const KIND: &'static str = "surrogate";
    const VERSION: &'static [(&'static str, u32)] = &[("surrogate", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let arrived = given.one(DATA);
        let axes = arrived.map(|arrived| arrived.ty.axes.as_slice()).filter(|axes| !axes.is_empty());
        let found = self.mistakes(axes);
        if !found.is_empty() {
            return Err(found);
        }
        let any = || PortType::of("tensor");
        let ty = PortType { kind: "tensor", axes: axes.unwrap_or_default().to_vec() };
        let mut inputs = vec![InputPort::one(DATA, any())];
        if self.method == Method::Orthogonal {
            inputs.push(InputPort::one(TO, if axes.is_some() { ty.clone() } else { any() }));
        }
        let facts = arrived.map_or(Value::Null, |arrived| arrived.facts.clone());
        Ok(Ports { inputs, outputs: vec![OutputPort::new("surrogate", ty).with_facts(facts)] })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let tensor = inputs.tensor(DATA)?;
        let layout = self.layout(tensor)?;
        let data = match (self.method, &tensor.data) {
            (Method::Shuffle, Data::F32(array)) => Data::F32(self.shuffled(array, &layout, |x| x.is_nan())),
            (Method::Shuffle, Data::F64(array)) => Data::F64(self.shuffled(array, &layout, |x| x.is_nan())),
            (Method::Shuffle, Data::I64(array)) => Data::I64(self.shuffled(array, &layout, |_| false)),
            (Method::Gaussian, data) => like(data, self.noise(&data.to_f64(), &layout)),
            (Method::Orthogonal, data) => {
                let other = inputs.tensor(TO)?;
                same_places(tensor, other)?;
                let (made, lost) = orthogonal(&data.to_f64(), &other.data.to_f64(), &layout);
                if lost > 0 {
                    ctx.warn(&format!(
                        "{lost} of the blocks lie along those of `{TO}`: nothing orthogonal is left of them (NaN)"
                    ));
                }
                like(data, made)
            }
        };
        Ok(Outputs::default().with("surrogate", Artifact::Tensor(Tensor { data, ..tensor.clone() })))
    }

    /// No draw is made to make things orthogonal, so that the seed does not matter there.
    fn keyed(&self) -> Value {
        let mut value = serde_json::to_value(self).expect("parameters are plain data");
        if let (Method::Orthogonal, Some(fields)) = (self.method, value.as_object_mut()) {
            fields.remove("seed");
        }
        value
    }
}

impl Surrogate {
    fn mistakes(&self, axes: Option<&[String]>) -> Vec<Mistake> {
        let mut found = vec![];
        match (self.method, &self.axis) {
            (Method::Shuffle, None) => found.push(
                Mistake::new("", "`shuffle` needs `axis`").help("along which things change places: axis = \"step\""),
            ),
            (Method::Gaussian | Method::Orthogonal, Some(_)) => {
                found.push(Mistake::new("axis", "only `shuffle` has an axis along which things change places"));
            }
            (_, Some(axis)) if self.by.contains(axis) => {
                found
                    .push(Mistake::new("by", format!("`{axis}` is shuffled: its places cannot be treated one by one")));
            }
            _ => (),
        }
        let named = self.by.iter().enumerate().map(|(i, name)| (format!("by[{i}]"), name));
        for (at, name) in named.chain(self.axis.iter().map(|name| ("axis".to_owned(), name))) {
            if let Some(axes) = axes.filter(|axes| !axes.contains(name)) {
                found.push(Mistake::new(at, format!("the data have no axis `{name}`; they have {}", axes.join(", "))));
            }
        }
        found
    }

    /// How the tensor is cut into blocks.
    fn layout(&self, tensor: &Tensor) -> Result<Layout, Failure> {
        let names = tensor.axis_names();
        if let Some(mistake) =
            self.mistakes(Some(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())).pop()
        {
            return Err(Failure::fatal(mistake.message));
        }
        let by = |at: &usize| self.by.iter().any(|name| name == names[*at]);
        let along = |at: &usize| self.axis.as_deref() == Some(names[*at]);
        let all = 0..names.len();
        let (own, rest): (Vec<_>, Vec<_>) = all.partition(by);
        let (moved, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(along);
        let shape = tensor.shape();
        let size = |axes: &[usize]| axes.iter().map(|at| shape[*at]).product::<usize>();
        let (blocks, places, each) = (size(&own), size(&moved), size(&rest));
        Ok(Layout { order: [own, moved, rest].concat(), blocks, places, each })
    }

    fn shuffled<T: Clone>(&self, array: &ArrayD<T>, layout: &Layout, nothing: impl Fn(&T) -> bool) -> ArrayD<T> {
        let old = layout.cut(array); // [block, place · each]
        let mut new = old.clone();
        for (block, (old, mut new)) in old.outer_iter().zip(new.outer_iter_mut()).enumerate() {
            let old = old.to_vec();
            let place = |place: usize| place * layout.each..(place + 1) * layout.each;
            let there: Vec<usize> = (0..layout.places).filter(|p| !old[place(*p)].iter().all(&nothing)).collect();
            let mut from = there.clone();
            shuffle(&mut from, &mut rng(self.seed.0, Purpose::Surrogate, &[block as u64]));
            for (to, from) in there.into_iter().zip(from) {
                place(to).zip(place(from)).for_each(|(to, from)| new[to] = old[from].clone());
            }
        }
        layout.joined(new, array.shape())
    }

    fn noise(&self, array: &ArrayD<f64>, layout: &Layout) -> ArrayD<f64> {
        let mut blocks = layout.cut(array);
        for (block, mut row) in blocks.outer_iter_mut().enumerate() {
            let old = row.to_vec();
            let mut stream = rng(self.seed.0, Purpose::Surrogate, &[block as u64]);
            let draws = (0..old.len().div_ceil(2)).flat_map(|_| normal_pair(1.0, &mut stream)).map(f64::from);
            let mut new: Vec<f64> =
                draws.zip(&old).map(|(new, old)| if old.is_nan() { f64::NAN } else { new }).collect();
            vector::scaled_to(vector::norm(&old), &mut new);
            row.iter_mut().zip(new).for_each(|(place, value)| *place = value);
        }
        layout.joined(blocks, array.shape())
    }
}

/// How a tensor is cut into blocks: the order of its axes then, and how many numbers stand along each part.
struct Layout {
    order: Vec<usize>,
    blocks: usize,
    places: usize,
    each: usize,
}

impl Layout {
    /// `[block, place · each]`
    fn cut<T: Clone>(&self, array: &ArrayD<T>) -> Array2<T> {
        let values: Vec<T> = array.view().permuted_axes(IxDyn(&self.order)).iter().cloned().collect();
        Array2::from_shape_vec((self.blocks, self.places * self.each), values).expect("blocks hold all numbers")
    }

    /// The blocks as an array of the shape that was cut.
    fn joined<T: Clone>(&self, blocks: Array2<T>, shape: &[usize]) -> ArrayD<T> {
        let turned: Vec<usize> = self.order.iter().map(|at| shape[*at]).collect();
        let values: Vec<T> = blocks.into_iter().collect();
        let array = ArrayD::from_shape_vec(IxDyn(&turned), values).expect("blocks hold all numbers");
        let mut back = vec![0; self.order.len()];
        self.order.iter().enumerate().for_each(|(to, from)| back[*from] = to);
        array.permuted_axes(IxDyn(&back)).as_standard_layout().into_owned()
    }
}

/// Each block without its projection on the other's; and of how many nothing is left.
fn orthogonal(array: &ArrayD<f64>, to: &ArrayD<f64>, layout: &Layout) -> (ArrayD<f64>, usize) {
    let (mut blocks, to) = (layout.cut(array), layout.cut(to));
    let mut lost = 0;
    for (mut row, to) in blocks.outer_iter_mut().zip(to.outer_iter()) {
        let made = vector::orthogonal(&row.to_vec(), &to.to_vec());
        lost += usize::from(made.is_none());
        let made = made.unwrap_or_else(|| vec![f64::NAN; row.len()]);
        row.iter_mut().zip(made).for_each(|(place, value)| *place = value);
    }
    (layout.joined(blocks, array.shape()), lost)
}

/// In 32 bits where the data were.
fn like(data: &Data, made: ArrayD<f64>) -> Data {
    match data {
        Data::F32(_) => Data::F32(made.mapv(|x| x as f32)),
        Data::F64(_) | Data::I64(_) => Data::F64(made),
    }
}

/// Refuses tensors whose places do not stand beside each other.
fn same_places(data: &Tensor, to: &Tensor) -> Result<(), Failure> {
    if data.axes == to.axes && data.shape() == to.shape() {
        return Ok(());
    }
    let shown = |tensor: &Tensor| format!("{:?} over {}", tensor.shape(), tensor.axis_names().join(", "));
    Err(Failure::fatal(format!(
        "`{DATA}` is {} and `{TO}` is {}: to make one orthogonal to the other they must have the same places, with the \
         same labels",
        shown(data),
        shown(to)
    )))
}

#[cfg(test)]
mod tests;

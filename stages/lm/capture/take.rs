//! A capture on a model: what happens to a site's value on the device, before it leaves it.

use std::{fmt, ops::Range, sync::Arc};

use burn::tensor::{Int, TensorData};
use ndarray::{ArrayD, Axis, IxDyn, Slice};

use super::{Ending, reduce::Kept};
use crate::{
    Select,
    lm::{
        Tensor,
        batch::Batch,
        donor::Donor,
        edit::{Replacement, Token},
        layers::linear::host,
        pass::Place,
        site::{Extent, Site},
    },
};

/// Which columns of a pass a capture looks at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum At {
    /// These positions of each text.
    Positions(Select),
    /// The newest column.
    Newest,
    /// These columns of the one row that there is.
    Columns(Vec<Option<usize>>),
}

/// What happens on the device.
#[derive(Clone, Debug)]
pub enum Step {
    /// The norm over the last axis.
    Norm,
    /// The root of the mean square over the last axis.
    Rms,
    /// The mean over positions.
    Mean,
    /// The last position.
    Last,
    /// The variance over positions, averaged over the last axis.
    Variance,
    MeanHeads,
    /// −Σ p ln p over the last axis.
    Entropy,
    /// Divided by ln(q + 1) at the position q; 0 at the first.
    Relative,
    Reciprocal,
    Dot(Arc<Direction>),
}

/// The vectors that values are multiplied with.
#[derive(Clone, Debug)]
pub struct Direction {
    pub donor: Donor,
    /// How many heads the site has, or 1.
    pub heads: usize,
}

/// The values of another run on the same texts.
#[derive(Clone)]
pub struct Minus {
    pub values: Replacement,
    /// How many heads the site has, or 1.
    pub heads: usize,
}

impl fmt::Debug for Minus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minus").field("heads", &self.heads).finish_non_exhaustive()
    }
}

/// A capture, checked against a model.
#[derive(Clone, Debug)]
pub struct Take {
    pub site: Site,
    pub layers: Vec<usize>,
    /// None: all.
    pub heads: Option<Vec<usize>>,
    pub at: At,
    /// What is subtracted first.
    pub minus: Option<Minus>,
    /// How many of the positions count in each prompt, the last ones; none: all.
    pub window: Option<Arc<Vec<usize>>>,
    /// What happens on the device, in order.
    pub steps: Vec<Step>,
    /// What happens after it.
    pub ending: Ending,
}

/// For each row, the columns of this pass that stand at the places of the axis of positions.
pub type Slots = Vec<Vec<Option<usize>>>;

impl Take {
    /// The raw values of these layers of a site, at every position.
    pub fn raw(site: Site, layers: Vec<usize>) -> Self {
        let at = At::Positions(Select::All);
        Self { site, layers, heads: None, at, minus: None, window: None, steps: vec![], ending: Ending::Values }
    }

    pub fn looks_at(&self, place: Place) -> bool {
        self.site == place.site && self.layers.contains(&place.layer)
    }

    fn pattern(&self) -> bool {
        self.site.extent() == Extent::Pattern
    }

    /// Where positions stand on the device: `[row, pos, head, d]`, or a pattern's `[row, head, query, key]`.
    fn positions(&self) -> usize {
        if self.pattern() { 2 } else { 1 }
    }

    fn head_axis(&self) -> usize {
        if self.pattern() { 1 } else { 2 }
    }

    /// `[row, pos, head, d]` (or a pattern) at a layer → what is kept of it; or why it cannot be.
    pub fn reduce(&self, x: Tensor<4>, layer: usize, batch: &Batch) -> Result<Tensor<4>, String> {
        let x = match &self.heads {
            Some(heads) => select(x, self.head_axis(), heads),
            None => x,
        };
        let slots: Slots = match self.at {
            // Of logits, a pass that wants the newest alone has one column.
            At::Newest => vec![vec![Some(x.dims()[self.positions()] - 1)]; batch.rows()],
            At::Positions(_) | At::Columns(_) => (0..batch.rows()).map(|row| self.slots(batch, row)).collect(),
        };
        let x = picked(x, self.positions(), &slots);
        let x = self.less_other(x, layer, &slots, batch)?;
        self.stepped(&self.steps, x, layer, &slots, batch)
    }

    /// Values that stand at these columns of each row, less those of another run where the capture says so.
    pub fn less_other(&self, x: Tensor<4>, layer: usize, slots: &Slots, batch: &Batch) -> Result<Tensor<4>, String> {
        match &self.minus {
            Some(minus) => Ok(x.clone() - self.subtrahend(minus, &x, layer, slots, batch)?),
            None => Ok(x),
        }
    }

    /// Some of its steps, on values that stand at these columns of each row.
    pub fn stepped(
        &self,
        steps: &[Step],
        mut x: Tensor<4>,
        layer: usize,
        slots: &Slots,
        batch: &Batch,
    ) -> Result<Tensor<4>, String> {
        let axis = self.positions();
        let mut there: Vec<Vec<bool>> = slots.iter().map(|row| row.iter().map(Option::is_some).collect()).collect();
        for step in steps {
            x = match step {
                Step::Norm => (x.clone() * x).sum_dim(3).sqrt(),
                Step::Rms => (x.clone() * x).mean_dim(3).sqrt(),
                Step::MeanHeads => x.mean_dim(self.head_axis()),
                // 0 ln 0 is 0: the logarithm of the smallest normal number is as good as any.
                Step::Entropy => (x.clone() * x.clamp_min(f32::MIN_POSITIVE).log()).sum_dim(3).neg(),
                Step::Relative => x.clone() * self.shares_of_entropy(&x, slots, batch),
                Step::Reciprocal => x.recip(),
                Step::Dot(direction) => direction.times(x, layer, self.heads.as_deref())?,
                Step::Mean => rows(x, &there, |x, there| select(x, axis, there).mean_dim(axis)),
                Step::Variance => rows(x, &there, |x, there| {
                    let x = select(x, axis, there);
                    let rest = x.clone() - x.mean_dim(axis);
                    (rest.clone() * rest).mean_dim(axis).mean_dim(3)
                }),
                Step::Last => rows(x, &there, |x, there| x.narrow(axis, there[there.len() - 1], 1)),
            };
            if matches!(step, Step::Mean | Step::Last | Step::Variance) {
                there = vec![vec![true]; there.len()];
            }
        }
        Ok(x)
    }

    /// The columns of this pass that stand at the places of a row's axis of positions.
    pub fn slots(&self, batch: &Batch, row: usize) -> Vec<Option<usize>> {
        let real = &batch.real[row];
        let column = |position: usize| (real.start + position).checked_sub(batch.columns.start);
        let mut slots: Vec<Option<usize>> = match &self.at {
            At::Positions(select) => select.slots(real.len()).into_iter().map(|slot| slot.and_then(column)).collect(),
            At::Newest => vec![Some(batch.width() - 1)],
            At::Columns(slots) => return slots.clone(),
        };
        if let Some(window) = &self.window {
            keep_last(&mut slots, window[batch.prompts[row]]);
        }
        slots
    }

    /// The position in its text of a column of this pass.
    fn position(&self, batch: &Batch, row: usize, column: usize) -> usize {
        let real = &batch.real[row];
        match self.at {
            At::Positions(_) | At::Columns(_) => batch.columns.start + column - real.start,
            At::Newest => real.len() - 1,
        }
    }

    /// What the other run had at these places, `[row, pos, head, d]`.
    fn subtrahend(
        &self,
        minus: &Minus,
        x: &Tensor<4>,
        layer: usize,
        slots: &Slots,
        batch: &Batch,
    ) -> Result<Tensor<4>, String> {
        let [_, places, heads, d] = x.dims();
        let mut values = vec![0.0; x.shape().num_elements()];
        let each = slots.iter().enumerate().flat_map(|(row, slots)| slots.iter().enumerate().map(move |at| (row, at)));
        for (row, (place, slot)) in each {
            let Some(column) = *slot else { continue };
            let (position, length) = (self.position(batch, row, column), batch.ends[row]);
            let token =
                Token { site: self.site, layer, heads: minus.heads, prompt: batch.prompts[row], position, length };
            let other = (minus.values)(token, minus.heads * d)?.unwrap_or_default(); // [head, d], of all heads
            let own = &mut values[(row * places + place) * heads * d..][..heads * d];
            for (to, own) in own.chunks_exact_mut(d).enumerate() {
                let head = self.heads.as_ref().map_or(to, |heads| heads[to]);
                own.copy_from_slice(&other[head * d..][..d]);
            }
        }
        Ok(Tensor::from_data(TensorData::new(values, x.dims()), &x.device()))
    }

    /// 1 / ln(q + 1) for the query q at each place, `[row, 1, query, 1]`; 0 at the first.
    fn shares_of_entropy(&self, x: &Tensor<4>, slots: &Slots, batch: &Batch) -> Tensor<4> {
        let places = x.dims()[2];
        let share = |row: usize, place: usize| match slots[row].get(place).copied().flatten() {
            Some(column) if self.position(batch, row, column) > 0 => {
                ((self.position(batch, row, column) + 1) as f64).ln().recip() as f32
            }
            _ => 0.0,
        };
        let rows = slots.len();
        let shares: Vec<f32> = (0..rows).flat_map(|row| (0..places).map(move |place| share(row, place))).collect();
        Tensor::from_data(TensorData::new(shares, [rows, 1, places, 1]), &x.device())
    }

    /// The same of these columns of one row.
    pub fn of(&self, slots: &[Option<usize>]) -> Self {
        Self { at: At::Columns(slots.to_vec()), ..self.clone() }
    }

    /// Which axes are left before the ending.
    pub fn kept(&self) -> Kept {
        let mut kept = Kept::of(self.site);
        for step in &self.steps {
            match step {
                Step::Relative | Step::Reciprocal => (),
                Step::Norm | Step::Rms | Step::Entropy | Step::Dot(_) => kept.last = None,
                Step::Mean | Step::Last => kept.position = false,
                Step::Variance => (kept.position, kept.last) = (false, None),
                Step::MeanHeads => kept.head = false,
            }
        }
        kept
    }

    /// Where the axis of positions stands in the array of a row, if it has one.
    pub fn position_axis(&self) -> Axis {
        Axis(usize::from(self.site.per_layer()) + usize::from(self.pattern() && self.kept().head))
    }

    /// What a pass recorded, on the host: an array for each row, with the layer first.
    pub fn rows(&self, layers: Vec<Tensor<4>>, batch: &Batch) -> Vec<ArrayD<f32>> {
        let kept = self.kept();
        self.grids(layers, batch).into_iter().map(|grid| self.without(grid, kept)).collect()
    }

    /// `[layer, pos, head, d]` (or `[layer, head, query, key]`) of each row, on the host. Padding is cut off, and places
    /// that a text lacks are NaN.
    pub fn grids(&self, layers: Vec<Tensor<4>>, batch: &Batch) -> Vec<ArrayD<f32>> {
        let shape = layers.first().map_or([0; 4], Tensor::dims);
        let layers: Vec<_> = layers.into_iter().map(host).collect();
        (0..batch.rows()).map(|row| self.grid(&layers, shape, row, batch)).collect()
    }

    fn grid(&self, layers: &[Vec<f32>], shape: [usize; 4], row: usize, batch: &Batch) -> ArrayD<f32> {
        let [_, a, b, c] = shape;
        let size = a * b * c;
        let values: Vec<f32> = layers.iter().flat_map(|layer| &layer[row * size..(row + 1) * size]).copied().collect();
        let grid = ArrayD::from_shape_vec(IxDyn(&[layers.len(), a, b, c]), values).expect("a row of every layer");
        self.cropped(grid, &self.slots(batch, row), &batch.real[row])
    }

    fn cropped(&self, mut grid: ArrayD<f32>, slots: &[Option<usize>], real: &Range<usize>) -> ArrayD<f32> {
        let (kept, axis) = (self.kept(), Axis(self.positions()));
        if kept.position {
            grid.slice_axis_inplace(axis, Slice::from(..slots.len()));
            for (place, _) in slots.iter().enumerate().filter(|(_, slot)| slot.is_none()) {
                grid.index_axis_mut(axis, place).fill(f32::NAN);
            }
        }
        if kept.last == Some("key") {
            grid.slice_axis_inplace(Axis(3), Slice::from(real.start..real.end));
        }
        grid.as_standard_layout().into_owned()
    }

    /// A row's array without the axes that it lacks, which have one element.
    pub fn without(&self, grid: ArrayD<f32>, kept: Kept) -> ArrayD<f32> {
        let flags = match self.pattern() {
            true => [self.site.per_layer(), kept.head, kept.position, kept.last.is_some()],
            false => [self.site.per_layer(), kept.position, kept.head, kept.last.is_some()],
        };
        let shape: Vec<_> = grid.shape().iter().zip(flags).filter_map(|(n, kept)| kept.then_some(*n)).collect();
        grid.into_shape_with_order(IxDyn(&shape)).expect("an axis that is left out has one element")
    }
}

impl Direction {
    /// `[row, pos, head, d]` → `[row, pos, head, 1]`
    fn times(&self, x: Tensor<4>, layer: usize, chosen: Option<&[usize]>) -> Result<Tensor<4>, String> {
        let [_, _, heads, d] = x.dims();
        let Some(vector) = self.donor.token(0, layer, None) else {
            return Err(format!("`{}` holds no direction for layer {layer}", self.donor.port()));
        };
        let all = self.donor.by_head(&vector, self.heads, d)?;
        let count = chosen.map_or(self.heads, <[usize]>::len);
        let values: Vec<f32> = match chosen {
            _ if heads < count && self.donor.has_heads() => {
                return Err(format!("`{}` has a vector for each head, and their mean has none", self.donor.port()));
            }
            _ if heads < count => all[..d].to_vec(),
            Some(chosen) => chosen.iter().flat_map(|head| &all[head * d..][..d]).copied().collect(),
            None => all,
        };
        let vector = Tensor::<4>::from_data(TensorData::new(values, [1, 1, heads, d]), &x.device());
        Ok((x * vector).sum_dim(3))
    }
}

/// Leaves the last so many columns.
fn keep_last(slots: &mut [Option<usize>], count: usize) {
    let mut columns: Vec<usize> = slots.iter().copied().flatten().collect();
    columns.sort_unstable();
    let first = columns.len().checked_sub(count).and_then(|at| columns.get(at).copied()).unwrap_or(0);
    slots.iter_mut().for_each(|slot| *slot = slot.filter(|column| *column >= first));
}

/// These columns of each row, side by side; where a row lacks one, any.
fn picked(x: Tensor<4>, axis: usize, slots: &Slots) -> Tensor<4> {
    let width = x.dims()[axis];
    let places = slots.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let column =
        |slots: &Vec<Option<usize>>, place: usize| slots.get(place).copied().flatten().unwrap_or(place.min(width - 1));
    let columns: Vec<Vec<usize>> =
        slots.iter().map(|row| (0..places).map(|place| column(row, place)).collect()).collect();
    let same = columns.windows(2).all(|pair| pair[0] == pair[1]);
    match columns.first() {
        Some(first) if same && first.iter().copied().eq(0..width) => x,
        Some(first) if same => select(x, axis, first),
        _ => {
            let row = |(row, columns): (usize, &Vec<usize>)| select(x.clone().narrow(0, row, 1), axis, columns);
            Tensor::cat(columns.iter().enumerate().map(row).collect(), 0)
        }
    }
}

/// What each row's own places become; NaN where it has none.
fn rows(x: Tensor<4>, there: &[Vec<bool>], each: impl Fn(Tensor<4>, &[usize]) -> Tensor<4>) -> Tensor<4> {
    let row = |(row, there): (usize, &Vec<bool>)| {
        let x = x.clone().narrow(0, row, 1);
        let places: Vec<usize> = there.iter().enumerate().filter_map(|(place, there)| there.then_some(place)).collect();
        match places.as_slice() {
            [] => each(x, &[0]) * f32::NAN,
            places => each(x, places),
        }
    };
    Tensor::cat(there.iter().enumerate().map(row).collect(), 0)
}

fn select(x: Tensor<4>, axis: usize, indices: &[usize]) -> Tensor<4> {
    let indices: Vec<i64> = indices.iter().map(|&i| i as i64).collect();
    let count = indices.len();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [count]), &x.device());
    x.select(axis, indices)
}

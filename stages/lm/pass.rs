//! One forward pass, as the layers see it: which tokens go in, what is edited at each site, and what is recorded.
//!
//! Layers hand every site's value to [`Pass::at`] and go on with what it returns. Edits and captures live in the
//! call: nothing is ever attached to a model.

use super::{
    Dtype, Tensor,
    batch::Batch,
    probe::Probe,
    site::{Extent, Site},
};
use crate::Failure;

/// A site, and the layer where it has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub site: Site,
    pub layer: usize,
}

/// Which tokens of the grid get logits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    All,
    /// The last token of each row.
    Newest,
    /// Places in the grid.
    Listed(Vec<usize>),
}

/// One forward pass.
pub struct Pass<'a> {
    pub batch: &'a Batch,
    pub wanted: Wanted,
    /// What an edit leaves is rounded to the model's number type.
    pub dtype: Dtype,
    probe: &'a Probe,
    /// For each capture, a tensor a layer, in the order of the layers.
    taken: Vec<Vec<Tensor<4>>>,
    /// Why an edit or a capture could not be made: what was computed is then worth nothing.
    problem: Option<String>,
}

impl Place {
    pub fn of(site: Site, layer: usize) -> Self {
        Self { site, layer }
    }
}

impl<'a> Pass<'a> {
    pub fn new(batch: &'a Batch, probe: &'a Probe, wanted: Wanted) -> Self {
        let taken = vec![vec![]; probe.takes.len()];
        Self { batch, wanted, dtype: Dtype::F32, probe, taken, problem: None }
    }

    /// What the layers go on with at a place: the value, edited; and recorded as it then is.
    pub fn at<const D: usize>(&mut self, place: Place, x: Tensor<D>) -> Tensor<D> {
        if !self.touches(place) {
            return x;
        }
        let shape = x.shape();
        let mut x = x.reshape(self.grid(place.site, &shape)); // [row, pos, head, d], or the pattern
        let probe = self.probe;
        for change in probe.changes.iter().filter(|change| change.acts_at(place)) {
            match change.apply(place, x.clone(), self.batch) {
                Ok(edited) => x = self.dtype.round(edited),
                Err(problem) => self.fail(problem),
            }
        }
        for (i, take) in probe.takes.iter().enumerate().filter(|(_, take)| take.looks_at(place)) {
            match take.reduce(x.clone(), place.layer, self.batch) {
                Ok(kept) => self.taken[i].push(kept),
                Err(problem) => self.fail(problem),
            }
        }
        x.reshape(shape)
    }

    /// The places in the grid that get logits; none where all do.
    pub fn places(&self) -> Option<Vec<usize>> {
        match &self.wanted {
            Wanted::All => None,
            Wanted::Newest => Some((0..self.batch.rows()).map(|row| self.batch.newest(row)).collect()),
            Wanted::Listed(places) => Some(places.clone()),
        }
    }

    /// Fails where an edit or a capture could not be made.
    pub fn checked(&self) -> Result<(), Failure> {
        match &self.problem {
            Some(problem) => Err(Failure::fatal(problem.as_str())),
            None => Ok(()),
        }
    }

    fn fail(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    /// What was recorded: for each capture, a tensor a layer.
    pub fn taken(self) -> Vec<Vec<Tensor<4>>> {
        self.taken
    }

    /// Whether something looks at a place or changes what stands there.
    pub fn touches(&self, place: Place) -> bool {
        self.probe.changes.iter().any(|change| change.acts_at(place))
            || self.probe.takes.iter().any(|take| take.looks_at(place))
    }

    /// Four axes for any site: `[row, pos, head, d]` with ones for those it lacks; a pattern is `[row, head, query, key]`.
    fn grid(&self, site: Site, shape: &[usize]) -> [usize; 4] {
        let (rows, last) = (self.batch.rows(), shape[shape.len() - 1]);
        match site.extent() {
            Extent::Heads | Extent::KvHeads | Extent::Experts | Extent::Pattern => [shape[0], shape[1], shape[2], last],
            Extent::Residual | Extent::Scale | Extent::Logits => [rows, shape[0] / rows, 1, last],
        }
    }
}

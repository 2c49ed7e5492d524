//! The weights that a computation began with, noted so that their gradients can be asked for after it.

use std::cell::RefCell;

use crate::lm::{Tensor, layers::linear::host};

/// Weights by their paths, flat, in the order in which a model was built from them.
#[derive(Default)]
pub struct Tape(RefCell<Vec<(String, Tensor<1>)>>);

impl Tape {
    pub fn note(&self, path: &str, leaf: &Tensor<1>) {
        self.0.borrow_mut().push((path.to_owned(), leaf.clone()));
    }

    /// The gradients of the sum of what `result` holds, by path. A weight that `result` does not depend on has none.
    pub fn gradients<const D: usize>(self, result: Tensor<D>) -> Vec<(String, Vec<f32>)> {
        let gradients = result.sum().backward();
        let of = |(path, leaf): (String, Tensor<1>)| leaf.grad(&gradients).map(|gradient| (path, host(gradient)));
        self.0.into_inner().into_iter().filter_map(of).collect()
    }
}

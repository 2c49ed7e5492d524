//! A matrix of weights, held in the model's number type, and its products with f32.
//!
//! Halves on the host are widened as they are used, a block of rows that fits into the cores' cache at a time: a
//! product then reads half the memory that f32 would take, and never needs a copy of the matrix.

use std::{fmt, ops::Range, sync::Arc};

use burn::tensor::{FloatDType, TensorData};
use half::{bf16, f16, slice::HalfFloatSliceExt};
use rayon::prelude::*;

use super::{embed::indices, linear::host};
use crate::lm::{Device, Dtype, Tensor};

/// Numbers that are widened together: 4 MiB of f32.
const BLOCK: usize = 1 << 20;

/// Numbers that one task widens.
const GRAIN: usize = 1 << 15;

/// Tokens up to which a product with the transposed matrix is taken from the other side.
const FEW: usize = 64;

/// A matrix of weights. A clone shares what is held until one of the two is changed.
#[derive(Clone, Debug)]
pub struct Matrix {
    dtype: Dtype,
    device: Device,
    shape: [usize; 2],
    held: Held,
}

#[derive(Clone)]
enum Held {
    /// Of the matrix's number type, where the backend computes in it.
    Tensor(Box<Tensor<2>>),
    /// bf16 or f16, bit by bit, row by row.
    Halves(Arc<Vec<u16>>),
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tensor(_) => "Tensor",
            Self::Halves(_) => "Halves",
        })
    }
}

impl Matrix {
    /// Of these values in row-major order, which the number type has.
    pub fn new(values: Vec<f32>, shape: [usize; 2], dtype: Dtype, device: &Device) -> Self {
        let tensor = |values| Tensor::<2>::from_data(TensorData::new(values, shape), device);
        let held = match (dtype, device) {
            (Dtype::F32, _) => Held::Tensor(Box::new(tensor(values))),
            (_, Device::Flex(_)) => Held::Halves(Arc::new(narrowed(&values, dtype))),
            _ => Held::Tensor(Box::new(tensor(values).cast(dtype.float()))),
        };
        Self { dtype, device: device.clone(), shape, held }
    }

    /// Of weights that a tape follows, in f32.
    pub fn taped(leaf: Tensor<2>) -> Self {
        Self { dtype: Dtype::F32, device: leaf.device(), shape: leaf.dims(), held: Held::Tensor(Box::new(leaf)) }
    }

    /// `[row, column]`
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// `x` `[token, row]` times the matrix: `[token, column]`. Not rounded on the host.
    pub fn times(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.held {
            Held::Tensor(tensor) => self.in_own_type(x, |x| x.matmul(tensor.as_ref().clone())),
            Held::Halves(halves) => {
                let part =
                    |rows: Range<usize>| x.clone().narrow(1, rows.start, rows.len()).matmul(self.widened(halves, rows));
                self.blocks().map(part).reduce(|sum, part| sum + part).expect("a matrix has rows")
            }
        }
    }

    /// `x` `[token, part]` times some of the rows: `[token, column]`. Not rounded on the host.
    pub fn times_rows(&self, x: Tensor<2>, rows: Range<usize>) -> Tensor<2> {
        match &self.held {
            Held::Tensor(tensor) => {
                let part = tensor.as_ref().clone().narrow(0, rows.start, rows.len());
                self.in_own_type(x, |x| x.matmul(part.clone()))
            }
            Held::Halves(halves) => x.matmul(self.widened(halves, rows)),
        }
    }

    /// The numbers where some rows and columns meet, row by row.
    pub fn part(&self, rows: Range<usize>, columns: Range<usize>) -> Vec<f32> {
        match &self.held {
            Held::Tensor(tensor) => host(tensor.as_ref().clone().slice([rows, columns]).cast(FloatDType::F32)),
            Held::Halves(halves) => {
                let own = rows.flat_map(|row| &halves[row * self.shape[1]..][columns.clone()]);
                widened(&own.copied().collect::<Vec<u16>>(), self.dtype)
            }
        }
    }

    /// Puts other numbers where some rows and columns meet, rounded to the number type.
    pub fn put(&mut self, rows: Range<usize>, columns: Range<usize>, values: Vec<f32>) {
        match &mut self.held {
            Held::Tensor(tensor) => {
                let shape = [rows.len(), columns.len()];
                let part =
                    Tensor::<2>::from_data(TensorData::new(values, shape), &self.device).cast(self.dtype.float());
                **tensor = tensor.as_ref().clone().slice_assign([rows, columns], part);
            }
            Held::Halves(halves) => {
                let (halves, width) = (Arc::make_mut(halves), self.shape[1]);
                let values = narrowed(&values, self.dtype);
                for (row, values) in rows.zip(values.chunks_exact(columns.len().max(1))) {
                    halves[row * width..][columns.clone()].copy_from_slice(values);
                }
            }
        }
    }

    /// One column, in f32: `[row, 1]`
    pub fn column(&self, column: usize) -> Tensor<2> {
        match &self.held {
            Held::Tensor(tensor) => {
                let column = tensor.as_ref().clone().narrow(1, column, 1);
                if self.dtype == Dtype::F32 { column } else { column.cast(FloatDType::F32) }
            }
            Held::Halves(halves) => {
                let [rows, columns] = self.shape;
                let own: Vec<u16> = halves.iter().skip(column).step_by(columns).copied().collect();
                Tensor::from_data(TensorData::new(widened(&own, self.dtype), [rows, 1]), &self.device)
            }
        }
    }

    /// `x` `[token, row]` times the matrix, computed and left in f32 on every device.
    pub fn times_in_f32(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.held {
            Held::Tensor(tensor) => x.matmul(tensor.as_ref().clone().cast(FloatDType::F32)),
            Held::Halves(_) => self.times(x),
        }
    }

    /// `x` `[token, column]` times the transposed matrix: `[token, row]`. Not rounded on the host.
    pub fn transposed_times(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.held {
            Held::Tensor(tensor) => self.in_own_type(x, |x| against_rows(x, tensor.as_ref().clone())),
            Held::Halves(halves) => {
                let part = |rows: Range<usize>| against_rows(x.clone(), self.widened(halves, rows));
                Tensor::cat(self.blocks().map(part).collect(), 1)
            }
        }
    }

    /// Some rows, in f32: `[picked, column]`
    pub fn rows(&self, picked: impl IntoIterator<Item = usize>) -> Tensor<2> {
        match &self.held {
            Held::Tensor(tensor) => {
                let picked = tensor.as_ref().clone().select(0, indices(picked, &self.device));
                if self.dtype == Dtype::F32 { picked } else { picked.cast(FloatDType::F32) }
            }
            Held::Halves(halves) => {
                let columns = self.shape[1];
                let rows: Vec<_> = picked.into_iter().map(|row| &halves[row * columns..][..columns]).collect();
                let values = widened(&rows.concat(), self.dtype);
                Tensor::from_data(TensorData::new(values, [rows.len(), columns]), &self.device)
            }
        }
    }

    fn in_own_type(&self, x: Tensor<2>, product: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        match self.dtype {
            Dtype::F32 => product(x),
            _ => product(x.cast(self.dtype.float())).cast(FloatDType::F32),
        }
    }

    /// Runs of rows that are widened together.
    fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let [rows, columns] = self.shape;
        let run = (BLOCK / columns.max(1)).max(1);
        (0..rows).step_by(run).map(move |first| first..rows.min(first + run))
    }

    fn widened(&self, halves: &[u16], rows: Range<usize>) -> Tensor<2> {
        let columns = self.shape[1];
        let values = widened(&halves[rows.start * columns..rows.end * columns], self.dtype);
        Tensor::from_data(TensorData::new(values, [rows.len(), columns]), &self.device)
    }
}

/// `x` `[token, column]` times the transpose of `rows` `[row, column]`: `[token, row]`
fn against_rows(x: Tensor<2>, rows: Tensor<2>) -> Tensor<2> {
    // With few tokens the rows stand on the left, lest all of them be packed for the product; with many, turning the
    // result round would cost more.
    match x.dims()[0] <= FEW {
        true => contiguous(rows.matmul(x.transpose()).transpose()),
        false => x.matmul(rows.transpose()),
    }
}

/// A transposed view, laid out row by row.
fn contiguous(x: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = x.dims();
    x.reshape([rows * columns]).reshape([rows, columns])
}

fn narrowed(values: &[f32], dtype: Dtype) -> Vec<u16> {
    let mut halves = vec![0; values.len()];
    halves.par_chunks_mut(GRAIN).zip(values.par_chunks(GRAIN)).for_each(|(halves, values)| match dtype {
        Dtype::F16 => halves.iter_mut().zip(values).for_each(|(half, x)| *half = f16::from_f32(*x).to_bits()),
        _ => halves.iter_mut().zip(values).for_each(|(half, x)| *half = bf16::from_f32(*x).to_bits()),
    });
    halves
}

fn widened(halves: &[u16], dtype: Dtype) -> Vec<f32> {
    let mut values = vec![0.0; halves.len()];
    values.par_chunks_mut(GRAIN).zip(halves.par_chunks(GRAIN)).for_each(|(values, halves)| match dtype {
        Dtype::F16 => half::slice::HalfBitsSliceExt::reinterpret_cast::<f16>(halves).convert_to_f32_slice(values),
        _ => values.iter_mut().zip(halves).for_each(|(x, half)| *x = f32::from_bits(u32::from(*half) << 16)),
    });
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::fixture::{device, distance};

    /// Small whole numbers and a power of two: no product or sum of them is rounded in any type.
    fn number(i: usize) -> f32 {
        ((i * 7 + i / 5) % 13) as f32 - 6.0
    }

    fn numbers(rows: usize, columns: usize) -> Vec<f32> {
        (0..rows * columns).map(number).collect()
    }

    fn tensor(values: Vec<f32>, shape: [usize; 2]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values, shape), &device())
    }

    /// 1500 rows of 800 are two blocks.
    #[test]
    fn products_with_halves_are_those_with_f32() {
        const SHAPE: [usize; 2] = [1500, 800];
        let values = numbers(1500, 800);
        for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
            let matrix = Matrix::new(values.clone(), SHAPE, dtype, &device());
            for tokens in [1, FEW + 1] {
                let x = tensor(numbers(tokens, 1500), [tokens, 1500]);
                let exact = host(x.clone().matmul(tensor(values.clone(), SHAPE)));
                assert_eq!(distance(&host(matrix.times(x.clone())), &exact), 0.0, "{dtype:?}");
                assert_eq!(distance(&host(matrix.times_in_f32(x)), &exact), 0.0, "{dtype:?}");
                let x = tensor(numbers(tokens, 800), [tokens, 800]);
                let exact = host(x.clone().matmul(tensor(values.clone(), SHAPE).transpose()));
                assert_eq!(distance(&host(matrix.transposed_times(x)), &exact), 0.0, "{dtype:?}");
            }
            assert_eq!(host(matrix.rows([3, 1400, 3])), [3, 1400, 3].map(|row| &values[row * 800..][..800]).concat());
        }
    }

    #[test]
    fn a_part_is_changed_and_a_clone_is_not() {
        let values = numbers(30, 8);
        for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
            let matrix = Matrix::new(values.clone(), [30, 8], dtype, &device());
            let mut other = matrix.clone();
            let (rows, columns) = (12..15, 5..7);
            other.put(rows.clone(), columns.clone(), vec![0.5; 6]);
            other.put(3..3, 0..8, vec![]);
            let mut expected = values.clone();
            rows.clone().for_each(|row| expected[row * 8 + 5..][..2].fill(0.5));
            assert_eq!(other.part(0..30, 0..8), expected, "{dtype:?}");
            assert_eq!(other.part(rows.clone(), columns.clone()), [0.5; 6]);
            let own: Vec<f32> = rows.flat_map(|row| values[row * 8 + 5..][..2].to_vec()).collect();
            assert_eq!(matrix.part(12..15, columns), own, "{dtype:?}");
            other.put(0..1, 0..1, vec![1.0 / 3.0]);
            assert_eq!(other.part(0..1, 0..1), [dtype.nearest(1.0 / 3.0)], "rounded to {dtype:?}");
        }
    }
}

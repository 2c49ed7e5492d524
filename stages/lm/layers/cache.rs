//! Keys and values of the tokens that were read already, in room kept for those to come.

use burn::tensor::TensorData;

use crate::lm::{Device, Tensor};

/// The KV cache of a batch.
#[derive(Debug)]
pub struct KvCache {
    pub layers: Vec<LayerCache>,
}

/// What a layer keeps of each token: this many heads, with keys and values of these sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    pub heads: usize,
    pub key: usize,
    pub value: usize,
}

/// Keys and values of one layer, `[row, kv_head, 1, column, d]`, of which the first `filled` columns count. (The
/// axis of one is where the query heads of a group stand: a reshape of a view would copy it.)
#[derive(Debug)]
pub struct LayerCache {
    keys: Option<Tensor<5>>,
    values: Option<Tensor<5>>,
    filled: usize,
}

impl KvCache {
    /// An empty cache for `rows` texts of up to `columns` tokens.
    pub fn new(layers: impl Iterator<Item = Room>, rows: usize, columns: usize, device: &Device) -> Self {
        let layer = |room: Room| {
            let empty = |d| Some(Tensor::zeros([rows, room.heads, 1, columns, d], device));
            LayerCache { keys: empty(room.key), values: empty(room.value), filled: 0 }
        };
        Self { layers: layers.map(layer).collect() }
    }
}

impl LayerCache {
    /// Appends `[row, kv_head, 1, pos, d]` and gives back all there is.
    pub fn extended(&mut self, k: Tensor<5>, v: Tensor<5>) -> (Tensor<5>, Tensor<5>) {
        let (from, to) = (self.filled, self.filled + k.dims()[3]);
        self.filled = to;
        (appended(&mut self.keys, k, from), appended(&mut self.values, v, from))
    }
}

/// Writes `new` at column `from`, and gives back a view of all columns up to its end.
fn appended(slot: &mut Option<Tensor<5>>, new: Tensor<5>, from: usize) -> Tensor<5> {
    let room = slot.take().expect("a layer's cache is put back after each use");
    let [rows, heads, _, columns, d] = room.dims();
    let to = from + new.dims()[3];
    assert!(to <= columns, "the cache has room for {columns} columns");
    let room = match room.device() {
        Device::Flex(_) => written_in_place(room, new, from),
        _ => room.slice_assign([0..rows, 0..heads, 0..1, from..to, 0..d], new),
    };
    slot.insert(room).clone().slice([0..rows, 0..heads, 0..1, 0..to, 0..d])
}

/// The same as `slice_assign`, without its copy of the whole cache: on the host, a tensor that nothing else holds is
/// its own buffer.
fn written_in_place(room: Tensor<5>, new: Tensor<5>, from: usize) -> Tensor<5> {
    let device = room.device();
    let [_, _, _, columns, d] = room.dims();
    let width = new.dims()[3];
    let new = new.into_data();
    let new = new.as_slice::<f32>().expect("the model computes in f32");
    let mut data: TensorData = room.into_data();
    let values = data.as_mut_slice::<f32>().expect("the model computes in f32");
    for (place, new) in values.chunks_exact_mut(columns * d).zip(new.chunks_exact(width * d)) {
        place[from * d..][..width * d].copy_from_slice(new);
    }
    Tensor::from_data(data, &device)
}

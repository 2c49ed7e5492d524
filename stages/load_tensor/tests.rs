//! Every format and type, and what is said of files that are not what they should be.

use std::{
    collections::HashMap,
    fs,
    io::{Cursor, Write},
};

use ::safetensors::{Dtype, serialize, tensor::TensorView};
use half::{bf16, f16};
use ndarray::{Array2, array};
use ndarray_npy::{NpzWriter, write_npy};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::contract::testing::TestCtx;

fn stage(folder: &TempDir, file: &str, params: serde_json::Value) -> LoadTensor {
    let mut all = json!({ "file": folder.path().join(file) });
    all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn load(stage: &LoadTensor) -> Result<Tensor, String> {
    match stage.run(&Inputs::default(), &TestCtx::new()) {
        Ok(mut outputs) => match outputs.artifacts.remove("tensor") {
            Some(Artifact::Tensor(tensor)) => Ok(tensor),
            other => panic!("not a tensor: {other:?}"),
        },
        Err(Failure::Fatal(message)) => Err(message),
        Err(other) => panic!("{other}"),
    }
}

/// The port's type, or the mistakes, as a plan sees them.
fn plan(stage: &LoadTensor) -> Result<String, String> {
    let files = stage.resolve(Fetch::Never).map_err(|error| error.to_string())?;
    let given = Given { files: Some(&files), ..Given::default() };
    match stage.ports(&given) {
        Ok(ports) => Ok(ports.outputs[0].ty.to_string()),
        Err(mistakes) => {
            Err(mistakes.iter().map(|m| format!("{}: {}", m.at, m.message)).collect::<Vec<_>>().join("; "))
        }
    }
}

fn named(axes: &[&str], data: Data) -> Result<Tensor, String> {
    Ok(Tensor::new(axes, data))
}

#[test]
fn npy_keeps_its_type_and_order() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let axes = json!({ "axes": ["prompt", "step"] });
    let floats = array![[1.5_f32, 2.0, 3.0], [4.0, 5.0, 6.25]];
    write_npy(path("f4.npy"), &floats).unwrap();
    write_npy(path("transposed.npy"), &floats.t()).unwrap(); // stored in Fortran's order
    write_npy(path("f8.npy"), &array![[0.1_f64, f64::NAN]]).unwrap();
    write_npy(path("i4.npy"), &array![[-7_i32, 8]]).unwrap();
    write_npy(path("i8.npy"), &array![[i64::MIN, i64::MAX]]).unwrap();

    let read = |file: &str| load(&stage(&folder, file, axes.clone()));
    assert_eq!(read("f4.npy"), named(&["prompt", "step"], Data::F32(floats.clone().into_dyn())));
    assert_eq!(read("transposed.npy"), named(&["prompt", "step"], Data::F32(floats.t().to_owned().into_dyn())));
    assert_eq!(read("i4.npy"), named(&["prompt", "step"], Data::I64(array![[-7, 8]].into_dyn())));
    assert_eq!(read("i8.npy"), named(&["prompt", "step"], Data::I64(array![[i64::MIN, i64::MAX]].into_dyn())));
    let Data::F64(doubles) = read("f8.npy").unwrap().data else { panic!("float64 stays float64") };
    assert!(doubles[[0, 0]] == 0.1 && doubles[[0, 1]].is_nan());
    assert_eq!(plan(&stage(&folder, "f4.npy", axes)), Ok("tensor[prompt, step]".into()));
}

/// An `.npy` file by hand: version 1.0, its header padded to a multiple of 64.
fn by_hand(descriptor: &str, fortran: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let dict = format!("{{'descr': '{descriptor}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    let header = format!("{dict:<117}\n");
    [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), numbers].concat()
}

#[test]
fn half_precision_npy_is_widened() {
    let folder = TempDir::new().unwrap();
    let halves = |to: fn(f16) -> [u8; 2]| [1.5, -2.0, 0.25, 6.0].map(f16::from_f32).map(to).concat();
    fs::write(folder.path().join("a.npy"), by_hand("<f2", "False", "(2, 2)", &halves(f16::to_le_bytes))).unwrap();
    fs::write(folder.path().join("b.npy"), by_hand(">f2", "True", "(2, 2)", &halves(f16::to_be_bytes))).unwrap();
    let read = |file| load(&stage(&folder, file, json!({ "axes": ["a", "b"] })));
    assert_eq!(read("a.npy"), named(&["a", "b"], Data::F32(array![[1.5, -2.0], [0.25, 6.0]].into_dyn())));
    assert_eq!(read("b.npy"), named(&["a", "b"], Data::F32(array![[1.5, 0.25], [-2.0, 6.0]].into_dyn())));
}

#[test]
fn npz_is_read_by_name() {
    let folder = TempDir::new().unwrap();
    let mut npz = NpzWriter::new_compressed(fs::File::create(folder.path().join("a.npz")).unwrap());
    npz.add_array("floats", &array![0.5_f64, 1.5]).unwrap();
    npz.add_array("ints", &array![1_i32, 2]).unwrap();
    npz.add_array("flags", &array![true, false]).unwrap();
    npz.finish().unwrap();
    let of = |params| stage(&folder, "a.npz", params);
    assert_eq!(
        load(&of(json!({ "name": "floats", "axes": ["x"] }))),
        named(&["x"], Data::F64(array![0.5, 1.5].into_dyn()))
    );
    assert_eq!(load(&of(json!({ "name": "ints", "axes": ["x"] }))), named(&["x"], Data::I64(array![1, 2].into_dyn())));
    assert!(
        load(&of(json!({ "name": "flags", "axes": ["x"] }))).unwrap_err().contains("save them as float16, float32")
    );
    let missing = plan(&of(json!({ "name": "float", "axes": ["x"] }))).unwrap_err();
    assert!(missing.contains("holds no array `float`; there is floats, ints, flags"), "{missing}");
    assert!(plan(&of(json!({ "axes": ["x"] }))).unwrap_err().contains("holds 3 arrays: choose one with `name`"));
    assert!(load(&of(json!({ "name": "ints", "axes": ["x", "y"] }))).unwrap_err().contains("names 2 axes"));
}

#[test]
fn safetensors_of_our_own_name_their_axes() {
    let folder = TempDir::new().unwrap();
    let node = Axis::labelled("node", vec!["L0H0".into(), "L0H1".into()]);
    let data = Data::F64(array![[0.0, 0.1], [0.1, 0.0]].into_dyn());
    let tensor = Tensor { axes: vec![node.clone(), node], unit: Some("nats".into()), data };
    fs::write(folder.path().join("sts.safetensors"), tensor.encode()).unwrap();
    let plain = stage(&folder, "sts.safetensors", json!({}));
    assert_eq!(plan(&plain), Ok("tensor[node, node]".into()));
    assert_eq!(load(&plain), Ok(tensor));
    let renamed = stage(&folder, "sts.safetensors", json!({ "axes": ["a", "b"] }));
    assert_eq!(load(&renamed).unwrap().axis_names(), ["a", "b"]);
}

#[test]
fn other_safetensors_need_names_and_are_widened() {
    let folder = TempDir::new().unwrap();
    let bytes = [1.5_f32, -2.0].map(|x| bf16::from_f32(x).to_le_bytes()).concat();
    let halves = [1.5_f32, -2.0].map(|x| f16::from_f32(x).to_le_bytes()).concat();
    let ints = [-3_i32, 4].map(i32::to_le_bytes).concat();
    let views = [
        ("b", TensorView::new(Dtype::BF16, vec![2], &bytes).unwrap()),
        ("h", TensorView::new(Dtype::F16, vec![2], &halves).unwrap()),
        ("i", TensorView::new(Dtype::I32, vec![1, 2], &ints).unwrap()),
        ("u", TensorView::new(Dtype::U8, vec![4], &bytes).unwrap()),
    ];
    let all = serialize(views, None::<HashMap<String, String>>).unwrap();
    fs::write(folder.path().join("w.safetensors"), all).unwrap();
    let of = |params| stage(&folder, "w.safetensors", params);
    for name in ["b", "h"] {
        let found = load(&of(json!({ "name": name, "axes": ["x"] })));
        assert_eq!(found, named(&["x"], Data::F32(array![1.5, -2.0].into_dyn())));
    }
    let found = load(&of(json!({ "name": "i", "axes": ["x", "y"] })));
    assert_eq!(found, named(&["x", "y"], Data::I64(array![[-3, 4]].into_dyn())));
    assert!(plan(&of(json!({ "name": "u", "axes": ["x"] }))).unwrap_err().contains("of type U8"));
    assert!(plan(&of(json!({ "name": "b" }))).unwrap_err().starts_with("axes: this file does not say"));
    let misfit = plan(&of(json!({ "name": "i", "axes": ["x"] }))).unwrap_err();
    assert_eq!(misfit, "axes: `axes` names 1 axes, but the array has the shape [1, 2]");
}

#[test]
fn damaged_files_are_named_and_never_trusted() {
    let folder = TempDir::new().unwrap();
    let axes = json!({ "axes": ["a", "b"] });
    let huge = by_hand("<f8", "False", "(99999999999, 99999999999)", &[0; 16]);
    let archived = |bytes: &[u8]| {
        let mut archive = zip::ZipWriter::new(Cursor::new(vec![]));
        archive.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
        archive.finish().unwrap().into_inner()
    };
    let lengthy = [b"\x93NUMPY\x02\x00\xff\xff\xff\xff", &[b' '; 64][..]].concat();
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("text.npy", b"1,2,3".to_vec(), "not an .npy file"),
        ("empty.npy", vec![], "not an .npy file"),
        ("cut.npy", by_hand("<f8", "False", "(2, 2)", &[0; 31]), "but 31 bytes of numbers follow"),
        ("huge.npz", archived(&huge), "`x`: the header says shape [99999999999, 99999999999], but 16 bytes"),
        ("lengthy.npy", lengthy, "claims more than a megabyte"),
        ("huge.npy", huge, "but 16 bytes of numbers follow"),
        ("complex.npy", by_hand("<c16", "False", "(1, 1)", &[0; 16]), "of type '<c16'"),
        ("a.npz", b"PK, not".to_vec(), "not an .npz file"),
        ("a.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\xff{}".to_vec(), "not a safetensors file"),
    ];
    for (file, bytes, says) in cases {
        fs::write(folder.path().join(file), bytes).unwrap();
        let message = load(&stage(&folder, file, axes.clone())).unwrap_err();
        assert!(message.contains(file) && message.contains(says), "{message}");
    }
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let folder = TempDir::new().unwrap();
    write_npy(folder.path().join("a.npy"), &Array2::<f32>::zeros((2, 3))).unwrap();
    let says = |file, params| plan(&stage(&folder, file, params)).unwrap_err();
    assert!(says("b.npy", json!({ "axes": ["x"] })).starts_with("there is no file "));
    assert_eq!(
        says("a.npy", json!({ "axes": ["x"] })),
        "axes: `axes` names 1 axes, but the array has the shape [2, 3]"
    );
    assert!(says("a.npy", json!({})).starts_with("axes: "));
    assert!(says("a.npy", json!({ "axes": ["x", ""] })).starts_with("axes[1]: "));
    assert!(says("a.npy", json!({ "axes": ["x", "y"], "name": "z" })).starts_with("name: "));
    fs::write(folder.path().join("a.txt"), "").unwrap();
    assert!(says("a.txt", json!({ "axes": ["x"] })).contains(".npy, .npz or .safetensors"));
}

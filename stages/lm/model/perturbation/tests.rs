//! Perturbed models against models that are loaded from a checkpoint in which the same weights were changed by hand.

use std::collections::BTreeMap;

use super::*;
use crate::lm::{
    Dtype,
    batch::Batch,
    fixture::{FAMILIES, Fixture, device},
    layers::linear::host,
    pass::{Pass, Wanted},
    probe::Probe,
};

const NOISE: WeightNoise = WeightNoise { std: 0.7, seed: 11 };

/// Two heads of one layer, neither of them its first, and the first of another.
const HEADS: [(usize, usize); 3] = [(1, 2), (0, 0), (1, 1)];

fn logits(model: &Model, ids: &[u32]) -> Vec<f32> {
    host(model.forward(&mut Pass::new(&Batch::right_padded(&[(0, ids)]), &Probe::default(), Wanted::All), None))
}

fn load(fixture: &Fixture, dtype: Dtype) -> Model {
    Model::load_as(dtype, &fixture.config, &fixture.weights, &device()).unwrap()
}

/// Where in a checkpoint the queries and the output projection of a layer are, and where a head's own numbers are there:
/// for each of its dimensions the indices of the numbers, in order. Written from the checkpoints' own layouts.
fn own(fixture: &Fixture, family: &str, layer: usize, head: usize) -> [(String, Vec<Vec<usize>>); 2] {
    let shape = |name: &str| fixture.weights.0[name].0.clone();
    let number = |key: &str| fixture.config[key].as_u64().map(|n| n as usize);
    let heads = number("num_attention_heads").or(number("n_head")).unwrap();
    let (queries, out) = match family {
        "gpt2" => {
            (format!("transformer.h.{layer}.attn.c_attn.weight"), format!("transformer.h.{layer}.attn.c_proj.weight"))
        }
        "gpt_neox" => {
            let path = format!("gpt_neox.layers.{layer}.attention");
            (format!("{path}.query_key_value.weight"), format!("{path}.dense.weight"))
        }
        _ => {
            let path = format!("model.layers.{layer}.self_attn");
            let squeezed = format!("{path}.q_b_proj.weight");
            let direct = format!("{path}.q_proj.weight");
            let queries = if fixture.weights.0.contains_key(&squeezed) { squeezed } else { direct };
            (queries, format!("{path}.o_proj.weight"))
        }
    };
    let (of_queries, of_out) = (shape(&queries), shape(&out));
    let (rows, columns): (Vec<Vec<usize>>, Vec<Vec<usize>>) = match family {
        // [in, (q, k, v) × head × d] and [head × d, out]
        "gpt2" => {
            let (d, width) = (of_out[0] / heads, of_queries[1]);
            (
                (0..d).map(|i| (0..of_queries[0]).map(|input| input * width + head * d + i).collect()).collect(),
                (0..d).map(|i| (0..of_out[1]).map(|output| (head * d + i) * of_out[1] + output).collect()).collect(),
            )
        }
        _ => {
            let (d_out, inputs) = (of_out[1] / heads, of_queries[1]);
            // [head × (q, k, v) × d, in] in GPT-NeoX, else [head × d, in]
            let (d, first) = match family {
                "gpt_neox" => (d_out, 3 * head * d_out),
                _ => (of_queries[0] / heads, head * (of_queries[0] / heads)),
            };
            (
                (0..d).map(|i| (0..inputs).map(|input| (first + i) * inputs + input).collect()).collect(),
                (0..d_out)
                    .map(|i| (0..of_out[0]).map(|output| output * of_out[1] + head * d_out + i).collect())
                    .collect(),
            )
        }
    };
    [(queries, rows), (out, columns)]
}

/// The same noise, number by number, on the checkpoint's values as the number type has them.
fn by_hand(fixture: &mut Fixture, family: &str, dtype: Dtype) {
    for (layer, head) in HEADS {
        for (part, (name, rows)) in own(fixture, family, layer, head).into_iter().enumerate() {
            let values = &mut fixture.weights.0.get_mut(&name).unwrap().1;
            let held: Vec<f64> = rows.iter().flatten().map(|at| f64::from(dtype.nearest(values[*at]))).collect();
            let mean = held.iter().sum::<f64>() / held.len() as f64;
            let std = (held.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / held.len() as f64).sqrt();
            for (row, places) in rows.iter().enumerate() {
                let mut stream = rng(11, Purpose::WeightNoise, &[layer as u64, head as u64, part as u64, row as u64]);
                let noise: Vec<f32> =
                    (0..places.len().div_ceil(2)).flat_map(|_| normal_pair(0.7 * std, &mut stream)).collect();
                places.iter().zip(noise).for_each(|(at, noise)| values[*at] = dtype.nearest(values[*at]) + noise);
            }
        }
    }
}

/// Separate maps, fused ones of either order, `[in, out]` storage, grouped heads, latent queries, norms behind the queries.
#[test]
fn a_perturbed_model_is_one_whose_checkpoint_was_changed_by_hand() {
    for family in FAMILIES.into_iter().chain(["deepseek_v2_grouped"]) {
        for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
            let mut fixture = Fixture::of(family);
            let ids = fixture.ids("a");
            let plain = load(&fixture, dtype);
            let before = logits(&plain, &ids);
            let mut perturbed = plain.clone();
            perturbed.perturb(&HEADS, NOISE);
            by_hand(&mut fixture, family, dtype);
            let found = logits(&perturbed, &ids);
            assert_eq!(found, logits(&load(&fixture, dtype), &ids), "{family} {dtype:?}");
            assert_eq!(logits(&plain, &ids), before, "{family} {dtype:?}: the model that it comes from stays");
            let moved = found.iter().zip(&before).filter(|(a, b)| a != b).count();
            assert!(moved > before.len() / 2, "{family} {dtype:?}: {moved} logits moved");
        }
    }
}

#[test]
fn neither_order_nor_steps_matter() {
    for family in FAMILIES {
        let fixture = Fixture::of(family);
        let (plain, ids) = (fixture.model(), fixture.ids("a"));
        let after = |steps: &[&[(usize, usize)]]| {
            let mut model = plain.clone();
            steps.iter().for_each(|heads| model.perturb(heads, NOISE));
            logits(&model, &ids)
        };
        let [a, b, c] = HEADS;
        let at_once = after(&[&HEADS]);
        assert_eq!(at_once, after(&[&[c], &[b, a]]), "{family}");
        assert_ne!(at_once, after(&[&[a, b]]), "{family}");
        let mut other = plain.clone();
        other.perturb(&HEADS, WeightNoise { seed: 12, ..NOISE });
        assert_ne!(at_once, logits(&other, &ids), "{family}: another seed");
    }
}

#[test]
fn no_noise_changes_no_bit() {
    for family in FAMILIES {
        let fixture = Fixture::of(family);
        let (plain, ids) = (fixture.model(), fixture.ids("a"));
        let mut still = plain.clone();
        still.perturb(&HEADS, WeightNoise { std: 0.0, seed: 3 });
        still.perturb(&[], NOISE);
        let bits = |model: &Model| logits(model, &ids).into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(&still), bits(&plain), "{family}");
    }
}

/// 3,200 numbers of noise of std 2 on weights that alternate between 1 and 4 (mean 2.5, std 1.5): their mean is 0 and their
/// standard deviation 3, each give or take four standard errors.
#[test]
fn noise_is_in_units_of_the_spread_of_the_heads_own_weights() {
    let plain: Vec<f32> = (0..3_200).map(|i| if i % 2 == 0 { 1.0 } else { 4.0 }).collect();
    let with = |head: usize, part: Part| {
        let mut weights = plain.clone();
        WeightNoise { std: 2.0, seed: 5 }.add(&mut weights, 50, [3, head], part);
        weights.iter().zip(&plain).map(|(a, b)| f64::from(a - b)).collect::<Vec<_>>()
    };
    let noise = with(1, Part::Queries);
    let root = (noise.len() as f64).sqrt();
    assert!(summary::mean(&noise).abs() < 4.0 * 3.0 / root, "{}", summary::mean(&noise));
    assert!((summary::std(&noise) - 3.0).abs() < 4.0 * 3.0 / (2.0_f64.sqrt() * root), "{}", summary::std(&noise));
    let distinct: BTreeMap<u64, ()> = noise.iter().map(|x| (x.to_bits(), ())).collect();
    assert!(distinct.len() > 3_000, "no row has another's noise");
    assert_ne!(noise, with(2, Part::Queries));
    assert_ne!(noise, with(1, Part::Out));
}

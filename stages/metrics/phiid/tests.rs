//! Against the reference implementation, pair by pair and as a whole job; and what must hold without one.

use std::{fs, path::PathBuf};

use ndarray::{Array2, Array3, Array4, ArrayD, Axis, s};
use ndarray_npy::{ReadableElement, read_npy};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/phiid").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(fixture(name)).unwrap()).unwrap()
}

fn array<T: ReadableElement>(name: &str) -> ArrayD<T> {
    read_npy(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn pair(x: &[f64], y: &[f64], tau: usize) -> Result<[f64; 16], Degenerate> {
    super::pair(x, y, tau, Redundancy::Mmi)
}

fn atoms_of(file: &str, tau: usize, redundancy: Redundancy) -> Result<[f64; 16], Degenerate> {
    let series: Array2<f64> = array(file).into_dimensionality().unwrap();
    super::pair(series.row(0).as_slice().unwrap(), series.row(1).as_slice().unwrap(), tau, redundancy)
}

fn job() -> Array3<f64> {
    array("job_activations.npy").into_dimensionality().unwrap()
}

fn means(activations: &Array3<f64>, tau: usize, wanted: Wanted) -> Means {
    means_by(Redundancy::Mmi, activations, tau, wanted)
}

fn means_by(redundancy: Redundancy, activations: &Array3<f64>, tau: usize, wanted: Wanted) -> Means {
    means_of(&Windows::of(activations.view(), tau), redundancy, wanted)
}

fn means_of(windows: &Windows, redundancy: Redundancy, wanted: Wanted) -> Means {
    let rows = blocks(windows.heads);
    let blocks = compute(windows, redundancy, wanted, &rows);
    let blocks: Vec<_> = rows.into_iter().zip(blocks).collect();
    assemble(windows, wanted, &blocks, false)
}

/// The largest difference between two arrays of one shape; NaN only where both are.
fn distance<D: ndarray::Dimension>(a: &ndarray::Array<f64, D>, b: &ndarray::Array<f64, D>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    a.iter().zip(b).fold(0.0, |worst, (a, b)| {
        assert_eq!(a.is_nan(), b.is_nan());
        if a.is_nan() { worst } else { f64::max(worst, (a - b).abs()) }
    })
}

#[test]
fn every_pair_equals_the_reference() {
    let pairs = json("pairs.json");
    let order: Vec<_> = pairs["atoms"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(order, ATOMS);
    for pair in pairs["pairs"].as_array().unwrap() {
        for (redundancy, name) in [(Redundancy::Mmi, "MMI"), (Redundancy::Ccs, "CCS")] {
            let (file, tolerance) = (pair["file"].as_str().unwrap(), pair["tol"].as_f64().unwrap());
            let found = atoms_of(file, pair["tau"].as_u64().unwrap() as usize, redundancy).unwrap();
            for ((found, expected), atom) in found.iter().zip(numbers(&pair[name])).zip(ATOMS) {
                let error = (found - expected).abs();
                assert!(error <= tolerance, "{file} {} {name}: {atom} is off by {error:e}", pair["kind"]);
            }
        }
    }
}

#[test]
fn what_the_reference_refuses_is_flagged_and_what_it_takes_is_equal() {
    let cases = json("degenerate.json");
    assert_eq!(cases.as_object().unwrap().len(), 14);
    for (name, case) in cases.as_object().unwrap() {
        let found = atoms_of(&format!("deg_{name}.npy"), 1, Redundancy::Mmi);
        match case["outcome"].as_str().unwrap() {
            "ok" => {
                // The accuracy that the conditioning leaves (1e-14 / λ_min): λ_min is 2.5e-9 for `dup_1e-4`.
                let tolerance = if name == "dup_1e-4" { 4e-6 } else { 1e-12 };
                for (found, expected) in found.as_ref().unwrap().iter().zip(numbers(&case["MMI"])) {
                    assert!((found - expected).abs() <= tolerance, "{name}: {found} is not {expected}");
                }
            }
            _ => assert!(found.is_err(), "{name} is not flagged"),
        }
        // What is degenerate is a matter of the series, not of how redundancy is measured.
        let common = atoms_of(&format!("deg_{name}.npy"), 1, Redundancy::Ccs);
        assert_eq!(common.map(|_| ()), found.map(|_| ()), "{name}");
    }
    let why = |name: &str| atoms_of(&format!("deg_{name}.npy"), 1, Redundancy::Mmi).unwrap_err();
    assert_eq!(why("nan"), Degenerate::NonFinite);
    assert_eq!(why("short5"), Degenerate::Short);
    for constant in ["const_y", "const01_y", "past_const", "future_const"] {
        assert_eq!(why(constant), Degenerate::Constant);
    }
    for singular in ["identical", "negated", "affine", "shift1", "ramp", "dup_1e-5"] {
        assert_eq!(why(singular), Degenerate::Singular);
    }
}

#[test]
fn the_whole_job_equals_the_reference() {
    for (redundancy, name) in [(Redundancy::Mmi, "MMI"), (Redundancy::Ccs, "CCS")] {
        let expected: Array3<f64> = array(&format!("job_{name}_atoms_mean.npy")).into_dimensionality().unwrap();
        let all = means_by(redundancy, &job(), 1, Wanted::Atoms);
        assert!(distance(&all.atoms, &expected) < 1e-12);
        assert!(all.counts.indexed_iter().all(|((i, j), &count)| count == if i == j { 0 } else { 6 }));

        let balance = means_by(redundancy, &job(), 1, Wanted::Balance).atoms;
        for (k, atom) in ["sts", "rtr"].into_iter().enumerate() {
            let expected: Array2<f64> = array(&format!("job_{name}_{atom}.npy")).into_dimensionality().unwrap();
            assert!(distance(&balance.index_axis(Axis(0), k).to_owned(), &expected) < 1e-12);
        }
    }
}

/// A series cut into parts that overlap by the lag has the pairs of moments of the whole, so the reference's numbers for
/// the whole are those of the concatenated parts. A pair over a border, or a missing one, would move them.
#[test]
fn concatenated_parts_of_a_series_are_the_series() {
    let pairs = json("pairs.json");
    let mut cut = 0;
    for pair in pairs["pairs"].as_array().unwrap() {
        let series: Array2<f64> = array(pair["file"].as_str().unwrap()).into_dimensionality().unwrap();
        let (tau, tolerance) = (pair["tau"].as_u64().unwrap() as usize, pair["tol"].as_f64().unwrap());
        let moments = series.ncols() - tau;
        for parts in (2..=moments).filter(|parts| moments.is_multiple_of(*parts)) {
            let own = moments / parts;
            let of = |(part, node, t): (usize, usize, usize)| series[[node, part * own + t]];
            let windows = Windows::concatenated(Array3::from_shape_fn((parts, 2, own + tau), of).view(), tau);
            for (redundancy, name) in [(Redundancy::Mmi, "MMI"), (Redundancy::Ccs, "CCS")] {
                let found = means_of(&windows, redundancy, Wanted::Atoms);
                assert_eq!(found.counts[[0, 1]], 1);
                for (k, expected) in numbers(&pair[name]).into_iter().enumerate() {
                    let error = (found.atoms[[k, 0, 1]] - expected).abs();
                    assert!(error <= tolerance, "{} in {parts}: {name} {} is off by {error:e}", pair["kind"], ATOMS[k]);
                }
            }
            cut += 1;
        }
    }
    assert!(cut > 100, "{cut} cuts");
}

/// `fixtures/phiid/concatenated.py` made the table in plain NumPy: 594 moments, which the pass goes over in several runs.
#[test]
fn concatenated_prompts_are_one_gaussian() {
    let expected: Array4<f64> = array("job_concatenated_sts_rtr.npy").into_dimensionality().unwrap(); // [MMI | CCS, …]
    for (k, redundancy) in [Redundancy::Mmi, Redundancy::Ccs].into_iter().enumerate() {
        let windows = Windows::concatenated(job().view(), 1);
        let found = means_of(&windows, redundancy, Wanted::Balance);
        assert!(distance(&found.atoms, &expected.index_axis(Axis(0), k).to_owned()) < 1e-12, "{redundancy:?}");
        assert_eq!((windows.prompts, found.counts[[3, 4]]), (1, 1));
        // Of prompts in another order there are the same pairs of moments.
        let backwards = job().slice(s![..;-1, .., ..]).to_owned();
        let turned = means_of(&Windows::concatenated(backwards.view(), 1), redundancy, Wanted::Balance);
        assert!(distance(&found.atoms, &turned.atoms) < 1e-12);
        // Laid end to end and cut then, they are others: the borders are pairs too.
        let glued = Array3::from_shape_fn((1, 24, 600), |(_, h, t)| job()[[t / 100, h, t % 100]]);
        let glued = means_of(&Windows::of(glued.view(), 1), redundancy, Wanted::Balance);
        assert!(distance(&found.atoms, &glued.atoms) > 1e-4);
    }
}

#[test]
fn moments_at_which_ccs_jumps_are_counted() {
    // Orthogonal windows: each correlation is 0, so every local information is, at every moment.
    let (x, y) = ([1., 0., -1., 0., 1., 0., -1., 0., 1.], [1., 1., 1., 1., -3., 1., 1., 1., 1.]);
    let series = Array3::from_shape_vec((1, 2, 9), [x, y].concat()).unwrap();
    let windows = Windows::of(series.view(), 1);
    let block = compute(&windows, Redundancy::Ccs, Wanted::Atoms, &blocks(2)).remove(0);
    assert_eq!(block.zeros, 8);
    let windows = Windows::of(job().view(), 1);
    assert_eq!(compute(&windows, Redundancy::Ccs, Wanted::Balance, &blocks(24))[0].zeros, 0);
}

#[test]
fn every_prompt_of_the_job_equals_the_reference() {
    for (redundancy, name) in [(Redundancy::Mmi, "MMI"), (Redundancy::Ccs, "CCS")] {
        let expected: Array4<f64> = array(&format!("job_{name}_per_prompt_sts_rtr.npy")).into_dimensionality().unwrap();
        for prompt in 0..6 {
            let one = job().slice(s![prompt..prompt + 1, .., ..]).to_owned();
            let found = means_by(redundancy, &one, 1, Wanted::Balance).atoms;
            assert!(distance(&found, &expected.slice(s![.., prompt, .., ..]).to_owned()) < 1e-12, "{name} {prompt}");
        }
    }
}

#[test]
fn every_instruction_set_agrees() {
    let (apart, together) = (Windows::of(job().view(), 1), Windows::concatenated(job().view(), 1));
    for (instructions, windows) in tile::Instructions::all()
        .into_iter()
        .flat_map(|instructions| [(instructions, &apart), (instructions, &together)])
    {
        let of = |instructions| {
            let products =
                tile::Tile::of::<variances::Products<variances::Everything, 16>>(instructions, windows, 0..24, 0..24);
            (products, tile::Tile::of::<ccs::CommonSurprisal>(instructions, windows, 0..24, 0..24))
        };
        let (mine, plain) = (of(instructions), of(tile::Instructions::Plain));
        for (row, column) in (0..24).flat_map(|row| (row + 1..24).map(move |column| (row, column))) {
            let products =
                |tile: &tile::Tile| variances::informations::<16, 32>(tile.accumulated(row, column)).to_vec();
            let ccs = |tile: &tile::Tile| tile.accumulated::<17>(row, column).to_vec();
            let pairs = [(products(&mine.0), products(&plain.0)), (ccs(&mine.1), ccs(&plain.1))];
            for (a, b) in pairs.iter().flat_map(|(a, b)| a.iter().zip(b)) {
                assert!((a - b).abs() < 1e-12, "{}: {a} is not {b}", instructions.name());
            }
        }
    }
}

#[test]
fn a_degenerate_prompt_is_left_out_of_the_mean() {
    let mut activations = job();
    activations[[2, 5, 50]] = f64::NAN; // head 5 in prompt 2
    activations.slice_mut(s![4, 7, ..]).fill(3.0); // head 7 in prompt 4
    let twin = activations.slice(s![1, 0, ..]).to_owned();
    activations.slice_mut(s![1, 23, ..]).assign(&twin); // heads 0 and 23 in prompt 1
    let found = means(&activations, 1, Wanted::Balance);
    let per_prompt: Array4<f64> = array("job_MMI_per_prompt_sts_rtr.npy").into_dimensionality().unwrap();
    let mean_over = |i: usize, j: usize, prompts: &[usize]| {
        prompts.iter().map(|&prompt| per_prompt[[0, prompt, i, j]]).sum::<f64>() / prompts.len() as f64
    };
    for (i, j, prompts) in [(5, 8, &[0, 1, 3, 4, 5][..]), (5, 7, &[0, 1, 3, 5]), (0, 23, &[0, 2, 3, 4, 5])] {
        assert_eq!(found.counts[[i, j]], prompts.len() as i64);
        assert_eq!(found.counts[[j, i]], prompts.len() as i64);
        assert!((found.atoms[[0, i, j]] - mean_over(i, j, prompts)).abs() < 1e-12);
    }
    let windows = Windows::of(activations.view(), 1);
    assert_eq!(windows.status(2, 5), Some(Degenerate::NonFinite));
    assert_eq!(windows.status(4, 7), Some(Degenerate::Constant));
    let block = compute(&windows, Redundancy::Mmi, Wanted::Balance, &blocks(24)).remove(0);
    assert_eq!((block.singular, block.first_singular), (1, Some(Cell { prompt: 1, first: 0, second: 23 })));
}

#[test]
fn many_heads_cross_tile_borders() {
    // The job's 24 heads six times over, prompts rotated so that no two copies are equal: 144 heads in three tiles.
    let job = job();
    let many = Array3::from_shape_fn((6, 144, 100), |(p, h, t)| job[[(p + h / 24) % 6, h % 24, t]]);
    let found = means(&many, 1, Wanted::Balance).atoms;
    let together = means_of(&Windows::concatenated(many.view(), 1), Redundancy::Mmi, Wanted::Balance).atoms;
    for (i, j) in [(3, 70), (63, 64), (127, 128), (0, 143), (64, 127)] {
        let alone = Windows::concatenated(many.select(Axis(1), &[i, j]).view(), 1);
        let alone = means_of(&alone, Redundancy::Mmi, Wanted::Balance).atoms;
        assert!((together[[0, i, j]] - alone[[0, 0, 1]]).abs() < 1e-13);
        let expected: f64 = (0..6)
            .map(|p| {
                let series = |h: usize| many.slice(s![p, h, ..]).to_vec();
                pair(&series(i), &series(j), 1).unwrap()[15]
            })
            .sum();
        assert!((found[[0, i, j]] - expected / 6.0).abs() < 1e-12);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let windows = Windows::of(job().view(), 1);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| compute(&windows, Redundancy::Mmi, Wanted::Atoms, &blocks(24)))
    };
    assert_eq!(on(1), on(3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_order_of_a_pair_only_mirrors_the_atoms(heads in (0..24_usize, 0..24_usize), prompt in 0..6_usize) {
        prop_assume!(heads.0 != heads.1);
        let job = job();
        let series = |head: usize| job.slice(s![prompt, head, ..]).to_vec();
        let (forth, back) = (pair(&series(heads.0), &series(heads.1), 2), pair(&series(heads.1), &series(heads.0), 2));
        let (forth, back) = (forth.unwrap(), back.unwrap());
        for k in 0..16 {
            prop_assert!((forth[k] - back[MIRRORED[k]]).abs() < 1e-12);
        }
    }

    #[test]
    fn scale_and_shift_do_not_matter(scale in prop_oneof![-50.0..-0.02, 0.02..50.0], shift in -10.0..10.0, head in 0..23_usize) {
        let job = job();
        let (x, y) = (job.slice(s![0, head, ..]).to_vec(), job.slice(s![0, head + 1, ..]).to_vec());
        let moved: Vec<_> = x.iter().map(|value| value * scale + shift).collect();
        for (a, b) in pair(&x, &y, 1).unwrap().into_iter().zip(pair(&moved, &y, 1).unwrap()) {
            prop_assert!((a - b).abs() < 1e-10, "{} is not {}", a, b);
        }
    }

    #[test]
    fn the_order_of_prompts_does_not_matter(order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle()) {
        let shuffled = job().select(Axis(0), &order);
        prop_assert!(distance(&means(&shuffled, 1, Wanted::Balance).atoms, &means(&job(), 1, Wanted::Balance).atoms) < 1e-13);
    }

    #[test]
    fn the_atoms_add_up_to_the_joint_information(head in 0..23_usize, prompt in 0..6_usize) {
        // Their sum is I(x y; a b): half the logarithm of |R_xy| |R_ab| / |R|, here from a plain determinant.
        let job = job();
        let (x, y) = (job.slice(s![prompt, head, ..]).to_vec(), job.slice(s![prompt, head + 1, ..]).to_vec());
        let rows = [&x[..99], &y[..99], &x[1..], &y[1..]];
        let expected = 0.5 * (determinant(&rows[..2]) * determinant(&rows[2..]) / determinant(&rows)).ln();
        prop_assert!((pair(&x, &y, 1).unwrap().iter().sum::<f64>() - expected).abs() < 1e-9);
    }
}

/// The determinant of a correlation matrix, by elimination.
fn determinant(rows: &[&[f64]]) -> f64 {
    let n = rows[0].len() as f64;
    let centred: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| {
            let mean = row.iter().sum::<f64>() / n;
            let length = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>().sqrt();
            row.iter().map(|v| (v - mean) / length).collect()
        })
        .collect();
    let dot = |i: usize, j: usize| centred[i].iter().zip(&centred[j]).map(|(a, b)| a * b).sum::<f64>();
    let mut m = Array2::from_shape_fn((rows.len(), rows.len()), |(i, j)| dot(i, j));
    for k in 0..rows.len() {
        for i in k + 1..rows.len() {
            let ratio = m[[i, k]] / m[[k, k]];
            for j in k..rows.len() {
                m[[i, j]] -= ratio * m[[k, j]];
            }
        }
    }
    m.diag().product()
}

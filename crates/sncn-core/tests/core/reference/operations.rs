//! The operations, each with the inputs on which its reference implementation is tried.

use super::{Trial, random};
use candle_core::{Result, Tensor};
use sncn_core::ops::{self, Conv};
use sncn_core::stats::{self, Outside, Positions, Stats};
use sncn_core::{BoundingBox, Packing, Seed, loss};

pub(crate) struct Operation {
    /// The public function.
    pub(crate) name: &'static str,
    /// Whether it has a kernel besides the reference implementation: other functions are the same tensor operations everywhere.
    pub(crate) two_forms: bool,
    pub(crate) trials: fn() -> Vec<Trial>,
}

const fn two(name: &'static str, trials: fn() -> Vec<Trial>) -> Operation {
    Operation { name, two_forms: true, trials }
}

const fn one(name: &'static str, trials: fn() -> Vec<Trial>) -> Operation {
    Operation { name, two_forms: false, trials }
}

/// Every operation of `ops`, `stats`, `loss` and `Packing`.
pub(crate) const OPERATIONS: &[Operation] = &[
    two("conv2d", conv2d),
    two("conv1d", conv1d),
    two("linear", linear),
    two("relu", relu),
    two("relu6", relu6),
    two("leaky_relu", leaky_relu),
    two("gelu_erf", || curve(ops::gelu_erf, 3.)),
    two("quick_gelu", || curve(ops::quick_gelu, 3.)),
    two("sigmoid", || [curve(ops::sigmoid, 3.), curve(ops::sigmoid, 900.)].into_iter().flatten().collect()),
    one("tanh", || curve(ops::tanh, 3.)),
    one("concatenate", concatenate),
    two("max_pool2d", max_pool2d),
    two("avg_pool2d", avg_pool2d),
    two("global_avg_pool", global_avg_pool),
    two("resize_bilinear", || resize(ops::resize_bilinear)),
    two("resize_nearest", || resize(ops::resize_nearest)),
    one("dropout", dropout),
    two("pad", || packing(|packing, xs| packing.pad(xs), false)),
    two("pack", || packing(|packing, xs| packing.pack(xs), true)),
    one("first", || packing(|packing, xs| packing.first(xs), false)),
    two("mean", || packing(|packing, xs| packing.mean(xs), false)),
    one("window_max", window_max),
    two("of", statistics),
    two("apply_affine", affine),
    two("cross_entropy", || entropy(loss::cross_entropy)),
    two("smoothed_cross_entropy", smoothed),
    one("cross_entropy_per_item", || entropy(loss::cross_entropy_per_item)),
    one("softmax", || curve(loss::softmax, 3.)),
    one("log_softmax", || curve(loss::log_softmax, 3.)),
    one("entropy", || curve(loss::entropy, 3.)),
    one("jensen_shannon", jensen_shannon),
];

/// Public functions that are not tried, and why.
pub(crate) const EXEMPT: &[(&str, &str)] = &[
    ("has_kernel", "it chooses between the forms"),
    ("conv2d_with_precision", "in f32 it is conv2d, in bf16 it exists on the CPU only and says so"),
    ("value", "it reads one number"),
];

fn trial(case: String, inputs: &[Tensor], run: impl Fn(&[Tensor]) -> Result<Tensor> + 'static) -> Trial {
    Trial { case, inputs: inputs.to_vec(), run: Box::new(run), smooth: true }
}

/// Shape of a map, channels out, kernel, stride, padding ([`SAME`]: as TensorFlow), dilation, groups, whether there is a bias.
type ConvCase = ([usize; 4], usize, [usize; 2], usize, usize, usize, usize, bool);

const SAME: usize = usize::MAX;

const CONVOLUTIONS: [ConvCase; 22] = [
    ([2, 7, 9, 4], 6, [3, 3], 1, 1, 1, 1, true),
    ([2, 6, 6, 4], 6, [3, 3], 1, 0, 1, 1, false),
    ([2, 7, 8, 4], 6, [3, 3], 2, 1, 1, 1, false), // the stride divides one axis only
    ([1, 8, 7, 3], 5, [3, 3], 2, 0, 1, 1, true),
    ([1, 9, 7, 4], 4, [3, 3], 3, 2, 2, 1, true),
    ([2, 5, 5, 4], 8, [3, 3], 1, 2, 2, 2, true),
    ([2, 8, 9, 4], 8, [3, 3], 2, 3, 3, 4, false),
    ([1, 6, 5, 6], 6, [3, 3], 2, 1, 1, 6, true), // depthwise
    ([2, 5, 6, 3], 4, [1, 1], 1, 0, 1, 1, true),
    ([2, 5, 6, 4], 4, [1, 1], 2, 0, 1, 2, false),
    ([2, 1, 1, 3], 2, [1, 1], 1, 0, 1, 1, true), // one position
    ([1, 1, 1, 3], 2, [3, 3], 2, 1, 1, 1, true),
    ([3, 4, 11, 2], 3, [1, 5], 3, 2, 1, 1, false),
    ([1, 10, 3, 2], 2, [4, 2], 2, 1, 1, 1, true),
    ([1, 9, 8, 3], 4, [7, 7], 2, 3, 1, 1, false),
    ([2, 8, 7, 3], 4, [3, 3], 2, SAME, 1, 1, true), // zeros after the rows, and around the columns
    ([1, 7, 6, 2], 4, [5, 4], 1, SAME, 1, 1, false),
    ([1, 9, 8, 2], 2, [2, 2], 3, SAME, 2, 1, false),
    ([2, 8, 7, 5], 5, [3, 3], 2, SAME, 1, 5, false),
    ([1, 6, 8, 20], 20, [5, 5], 2, SAME, 1, 20, true),
    ([2, 5, 6, 18], 18, [5, 5], 1, SAME, 1, 18, false),
    ([1, 4, 5, 2], 3, [1, 1], 2, SAME, 1, 1, false), // no zeros
];

fn conv2d() -> Vec<Trial> {
    let case = |&(dims, out, [kh, kw], stride, padding, dilation, groups, biased): &ConvCase| {
        let (padding, same) = if padding == SAME { (0, true) } else { (padding, false) };
        let conv = Conv { stride, padding, same, dilation, groups };
        let mut inputs = vec![random("x", &dims), random("weight", &[out, dims[3] / groups, kh, kw])];
        if biased {
            inputs.push(random("bias", &[out]));
        }
        let case = format!("{dims:?} by {kh}x{kw}, {conv:?}");
        trial(case, &inputs, move |t| ops::conv2d(&t[0], &t[1], t.get(2), &conv))
    };
    let mut trials: Vec<Trial> = CONVOLUTIONS.iter().map(case).collect();
    let inputs = [random("x", &[2, 4, 5, 6]), random("weight", &[3, 3, 3, 2])];
    trials.push(trial("views that are not contiguous".into(), &inputs, |t| {
        ops::conv2d(&t[0].permute((0, 2, 3, 1))?, &t[1].transpose(1, 3)?.pad_with_zeros(1, 1, 1)?, None, &Conv::default())
    }));
    trials
}

fn conv1d() -> Vec<Trial> {
    let case = |&(dims, k, stride, padding, dilation, groups): &([usize; 3], usize, usize, usize, usize, usize)| {
        let conv = Conv { stride, padding, same: false, dilation, groups };
        let inputs = [random("x", &dims), random("weight", &[6, dims[2] / groups, k]), random("bias", &[6])];
        trial(format!("{dims:?} by {k}, {conv:?}"), &inputs, move |t| ops::conv1d(&t[0], &t[1], Some(&t[2]), &conv))
    };
    [([2, 8, 4], 3, 1, 0, 1, 1), ([1, 8, 4], 4, 2, 1, 1, 2), ([3, 1, 2], 1, 1, 0, 1, 1), ([1, 9, 3], 3, 2, 2, 2, 3)]
        .iter()
        .map(case)
        .collect()
}

fn linear() -> Vec<Trial> {
    let (xs, weight, bias) = (random("x", &[2, 3, 5]), random("weight", &[4, 5]), random("bias", &[4]));
    let inputs = [xs.clone(), weight.clone(), bias.clone()];
    vec![
        trial("with a bias".into(), &inputs, |t| ops::linear(&t[0], &t[1], Some(&t[2]))),
        trial("without".into(), &[xs, weight.clone()], |t| ops::linear(&t[0], &t[1], None)),
        trial("one row".into(), &[random("row", &[1, 5]), weight.clone(), bias], |t| ops::linear(&t[0], &t[1], Some(&t[2]))),
        trial("a row".into(), &[random("row", &[5]), weight], |t| ops::linear(&t[0], &t[1], None)),
        trial("views that are not contiguous".into(), &[random("x", &[5, 3]), random("w", &[5, 4])], |t| {
            ops::linear(&t[0].t()?, &t[1].t()?, None)
        }),
    ]
}

fn curve(f: fn(&Tensor) -> Result<Tensor>, most: f64) -> Vec<Trial> {
    let xs = (random("x", &[3, 4, 5]) * most).unwrap();
    vec![
        trial(format!("up to {most}"), std::slice::from_ref(&xs), move |t| f(&t[0])),
        trial(format!("up to {most}, transposed"), &[xs], move |t| f(&t[0].transpose(1, 2)?)),
    ]
}

fn leaky_relu() -> Vec<Trial> {
    let steps = random("x", &[4, 25]).round().unwrap(); // 0 among them
    let slopes: [fn(&Tensor) -> Result<Tensor>; 3] =
        [|x| ops::leaky_relu(x, 0.1), |x| ops::leaky_relu(x, 0.), |x| ops::leaky_relu(x, 1.)];
    let mut trials: Vec<Trial> = slopes.into_iter().flat_map(|leaky| curve(leaky, 3.)).collect();
    trials.push(Trial { smooth: false, ..trial("at 0".into(), &[steps], |t| ops::leaky_relu(&t[0], 0.1)) });
    trials
}

fn relu6() -> Vec<Trial> {
    let steps = (random("x", &[4, 25]) * 8.).unwrap().round().unwrap(); // 0 and 6 among them
    let mut trials = curve(ops::relu6, 9.);
    trials.push(Trial { smooth: false, ..trial("at 0 and 6".into(), &[steps], |t| ops::relu6(&t[0])) });
    trials
}

fn relu() -> Vec<Trial> {
    let steps = (random("x", &[4, 25]) * 2.).unwrap().round().unwrap(); // zeros among them
    let mut trials = curve(ops::relu, 3.);
    trials.push(Trial { smooth: false, ..trial("at 0".into(), &[steps], |t| ops::relu(&t[0])) });
    trials
}

fn max_pool2d() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (dims, kernel, stride, padding) in [
        ([2, 7, 9, 3], 3, 2, 1),
        ([2, 6, 4, 3], 2, 2, 0),
        ([1, 5, 7, 2], 2, 2, 0),
        ([1, 8, 7, 2], 3, 1, 1),
        ([2, 5, 6, 1], 2, 1, 1),
        ([1, 9, 8, 2], 4, 3, 2),
        ([1, 3, 3, 2], 3, 3, 0),
        ([1, 1, 1, 2], 1, 1, 0),
    ] {
        let run = move |t: &[Tensor]| ops::max_pool2d(&t[0], kernel, stride, padding);
        let (case, xs) = (format!("{dims:?} by {kernel}, {stride}, {padding}"), random("x", &dims));
        trials.push(trial(case.clone(), &[(&xs - 2.).unwrap()], run));
        let ties = (xs * 1.4).unwrap().round().unwrap();
        trials.push(Trial { smooth: false, ..trial(format!("{case}, with ties"), &[ties], run) });
    }
    trials
}

fn avg_pool2d() -> Vec<Trial> {
    let case = |&(dims, kernel, stride): &([usize; 4], usize, usize)| {
        trial(format!("{dims:?} by {kernel}, {stride}"), &[random("x", &dims)], move |t| ops::avg_pool2d(&t[0], kernel, stride))
    };
    [
        ([2, 6, 4, 3], 2, 2),
        ([1, 5, 7, 2], 2, 2),
        ([2, 7, 8, 1], 3, 2),
        ([1, 5, 5, 2], 2, 3),
        ([1, 4, 4, 2], 3, 1),
        ([1, 2, 2, 1], 2, 1),
    ]
    .iter()
    .map(case)
    .collect()
}

fn global_avg_pool() -> Vec<Trial> {
    let case = |dims: &[usize; 4]| trial(format!("{dims:?}"), &[random("x", dims)], |t| ops::global_avg_pool(&t[0]));
    [[2, 5, 3, 4], [1, 1, 1, 3]].iter().map(case).collect()
}

fn resize(f: fn(&Tensor, (usize, usize)) -> Result<Tensor>) -> Vec<Trial> {
    let case = |&((h, w), size): &((usize, usize), (usize, usize))| {
        trial(format!("{h}x{w} to {size:?}"), &[random("x", &[2, h, w, 3])], move |t| f(&t[0], size))
    };
    let sizes = [
        ((5, 4), (10, 8)),
        ((5, 4), (5, 4)),
        ((5, 4), (9, 7)),
        ((7, 9), (3, 4)),
        ((8, 6), (2, 13)),
        ((1, 1), (3, 2)),
        ((4, 5), (1, 1)),
        ((1, 6), (4, 1)),
    ];
    sizes.iter().map(case).collect()
}

fn dropout() -> Vec<Trial> {
    let case =
        |&rate: &f64| trial(format!("at {rate}"), &[random("x", &[3, 4, 5])], move |t| ops::dropout(&t[0], rate, Seed::new(4)));
    [0.5, 0.3, 0.].iter().map(case).collect()
}

fn packing(f: fn(&Packing, &Tensor) -> Result<Tensor>, padded: bool) -> Vec<Trial> {
    let case = |&(lengths, longest): &(&[usize], usize)| {
        let packing = Packing::new(lengths, longest).unwrap();
        let shape = if padded { vec![lengths.len(), longest, 3] } else { vec![packing.tokens(), 3] };
        trial(format!("{lengths:?} of {longest}"), &[random("x", &shape)], move |t| f(&packing, &t[0]))
    };
    [([2, 1, 3].as_slice(), 4), (&[3, 3], 3), (&[5], 7), (&[1], 1)].iter().map(case).collect()
}

fn concatenate() -> Vec<Trial> {
    let inputs = [random("x", &[2, 3, 4]), random("y", &[2, 3, 1]), random("z", &[2, 3, 2])];
    vec![
        trial("one".into(), &inputs[..1], |t| ops::concatenate(&[&t[0]])),
        trial("three".into(), &inputs, |t| ops::concatenate(&[&t[0], &t[1], &t[2]])),
    ]
}

fn window_max() -> Vec<Trial> {
    let (lengths, longest) = ([4, 1, 6], 7);
    let case = |(width, inside)| {
        let packing = Packing::new(&lengths, longest).unwrap();
        let values = (random("x", &[3, longest + 1 - width, 2]) + 4.).unwrap();
        let run = move |t: &[Tensor]| packing.window_max(&t[0], width, inside);
        trial(format!("windows of {width}, inside: {inside}"), &[values], run)
    };
    [(1, true), (3, true), (3, false), (7, true)].map(case).into()
}

fn position_sets() -> Vec<(&'static str, Positions)> {
    let bbox = BoundingBox { top: 1, left: 0, bottom: 3, right: 2 };
    vec![
        ("all", Positions::All),
        ("a box", Positions::Box(bbox, 3)),
        ("lengths", Positions::Prefix([2, 12, 0].into())),
        ("spans", Positions::Spans([(1, 4), (0, 12), (11, 12)].into())),
    ]
}

fn statistics() -> Vec<Trial> {
    let xs = (random("x", &[3, 12, 2]) + 4.).unwrap();
    let case = |(name, positions): (&str, Positions)| {
        trial(name.into(), std::slice::from_ref(&xs), move |t| {
            let stats = Stats::of(&t[0], &positions)?;
            Tensor::cat(&[stats.mean, stats.variance], 1)
        })
    };
    let mut trials: Vec<Trial> = position_sets().into_iter().map(case).collect();
    trials.push(trial("one position".into(), &[random("x", &[1, 1, 2])], |t| Ok(Stats::of(&t[0], &Positions::All)?.mean)));
    trials
}

fn affine() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (rows, (name, positions)) in
        [1, 3].into_iter().flat_map(|rows| position_sets().into_iter().map(move |positions| (rows, positions)))
    {
        for outside in [Outside::Zero, Outside::Keep] {
            let mut inputs = vec![random("x", &[3, 12, 2])];
            inputs.extend(["a", "b", "m"].iter().map(|matrix| random(matrix, &[rows, 2])));
            let case = format!("{rows} rows, {name}, {outside:?}");
            let positions = positions.clone();
            trials.push(trial(case, &inputs, move |t| stats::apply_affine(&t[0], &t[3], &t[1], &t[2], &positions, outside)));
        }
    }
    trials
}

fn smoothed() -> Vec<Trial> {
    let logits = (random("logits", &[6, 4]) * 5.).unwrap();
    let case = |smoothing: f64| {
        trial(format!("by {smoothing}"), std::slice::from_ref(&logits), move |t| {
            loss::smoothed_cross_entropy(&t[0], &[0, 3, 2, 1, 1, 0], smoothing)
        })
    };
    [0., 0.1, 1.].map(case).into()
}

fn entropy(f: fn(&Tensor, &[u32], Option<u32>) -> Result<Tensor>) -> Vec<Trial> {
    let logits = (random("logits", &[2, 3, 4]) * 5.).unwrap();
    let cases: [(&str, [u32; 6], Option<u32>); 3] = [
        ("all kept", [0, 3, 2, 1, 1, 0], None),
        ("some ignored", [0, 255, 2, 1, 255, 0], Some(255)),
        ("a class ignored", [0, 3, 2, 1, 1, 0], Some(1)),
    ];
    cases
        .map(|(name, labels, ignore)| trial(name.into(), std::slice::from_ref(&logits), move |t| f(&t[0], &labels, ignore)))
        .into()
}

fn jensen_shannon() -> Vec<Trial> {
    let logits = ["one", "two", "three"].map(|name| (random(name, &[3, 4]) * 2.).unwrap());
    vec![trial("three predictions".into(), &logits, |t| loss::jensen_shannon([&t[0], &t[1], &t[2]]))]
}

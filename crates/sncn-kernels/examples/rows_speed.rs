//! Speed of the passes, statistics, pools and row-wise kernels against a parallel copy; checks its answers. Milliseconds,
//! bytes that must move (each map once), GB/s, and the time against what a copy would take for as many bytes.
//! `rows_speed [name] [naive]`: only kernels with that in their name; beside the plain loops.
#![allow(clippy::unwrap_used)]
use rayon::prelude::*;
use sncn_kernels::affine::{self, Affine, Outside};
use sncn_kernels::cross_entropy::cross_entropy;
use sncn_kernels::gelu::{Gelu, gelu_backward, gelu_forward};
use sncn_kernels::layer_norm::{layer_norm_backward, layer_norm_forward};
use sncn_kernels::optim::{Adam, Sgd, adam_step, sgd_step};
use sncn_kernels::pool::{self, PoolShape};
use sncn_kernels::positions::Positions;
use sncn_kernels::resize::{ResizeShape, resize_backward, resize_forward};
use sncn_kernels::rows::{self, Activation, Coefficients};
use sncn_kernels::simd::Form;
use sncn_kernels::softmax::{softmax_backward, softmax_forward};
use sncn_kernels::stats::{self, MapShape};
use std::time::Instant;

fn best(times: usize, mut f: impl FnMut()) -> f64 {
    let one = |_| {
        let t = Instant::now();
        f();
        t.elapsed().as_secs_f64()
    };
    (0..times).map(one).fold(f64::MAX, f64::min)
}

fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut s = seed;
    let next = |_| {
        s = s.wrapping_mul(1664525).wrapping_add(1013904223);
        (s >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(next).collect()
}

/// What is done with an instance: its number, its values, where the answer goes.
type Each<'a> = dyn Fn(usize, &[f32], &mut [f32]) + Sync + 'a;

/// A kernel: the form to run in, and where its answer goes.
type Run<'a> = Box<dyn Fn(Form, &mut [f32]) + 'a>;

struct Bench {
    wanted: String,
    naive: bool,
    /// Bytes a second of a copy.
    copy: f64,
}

impl Bench {
    /// Times `f`, which moves `floats` f32 and writes `out` of them, and checks it against the plain loops.
    fn run(&self, name: &str, floats: usize, out: usize, f: Run<'_>) {
        if !name.contains(&self.wanted) {
            return;
        }
        let (mut got, mut want) = (vec![0f32; out], vec![0f32; out]);
        let time = best(15, || f(Form::current(), &mut got));
        let mut naive = String::new();
        if self.naive {
            naive = format!("  plain loops {:8.2} ms", 1e3 * best(1, || f(Form::Naive, &mut want)));
            got.fill(0.0);
            want.fill(0.0);
        } else {
            got.fill(0.0);
        }
        f(Form::current(), &mut got);
        f(Form::Naive, &mut want);
        let scale = want.iter().fold(1e-30f32, |m, v| m.max(v.abs()));
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-4 * scale), "{name}: wrong answer");
        let bytes = 4.0 * floats as f64;
        println!(
            "{name:34} {:7.3} ms {:7.1} MB {:6.1} GB/s  {:5.2} × copy{naive}",
            1e3 * time,
            1e-6 * bytes,
            1e-9 * bytes / time,
            time * self.copy / bytes
        );
    }
}

fn maps(bench: &Bench, [n, size, c]: [usize; 3]) {
    let shape = MapShape { instances: n, positions: size * size, channels: c };
    let (len, one) = (n * shape.instance_len(), shape.instance_len());
    let (x, g) = (&noise(len, 1), &noise(len, 3));
    let (a, b, m) = (&noise(n * c, 4), &noise(n * c, 5), &noise(n * c, 6));
    let label = |what: &str| format!("{what} {n}x{size}x{size}x{c}");
    let each = |out: &mut [f32], f: &Each<'_>| {
        out.par_chunks_mut(one).zip(x.par_chunks(one)).enumerate().for_each(|(i, (out, x))| f(i, x, out));
    };
    let (row, at) = (|i: usize| i * c..(i + 1) * c, |i: usize| i * one..(i + 1) * one);
    let run = |what: &str, maps: usize, out: usize, f: Run<'_>| bench.run(&label(what), maps * len, out, f);
    run(
        "activate",
        2,
        len,
        Box::new(|form, out| {
            each(out, &|i, x, out| rows::activate(form, x, &a[row(i)], &b[row(i)], Activation::Relu, out));
        }),
    );
    run(
        "add_affine",
        3,
        len,
        Box::new(|form, out| each(out, &|i, x, out| rows::add_affine(form, out, x, &a[row(i)], &b[row(i)]))),
    );
    run(
        "accumulate",
        4,
        len,
        Box::new(|form, out| {
            let t = |i| Coefficients { p: &a[row(i)], q: &b[row(i)], r: &a[row(i)], m: &m[row(i)] };
            each(out, &|i, x, out| rows::accumulate(form, out, &g[at(i)], x, t(i)));
        }),
    );
    for (name, activation) in [("activate_backward", Activation::Relu), ("activate_backward gelu", Activation::QuickGelu)] {
        let pass =
            |i, x: &[f32], out: &mut [f32], form| rows::activate_backward(form, out, x, &a[row(i)], &b[row(i)], activation);
        run(name, 3, len, Box::new(|form, out| each(out, &|i, x, out| pass(i, x, out, form))));
    }
    run(
        "product_sums",
        2,
        2 * n * c,
        Box::new(|form, out| {
            out.par_chunks_mut(2 * c).enumerate().for_each(|(i, out)| {
                let mut sums = vec![0f64; 2 * c];
                let (one, two) = sums.split_at_mut(c);
                rows::product_sums(form, &g[at(i)], &x[at(i)], &m[row(i)], one, two);
                out.iter_mut().zip(sums).for_each(|(o, s)| *o = s as f32);
            });
        }),
    );
    run(
        "instance_stats",
        1,
        2 * n * c,
        Box::new(|form, out| {
            let (mean, variance) = out.split_at_mut(n * c);
            stats::instance_stats(form, x, shape, Positions::All, mean, variance);
        }),
    );
    let window = Positions::Box { width: size, top: size / 4, left: size / 4, bottom: 3 * size / 4, right: 3 * size / 4 };
    bench.run(
        &label("instance_stats, a box"),
        len / 4,
        2 * n * c,
        Box::new(|form, out| {
            let (mean, variance) = out.split_at_mut(n * c);
            stats::instance_stats(form, x, shape, window, mean, variance);
        }),
    );
    run(
        "instance_stats_backward",
        2,
        len,
        Box::new(|form, out| {
            stats::instance_stats_backward(form, x, shape, Positions::All, m, a, b, out);
        }),
    );
    let op = Affine { shape, positions: Positions::All, outside: Outside::Keep, rows: n };
    run("channel_affine", 2, len, Box::new(|form, out| affine::channel_affine(form, &op, x, m, a, b, out)));
    run(
        "channel_affine_backward",
        3,
        len + 2 * n * c,
        Box::new(|form, out| {
            let (dx, tables) = out.split_at_mut(len);
            let (da, db) = tables.split_at_mut(n * c);
            affine::channel_affine_backward(form, &op, x, m, a, g, dx, da, db);
        }),
    );
    for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1)] {
        let s = PoolShape { n, h: size, w: size, c, kernel, stride, padding };
        let (ho, wo) = s.output();
        let out = n * ho * wo * c;
        let label = |what: &str| label(&format!("{what} {kernel}/{stride}"));
        let mut at = vec![0u32; out];
        pool::max_pool_forward(Form::Portable, x, &s, &mut vec![0f32; out], &mut at);
        let place = std::sync::Mutex::new(vec![0u32; out]);
        bench.run(
            &label("max_pool"),
            len + 2 * out,
            out,
            Box::new(|form, y| {
                pool::max_pool_forward(form, x, &s, y, &mut place.lock().unwrap());
            }),
        );
        bench.run(
            &label("max_pool_backward"),
            len + 2 * out,
            len,
            Box::new(|form, dx| {
                pool::max_pool_backward(form, &g[..out], &at, &s, dx);
            }),
        );
        if padding == 0 {
            bench.run(&label("avg_pool"), len + out, out, Box::new(|form, y| pool::avg_pool_forward(form, x, &s, y)));
            bench.run(
                &label("avg_pool_backward"),
                len + out,
                len,
                Box::new(|form, dx| {
                    pool::avg_pool_backward(form, &g[..out], &s, dx);
                }),
            );
        }
    }
    run("global_avg", 1, n * c, Box::new(|form, y| pool::global_avg_forward(form, x, size * size, c, y)));
    let s = ResizeShape { n, h: size / 2, w: size / 2, c, ho: size, wo: size, bilinear: true };
    run("resize ×2", 1, len, Box::new(|form, y| resize_forward(form, &x[..len / 4], &s, y)));
    run("resize_backward ×2", 1, len / 4, Box::new(|form, dx| resize_backward(form, g, &s, dx)));
}

fn elements(bench: &Bench, rows: usize, width: usize) {
    let len = rows * width;
    let (x, g, gamma, beta) = (&noise(len, 1), &noise(len, 2), &noise(width, 3), &noise(width, 4));
    let labels: Vec<u32> = (0..rows).map(|r| (r * 7 % width) as u32).collect();
    let run = |what: &str, maps: usize, out: usize, f: Run<'_>| bench.run(&format!("{what} {rows}x{width}"), maps * len, out, f);
    run("softmax", 2, len, Box::new(move |form, y| softmax_forward(form, x, width, y)));
    run("softmax_backward", 3, len, Box::new(move |form, dx| softmax_backward(form, x, g, width, dx)));
    run(
        "cross_entropy",
        2,
        len + 1,
        Box::new(|form, out| {
            let (gradient, loss) = out.split_at_mut(len);
            // alone at its end, the loss would hide the gradient's scale
            loss[0] = cross_entropy(form, x, width, &labels, None, gradient) as f32 / rows as f32;
        }),
    );
    let (mut mean, mut inverse) = (vec![0f32; rows], vec![0f32; rows]);
    layer_norm_forward(Form::Portable, x, gamma, beta, 1e-5, &mut vec![0f32; len], &mut mean, &mut inverse);
    run(
        "layer_norm",
        2,
        len + 2 * rows,
        Box::new(|form, out| {
            let (y, tables) = out.split_at_mut(len);
            let (mean, inverse) = tables.split_at_mut(rows);
            layer_norm_forward(form, x, gamma, beta, 1e-5, y, mean, inverse);
        }),
    );
    run(
        "layer_norm_backward",
        3,
        len + 2 * width,
        Box::new(|form, out| {
            let (dx, tables) = out.split_at_mut(len);
            let (dgamma, dbeta) = tables.split_at_mut(width);
            layer_norm_backward(form, x, gamma, &mean, &inverse, g, dx, dgamma, dbeta);
        }),
    );
    for kind in [Gelu::Erf, Gelu::Quick] {
        run(&format!("gelu {kind:?}"), 2, len, Box::new(move |form, y| gelu_forward(form, kind, x, y)));
        run(&format!("gelu_backward {kind:?}"), 3, len, Box::new(move |form, dx| gelu_backward(form, kind, x, g, dx)));
    }
    // the state starts from zeros, and its size is part of the answer
    let sgd = Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4, first: true };
    run(
        "sgd",
        5,
        2 * len,
        Box::new(|form, out| {
            let (p, buf) = out.split_at_mut(len);
            sgd_step(form, &sgd, p, g, buf);
        }),
    );
    let adam = Adam { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, decoupled_decay: 1e-2, step: 1 };
    run(
        "adamw",
        7,
        3 * len,
        Box::new(|form, out| {
            let (p, moments) = out.split_at_mut(len);
            let (m, v) = moments.split_at_mut(len);
            adam_step(form, &adam, p, g, m, v);
        }),
    );
}

fn main() {
    let mut args = std::env::args().skip(1);
    let wanted = args.next().unwrap_or_default();
    let from = noise(1 << 24, 1);
    let mut to = vec![0f32; from.len()];
    let part = 1 << 15;
    let time = best(15, || to.par_chunks_mut(part).zip(from.par_chunks(part)).for_each(|(to, from)| to.copy_from_slice(from)));
    let bench = Bench { wanted, naive: args.next().is_some(), copy: 8.0 * from.len() as f64 / time };
    println!("{:?}, {} threads, copy of 67 MB: {:.1} GB/s", Form::current(), rayon::current_num_threads(), 1e-9 * bench.copy);
    drop((from, to));
    for shape in [[128, 32, 32], [128, 16, 64], [128, 8, 128], [8, 128, 19]] {
        maps(&bench, shape);
    }
    for (rows, width) in [(8192, 256), (131_072, 19), (128, 30_000)] {
        elements(&bench, rows, width);
    }
}

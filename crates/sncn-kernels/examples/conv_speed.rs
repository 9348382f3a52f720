//! Speed of the f32 convolutions by shape: milliseconds, GF/s of the plain algorithm's multiplications, their share of the
//! measured multiply-add peak, and the bytes of the maps. Every answer is checked at sampled positions.
//!
//! `conv_speed [name part] [direct|winograd|-] [processor]`; with `processor`, time is what the process spent computing over its
//! threads (Linux): on a busy machine that is what stays comparable, with RAYON_NUM_THREADS=1 in particular.

use sncn_kernels::conv::ConvShape;
use sncn_kernels::fused::{self, Algorithm, Direction, PackedWeight, Precision};
use sncn_kernels::simd::Form;
use std::time::Instant;

/// Seconds this process computed, all threads together, from the scheduler's own count.
fn processor() -> Option<f64> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let line = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        line.split(' ').next()?.parse::<f64>().ok()
    });
    Some(nanoseconds.sum::<f64>() * 1e-9)
}

fn best(mut f: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut least = f64::MAX;
    for i in 0.. {
        let (t, before) = (Instant::now(), processor());
        f();
        let wall = t.elapsed().as_secs_f64();
        let spent = before.zip(processor()).map(|(a, b)| (b - a) / rayon::current_num_threads() as f64);
        least = least.min(spent.filter(|_| std::env::args().nth(3).is_some()).unwrap_or(wall));
        if i >= 4 && start.elapsed().as_secs_f64() > 0.35 {
            break;
        }
    }
    least
}

fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut s = seed;
    let mut next = |_| {
        s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (s >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(&mut next).collect()
}

/// (name, batch, size, in, out, kernel, stride, padding, dilation, groups)
#[rustfmt::skip]
const SHAPES: [(&str, [usize; 9]); 37] = [
    ("3->16@32", [128, 32, 3, 16, 3, 1, 1, 1, 1]), ("16->16@32", [128, 32, 16, 16, 3, 1, 1, 1, 1]),
    ("16->32@32", [128, 32, 16, 32, 3, 1, 1, 1, 1]), ("32->32@32", [128, 32, 32, 32, 3, 1, 1, 1, 1]),
    ("32->64@32/2", [128, 32, 32, 64, 3, 2, 1, 1, 1]), ("64->64@16", [128, 16, 64, 64, 3, 1, 1, 1, 1]),
    ("64->128@16/2", [128, 16, 64, 128, 3, 2, 1, 1, 1]), ("128->128@8", [128, 8, 128, 128, 3, 1, 1, 1, 1]),
    ("96->96@32", [128, 32, 96, 96, 3, 1, 1, 1, 1]), ("128->128@32g4", [128, 32, 128, 128, 3, 1, 1, 1, 4]),
    ("1x1 16->32@32", [128, 32, 16, 32, 1, 1, 0, 1, 1]), ("1x1 32->64@32/2", [128, 32, 32, 64, 1, 2, 0, 1, 1]),
    ("256->256@33d2", [4, 33, 256, 256, 3, 1, 2, 2, 1]), ("1x1 1024->256@33", [4, 33, 1024, 256, 1, 1, 0, 1, 1]),
    ("7x7/2 3->64@257", [4, 257, 3, 64, 7, 2, 3, 1, 1]), ("64->64@129", [4, 129, 64, 64, 3, 1, 1, 1, 1]),
    ("5x5 32->32@32", [128, 32, 32, 32, 5, 1, 2, 1, 1]),
    ("stem 7x7/2 3->64@224", [8, 224, 3, 64, 7, 2, 3, 1, 1]), ("stem 3x3/2 3->32@224", [16, 224, 3, 32, 3, 2, 1, 1, 1]),
    ("photo 1x1 64->256@56", [8, 56, 64, 256, 1, 1, 0, 1, 1]), ("photo 1x1 256->64@56", [8, 56, 256, 64, 1, 1, 0, 1, 1]),
    ("photo 1x1 16->96@112", [16, 112, 16, 96, 1, 1, 0, 1, 1]), ("photo 1x1 32->16@112", [16, 112, 32, 16, 1, 1, 0, 1, 1]),
    ("photo 1x1 144->24@56", [16, 56, 144, 24, 1, 1, 0, 1, 1]), ("photo 3x3/2 128@56", [8, 56, 128, 128, 3, 2, 1, 1, 1]),
    ("photo 3x3 64@56", [8, 56, 64, 64, 3, 1, 1, 1, 1]), ("photo 1x1 512->128@28", [8, 28, 512, 128, 1, 1, 0, 1, 1]),
    ("photo 3x3 128@28", [8, 28, 128, 128, 3, 1, 1, 1, 1]), ("photo 1x1 1024->256@14", [8, 14, 1024, 256, 1, 1, 0, 1, 1]),
    ("photo 3x3 256@14", [8, 14, 256, 256, 3, 1, 1, 1, 1]), ("photo 1x1 2048->512@7", [8, 7, 2048, 512, 1, 1, 0, 1, 1]),
    ("photo 3x3 512@7", [8, 7, 512, 512, 3, 1, 1, 1, 1]),
    ("depth 3x3 32@112", [16, 112, 32, 32, 3, 1, 1, 1, 32]), ("depth 3x3/2 96@112", [16, 112, 96, 96, 3, 2, 1, 1, 96]),
    ("depth 3x3 144@56", [16, 56, 144, 144, 3, 1, 1, 1, 144]), ("depth 5x5 240@28", [16, 28, 240, 240, 5, 1, 2, 1, 240]),
    ("depth 5x5 1152@7", [16, 7, 1152, 1152, 5, 1, 2, 1, 1152]),
];

/// Compares sampled sums with the defining loops; `bound` is what a term may lose.
fn check(s: &ConvShape, x: &[f32], w: &[f32], y: &[f32], bound: f64) {
    let ((ho, wo), ci, co) = (s.output(), s.c_in / s.groups, s.c_out / s.groups);
    for i in (0..y.len()).step_by((y.len() / 500).max(1) | 1) {
        let (n, oy, ox, o) = (i / (ho * wo * s.c_out), i / (wo * s.c_out) % ho, i / s.c_out % wo, i % s.c_out);
        let (mut sum, mut terms) = (0.0, 0.0);
        for (ky, kx) in (0..s.kh).flat_map(|ky| (0..s.kw).map(move |kx| (ky, kx))) {
            let iy = (oy * s.stride + ky * s.dilation).wrapping_sub(s.padding.0);
            let ix = (ox * s.stride + kx * s.dilation).wrapping_sub(s.padding.1);
            if iy < s.h && ix < s.w {
                for c in 0..ci {
                    let value = x[((n * s.h + iy) * s.w + ix) * s.c_in + o / co * ci + c];
                    let term = f64::from(value) * f64::from(w[((o * ci + c) * s.kh + ky) * s.kw + kx]);
                    (sum, terms) = (sum + term, terms + term.abs());
                }
            }
        }
        assert!((sum - f64::from(y[i])).abs() < bound * (1.0 + terms), "output {i} of {s:?}: {} for {sum}", y[i]);
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let wanted = args.next().unwrap_or_default();
    let forced = args.next().and_then(|name| match name.as_str() {
        "direct" => Some(Algorithm::Direct),
        "depthwise" => Some(Algorithm::Depthwise),
        "winograd" => Some(Algorithm::Winograd),
        _ => None,
    });
    let form = Form::current();
    let peak = form.peak() * rayon::current_num_threads() as f64;
    println!(
        "{form:?}, {} threads, multiply-add peak {peak:.0} GF/s, bf16 {:.0}; GF/s (share of peak) ms",
        rayon::current_num_threads(),
        form.peak_bf16() * rayon::current_num_threads() as f64
    );
    for (name, [n, size, c_in, c_out, k, stride, padding, dilation, groups]) in SHAPES {
        if !name.contains(&wanted) {
            continue;
        }
        let s = ConvShape {
            n,
            h: size,
            w: size,
            c_in,
            c_out,
            kh: k,
            kw: k,
            stride,
            padding: (padding, padding),
            extra: (0, 0),
            dilation,
            groups,
        };
        let (ho, wo) = s.output();
        let (x, w, gy) =
            (noise(n * size * size * c_in, 1), noise(c_out * c_in / groups * k * k, 2), noise(n * ho * wo * c_out, 3));
        let (mut y, mut dx, mut dw) = (vec![0f32; gy.len()], vec![0f32; x.len()], vec![0f32; w.len()]);
        let work = 2e-9 * (n * ho * wo * c_out * (c_in / groups) * k * k) as f64;
        let algorithm = |d| forced.filter(|a| a.fits(&s, d)).unwrap_or(Algorithm::choose(&s, d));
        let (stage_x, stage_gy) = (fused::copy_rows(&x, size, size * c_in), fused::copy_rows(&gy, ho, wo * c_out));
        let forward = best(|| {
            let packed = PackedWeight::by(form, algorithm(Direction::Forward), &s, Direction::Forward, &w);
            fused::conv_forward(&s, &packed, &stage_x, &fused::no_finish, &mut y);
        });
        check(&s, &x, &w, &y, 1e-5);
        // what a norm and a ReLU on the way in, and an addition on the way out, add to it
        let (packed, (a, b)) = (
            PackedWeight::by(form, algorithm(Direction::Forward), &s, Direction::Forward, &w),
            (vec![1.1f32; c_in], vec![0.1f32; c_in]),
        );
        let mut z = vec![0f32; y.len()];
        let norm = |n: usize, row: usize, out: &mut [f32]| {
            let x = &x[(n * size + row) * size * c_in..][..size * c_in];
            for (out, x) in out.chunks_exact_mut(c_in).zip(x.chunks_exact(c_in)) {
                out.iter_mut().zip(x).zip(&a).zip(&b).for_each(|(((o, &x), &a), &b)| *o = (a * x + b).max(0.0));
            }
        };
        let add_one = |_: usize, _: std::ops::Range<usize>, y: &mut [f32]| y.iter_mut().for_each(|y| *y += 1.0);
        // weights packed once, as in inference
        let bare = best(|| fused::conv_forward(&s, &packed, &stage_x, &fused::no_finish, &mut z));
        let rounded = forced.filter(|&a| Precision::Bf16.fits(&s, a));
        let rounded = rounded.map_or_else(|| PackedWeight::bf16(&s, &w), |a| PackedWeight::bf16_by(form, a, &s, &w));
        let bf16 = best(|| fused::conv_forward(&s, &rounded, &stage_x, &fused::no_finish, &mut z));
        check(&s, &x, &w, &z, 1e-2);
        let bf16_riding = best(|| fused::conv_forward(&s, &rounded, &norm, &add_one, &mut z));
        let riding = best(|| fused::conv_forward(&s, &packed, &norm, &add_one, &mut z));
        let input = best(|| {
            let packed = PackedWeight::by(form, algorithm(Direction::InputGradient), &s, Direction::InputGradient, &w);
            fused::conv_input_gradient(&s, &packed, &stage_gy, &fused::no_finish, &mut dx);
        });
        let weight =
            best(|| fused::conv_weight_gradient_by(form, algorithm(Direction::Forward), &s, &stage_x, &stage_gy, &mut dw));
        // Σ gy·y = Σ x·dx = Σ w·dw: one number checks both gradients
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let (sums, scale) = ([dot(&gy, &y), dot(&x, &dx), dot(&w, &dw)], dot(&y, &y).sqrt() * dot(&gy, &gy).sqrt());
        assert!(sums.iter().all(|s| (s - sums[0]).abs() < 1e-5 * scale), "gradients disagree: {sums:?}");
        let row: Vec<String> = [
            ("forward", forward),
            ("packed", bare),
            ("bf16", bf16),
            ("with norm", riding),
            ("bf16", bf16_riding),
            ("dx", input),
            ("dw", weight),
        ]
        .iter()
        .map(|(what, t)| format!("{what} {:4.0} ({:.2}) {:6.2}", work / t, work / t / peak, t * 1e3))
        .collect();
        let bytes = 4e-6 * (x.len() + y.len()) as f64;
        let rule = Precision::choose(&s);
        println!("{name:17} {:9} {rule:?} {}  {bytes:.1} MB", format!("{:?}", algorithm(Direction::Forward)), row.join("  "));
    }
}

//! Speed of linear layers in f32 and bf16; checks the bf16 answers against the f32 ones.
#![allow(clippy::unwrap_used)]
use sncn_kernels::linear::{self, LinearShape};
use sncn_kernels::simd::Form;
use std::time::Instant;

fn best(mut f: impl FnMut()) -> f64 {
    (0..12)
        .map(|_| {
            let t = Instant::now();
            f();
            t.elapsed().as_secs_f64()
        })
        .fold(f64::MAX, f64::min)
}

fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut s = seed;
    (0..len)
        .map(|_| {
            s = s.wrapping_mul(1664525).wrapping_add(1013904223);
            (s >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn main() {
    for (rows, c_in, c_out) in [(4096, 256, 1024), (4096, 1024, 256), (4096, 256, 256), (128, 128, 10)] {
        let s = LinearShape { rows, c_in, c_out };
        let (x, w, gy) = (noise(rows * c_in, 1), noise(c_in * c_out, 2), noise(rows * c_out, 3));
        let flops = 2e-9 * (rows * c_in * c_out) as f64;
        let (mut y, mut dx, mut dw) = (vec![0f32; rows * c_out], vec![0f32; rows * c_in], vec![0f32; c_in * c_out]);
        let mut y2 = y.clone();
        print!("{rows}x{c_in}x{c_out} GF/s: ");
        for form in Form::available().into_iter().skip(1) {
            let f = best(|| linear::linear_forward(form, &x, &w, None, &s, &mut y));
            let b = best(|| linear::linear_input_gradient(form, &gy, &w, &s, &mut dx));
            let g = best(|| linear::linear_weight_gradient(form, &x, &gy, &s, &mut dw));
            let h = best(|| linear::linear_forward_bf16(form, &x, &w, None, &s, &mut y2));
            assert!(y.iter().zip(&y2).all(|(a, b)| (a - b).abs() < 1e-2 * (c_in as f32).sqrt()), "wrong answer in bf16");
            print!("{form:?} {:.0} {:.0} {:.0} bf16 {:.0}  ", flops / f, flops / b, flops / g, flops / h);
        }
        println!();
    }
}

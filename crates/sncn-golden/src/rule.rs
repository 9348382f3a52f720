//! The rules that generate golden inputs and weights.

/// The generator of the golden inputs: element `index` of the tensor `name`, in [-1, 1), exact in float32.
pub fn u(name: &str, index: u64) -> f64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut z = hash.wrapping_add(index).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    2.0 * (z >> 40) as f64 / f64::from(1 << 24) - 1.0
}

/// The golden fill rule for the state-dict entry `name` of a network.
pub fn fill(salt: &str, name: &str, shape: &[usize], weight_gain: f64) -> Vec<f32> {
    let full = format!("{salt}{name}");
    let count: usize = shape.iter().product();
    let fan_in: usize = shape.iter().skip(1).product();
    let value = |i: usize| {
        let u = u(&full, i as u64);
        if name.ends_with("num_batches_tracked") {
            0.0
        } else if name.ends_with("running_mean") {
            0.1 * u
        } else if name.ends_with("running_var") {
            1.0 + 0.5 * u
        } else if shape.len() >= 2 {
            u * (weight_gain * (3.0 / fan_in as f64).sqrt())
        } else if name.ends_with("weight") {
            1.0 + 0.1 * u
        } else if name.ends_with("g_bn.bias") || name.ends_with("f_bn.bias") {
            3.0 + 0.1 * u
        } else {
            0.1 * u
        }
    };
    (0..count).map(|i| value(i) as f32).collect()
}

/// The golden input rule for images, (N, C, H, W) row-major; `tag` is `input`, `input.aug1` or `input.aug2`.
pub fn images(salt: &str, tag: &str, shape: [usize; 4]) -> Vec<f32> {
    let [n, c, h, w] = shape;
    let (input, scale, shift) = (format!("{salt}{tag}"), format!("{salt}{tag}.scale"), format!("{salt}{tag}.shift"));
    (0..n * c * h * w)
        .map(|i| {
            let channel = (i / (h * w)) as u64;
            ((1.0 + 0.5 * u(&scale, channel)) * 1.7 * u(&input, i as u64) + 0.5 * u(&shift, channel)) as f32
        })
        .collect()
}

/// The norm of a tensor's values, and their sum weighted by the probe values of its name.
pub fn norm_and_probe(salt: &str, name: &str, values: &[f64]) -> (f64, f64) {
    let key = format!("{salt}{name}.probe");
    let probe = values.iter().enumerate().map(|(i, v)| v * u(&key, i as u64)).sum();
    (values.iter().map(|v| v * v).sum::<f64>().sqrt(), probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_generator_has_the_published_values() {
        assert_eq!(u("", 0), 0.5273890495300293);
        assert_eq!(u("input", 1_000_000), -0.6111690998077393);
        assert_eq!(u("conv1.weight", 3), 0.687371015548706);
        let first = images("gold/wrn40_2_plain/a/", "input", [1, 3, 2, 2]);
        assert_eq!(f64::from(first[0]), -1.186836838722229);
    }
}

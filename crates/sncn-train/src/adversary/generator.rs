//! The generator of adversarial noise: a small network that is given white noise and not the image.

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::Init;
use sncn_core::{Seed, Vars};

/// Channels of the maps inside.
const WIDTH: usize = 20;

/// Convolutions of a generator.
const LAYERS: usize = 4;

/// Four convolutions C → 20 → 20 → 20 → C with a rectifier after the first three, whose result is added to the noise that it was given. The
/// second has a window of 1 or 3 positions and no padding, the others of 1. It begins with small weights, so nearly as the identity.
pub(super) struct Generator {
    window: usize,
    /// (window², in, out).
    weights: Vec<Tensor>,
    /// (out).
    biases: Vec<Tensor>,
}

impl Generator {
    /// A generator for inputs of so many channels, with these variables, f32 on the CPU.
    pub(super) fn new(window: usize, channels: usize, vars: &Vars) -> Result<Self> {
        let (vb, widths) = (vars.builder(), [channels, WIDTH, WIDTH, WIDTH, channels]);
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for (at, pair) in widths.windows(2).enumerate() {
            let taps = if at == 1 { window * window } else { 1 };
            let init = Init::Randn { mean: 0., stdev: 0.01 };
            weights.push(vb.get_with_hints((taps, pair[0], pair[1]), &format!("{at}.weight"), init)?);
            biases.push(vb.get_with_hints(pair[1], &format!("{at}.bias"), Init::Const(0.))?);
        }
        Ok(Self { window, weights, biases })
    }

    /// A generator with the weights of a saved one; `get` gives them by name.
    pub(super) fn copied(window: usize, channels: usize, get: impl FnMut(&str) -> Option<Tensor>) -> Result<Self> {
        let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
        let made = Self::new(window, channels, &vars)?;
        vars.load(get)?;
        Ok(made.detached())
    }

    /// The same generator, which gets no gradients.
    pub(super) fn detached(self) -> Self {
        let detached = |tensors: Vec<Tensor>| tensors.iter().map(Tensor::detach).collect();
        Self { window: self.window, weights: detached(self.weights), biases: detached(self.biases) }
    }

    /// Its weights by their names.
    pub(super) fn named(&self) -> Vec<(String, Tensor)> {
        let of = |part: &'static str, tensors: &[Tensor]| -> Vec<(String, Tensor)> {
            tensors.iter().enumerate().map(|(at, tensor)| (format!("{at}.{part}"), tensor.detach())).collect()
        };
        [of("weight", &self.weights), of("bias", &self.biases)].concat()
    }

    /// Noise for `count` inputs (height, width, channels), drawn from `seed`: (count, height, width, channels), f32.
    pub(super) fn noise(&self, count: usize, (height, width, channels): (usize, usize, usize), seed: Seed) -> Result<Tensor> {
        let [first, second, rest @ ..] = &self.weights[..] else { bail!("a generator has {LAYERS} layers") };
        let rim = self.window - 1;
        let white = seed.normal((count, height + rim, width + rim, channels))?;
        let through = |xs: &Tensor, weight: &Tensor, bias: usize| {
            let (n, h, w, c) = xs.dims4()?;
            let ys = xs.reshape((n * h * w, c))?.matmul(&weight.squeeze(0)?)?.broadcast_add(&self.biases[bias])?;
            ys.reshape((n, h, w, ()))
        };
        let xs = through(&white, first, 0)?.relu()?;
        let mut sum: Option<Tensor> = None;
        for tap in 0..self.window * self.window {
            let at = xs.narrow(1, tap / self.window, height)?.narrow(2, tap % self.window, width)?;
            let at = at.reshape((count * height * width, WIDTH))?.matmul(&second.get(tap)?)?;
            sum = Some(sum.map_or_else(|| Ok(at.clone()), |sum| sum + &at)?);
        }
        let Some(sum) = sum else { bail!("a window of 0 positions") };
        let mut ys = sum.broadcast_add(&self.biases[1])?.relu()?.reshape((count, height, width, WIDTH))?;
        for (bias, weight) in (2..).zip(rest) {
            ys = through(&ys, weight, bias)?;
            if bias + 1 < LAYERS {
                ys = ys.relu()?;
            }
        }
        white.narrow(1, rim / 2, height)?.narrow(2, rim / 2, width)? + ys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sncn_core::loss::value;

    #[test]
    fn it_begins_as_white_noise_and_a_window_looks_at_neighbours() -> Result<()> {
        for window in [1, 3] {
            let vars = Vars::new(Seed::new(1), DType::F32, &Device::Cpu);
            let made = Generator::new(window, 3, &vars)?;
            let noise = made.noise(2, (5, 7, 3), Seed::new(3))?;
            assert_eq!(noise.dims(), [2, 5, 7, 3]);
            let rim = window - 1;
            let white = Seed::new(3).normal((2, 5 + rim, 7 + rim, 3))?.narrow(1, rim / 2, 5)?.narrow(2, rim / 2, 7)?;
            assert!(value(&(&noise - &white)?.abs()?.max_all()?)? < 1e-4, "window {window}");
            // with larger weights it is a convolution as candle has it, channels first
            for (at, (_, var)) in vars.all().into_iter().enumerate() {
                var.set(&(Seed::new(at as u64).normal(var.shape())? * 0.5)?)?;
            }
            let made = Generator::copied(window, 3, |name| {
                vars.all().into_iter().find(|one| one.0 == name).map(|one| one.1.as_tensor().clone())
            })?;
            let found = made.noise(2, (5, 7, 3), Seed::new(3))?;
            let mut xs = Seed::new(3).normal((2, 5 + rim, 7 + rim, 3))?.permute((0, 3, 1, 2))?.contiguous()?;
            for (at, (weight, bias)) in made.weights.iter().zip(&made.biases).enumerate() {
                let side = if at == 1 { window } else { 1 };
                let (_, from, to) = weight.dims3()?;
                let weight = weight.reshape((side, side, from, to))?.permute((3, 2, 0, 1))?.contiguous()?;
                xs = xs.conv2d(&weight, 0, 1, 1, 1)?.broadcast_add(&bias.reshape((1, to, 1, 1))?)?;
                xs = if at < 3 { xs.relu()? } else { xs };
            }
            let wanted = (xs.permute((0, 2, 3, 1))? + white)?;
            assert!(value(&(found - wanted)?.abs()?.max_all()?)? < 1e-4, "window {window}");
        }
        Ok(())
    }
}

//! CrossNorm (Tang et al. 2021, arXiv 2102.02811, section 3.1): in training, an instance is normalised and given the
//! statistics of another, perhaps taken from a crop.
//!
//! a = σ′/σ, y = a·(x − μ) + μ′. Drawing ([`sample`]) and doing ([`mix`]) are apart; nothing is detached. σ is
//! unbiased, with eps 1e-5 under the root.

use super::{Canonical, Layer, MemoryLayout, Place};
use crate::graph::FeatureMap;
use crate::pass::{Draw, Mixture, Pass, Window};
use crate::stats::{Extent, Outside, Stats, apply_centred};
use candle_core::{Result, Tensor, bail};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use rand_distr::{Beta, Distribution};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// eps under the root of the deviation.
pub(crate) const EPS: f64 = 1e-5;

/// Whose statistics are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Another instance's (what was published as code).
    #[default]
    TwoInstance,
    /// Another channel's of the same instance (in the paper only).
    OneInstance,
}

/// What is cropped: to a box of a map, or to a span of a sequence, at the same part of every sequence's length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crop {
    /// Nothing.
    #[default]
    Neither,
    /// The partner: its statistics come from the crop.
    Style,
    /// The instance: only the crop of it is restyled.
    Content,
    /// Both, by crops drawn independently.
    Both,
}

/// Settings of [`CrossNorm`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossNormConfig {
    /// Whose statistics are taken.
    pub mode: Mode,
    /// What is cropped.
    pub crop: Crop,
    /// Ratio of areas, of lengths in a sequence, ~ Beta(β, β).
    pub beta: f64,
    /// A crop is drawn again until its share of the map exceeds this.
    pub threshold: f64,
    /// Also permute the partner's channels.
    pub channel_shuffle: bool,
    /// λ of y = λ·x + (1 − λ)·mixed.
    pub blend: Option<f64>,
}

impl Default for CrossNormConfig {
    fn default() -> Self {
        let (mode, crop) = (Mode::default(), Crop::default());
        Self { mode, crop, beta: 1., threshold: 0.1, channel_shuffle: false, blend: None }
    }
}

impl CrossNormConfig {
    fn check(&self) -> Result<()> {
        if !(self.beta.is_finite() && self.beta > 0.) {
            bail!("layer crossnorm: beta is {}; a positive number is accepted", self.beta)
        }
        if !(0. ..1.).contains(&self.threshold) {
            bail!("layer crossnorm: threshold is {}; 0 up to (not including) 1 is accepted", self.threshold)
        }
        if self.blend.is_some_and(|blend| !(0. ..=1.).contains(&blend)) {
            bail!("layer crossnorm: blend is {:?}; 0 to 1 is accepted", self.blend)
        }
        Ok(())
    }
}

/// The box of that area ratio around that centre, clipped to the map, and its share of the map.
pub fn crop_window(height: usize, width: usize, ratio: f64, row: usize, column: usize) -> (Window, f64) {
    let side = |extent: usize| (extent as f64 * ratio.sqrt()) as usize / 2;
    let clip = |centre: usize, half: usize, extent: usize| (centre.saturating_sub(half), (centre + half).min(extent));
    let ((top, bottom), (left, right)) = (clip(row, side(height), height), clip(column, side(width), width));
    let share = ((bottom - top) * (right - left)) as f64 / (height * width) as f64;
    (Window { top, left, bottom, right }, share)
}

/// The span of that ratio of a row around that centre, clipped to it, and its share of it.
fn crop_span(width: usize, ratio: f64, column: usize) -> (Window, f64) {
    let half = (width as f64 * ratio) as usize / 2;
    let (left, right) = (column.saturating_sub(half), (column + half).min(width));
    (Window { top: 0, left, bottom: 1, right }, (right - left) as f64 / width as f64)
}

/// The same part of every sequence, of a span of the longest: at least 2 positions where it has as many.
fn spans(window: Window, longest: usize, lengths: &[usize]) -> Arc<[(usize, usize)]> {
    let part = |&length: &usize| {
        let start = (window.left * length / longest.max(1)).min(length.saturating_sub(2));
        (start, (window.right * length).div_ceil(longest.max(1)).max(start + 2).min(length))
    };
    lengths.iter().map(part).collect()
}

/// Draws a box, or of a single row a span, of more than `threshold` of the map, and of at least 2 positions.
fn draw_window(config: &CrossNormConfig, height: usize, width: usize, rng: &mut impl Rng) -> Result<Option<Window>> {
    let Ok(beta) = Beta::new(config.beta, config.beta) else { bail!("layer crossnorm: beta is {}", config.beta) };
    for _ in 0..10_000 {
        let ratio = beta.sample(rng);
        let (row, column) = (rng.random_range(0..height), rng.random_range(0..width));
        let (window, share) =
            if height == 1 { crop_span(width, ratio, column) } else { crop_window(height, width, ratio, row, column) };
        if share > config.threshold && (window.bottom - window.top) * (window.right - window.left) > 1 {
            return Ok(Some(window));
        }
    }
    // a map so small or thin that no box fits: the whole of it
    Ok(None)
}

/// Draws a mixture for a map of `instances` × (`height` × `width`) × `channels`.
///
/// # Errors
/// Where a setting is outside its range.
pub fn sample(
    config: &CrossNormConfig,
    (instances, height, width, channels): (usize, usize, usize, usize),
    rng: &mut impl Rng,
) -> Result<Mixture> {
    let shuffled = |count: usize, rng: &mut _| {
        let mut order: Vec<usize> = (0..count).collect();
        order.shuffle(rng);
        order
    };
    let (partner, shuffle) = match config.mode {
        Mode::TwoInstance => (shuffled(instances, rng), config.channel_shuffle),
        Mode::OneInstance => (Vec::new(), true),
    };
    let channels = shuffle.then(|| shuffled(channels, rng));
    let style = matches!(config.crop, Crop::Style | Crop::Both);
    let style = if style { draw_window(config, height, width, rng)? } else { None };
    let content = matches!(config.crop, Crop::Content | Crop::Both);
    let content = if content { draw_window(config, height, width, rng)? } else { None };
    Ok(Mixture { partner, channels, style, content, blend: config.blend })
}

/// Mixes x (N, P, C), a grid of that width, as drawn; padded positions (outside `extent`) become zero.
///
/// # Errors
/// Where the draws do not fit the map, or a box or sequence has fewer than 2 positions.
pub fn mix(xs: &Tensor, width: usize, extent: &Extent, mixture: &Mixture) -> Result<Tensor> {
    let (n, _, c) = xs.dims3()?;
    let indices = |order: &[usize], count: usize, what: &str| -> Result<Tensor> {
        if order.len() != count || order.iter().any(|&i| i >= count) {
            bail!("CrossNorm: {what} {order:?} is not a choice among {count}")
        }
        Tensor::from_iter(order.iter().map(|&i| i as u32), xs.device())
    };
    let partner = if mixture.partner.is_empty() { None } else { Some(indices(&mixture.partner, n, "partners")?) };
    let channels = mixture.channels.as_ref().map(|order| indices(order, c, "channels")).transpose()?;
    let within = |window: Option<Window>| match (window, extent) {
        (None, _) => extent.clone(),
        (Some(window), Extent::Prefix(lengths)) => Extent::Spans(spans(window, width, lengths)),
        (Some(window), _) => Extent::Window(window, width),
    };
    let (inside, style) = (within(mixture.content), within(mixture.style));
    let content = Stats::of(xs, &inside)?;
    let theirs = if style == inside { content.clone() } else { Stats::of(xs, &style)? };
    let theirs = theirs.select(partner.as_ref(), channels.as_ref())?;
    let a = theirs.deviation(EPS)?.div(&content.deviation(EPS)?)?;
    let (a, b) = match mixture.blend {
        // λ·x + (1 − λ)·(a·(x − μ) + μ′) is an affine map around μ too
        Some(blend) => (a.affine(1. - blend, blend)?, ((&content.mean * blend)? + (theirs.mean * (1. - blend))?)?),
        None => (a, theirs.mean),
    };
    let (outside, whole) = if matches!(inside, Extent::Prefix(_)) { (Outside::Zero, true) } else { (Outside::Keep, false) };
    let ys = apply_centred(xs, &content.mean, &a, &b, &inside, outside, false)?;
    if whole || !matches!(extent, Extent::Prefix(_)) {
        return Ok(ys);
    }
    // what lies outside the span stays, but for the padding
    let (zero, one) = (content.mean.zeros_like()?, content.mean.ones_like()?);
    apply_centred(&ys, &zero, &one, &zero, extent, Outside::Zero, false)
}

/// The CrossNorm layer: one site of a network, the identity unless the pass activates it.
pub struct CrossNorm {
    config: CrossNormConfig,
    site: usize,
    layout: MemoryLayout,
}

impl CrossNorm {
    /// Takes the next site number.
    ///
    /// # Errors
    /// Where a setting is outside its range.
    pub fn new(config: CrossNormConfig, place: &Place) -> Result<Self> {
        config.check()?;
        Ok(Self { config, site: place.next_site(), layout: place.layout })
    }
}

impl Layer for CrossNorm {
    fn recordable(&self) -> bool {
        self.layout == MemoryLayout::ChannelsLast
    }

    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        match pass.draw(self.site) {
            None => Ok(xs.clone()),
            Some(Draw::Given(mixture)) => xs.crossnorm(mixture),
            Some(Draw::Seeded(seed)) => xs.crossnorm(&sample(&self.config, xs.dims()?, &mut seed.rng())?),
        }
    }

    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let Some(draw) = pass.draw(self.site) else { return Ok(xs.clone()) };
        if self.recordable()
            && let Some(ys) = FeatureMap::alone(xs, pass, |xs| self.on_map(&xs, pass))?
        {
            return Ok(ys);
        }
        let map = Canonical::of(xs, self.layout, pass)?;
        let (n, _, c) = map.xs.dims3()?;
        let mixed = match draw {
            Draw::Given(mixture) => mix(&map.xs, map.width, &map.extent, mixture)?,
            Draw::Seeded(seed) => {
                let mixture = sample(&self.config, (n, map.height, map.width, c), &mut seed.rng())?;
                mix(&map.xs, map.width, &map.extent, &mixture)?
            }
        };
        map.restore(&mixed)
    }
}

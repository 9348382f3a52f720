//! `FeatureMap`: what flows between the layers of a network, and the recording behind it.
//!
//! On the CPU in f32 a network's body runs as one recording: norms, rectifiers and gates are tables for every instance and
//! channel (y = a·x + b) that the next convolution applies as it reads, so the normalised, gated, mixed or rectified map is
//! never written; statistics are gathered as a convolution writes. candle sees a single operation, whose backward pass
//! replays the recording. Everywhere else, and where a layer has no recorded form, the same calls are tensor operations
//! (the slow twin).

mod buffer;
mod conv;
mod crossnorm;
mod curve;
mod end;
mod join;
mod map;
mod norm;
mod observe;
mod parameters;
mod pool;
mod resize;
mod restyle;
mod selfnorm;
mod tokens;

pub(crate) use map::{Activation, Map};
pub(crate) use norm::Norms;

use crate::layer::{Layer, SelfNorm};
use crate::ops::{self, Conv};
use crate::pass::{Mixture, Pass, Precision};
use crate::stats::Extent;
use buffer::{Buffer, Values};
use candle_core::{DType, Result, Tensor, bail};
use conv::Plus;
use join::{After, add};
use map::{Source, Sums};
pub use observe::{Observer, observe};
pub use parameters::backward;
use std::cell::RefCell;
use std::rc::Rc;
pub use tokens::{Attention, Lookup, Packing, TokenMap};

/// The backward pass of one step; it must not fail: shapes were checked when it was recorded.
type Step = Box<dyn Fn(&mut Gradients) + Send + Sync>;

/// A parameter's place among all, in the order of their use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    index: usize,
    len: usize,
}

/// What a forward pass leaves for the backward pass.
#[derive(Default)]
struct Recorder {
    /// Whether a backward pass is wanted.
    record: bool,
    /// Whether the gradient of the input is wanted.
    to_input: bool,
    /// Whether convolutions gather no statistics while they write.
    bare: bool,
    /// Whether convolutions round their factors to bf16.
    bf16: bool,
    input: Option<Tensor>,
    steps: Vec<Step>,
    slots: usize,
    parameters: Vec<Tensor>,
}

/// Gradients of maps and parameters during the backward pass.
pub(crate) struct Gradients {
    maps: Vec<Option<Values>>,
    sums: Vec<Option<Sums>>,
    /// Of every use of a parameter; empty where none came.
    parameters: Vec<Vec<f32>>,
    /// Of what the recording gave.
    output: Vec<f32>,
}

impl Gradients {
    /// Of a recording with that many slots and parameters.
    fn new(slots: usize, parameters: usize) -> Self {
        let maps = (0..slots).map(|_| None).collect();
        let sums = (0..slots).map(|_| None).collect();
        Self { maps, sums, parameters: vec![Vec::new(); parameters], output: Vec::new() }
    }

    fn take(&mut self, slot: usize) -> Option<Values> {
        self.maps[slot].take()
    }

    /// Adds a map's gradient.
    fn give(&mut self, slot: usize, gradient: Values) {
        self.give_summed(slot, gradient, None);
    }

    /// Adds a map's gradient, with its sums where they are known.
    fn give_summed(&mut self, slot: usize, gradient: Values, sums: Option<Sums>) {
        self.sums[slot] = match (&self.maps[slot], self.sums[slot].take(), sums) {
            (None, _, sums) => sums,
            (Some(_), Some(held), Some(sums)) => Some(held.plus(&sums)),
            _ => None,
        };
        self.maps[slot] = Some(match self.maps[slot].take() {
            Some(sum) => {
                let mut sum = sum.into_buffer();
                ops::add_in_place(&mut sum, &gradient.part(0..gradient.len()));
                Values::Own(sum)
            }
            None => gradient,
        });
    }

    /// The sums of a gradient that was taken from `slot`: where a curve follows, whoever took it back through the curve
    /// summed it too.
    fn sums(&mut self, slot: usize, map: &Map, gradient: &Values) -> Sums {
        self.sums[slot].take().unwrap_or_else(|| map.sums(gradient))
    }

    /// The gradient of a parameter, zeros at first.
    fn parameter(&mut self, slot: Slot) -> &mut [f32] {
        let values = &mut self.parameters[slot.index];
        values.resize(slot.len, 0.);
        values
    }

    fn add_parameter(&mut self, slot: Slot, values: impl IntoIterator<Item = f64>) {
        self.parameter(slot).iter_mut().zip(values).for_each(|(sum, value)| *sum += value as f32);
    }
}

/// Gradients from [`FeatureMap::backward`].
pub struct MapGradients {
    input: Option<Buffer>,
    /// Of every use of a parameter, in order; empty where none came.
    pub parameters: Vec<Vec<f32>>,
}

impl MapGradients {
    /// Of the input, (N, H, W, C) row-major; absent where the input is no variable.
    pub fn input(&self) -> Option<&[f32]> {
        self.input.as_deref()
    }
}

/// A recording in progress.
#[derive(Clone, Default)]
pub(crate) struct Graph(Rc<RefCell<Recorder>>);

impl Graph {
    /// Whether both are one recording.
    fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    fn slot(&self) -> usize {
        let mut recorder = self.0.borrow_mut();
        recorder.slots += 1;
        recorder.slots - 1
    }

    fn parameter(&self, tensor: &Tensor) -> Slot {
        let mut recorder = self.0.borrow_mut();
        let slot = Slot { index: recorder.parameters.len(), len: tensor.elem_count() };
        recorder.parameters.push(tensor.clone());
        slot
    }

    /// Whether the gradient of what is read is wanted.
    fn wants(&self, source: &Source) -> bool {
        source.slot() > 0 || self.0.borrow().to_input
    }

    fn record(&self, step: impl Fn(&mut Gradients) + Send + Sync + 'static) {
        let mut recorder = self.0.borrow_mut();
        if recorder.record {
            recorder.steps.push(Box::new(step));
        }
    }
}

/// A map (N, H, W, C) between two layers.
#[derive(Clone)]
pub struct FeatureMap(Form);

#[derive(Clone)]
enum Form {
    Tensor(Tensor, Precision),
    Map(Graph, Map),
    Activation(Graph, Activation),
}

impl FeatureMap {
    /// Starts with a batch (N, H, W, C); recorded where the device and type allow it and `recordable` (every layer of the
    /// network has a recorded form).
    ///
    /// # Errors
    /// Where the shape does not fit.
    pub fn start(xs: &Tensor, recordable: bool, pass: &Pass) -> Result<Self> {
        if !(recordable && xs.device().is_cpu() && xs.dtype() == DType::F32) {
            return Ok(Self(Form::Tensor(xs.clone(), pass.precision())));
        }
        let graph = Graph::default();
        {
            let mut recorder = graph.0.borrow_mut();
            recorder.record = pass.train;
            recorder.input = Some(xs.clone());
            recorder.bf16 = pass.precision() == Precision::Bf16;
            recorder.to_input = pass.train && (xs.track_op() || xs.is_variable());
        }
        let map = Map::input(&graph, xs)?;
        Ok(Self(Form::Map(graph, map)))
    }

    /// Says whether the layers to come want the statistics of maps, so that convolutions gather them as they write (they do
    /// unless told otherwise); where they are wanted all the same, a pass over the map finds them.
    pub fn gathering(self, wanted: bool) -> Self {
        if let Form::Map(graph, _) | Form::Activation(graph, _) = &self.0 {
            graph.0.borrow_mut().bare = !wanted;
        }
        self
    }

    /// A layer alone on a tensor (N, H, W, C) or (N, L, C), recorded; nothing where it cannot be, or in evaluation.
    pub(crate) fn alone(xs: &Tensor, pass: &Pass, layer: impl FnOnce(Self) -> Result<Self>) -> Result<Option<Tensor>> {
        let dims = match *xs.dims() {
            [n, h, w, c] => (n, h, w, c),
            [n, l, c] if pass.lengths().is_none() => (n, 1, l, c),
            _ => return Ok(None),
        };
        if !pass.train || xs.elem_count() == 0 || !xs.device().is_cpu() || xs.dtype() != DType::F32 {
            return Ok(None);
        }
        layer(Self::start(&xs.reshape(dims)?, true, pass)?)?.to_tensor()?.reshape(xs.shape()).map(Some)
    }

    /// Convolution without bias; `weight` is (O, C / groups, kh, kw).
    ///
    /// # Errors
    /// Where shapes do not fit.
    pub fn conv(&self, weight: &Tensor, conv: &Conv) -> Result<Self> {
        self.conv_plus(weight, conv, Plus::default())
    }

    /// Convolution with a bias (O).
    ///
    /// # Errors
    /// Where shapes do not fit.
    pub fn conv_bias(&self, weight: &Tensor, bias: &Tensor, conv: &Conv) -> Result<Self> {
        self.conv_plus(weight, conv, Plus { bias: Some(bias), map: None })
    }

    fn conv_plus(&self, weight: &Tensor, conv: &Conv, plus: Plus<'_>) -> Result<Self> {
        let (graph, source) = match &self.0 {
            &Form::Tensor(ref xs, precision) => {
                return Ok(Self(Form::Tensor(ops::conv2d_rounded(xs, weight, plus.bias, conv, precision)?, precision)));
            }
            Form::Map(graph, map) => (graph, map.into()),
            Form::Activation(graph, activation) => (graph, activation.into()),
        };
        Ok(Self(Form::Map(graph.clone(), conv::conv(graph, source, weight, conv, plus)?)))
    }

    /// Convolution without bias, plus another map.
    ///
    /// # Errors
    /// Where shapes do not fit.
    pub fn conv_add(&self, weight: &Tensor, conv: &Conv, other: &Self) -> Result<Self> {
        match (&self.0, &other.0) {
            (Form::Activation(..), Form::Map(_, other)) => self.conv_plus(weight, conv, Plus { bias: None, map: Some(other) }),
            _ => self.conv(weight, conv)?.add(other),
        }
    }

    /// The sum of two maps.
    ///
    /// # Errors
    /// Where shapes do not fit.
    pub fn add(&self, other: &Self) -> Result<Self> {
        match (&self.settled()?.0, &other.settled()?.0) {
            (Form::Tensor(xs, precision), Form::Tensor(ys, _)) => Ok(Self(Form::Tensor((xs + ys)?, *precision))),
            (Form::Map(graph, xs), Form::Map(_, ys)) => Ok(Self(Form::Map(graph.clone(), add(graph, xs, ys, After::Gather)?))),
            _ => bail!("a recorded map and a tensor are added: start both from one map"),
        }
    }

    /// The map with every pending table applied, as a tensor (N, H, W, C) on candle's tape.
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn to_tensor(&self) -> Result<Tensor> {
        match self.written()?.0 {
            Form::Tensor(xs, _) => Ok(xs),
            Form::Map(graph, map) => end::whole(&graph, map),
            Form::Activation(..) => bail!("an activation was not settled"),
        }
    }

    /// The map with every pending table applied: what a reader would read.
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn written(&self) -> Result<Self> {
        match &self.settled()?.0 {
            Form::Map(graph, map) => Ok(Self(Form::Map(graph.clone(), map::write(graph, map)))),
            _ => Ok(self.clone()),
        }
    }

    /// Runs the recording backward from the map's gradient (N, H, W, C), without candle's tape.
    ///
    /// # Errors
    /// Where this is not a recorded map of a training pass, or the gradient has another shape.
    pub fn backward(&self, gradient: &Tensor) -> Result<MapGradients> {
        let Form::Map(graph, map) = &self.0 else { bail!("only a recorded map can be run backward") };
        if gradient.dims4()? != map.dims {
            bail!("a gradient of shape {:?} for a map of shape {:?}", gradient.dims(), map.dims)
        }
        end::backward(graph, map.slot, gradient)
    }

    /// The same with a pending rectifier applied.
    fn settled(&self) -> Result<Self> {
        match &self.0 {
            Form::Activation(graph, a) => Ok(Self(Form::Map(graph.clone(), map::settle(graph, a)))),
            _ => Ok(self.clone()),
        }
    }

    /// A tensor operation that keeps the shape.
    pub(crate) fn on_tensor(&self, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        match &self.0 {
            Form::Tensor(xs, precision) => Ok(Self(Form::Tensor(f(xs)?, *precision))),
            _ => bail!("a layer without a recorded form on a recorded map"),
        }
    }

    fn on_recording(&self, f: impl FnOnce(&Graph, &Map) -> Result<Map>) -> Result<Self> {
        match &self.settled()?.0 {
            Form::Map(graph, map) => Ok(Self(Form::Map(graph.clone(), f(graph, map)?))),
            _ => bail!("a recorded layer on a tensor"),
        }
    }

    pub(crate) fn selfnorm(&self, layer: &SelfNorm, pass: &Pass) -> Result<Self> {
        match &self.0 {
            Form::Tensor(..) => self.on_tensor(|xs| layer.forward(xs, pass)),
            _ => self.on_recording(|graph, map| selfnorm::gate(graph, map, layer, pass)),
        }
    }

    pub(crate) fn crossnorm(&self, mixture: &Mixture) -> Result<Self> {
        match &self.0 {
            Form::Tensor(..) => self.on_tensor(|xs| {
                let (n, h, w, c) = xs.dims4()?;
                crate::layer::mix(&xs.reshape((n, h * w, c))?, w, &Extent::All, mixture)?.reshape((n, h, w, c))
            }),
            _ => self.on_recording(|graph, map| crossnorm::mix(graph, map, mixture)),
        }
    }

    /// New statistics from the map's own, not differentiated: `tables` makes slope and centre (N, C) of mean and deviation;
    /// `plain` is the same on a tensor (N, P, C).
    pub(crate) fn restyle(
        &self,
        eps: f64,
        tables: impl FnOnce(&[f64], &[f64]) -> Result<(Vec<f64>, Vec<f64>)>,
        plain: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        match &self.0 {
            Form::Tensor(..) => self.on_tensor(|xs| {
                let (n, h, w, c) = xs.dims4()?;
                plain(&xs.reshape((n, h * w, c))?)?.reshape((n, h, w, c))
            }),
            _ => self.on_recording(|graph, map| restyle::restyle(graph, map, eps, tables)),
        }
    }

    /// (N, H, W, C).
    ///
    /// # Errors
    /// Where a tensor has another rank.
    pub fn dims(&self) -> Result<(usize, usize, usize, usize)> {
        match &self.0 {
            Form::Tensor(xs, _) => xs.dims4(),
            Form::Map(_, map) | Form::Activation(_, Activation { map, .. }) => Ok(map.dims),
        }
    }
}

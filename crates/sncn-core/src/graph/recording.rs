//! `Recording`: what a forward pass records for the backward pass, and the gradients during that.

use super::pooled::Values;
use crate::Pass;
use crate::kept::KeptWeights;
use crate::ops;
use candle_core::Tensor;
use sncn_kernels::conv::ConvShape;
use sncn_kernels::fused::PackedWeight;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// The backward pass of one operation. It cannot fail, since shapes were checked when it was recorded.
pub(super) type Backward = Box<dyn Fn(&mut Gradients) + Send + Sync>;

/// A use of a parameter: its index in the order of use, and its number of values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    index: usize,
    pub(super) len: usize,
}

/// The settings of a recording.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mode {
    /// Whether the backward pass is recorded.
    pub(super) record: bool,
    /// Whether the input needs a gradient.
    pub(super) to_input: bool,
    /// Whether convolutions round input and weight to bf16.
    pub(super) bf16: bool,
}

/// What was recorded so far.
#[derive(Default)]
pub(super) struct Log {
    pub(super) mode: Mode,
    pub(super) input: Option<Tensor>,
    pub(super) steps: Vec<Backward>,
    pub(super) slots: Slots,
    pub(super) parameters: Vec<Tensor>,
    kept: Option<Arc<KeptWeights>>,
}

/// The slots in which gradients of maps are accumulated; those of detached maps accumulate none.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    count: usize,
    detached: Vec<usize>,
}

/// A recording in progress.
#[derive(Clone, Default)]
pub(super) struct Recording(Rc<RefCell<Log>>);

impl Recording {
    /// Starts a recording; the slot of its input is 0.
    pub(super) fn begin(input: Tensor, mode: Mode, pass: &Pass) -> Self {
        Self(Rc::new(RefCell::new(Log { mode, input: Some(input), kept: pass.kept(), ..Log::default() })))
    }

    /// The packed values of a weight, for the forward pass.
    pub(super) fn packed(&self, weight: &Tensor, values: &[f32], shape: &ConvShape) -> Arc<PackedWeight> {
        let log = self.0.borrow();
        KeptWeights::packed(log.kept.as_deref(), weight, values, shape, log.mode.bf16)
    }

    /// Whether both are the same recording.
    pub(super) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn mode(&self) -> Mode {
        self.0.borrow().mode
    }

    /// A new slot.
    pub(super) fn slot(&self) -> usize {
        let slots = &mut self.0.borrow_mut().slots;
        slots.count += 1;
        slots.count - 1
    }

    /// A new slot that accumulates no gradient.
    pub(super) fn detached_slot(&self) -> usize {
        let slot = self.slot();
        self.0.borrow_mut().slots.detached.push(slot);
        slot
    }

    pub(super) fn parameter(&self, tensor: &Tensor) -> Parameter {
        let parameters = &mut self.0.borrow_mut().parameters;
        parameters.push(tensor.clone());
        Parameter { index: parameters.len() - 1, len: tensor.elem_count() }
    }

    /// Whether the map with that slot needs a gradient.
    pub(super) fn wants(&self, slot: usize) -> bool {
        let log = self.0.borrow();
        (slot > 0 || log.mode.to_input) && !log.slots.detached.contains(&slot)
    }

    pub(super) fn record(&self, step: impl Fn(&mut Gradients) + Send + Sync + 'static) {
        let mut log = self.0.borrow_mut();
        if log.mode.record {
            log.steps.push(Box::new(step));
        }
    }

    /// Ends the recording and returns it.
    pub(super) fn take(&self) -> Log {
        std::mem::take(&mut *self.0.borrow_mut())
    }

    /// Calls `f` with what was recorded so far.
    pub(super) fn with<T>(&self, f: impl FnOnce(&Log) -> T) -> T {
        f(&self.0.borrow())
    }
}

/// Σ G and Σ G·(x − m), each (N, C), of a gradient G, with the body x of the map and its mean m.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    pub(super) one: Vec<f64>,
    pub(super) two: Vec<f64>,
}

impl Sums {
    pub(super) fn zeros(entries: usize) -> Self {
        Self { one: vec![0.; entries], two: vec![0.; entries] }
    }

    /// The sums of two gradients together.
    fn plus(mut self, other: &Self) -> Self {
        self.one.iter_mut().zip(&other.one).for_each(|(sum, one)| *sum += one);
        self.two.iter_mut().zip(&other.two).for_each(|(sum, two)| *sum += two);
        self
    }
}

/// Gradients of maps and parameters during the backward pass.
pub(super) struct Gradients {
    maps: Vec<Option<Values>>,
    sums: Vec<Option<Sums>>,
    detached: Vec<usize>,
    /// Those of each use of a parameter; empty where there is none.
    pub(super) parameters: Vec<Vec<f32>>,
    /// That of the recording's result, where it is not a map.
    pub(super) output: Vec<f32>,
}

impl Gradients {
    /// No gradients yet, for a recording with these slots and this many uses of parameters.
    pub(super) fn new(slots: &Slots, parameters: usize) -> Self {
        let maps = (0..slots.count).map(|_| None).collect();
        let sums = (0..slots.count).map(|_| None).collect();
        Self { maps, sums, detached: slots.detached.clone(), parameters: vec![Vec::new(); parameters], output: Vec::new() }
    }

    pub(super) fn take(&mut self, slot: usize) -> Option<Values> {
        self.maps[slot].take()
    }

    /// The sums of the gradient of a slot, where they were computed.
    pub(super) fn take_sums(&mut self, slot: usize) -> Option<Sums> {
        self.sums[slot].take()
    }

    /// Replaces the gradient of a slot.
    pub(super) fn replace(&mut self, slot: usize, gradient: Values) {
        self.sums[slot] = None;
        self.maps[slot] = Some(gradient);
    }

    /// Whether that slot accumulates no gradient.
    pub(super) fn drops(&self, slot: usize) -> bool {
        self.detached.contains(&slot)
    }

    /// Adds a gradient to that of a slot.
    pub(super) fn give(&mut self, slot: usize, gradient: Values) {
        self.give_summed(slot, gradient, None);
    }

    /// Adds a gradient, with its sums where they were computed, to that of a slot.
    pub(super) fn give_summed(&mut self, slot: usize, gradient: Values, sums: Option<Sums>) {
        if self.drops(slot) {
            return;
        }
        self.sums[slot] = match (&self.maps[slot], self.sums[slot].take(), sums) {
            (None, _, sums) => sums,
            (Some(_), Some(held), Some(sums)) => Some(held.plus(&sums)),
            _ => None,
        };
        self.maps[slot] = Some(match self.maps[slot].take() {
            Some(sum) => {
                let mut sum = sum.into_pooled();
                ops::add_in_place(&mut sum, &gradient.part(0..gradient.len()));
                Values::Own(sum)
            }
            None => gradient,
        });
    }

    /// The gradient of a use of a parameter, initially zeros.
    pub(super) fn parameter(&mut self, parameter: Parameter) -> &mut [f32] {
        let values = &mut self.parameters[parameter.index];
        values.resize(parameter.len, 0.);
        values
    }

    pub(super) fn add_parameter(&mut self, parameter: Parameter, values: impl IntoIterator<Item = f64>) {
        self.parameter(parameter).iter_mut().zip(values).for_each(|(sum, value)| *sum += value as f32);
    }
}

//! `Recording`: what a forward pass leaves for the backward pass, and the gradients while that runs.

use super::buffer::Values;
use crate::ops;
use candle_core::Tensor;
use std::cell::RefCell;
use std::rc::Rc;

/// The backward pass of one operation; it does not fail: shapes were checked when it was recorded.
pub(super) type Backward = Box<dyn Fn(&mut Gradients) + Send + Sync>;

/// A parameter's place among all, in the order of their use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    index: usize,
    pub(super) len: usize,
}

/// What is recorded, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mode {
    /// Whether a backward pass is wanted.
    pub(super) record: bool,
    /// Whether the gradient of the input is wanted.
    pub(super) to_input: bool,
    /// Whether convolutions gather no statistics while they write.
    pub(super) bare: bool,
    /// Whether convolutions round their factors to bf16.
    pub(super) bf16: bool,
}

/// The steps of a recording, and what they are about.
#[derive(Default)]
pub(super) struct Log {
    pub(super) mode: Mode,
    pub(super) input: Option<Tensor>,
    pub(super) steps: Vec<Backward>,
    pub(super) slots: Slots,
    pub(super) parameters: Vec<Tensor>,
}

/// Where gradients of maps are gathered: a slot each, some of which take none.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    count: usize,
    aside: Vec<usize>,
}

/// A recording in progress.
#[derive(Clone, Default)]
pub(super) struct Recording(Rc<RefCell<Log>>);

impl Recording {
    /// Begins with an input, whose slot is the first.
    pub(super) fn begin(input: Tensor, mode: Mode) -> Self {
        Self(Rc::new(RefCell::new(Log { mode, input: Some(input), ..Log::default() })))
    }

    /// Whether both are one recording.
    pub(super) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn mode(&self) -> Mode {
        self.0.borrow().mode
    }

    pub(super) fn set_bare(&self, bare: bool) {
        self.0.borrow_mut().mode.bare = bare;
    }

    /// A slot for the gradient of another map.
    pub(super) fn slot(&self) -> usize {
        let slots = &mut self.0.borrow_mut().slots;
        slots.count += 1;
        slots.count - 1
    }

    /// A slot in which every gradient is dropped.
    pub(super) fn slot_aside(&self) -> usize {
        let slot = self.slot();
        self.0.borrow_mut().slots.aside.push(slot);
        slot
    }

    pub(super) fn parameter(&self, tensor: &Tensor) -> Parameter {
        let parameters = &mut self.0.borrow_mut().parameters;
        parameters.push(tensor.clone());
        Parameter { index: parameters.len() - 1, len: tensor.elem_count() }
    }

    /// Whether the gradient of the map with that slot is wanted.
    pub(super) fn wants(&self, slot: usize) -> bool {
        let log = self.0.borrow();
        (slot > 0 || log.mode.to_input) && !log.slots.aside.contains(&slot)
    }

    pub(super) fn record(&self, step: impl Fn(&mut Gradients) + Send + Sync + 'static) {
        let mut log = self.0.borrow_mut();
        if log.mode.record {
            log.steps.push(Box::new(step));
        }
    }

    /// Ends it: what was recorded.
    pub(super) fn take(&self) -> Log {
        std::mem::take(&mut *self.0.borrow_mut())
    }

    /// Looks at what was recorded so far.
    pub(super) fn with<T>(&self, f: impl FnOnce(&Log) -> T) -> T {
        f(&self.0.borrow())
    }
}

/// Σ G and Σ G·(x − m) of a gradient, each (N, C), x and its mean m before the view.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    pub(super) one: Vec<f64>,
    pub(super) two: Vec<f64>,
}

impl Sums {
    pub(super) fn zeros(entries: usize) -> Self {
        Self { one: vec![0.; entries], two: vec![0.; entries] }
    }

    /// Of two gradients together.
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
    aside: Vec<usize>,
    /// Of every use of a parameter; empty where none came.
    pub(super) parameters: Vec<Vec<f32>>,
    /// Of what the recording gave, where that is no map.
    pub(super) output: Vec<f32>,
}

impl Gradients {
    /// Of a recording with those slots and so many parameters.
    pub(super) fn new(slots: &Slots, parameters: usize) -> Self {
        let maps = (0..slots.count).map(|_| None).collect();
        let sums = (0..slots.count).map(|_| None).collect();
        Self { maps, sums, aside: slots.aside.clone(), parameters: vec![Vec::new(); parameters], output: Vec::new() }
    }

    pub(super) fn take(&mut self, slot: usize) -> Option<Values> {
        self.maps[slot].take()
    }

    /// The sums of the gradient that was taken from a slot, where they are known.
    pub(super) fn take_sums(&mut self, slot: usize) -> Option<Sums> {
        self.sums[slot].take()
    }

    /// Puts a gradient in place of what a slot holds.
    pub(super) fn replace(&mut self, slot: usize, gradient: Values) {
        self.sums[slot] = None;
        self.maps[slot] = Some(gradient);
    }

    /// Whether every gradient for that slot is dropped.
    pub(super) fn drops(&self, slot: usize) -> bool {
        self.aside.contains(&slot)
    }

    /// Adds a map's gradient.
    pub(super) fn give(&mut self, slot: usize, gradient: Values) {
        self.give_summed(slot, gradient, None);
    }

    /// Adds a map's gradient, with its sums where they are known.
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
                let mut sum = sum.into_buffer();
                ops::add_in_place(&mut sum, &gradient.part(0..gradient.len()));
                Values::Own(sum)
            }
            None => gradient,
        });
    }

    /// The gradient of a parameter, zeros at first.
    pub(super) fn parameter(&mut self, parameter: Parameter) -> &mut [f32] {
        let values = &mut self.parameters[parameter.index];
        values.resize(parameter.len, 0.);
        values
    }

    pub(super) fn add_parameter(&mut self, parameter: Parameter, values: impl IntoIterator<Item = f64>) {
        self.parameter(parameter).iter_mut().zip(values).for_each(|(sum, value)| *sum += value as f32);
    }
}

//! `BuildContext`: what a layer's constructor needs.

use candle_nn::VarBuilder;
use std::cell::Cell;
use std::rc::Rc;

/// What a layer's constructor needs: the number of channels, a `VarBuilder` for its variables, the stage of the network it is
/// in, and the counter that numbers sites. Contexts of one network share the counter.
#[derive(Clone)]
pub struct BuildContext<'a> {
    /// Channels of the map that the layer takes.
    pub channels: usize,
    /// The builder that creates the layer's variables.
    pub vb: VarBuilder<'a>,
    stage: usize,
    stages: usize,
    counts: Rc<Counts>,
}

/// What the contexts of a network share.
#[derive(Default)]
struct Counts {
    sites: Cell<usize>,
    norms: Cell<usize>,
    /// Norms that stand in the place of the usual ones.
    replaced: Cell<usize>,
    /// Norms that were added at the ends of blocks.
    ends: Cell<usize>,
    /// Layers without a recorded form.
    unrecordable: Cell<usize>,
}

/// Counts one more; gives how many there were.
fn next(count: &Cell<usize>) -> usize {
    count.replace(count.get() + 1)
}

impl<'a> BuildContext<'a> {
    /// The context of a new network, outside all stages, with no sites yet.
    pub fn new(channels: usize, vb: VarBuilder<'a>) -> Self {
        Self { channels, vb, stage: 0, stages: 0, counts: Rc::default() }
    }

    /// The context of a part of the same network, with its own variables and channels.
    pub fn at(&self, channels: usize, vb: VarBuilder<'a>) -> Self {
        Self { channels, vb, stage: self.stage, stages: self.stages, counts: self.counts.clone() }
    }

    /// The same context in a stage of the network; stages count from 1.
    pub fn in_stage(self, stage: usize) -> Self {
        Self { stage, ..self }
    }

    /// The same context in a network of that many stages.
    pub fn of_stages(self, stages: usize) -> Self {
        Self { stages, ..self }
    }

    /// Returns the stage, from 1; 0 outside all stages.
    pub fn stage(&self) -> usize {
        self.stage
    }

    /// Returns the number of stages of the network; 0 where it has none.
    pub fn stages(&self) -> usize {
        self.stages
    }

    /// Takes the number of the next site: a mixing layer calls this once, when it is built.
    pub fn next_site(&self) -> usize {
        next(&self.counts.sites)
    }

    /// Returns the number of sites so far; after a network is built, that of the network.
    pub fn sites(&self) -> usize {
        self.counts.sites.get()
    }

    /// Takes the number of the next norm.
    pub(super) fn next_norm(&self) -> usize {
        next(&self.counts.norms)
    }

    /// Notes a norm that stands in the place of a usual one.
    pub(super) fn note_norm(&self, recordable: bool) {
        next(&self.counts.replaced);
        self.note_layer(recordable);
    }

    /// Notes a norm at the end of a block.
    pub(super) fn note_end(&self) {
        next(&self.counts.ends);
    }

    /// Notes a layer, which may have no recorded form.
    pub(super) fn note_layer(&self, recordable: bool) {
        if !recordable {
            next(&self.counts.unrecordable);
        }
    }

    /// How many norms stand in the place of usual ones, and how many were added at the ends of blocks.
    pub(super) fn norms(&self) -> (usize, usize) {
        (self.counts.replaced.get(), self.counts.ends.get())
    }

    /// Whether all layers that were noted have a recorded form.
    pub(super) fn is_recordable(&self) -> bool {
        self.counts.unrecordable.get() == 0
    }
}

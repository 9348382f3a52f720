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
    sites: Rc<Cell<usize>>,
}

impl<'a> BuildContext<'a> {
    /// The context of a new network, outside all stages, with no sites yet.
    pub fn new(channels: usize, vb: VarBuilder<'a>) -> Self {
        Self { channels, vb, stage: 0, sites: Rc::default() }
    }

    /// The context of a part of the same network, with its own variables and channels.
    pub fn at(&self, channels: usize, vb: VarBuilder<'a>) -> Self {
        Self { channels, vb, stage: self.stage, sites: self.sites.clone() }
    }

    /// The same context in a stage of the network; stages count from 1.
    pub fn in_stage(self, stage: usize) -> Self {
        Self { stage, ..self }
    }

    /// Returns the stage, from 1; 0 outside all stages.
    pub fn stage(&self) -> usize {
        self.stage
    }

    /// Takes the number of the next site: a mixing layer calls this once, when it is built.
    pub fn next_site(&self) -> usize {
        self.sites.replace(self.sites.get() + 1)
    }

    /// Returns the number of sites so far; after a network is built, that of the network.
    pub fn sites(&self) -> usize {
        self.sites.get()
    }
}

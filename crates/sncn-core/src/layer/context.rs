//! `BuildContext`: where a layer is being built.

use candle_nn::VarBuilder;
use std::cell::Cell;
use std::rc::Rc;

/// Where a layer is being built.
#[derive(Clone)]
pub struct BuildContext<'a> {
    /// Channels of the map.
    pub channels: usize,
    /// Its variables.
    pub vb: VarBuilder<'a>,
    stage: usize,
    sites: Rc<Cell<usize>>,
}

impl<'a> BuildContext<'a> {
    /// The first place of a network.
    pub fn new(channels: usize, vb: VarBuilder<'a>) -> Self {
        Self { channels, vb, stage: 0, sites: Rc::default() }
    }

    /// The same network, other variables and channels.
    pub fn at(&self, channels: usize, vb: VarBuilder<'a>) -> Self {
        Self { channels, vb, stage: self.stage, sites: self.sites.clone() }
    }

    /// The same place as part of that stage, from 1.
    pub fn in_stage(self, stage: usize) -> Self {
        Self { stage, ..self }
    }

    /// The stage it is part of; 0 outside all stages.
    pub fn stage(&self) -> usize {
        self.stage
    }

    /// The number of the next site, where a layer that mixes instances may act, in order of construction.
    pub fn next_site(&self) -> usize {
        self.sites.replace(self.sites.get() + 1)
    }

    /// Sites so far.
    pub fn sites(&self) -> usize {
        self.sites.get()
    }
}

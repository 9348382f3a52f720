//! What adaptation at test time costs: statistics of the batch beside a training forward pass, TENT beside a training step.

use super::trainer::{BATCH, Trainer};
use anyhow::Result;
use sncn_core::{LayerConfig, Network, Pass, Seed};
use sncn_train::harness::bench::{Meter, emit};
use sncn_train::{Adapt, Adapting};

/// The networks, with the layers attached to them.
const NETWORKS: [(&str, &[&str]); 3] = [("wrn40_2", &[]), ("wrn40_2", &["selfnorm"]), ("wrn16_2", &["selfnorm"])];

/// Prints seconds' ratios, each from one run in which both take turns.
pub(super) fn run(meter: &Meter) -> Result<()> {
    for (backbone, layers) in NETWORKS {
        let layers: Vec<LayerConfig> = layers.iter().map(|kind| LayerConfig::new(*kind, "post")).collect();
        let name = layers.iter().fold(backbone.to_string(), |name, layer| format!("{name}, {}", layer.kind));
        let mut trainer = Trainer::with(backbone, &layers)?;
        let inputs = trainer.batch.inputs.clone();
        let (training, kept) = (Pass::train(Seed::new(1)), Pass::eval().keeping_weights());
        for kind in ["batch", "cumulative"] {
            let adapt = Adapt::parse(kind)?.resolved(BATCH)?;
            let adapting = Adapting::new(&*trainer.network, &trainer.vars, &adapt);
            let network = &*trainer.network;
            let mut forward = || network.forward(&inputs, &training).map(drop).map_err(Into::into);
            let mut adapted = || adapting.forward(&inputs, &kept).map(drop).map_err(Into::into);
            let seconds = meter.alternating(&mut [&mut forward, &mut adapted])?;
            emit(&name, &format!("{kind} statistics / training forward pass"), seconds[1] / seconds[0], "times");
        }
        let (other, adapt) = (Trainer::with(backbone, &layers)?, Adapt::parse("tent")?.resolved(BATCH)?);
        let adapting = Adapting::new(&*other.network, &other.vars, &adapt);
        let mut step = || trainer.step(&[]);
        let mut tent = || adapting.forward(&inputs, &kept).map(drop).map_err(Into::into);
        let seconds = meter.alternating(&mut [&mut step, &mut tent])?;
        emit(&name, "TENT / training step", seconds[1] / seconds[0], "times");
    }
    Ok(())
}

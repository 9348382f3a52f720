//! What `sncn-classify bench` measures; `cargo xtask bench` sets it beside a peer's.

mod adapt;
mod fcn;
mod fixmatch;
mod folder;
mod imagenet;
mod images;
mod layers;
mod loading;
mod photographs;
mod trainer;
mod work;

use anyhow::{Result, bail};
use sncn_core::layer::LAYERS;
use sncn_core::{LayerConfig, Pass, Precision, Seed};
use sncn_train::harness::bench::{Case, Meter, emit, peak_memory, profile};
use trainer::{BATCH, Trainer};

/// Everything that is measured.
pub(super) const CASES: &[Case] = &[
    Case { name: "wrn", about: "WideResNet-40-2 at batch 128: training and inference", run: wrn },
    Case { name: "networks", about: "a training step of each network of the CIFAR experiments, batch 128", run: networks },
    Case { name: "images", about: "AugMix and the corruptions, images a second", run: |meter, _| images::run(meter) },
    Case {
        name: "imagenet",
        about: "ResNet-50 and EfficientNet-Lite0 at 224 × 224 pixels: training and inference",
        run: imagenet::run,
    },
    Case {
        name: "photographs",
        about: "the corruptions on an image of 640 × 427 pixels, milliseconds",
        run: |meter, _| photographs::run(meter),
    },
    Case {
        name: "folder",
        about: "a folder of photographs of 1600 × 1200 pixels corrupted, copies a second",
        run: |_, _| folder::run(),
    },
    Case {
        name: "fcn",
        about: "FCN-ResNet50 on two images of 257 × 257 pixels: training and inference",
        run: |meter, _| fcn::run(meter),
    },
    Case {
        name: "loading",
        about: "JPEG files of 500 × 375 pixels to inputs of 224: decoded, random resized crop, flip, normalised",
        run: |meter, _| loading::run(meter),
    },
    Case {
        name: "epoch",
        about: "ResNet-18 trained on JPEG files, and on the same in memory",
        run: |meter, _| loading::epochs(meter),
    },
    Case {
        name: "fixmatch",
        about: "a step of FixMatch on WideResNet-28-2, 64 labelled and 448 other images, RandAugment included",
        run: |meter, _| fixmatch::run(meter),
    },
    Case {
        name: "attached",
        about: "a training step of WideResNet-40-2 with each layer after every block (mixing layers: 2 sites act)",
        run: attached,
    },
    Case {
        name: "layers",
        about: "SelfNorm, CrossNorm, BatchNorm with rectifier, and convolutions, on CIFAR-sized maps",
        run: |meter, _| layers::layers(meter),
    },
    Case {
        name: "adapt",
        about: "adaptation at test time: statistics beside a training forward pass, TENT beside a training step",
        run: |meter, _| adapt::run(meter),
    },
    Case { name: "linear", about: "linear layers", run: |meter, _| layers::linear(meter) },
    Case { name: "memory", about: "peak memory of a training step, in a process of its own", run: memory },
    Case {
        name: "profile",
        about: "where the time of a training step goes (--network wrn40_2, fcn_resnet50, …)",
        run: step_profile,
    },
];

/// The network that `--network` names, if it is among those of the CIFAR experiments.
fn named(network: &str) -> Option<(&'static str, &'static str)> {
    NETWORKS.into_iter().find(|(name, _)| *name == network)
}

fn wrn(meter: &Meter, _: Option<&str>) -> Result<()> {
    let mut trainer = Trainer::new("wrn40_2", "post")?;
    for (what, sites) in [("train, SelfNorm", &[][..]), ("train, SelfNorm + 2 CrossNorm", &SITES)] {
        let seconds = meter.seconds(|| trainer.step(sites))?;
        meter.rate("wrn40_2", what, (BATCH, 3. * WRN_OPERATIONS), seconds, "images/s");
    }
    let pass = Pass::eval().keeping_weights();
    let seconds = meter.seconds(|| Ok(trainer.network.forward(&trainer.batch.inputs, &pass)?))?;
    meter.rate("wrn40_2", "inference, SelfNorm", (BATCH, WRN_OPERATIONS), seconds, "images/s");
    let bf16 = pass.with_precision(Precision::Bf16);
    let seconds = meter.seconds(|| Ok(trainer.network.forward(&trainer.batch.inputs, &bf16)?))?;
    emit("wrn40_2", "inference, SelfNorm, bf16", 128. / seconds, "images/s");
    Ok(())
}

fn networks(meter: &Meter, only: Option<&str>) -> Result<()> {
    let chosen = match only {
        None => NETWORKS.to_vec(),
        Some(one) => named(one).map_or_else(|| unknown(one), |network| Ok(vec![network]))?,
    };
    for (backbone, at) in chosen {
        let mut trainer = Trainer::new(backbone, at)?;
        let seconds = meter.seconds(|| trainer.step(&SITES))?;
        emit(&format!("network {backbone}"), "train, SelfNorm + 2 CrossNorm", BATCH as f64 / seconds, "images/s");
    }
    Ok(())
}

fn attached(meter: &Meter, _: Option<&str>) -> Result<()> {
    let mut plain = Trainer::with("wrn40_2", &[])?;
    for (kind, _) in LAYERS {
        let mut trainer = Trainer::with("wrn40_2", &[LayerConfig::new(*kind, "post")])?;
        let pass = Pass::mixing(trainer.network.sites(), SITES.len(), Seed::new(1));
        let seconds = meter.alternating(&mut [&mut || plain.step(&[]), &mut || trainer.step_in(&pass)])?;
        meter.rate("wrn40_2", &format!("train, {kind}"), (BATCH, 3. * WRN_OPERATIONS), seconds[1], "images/s");
        emit("wrn40_2", &format!("step with {kind} over without, by turns"), seconds[1] / seconds[0], "times");
    }
    Ok(())
}

fn memory(_: &Meter, _: Option<&str>) -> Result<()> {
    let mut trainer = Trainer::new("wrn40_2", "post")?;
    (0..3).try_for_each(|_| trainer.step(&SITES))?;
    emit("wrn40_2", "peak memory", peak_memory(), "MB");
    Ok(())
}

fn step_profile(meter: &Meter, only: Option<&str>) -> Result<()> {
    let wanted = only.unwrap_or("wrn40_2");
    let (mut trainer, sites) = match named(wanted) {
        Some((name, at)) => (Trainer::new(name, at)?, &SITES[..]),
        None if wanted == fcn::NAME => (fcn::trainer()?, &[][..]),
        None if wanted == fixmatch::NAME => (fixmatch::trainer()?, &[][..]),
        None => match imagenet::NETWORKS.into_iter().find(|(name, _)| *name == wanted) {
            Some(network) => (imagenet::trainer(network)?, &[][..]),
            None => return unknown(wanted),
        },
    };
    profile(meter, &format!("{wanted} step"), || trainer.step(sites))
}

fn unknown<T>(network: &str) -> Result<T> {
    let known: Vec<_> = NETWORKS.iter().map(|(name, _)| *name).collect();
    let more: Vec<_> = imagenet::NETWORKS.iter().map(|(name, _)| *name).collect();
    bail!(
        "--network is {network:?}; known: {} (and {}, {}, {} for `profile`)",
        known.join(", "),
        more.join(", "),
        fcn::NAME,
        fixmatch::NAME
    )
}

/// Additions and multiplications of WideResNet-40-2's convolutions in a forward pass of one 32 × 32 image: the stem, and in
/// each stage 12 of 3 × 3 and a shortcut of 1 × 1.
const WRN_OPERATIONS: f64 = 2.
    * (1024 * 27 * 16
        + 1024 * (9 * 16 * 32 + 11 * 9 * 32 * 32 + 16 * 32)
        + 256 * (9 * 32 * 64 + 11 * 9 * 64 * 64 + 32 * 64)
        + 64 * (9 * 64 * 128 + 11 * 9 * 128 * 128 + 64 * 128)) as f64;

/// Sites at which CrossNorm acts; every network of the CIFAR experiments has more than 8.
const SITES: [usize; 2] = [3, 8];

/// The networks of the CIFAR experiments, each with the position of its CrossNorm and SelfNorm.
const NETWORKS: [(&str, &str); 4] =
    [("allconv", "conv"), ("densenet40_12", "conv1_pre"), ("wrn40_2", "post"), ("resnext29_4x32", "post")];

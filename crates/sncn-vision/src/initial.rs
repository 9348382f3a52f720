//! `begin_with`: published or own weights in the place of a new network's.

use anyhow::{Context, Result, ensure};
use candle_core::Tensor;
use sncn_core::Vars;
use sncn_train::text_file::listed;
use sncn_train::{DataDir, files};
use sncn_weights::{NameMap, Outcome, Weights};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What the BatchNorm of a SelfNorm gate adds before the sigmoid where a network has been trained without the layer; its scale begins with
/// 0. The gate is then 0.98 for every image, so that the layer changes little before it has learnt; a larger value would leave it no
/// gradient, and another scale would follow statistics that the norm has not yet seen the mean and variance of.
pub const GATE_BIAS: f64 = 4.;

/// The endings of the names of the scales and biases of those norms, with what they begin with.
const GATES: [(&str, f64); 4] = [("g_bn.weight", 0.), ("f_bn.weight", 0.), ("g_bn.bias", GATE_BIAS), ("f_bn.bias", GATE_BIAS)];

/// Loads a file of weights into the variables of a new network. `plain` gives the variables of the same network without attached
/// layers, for a number of classes. Variables of attached layers keep their initial values, and those of a head with another number of
/// classes; all others must be in the file. What was found is printed.
///
/// # Errors
/// If the file is missing, damaged or of another network.
pub(crate) fn begin_with(
    file: &str,
    data_dir: &DataDir,
    vars: &Vars,
    classes: usize,
    plain: impl Fn(usize) -> Result<Vars>,
) -> Result<()> {
    let weights = Weights::open(&located(file, data_dir)?, files::look)?;
    let at = || weights.path().display().to_string();
    let (known, wider) = (plain(classes)?.all(), plain(classes + 1)?.all());
    let trunk: BTreeSet<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
    let changed = known.iter().zip(&wider).filter(|((_, one), (_, other))| one.dims() != other.dims());
    let head: BTreeSet<&str> = changed.map(|((name, _), _)| name.as_str()).collect();
    let keep = |name: &str| head.contains(name) || !trunk.contains(name);
    let map = NameMap { keep_initial: &keep, ..NameMap::STRICT };
    let names: Vec<String> = vars.all().into_iter().map(|(name, _)| name).collect();
    let found = weights.find(&names, &map, None).with_context(at)?;
    found.place.iter().for_each(|place| eprintln!("{}: found in {place}", at()));
    found.others.iter().for_each(|others| eprintln!("{}: also there: {others}", at()));
    let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let loaded = found.load(vars, |outcome, name, _| outcomes.entry(outcome.to_string()).or_default().push(name.to_string()));
    let of = |outcome: Outcome| outcomes.get(&outcome.to_string()).map_or(&[][..], Vec::as_slice);
    let told = |outcome: Outcome| match of(outcome) {
        [] => String::new(),
        names => format!(", {outcome}: {} ({})", names.len(), listed(names)),
    };
    let more = [Outcome::Missing, Outcome::Mismatch, Outcome::Surplus].map(told).concat();
    loaded.with_context(|| {
        format!(
            "{}: {} of {} variables are in it{more}; name the network that it was saved from",
            at(),
            of(Outcome::Matched).len(),
            names.len()
        )
    })?;
    eprintln!("{}: weights for {} variables{more}", at(), of(Outcome::Matched).len() + of(Outcome::Renamed).len());
    let (new_head, attached): (Vec<&str>, Vec<&str>) =
        of(Outcome::Fresh).iter().map(String::as_str).partition(|name| head.contains(name));
    if !new_head.is_empty() {
        eprintln!("the head begins anew, for {classes} classes: {}", listed(&new_head));
    }
    if !attached.is_empty() {
        let gates = near_identity(vars, &attached)?;
        eprintln!("{} variables of attached layers begin anew; {gates} SelfNorm gates begin near 1", attached.len());
    }
    Ok(())
}

/// Lets gates begin near 1; gives their number.
fn near_identity(vars: &Vars, names: &[&str]) -> Result<usize> {
    let mut count = 0;
    for (name, var) in vars.all() {
        if let Some(&(ending, value)) = GATES.iter().find(|(ending, _)| names.contains(&name.as_str()) && name.ends_with(ending))
        {
            var.set(&Tensor::full(value, var.dims(), var.device())?.to_dtype(var.dtype())?)?;
            count += usize::from(ending.ends_with("bias"));
        }
    }
    Ok(count)
}

/// The path of a file: as it is, or else below the data folder.
///
/// # Errors
/// If there is no such file.
pub(crate) fn located(file: &str, data_dir: &DataDir) -> Result<PathBuf> {
    let here = Path::new(file);
    if here.exists() {
        return Ok(here.to_path_buf());
    }
    let below = data_dir.path.as_ref().map(|folder| folder.join(file));
    let looked = below.iter().fold(String::new(), |looked, path| format!("{looked}, nor {}", path.display()));
    below.filter(|path| path.exists()).with_context(|| format!("weights: there is no {file}{looked}: correct the path"))
}

/// Refuses an empty name.
///
/// # Errors
/// If it is empty.
pub(crate) fn check(file: Option<&String>) -> Result<()> {
    ensure!(file.is_none_or(|file| !file.trim().is_empty()), "weights is empty; the path of a file is accepted");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{Blueprint, build};
    use candle_core::{DType, Device};
    use candle_nn::Init;
    use sncn_core::{LayerConfig, Pass, Seed};

    #[test]
    fn attached_gates_begin_near_the_identity_whatever_the_statistics_are() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("weights.safetensors");
        let network = |layers: &[LayerConfig]| {
            let vars = Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
            build("wrn10_1", &Blueprint { classes: 5, layers: layers.into(), vars: &vars }).map(|network| (network, vars))
        };
        let (plain, vars) = network(&[])?;
        let tensors: Vec<(String, Tensor)> = vars.all().into_iter().map(|(name, var)| (name, var.as_tensor().clone())).collect();
        candle_core::safetensors::save(&tensors.into_iter().collect(), &file)?;
        let (attached, vars) = network(&[LayerConfig::new("selfnorm", "post")])?;
        let data_dir = DataDir { path: None };
        begin_with(&file.display().to_string(), &data_dir, &vars, 5, |classes| {
            let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
            build("wrn10_1", &Blueprint { classes, layers: (&[]).into(), vars: &vars })?;
            Ok(vars)
        })?;
        // statistics far from those that a new norm assumes
        for scale in [1., 30.] {
            let drawn = Vars::new(Seed::new(5), DType::F32, &Device::Cpu).builder();
            let images = (drawn.get_with_hints((4, 16, 16, 3), "images", Init::Randn { mean: 0., stdev: 1. })? * scale)?;
            let logits = |network: &dyn sncn_core::Network| -> Result<Tensor> { Ok(network.forward(&images, &Pass::eval())?) };
            let (one, other) = (logits(&*plain)?, logits(&*attached)?);
            let apart = (&one - &other)?.abs()?.max_all()?.to_scalar::<f32>()?;
            let largest = one.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(apart > 0. && apart < 0.1 * largest, "{apart} of {largest}");
        }
        Ok(())
    }
}

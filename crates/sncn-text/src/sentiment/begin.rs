//! How a run begins: its vocabulary, its pre-trained weights, its word vectors.

use super::setup::{Input, PRETRAINED, Parts, Settings, VOCABULARY, VectorsConfig, located};
use crate::dataset::Texts;
use crate::examples::Examples;
use crate::pretrained::{CONFIG, Pretrained};
use crate::{Vectors, Vocabulary};
use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use sncn_core::{Seed, Vars};
use sncn_train::DataDir;
use sncn_train::files::write_atomically;
use sncn_train::harness::Run;
use std::path::Path;

/// The parts that a run's table asks for.
pub(super) fn parts(run: &Run<Settings>, texts: &Texts, data_dir: &DataDir) -> Result<Parts> {
    let input = &run.settings.input;
    let pretrained = match &input.pretrained {
        Some(path) => Some(Pretrained::open(&located(path, "pretrained encoder", data_dir)?)?),
        None => None,
    };
    let vocabulary = match (&input.vocabulary, &pretrained) {
        (Some(config), _) => {
            let vocabulary = Vocabulary::new(config, texts.examples.iter().map(|example| example.text.as_str()))?;
            pretrained.as_ref().map_or(Ok(()), |pretrained| pretrained.check(&vocabulary))?;
            vocabulary
        }
        (None, Some(pretrained)) => pretrained.vocabulary()?.0,
        (None, None) => bail!("run {:?}: input.vocabulary is missing", run.name),
    };
    Ok(Parts { vocabulary, pretrained })
}

/// Keeps the parts in the run's folder.
pub(super) fn keep(parts: &Parts, folder: &Path) -> Result<()> {
    write_atomically(&folder.join(VOCABULARY), parts.vocabulary.to_json()?.as_bytes())?;
    if let Some(pretrained) = &parts.pretrained {
        write_atomically(&folder.join(CONFIG), serde_json::to_string_pretty(&pretrained.config)?.as_bytes())?;
    }
    Ok(())
}

/// Puts pre-trained weights, if the run begins with some, in the place of initial ones; prints which were found.
pub(super) fn weights(parts: &Parts, run: &Run<Settings>, vars: &Vars) -> Result<()> {
    let Some(pretrained) = &parts.pretrained else { return Ok(()) };
    let found = pretrained.load(vars, &run.layers)?;
    let list = |names: &[String]| if names.is_empty() { "none".to_string() } else { names.join(", ") };
    eprintln!(
        "{PRETRAINED}: {} variables have weights; initial ones: {}; not used: {}",
        found.matched,
        list(&found.fresh),
        list(&found.surplus)
    );
    Ok(())
}

/// Puts the run's word vectors, if it begins with some, in the place of initial ones; prints how many words have one.
pub(super) fn vectors(
    input: &Input,
    vocabulary: &Vocabulary,
    data: &Examples,
    vars: &Vars,
    data_dir: &DataDir,
    seed: u64,
) -> Result<()> {
    let Some(config) = &input.vectors else { return Ok(()) };
    let all = vars.all();
    let table = all.iter().find(|(name, _)| name == "embedding.weight").map(|(_, table)| table);
    let table = table.context("input.vectors: only a convnet begins with word vectors")?;
    let mut rows: Vec<Vec<f32>> = table.to_vec2()?;
    let width = rows.first().map_or(0, Vec::len);
    let (vectors, origin) = match config {
        VectorsConfig::File { path } => {
            let path = located(path, "word vectors", data_dir)?;
            (Vectors::read(&path, vocabulary)?, path.display().to_string())
        }
        VectorsConfig::Glove(config) => {
            let special = |id| vocabulary.is_special(id);
            let seed = Seed::new(seed).named("vectors");
            let learnt = Vectors::learn(data.ids(), vocabulary.len(), special, width, config, seed)?;
            (learnt, "learnt from the training texts by GloVe".to_string())
        }
    };
    ensure!(width == vectors.width, "{origin}: vectors of {} values for a network of {width} channels", vectors.width);
    for (&id, values) in &vectors.by_id {
        rows[id as usize].clone_from(values);
    }
    table.set(&Tensor::new(rows, &Device::Cpu)?)?;
    eprintln!("word vectors, {origin}: {} words of the vocabulary have one, {} have none", vectors.by_id.len(), vectors.missing);
    Ok(())
}

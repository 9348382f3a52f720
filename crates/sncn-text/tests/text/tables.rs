//! The tables of texts: every row builds its network and its optimiser.
#![allow(clippy::unwrap_used, missing_docs, reason = "helpers of tests may stop")]

use anyhow::{Context, Result, ensure};
use sncn_text::dataset::reviews;
use sncn_text::sentiment::setup::{self, PRETRAINED, Parts, TASK};
use sncn_text::{Vocabulary, VocabularyConfig};
use sncn_train::harness::Table;
use std::path::Path;

#[test]
fn every_row_of_every_table_builds_its_network() -> Result<()> {
    let texts = reviews::films("train", 50);
    let all = texts.examples.iter().map(|example| example.text.as_str());
    let (vocabulary, mut rows) = (Vocabulary::new(&VocabularyConfig::Words { size: 100 }, all)?, 0);
    let parts = Parts { vocabulary, pretrained: None };
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models"))? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let table = Table::read(&path)?;
        if table.file.task != TASK {
            continue;
        }
        for run in &table.runs {
            let at = || format!("{}, {}", path.display(), run.name);
            let (input, _) = setup::settings(run).with_context(at)?;
            rows += 1;
            // its folder is not here
            if run.backbone == PRETRAINED {
                continue;
            }
            let (_network, vars) = parts.network(run, &input, 2, 0).with_context(at)?;
            run.optimizer(&vars).with_context(at)?;
        }
    }
    ensure!(rows > 0, "no row was built");
    Ok(())
}

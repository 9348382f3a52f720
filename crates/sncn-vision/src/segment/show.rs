//! `sncn-segment show`: image, truth and what trained networks see in it, side by side.

use super::overlay;
use super::setup::Segment;
use super::test_sets::TestSets;
use crate::corruption::{Dims, Frost};
use crate::dataset::pairs::{self, Legend};
use crate::picture::Sheet;
use crate::preprocess::Normalisation;
use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use sncn_core::{Pass, Seed};
use sncn_train::checkpoint::Checkpoint;
use sncn_train::data::{Dataset, VOID};
use sncn_train::harness::{TestSets as _, Trained, cli, saved};
use std::path::PathBuf;

/// Which images of which test set, and which networks.
#[derive(clap::Args, Debug)]
pub struct Show {
    /// Folders with the checkpoints of runs, or checkpoint files, a column each.
    #[arg(long, required = true, num_args = 1..)]
    run_dirs: Vec<PathBuf>,
    /// The test set, such as scenes-weather or camvid-dusk.
    #[arg(long)]
    test: String,
    /// Numbers of the images, a row each.
    #[arg(long, value_delimiter = ',', default_value = "0,1,2,3")]
    images: Vec<usize>,
    /// The PNG file to write.
    #[arg(long)]
    output: PathBuf,
    /// Blend the labels with the image.
    #[arg(long)]
    overlay: bool,
    /// Rows that an image has at least on the sheet.
    #[arg(long, default_value_t = 128)]
    side: usize,
    /// Folder that holds the data sets.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Threads (default: all processors).
    #[arg(long)]
    threads: Option<usize>,
}

impl Show {
    /// Labels as they are shown.
    fn drawn(&self, image: &[u8], labels: &[u32], legend: &Legend) -> Vec<u8> {
        if self.overlay { overlay::overlay(image, labels, legend) } else { overlay::colours(labels, legend) }
    }

    /// Runs the command.
    ///
    /// # Errors
    /// If a checkpoint or the test set does not fit, or the picture cannot be written.
    pub fn run(&self) -> Result<()> {
        cli::threads(self.threads)?;
        ensure!((1..=1024).contains(&self.side), "--side is {}; 1 to 1024 is accepted", self.side);
        let read = |path: &PathBuf| -> Result<Trained<Segment>> {
            if path.is_dir() { Trained::of(saved::newest(path)?) } else { Trained::of(Checkpoint::read(path)?) }
        };
        let models = self.run_dirs.iter().map(read).collect::<Result<Vec<_>>>()?;
        let first = models.first().context("--run-dirs: at least one is wanted")?;
        let (classes, data_dir) = (&first.header.classes, cli::data_dir(self.data_dir.as_deref()));
        let splits = pairs::open(&first.run.train, &data_dir)?;
        let legend = splits.train.legend().clone();
        let frost = Frost::generated(Seed::new(0));
        let (train, train_limit) = (&first.run.train, first.run.train_limit);
        let severities = (1..=5).collect();
        let sets = TestSets { splits, data_dir: &data_dir, frost, classes, train, train_limit, limit: None, severities };
        let (_, data) = sets.parts(&self.test)?.next().context("a test set of no parts")??;
        if let Some(index) = self.images.iter().find(|index| **index >= data.len()) {
            anyhow::bail!("--images: {index}; {} has {} images, from 0 on", self.test, data.len())
        }
        let pairs = self.images.iter().map(|&index| data.pair(index)).collect::<Result<Vec<_>>>()?;
        let dims =
            pairs.first().map(|pair| Dims { height: pair.height, width: pair.width }).context("--images: none is given")?;
        ensure!(
            pairs.iter().all(|pair| (pair.height, pair.width) == (dims.height, dims.width)),
            "the images differ in size: show some of one size"
        );
        let mut columns = vec!["image".to_string(), "truth".to_string()];
        for model in &models {
            ensure!(model.header.classes == *classes, "the networks were trained on different classes");
            columns.push(model.run.name.clone());
        }
        let rows: Vec<String> = self.images.iter().map(usize::to_string).collect();
        let mut sheet = Sheet::new(dims, self.side, &rows, &columns);
        for (row, pair) in pairs.iter().enumerate() {
            sheet.place(pair.image.clone(), row, 0)?;
            let truth: Vec<u32> = pair.labels.iter().map(|&label| u32::from(label)).collect();
            sheet.place(self.drawn(&pair.image, &truth, &legend), row, 1)?;
        }
        for (column, trained) in (2..).zip(&models) {
            let scorer = trained.model.scorer(classes.len(), Pass::eval());
            for (row, pair) in pairs.iter().enumerate() {
                let values = Normalisation::CIFAR.values(&pair.image);
                let mut labels = scorer.labels(&Tensor::from_vec(values, (1, pair.height, pair.width, 3), &Device::Cpu)?)?;
                // what has no truth is not judged
                labels
                    .iter_mut()
                    .zip(&pair.labels)
                    .filter(|(_, truth)| u32::from(**truth) == VOID)
                    .for_each(|(label, _)| *label = VOID);
                sheet.place(self.drawn(&pair.image, &labels, &legend), row, column)?;
            }
        }
        sheet.save(&self.output)?;
        out!("{}: images {} of {}; columns {}", self.output.display(), rows.join(", "), self.test, columns.join(", "));
        Ok(())
    }
}

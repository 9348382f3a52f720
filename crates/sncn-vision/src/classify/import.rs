//! `sncn-classify import`: weights that PyTorch saved, as a checkpoint that `evaluate` and `predict` take.

use super::noted::{Noted, class_names};
use super::setup::{self, Classify, Settings};
use crate::dataset;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sncn_train::checkpoint;
use sncn_train::files;
use sncn_train::harness::export::differ;
use sncn_train::harness::{Run, Table, cli, saved};
use sncn_weights::{NameMap, StateDict, Weights};
use std::path::PathBuf;

/// Makes a checkpoint from published weights: a file of torch.save, a TorchScript archive, a safetensors file, an index of several, or a
/// folder with one of them. Prints every name: matched, renamed (what wrappers such as DataParallel added is left out), missing, surplus,
/// or of another shape.
#[derive(clap::Args, Debug)]
pub struct Import {
    /// The file or folder with the weights.
    file: PathBuf,
    /// Which of several dictionaries of tensors in it, such as state_dict_ema or model_ema.module, or how the names of the right
    /// ones begin (default: the one with most names of the network).
    #[arg(long)]
    key: Option<String>,
    /// Network, such as wrn40_2 or allconv.
    #[arg(long, required_unless_present = "table", conflicts_with = "table")]
    backbone: Option<String>,
    /// Its layers, as in tables: '[{"kind": "selfnorm", "at": "post"}]'.
    #[arg(long, requires = "backbone")]
    layers: Option<String>,
    /// What is in the place of its norms: '{"kind": "group_norm"}' (default: as noted in the file).
    #[arg(long, requires = "backbone")]
    norm: Option<String>,
    /// Data set they were trained on; evaluate opens it.
    #[arg(long, default_value = "cifar10", conflicts_with = "table")]
    train: String,
    /// Table file, instead of --backbone, --layers and --train.
    #[arg(long, requires = "row")]
    table: Option<PathBuf>,
    /// Name of a row of the table.
    #[arg(long, requires = "table")]
    row: Option<String>,
    /// How many classes the weights must have (default: any number).
    #[arg(long)]
    classes: Option<usize>,
    /// A file of class names, one a line, in the order of the network's outputs, such as ImageNet's wnids.
    #[arg(long, conflicts_with = "data_dir")]
    class_names: Option<PathBuf>,
    /// How images become inputs: a name (cifar, imagenet, imagenet-inception), or JSON (default: as noted in the file, or as usual).
    #[arg(long, conflicts_with = "table")]
    input: Option<String>,
    /// Folder that holds the data set, which names the classes; without it they are numbered, unless the file or --class-names has their names.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// The checkpoint to write, such as model.safetensors.
    #[arg(long)]
    output: PathBuf,
}

impl Import {
    fn described(&self, noted: &Noted) -> Result<Run<Settings>> {
        if let (Some(table), Some(row)) = (&self.table, &self.row) {
            return Table::<Classify>::read(table)?.row(row).cloned().with_context(|| table.display().to_string());
        }
        let layers: Value = match &self.layers {
            Some(text) => serde_json::from_str(text).context("--layers is not the JSON of a table's \"layers\"")?,
            None => json!([]),
        };
        let input = match (&self.input, &noted.input) {
            (Some(given), _) => serde_json::from_str(given).unwrap_or_else(|_| Value::from(given.as_str())),
            (None, Some(noted)) => noted.clone(),
            (None, None) => Value::from(setup::usual_input(self.backbone.as_deref().unwrap_or_default())),
        };
        let norm = match &self.norm {
            Some(text) => Some(serde_json::from_str(text).context("--norm is not the JSON of a table's \"norm\"")?),
            None => noted.norm.clone(),
        };
        // how the weights were trained is not known: the run's training settings are placeholders that nothing reads
        let mut row = json!({
            "name": "imported", "train": self.train, "test": [self.train, format!("{}-c", self.train)],
            "backbone": self.backbone, "input": input, "layers": layers, "epochs": 1, "batch_size": 128, "lr": 0.1,
            "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": true, "weight_decay": 0.0005},
            "schedule": {"kind": "constant"}, "objective": {"kind": "plain"}
        });
        if let Some(norm) = norm {
            row["norm"] = norm;
        }
        let table = json!({"title": "", "task": "classify", "seeds": [0], "select": "last", "runs": [row]});
        Table::<Classify>::parse(&table.to_string()).and_then(|table| table.row("imported").cloned()).context("--layers, --norm")
    }

    /// The names of the network's variables; they are the same for any number of classes.
    fn variables(run: &Run<Settings>) -> Result<Vec<String>> {
        let (_network, vars) = setup::network(run, 2, 0)?;
        Ok(vars.all().into_iter().map(|(name, _)| name).collect())
    }

    /// How many classes the weights have: the dimension that differs between networks of two and of three classes.
    fn count(&self, run: &Run<Settings>, weights: &StateDict) -> Result<usize> {
        let (_network, two) = setup::network(run, 2, 0)?;
        let (_network, three) = setup::network(run, 3, 0)?;
        for ((name, two), (_, three)) in two.all().into_iter().zip(three.all()) {
            if let Some(axis) = (0..two.rank()).find(|&axis| two.dims()[axis] != three.dims()[axis]) {
                let shape = weights.shape(&name).with_context(|| format!("it has no {name}: weights of another network"))?;
                ensure!(
                    shape.len() == two.rank() && shape[axis] > 0,
                    "{name} has shape {shape:?}, {} dimensions are wanted: of another network",
                    two.rank()
                );
                return Ok(shape[axis]);
            }
        }
        bail!("{}: a network without a classifier", run.backbone)
    }

    /// The class names.
    fn names(&self, run: &Run<Settings>, count: usize, noted: &Noted) -> Result<Vec<String>> {
        if let Some(wanted) = self.classes {
            ensure!(wanted == count, "{count} classes; --classes is {wanted}: give the number that the weights have");
        }
        let listed = match &self.class_names {
            Some(path) => Some((path.display().to_string(), class_names(path)?)),
            None => noted
                .classes
                .clone()
                .filter(|_| self.data_dir.is_none())
                .map(|classes| ("the file's header".to_string(), classes)),
        };
        if let Some((origin, classes)) = listed {
            ensure!(
                classes.len() == count,
                "{count} classes, {origin} names {}; give as many names as the weights have",
                classes.len()
            );
            return Ok(classes);
        }
        if self.data_dir.is_none() && run.train != "shapes" {
            out!("classes are numbered 0 to {}; give --class-names, or --data-dir to name them as {} does", count - 1, run.train);
            return Ok((0..count).map(|class| class.to_string()).collect());
        }
        let classes = dataset::open(&run.train, &cli::data_dir(self.data_dir.as_deref()))?.classes().to_vec();
        ensure!(
            classes.len() == count,
            "{count} classes, {} has {} ({}, …); name the data set that the weights were trained on with --train",
            run.train,
            classes.len(),
            classes.first().map_or("", String::as_str)
        );
        Ok(classes)
    }

    /// Runs the command.
    ///
    /// # Errors
    /// If the file is damaged or of another network, or the checkpoint cannot be written.
    pub fn run(&self) -> Result<()> {
        differ(&self.file, &self.output)?;
        let noted = Noted::read(&self.file);
        let run = self.described(&noted)?;
        ensure!(
            dataset::names().any(|name| name == run.train),
            "--train is {:?}; known: {}",
            run.train,
            dataset::names().collect::<Vec<_>>().join(", ")
        );
        let weights = Weights::open(&self.file, files::look)?;
        let at = || weights.path().display().to_string();
        let advice = || format!("{}: check --backbone, --layers, --classes and --key", at());
        let found = weights.find(&Self::variables(&run)?, &NameMap::STRICT, self.key.as_deref()).with_context(advice)?;
        found.place.iter().for_each(|place| out!("found in {place}"));
        found.others.iter().for_each(|others| out!("also there, chosen by --key: {others}"));
        let count = self.count(&run, &found).with_context(advice)?;
        let classes = self.names(&run, count, &noted).with_context(at)?;
        let (_network, vars) = setup::network(&run, count, 0)?;
        found.load(&vars, |outcome, name, more| out!("{outcome:10} {name} {more}")).with_context(advice)?;
        checkpoint::save_weights(&self.output, &vars, saved::foreign::<Classify>(&run, classes)?)?;
        out!("{}: {} variables, {count} classes", self.output.display(), vars.all().len());
        Ok(())
    }
}

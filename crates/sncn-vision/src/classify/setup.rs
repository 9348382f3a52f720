//! What several commands share: opening data, building the network, progress bars, the interrupt flag.

use crate::augment::Augment;
use crate::backbone::{self, Blueprint};
use crate::corruption::Frost;
use crate::dataset::{self, Images, Source, Splits};
use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use sncn_core::harness::{Run, Table};
use sncn_core::{Network, Pass, Precision, Seed, Vars};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A cell of a table: which row with which seed.
#[derive(clap::Args, Clone, Debug)]
pub struct Cell {
    /// Table file, such as models/quick.json.
    #[arg(long)]
    pub table: PathBuf,
    /// Name of a row of the table.
    #[arg(long)]
    pub row: String,
    /// Seed of weights, order, augmentation and mixing.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl Cell {
    /// The resolved run.
    ///
    /// # Errors
    /// Names the file and the key that does not fit.
    pub fn run(&self) -> Result<Run> {
        Table::read(&self.table)?.row(&self.row).with_context(|| self.table.display().to_string())
    }
}

/// What the factors of convolutions are rounded to.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Nothing.
    F32,
    /// bf16, summed in f32: faster where the processor has it, at a small loss of accuracy.
    Bf16,
}

/// An evaluation pass.
pub fn pass(rounding: Rounding) -> Pass {
    match rounding {
        Rounding::F32 => Pass::eval(),
        Rounding::Bf16 => Pass::eval().rounded(Precision::Bf16),
    }
}

/// Opens a data set by name.
///
/// # Errors
/// Where the name is unknown, or its files are missing or damaged.
pub fn open(name: &str, data_dir: Option<&Path>) -> Result<Splits> {
    dataset::open(name, &Source { data_dir: data_dir.map(Path::to_path_buf) })
}

/// The first `limit` images.
pub fn limited(images: &Arc<dyn Images>, limit: Option<usize>) -> Arc<dyn Images> {
    match limit {
        Some(limit) if limit < images.len() => Arc::new(dataset::subset::Subset::first(images.clone(), limit)),
        _ => images.clone(),
    }
}

/// The network of a run with fresh variables.
///
/// # Errors
/// Where the backbone or a layer does not fit.
pub fn network(run: &Run, classes: usize, seed: u64) -> Result<(Box<dyn Network>, Vars)> {
    let vars = Vars::new(Seed::new(seed), DType::F32, &Device::Cpu);
    let network = backbone::build(&run.backbone, &Blueprint { classes, layers: &run.layers, vars: &vars })
        .with_context(|| format!("run {:?}", run.name))?;
    ensure!(
        run.mix.is_none() || network.sites() > 0,
        "run {:?}: mix is set, but none of its layers mixes (crossnorm and mixstyle do): add one, or take mix away",
        run.name
    );
    Ok((network, vars))
}

/// How the training images of a run are augmented, if they are.
///
/// # Errors
/// Where a setting is unknown or out of range, or the objective wants another number of views.
pub fn augment(run: &Run) -> Result<Option<Augment>> {
    let augment = match &run.augment {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(Augment::default()),
        settings => Some(serde_path_to_error::deserialize(settings.clone()).context("augment")?),
    };
    augment.as_ref().map_or(Ok(()), Augment::check)?;
    let (views, wanted) = (augment.as_ref().map_or(1, Augment::views), run.objective.views());
    ensure!(
        views == wanted,
        "run {:?}: its objective takes {wanted} view(s) of an image, augment gives {views}; \
        objective and augment of kind \"augmix\" (3 views) go together",
        run.name
    );
    Ok(augment)
}

/// Frost photographs from a folder, or generated ones.
///
/// # Errors
/// Where the folder lacks a photograph.
pub fn frost(folder: Option<&Path>) -> Result<Frost> {
    match folder {
        Some(folder) => Frost::from_folder(folder),
        None => Ok(Frost::generated(Seed::new(0))),
    }
}

/// Writes a line to standard output; what `out!` calls.
pub fn line(text: std::fmt::Arguments<'_>) {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => eprintln!("error: standard output: {error}"),
        _ => {}
    }
}

/// What to say where frost is generated.
pub const GENERATED_FROST: &str =
    "frost: generated textures stand in for the benchmark's photographs (give --frost-dir to use them)";

/// What to say where convolutions were rounded.
pub const ROUNDED: &str = "factors of convolutions rounded to bf16, sums in f32";

/// A progress bar with rate and time left; silent when the output is no terminal.
pub fn progress(total: usize, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(total as u64);
    let template = "{msg:24} [{bar:32}] {pos}/{len} {per_sec} {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what.to_string());
    bar
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C sets a flag; a second one ends the program at once.
///
/// # Errors
/// Where the handler cannot be installed.
pub fn catch_interrupts() -> Result<()> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })
    .context("Ctrl-C cannot be caught")
}

/// Whether Ctrl-C was pressed.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Sets the number of threads that kernels use.
///
/// # Errors
/// Where it is 0.
pub fn threads(count: Option<usize>) -> Result<()> {
    match count {
        Some(0) => bail!("--threads is 0; at least 1 is accepted"),
        Some(count) => rayon::ThreadPoolBuilder::new().num_threads(count).build_global().context("--threads"),
        None => Ok(()),
    }
}

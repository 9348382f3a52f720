//! What the commands of several programs share: arguments, progress bars, lines of output, the interrupt flag.

use crate::DataDir;
use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sncn_core::{Pass, Precision};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Prints a line; a reader that has gone away (`| head`) neither stops the work nor fails it.
#[macro_export]
macro_rules! out {
    () => { $crate::harness::cli::line(format_args!("")) };
    ($($arguments:tt)*) => { $crate::harness::cli::line(format_args!($($arguments)*)) };
}

/// What the factors of convolutions are rounded to.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// As they are.
    F32,
    /// bf16, summed in f32: faster where the processor has it, at a small loss of accuracy.
    Bf16,
}

/// An evaluation pass.
pub fn pass(rounding: Rounding) -> Pass {
    match rounding {
        Rounding::F32 => Pass::eval(),
        Rounding::Bf16 => Pass::eval().with_precision(Precision::Bf16),
    }
}

/// The severities of test sets that are shifted or corrupted as they are read.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Severities {
    /// Severities, 1 to 5, of sets shifted here (default: the run's).
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=5))]
    severities: Vec<u64>,
}

impl Severities {
    /// The severities, if they are given.
    pub fn given(&self) -> Option<Vec<usize>> {
        (!self.severities.is_empty()).then(|| self.severities.iter().map(|&severity| severity as usize).collect())
    }

    /// The note of these severities on results, unless all five were measured.
    pub fn note(severities: &[usize]) -> Option<String> {
        let listed = severities.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        (severities.len() < 5).then(|| format!("severities {listed} of 1 to 5 only"))
    }
}

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It did what it was asked to.
    Done,
    /// It was interrupted, and can be resumed.
    Interrupted,
}

/// Writes a line to standard output; what `out!` calls.
pub fn line(text: std::fmt::Arguments<'_>) {
    let Err(error) = writeln!(std::io::stdout(), "{text}") else { return };
    if error.kind() != std::io::ErrorKind::BrokenPipe && !UNWRITTEN.swap(true, Ordering::Relaxed) {
        eprintln!("error: standard output cannot be written: {error}");
    }
}

static UNWRITTEN: AtomicBool = AtomicBool::new(false);

/// Whether a line could not be written to standard output, so that the program must not end well.
pub fn output_is_lost() -> bool {
    UNWRITTEN.load(Ordering::Relaxed)
}

/// The note on results of rounded convolutions.
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

/// When Ctrl-C was first pressed.
static INTERRUPTED: OnceLock<Instant> = OnceLock::new();

/// Interrupts this close to the first are the same one: `timeout`, for one, signals a process and then its group.
const SAME: Duration = Duration::from_secs(1);

/// From now on Ctrl-C, the signal to end, or one of those by which a cluster says that the time is nearly over (USR1, USR2), is noted; one
/// that comes later ends the program at once.
///
/// # Errors
/// If the handler cannot be installed.
pub fn catch_interrupts() -> Result<()> {
    static CAUGHT: OnceLock<()> = OnceLock::new();
    if CAUGHT.set(()).is_err() {
        return Ok(());
    }
    #[cfg(unix)]
    {
        use signal_hook::consts::{SIGUSR1, SIGUSR2};
        let mut signals = signal_hook::iterator::Signals::new([SIGUSR1, SIGUSR2]).context("USR1 and USR2 cannot be caught")?;
        std::thread::spawn(move || signals.forever().for_each(|_| interrupt()));
    }
    ctrlc::set_handler(interrupt).context("Ctrl-C cannot be caught")
}

/// Notes an interrupt.
fn interrupt() {
    match INTERRUPTED.get() {
        None => {
            let _ = INTERRUPTED.set(Instant::now());
            eprintln!("stopping after this step; Ctrl-C again ends at once");
        }
        Some(first) if first.elapsed() > SAME => std::process::exit(130),
        Some(_) => {}
    }
}

/// Whether Ctrl-C was pressed.
pub fn interrupted() -> bool {
    INTERRUPTED.get().is_some()
}

/// Where data sets are: the folder given on the command line, or else the one that `SNCN_DATA` names.
pub fn data_dir(given: Option<&Path>) -> DataDir {
    let named = || std::env::var_os("SNCN_DATA").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    DataDir { path: given.map(Path::to_path_buf).or_else(named) }
}

/// The most threads that are taken for every processor: more would only wait for each other.
const THREADS_A_PROCESSOR: usize = 8;

/// Sets the number of threads that kernels and candle use; commands call it first of all. With more than
/// eight for every processor it takes eight and prints that.
///
/// # Errors
/// If it is 0.
pub fn threads(count: Option<usize>) -> Result<()> {
    let Some(count) = count else { return Ok(()) };
    ensure!(count > 0, "--threads is 0; at least 1 is accepted");
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let most = THREADS_A_PROCESSOR * processors;
    if count > most {
        eprintln!("--threads {count}: this machine has {processors} processor(s), so {most} threads are taken");
    }
    let count = count.min(most);
    sncn_kernels::threads::set_candle_threads(count);
    rayon::ThreadPoolBuilder::new().num_threads(count).build_global().context("--threads")
}

//! Options of `evaluate` that both programs for images have.

use crate::corruption::{Frost, frost};
use crate::dataset::photos::{Check, Seen};
use anyhow::Result;
use sncn_core::Pass;
use sncn_train::harness::cli::{self, Rounding, Severities};
use std::path::PathBuf;

/// How closely the files of a data set are looked at before training.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Look {
    /// Their headers.
    #[default]
    Headers,
    /// All of them: they are decoded.
    Full,
}

/// How image files are checked before anything starts.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct Files {
    /// Check of image files first: headers or full.
    #[arg(long, value_name = "WHAT", value_enum, hide_possible_values = true, default_value = "headers")]
    check: Look,
    /// Leave out image files that cannot be read.
    #[arg(long)]
    skip_unreadable: bool,
}

impl Files {
    /// The check before training, or before test sets are measured.
    pub(super) fn check(self, tests: bool) -> Check {
        let begin = |count| -> Seen {
            let bar = cli::progress(count, "check files");
            Box::new(move || {
                bar.inc(1);
                if bar.length() == Some(bar.position()) {
                    bar.finish_and_clear();
                }
            })
        };
        Check { decodes: self.check == Look::Full, skips: self.skip_unreadable, tests, begin: Some(begin) }
    }

    /// The same options as arguments.
    pub(super) fn arguments(self) -> Vec<String> {
        let full = (self.check == Look::Full).then_some(["--check", "full"]);
        let skips = self.skip_unreadable.then_some("--skip-unreadable");
        full.into_iter().flatten().chain(skips).map(str::to_string).collect()
    }
}

/// How corrupted images are made, and how exactly networks compute.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Folder of the frost photographs (default: generated textures).
    #[arg(long)]
    frost_dir: Option<PathBuf>,
    /// Precision of the factors of convolutions, f32 or bf16; with bf16 the uncorrupted sets are measured in f32 too.
    #[arg(long, value_enum, hide_possible_values = true, default_value = "f32")]
    precision: Rounding,
    #[command(flatten)]
    pub(crate) severities: Severities,
}

/// What only `sncn-classify evaluate` asks.
#[derive(clap::Args, Debug)]
pub struct EvaluateOptions {
    #[command(flatten)]
    pub(super) images: Options,
    #[command(flatten)]
    pub(super) files: Files,
}

impl Options {
    /// The textures of frost.
    ///
    /// # Errors
    /// If the folder lacks a photograph.
    pub fn frost(&self) -> Result<Frost> {
        frost::textures(self.frost_dir.as_deref())
    }

    /// The evaluation pass, and the exact one where that is another.
    pub fn passes(&self) -> (Pass, Option<Pass>) {
        (cli::pass(self.precision), (self.precision == Rounding::Bf16).then(Pass::eval))
    }
}

//! A folder of photographs of two megapixels, corrupted by the command `corrupt`.

use super::loading::jpeg;
use crate::classify::corrupt::Corrupt;
use crate::corruption::Dims;
use anyhow::Result;
use clap::{Args, Command, FromArgMatches};
use sncn_train::harness::bench::{emit, peak_memory};
use std::ffi::OsString;
use std::time::Instant;

const DIMS: Dims = Dims { height: 1200, width: 1600 };
/// Files of the folder.
const FILES: usize = 12;

/// Every image by the 15 corruptions of the benchmark; the whole command is timed, with decoding and writing.
pub(super) fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (input, output) = (folder.path().join("photographs"), folder.path().join("corrupted"));
    std::fs::create_dir(&input)?;
    (0..FILES).try_for_each(|image| jpeg(&input.join(format!("{image:03}.jpg")), DIMS, image))?;
    let mut arguments = vec![OsString::from("corrupt"), "--input".into(), input.into(), "--output".into(), output.into()];
    // by the threads that this command was given
    arguments.extend(["--severities", "3"].map(OsString::from));
    let matches = Corrupt::augment_args(Command::new("corrupt")).try_get_matches_from(arguments)?;
    let command = Corrupt::from_arg_matches(&matches)?;
    let start = Instant::now();
    command.run()?;
    let copies = 15. * FILES as f64;
    emit("corrupt folder", "1600 x 1200, severity 3", copies / start.elapsed().as_secs_f64(), "images/s");
    emit("corrupt folder", "peak memory", peak_memory(), "MB");
    Ok(())
}

//! `cargo xtask` with shell scripts in the place of the programs that it starts.
#![cfg(unix)]

mod bench;
mod launch;
mod reproduce;
mod slurm;

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// Sends a signal to a command that has come so far that the file `ready` exists, and waits for its end.
fn interrupted(child: Child, ready: &Path, signal: &str) -> Result<Output, Box<dyn Error>> {
    let start = Instant::now();
    while !ready.exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not come so far");
        std::thread::sleep(Duration::from_millis(10));
    }
    let status = Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status()?;
    assert!(status.success());
    Ok(child.wait_with_output()?)
}

//! Where numbers come from: the source that the program was built from, and the machine.

use sncn_record::{Build, Machine};
use std::sync::OnceLock;

static BUILT: OnceLock<Build> = OnceLock::new();

/// Notes what this program was built from; `main` calls it once.
pub(super) fn set_built(built: Build) {
    let _ = BUILT.set(built);
}

/// What this program was built from; unknown where `set_built` was not called.
pub fn built() -> Build {
    BUILT.get().cloned().unwrap_or_default()
}

/// This machine.
pub fn machine() -> Machine {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    Machine {
        cpu: model.unwrap_or("unknown").to_string(),
        cores: if cores > 0 { cores } else { std::thread::available_parallelism().map_or(1, usize::from) },
        os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    }
}

//! What a checkpoint says of its run: the header of a safetensors file, read without its tensors.

use serde_json::Value;
use sncn_record::SeededRun;
use sncn_record::checkpoint::{Header, KEY};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Headers are smaller than this.
const LIMIT: u64 = 100 << 20;

/// The run and seed that the newest checkpoint of a folder was made with; nothing where there is none that can be read
/// (the program that trains says what is wrong with it).
pub(crate) fn run_of_newest(folder: &Path) -> Option<SeededRun> {
    let names = crate::files::names(folder, "safetensors");
    let newest = names.iter().rfind(|name| name.starts_with("checkpoint-"))?;
    let mut file = File::open(folder.join(format!("{newest}.safetensors"))).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(length).min(LIMIT)).read_to_end(&mut header).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    let own: Header = serde_json::from_str(header.get("__metadata__")?.get(KEY)?.as_str()?).ok()?;
    Some(own.run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_run_of_the_newest_is_read() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        assert_eq!(run_of_newest(folder.path()), None);
        for (step, seed) in [(1, 8), (2, 9)] {
            let run = json!({"run": {"epochs": 1}, "seed": seed});
            let own = json!({"format": 1, "step": step, "total": 2, "run": run, "classes": [], "sha256": ""}).to_string();
            let header = json!({"__metadata__": {"sncn": own}}).to_string();
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.extend([0; 16]);
            std::fs::write(folder.path().join(format!("checkpoint-{step:08}.safetensors")), bytes)?;
        }
        assert_eq!(run_of_newest(folder.path()), Some(SeededRun { run: json!({"epochs": 1}), seed: 9 }));
        std::fs::write(folder.path().join("checkpoint-00000003.safetensors"), b"short")?;
        assert_eq!(run_of_newest(folder.path()), None);
        Ok(())
    }
}

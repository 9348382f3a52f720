//! What is disturbed: commands in folders of their own, and what they give undisturbed.

use crate::provenance;
use crate::results::Results;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};
use sncn_record::results::Header;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A command that is disturbed.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// The command that writes into a folder of its own, which exists.
    command: fn(&Work, &Path) -> Command,
}

/// Programs, and what all commands read.
pub(super) struct Work {
    program: PathBuf,
    xtask: PathBuf,
    /// The table, the trained run and the images.
    base: TempDir,
    seed: u64,
    /// The classes that the trained network tells apart.
    classes: Vec<String>,
    /// The machine and the source of the program.
    pub(super) about: String,
}

/// What a command gives where nothing disturbs it.
pub(super) struct Reference {
    /// How long it takes.
    pub(super) time: Duration,
    /// The digest of every file that it leaves, by its path.
    files: BTreeMap<String, String>,
    /// The bytes of them all.
    pub(super) bytes: u64,
}

/// What a fault came to.
pub(super) struct Outcome {
    fault: &'static str,
    command: &'static str,
    tried: usize,
    /// How often the same command ended well afterwards.
    survived: usize,
    /// How often it gave the same bytes.
    same: usize,
    remarks: Vec<String>,
}

/// The beginning of the names of files that are not yet whole.
const PARTIAL: &str = ".partial-";
/// The table of what is trained.
const TABLE: &str = "table.json";
/// Copies of an image that `robustness` measures: as it is, and 15 corruptions at 5 severities.
const PARTS: usize = 76;
/// The time after which a command is taken to hang.
const PATIENCE: Duration = Duration::from_secs(600);

impl Scenario {
    /// Training, evaluation, corruption, measuring, and all of an experiment with its report.
    pub(super) fn all() -> Vec<Self> {
        let command = |name, command| Self { name, command };
        vec![
            command("train", |work, folder| work.train(&folder.join("run"))),
            command("evaluate", |work, folder| {
                let mut command = work.classify("evaluate");
                command.arg("--run-dir").arg(work.trained()).arg("--results").arg(folder.join("results.jsonl"));
                command
            }),
            command("corrupt", |work, folder| {
                let mut command = work.classify("corrupt");
                command.args(["--clean", "--severities", "2,4", "--input"]).arg(work.photos());
                command.arg("--output").arg(folder.join("out"));
                command
            }),
            command("robustness", |work, folder| {
                let mut command = work.classify("robustness");
                command.args(["--severities", "1,3,5", "--images"]).arg(work.photos()).arg("--model").arg(work.trained());
                command.arg("--results").arg(folder.join("results.jsonl")).arg("--page").arg(folder.join("page.html"));
                command
            }),
            command("reproduce", |work, folder| {
                let mut command = Command::new(&work.xtask);
                command.current_dir(folder).env("SNCN_CLASSIFY", &work.program);
                command.args(["reproduce", "--threads", "1", "--table", TABLE]);
                command
            }),
        ]
    }
}

/// A generator of moments: of an index a number from 0 to 1, which looks drawn.
pub(super) fn moment(seed: u64, index: usize) -> f64 {
    let digest = Sha256::digest(format!("{seed} {index}"));
    let bytes: [u8; 4] = [digest[0], digest[1], digest[2], digest[3]];
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

impl Work {
    /// Trains a small network and draws images for it. Both programs are copied: what is disturbed stays the same where somebody builds
    /// meanwhile.
    pub(super) fn prepare(program: &Path, xtask: &Path, seed: u64) -> Result<Self> {
        let base = tempfile::tempdir()?;
        let kept = |from: &Path| -> Result<PathBuf> {
            let to = base.path().join(from.file_name().unwrap_or_default());
            fs::copy(from, &to).with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()))?;
            Ok(to)
        };
        let (program, xtask) = (kept(program)?, kept(xtask)?);
        let mut work = Self { program, xtask, base, seed, classes: Vec::new(), about: String::new() };
        let row = json!({
            "name": "small", "train": "shapes", "test": ["shapes", "shapes-c"], "backbone": "wrn10_1", "epochs": 3, "batch_size": 32,
            "lr": 0.1, "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": true, "weight_decay": 0.0005},
            "schedule": {"kind": "cosine", "floor": 1e-6}, "objective": {"kind": "plain"}, "train_limit": 640, "test_limit": 20,
            "mix": {"probability": 0.5, "active": 1},
            "layers": [{"kind": "crossnorm", "at": "post"}, {"kind": "selfnorm", "at": "post"}]
        });
        let table = json!({"title": "Faults", "task": "classify", "seeds": [0], "select": "last", "runs": [row]});
        fs::write(work.base.path().join(TABLE), table.to_string())?;
        ended(work.train(&work.trained()).output()?, "train")?;
        let header = work.evaluated()?;
        work.about = format!("commit {}; {}", provenance::commit(&header.built), provenance::machine(&header));
        work.classes = header.classes;
        for (at, class) in work.classes.iter().enumerate().take(4) {
            let folder = work.photos().join(class);
            fs::create_dir_all(&folder)?;
            for number in 0..3usize {
                fs::write(folder.join(format!("{number}.ppm")), drawn(at, number))?;
            }
        }
        Ok(work)
    }

    /// The header of an evaluation.
    fn evaluated(&self) -> Result<Header> {
        let file = self.base.path().join("evaluated.jsonl");
        let mut command = self.classify("evaluate");
        command.arg("--run-dir").arg(self.trained()).args(["--test", "shapes", "--results"]).arg(&file);
        ended(command.output()?, "evaluate")?;
        Ok(Results::read(&file)?.header)
    }

    fn trained(&self) -> PathBuf {
        self.base.path().join("trained")
    }

    fn photos(&self) -> PathBuf {
        self.base.path().join("photos")
    }

    pub(super) fn moment(&self, index: usize) -> f64 {
        moment(self.seed, index)
    }

    fn classify(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(self.base.path()).args([name, "--threads", "1"]);
        command
    }

    fn train(&self, run_dir: &Path) -> Command {
        let mut command = self.classify("train");
        command.arg("--table").arg(self.base.path().join(TABLE)).args(["--row", "small", "--checkpoint-every", "4"]);
        command.arg("--run-dir").arg(run_dir);
        command
    }

    /// `robustness` over so many images in all, of pictures drawn once.
    pub(super) fn measure(&self, images: usize) -> Result<Command> {
        let folder = self.base.path().join("many");
        for number in 0..images.div_ceil(PARTS).max(2) {
            let at = number % self.classes.len();
            let class = folder.join(&self.classes[at]);
            fs::create_dir_all(&class)?;
            fs::write(class.join(format!("{number}.ppm")), drawn(at, number))?;
        }
        let mut command = self.classify("robustness");
        command.arg("--images").arg(folder).arg("--model").arg(self.trained());
        Ok(command)
    }

    /// Puts into a folder what a command of that folder reads there.
    pub(super) fn furnish(&self, folder: &Path) -> Result<()> {
        fs::write(folder.join("Cargo.toml"), "[workspace]\n")?;
        fs::copy(self.base.path().join(TABLE), folder.join(TABLE))?;
        Ok(())
    }

    pub(super) fn command(&self, scenario: &Scenario, folder: &Path) -> Command {
        let mut command = (scenario.command)(self, folder);
        // a group of its own: what it starts is killed with it
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::null());
        command
    }

    /// Starts the command; nobody reads what it says.
    pub(super) fn start(&self, scenario: &Scenario, folder: &Path) -> Result<Child> {
        let mut command = self.command(scenario, folder);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot be started")
    }

    /// Runs the command to its end.
    pub(super) fn finish(&self, scenario: &Scenario, folder: &Path) -> Result<Output> {
        self.command(scenario, folder).output().context("cannot be started")
    }

    /// What the command gives undisturbed.
    pub(super) fn reference(&self, scenario: &Scenario) -> Result<Reference> {
        let folder = tempfile::tempdir()?;
        self.furnish(folder.path())?;
        let begun = Instant::now();
        ended(self.finish(scenario, folder.path())?, scenario.name)?;
        let time = begun.elapsed();
        let (files, bytes) = files(folder.path())?;
        Ok(Reference { time, files, bytes })
    }
}

impl Reference {
    /// What is not as it is undisturbed: the first file that differs, is missing or too much.
    pub(super) fn differs(&self, folder: &Path) -> Result<Option<String>> {
        let (found, _) = files(folder)?;
        let wrong = self.files.iter().find(|(path, digest)| found.get(*path) != Some(digest)).map(|(path, _)| path);
        let more = found.keys().find(|path| !self.files.contains_key(*path));
        Ok(wrong.map(|path| format!("{path} differs")).or(more.map(|path| format!("{path} is too much"))))
    }
}

/// The digests of the files of a folder by their paths, but for what is not yet whole and locks; and their bytes.
fn files(folder: &Path) -> Result<(BTreeMap<String, String>, u64)> {
    let (mut found, mut bytes, mut folders) = (BTreeMap::new(), 0, vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !name.starts_with(PARTIAL) && !name.ends_with("lock") {
                let content = fs::read(&path)?;
                bytes += content.len() as u64;
                let digest = format!("{:?}", Sha256::digest(&content));
                let below = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                found.insert(below, digest);
            }
        }
    }
    Ok((found, bytes))
}

/// Refuses a command that failed.
fn ended(output: Output, name: &str) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} failed: {}", said.lines().last().unwrap_or_default());
    Ok(())
}

/// Waits for a child, or kills what hangs.
pub(super) fn awaited(mut child: Child) -> Result<Option<i32>> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// A coloured picture as a PPM file.
fn drawn(class: usize, number: usize) -> Vec<u8> {
    let (width, height) = (48usize, 40usize);
    let mut file = format!("P6\n{width} {height}\n255\n").into_bytes();
    let value = |index: usize| ((index * (7 + 5 * class) + 31 * number) % 251) as u8;
    file.extend((0..3 * width * height).map(value));
    file
}

impl Outcome {
    pub(super) fn new(fault: &'static str, command: &'static str) -> Self {
        Self { fault, command, tried: 0, survived: 0, same: 0, remarks: Vec::new() }
    }

    /// Of a fault that cannot be made here.
    pub(super) fn left_out(fault: &'static str, command: &'static str, why: &str) -> Self {
        Self { remarks: vec![format!("left out: {why}")], ..Self::new(fault, command) }
    }

    /// Counts a trial: whether the same command ended well afterwards, and what differs.
    pub(super) fn count(&mut self, ended_well: bool, differs: Option<String>) {
        self.tried += 1;
        self.survived += usize::from(ended_well);
        self.same += usize::from(ended_well && differs.is_none());
        self.remarks.extend(differs);
    }

    pub(super) fn remark(&mut self, said: impl Into<String>) {
        self.remarks.push(said.into());
    }

    pub(super) fn is_well(&self) -> bool {
        self.survived == self.tried && self.same == self.tried
    }

    fn remarks(&self) -> String {
        let mut all = self.remarks.clone();
        all.sort();
        all.dedup();
        all.join("; ")
    }

    pub(super) fn told(&self) -> String {
        format!(
            "{}, {}: {} of {} survived, {} with the same bytes {}",
            self.fault,
            self.command,
            self.survived,
            self.tried,
            self.same,
            self.remarks()
        )
    }

    pub(super) fn line(&self) -> Vec<String> {
        let counts = [self.tried, self.survived, self.same].map(|count| count.to_string());
        let [tried, survived, same] = counts;
        vec![self.fault.to_string(), self.command.to_string(), tried, survived, same, self.remarks()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_the_undisturbed_run_is_named() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("run"))?;
        fs::write(at("run/a.safetensors"), "weights")?;
        fs::write(at("results.jsonl"), "{}")?;
        let (files, bytes) = files(folder.path())?;
        assert_eq!((files.len(), bytes), (2, 9));
        let reference = Reference { time: Duration::ZERO, files, bytes };
        assert_eq!(reference.differs(folder.path())?, None);
        // what is not yet whole does not count
        fs::write(at(".partial-x"), "half")?;
        fs::write(at("run/.lock"), "")?;
        assert_eq!(reference.differs(folder.path())?, None);
        fs::write(at("more.jsonl"), "")?;
        assert_eq!(reference.differs(folder.path())?.as_deref(), Some("more.jsonl is too much"));
        fs::write(at("run/a.safetensors"), "weightz")?;
        assert_eq!(reference.differs(folder.path())?.as_deref(), Some("run/a.safetensors differs"));
        fs::remove_file(at("results.jsonl"))?;
        assert_eq!(reference.differs(folder.path())?.as_deref(), Some("results.jsonl differs"));
        Ok(())
    }

    #[test]
    fn a_trial_counts_as_survived_only_with_the_same_bytes() {
        let mut outcome = Outcome::new("killed", "robustness");
        outcome.count(true, None);
        assert!(outcome.is_well());
        outcome.count(true, Some("a differs".to_string()));
        outcome.count(false, None);
        assert!(!outcome.is_well());
        assert_eq!(outcome.line(), ["killed", "robustness", "3", "2", "1", "a differs"]);
        let left_out = Outcome::left_out("disk full", "robustness", "no mount");
        assert!(left_out.is_well() && left_out.line()[5] == "left out: no mount");
    }

    #[test]
    fn moments_are_spread() {
        let all: Vec<f64> = (0..200).map(|index| moment(0, index)).collect();
        assert!(all.iter().all(|moment| (0. ..=1.).contains(moment)));
        for part in 0..4 {
            let count = all.iter().filter(|moment| (**moment * 4.) as usize == part).count();
            assert!((30..70).contains(&count), "{count}");
        }
        assert_ne!(moment(0, 1), moment(1, 1));
    }
}

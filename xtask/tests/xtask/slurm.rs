//! The array job on a real Slurm, started on loopback by `xtask/cluster/slurm.sh`.

use crate::reproduce::{ALL, Outcome, Tree};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A cluster, which ends with the test.
struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let cluster = Self { folder: tempfile::tempdir()? };
        assert!(cluster.script("start").status()?.success(), "no cluster: its logs are in {}", cluster.folder.path().display());
        Ok(cluster)
    }

    fn script(&self, action: &str) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/slurm.sh"));
        command.arg(action).arg(self.folder.path());
        command
    }

    fn conf(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("SLURM_CONF", self.conf()).stderr(Stdio::null());
        command
    }

    fn says(&self, program: &str, arguments: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
        Ok(String::from_utf8(self.command(program, arguments).output()?.stdout)?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.script("stop").status();
    }
}

/// Waits for something that comes to be.
fn wait(what: &str, mut is: impl FnMut() -> Result<bool, Box<dyn std::error::Error>>) -> Outcome {
    let start = Instant::now();
    while !is()? {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

#[test]
#[ignore = "needs slurm-wlm and munge of Debian, as root"]
fn an_array_makes_a_table_and_what_is_killed_or_queued_again_goes_on() -> Outcome {
    let cluster = Cluster::start()?;
    let tree = Tree::new()?;
    let submit = || {
        let mut command = tree.command(&["reproduce", "--table", "quick", "--launcher", "slurm", "--max-parallel", "2"]);
        command.env("SLURM_CONF", cluster.conf()).assert().success();
    };
    let status = || -> Result<String, Box<dyn std::error::Error>> {
        Ok(String::from_utf8(tree.command(&["reproduce", "--table", "quick", "--status"]).output()?.stdout)?)
    };
    submit();
    wait("the table", || Ok(status()?.contains("4 done")))?;
    let mut log = tree.log();
    log.sort();
    let mut all = ALL;
    all.sort_unstable();
    assert_eq!(log, all);
    // other cells, which wait until they are told to stop
    tree.table(3)?;
    fs::write(tree.at("hang"), "")?;
    submit();
    wait("two cells", || Ok(status()?.matches("running").count() == 3 && tree.at("ready").exists()))?;
    let job = cluster.says("squeue", &["--noheader", "--states=R", "--format=%F"])?;
    let job = job.lines().next().ok_or("no job runs")?.to_string();
    cluster.says("scancel", &["--signal=KILL", "--full", &format!("{job}_1")])?;
    // it asks again and again once the task is queued again
    let mut signal = cluster.command("scancel", &["--signal=USR1", "--batch", &format!("{job}_2")]).spawn()?;
    wait("one that is queued again", || {
        Ok(cluster.says("squeue", &["--noheader", "--array", "--format=%K %T"])?.lines().any(|line| line == "2 PENDING"))
    })?;
    signal.kill()?;
    signal.wait()?;
    cluster.says("scancel", &[&job])?;
    wait("an empty queue", || Ok(cluster.says("squeue", &["--noheader"])?.is_empty()))?;
    fs::remove_file(tree.at("hang"))?;
    submit();
    wait("the table again", || Ok(status()?.contains("4 done")))
}

//! Child processes, and an interrupt reaches each of them exactly once.
//!
//! A child runs in its own process group, so Ctrl-C at the terminal and a signal to this program have the same effect: the
//! child gets one SIGINT, finishes its step, writes its checkpoint and exits; then this program exits with code 130.

use anyhow::{Context, Result};
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

/// The state that the signal handler and the waiting thread share.
struct State {
    interrupted: bool,
    children: Vec<u32>,
}

static STATE: Mutex<State> = Mutex::new(State { interrupted: false, children: Vec::new() });

fn state() -> std::sync::MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a child ended.
pub(crate) enum Ending {
    /// Successfully, with its captured output.
    Done(Vec<u8>),
    /// It, or this program, was interrupted.
    Interrupted,
    /// It failed; the reason is on its standard error.
    Failed(ExitStatus),
}

/// Installs a handler that forwards Ctrl-C, the signal to end and those of clusters (USR1, USR2) to the running children.
///
/// # Errors
/// If the handler cannot be installed.
pub(crate) fn catch_interrupts() -> Result<()> {
    #[cfg(unix)]
    {
        use signal_hook::consts::{SIGUSR1, SIGUSR2};
        let mut signals = signal_hook::iterator::Signals::new([SIGUSR1, SIGUSR2]).context("USR1 and USR2 cannot be caught")?;
        std::thread::spawn(move || signals.forever().for_each(|_| interrupt()));
    }
    ctrlc::set_handler(interrupt).context("Ctrl-C cannot be caught")
}

/// Tells the children that run, or ends this program where none does.
fn interrupt() {
    let mut state = state();
    state.interrupted = true;
    match state.children.as_slice() {
        [] => std::process::exit(130),
        children => children.iter().for_each(|child| forward(*child)),
    }
}

#[cfg(unix)]
fn forward(id: u32) {
    // a child that has just ended needs no signal, so a failure does no harm
    let _ = Command::new("sh").args(["-c", &format!("kill -INT {id}")]).stderr(Stdio::null()).status();
}

#[cfg(not(unix))]
fn forward(_: u32) {}

/// Runs a program to its end; its standard error is shown, its standard output is returned.
///
/// # Errors
/// If the program cannot be started.
pub(crate) fn run(command: &mut Command) -> Result<Ending> {
    Ok(run_with(command, Stdio::inherit())?.0)
}

/// As [`run`], but standard error goes to the end of a file.
///
/// # Errors
/// If the program cannot be started, or the file not be written.
pub(crate) fn run_into(command: &mut Command, log: &Path) -> Result<Ending> {
    let at = || format!("{}: cannot be written", log.display());
    let file = File::options().create(true).append(true).open(log).with_context(at)?;
    Ok(run_with(command, file.into())?.0)
}

/// As [`run`], but standard error is returned and not shown.
///
/// # Errors
/// If the program cannot be started.
pub(crate) fn run_quietly(command: &mut Command) -> Result<(Ending, String)> {
    let (ending, said) = run_with(command, Stdio::piped())?;
    Ok((ending, String::from_utf8_lossy(&said).into_owned()))
}

fn run_with(command: &mut Command, errors: Stdio) -> Result<(Ending, Vec<u8>)> {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let name = command.get_program().to_string_lossy().into_owned();
    let child = {
        let mut state = state();
        if state.interrupted {
            return Ok((Ending::Interrupted, Vec::new()));
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn();
        let child = child.with_context(|| format!("{name}: cannot be started; does it exist, and is it executable?"))?;
        state.children.push(child.id());
        child
    };
    let id = child.id();
    let output = child.wait_with_output();
    let mut state = state();
    state.children.retain(|child| *child != id);
    let output = output.with_context(|| format!("{name}: its end could not be awaited"))?;
    let ending = match output.status {
        status if status.success() && !state.interrupted => Ending::Done(output.stdout),
        status if state.interrupted || status.code() == Some(130) => Ending::Interrupted,
        status => Ending::Failed(status),
    };
    Ok((ending, output.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_failure_and_interruption_are_told_apart() -> Result<()> {
        let shell = |script: &str| run(Command::new("sh").args(["-c", script]));
        assert!(matches!(shell("printf ok")?, Ending::Done(output) if output == b"ok"));
        assert!(matches!(shell("exit 130")?, Ending::Interrupted));
        assert!(matches!(shell("exit 7")?, Ending::Failed(status) if status.code() == Some(7)));
        let (ending, said) = run_quietly(Command::new("sh").args(["-c", "echo why >&2; exit 7"]))?;
        assert!(matches!(ending, Ending::Failed(_)) && said == "why\n");
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        for word in ["one", "two"] {
            run_into(Command::new("sh").args(["-c", &format!("echo {word} >&2")]), &log)?;
        }
        assert_eq!(std::fs::read_to_string(&log)?, "one\ntwo\n");
        let error = run(&mut Command::new("/no/such/program")).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains("/no/such/program: cannot be started"), "{error}");
        Ok(())
    }
}

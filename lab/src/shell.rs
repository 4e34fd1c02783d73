//! Other programs, run to their end.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::error::{Context, Error, Result};

/// Runs a command and gives what it printed; an error holds what it said on stderr.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = output(command, None)?;
    succeed(command, &output)
}

/// The same with text on its stdin.
pub(crate) fn run_with(command: &mut Command, stdin: &str) -> Result<String> {
    let output = output(command, Some(stdin))?;
    succeed(command, &output)
}

/// Runs a command and gives everything it printed, however it ended.
pub(crate) fn output(command: &mut Command, stdin: Option<&str>) -> Result<Output> {
    let what = format!("run `{}`", describe(command));
    command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let Some(text) = stdin else {
        return command.output().or_cannot(|| what);
    };
    let mut child = command.spawn().or_cannot(|| what)?;
    let (pipe, text) = (child.stdin.take(), text.to_owned());
    // In a thread of its own, for the child may fill its output before it has read its input.
    let writer = std::thread::spawn(move || pipe.map(|mut pipe| pipe.write_all(text.as_bytes())));
    let output = child.wait_with_output().or_cannot(|| format!("wait for `{}`", describe(command)));
    drop(writer.join());
    output
}

fn succeed(command: &Command, output: &Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
    Err(Error::Command { command: describe(command), output: format!("{} ({})", said.trim(), output.status) })
}

fn describe(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        // Infallible for a String.
        _ = write!(text, " {}", argument.to_string_lossy());
    }
    text
}

/// Where a program is, by the PATH and the administrator's directories.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/go/bin"].map(Into::into))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_which_command_and_what_it_said() {
        let error = run(Command::new("sh").args(["-c", "echo no luck >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c") && error.contains("no luck") && error.contains('3'), "{error}");
    }

    #[test]
    fn more_output_than_a_pipe_holds_is_read_while_input_is_written() {
        let text = "x".repeat(1 << 20);
        assert_eq!(run_with(&mut Command::new("cat"), &text).unwrap().len(), text.len());
    }
}

//! A copy of the workspace to plant bugs in, so that the real one is never touched, and how it is built.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::list::{Bug, Unplantable};

/// The copy.
pub struct Tree {
    /// The workspace that is copied.
    root: PathBuf,
    /// The copy of its sources.
    copy: PathBuf,
    /// Where the copy is built.
    target: PathBuf,
}

/// The profile that is built fast.
const PROFILE: &str = "planted";

impl Tree {
    /// The copy that belongs to the workspace of the present directory.
    pub fn here() -> Result<Self, Unplantable> {
        let output = run(Command::new("git").args(["rev-parse", "--show-toplevel"]))?;
        let root = PathBuf::from(output.trim());
        let planted = root.join("target/planted");
        Ok(Self { copy: planted.join("tree"), target: planted.join("target"), root })
    }

    /// The folder with the list of bugs.
    pub fn list(&self) -> PathBuf {
        self.root.join("tests/simulation/planted")
    }

    /// Makes the copy like the workspace, but for the bug. Files that are right already keep their times, so that little
    /// is built anew.
    pub fn plant(&self, bug: Option<&Bug>) -> Result<(), Unplantable> {
        let source = |file: &str| fs::read_to_string(self.root.join(file)).map_err(|why| fault(file, &why));
        let planted = bug.map_or(Ok(Vec::new()), |bug| bug.plant(source))?;
        let listed = run(Command::new("git").current_dir(&self.root).args(["ls-files", "-co", "--exclude-standard"]))?;
        let files: BTreeSet<&str> = listed.lines().filter(|file| self.root.join(file).is_file()).collect();
        for file in &files {
            let wanted = match planted.iter().find(|(name, _)| name == file) {
                Some((_, text)) => text.clone().into_bytes(),
                None => fs::read(self.root.join(file)).map_err(|why| fault(file, &why))?,
            };
            let to = self.copy.join(file);
            if fs::read(&to).ok().as_ref() != Some(&wanted) {
                fs::create_dir_all(to.parent().unwrap_or(&self.copy)).map_err(|why| fault(file, &why))?;
                fs::write(&to, wanted).map_err(|why| fault(file, &why))?;
            }
        }
        self.clear(&self.copy, &files)
    }

    /// Removes what the workspace no longer has: a module's file that stays behind would still be compiled by its tests.
    fn clear(&self, folder: &Path, files: &BTreeSet<&str>) -> Result<(), Unplantable> {
        for entry in fs::read_dir(folder).map_err(|why| fault(&folder.display().to_string(), &why))?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.clear(&path, files)?;
                continue;
            }
            let name = path.strip_prefix(&self.copy).unwrap_or(&path).display().to_string();
            if !files.contains(name.as_str()) {
                fs::remove_file(&path).map_err(|why| fault(&name, &why))?;
            }
        }
        Ok(())
    }

    /// The simulation without any bug, built in the same way, kept beside the copy.
    pub fn healthy(&self) -> Result<PathBuf, Unplantable> {
        self.plant(None)?;
        let (built, kept) = (self.build()?, self.target.join("healthy"));
        fs::copy(&built, &kept).map_err(|why| fault("healthy", &why))?;
        Ok(kept)
    }

    /// Builds the simulation in the copy, and says where it is.
    pub fn build(&self) -> Result<PathBuf, Unplantable> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .current_dir(&self.copy)
            .env("CARGO_TARGET_DIR", &self.target)
            .args(["build", "--quiet", "--locked", "--package", "atoll-simulation", "--bin", "sim"])
            .args(["--profile", PROFILE, "--config", "build.rustflags=['--cfg=tokio_unstable']"]);
        run(&mut command)?;
        Ok(self.target.join(PROFILE).join("sim"))
    }
}

/// What a command prints.
fn run(command: &mut Command) -> Result<String, Unplantable> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().map_err(|why| fault(&name, &why))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Unplantable::File { file: name, why: words })
}

fn fault(file: &str, why: &std::io::Error) -> Unplantable {
    Unplantable::File { file: file.to_owned(), why: why.to_string() }
}

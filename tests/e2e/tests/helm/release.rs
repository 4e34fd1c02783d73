//! Helm, used as a person would.

use std::path::PathBuf;
use std::process::Command;

use e2e::world::NAMESPACE;
use e2e::{As, Outcome, Trouble, World, programs};

/// The release's name, which is also the name of what it makes.
pub const RELEASE: &str = "atoll";

/// The chart of this repository.
pub fn chart() -> String {
    programs::repository().join("charts/atoll").display().to_string()
}

/// helm, which the lab has built.
fn program() -> Outcome<PathBuf> {
    Ok(lab::bin("helm")?)
}

/// Checks that need no cluster: the chart is sound, and the plain manifests are made of it.
pub fn offline() -> Outcome {
    run(Command::new(program()?).args(["lint", "--strict", &chart()]))?;
    run(Command::new(programs::repository().join("deploy/render")).arg("--check").env("HELM", program()?))?;
    Ok(())
}

/// The image that the chart runs where nobody says otherwise.
pub fn default_image() -> Outcome<String> {
    let manifests = run(Command::new(program()?).args(["template", RELEASE, &chart()]))?;
    let image = manifests.lines().find_map(|line| line.trim().strip_prefix("image: "));
    image
        .map(|image| image.trim_matches('"').to_owned())
        .ok_or_else(|| Trouble::new(format!("the chart names no image: {manifests}")))
}

/// helm against the master.
pub struct Helm {
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Helm {
    /// As the master's administrator.
    pub fn new(world: &World) -> Outcome<Self> {
        let kubeconfig = world.folder().join("administrator.yaml");
        std::fs::write(&kubeconfig, world.lab().kubeconfig("master", As::Admin)?)?;
        Ok(Self { kubeconfig, home: world.folder().join("helm") })
    }

    /// `helm install`, until the pod is ready.
    pub fn install(&self, values: &[&str]) -> Outcome<String> {
        self.put("install", values)
    }

    /// `helm upgrade`, until the new pod is ready.
    pub fn upgrade(&self, values: &[&str]) -> Outcome<String> {
        self.put("upgrade", values)
    }

    fn put(&self, verb: &str, values: &[&str]) -> Outcome<String> {
        let chart = chart();
        let mut arguments = vec![verb, RELEASE, &chart, "-n", NAMESPACE, "--wait", "--timeout=90s"];
        arguments.extend(values.iter().flat_map(|value| ["--set", value]));
        self.run(&arguments)
    }

    /// `helm uninstall`; what it keeps is told.
    pub fn uninstall(&self) -> Outcome<String> {
        self.run(&["uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout=60s"])
    }

    fn run(&self, arguments: &[&str]) -> Outcome<String> {
        let mut command = Command::new(program()?);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        for (name, folder) in [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(name, self.home.join(folder));
        }
        run(command.env("KUBECONFIG", &self.kubeconfig).args(arguments))
    }
}

/// Runs a command; its output, or why it failed.
fn run(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| Trouble::new(format!("{command:?}: {error}")))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(told);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    let program = command.get_program().to_string_lossy();
    Err(Trouble::new(format!("{program} {}: {} {}", arguments.join(" "), told.trim(), said.trim())))
}

//! Atoll's image as `Dockerfile` makes it, on a machine without Docker: one static program and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Outcome, Trouble, ensure, programs};
use lab::{Image, ImageFile};

/// Names a static `atoll` that was built already, for instance by `make image`.
const PROGRAM: &str = "ATOLL_STATIC_BIN";

/// The image, under this name.
pub fn image(name: &str) -> Outcome<Image> {
    let source = match std::env::var_os(PROGRAM) {
        Some(path) => path.into(),
        None => built()?,
    };
    Ok(Image {
        names: vec![name.to_owned()],
        files: vec![ImageFile { path: "/atoll".to_owned(), source, mode: 0o755 }],
        entrypoint: vec!["/atoll".to_owned()],
        cmd: vec!["run".to_owned()],
        ..Image::default()
    })
}

/// Static as in the image, but unoptimized: linking the optimized one alone takes longer than all of these tests.
fn built() -> Outcome<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // A test is run with its own crate's variables; another build must not see them as its own.
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_"))) {
        command.env_remove(name);
    }
    let status = command
        .args(["build", "-p", "atoll", "--bin", "atoll", "--target", &target])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env("CARGO_PROFILE_DEV_STRIP", "true")
        .current_dir(programs::repository())
        .status()?;
    ensure!(status.success(), "the static atoll cannot be built for {target}");
    Ok(target_folder()?.join(target).join("debug/atoll"))
}

/// Cargo's target folder, which this very program is in; cargo marks it as a cache.
fn target_folder() -> Outcome<PathBuf> {
    let own = std::env::current_exe()?;
    let marked = own.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file()).map(Path::to_path_buf);
    marked.ok_or_else(|| Trouble::new(format!("{} is in no target folder of cargo", own.display())))
}

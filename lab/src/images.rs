//! Container images without Docker: archives made of given files, loaded into each node's containerd.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::cache::{Dirs, fingerprint, hex};
use crate::error::{Context, Error, Result, make_dir, write};
use crate::gobuild::{self, ETCD_35_VERSION, ETCD_36_VERSION, Program, Programs};

/// The sandbox image; its name leads to no registry on purpose.
pub(crate) const PAUSE_IMAGE: &str = "lab.local/pause:1";

/// A file of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Where it is in the image, absolute.
    pub path: String,
    /// Which file of this machine it is.
    pub source: PathBuf,
    /// Its permissions, like `0o755`.
    pub mode: u32,
}

/// An image to be made: nothing is in it but its files and the directories above them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// All its names, with registry and tag.
    pub names: Vec<String>,
    /// Its files.
    pub files: Vec<ImageFile>,
    /// What runs, whatever arguments are given.
    pub entrypoint: Vec<String>,
    /// What runs, or the arguments, where none are given.
    pub cmd: Vec<String>,
    /// Environment, as `NAME=value`.
    pub env: Vec<String>,
}

impl Image {
    fn fingerprint(&self) -> Result<String> {
        let mut text = format!("2{:?}{:?}{:?}{:?}", self.names, self.entrypoint, self.cmd, self.env);
        for file in &self.files {
            let seen = std::fs::metadata(&file.source)
                .or_cannot(|| format!("put {} into image {}", file.source.display(), self.names.join(", ")))?;
            let what = (&file.path, &file.source, file.mode, seen.len(), seen.mtime(), seen.mtime_nsec());
            text.push_str(&format!("{what:?}"));
        }
        Ok(fingerprint([text.as_bytes()]))
    }

    /// Writes the archive (as `docker save` would) into the directory, unless it is there already.
    pub fn archive(&self, dir: &Path) -> Result<PathBuf> {
        make_dir(dir)?;
        let label = self.names.first().map(String::as_str).unwrap_or_default();
        let label: String =
            label.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        let path = dir.join(format!("{label}-{}.tar", self.fingerprint()?));
        if path.exists() {
            return Ok(path);
        }
        let partial = dir.join(format!("{label}-{}.partial", std::process::id()));
        let made = self.write(&partial);
        let made = made
            .and_then(|()| std::fs::rename(&partial, &path).or_cannot(|| format!("put {} in place", path.display())));
        drop(std::fs::remove_file(&partial));
        made.map(|()| path)
    }

    fn write(&self, path: &Path) -> Result<()> {
        let failed = || format!("write the image archive {}", path.display());
        let layer_path = path.with_extension("layer");
        let diff = self.write_layer(&layer_path).or_cannot(failed)?;
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let mut env = vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
        env.extend(self.env.iter().cloned());
        let config = json!({
            "architecture": architecture, "os": "linux", "created": "1970-01-01T00:00:00Z",
            "config": { "Env": env, "Entrypoint": self.entrypoint, "Cmd": self.cmd, "WorkingDir": "/" },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff}")] },
            "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "atoll-lab" }],
        })
        .to_string();
        let config_name = format!("{}.json", hex(&Sha256::digest(config.as_bytes())));
        let manifest =
            json!([{ "Config": config_name, "RepoTags": self.names, "Layers": [format!("{diff}/layer.tar")] }])
                .to_string();

        let pack = || -> std::io::Result<()> {
            let mut outer = tar::Builder::new(BufWriter::new(File::create(path)?));
            for (name, text) in [(config_name.as_str(), &config), ("manifest.json", &manifest)] {
                outer.append_data(&mut header(text.len() as u64, 0o644), name, text.as_bytes())?;
            }
            let layer = File::open(&layer_path)?;
            outer.append_data(&mut header(layer.metadata()?.len(), 0o644), format!("{diff}/layer.tar"), layer)?;
            outer.into_inner()?.flush()
        };
        let packed = pack().or_cannot(failed);
        drop(std::fs::remove_file(&layer_path));
        packed
    }

    /// Writes the file system and gives its digest.
    fn write_layer(&self, path: &Path) -> std::io::Result<String> {
        let mut layer = tar::Builder::new(BufWriter::new(File::create(path)?));
        layer.mode(tar::HeaderMode::Deterministic);
        for (directory, mode) in self.directories() {
            let mut header = header(0, mode);
            header.set_entry_type(tar::EntryType::Directory);
            layer.append_data(&mut header, format!("{directory}/"), std::io::empty())?;
        }
        for file in &self.files {
            let source = File::open(&file.source)?;
            let mut header = header(source.metadata()?.len(), file.mode);
            layer.append_data(&mut header, file.path.trim_start_matches('/'), source)?;
        }
        layer.into_inner()?.flush()?;
        let (mut digest, mut file, mut buffer) = (Sha256::new(), File::open(path)?, vec![0; 1 << 20]);
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok(hex(&digest.finalize()));
            }
            digest.update(&buffer[..count]);
        }
    }

    /// Every directory above a file, parents first, and `/tmp`, which many programs take for granted.
    fn directories(&self) -> Vec<(String, u32)> {
        let mut directories = std::collections::BTreeMap::from([("tmp".to_owned(), 0o1777)]);
        for file in &self.files {
            let mut path = file.path.trim_start_matches('/');
            while let Some((parent, _)) = path.rsplit_once('/') {
                directories.entry(parent.to_owned()).or_insert(0o755);
                path = parent;
            }
        }
        directories.into_iter().collect()
    }
}

fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// The images that every node gets: the sandbox and the database.
pub(crate) fn standard(dirs: &Dirs, programs: &Programs, with_etcd_36: bool) -> Result<Vec<PathBuf>> {
    let dir = dirs.cache.join("images");
    let pause = Image {
        names: vec![PAUSE_IMAGE.to_owned()],
        files: vec![file_of(programs, "/pause", &gobuild::PAUSE_PROGRAM)],
        entrypoint: vec!["/pause".to_owned()],
        ..Image::default()
    };
    let mut images = vec![pause, etcd(programs, ETCD_35_VERSION, &[gobuild::ETCD, gobuild::ETCDCTL, gobuild::ETCDUTL])];
    if with_etcd_36 {
        images.push(etcd(programs, ETCD_36_VERSION, gobuild::WITH_ETCD_36));
    }
    images.iter().map(|image| image.archive(&dir)).collect()
}

/// etcd as its project publishes it: three programs and no shell, under both registries' names.
fn etcd(programs: &Programs, version: &str, parts: &[Program]) -> Image {
    Image {
        names: ["gcr.io/etcd-development/etcd", "quay.io/coreos/etcd"].map(|name| format!("{name}:{version}")).into(),
        files: parts.iter().map(|part| file_of(programs, &format!("/usr/local/bin/{}", part.name), part)).collect(),
        cmd: vec!["/usr/local/bin/etcd".to_owned()],
        ..Image::default()
    }
}

fn file_of(programs: &Programs, path: &str, program: &Program) -> ImageFile {
    ImageFile { path: path.to_owned(), source: programs.path(program), mode: 0o755 }
}

/// Makes an image known by `NAME=FILE`, where the file is an archive or one static program.
pub fn from_argument(argument: &str, dir: &Path) -> Result<PathBuf> {
    let Some((name, source)) = argument.rsplit_once('=') else {
        return Ok(PathBuf::from(argument));
    };
    let source = PathBuf::from(source);
    let program = source.file_name().and_then(|name| name.to_str()).map(|name| format!("/usr/local/bin/{name}"));
    let Some(program) = program.filter(|_| name.contains(':')) else {
        let text = format!("{argument:?} is no image; write NAME:TAG=PROGRAM, or the path of an archive");
        return Err(Error::Options(text));
    };
    let files = vec![ImageFile { path: program.clone(), source, mode: 0o755 }];
    Image { names: vec![name.to_owned()], files, entrypoint: vec![program], ..Image::default() }.archive(dir)
}

/// Loads an archive into a node.
pub(crate) fn import(
    ctr: &Path,
    env: &std::collections::BTreeMap<String, String>,
    socket: &Path,
    archive: &Path,
) -> Result<()> {
    let mut command = std::process::Command::new(ctr);
    command.envs(env).arg("-a").arg(socket).args(["-n", "k8s.io", "images", "import"]).arg(archive);
    crate::shell::run(&mut command).map(drop)
}

/// Where archives that were made on demand are.
pub(crate) fn on_demand(dirs: &Dirs) -> PathBuf {
    dirs.state.join("images")
}

/// Writes a small file to put into an image, such as a configuration.
pub fn text_file(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    make_dir(dir)?;
    let path = dir.join(name);
    write(&path, text)?;
    Ok(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_names_its_layer_by_its_digest_and_has_every_directory() {
        let dir = tempfile::tempdir().unwrap();
        let source = text_file(dir.path(), "tool", "#!/bin/true").unwrap();
        let image = Image {
            names: vec!["example.com/a/tool:1".into()],
            files: vec![ImageFile { path: "/usr/local/bin/tool".into(), source, mode: 0o755 }],
            entrypoint: vec!["/usr/local/bin/tool".into()],
            ..Image::default()
        };
        let path = image.archive(&dir.path().join("out")).unwrap();
        assert_eq!(image.archive(&dir.path().join("out")).unwrap(), path, "made once");
        let (mut manifest, mut layer) = (String::new(), Vec::new());
        for entry in tar::Archive::new(File::open(&path).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            if name == "manifest.json" {
                entry.read_to_string(&mut manifest).unwrap();
            } else if name.ends_with("layer.tar") {
                entry.read_to_end(&mut layer).unwrap();
            }
        }
        assert!(manifest.contains("example.com/a/tool:1"));
        assert!(manifest.contains(&hex(&Sha256::digest(&layer))));
        let names: Vec<_> = tar::Archive::new(layer.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["tmp/", "usr/", "usr/local/", "usr/local/bin/", "usr/local/bin/tool"]);
        assert_eq!(std::fs::read_dir(dir.path().join("out")).unwrap().count(), 1, "nothing half made is left");
    }

    #[test]
    fn a_missing_file_is_told_with_the_image_s_name() {
        let dir = tempfile::tempdir().unwrap();
        let error = from_argument("a/b:1=/nowhere/tool", dir.path()).unwrap_err().to_string();
        assert!(error.contains("/nowhere/tool") && error.contains("a/b:1"), "{error}");
        assert!(from_argument("untagged=/bin/true", dir.path()).is_err());
    }
}

//! The list of planted bugs: plain data below `tests/simulation/planted`, and how one is put into a source text.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

/// A bug that somebody might have written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bug {
    /// Its name.
    pub name: String,
    /// What it breaks: a rule of the catalogue (`S4`), or a decision.
    pub rule: String,
    /// Why somebody might write it so.
    pub why: String,
    /// The first words of the checks that are expected to see it: `S4`, `L1`.
    pub caught_by: Vec<String>,
    /// Where to look for it, in this order.
    #[serde(default = "everywhere")]
    pub play: Vec<Play>,
    /// What is written instead of what.
    pub edits: Vec<Edit>,
}

/// One place in the sources.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Edit {
    /// The file, from the root of the workspace.
    pub file: String,
    /// What stands there, exactly once. How it is broken into lines does not matter.
    pub find: String,
    /// What is written instead.
    pub replace: String,
}

/// Runs in which a bug may show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Play {
    /// So many random seeds, from the first.
    Seeds(u64),
    /// A systematic campaign, by name.
    Campaign(String),
    /// A scenario of the catalogue, by name.
    Scenario(String),
    /// All of them.
    Catalogue,
    /// This very script: what random seeds come upon too seldom.
    Script(serde_json::Value),
}

/// Where a bug is looked for that does not say.
fn everywhere() -> Vec<Play> {
    let campaign = |name: &str| Play::Campaign(name.to_owned());
    let campaigns = ["crash", "lost", "cut", "lag"].map(campaign);
    [Play::Seeds(60), Play::Catalogue].into_iter().chain(campaigns).chain([Play::Seeds(600)]).collect()
}

/// Why a bug could not be planted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unplantable {
    /// The list itself cannot be used.
    #[error("{0}")]
    List(String),
    /// A file cannot be read or written.
    #[error("{file}: {why}")]
    File {
        /// The file.
        file: String,
        /// What the system says.
        why: String,
    },
    /// The sources have changed since the bug was written down.
    #[error("{bug}: {file} has this {found} times, not once: {find}")]
    Moved {
        /// The bug.
        bug: String,
        /// The file.
        file: String,
        /// What was looked for.
        find: String,
        /// How often it is there.
        found: usize,
    },
}

/// Every bug of the list, in the order of its files and of their entries.
pub fn read(folder: &Path) -> Result<Vec<Bug>, Unplantable> {
    let said = |why: std::io::Error| Unplantable::List(format!("{}: {why}", folder.display()));
    let entries = fs::read_dir(folder).map_err(said)?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let mut bugs: Vec<Bug> = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(said)?;
        let of_file: Vec<Bug> =
            serde_saphyr::from_str(&text).map_err(|error| Unplantable::List(format!("{}: {error}", file.display())))?;
        bugs.extend(of_file);
    }
    Ok(bugs)
}

/// Those with these names; all, where no name is given.
pub fn choose(bugs: Vec<Bug>, names: &[String]) -> Result<Vec<Bug>, Unplantable> {
    if names.is_empty() {
        return Ok(bugs);
    }
    if let Some(unknown) = names.iter().find(|name| bugs.iter().all(|bug| bug.name != **name)) {
        let known: Vec<_> = bugs.iter().map(|bug| bug.name.as_str()).collect();
        return Err(Unplantable::List(format!("there is no bug {unknown:?}; known are {}", known.join(", "))));
    }
    Ok(bugs.into_iter().filter(|bug| names.contains(&bug.name)).collect())
}

impl Bug {
    /// Its files with the bug in them. `source` gives the text of a file as it should be.
    pub fn plant(
        &self,
        source: impl Fn(&str) -> Result<String, Unplantable>,
    ) -> Result<Vec<(String, String)>, Unplantable> {
        let mut planted: Vec<(String, String)> = Vec::new();
        for edit in &self.edits {
            let known = planted.iter().position(|(file, _)| *file == edit.file);
            let text = match known {
                Some(at) => planted.remove(at).1,
                None => source(&edit.file)?,
            };
            let text = edit.apply(&text).map_err(|found| Unplantable::Moved {
                bug: self.name.clone(),
                file: edit.file.clone(),
                find: edit.find.clone(),
                found,
            })?;
            planted.push((edit.file.clone(), text));
        }
        Ok(planted)
    }
}

impl Edit {
    /// The text with the edit in it; how often the place was found, if that is not once.
    fn apply(&self, text: &str) -> Result<String, usize> {
        let places: Vec<_> = text
            .char_indices()
            .filter_map(|(start, _)| Some((start, end_of_match(&text[start..], &self.find)?)))
            .collect();
        match places.as_slice() {
            [(start, length)] => Ok(format!("{}{}{}", &text[..*start], self.replace, &text[start + length..])),
            _ => Err(places.len()),
        }
    }
}

/// How many bytes of `text` match `find` from the beginning on. Any white space matches any other.
fn end_of_match(text: &str, find: &str) -> Option<usize> {
    let mut rest = text;
    let mut words = find.split_whitespace();
    rest = rest.strip_prefix(words.next()?)?;
    for word in words {
        let next = rest.trim_start();
        if next.len() == rest.len() {
            return None;
        }
        rest = next.strip_prefix(word)?;
    }
    Some(text.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace")
    }

    fn bugs() -> Vec<Bug> {
        read(&root().join("tests/simulation/planted")).expect("the list")
    }

    fn edit(find: &str, replace: &str) -> Edit {
        Edit { file: "f".to_owned(), find: find.to_owned(), replace: replace.to_owned() }
    }

    #[test]
    fn every_planted_bug_fits_the_present_sources() {
        let source = |file: &str| {
            fs::read_to_string(root().join(file))
                .map_err(|error| Unplantable::File { file: file.to_owned(), why: error.to_string() })
        };
        let moved: Vec<_> =
            bugs().iter().filter_map(|bug| bug.plant(source).err()).map(|why| why.to_string()).collect();
        assert!(moved.is_empty(), "{}", moved.join("\n"));
    }

    #[test]
    fn every_planted_bug_is_in_the_product_and_says_what_it_breaks() {
        let mut names = BTreeSet::new();
        for bug in bugs() {
            assert!(names.insert(bug.name.clone()), "{} is there twice", bug.name);
            assert!(!bug.edits.is_empty() && !bug.why.is_empty() && !bug.play.is_empty(), "{}", bug.name);
            assert!(!bug.caught_by.is_empty(), "{}: nobody is expected to see it", bug.name);
            for edit in &bug.edits {
                assert!(edit.file.starts_with("src/"), "{}: {} is not the product", bug.name, edit.file);
                assert_ne!(edit.find, edit.replace, "{}", bug.name);
            }
        }
    }

    #[test]
    fn every_safety_rule_has_a_bug_that_breaks_it() {
        let rules: BTreeSet<_> = bugs().iter().flat_map(|bug| words(&bug.rule)).collect();
        for number in (1..=9).chain(11..=14) {
            let rule = format!("S{number}");
            assert!(rules.contains(&rule), "{rule}");
        }
    }

    fn words(rule: &str) -> Vec<String> {
        rule.split(|letter: char| !letter.is_ascii_alphanumeric()).map(str::to_owned).collect()
    }

    #[test]
    fn an_edit_finds_its_place_however_the_lines_are_broken() {
        let text = "fn a() {\n    if x\n        && y { b() }\n}\n";
        assert_eq!(edit("if x && y {", "if x {").apply(text).as_deref(), Ok("fn a() {\n    if x { b() }\n}\n"));
    }

    #[test]
    fn an_edit_whose_place_is_missing_or_not_the_only_one_is_refused() {
        assert_eq!(edit("c()", "").apply("a() b()"), Err(0));
        assert_eq!(edit("a()", "").apply("a() a()"), Err(2));
        assert_eq!(edit("a b", "").apply("ab"), Err(0));
    }

    #[test]
    fn two_edits_of_one_file_are_both_made() {
        let bug = Bug {
            name: "n".to_owned(),
            rule: "S1".to_owned(),
            why: "w".to_owned(),
            caught_by: Vec::new(),
            play: everywhere(),
            edits: vec![edit("one", "1"), edit("two", "2")],
        };
        assert_eq!(bug.plant(|_| Ok("one two".to_owned())), Ok(vec![("f".to_owned(), "1 2".to_owned())]));
    }
}

//! Reads the table of the built-in kinds' types.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use serde_json::Value;

use super::types::{Field, List, ListType, Merge, Patch, Presence, Scalar, Schema, Shape, Struct, TypeId, Types};

const TABLE: &str = include_str!("types.txt");

/// The types of the table by their names.
struct Table {
    types: Arc<Types>,
    names: BTreeMap<&'static str, TypeId>,
}

/// The schema of a type of the table.
pub(super) fn schema(name: &str) -> Option<Schema> {
    static READ: OnceLock<Table> = OnceLock::new();
    let table = READ.get_or_init(|| {
        let mut types = Types::default();
        let names = read_into(&mut types);
        Table { types: Arc::new(types), names }
    });
    table.names.get(name).map(|root| Schema { types: Arc::clone(&table.types), root: *root, check: None })
}

/// Adds the metadata of objects to the types of a custom kind.
pub(super) fn metadata_into(types: &mut Types) -> Option<TypeId> {
    read_into_only(types, &["ObjectMeta", "OwnerReference", "ManagedFieldsEntry"]).get("ObjectMeta").copied()
}

fn read_into(types: &mut Types) -> BTreeMap<&'static str, TypeId> {
    read(types, |_| true)
}

fn read_into_only(types: &mut Types, wanted: &[&str]) -> BTreeMap<&'static str, TypeId> {
    read(types, |name| wanted.contains(&name))
}

fn read(types: &mut Types, wanted: impl Fn(&str) -> bool) -> BTreeMap<&'static str, TypeId> {
    let blocks = blocks().into_iter().filter(|block| wanted(block.name)).collect::<Vec<_>>();
    let mut reader = Reader { types, names: BTreeMap::new(), known: BTreeMap::new() };
    // Types may refer to each other in any order: each has its place before any is read.
    for block in &blocks {
        let place = reader.types.add(Shape::Any);
        reader.names.insert(block.name, place);
    }
    for block in blocks {
        let fields = block.fields.iter().filter_map(|line| reader.field(line)).collect();
        let shape = Shape::Struct(Struct { name: block.name.into(), fields, rest: None, merge: block.merge });
        if let Some(place) = reader.names.get(block.name) {
            reader.types.put(*place, shape);
        }
    }
    reader.names
}

struct Block {
    name: &'static str,
    merge: Merge,
    fields: Vec<&'static str>,
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some(field) = line.strip_prefix("  ") {
            if let Some(block) = blocks.last_mut() {
                block.fields.push(field);
            }
            continue;
        }
        let (name, merge) = match line.split_once(' ') {
            Some((name, _)) => (name, Merge::Atomic),
            None => (line, Merge::Granular),
        };
        blocks.push(Block { name, merge, fields: Vec::new() });
    }
    blocks
}

struct Reader<'a> {
    types: &'a mut Types,
    names: BTreeMap<&'static str, TypeId>,
    known: BTreeMap<String, TypeId>,
}

impl Reader<'_> {
    fn field(&mut self, line: &'static str) -> Option<(Box<str>, Field)> {
        let (line, default) = match line.split_once(" = ") {
            Some((line, default)) => (line, serde_json::from_str::<Value>(default).ok()),
            None => (line, None),
        };
        let mut words = line.split(' ');
        let name = words.next()?;
        let word = words.next()?;
        let (word, always) = word.strip_suffix('!').map_or((word, false), |word| (word, true));
        let (word, pointer) = word.strip_prefix('*').map_or((word, false), |word| (word, true));
        let presence = match (pointer, always) {
            (true, true) => Presence::GivenOrNull,
            (true, false) => Presence::Given,
            (false, true) => Presence::Always,
            (false, false) => Presence::NotEmpty,
        };
        let (mut by, mut merge, mut patch) = (ListType::Atomic, Merge::Granular, Patch::Usual);
        while let Some(word) = words.next() {
            match word {
                "by" => by = ListType::Map(words.next()?.split(',').map(Into::into).collect()),
                "set" => by = ListType::Set,
                "atomic" => merge = Merge::Atomic,
                "patch" => {
                    let strategy = words.next()?;
                    patch = match words.next() {
                        Some(key) => Patch::MergeBy(key.into()),
                        None if strategy.starts_with("merge") => Patch::Union,
                        None => Patch::Whole,
                    };
                }
                _ => return None,
            }
        }
        let id = self.kind(word, by, merge)?;
        Some((name.into(), Field { id, presence, default, patch }))
    }

    fn kind(&mut self, word: &str, by: ListType, merge: Merge) -> Option<TypeId> {
        let shape = if let Some(item) = inner(word, '[', ']') {
            Shape::List(List { item: self.kind(item, ListType::Atomic, Merge::Granular)?, by })
        } else if let Some(value) = inner(word, '<', '>') {
            Shape::Map { value: self.kind(value, ListType::Atomic, Merge::Granular)?, merge }
        } else if let Some(scalar) = scalar(word) {
            if let Some(known) = self.known.get(word) {
                return Some(*known);
            }
            let name = word.split_once(':').map(|(_, name)| name);
            let id = self.types.add_named(Shape::Scalar(scalar), name);
            self.known.insert(word.to_owned(), id);
            return Some(id);
        } else {
            return self.names.get(word).copied();
        };
        Some(self.types.add(shape))
    }
}

fn inner(word: &str, open: char, close: char) -> Option<&str> {
    word.strip_prefix(open)?.strip_suffix(close)
}

fn scalar(word: &str) -> Option<Scalar> {
    Some(match word.split_once(':').map_or(word, |(word, _)| word) {
        "string" => Scalar::Text,
        "int32" => Scalar::Int32,
        "int64" => Scalar::Int64,
        "float" => Scalar::Float,
        "bool" => Scalar::Bool,
        "quantity" => Scalar::Quantity,
        "intstr" => Scalar::IntOrText,
        "time" => Scalar::Time,
        "microtime" => Scalar::MicroTime,
        "duration" => Scalar::Duration,
        "bytes" => Scalar::Bytes,
        "any" => Scalar::Raw,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood() {
        let mut types = Types::default();
        let names = read_into(&mut types);
        for block in blocks() {
            let Shape::Struct(read) = types.shape(names[block.name]) else { panic!("{} is no struct", block.name) };
            assert_eq!(read.fields.len(), block.fields.len(), "{}", block.name);
        }
    }
}

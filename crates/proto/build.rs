//! Compiles the `.proto` files without `protoc`, and writes beside prost's types the static
//! schema tables that JSON, required fields and unknown enum values are checked against.

// A build script reports by panicking: cargo shows the message and stops.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto};

/// v0 messages that get a Rust type of their own because their fields differ from v1's; every other
/// v0 message *is* its v1 twin in Rust (the wire form is the same, field by field).
const V0_OWN_TYPES: [&str; 3] = [
    "mesos.SlaveInfo",
    "mesos.scheduler.Call",
    "mesos.scheduler.Call.Subscribe",
];

/// Messages of one string each, which their clones share: their types are written by hand.
const BY_HAND: [(&str, &str); 8] = [
    ("mesos.v1.AgentID", "crate::ids::AgentId"),
    ("mesos.v1.ExecutorID", "crate::ids::ExecutorId"),
    ("mesos.v1.FrameworkID", "crate::ids::FrameworkId"),
    ("mesos.v1.OfferID", "crate::ids::OfferId"),
    ("mesos.v1.OperationID", "crate::ids::OperationId"),
    (
        "mesos.v1.Resource.AllocationInfo",
        "crate::allocation_info::AllocationInfo",
    ),
    (
        "mesos.v1.ResourceProviderID",
        "crate::ids::ResourceProviderId",
    ),
    ("mesos.v1.TaskID", "crate::ids::TaskId"),
];

/// Parts that most of the messages around them lack. Apart from those, they would take their room in
/// each, of which there are millions in a large cluster. `tests/sizes.rs` says what that comes to.
const BOXED: [&str; 18] = [
    "Resource.disk",
    "Resource.provider_id",
    "Resource.ranges",
    "Resource.reservation",
    "Resource.set",
    "Task.container",
    "Task.discovery",
    "Task.health_check",
    "Task.labels",
    "TaskStatus.check_status",
    "TaskStatus.container_status",
    "TaskStatus.labels",
    "TaskStatus.limitation",
    "Offer.Operation.launch_group",
    "Offer.Operation.grow_volume",
    "Offer.Operation.shrink_volume",
    "Offer.Operation.create_disk",
    "Offer.Operation.destroy_disk",
];

fn main() {
    let root = Path::new("protos");
    println!("cargo::rerun-if-changed=protos");
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = Vec::new();
    collect(root, &mut files);
    files.sort();
    let set = protox::Compiler::new([root])
        .expect("the protos folder")
        .include_source_info(false)
        .include_imports(true)
        .open_files(files.iter().map(|f| f.strip_prefix(root).unwrap()))
        .unwrap_or_else(|e| panic!("{e:?}"))
        .file_descriptor_set();

    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    fs::write(
        out.join("descriptors.bin"),
        prost::Message::encode_to_vec(&set),
    )
    .unwrap();

    let index = Index::new(&set);
    let mut config = prost_build::Config::new();
    config.btree_map(["."]).include_file("packages.rs");
    for (name, twin) in &index.twins {
        config.extern_path(format!(".{name}"), rust_path(&index, twin));
    }
    for field in BOXED {
        config.boxed(format!(".mesos.v1.{field}"));
    }
    for (name, path) in BY_HAND {
        config.extern_path(format!(".{name}"), path);
    }
    // prost derives Eq and Hash itself, except for messages that contain themselves.
    let derives = "#[derive(PartialOrd, Ord, Eq, Hash)]";
    config.type_attribute(".mesos.v1.ContainerID", derives);
    config.compile_fds(set.clone()).unwrap();
    fs::write(out.join("schemas.rs"), schemas(&index)).unwrap();
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
}

/// Every message and enum by full name, with the package it is in.
struct Index {
    messages: BTreeMap<String, (String, DescriptorProto)>,
    enums: BTreeMap<String, (String, EnumDescriptorProto)>,
    /// v0 name to v1 name, for the types that are one in Rust.
    twins: BTreeMap<String, String>,
}

impl Index {
    fn new(set: &prost_types::FileDescriptorSet) -> Self {
        let mut index = Self {
            messages: BTreeMap::new(),
            enums: BTreeMap::new(),
            twins: BTreeMap::new(),
        };
        for file in &set.file {
            let package = file.package();
            for message in &file.message_type {
                index.add_message(package, package, message);
            }
            for e in &file.enum_type {
                index.enums.insert(
                    format!("{package}.{}", e.name()),
                    (package.into(), e.clone()),
                );
            }
        }
        let names: BTreeSet<String> = index
            .messages
            .keys()
            .chain(index.enums.keys())
            .cloned()
            .collect();
        for name in &names {
            let Some(rest) = name.strip_prefix("mesos.") else {
                continue;
            };
            if rest.starts_with("v1.") || V0_OWN_TYPES.contains(&name.as_str()) {
                continue;
            }
            let twin = format!("mesos.v1.{}", rest.replace("Slave", "Agent"));
            if names.contains(&twin) {
                index.twins.insert(name.clone(), twin);
            }
        }
        index
    }

    fn add_message(&mut self, package: &str, scope: &str, message: &DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        for nested in &message.nested_type {
            self.add_message(package, &name, nested);
        }
        for e in &message.enum_type {
            self.enums
                .insert(format!("{name}.{}", e.name()), (package.into(), e.clone()));
        }
        self.messages
            .insert(name, (package.into(), message.clone()));
    }

    fn canonical<'a>(&'a self, name: &'a str) -> &'a str {
        let name = name.trim_start_matches('.');
        self.twins.get(name).map_or(name, String::as_str)
    }
}

/// The path of the Rust type of a message or enum.
fn rust_path(index: &Index, name: &str) -> String {
    if let Some((_, path)) = BY_HAND.iter().find(|(by_hand, _)| *by_hand == name) {
        return (*path).to_owned();
    }
    let package = index
        .messages
        .get(name)
        .map(|m| &m.0)
        .or_else(|| index.enums.get(name).map(|e| &e.0))
        .expect(name);
    let rest = &name[package.len() + 1..];
    let mut path = String::from("crate::packages");
    for part in package.split('.') {
        write!(path, "::{part}").unwrap();
    }
    let parts: Vec<&str> = rest.split('.').collect();
    for scope in &parts[..parts.len() - 1] {
        write!(path, "::{}", snake(scope)).unwrap();
    }
    write!(path, "::{}", camel(parts[parts.len() - 1])).unwrap();
    path
}

/// Words of an identifier as prost splits them: `TTYInfo` is `TTY`, `Info`.
fn words(ident: &str) -> Vec<String> {
    let chars: Vec<char> = ident.chars().collect();
    let mut words = vec![String::new()];
    for (i, &c) in chars.iter().enumerate() {
        if c == '_' {
            words.push(String::new());
            continue;
        }
        let starts = c.is_uppercase()
            && i > 0
            && (chars[i - 1].is_lowercase()
                || chars[i - 1].is_uppercase()
                    && chars.get(i + 1).is_some_and(|n| n.is_lowercase()));
        if starts {
            words.push(String::new());
        }
        words.last_mut().unwrap().push(c);
    }
    words.retain(|w| !w.is_empty());
    words
}

fn camel(ident: &str) -> String {
    words(ident)
        .iter()
        .map(|w| w[..1].to_uppercase() + &w[1..].to_lowercase())
        .collect()
}

fn snake(ident: &str) -> String {
    words(ident)
        .iter()
        .map(|w| w.to_lowercase())
        .collect::<Vec<_>>()
        .join("_")
}

fn static_name(name: &str) -> String {
    name.split('.')
        .map(|p| snake(p).to_uppercase())
        .collect::<Vec<_>>()
        .join("__")
}

/// A set of numbers below 64, a bit for each, as a literal.
fn set(numbers: impl Iterator<Item = i32>) -> String {
    let bits = numbers
        .fold(0_u64, |all, number| all | 1 << number)
        .to_string();
    let digits = bits.chars().enumerate().flat_map(|(i, digit)| {
        let separates = i > 0 && (bits.len() - i).is_multiple_of(3);
        separates.then_some('_').into_iter().chain([digit])
    });
    digits.collect()
}

fn schemas(index: &Index) -> String {
    let mut out = String::new();
    let known = |name: &str| !index.twins.contains_key(name);
    // `mesos.Status` is in no message: it is what the old driver's functions return.
    let used: BTreeSet<&str> = index
        .messages
        .values()
        .flat_map(|(_, m)| &m.field)
        .map(|f| index.canonical(f.type_name()))
        .collect();
    for (name, (_, e)) in index
        .enums
        .iter()
        .filter(|(n, _)| used.contains(n.as_str()))
    {
        let values: Vec<String> = e
            .value
            .iter()
            .map(|v| format!("({:?}, {})", v.name(), v.number()))
            .collect();
        let numbers = e
            .value
            .iter()
            .map(prost_types::EnumValueDescriptorProto::number);
        let small = set(numbers.filter(|number| (0..64).contains(number)));
        writeln!(
            out,
            "static {}: Enum = Enum {{ values: &[{}], small: {small} }};",
            static_name(name),
            values.join(", ")
        )
        .unwrap();
    }
    for (name, (_, m)) in index.messages.iter().filter(|(n, _)| known(n)) {
        let fields: Vec<String> = m.field.iter().map(|f| field(index, f)).collect();
        let mut places: Vec<u8> = Vec::new();
        for (f, place) in m.field.iter().zip(1..) {
            let number = usize::try_from(f.number()).unwrap();
            assert!(number < 256, "{name}: a table of places would have gaps");
            places.resize(places.len().max(number + 1), 0);
            places[number] = place;
        }
        assert!(
            m.field.len() <= 64,
            "{name}: a set of its fields has 64 bits"
        );
        let required = m.field.iter().zip(0..);
        let required = required.filter(|(f, _)| f.label() == Label::Required);
        let required = set(required.map(|(_, place)| place));
        let is_map_entry = m
            .options
            .as_ref()
            .is_some_and(prost_types::MessageOptions::map_entry);
        let has_type = !is_map_entry && !name.starts_with("google.");
        let size = if has_type {
            format!("size_of::<{}>()", rust_path(index, name))
        } else {
            "0".to_owned()
        };
        writeln!(
            out,
            "static {}: Schema = Schema {{ name: {name:?}, size: {size}, fields: &[{}], places: &{places:?}, required: {required} }};",
            static_name(name),
            fields.join(", "),
        )
        .unwrap();
        if has_type {
            writeln!(
                out,
                "impl Wire for {} {{ const SCHEMA: &'static Schema = &{}; }}",
                rust_path(index, name),
                static_name(name)
            )
            .unwrap();
        }
    }
    out
}

fn field(index: &Index, f: &FieldDescriptorProto) -> String {
    let type_name = index.canonical(f.type_name());
    let kind = match f.r#type() {
        Type::Bool => "Kind::Bool".into(),
        Type::Int32 => "Kind::Int32".into(),
        Type::Int64 => "Kind::Int64".into(),
        Type::Uint32 => "Kind::Uint32".into(),
        Type::Uint64 => "Kind::Uint64".into(),
        Type::Float => "Kind::Float".into(),
        Type::Double => "Kind::Double".into(),
        Type::String => "Kind::String".into(),
        Type::Bytes => "Kind::Bytes".into(),
        Type::Enum => format!("Kind::Enum(&{})", static_name(type_name)),
        Type::Message => {
            let entry = &index.messages[type_name].1;
            let is_map = entry
                .options
                .as_ref()
                .is_some_and(prost_types::MessageOptions::map_entry);
            let kind = if is_map { "Map" } else { "Message" };
            format!("Kind::{kind}(&{})", static_name(type_name))
        }
        other => panic!("{}: a field of type {other:?} has no use here", f.name()),
    };
    let label = match f.label() {
        Label::Optional => "Optional",
        Label::Required => "Required",
        Label::Repeated => "Repeated",
    };
    let deprecated = f
        .options
        .as_ref()
        .is_some_and(prost_types::FieldOptions::deprecated);
    format!(
        "Field {{ name: {:?}, number: {}, label: Label::{label}, kind: {kind}, default: {:?}, \
         deprecated: {deprecated} }}",
        f.name(),
        f.number(),
        f.default_value.as_deref(),
    )
}

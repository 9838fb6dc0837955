//! The compiled descriptors against the table of facts about Mesos's protocol: every message,
//! field, number, label, type and default, row by row.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};

use meseta_proto::DESCRIPTORS;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};

const FACTS: &str = include_str!("facts.tsv");

#[test]
fn every_row_of_the_table_is_in_the_descriptors_and_nothing_else_is() {
    let mut compiled = BTreeSet::new();
    let mut files = BTreeSet::new();
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    for file in &set.file {
        if file.name().starts_with("google/") {
            continue;
        }
        files.insert(file.name().to_owned());
        let mut rows = Rows {
            file: file.name(),
            out: &mut compiled,
        };
        for message in &file.message_type {
            rows.message(file.package(), message);
        }
        for e in &file.enum_type {
            rows.enumeration(file.package(), e);
        }
    }
    let table: BTreeSet<String> = FACTS
        .lines()
        .skip(1)
        .filter(|row| files.contains(row.split('\t').next().unwrap_or_default()))
        .map(|row| row.strip_suffix('\r').unwrap_or(row).to_owned())
        .collect();

    let missing: Vec<_> = table.difference(&compiled).take(20).collect();
    let extra: Vec<_> = compiled.difference(&table).take(20).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "missing {missing:#?}\nextra {extra:#?}"
    );
    assert!(
        compiled.len() > 3_000,
        "only {} rows were compared",
        compiled.len()
    );
}

#[test]
fn every_package_of_the_apis_is_compiled() {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let packages: BTreeMap<&str, usize> = set
        .file
        .iter()
        .map(|f| (f.package(), f.message_type.len()))
        .collect();
    for package in [
        "mesos.v1",
        "mesos.v1.scheduler",
        "mesos.v1.executor",
        "mesos.v1.master",
        "mesos.v1.agent",
        "mesos.v1.quota",
        "mesos.v1.maintenance",
        "mesos.v1.allocator",
        "mesos.v1.resource_provider",
        "mesos.internal",
    ] {
        assert!(
            packages.get(package).is_some_and(|n| *n > 0),
            "{package} is missing"
        );
    }
}

struct Rows<'a> {
    file: &'a str,
    out: &'a mut BTreeSet<String>,
}

impl Rows<'_> {
    fn message(&mut self, scope: &str, message: &DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        if message.field.is_empty() {
            self.row(&["message", &name, "", "", "", "", ""]);
        }
        for field in &message.field {
            let label = match field.label() {
                Label::Optional => "optional",
                Label::Required => "required",
                Label::Repeated => "repeated",
            };
            let r#type = match field.r#type() {
                Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
                scalar => format!("{scalar:?}").to_lowercase(),
            };
            let mut notes = Vec::new();
            if let Some(default) = &field.default_value {
                notes.push(format!("default={default}"));
            }
            if field
                .options
                .as_ref()
                .is_some_and(prost_types::FieldOptions::deprecated)
            {
                notes.push("deprecated".into());
            }
            if let Some(index) = field.oneof_index {
                let oneof = &message.oneof_decl[usize::try_from(index).unwrap()];
                notes.push(format!("oneof={}", oneof.name()));
            }
            self.row(&[
                "field",
                &name,
                &field.number().to_string(),
                label,
                &r#type,
                field.name(),
                &notes.join(" "),
            ]);
        }
        for nested in &message.nested_type {
            self.message(&name, nested);
        }
        for e in &message.enum_type {
            self.enumeration(&name, e);
        }
    }

    fn enumeration(&mut self, scope: &str, e: &EnumDescriptorProto) {
        let name = format!("{scope}.{}", e.name());
        for value in &e.value {
            let deprecated = value
                .options
                .as_ref()
                .is_some_and(prost_types::EnumValueOptions::deprecated);
            let notes = if deprecated { "deprecated" } else { "" };
            self.row(&[
                "value",
                &name,
                &value.number().to_string(),
                "",
                "",
                value.name(),
                notes,
            ]);
        }
    }

    fn row(&mut self, columns: &[&str]) {
        self.out
            .insert(format!("{}\t{}", self.file, columns.join("\t")));
    }
}

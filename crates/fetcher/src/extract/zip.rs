//! Zip archives, read by the library and written by our own rules.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::read::ZipFile;

use super::ExtractError;
use super::bounds::{self, Bounds, Counted};
use crate::beneath::{self, Folder};
use crate::limits::MAX_TARGET;

/// The part of a mode that says what kind of file it is of.
const KIND: u32 = 0o170_000;
const FILE: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

pub(super) fn extract(file: File, bounds: &Bounds, folder: &Folder) -> Result<(), ExtractError> {
    let unreadable = |error: zip::result::ZipError| ExtractError::Archive(error.to_string());
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(unreadable)?;
    for number in 0..archive.len() {
        bounds.entry()?;
        make(
            archive.by_index(number).map_err(unreadable)?,
            bounds,
            folder,
        )?;
    }
    Ok(())
}

fn make(
    entry: ZipFile<'_, BufReader<File>>,
    bounds: &Bounds,
    folder: &Folder,
) -> Result<(), ExtractError> {
    let path = PathBuf::from(entry.name());
    let failed = |error: std::io::Error| bounds.explain(|| ExtractError::entry(&path, error));
    let mode = entry.unix_mode().unwrap_or_default();
    let permissions = |default| match mode & 0o777 {
        0 => default,
        given => given,
    };
    match mode & KIND {
        LINK => link(entry, &path, folder).map_err(failed),
        FOLDER => folder
            .make_folder(&path, permissions(0o755))
            .map_err(failed),
        FILE | 0 if entry.is_dir() => folder
            .make_folder(&path, permissions(0o755))
            .map_err(failed),
        FILE | 0 => {
            let file = folder.create(&path).map_err(failed)?;
            let size = entry.size();
            bounds::copy(Counted::new(entry, bounds), &file, Some(size)).map_err(failed)?;
            beneath::finish(&file, permissions(0o644), None).map_err(failed)
        }
        _ => Err(ExtractError::entry(&path, "it is a device or a pipe")),
    }
}

fn link(entry: ZipFile<'_, BufReader<File>>, path: &Path, folder: &Folder) -> std::io::Result<()> {
    let mut target = String::new();
    entry.take(MAX_TARGET).read_to_string(&mut target)?;
    folder.symlink(Path::new(&target), path)
}

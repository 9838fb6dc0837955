//! Tar archives, read by the library and written by our own rules.

use std::io::Read;
use std::path::Path;

use tar::EntryType;

use super::ExtractError;
use super::bounds::{self, Bounds, Counted};
use crate::beneath::{self, Folder};

pub(super) fn extract(
    content: impl Read,
    bounds: &Bounds,
    folder: &Folder,
) -> Result<(), ExtractError> {
    let mut archive = tar::Archive::new(Counted::new(content, bounds));
    let unreadable =
        |error: std::io::Error| bounds.explain(|| ExtractError::Archive(reason(&error)));
    for entry in archive.entries().map_err(unreadable)? {
        bounds.entry()?;
        make(entry.map_err(unreadable)?, bounds, folder)?;
    }
    // Up to the end: there are the checksums of what it is compressed with.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(unreadable)?;
    Ok(())
}

fn make<R: Read>(
    mut entry: tar::Entry<'_, R>,
    bounds: &Bounds,
    folder: &Folder,
) -> Result<(), ExtractError> {
    let unreadable =
        |error: std::io::Error| bounds.explain(|| ExtractError::Archive(reason(&error)));
    let path = entry.path().map_err(unreadable)?.into_owned();
    let failed =
        |error: std::io::Error| bounds.explain(|| ExtractError::entry(&path, reason(&error)));
    let header = entry.header();
    let mode = header.mode().unwrap_or(0o644);
    let modified = header.mtime().ok();
    let kind = header.entry_type();
    match kind {
        EntryType::Directory => folder.make_folder(&path, mode).map_err(failed),
        EntryType::Symlink | EntryType::Link => {
            let target = entry.link_name().map_err(failed)?;
            let target = target.ok_or_else(|| ExtractError::entry(&path, "it links to nothing"))?;
            link(kind, &target, &path, folder).map_err(failed)
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            // Old archives mark folders by their names alone.
            if entry.path_bytes().ends_with(b"/") {
                return folder.make_folder(&path, mode).map_err(failed);
            }
            let size = entry.size();
            let file = folder.create(&path).map_err(failed)?;
            // What is not stored of a sparse file counts as well.
            let content = Counted::new(&mut entry, bounds);
            bounds::copy(content, &file, Some(size)).map_err(failed)?;
            beneath::finish(&file, mode, modified).map_err(failed)
        }
        EntryType::Char | EntryType::Block | EntryType::Fifo => {
            Err(ExtractError::entry(&path, "it is a device or a pipe"))
        }
        // Remarks, not files.
        EntryType::XGlobalHeader => Ok(()),
        _ => Err(ExtractError::entry(
            &path,
            format!("it is of an unknown kind, {:?}", char::from(kind.as_byte())),
        )),
    }
}

fn link(kind: EntryType, target: &Path, path: &Path, folder: &Folder) -> std::io::Result<()> {
    if kind == EntryType::Symlink {
        folder.symlink(target, path)
    } else {
        folder.hard_link(target, path)
    }
}

/// The library puts its own words before the reason.
fn reason(error: &std::io::Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let more = inner.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = inner.source();
    }
    words
}

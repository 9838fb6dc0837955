//! Archives as no well-meaning library would write them.

use std::io::{Cursor, Read as _, Write as _};

pub(crate) use tar::EntryType;

/// One entry of a tar archive.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    kind: EntryType,
    name: &'a str,
    target: &'a str,
    content: &'a [u8],
    /// What it says of its size, if that is a lie.
    claimed: Option<u64>,
}

pub(crate) fn file<'a>(name: &'a str, content: &'a [u8]) -> Entry<'a> {
    Entry {
        kind: EntryType::Regular,
        name,
        target: "",
        content,
        claimed: None,
    }
}

pub(crate) fn special<'a>(kind: EntryType, name: &'a str, target: &'a str) -> Entry<'a> {
    Entry {
        kind,
        target,
        ..file(name, b"")
    }
}

/// An entry that says that it is larger than it is.
pub(crate) fn claiming(kind: EntryType, name: &str, size: u64) -> Entry<'_> {
    Entry {
        kind,
        claimed: Some(size),
        ..file(name, b"")
    }
}

pub(crate) fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(header(entry));
        bytes.extend(entry.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1_024, 0);
    bytes
}

fn header(entry: &Entry<'_>) -> [u8; 512] {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(entry.kind);
    header.set_mode(0o6755);
    header.set_size(entry.claimed.unwrap_or(entry.content.len() as u64));
    let fields = header.as_old_mut();
    fields.name[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
    fields.linkname[..entry.target.len()].copy_from_slice(entry.target.as_bytes());
    header.set_cksum();
    *header.as_bytes()
}

/// A sparse file of a terabyte, of which one byte is there.
pub(crate) fn sparse(name: &str) -> Vec<u8> {
    const SIZE: u64 = 1 << 40;
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_mode(0o644);
    header.set_size(1);
    let fields = header.as_gnu_mut().expect("a header of GNU's");
    fields.name[..name.len()].copy_from_slice(name.as_bytes());
    octal(&mut fields.realsize, SIZE);
    octal(&mut fields.sparse[0].offset, SIZE - 1);
    octal(&mut fields.sparse[0].numbytes, 1);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.push(b'x');
    bytes.resize(512 * 4, 0);
    bytes
}

/// Numbers have 11 digits to the base of 8, or else a mark and are binary.
fn octal(field: &mut [u8; 12], number: u64) {
    if number < 1 << 33 {
        field.copy_from_slice(format!("{number:011o}\0").as_bytes());
        return;
    }
    field[0] = 0x80;
    field[4..].copy_from_slice(&number.to_be_bytes());
}

/// The mode of a symbolic link.
pub(crate) const LINK: u32 = 0o120_777;

pub(crate) fn zip(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in entries {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(*mode);
        if *mode == LINK {
            let target = String::from_utf8_lossy(content);
            writer.add_symlink(*name, target, options).expect("a link");
        } else {
            writer.start_file(*name, options).expect("a file");
            writer.write_all(content).expect("its content");
        }
    }
    writer.finish().expect("an archive").into_inner()
}

/// The ways that a tar archive is compressed, by the ends of their names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Packing {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Packing {
    pub(crate) const ALL: [Self; 4] = [Self::Gzip, Self::Bzip2, Self::Xz, Self::Zstd];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "a.tar.gz",
            Self::Bzip2 => "a.tar.bz2",
            Self::Xz => "a.tar.xz",
            Self::Zstd => "a.tar.zst",
        }
    }

    pub(crate) fn pack(self, content: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        match self {
            Self::Gzip => {
                let level = flate2::Compression::best();
                flate2::bufread::GzEncoder::new(content, level).read_to_end(&mut packed)
            }
            Self::Bzip2 => {
                let level = bzip2::Compression::best();
                bzip2::bufread::BzEncoder::new(content, level).read_to_end(&mut packed)
            }
            Self::Xz => {
                let options = lzma_rust2::XzOptions::with_preset(1);
                let mut writer = lzma_rust2::XzWriter::new(&mut packed, options).expect("a writer");
                writer.write_all(content).expect("content");
                writer.finish().map(|_| 0)
            }
            Self::Zstd => {
                let level = ruzstd::encoding::CompressionLevel::Fastest;
                ruzstd::encoding::compress(content, &mut packed, level);
                Ok(0)
            }
        }
        .expect("what was compressed");
        packed
    }

    /// An archive with a file of zeros, larger by far than one of its size may be. It is made of the
    /// same stream many times: all these formats allow that.
    pub(crate) fn bomb(self) -> Vec<u8> {
        let zeros = vec![0; 8 << 20];
        let size = 12 * zeros.len() as u64;
        let mut bomb = self.pack(&header(&claiming(EntryType::Regular, "zeros", size)));
        let stream = self.pack(&zeros);
        for _ in 0..12 {
            bomb.extend(&stream);
        }
        bomb
    }
}

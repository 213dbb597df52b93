//! Archives as nobody but an attacker makes them.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use proptest::prelude::*;

use super::{
    facts::tests::facts,
    manifest::{Manifest, Member},
    members::{BOOT, CONFIG, MANIFEST, TOOLS, VMLINUX},
    pack, unpack,
};
use crate::{Result, cancel::Cancel, hash::file_sha256};

/// Members that a boot needs, and what they hold.
const FILES: [(&str, &str); 4] = [
    (CONFIG, "CONFIG_A=y\n"),
    (BOOT, "kernel"),
    (VMLINUX, "kernel, and more"),
    (TOOLS, "disk"),
];

/// One entry of an archive: its type, name, link's target and contents.
#[derive(Debug, Clone)]
struct Entry {
    kind: u8,
    name: Vec<u8>,
    target: Vec<u8>,
    bytes: Vec<u8>,
}

fn entry(name: &str, bytes: &[u8]) -> Entry {
    Entry {
        kind: b'0',
        name: name.into(),
        target: Vec::new(),
        bytes: bytes.into(),
    }
}

/// A bundle as we would write it, as entries.
fn good() -> Vec<Entry> {
    let dir = tempfile::tempdir().unwrap();
    let sum = |bytes: &[u8]| {
        let path = dir.path().join("x");
        fs::write(&path, bytes).unwrap();
        file_sha256(&path).unwrap()
    };
    let members = FILES.map(|(name, text)| {
        let member = Member {
            bytes: text.len() as u64,
            sha256: sum(text.as_bytes()),
        };
        (name.to_owned(), member)
    });
    let manifest = Manifest {
        schema: 1,
        ktwin: "0.1.0".into(),
        boot: facts(),
        members: members.into(),
    };
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let files = FILES
        .iter()
        .map(|(name, text)| entry(name, text.as_bytes()));
    std::iter::once(entry(MANIFEST, &manifest))
        .chain(files)
        .collect()
}

fn tarred(entries: &[Entry]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for one in entries {
        let mut header = tar::Header::new_ustar();
        let raw = header.as_ustar_mut().unwrap();
        let fill = |field: &mut [u8], with: &[u8]| {
            let n = with.len().min(field.len());
            field[..n].copy_from_slice(&with[..n]);
        };
        fill(&mut raw.name, &one.name);
        fill(&mut raw.linkname, &one.target);
        raw.typeflag = [one.kind];
        header.set_size(one.bytes.len() as u64);
        header.set_mode(0o6777);
        header.set_cksum();
        archive.append(&header, one.bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Reads an archive into a folder of its own, beside which nothing may come to be.
fn read(archive: &[u8]) -> Result<Manifest> {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("deep/er/in");
    fs::create_dir_all(&to).unwrap();
    let result = unpack::read(archive, &to, &Cancel::new());
    let known: Vec<_> = FILES.iter().map(|(name, _)| to.join(name)).collect();
    let folders = ["deep", "deep/er", "deep/er/in", "deep/er/in/kernel"];
    let folders = folders.map(|folder| dir.path().join(folder));
    for path in below(dir.path()) {
        let kind = path.symlink_metadata().unwrap().file_type();
        let fine = match kind.is_dir() {
            true => folders.contains(&path),
            false => kind.is_file() && known.contains(&path),
        };
        assert!(fine, "{} came to be", path.display());
    }
    result
}

fn below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries
        .flat_map(|path| {
            let inner = match path.symlink_metadata().unwrap().is_dir() {
                true => below(&path),
                false => Vec::new(),
            };
            std::iter::once(path).chain(inner)
        })
        .collect()
}

fn refused(entries: &[Entry]) -> String {
    read(&zipped(&tarred(entries))).unwrap_err().chain()
}

#[test]
fn what_was_packed_is_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let files = FILES.map(|(name, text)| {
        let path = dir.path().join(name.replace('/', "-"));
        fs::write(&path, text).unwrap();
        (name.to_owned(), path)
    });
    let out = dir.path().join("out.bundle");
    let cancel = Cancel::new();
    let bytes = pack(facts(), &files, &out, &cancel).unwrap();
    assert_eq!(fs::metadata(&out).unwrap().len(), bytes);
    let again = pack(facts(), &files, &out, &cancel).unwrap_err();
    assert!(again.to_string().contains("is there already"), "{again}");
    let other = dir.path().join("other.bundle");
    pack(facts(), &files, &other, &cancel).unwrap();
    assert_eq!(fs::read(&out).unwrap(), fs::read(&other).unwrap());

    let to = dir.path().join("to");
    fs::create_dir(&to).unwrap();
    let manifest = unpack(&out, &to, &cancel).unwrap();
    assert_eq!(manifest.boot, facts());
    for (name, text) in FILES {
        assert_eq!(fs::read_to_string(to.join(name)).unwrap(), text, "{name}");
    }
    cancel.cancel();
    let stopped = unpack(&out, &dir.path().join("never"), &cancel).unwrap_err();
    assert_eq!(stopped.fault(), crate::Fault::Interrupted);
}

#[test]
fn the_archive_that_these_tests_change_is_a_good_one() {
    assert_eq!(read(&zipped(&tarred(&good()))).unwrap().boot, facts());
}

#[test]
fn only_plain_files_are_taken() {
    // Hard link, symlink, devices, folder, FIFO, contiguous, GNU's long name and link, sparse, pax.
    for kind in *b"1234567LKSxgX\xff" {
        let mut entries = good();
        entries[1].kind = kind;
        entries[1].target = b"../../../etc/passwd".to_vec();
        let error = refused(&entries);
        assert!(error.contains("no plain file"), "{kind}: {error}");
    }
}

#[test]
fn names_are_ours_and_each_is_there_once() {
    let table: [(&[u8], &str); 7] = [
        (b"../../config", "leads out of the bundle"),
        (b"kernel/../../../x", "leads out of the bundle"),
        (b"/etc/cron.d/x", "is an absolute path"),
        (b"cell.json", "is nothing that a bundle has"),
        (b"recipe/source.json", "not named by bundle.json"),
        (b"kernel/boot", "there twice"),
        (b"conf\xffig", "is no text"),
    ];
    for (name, expected) in table {
        let mut entries = good();
        entries.push(Entry {
            name: name.into(),
            ..entry("", b"evil")
        });
        let error = refused(&entries);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_differs_from_the_manifest_is_refused() {
    type Change = fn(&mut Vec<Entry>);
    let table: [(Change, &str); 7] = [
        (|e| e[2].bytes[0] = b'K', "is not what bundle.json says"),
        (
            |e| e[2].bytes.push(0),
            "has 7 bytes, and bundle.json says 6",
        ),
        (|e| e[1].bytes = vec![b'\n'; 5 << 20], "more than"),
        (|e| drop(e.pop()), "tools.ext4 is missing"),
        (|e| e.swap(0, 1), "its first member is"),
        (|e| e.clear(), "the archive is empty"),
        (|e| e[0].bytes = b"[".repeat(100_000), "not as we write it"),
    ];
    for (change, expected) in table {
        let mut entries = good();
        change(&mut entries);
        let error = refused(&entries);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_bomb_is_put_out() {
    // A manifest's head that promises little, and zeros without end after what was promised.
    let mut archive = tarred(&good());
    archive.truncate(archive.len() - 1024);
    let mut bomb = tar::Header::new_ustar();
    bomb.set_path(VMLINUX).unwrap();
    bomb.set_size(3 << 30);
    bomb.set_cksum();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(&archive[..]).unwrap();
    encoder.write_all(bomb.as_bytes()).unwrap();
    io::copy(&mut io::Read::take(io::repeat(0), 200 << 20), &mut encoder).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let error = read(&bomb).unwrap_err().chain();
    assert!(error.contains("there twice"), "{error}");

    // The same in what is to be skipped: a manifest that is longer than is read of it.
    let mut entries = good();
    entries[0].bytes.resize(200 << 20, b' ');
    let error = refused(&entries);
    assert!(error.contains("more than"), "{error}");

    // And as a member that is large indeed.
    let mut entries = good();
    let zeros = vec![0; 200 << 20];
    let text = String::from_utf8(entries[0].bytes.clone()).unwrap();
    let mut manifest: Manifest = serde_json::from_str(&text).unwrap();
    manifest.members.get_mut(VMLINUX).unwrap().bytes = zeros.len() as u64;
    entries[0].bytes = serde_json::to_vec(&manifest).unwrap();
    entries[3].bytes = zeros;
    let error = refused(&entries);
    assert!(error.contains("too many"), "{error}");
}

/// Nothing is packed that is then refused.
#[test]
fn what_would_be_put_out_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let files = FILES.map(|(name, text)| {
        let path = dir.path().join(name.replace('/', "-"));
        fs::write(&path, text).unwrap();
        (name.to_owned(), path)
    });
    let cancel = Cancel::new();
    for (size, fits) in [(50 << 20, true), (200 << 20, false)] {
        let disk = fs::File::options().write(true).open(&files[3].1).unwrap();
        disk.set_len(size).unwrap();
        let out = dir.path().join(format!("{size}.bundle"));
        let packed = pack(facts(), &files, &out, &cancel);
        assert_eq!((packed.is_ok(), out.exists()), (fits, fits), "{packed:?}");
        if let Err(error) = packed {
            assert_eq!(error.fault(), crate::Fault::Input);
            let said = error.chain();
            assert!(
                said.contains("would be refused") && said.contains("too many"),
                "{said}"
            );
            assert!(error.mending().unwrap().contains("mostly empty"));
            continue;
        }
        let to = dir.path().join("to");
        fs::create_dir(&to).unwrap();
        unpack(&out, &to, &cancel).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..2000), zip: bool) {
        let archive = if zip { zipped(&bytes) } else { bytes };
        prop_assert!(read(&archive).is_err());
    }

    #[test]
    fn no_changed_byte_goes_unnoticed(at: prop::sample::Index, change in 1..=255u8) {
        let whole = zipped(&tarred(&good()));
        let mut changed = whole.clone();
        let at = at.index(changed.len());
        changed[at] ^= change;
        // What says how it is compressed may change; what is taken then is the same.
        if let Ok(manifest) = read(&changed) {
            prop_assert_eq!(manifest, read(&whole).unwrap());
        }
    }

    /// As somebody changes it who makes the checksum anew: it is another bundle then, or none.
    #[test]
    fn no_byte_changed_on_purpose_leads_astray(at: prop::sample::Index, change in 1..=255u8) {
        let mut tar = tarred(&good());
        let at = at.index(tar.len());
        tar[at] ^= change;
        if let Ok(manifest) = read(&zipped(&tar)) {
            prop_assert_eq!(manifest.members.len(), FILES.len());
        }
    }

    #[test]
    fn no_entries_leave_the_folder(
        added in proptest::collection::vec(
            (any::<u8>(), "(\\.\\./|/|kernel/|recipe/|\\./){0,4}[a-z.\u{0}]{0,12}", 0..5usize), 1..4
        ),
        at: prop::sample::Index,
    ) {
        let mut entries = good();
        for (kind, name, bytes) in added {
            let at = at.index(entries.len() + 1);
            let one = Entry {
                kind,
                target: b"/etc/passwd".to_vec(),
                ..entry(&name, &vec![b'x'; bytes])
            };
            entries.insert(at, one);
        }
        prop_assert!(read(&zipped(&tarred(&entries))).is_err());
    }
}

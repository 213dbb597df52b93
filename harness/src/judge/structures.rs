//! The structures that a patch changes: base's sizes and the variant's, and what slab cache serves each
//! (pure).

use std::collections::BTreeSet;

use super::verdict::{Shape, Structure};
use crate::structures::Size;

/// What `kmalloc` has caches for on x86-64, in bytes: its smallest object is eight bytes there.
const CACHES: [(u64, &str); 13] = [
    (8, "kmalloc-8"),
    (16, "kmalloc-16"),
    (32, "kmalloc-32"),
    (64, "kmalloc-64"),
    (96, "kmalloc-96"),
    (128, "kmalloc-128"),
    (192, "kmalloc-192"),
    (256, "kmalloc-256"),
    (512, "kmalloc-512"),
    (1024, "kmalloc-1k"),
    (2048, "kmalloc-2k"),
    (4096, "kmalloc-4k"),
    (8192, "kmalloc-8k"),
];
/// What is larger comes from the page allocator, in powers of two.
const LARGE: &str = "large kmalloc";

/// The structures whose definition the patch touches, by their files and names, and others whose size it
/// changes, as both sides' objects have them. One that neither side has is left out.
pub fn changed(
    touched: &BTreeSet<(String, String)>,
    base: &[Size],
    variant: &[Size],
) -> Vec<Structure> {
    let sides = [base, variant];
    let keys: BTreeSet<(&String, &String)> = sides
        .iter()
        .flat_map(|side| side.iter().map(|one| (&one.file, &one.name)))
        .collect();
    let all = keys.into_iter().filter_map(|(file, name)| {
        let [base, variant] = sides.map(|side| find(side, name, file));
        let touched = touched.contains(&(file.clone(), name.clone()));
        // What one side alone knows of, and nobody touched, was seen there alone.
        let differs = base
            .zip(variant)
            .is_some_and(|(base, variant)| base != variant);
        (touched || differs).then(|| Structure {
            name: name.clone(),
            file: file.clone(),
            touched,
            base: base.map(shape),
            variant: variant.map(shape),
        })
    });
    let mut all = moved(all.collect());
    all.sort_by(|a, b| b.touched.cmp(&a.touched).then(a.name.cmp(&b.name)));
    all
}

/// With one row for a structure that the patch moves from one file to another.
fn moved(mut all: Vec<Structure>) -> Vec<Structure> {
    let is_gone = |one: &Structure| one.touched && one.variant.is_none();
    let gone: Vec<Structure> = all.iter().filter(|one| is_gone(one)).cloned().collect();
    for one in gone {
        let mut new = all.iter_mut();
        let new = new.find(|new| new.touched && new.base.is_none() && new.name == one.name);
        if let Some(new) = new {
            new.base = one.base.clone();
            all.retain(|other| *other != one);
        }
    }
    all
}

/// The bytes of a structure, by its name and the file that defines it. Files that define it under one
/// condition or another may do so twice: the largest stands for them.
fn find(side: &[Size], name: &str, file: &str) -> Option<u64> {
    let these = side
        .iter()
        .filter(|one| one.name == name && one.file == file);
    these.map(|one| one.bytes).max()
}

fn shape(bytes: u64) -> Shape {
    let (slab_bytes, slab) = match CACHES.iter().find(|(size, _)| bytes <= *size) {
        Some((size, name)) => (*size, *name),
        None => (bytes.checked_next_power_of_two().unwrap_or(bytes), LARGE),
    };
    Shape {
        bytes,
        slab: slab.to_owned(),
        slab_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(all: &[(&str, &str, u64)]) -> Vec<Size> {
        let size = |(name, file, bytes): &(&str, &str, u64)| Size {
            name: (*name).into(),
            file: (*file).into(),
            bytes: *bytes,
        };
        all.iter().map(size).collect()
    }

    #[test]
    fn touched_structures_come_first_and_others_where_they_differ() {
        let base = sizes(&[
            ("backing", "i.h", 40),
            ("conn", "i.h", 800),
            ("embeds", "i.h", 100),
            ("gone", "a.c", 8),
            ("gone", "other.h", 12),
            ("moves", "a.c", 24),
            ("inode", "fs.h", 600),
            ("only_here", "b.h", 4),
        ]);
        let variant = sizes(&[
            ("added", "a.c", 2048),
            ("backing", "i.h", 56),
            ("conn", "i.h", 800),
            ("embeds", "i.h", 116),
            ("moves", "i.h", 32),
            ("inode", "fs.h", 600),
        ]);
        let touched = [
            ("a.c", "added"),
            ("i.h", "backing"),
            ("i.h", "conn"),
            ("a.c", "gone"),
            ("a.c", "moves"),
            ("i.h", "moves"),
            ("i.h", "nowhere"),
        ];
        let touched = touched.map(|(file, name)| (file.to_owned(), name.to_owned()));
        let touched = touched.into();
        let changed = changed(&touched, &base, &variant);
        let bytes = |side: &Option<Shape>| side.as_ref().map(|shape| shape.bytes);
        let brief: Vec<_> = changed
            .iter()
            .map(|one| {
                (
                    one.name.as_str(),
                    one.touched,
                    bytes(&one.base),
                    bytes(&one.variant),
                )
            })
            .collect();
        assert_eq!(
            brief,
            [
                ("added", true, None, Some(2048)),
                ("backing", true, Some(40), Some(56)),
                ("conn", true, Some(800), Some(800)),
                ("gone", true, Some(8), None),
                ("moves", true, Some(24), Some(32)),
                ("embeds", false, Some(100), Some(116)),
            ]
        );
    }

    #[test]
    fn each_size_has_its_cache() {
        let table = [
            (0, "kmalloc-8", 8),
            (8, "kmalloc-8", 8),
            (9, "kmalloc-16", 16),
            (64, "kmalloc-64", 64),
            (65, "kmalloc-96", 96),
            (97, "kmalloc-128", 128),
            (129, "kmalloc-192", 192),
            (193, "kmalloc-256", 256),
            (8192, "kmalloc-8k", 8192),
            (8193, "large kmalloc", 16384),
            (u64::MAX, "large kmalloc", u64::MAX),
        ];
        for (bytes, slab, slab_bytes) in table {
            let shape = shape(bytes);
            assert_eq!(
                (shape.slab.as_str(), shape.slab_bytes),
                (slab, slab_bytes),
                "{bytes}"
            );
        }
    }
}

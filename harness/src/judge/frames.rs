//! The frames of a splat that count: where a race or fault is, and whose it is.

use std::collections::BTreeSet;

use super::touched::Touched;
use crate::splat::{Frame, Place, Splat};

/// The class of races.
const KCSAN: &str = "kcsan";

/// A race has two sides; one, where the other is unknown.
const SIDES: usize = 2;

/// Where racing accesses are made for others: the caller is whose race it is.
const LIBRARY: [&str; 9] = [
    "include/",
    "lib/",
    "mm/",
    "kernel/kcsan/",
    "kernel/locking/",
    "kernel/rcu/",
    "arch/x86/include/",
    "arch/x86/kernel/uaccess",
    "arch/x86/lib/",
];

/// One side of a race: the innermost function, its file and line on the variant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Access {
    function: String,
    file: String,
    line: u32,
    /// The patch removed the line, so nothing on the variant is the same.
    removed: bool,
}

impl Access {
    /// Its function, and the file that this is in.
    pub(super) fn function(&self) -> (&str, &str) {
        (&self.file, &self.function)
    }
}

/// The innermost place of each racing or faulting stack; none where one is not symbolized.
fn accesses(splat: &Splat) -> Option<Vec<&Place>> {
    let places: Option<Vec<&Place>> = splat
        .stacks
        .iter()
        .take(SIDES)
        .map(|stack| stack.first()?.places.first())
        .collect();
    places.filter(|places| !places.is_empty())
}

/// Where it happened: a race's accesses, else where the function is that the title blames.
pub(super) fn places(splat: &Splat) -> Vec<&Place> {
    if splat.class == KCSAN {
        return accesses(splat).unwrap_or_default();
    }
    let blamed = |place: &&Place| splat.functions.contains(&place.function);
    let frames = splat
        .stacks
        .iter()
        .flatten()
        .filter(|frame| !frame.unreliable);
    let mut places = frames.flat_map(|frame| &frame.places);
    places.find(blamed).into_iter().collect()
}

/// Both accesses of a KCSAN race with symbols, in a fixed order; base's lines through the patch.
pub(super) fn race(splat: &Splat, patch: Option<&Touched>) -> Option<Vec<Access>> {
    let places = accesses(splat).filter(|_| splat.class == KCSAN)?;
    let mut race: Vec<Access> = places
        .into_iter()
        .map(|place| access(place, patch))
        .collect();
    race.sort();
    Some(race)
}

/// The sides of a KCSAN race with symbols: whose each is (the function that the title names), its
/// own access and the other. None where one of the sides is unknown.
pub(super) fn sides(splat: &Splat, patch: Option<&Touched>) -> Vec<(String, Access, Access)> {
    let Some(places) =
        accesses(splat).filter(|places| splat.class == KCSAN && places.len() == SIDES)
    else {
        return Vec::new();
    };
    let owners = splat.stacks.iter().filter_map(|stack| stack.first());
    let accesses: Vec<Access> = places.iter().map(|place| access(place, patch)).collect();
    owners
        .zip(&accesses)
        .zip(accesses.iter().rev())
        .map(|((owner, own), other)| (owner.function.clone(), own.clone(), other.clone()))
        .collect()
}

/// Where a side of a race is, by lines alone: the access, and the function's whose it is.
pub(super) type Spot = [(String, u32); 2];

/// The spots of a race with symbols, in a fixed order; base's lines through the patch. None where one
/// is not known, or not there any more.
pub(super) fn spots(splat: &Splat, patch: Option<&Touched>) -> Option<Vec<Spot>> {
    let here = |place: &Place| match patch {
        Some(patch) => patch.map_line(&place.file, place.line),
        None => Some((place.file.clone(), place.line)),
    };
    let is_own = |place: &&Place| !LIBRARY.iter().any(|dir| place.file.starts_with(dir));
    let spot = |stack: &Vec<Frame>| {
        let reliable = stack.iter().filter(|frame| !frame.unreliable);
        let mut places = reliable.flat_map(|frame| &frame.places);
        let access = places.clone().next()?;
        Some([here(access)?, here(places.find(is_own)?)?])
    };
    let stacks = splat.stacks.iter().take(SIDES);
    let spots: Option<Vec<Spot>> = stacks.map(spot).collect();
    let mut spots = spots.filter(|spots| splat.class == KCSAN && spots.len() == SIDES)?;
    spots.sort();
    Some(spots)
}

fn access(place: &Place, patch: Option<&Touched>) -> Access {
    let here = (place.file.clone(), place.line);
    let mapped = patch.map_or(Some(here.clone()), |patch| {
        patch.map_line(&place.file, place.line)
    });
    let removed = mapped.is_none();
    let (file, line) = mapped.unwrap_or(here);
    Access {
        function: place.function.clone(),
        file,
        line,
        removed,
    }
}

/// The racing or faulting frames. A fault is its whole stack's; a race is the access's own: the
/// stacks of races that every kernel has run through the functions under test as well.
pub(super) fn frames(splat: &Splat) -> impl Iterator<Item = &Frame> {
    let is_race = splat.class == KCSAN;
    splat.stacks.iter().flat_map(move |stack| {
        let reliable = stack.iter().filter(|frame| !frame.unreliable);
        let library = reliable
            .clone()
            .take_while(|frame| is_race && is_library(frame))
            .count();
        let most = if is_race { library + 1 } else { stack.len() };
        reliable.take(most)
    })
}

/// The source files of the functions that a splat's title names, and of those that called them where
/// they do it for others.
pub(super) fn files(splat: &Splat) -> Vec<String> {
    let named = |frame: &&Frame| {
        let mut names = frame.places.iter().map(|place| &place.function);
        let mut names = names.by_ref().chain([&frame.function]);
        names.any(|name| splat.functions.contains(name))
    };
    let mut files = BTreeSet::new();
    for stack in &splat.stacks {
        let reliable = stack.iter().filter(|frame| !frame.unreliable);
        for frame in reliable.skip_while(|frame| !named(frame)) {
            files.extend(frame.places.iter().map(|place| place.file.clone()));
            if !is_library(frame) {
                break;
            }
        }
    }
    files.into_iter().collect()
}

/// Is the frame, with all that is inlined into it, made of general helpers?
fn is_library(frame: &Frame) -> bool {
    !frame.places.is_empty()
        && frame
            .places
            .iter()
            .all(|place| LIBRARY.iter().any(|dir| place.file.starts_with(dir)))
}

/// The functions of a stack trace in running text: words like `fuse_backing_open+0x1c/0x80`.
pub(super) fn trace(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().filter_map(|word| {
        let (function, offset) = word.split_once("+0x")?;
        let digits = offset.bytes().take_while(u8::is_ascii_hexdigit).count();
        (digits > 0 && offset[digits..].starts_with("/0x")).then_some(())?;
        Some(function.split('.').next().unwrap_or(function))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(file: &str) -> Place {
        Place {
            function: "f".into(),
            file: file.into(),
            line: 1,
        }
    }

    fn frame(function: &str, files: &[&str]) -> Frame {
        Frame {
            function: function.into(),
            places: files.iter().map(|file| place(file)).collect(),
            ..Frame::default()
        }
    }

    fn looked_at(class: &str, stack: Vec<Frame>) -> Vec<String> {
        let splat = Splat {
            class: class.into(),
            stacks: vec![stack],
            ..Splat::default()
        };
        frames(&splat).map(|frame| frame.function.clone()).collect()
    }

    #[test]
    fn a_title_stands_where_its_functions_do_and_those_they_serve() {
        let stack = |function: &str| {
            vec![
                frame("kasan_report", &["mm/kasan/report.c"]),
                frame(function, &["lib/idr.c"]),
                frame("helper", &["include/linux/list.h", "fs/fuse/backing.c"]),
                frame("fuse_dev_ioctl", &["fs/fuse/dev.c"]),
            ]
        };
        for (named, expected) in [
            (
                "ida_alloc",
                &["fs/fuse/backing.c", "include/linux/list.h", "lib/idr.c"][..],
            ),
            ("fuse_dev_ioctl", &["fs/fuse/dev.c"]),
            ("other", &[]),
        ] {
            let splat = Splat {
                functions: vec![named.into()],
                stacks: vec![stack("ida_alloc"), stack("unknown")],
                ..Splat::default()
            };
            assert_eq!(files(&splat), expected, "{named}");
        }
    }

    #[test]
    fn a_race_is_the_accesss_own_and_a_fault_its_whole_stacks() {
        let stack = || {
            vec![
                frame("ida_alloc", &["lib/idr.c"]),
                frame("helper", &["include/linux/list.h", "fs/fuse/backing.c"]),
                frame("fuse_dev_ioctl", &["fs/fuse/dev.c"]),
            ]
        };
        assert_eq!(looked_at("kcsan", stack()), ["ida_alloc", "helper"]);
        assert_eq!(looked_at("kasan", stack()).len(), 3);
        let bare = vec![frame("a", &[]), frame("b", &[])];
        assert_eq!(looked_at("kcsan", bare), ["a"]);
        let mut doubted = stack();
        doubted[2].unreliable = true;
        assert_eq!(looked_at("warning", doubted), ["ida_alloc", "helper"]);
        assert!(looked_at("kcsan", vec![]).is_empty());
    }

    #[test]
    fn traces_in_words() {
        let text = "unreferenced object 0xffff (size 64):\n [<000>] fuse_file_alloc+0x2a/0x90\n \
                    [<000>] foo.isra.0+0x1/0x2 [fuse]\n a+0x\n +0x1/0x2 b+0xg/0x1";
        let found: Vec<&str> = trace(text).collect();
        assert_eq!(found, ["fuse_file_alloc", "foo", ""]);
    }
}

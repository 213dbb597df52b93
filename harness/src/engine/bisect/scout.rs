//! Where a splat's trace says to hold vCPUs (pure).

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;

use crate::splat::{Frame, Splat};

/// Where vCPUs are held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Functions.
    pub(super) functions: BTreeSet<String>,
    /// The files that they stand in.
    pub(super) files: BTreeSet<String>,
}

/// The functions that a title names: what stands after `in`, and beside a slash.
pub(super) fn of_title(title: &str) -> Places {
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?: in | / |^WARNING: |^BUG: )([a-zA-Z_][a-zA-Z0-9_]*)")
            .expect("a fixed pattern")
    });
    let named = NAMED.captures_iter(title);
    let functions = named.filter_map(|found| Some(found.get(1)?.as_str().to_owned()));
    Places {
        functions: functions.collect(),
        files: BTreeSet::new(),
    }
}

/// The functions of a splat's stacks that stand in the same files as those that its title names:
/// what else is in a trace (the detector's own, system calls) runs all the time.
pub(super) fn of_splat(splat: &Splat) -> Places {
    let frames = || {
        let stacks = splat.stacks.iter().chain(&splat.context);
        stacks.flatten()
    };
    let named = |frame: &&Frame| {
        let mut names = frame.places.iter().map(|place| &place.function);
        names.any(|name| splat.functions.contains(name))
            || splat.functions.contains(&frame.function)
    };
    let places = frames().filter(named).flat_map(|frame| &frame.places);
    let own = places.filter(|place| splat.functions.contains(&place.function));
    let files: BTreeSet<String> = own.map(|place| place.file.clone()).collect();
    let near = frames().flat_map(|frame| &frame.places);
    let near = near.filter(|place| files.contains(&place.file));
    let mut functions: BTreeSet<String> = near.map(|place| place.function.clone()).collect();
    functions.extend(splat.functions.iter().cloned());
    Places { functions, files }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splat::Place;

    #[test]
    fn titles_name_functions() {
        let names = |title| of_title(title).functions.into_iter().collect::<Vec<_>>();
        assert_eq!(
            names("KASAN: slab-use-after-free Read in fuse_backing_get"),
            ["fuse_backing_get"]
        );
        assert_eq!(
            names("KCSAN: data-race in b_open / a_put"),
            ["a_put", "b_open"]
        );
        assert_eq!(names("the agent beats and its load does no work"), [""; 0]);
    }

    #[test]
    fn what_stands_beside_the_faulting_function_counts() {
        let frame = |places: &[(&str, &str)]| Frame {
            function: places.last().unwrap().0.into(),
            places: places
                .iter()
                .map(|(function, file)| Place {
                    function: (*function).into(),
                    file: (*file).into(),
                    line: 1,
                })
                .collect(),
            ..Frame::default()
        };
        let splat = Splat {
            functions: vec!["get".into()],
            stacks: vec![vec![
                frame(&[
                    ("atomic_read", "include/x.h"),
                    ("get", "fs/b.c"),
                    ("lookup", "fs/b.c"),
                ]),
                frame(&[("open", "fs/o.c")]),
            ]],
            context: vec![vec![
                frame(&[("kfree", "mm/s.c")]),
                frame(&[("free", "fs/b.c")]),
            ]],
            ..Splat::default()
        };
        let places = of_splat(&splat);
        assert_eq!(places.files, ["fs/b.c".to_owned()].into());
        let expected = ["free", "get", "lookup"].map(str::to_owned);
        assert_eq!(places.functions, expected.into());
    }
}

//! Which source files to compile so that every definition in some files is seen (pure).

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
};

/// Files that one header's includers are looked for among: the kernel's most used ones are included
/// everywhere, and the first will do.
const MOST: usize = 4096;

/// The source files among `compiled` that hold `files` or, for headers, include them: as few as
/// possible. Headers that nothing compiled includes are left out. `read` gives a file's text.
pub fn sources(
    files: &BTreeSet<String>,
    compiled: &[String],
    read: &dyn Fn(&str) -> Option<String>,
) -> Vec<String> {
    let is_source = |file: &&String| file.ends_with(".c");
    let known: BTreeSet<&str> = compiled.iter().map(String::as_str).collect();
    let files: BTreeSet<&String> = files
        .iter()
        .filter(|file| known.contains(file.as_str()))
        .collect();
    let mut chosen: BTreeSet<String> = files.iter().copied().filter(is_source).cloned().collect();
    let mut includes = Includes {
        read,
        known: BTreeMap::new(),
    };
    for header in files.iter().filter(|file| file.ends_with(".h")) {
        if chosen.iter().any(|source| includes.has(source, header)) {
            continue;
        }
        chosen.extend(includer(header, compiled, &mut includes));
    }
    chosen.into_iter().collect()
}

/// The source file that includes a header by the fewest steps, of those the nearest to it.
fn includer(header: &str, compiled: &[String], includes: &mut Includes<'_>) -> Option<String> {
    let mut near: Vec<&String> = compiled.iter().collect();
    near.sort_by_key(|file| (std::cmp::Reverse(shared(file, header)), *file));
    near.truncate(MOST);
    let mut seen = BTreeSet::from([header.to_owned()]);
    let mut waiting = VecDeque::from([header.to_owned()]);
    while let Some(wanted) = waiting.pop_front() {
        for file in &near {
            if seen.contains(*file) || !includes.has(file, &wanted) {
                continue;
            }
            if file.ends_with(".c") {
                return Some((*file).clone());
            }
            seen.insert((*file).clone());
            waiting.push_back((*file).clone());
        }
    }
    None
}

/// How many folders two files share from the top.
fn shared(a: &str, b: &str) -> usize {
    let folders = |file: &str| -> Vec<String> {
        let parent = Path::new(file).parent().unwrap_or(Path::new(""));
        parent
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect()
    };
    let (a, b) = (folders(a), folders(b));
    a.iter().zip(&b).take_while(|(a, b)| a == b).count()
}

/// What files include, each read once.
struct Includes<'r> {
    read: &'r dyn Fn(&str) -> Option<String>,
    known: BTreeMap<String, BTreeSet<String>>,
}

impl Includes<'_> {
    /// Whether a file names a header in an `#include` of its own.
    fn has(&mut self, file: &str, header: &str) -> bool {
        if !self.known.contains_key(file) {
            let text = (self.read)(file).unwrap_or_default();
            let named = text.lines().filter_map(included).map(str::to_owned);
            self.known.insert(file.to_owned(), named.collect());
        }
        let named = self.known.get(file);
        named.is_some_and(|named| named.iter().any(|one| is_path_end(header, one)))
    }
}

/// The file that a line includes, as it names it.
fn included(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start();
    let rest = rest.strip_prefix("include")?.trim_start();
    let (end, rest) = match rest.chars().next()? {
        '<' => ('>', &rest[1..]),
        '"' => ('"', &rest[1..]),
        _ => return None,
    };
    Some(rest.split_once(end)?.0.trim_start_matches("../"))
}

/// Whether a path ends with these components.
fn is_path_end(path: &str, end: &str) -> bool {
    let before = path.strip_suffix(end);
    !end.is_empty() && before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: [(&str, &str); 8] = [
        (
            "fs/fuse/backing.c",
            "#include \"fuse_i.h\"\n#include <linux/idr.h>\n",
        ),
        (
            "fs/fuse/inode.c",
            "# include \"fuse_i.h\" /* all of it */\n",
        ),
        ("fs/fuse/fuse_i.h", "#include <linux/fuse.h>\n"),
        ("include/uapi/linux/fuse.h", ""),
        ("include/linux/idr.h", "#include <linux/xarray.h>\n"),
        ("include/linux/xarray.h", ""),
        ("lib/idr.c", "#include <linux/idr.h>\n"),
        (
            "net/socket.c",
            "#include_next <linux/xarray.h>\n// \"x.h\"\n",
        ),
    ];

    fn chosen(files: &[&str]) -> Vec<String> {
        let compiled: Vec<String> = TREE.iter().map(|(file, _)| (*file).to_owned()).collect();
        let read = |file: &str| {
            let found = TREE.iter().find(|(name, _)| *name == file);
            found.map(|(_, text)| (*text).to_owned())
        };
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        sources(&files, &compiled, &read)
    }

    #[test]
    fn as_few_sources_as_show_all_files() {
        let table: [(&[&str], &[&str]); 8] = [
            (&[], &[]),
            (&["fs/fuse/inode.c"], &["fs/fuse/inode.c"]),
            // The source includes the header.
            (
                &["fs/fuse/inode.c", "fs/fuse/fuse_i.h"],
                &["fs/fuse/inode.c"],
            ),
            (&["fs/fuse/fuse_i.h"], &["fs/fuse/backing.c"]),
            // Through another header.
            (&["include/uapi/linux/fuse.h"], &["fs/fuse/backing.c"]),
            (
                &["fs/fuse/inode.c", "include/linux/xarray.h"],
                &["fs/fuse/backing.c", "fs/fuse/inode.c"],
            ),
            // Not compiled.
            (&["fs/fuse/virtio_fs.c", "fs/fuse/other.h"], &[]),
            (&["net/socket.c"], &["net/socket.c"]),
        ];
        for (files, expected) in table {
            assert_eq!(chosen(files), expected, "{files:?}");
        }
    }

    #[test]
    fn includes_are_read_from_lines() {
        let table = [
            ("#include <linux/x.h>", Some("linux/x.h")),
            ("  #  include \"../y.h\"", Some("y.h")),
            ("#include MACRO", None),
            ("#include", None),
            ("#include <x.h", None),
            ("include <x.h>", None),
        ];
        for (line, name) in table {
            assert_eq!(included(line), name, "{line}");
        }
        assert!(is_path_end("a/b.h", "b.h") && is_path_end("b.h", "b.h"));
        assert!(!is_path_end("a/cb.h", "b.h") && !is_path_end("b.h", ""));
    }
}

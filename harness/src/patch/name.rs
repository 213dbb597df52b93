//! File names in a diff: stripped of their prefix, and refused where they leave the tree.

/// Prefixes that git puts before a name (`diff.mnemonicPrefix` and `-R` included).
const GIT_PREFIXES: &[&str] = &["a", "b", "c", "i", "o", "w", "1", "2"];

/// What stands at the top of a kernel tree: a name that begins so needs no stripping.
const KERNEL_TOP: &[&str] = &[
    "COPYING",
    "CREDITS",
    "Documentation",
    "Kbuild",
    "Kconfig",
    "LICENSES",
    "MAINTAINERS",
    "Makefile",
    "README",
    "arch",
    "block",
    "certs",
    "crypto",
    "drivers",
    "fs",
    "include",
    "init",
    "io_uring",
    "ipc",
    "kernel",
    "lib",
    "mm",
    "net",
    "rust",
    "samples",
    "scripts",
    "security",
    "sound",
    "tools",
    "usr",
    "virt",
];

/// The longest name that is taken; the kernel's own longest is below 150.
const LONGEST: usize = 1024;

/// The name in a `---` or `+++` line: what stands before the time stamp.
pub(super) fn of_header(rest: &[u8]) -> &[u8] {
    let end = rest.iter().position(|&b| b == b'\t').unwrap_or(rest.len());
    rest[..end].trim_ascii_end()
}

/// `/dev/null`: no file on this side.
pub(super) fn is_null(name: &[u8]) -> bool {
    name == b"/dev/null"
}

/// Both names of a header, relative to the kernel's top; none for `/dev/null`.
///
/// # Errors
/// Why a name is refused.
pub(super) fn pair(
    old: &[u8],
    new: &[u8],
) -> std::result::Result<(Option<String>, Option<String>), String> {
    let read = |name: &[u8]| {
        if is_null(name) {
            Ok(None)
        } else {
            // Before stripping: `/etc/x` and `../x` must not pass as prefixes.
            checked(&plain(name)?).map(Some)
        }
    };
    let (old, new) = (read(old)?, read(new)?);
    let strip = needs_strip(old.as_deref(), new.as_deref());
    let cut = |name: Option<String>| {
        name.map(|n| checked(if strip { past_first(&n) } else { &n }))
            .transpose()
    };
    Ok((cut(old)?, cut(new)?))
}

/// A name that carries no prefix (`rename from`), if it stays inside the tree.
///
/// # Errors
/// Why it is refused.
pub(super) fn bare(name: &[u8]) -> std::result::Result<String, String> {
    checked(&plain(name)?)
}

/// Does a first component stand before the kernel's own names (`patch -p1`)?
fn needs_strip(old: Option<&str>, new: Option<&str>) -> bool {
    let names: Vec<&str> = [old, new].into_iter().flatten().collect();
    if names.iter().all(|n| GIT_PREFIXES.contains(&first(n))) {
        return true;
    }
    if let [old, new] = names[..]
        && first(old) != first(new)
        && past_first(old) == past_first(new)
    {
        return true;
    }
    !names.iter().all(|n| KERNEL_TOP.contains(&first(n)))
}

fn first(name: &str) -> &str {
    name.split('/').next().unwrap_or_default()
}

fn past_first(name: &str) -> &str {
    name.split_once('/').map_or("", |(_, rest)| rest)
}

/// A name of plain characters, without a leading `./`, not checked yet.
fn plain(name: &[u8]) -> std::result::Result<String, String> {
    let shown = String::from_utf8_lossy(&name[..name.len().min(200)]);
    let shown = shown.escape_debug();
    if name.len() > LONGEST {
        return Err(format!("the name `{shown}...` is too long"));
    }
    if !name
        .iter()
        .all(|b| b.is_ascii_graphic() && !b"\"\\".contains(b))
    {
        let why = "holds white space, quotes or characters that no kernel file has";
        return Err(format!("the name `{shown}` {why}"));
    }
    let text = String::from_utf8_lossy(name);
    Ok(text.strip_prefix("./").unwrap_or(&text).to_owned())
}

/// The name, if it stays inside the tree and out of git's own folder.
fn checked(name: &str) -> std::result::Result<String, String> {
    let refuse = |why: &str| Err(format!("the name `{name}` {why}"));
    if name.is_empty() {
        return Err("a file name is empty".into());
    }
    if name.starts_with('/') {
        return refuse("is absolute, and would leave the tree");
    }
    for part in name.split('/') {
        if part == ".." {
            return refuse("leaves the tree");
        }
        if part.is_empty() || part == "." {
            return refuse("has an empty part");
        }
        if part.eq_ignore_ascii_case(".git") {
            return refuse("reaches into git's own folder");
        }
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_stripped() {
        let table = [
            ("a/fs/x.c", "b/fs/x.c", Some("fs/x.c"), Some("fs/x.c")),
            ("/dev/null", "b/fs/x.c", None, Some("fs/x.c")),
            ("a/fs/x.c", "/dev/null", Some("fs/x.c"), None),
            ("i/fs/x.c", "w/fs/x.c", Some("fs/x.c"), Some("fs/x.c")),
            (
                "linux.orig/fs/x.c",
                "linux/fs/x.c",
                Some("fs/x.c"),
                Some("fs/x.c"),
            ),
            (
                "kernel.orig/fs/x.c",
                "kernel/fs/x.c",
                Some("fs/x.c"),
                Some("fs/x.c"),
            ),
            ("fs/x.c", "fs/x.c", Some("fs/x.c"), Some("fs/x.c")),
            ("./fs/x.c", "./fs/x.c", Some("fs/x.c"), Some("fs/x.c")),
            ("/dev/null", "fs/new.c", None, Some("fs/new.c")),
            ("/dev/null", "linux/fs/new.c", None, Some("fs/new.c")),
            (
                "a/Makefile",
                "b/Makefile",
                Some("Makefile"),
                Some("Makefile"),
            ),
        ];
        for (old, new, expected_old, expected_new) in table {
            let (old, new) = pair(old.as_bytes(), new.as_bytes()).unwrap();
            assert_eq!(
                (old.as_deref(), new.as_deref()),
                (expected_old, expected_new)
            );
        }
    }

    #[test]
    fn names_that_leave_the_tree_are_refused() {
        let table = [
            ("a/../etc/passwd", "leaves the tree"),
            ("a/fs/../../../x", "leaves the tree"),
            ("../x", "leaves the tree"),
            ("/etc/passwd", "absolute"),
            ("a//etc/passwd", "empty part"),
            ("a/.git/config", "git's own folder"),
            ("a/fs/.GIT/hooks/x", "git's own folder"),
            ("a/fs/./x", "empty part"),
            ("a/", "empty part"),
            ("elsewhere", "empty"),
            ("a/fs/x y", "white space"),
            ("a/fs/x\"", "quotes"),
            ("a/fs/\u{1b}[2J", "no kernel file"),
        ];
        for (name, expected) in table {
            let why = pair(name.as_bytes(), name.as_bytes()).unwrap_err();
            assert!(why.contains(expected), "{name}: {why}");
        }
    }

    #[test]
    fn time_stamps_are_cut_off() {
        assert_eq!(of_header(b"a/fs/x.c\t2024-01-01 00:00:00"), b"a/fs/x.c");
        assert_eq!(of_header(b"a/fs/x.c"), b"a/fs/x.c");
    }
}

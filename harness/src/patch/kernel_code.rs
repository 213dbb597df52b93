//! Which files of a kernel's tree are code of the kernel's, by their paths (pure).

/// Files that hold words only, by the start of their path.
const WORDS_AT: [&str; 5] = [
    "Documentation/",
    "LICENSES/",
    "MAINTAINERS",
    "CREDITS",
    "COPYING",
];
/// The same, by its end.
const WORDS_END: [&str; 4] = [".rst", ".txt", ".md", "/README"];

/// Programs that run under a kernel and have no part in making one, as `scripts/` and `tools/objtool/` have.
const BESIDE_AT: [&str; 2] = ["tools/perf/", "tools/testing/"];

/// Whether a change to this file can be one to the kernel's own code or configuration.
pub(crate) fn is_kernel_code(path: &str) -> bool {
    let at = |starts: &[&str]| starts.iter().any(|start| path.starts_with(start));
    let words = at(&WORDS_AT) || WORDS_END.iter().any(|end| path.ends_with(end));
    !words && !at(&BESIDE_AT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_code_of_the_kernels() {
        for (path, code) in [
            ("fs/fuse/dev.c", true),
            ("fs/fuse/Kconfig", true),
            ("fs/fuse/Makefile", true),
            ("include/uapi/linux/fuse.h", true),
            ("drivers/tools/x.c", true),
            ("Documentation/filesystems/fuse.rst", false),
            ("MAINTAINERS", false),
            ("fs/unicode/README", false),
            ("tools/testing/selftests/filesystems/fuse/fuse_mnt.c", false),
            ("tools/perf/util/map.c", false),
            ("tools/objtool/check.c", true),
            ("samples/vfs/test-statx.c", true),
            ("scripts/mod/modpost.c", true),
        ] {
            assert_eq!(is_kernel_code(path), code, "{path}");
        }
    }
}

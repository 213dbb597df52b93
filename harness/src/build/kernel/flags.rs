//! What gcc is told besides what kbuild tells it, by config (pure).

use crate::build::kconfig::ConfigText;

/// Line tables and inline chains, and nothing else of debug information: a fifth of its size.
const ALL: &str = "-g1 -gstatement-frontiers";

/// Passes that move code about for speed, between checks that hold most of it where it is: an eighth of
/// the time that such a kernel takes to compile. What is inlined, and so what reports say, stays as it is.
const KASAN: &str =
    "-fno-schedule-insns2 -fno-tree-pre -fno-gcse -fno-code-hoisting -fno-thread-jumps";

/// All types, those that nothing uses included: another structure's size may depend on theirs.
pub(super) const WITH_TYPES: &str = "-g2 -fno-eliminate-unused-debug-types";

/// `KCFLAGS` of a config's kernels.
pub(super) fn kcflags(config: &ConfigText) -> String {
    // Lines that mean nothing end the build before it compiles anything.
    let requests = config.requests().unwrap_or_default();
    let mut own = requests.iter().filter(|one| one.symbol == "KASAN");
    match own.any(|one| one.value.is_on()) {
        true => format!("{ALL} {KASAN}"),
        false => ALL.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::kconfig::Fragment;

    #[test]
    fn kasan_kernels_are_compiled_faster() {
        let table = [
            (&["CONFIG_NET=y\n"][..], false),
            (&["CONFIG_KASAN=y\n"], true),
            (&["CONFIG_KASAN_INLINE=y\n"], false),
            (&["CONFIG_KASAN=y\n", "# CONFIG_KASAN is not set\n"], false),
            (&["no line\n"], false),
        ];
        for (texts, expected) in table {
            let fragments = texts.iter().map(|text| Fragment {
                name: "own".into(),
                text: (*text).to_owned(),
            });
            let config = ConfigText {
                name: "own".into(),
                fragments: fragments.collect(),
            };
            let flags = kcflags(&config);
            assert!(flags.starts_with(ALL));
            assert_eq!(flags.contains("-fno-gcse"), expected, "{texts:?}");
        }
    }
}

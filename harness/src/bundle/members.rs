//! Which members a bundle may have, and how large each may be (pure).

/// What was booted, and which other members there are.
pub(super) const MANIFEST: &str = "bundle.json";
/// The kernel's resulting `.config`.
pub const CONFIG: &str = "config";
/// What the boot showed.
pub const RECORD: &str = "record.json";
/// The folder with what the kernel was made of.
pub const RECIPE: &str = "recipe";
/// The disk with the programs that the boot's commands run.
pub const TOOLS: &str = "tools.ext4";
/// The kernel that was booted.
pub const BOOT: &str = "kernel/boot";
/// The same with debug information.
pub const VMLINUX: &str = "kernel/vmlinux";

/// Names, where `#` stands for a digit, and the most bytes of each.
const MEMBERS: [(&str, u64); 9] = [
    (MANIFEST, 8 << 20),
    (CONFIG, 4 << 20),
    (RECORD, 64 << 20),
    ("recipe/source.json", 64 << 10),
    ("recipe/asked.config", 4 << 20),
    ("recipe/patches/####.patch", 64 << 20),
    (TOOLS, 4 << 30),
    (BOOT, 1 << 30),
    (VMLINUX, 4 << 30),
];

/// The most bytes that a member may have; or why there is none of this name.
pub(super) fn largest(name: &str) -> Result<u64, &'static str> {
    let known = MEMBERS.iter().find(|(known, _)| matches(known, name));
    match known {
        Some((_, largest)) => Ok(*largest),
        None if name.starts_with('/') => Err("is an absolute path"),
        None if name.split('/').any(|part| part == "..") => Err("leads out of the bundle"),
        None => Err("is nothing that a bundle has"),
    }
}

fn matches(known: &str, name: &str) -> bool {
    known.len() == name.len()
        && known
            .bytes()
            .zip(name.bytes())
            .all(|(known, given)| match known {
                b'#' => given.is_ascii_digit(),
                _ => known == given,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_known_by_their_whole_names() {
        let table = [
            ("bundle.json", Ok(8 << 20)),
            ("recipe/patches/0001.patch", Ok(64 << 20)),
            (
                "recipe/patches/001.patch",
                Err("is nothing that a bundle has"),
            ),
            ("recipe/patches/../1.patch", Err("leads out of the bundle")),
            (
                "recipe/patches/####.patch",
                Err("is nothing that a bundle has"),
            ),
            ("/etc/passwd", Err("is an absolute path")),
            ("../config", Err("leads out of the bundle")),
            ("kernel/../../x", Err("leads out of the bundle")),
            ("./config", Err("is nothing that a bundle has")),
            ("config/", Err("is nothing that a bundle has")),
            ("", Err("is nothing that a bundle has")),
            ("Config", Err("is nothing that a bundle has")),
            ("config\0", Err("is nothing that a bundle has")),
        ];
        for (name, expected) in table {
            assert_eq!(largest(name), expected, "{name:?}");
        }
    }
}

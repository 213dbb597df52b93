//! Writes a cpio archive in the kernel's format (`newc`), the same bytes for the same contents.

use std::io::{self, Write};

use nix::sys::stat::SFlag;

/// One thing in the archive.
#[derive(Debug, Clone, Copy)]
pub(super) enum Node<'a> {
    /// A folder.
    Folder,
    /// A program.
    Program(&'a [u8]),
    /// A character device: major, minor.
    Device(u32, u32),
}

const TRAILER: &str = "TRAILER!!!";

/// Writes everything, each with its path relative to the root. Folders come before what is in them.
pub(super) fn write(out: &mut impl Write, nodes: &[(&str, Node<'_>)]) -> io::Result<()> {
    for (number, (path, node)) in (1_u32..).zip(nodes) {
        let (kind, permissions, body, device): (_, _, &[u8], _) = match *node {
            Node::Folder => (SFlag::S_IFDIR, 0o755, &[], (0, 0)),
            Node::Program(bytes) => (SFlag::S_IFREG, 0o755, bytes, (0, 0)),
            Node::Device(major, minor) => (SFlag::S_IFCHR, 0o600, &[], (major, minor)),
        };
        entry(out, path, number, kind.bits() | permissions, body, device)?;
    }
    entry(out, TRAILER, 0, 0, &[], (0, 0))
}

fn entry(
    out: &mut impl Write,
    path: &str,
    number: u32,
    mode: u32,
    body: &[u8],
    (major, minor): (u32, u32),
) -> io::Result<()> {
    let size = u32::try_from(body.len()).map_err(io::Error::other)?;
    let name = u32::try_from(path.len() + 1).map_err(io::Error::other)?;
    // Number, mode, owner, group, links, time, size, the archive's device, the node's, the
    // name's length, and a checksum that this format leaves at zero.
    let fields = [number, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name, 0];
    out.write_all(b"070701")?;
    for field in fields {
        write!(out, "{field:08x}")?;
    }
    out.write_all(path.as_bytes())?;
    out.write_all(b"\0")?;
    pad(out, 110 + path.len() + 1)?;
    out.write_all(body)?;
    pad(out, body.len())
}

fn pad(out: &mut impl Write, written: usize) -> io::Result<()> {
    out.write_all(&[0; 3][..written.next_multiple_of(4) - written])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::doctor;
    use std::process::{Command, Stdio};

    #[test]
    fn an_entry_has_the_kernels_form() {
        let mut out = Vec::new();
        write(&mut out, &[("init", Node::Program(b"abcde"))]).unwrap();
        assert_eq!(
            &out[..110],
            b"07070100000001000081ed0000000000000000000000010000000000000005\
              000000000000000000000000000000000000000500000000"
        );
        assert_eq!(&out[110..124], b"init\0\0abcde\0\0\0");
        assert_eq!(out.len() % 4, 0);
        assert!(String::from_utf8_lossy(&out).contains("TRAILER!!!"));
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a test that was not run says so")]
    fn cpio_reads_it() {
        let Some(cpio) = doctor::find("cpio") else {
            eprintln!("NOT RUN: cpio is not installed");
            return;
        };
        let nodes = [
            ("dev", Node::Folder),
            ("dev/console", Node::Device(5, 1)),
            ("init", Node::Program(b"agent")),
        ];
        let mut archive = Vec::new();
        write(&mut archive, &nodes).unwrap();
        let mut cpio = Command::new(cpio)
            .args(["-tv", "--quiet", "--numeric-uid-gid"])
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        cpio.stdin.take().unwrap().write_all(&archive).unwrap();
        let listing = String::from_utf8(cpio.wait_with_output().unwrap().stdout).unwrap();
        let lines: Vec<_> = listing
            .lines()
            .map(|l| l.split_whitespace().collect::<Vec<_>>())
            .collect();
        let modes: Vec<_> = lines.iter().map(|l| (l[0], *l.last().unwrap())).collect();
        assert_eq!(
            modes,
            [
                ("drwxr-xr-x", "dev"),
                ("crw-------", "dev/console"),
                ("-rwxr-xr-x", "init")
            ]
        );
        assert_eq!(&lines[1][4..6], ["5,", "1"]);
    }
}

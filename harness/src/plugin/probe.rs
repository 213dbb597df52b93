//! Whether a QEMU can be watched at all: whether it takes plugins, of a version that ours speaks.

use std::{path::Path, time::Duration};

use crate::{Result, cancel::Cancel, host::Cmd};

/// Asks a QEMU with no machine to load the library: gives why it cannot be used, if it cannot.
///
/// # Errors
/// QEMU does not start, or does not end.
pub fn refusal(qemu: &Path, library: &Path, cancel: &Cancel) -> Result<Option<String>> {
    let output = Cmd::new(qemu)
        .args([
            "-M",
            "none",
            "-accel",
            "tcg",
            "-nodefaults",
            "-display",
            "none",
        ])
        .arg("-plugin")
        .arg(format!("{},probe=on", library.display()))
        .limit(Duration::from_secs(60))
        .run(cancel)?;
    Ok((!output.success()).then(|| why(&String::from_utf8_lossy(&output.stderr))))
}

/// Our own reason, or else QEMU's.
fn why(stderr: &str) -> String {
    let ours = stderr.lines().find_map(|line| line.strip_prefix(OURS));
    let why = ours.or_else(|| stderr.lines().next());
    why.unwrap_or("it does not load ktwin's plugin, and does not say why")
        .to_owned()
}

/// What the plugin's messages begin with.
const OURS: &str = "ktwin's plugin: ";

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn refused_by(script: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let qemu = dir.path().join("qemu");
        fs::write(&qemu, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
        refusal(&qemu, Path::new("/lib.so"), &Cancel::new()).unwrap()
    }

    #[test]
    fn a_refusal_says_why() {
        assert_eq!(
            refused_by(r#"case "$*" in *"-plugin /lib.so,probe=on"*) exit 0;; esac; exit 1"#),
            None
        );
        let without = "echo 'qemu-system-x86_64: -plugin: invalid option' >&2; exit 1";
        assert_eq!(
            refused_by(without).unwrap(),
            "qemu-system-x86_64: -plugin: invalid option"
        );
        let newer = r#"echo "ktwin's plugin: this QEMU speaks version 7" >&2; echo 'qemu: error' >&2; exit 1"#;
        assert_eq!(refused_by(newer).unwrap(), "this QEMU speaks version 7");
        assert!(refused_by("exit 1").unwrap().contains("does not say why"));
    }
}

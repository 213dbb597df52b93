//! Builds the guest agent: static, so that the initramfs holds nothing else.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{Error, Result, cancel::Cancel, host::Cmd};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROFILE: &str = "agent";
const PACKAGE: &str = "guest-agent";

/// What a linker says that finds no static C library.
const NO_LIBC: [&str; 2] = ["cannot find -lc", "unable to find library -lc"];

/// The agent's binary, built if need be.
pub(super) fn build(cancel: &Cancel) -> Result<PathBuf> {
    let top = workspace();
    let target = top.join("target").join(PACKAGE);
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let cmd = Cmd::new(cargo)
        .args(["build", "--quiet", "--locked", "--color=never"])
        .args([
            "--package",
            PACKAGE,
            "--profile",
            PROFILE,
            "--target",
            TARGET,
        ])
        .arg("--target-dir")
        .arg(&target)
        // Over any other setting of flags, the user's own included.
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .cwd(top);
    let output = cmd.run(cancel)?;
    if output.success() {
        return Ok(target.join(TARGET).join(PROFILE).join(PACKAGE));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let error =
        Error::infrastructure("the guest agent does not build").because(cmd.failed(&output));
    Err(if NO_LIBC.iter().any(|l| said.contains(l)) {
        error.mend("install the static C library (libc6-dev, glibc-static); `cargo xtask doctor` names the command")
    } else {
        error
    })
}

/// The project's top folder: the harness's own, one up.
fn workspace() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

//! Builds the plugin that QEMU loads.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{Error, Result, cancel::Cancel, host::Cmd};

const PACKAGE: &str = "ktwin-qemu-plugin";
const LIBRARY: &str = "release/libktwin_qemu_plugin.so";

/// The plugin's library, built if need be.
///
/// # Errors
/// It does not build.
pub fn plugin(cancel: &Cancel) -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let top = own.parent().unwrap_or(own);
    // Its own folder: cargo holds the lock of the one that runs this program.
    let target = top.join("target/qemu-plugin");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let build = Cmd::new(cargo)
        .args(["build", "--quiet", "--locked", "--color=never", "--release"])
        .args(["--package", PACKAGE])
        .arg("--target-dir")
        .arg(&target)
        .cwd(top);
    let built = build.run_ok(cancel);
    built.map_err(|e| Error::infrastructure("QEMU's plugin does not build").because(e))?;
    Ok(target.join(LIBRARY))
}

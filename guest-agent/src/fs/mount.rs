//! A FUSE mount with passthrough negotiated, and its end.

use std::{
    fs::{self, File},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use fuser::{Config, Filesystem, InitFlags, KernelConfig, Session, SessionACL};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::{crew::Crew, init};

/// The deepest stack of filesystems under the mount; 1 allows backing files on
/// anything that is not itself stacked.
const MAX_STACK_DEPTH: u32 = 1;
/// Requests of more than this are cut by the kernel; a server's buffer holds it.
const MAX_WRITE: u32 = 1 << 20;

/// The thread that unmounts: who is stuck where it does not come back.
pub(crate) const UNMOUNT: &str = "umount";

/// A mounted filesystem whose server threads run.
pub(crate) struct Mounted {
    at: PathBuf,
    device: File,
    servers: Crew,
}

/// Asks for passthrough in the answer to INIT.
///
/// # Errors
/// Where the kernel does not offer it.
pub(crate) fn negotiate_passthrough(config: &mut KernelConfig) -> std::io::Result<()> {
    config
        .add_capabilities(InitFlags::FUSE_PASSTHROUGH)
        .map_err(|_| std::io::Error::other("the kernel offers no FUSE passthrough"))?;
    config
        .set_max_stack_depth(MAX_STACK_DEPTH)
        .map_err(|most| {
            std::io::Error::other(format!("a stack depth of at most {most} is possible"))
        })?;
    limit_writes(config)
}

/// Keeps requests at a size that every kernel accepts.
pub(crate) fn limit_writes(config: &mut KernelConfig) -> std::io::Result<()> {
    config
        .set_max_write(MAX_WRITE)
        .map(drop)
        .map_err(|_| std::io::Error::other("a write size that fuser refuses"))
}

/// Mounts FUSE there; INIT waits on the device for its answer.
pub(super) fn attach(at: &Path) -> Result<File> {
    fs::create_dir_all(at).with_context(|| format!("make {}", at.display()))?;
    let device = File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .context("open /dev/fuse")?;
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
        device.as_raw_fd()
    );
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("ktwin"),
        at,
        Some("fuse"),
        flags,
        Some(options.as_str()),
    )
    .with_context(|| format!("mount fuse on {}", at.display()))?;
    Ok(device)
}

/// Unmounts, in time or not at all. A mount whose files are open goes when the last one is closed.
pub(super) fn detach(at: &Path, limit: Duration) -> bool {
    let path = at.to_owned();
    let unmount = move || {
        // A file that is still open makes this fail; see below.
        let _ = umount2(&path, MntFlags::empty());
    };
    let done = init::within(limit, UNMOUNT, unmount).is_some();
    if done {
        let _ = umount2(at, MntFlags::MNT_DETACH);
    }
    done
}

impl Mounted {
    /// Mounts `served` with so many server threads, each with its own clone of
    /// the device, so that requests are answered side by side.
    pub(crate) fn new(served: impl Filesystem, at: &Path, servers: usize) -> Result<Mounted> {
        let device = attach(at)?;
        let mut config = Config::default();
        config.n_threads = Some(servers.max(1));
        config.clone_fd = true;
        let answering = OwnedFd::from(device.try_clone().context("clone /dev/fuse")?);
        let session = Session::from_fd(served, answering, SessionACL::All, config)
            .context("answer FUSE's INIT")?;
        let mut crew = Crew::default();
        // It ends by itself when the mount is gone.
        crew.spawn("fuse-session", move || drop(session.run()))?;
        Ok(Mounted {
            at: at.into(),
            device,
            servers: crew,
        })
    }

    /// The device, for the backing ioctls.
    pub(crate) fn device(&self) -> &File {
        &self.device
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// Unmounts and waits for the servers. Names of threads that did not come
    /// back in time are returned; then nothing of the mount is freed.
    pub(crate) fn end(mut self, limit: Duration) -> Vec<String> {
        if !detach(&self.at, limit) {
            std::mem::forget(self.device);
            return vec![UNMOUNT.into()];
        }
        let stuck = self.servers.end(limit);
        if !stuck.is_empty() {
            std::mem::forget(self.device);
        }
        stuck
    }
}

/// The device of a mount that is owned by somebody else's thread.
pub(crate) fn share(mounted: &Mounted) -> Result<OwnedFd> {
    mounted
        .device()
        .as_fd()
        .try_clone_to_owned()
        .context("clone /dev/fuse")
}

//! FUSE on the guest's side: mounting, and a passthrough server.

pub(crate) mod attr;
mod inodes;
pub(crate) mod mount;
pub(crate) mod raw;
pub(crate) mod server;
mod store;
pub(crate) mod wire;

/// How long the kernel may keep what a server said. Nobody but the kernel
/// changes what lies behind the mounts, so forever; and an open then costs one
/// request, not three.
pub(crate) const TTL: std::time::Duration = std::time::Duration::from_secs(1 << 30);

//! Attributes as FUSE wants them.

use std::{
    os::fd::BorrowedFd,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fuser::{FileAttr, FileType, INodeNo};
use nix::errno::Errno;

use crate::sys;

/// What makes two descriptors the same inode.
pub(super) type Key = (u32, u32, u64);

/// The attributes of a descriptor, under the number that FUSE knows it by.
pub(super) fn of(fd: BorrowedFd<'_>, node: INodeNo) -> Result<FileAttr, Errno> {
    sys::statx(fd).map(|found| convert(&found, node))
}

/// The attributes of a file or folder that exists in name only.
pub(crate) fn made_up(ino: INodeNo, kind: FileType, perm: u16, size: u64) -> FileAttr {
    FileAttr {
        ino,
        size,
        blocks: 8,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

/// The identity of a descriptor's inode.
pub(super) fn key(fd: BorrowedFd<'_>) -> Result<Key, Errno> {
    sys::statx(fd).map(|found| (found.stx_dev_major, found.stx_dev_minor, found.stx_ino))
}

fn convert(found: &libc::statx, node: INodeNo) -> FileAttr {
    let mode = u32::from(found.stx_mode);
    FileAttr {
        ino: node,
        size: found.stx_size,
        blocks: found.stx_blocks,
        atime: time(found.stx_atime),
        mtime: time(found.stx_mtime),
        ctime: time(found.stx_ctime),
        crtime: time(found.stx_btime),
        kind: kind(mode),
        perm: (mode & 0o7777) as u16,
        nlink: found.stx_nlink,
        uid: found.stx_uid,
        gid: found.stx_gid,
        rdev: libc::makedev(found.stx_rdev_major, found.stx_rdev_minor) as u32,
        blksize: found.stx_blksize,
        flags: 0,
    }
}

/// The type in a mode.
fn kind(mode: u32) -> FileType {
    const KINDS: &[(u32, FileType)] = &[
        (libc::S_IFREG, FileType::RegularFile),
        (libc::S_IFDIR, FileType::Directory),
        (libc::S_IFLNK, FileType::Symlink),
        (libc::S_IFIFO, FileType::NamedPipe),
        (libc::S_IFSOCK, FileType::Socket),
        (libc::S_IFCHR, FileType::CharDevice),
        (libc::S_IFBLK, FileType::BlockDevice),
    ];
    let found = KINDS.iter().find(|(bits, _)| mode & libc::S_IFMT == *bits);
    found.map_or(FileType::RegularFile, |&(_, kind)| kind)
}

fn time(stamp: libc::statx_timestamp) -> SystemTime {
    let fraction = Duration::from_nanos(stamp.tv_nsec.into());
    let seconds = Duration::from_secs(stamp.tv_sec.unsigned_abs());
    if stamp.tv_sec >= 0 {
        UNIX_EPOCH + seconds + fraction
    } else {
        UNIX_EPOCH - seconds + fraction
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::fd::AsFd};

    use super::*;

    #[test]
    fn a_files_attributes_are_those_that_the_standard_library_sees() {
        let path = std::env::current_exe().unwrap();
        let file = File::open(path).unwrap();
        let attr = of(file.as_fd(), INodeNo(5)).unwrap();
        let meta = file.metadata().unwrap();
        assert_eq!(
            (attr.ino, attr.kind, attr.size),
            (INodeNo(5), FileType::RegularFile, meta.len())
        );
        assert_eq!(attr.mtime, meta.modified().unwrap());
    }

    #[test]
    fn times_before_the_epoch_do_not_wrap() {
        // A timestamp has private padding, so one is taken from a real answer.
        let mut found = sys::statx(File::open("/").unwrap().as_fd()).unwrap();
        (found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec) = (-2, 500_000_000);
        assert_eq!(
            time(found.stx_mtime),
            UNIX_EPOCH - Duration::from_millis(1500)
        );
    }
}

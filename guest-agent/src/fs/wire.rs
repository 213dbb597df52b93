//! FUSE's messages, as far as a server answers them by hand: `<linux/fuse.h>`, from and to bytes.

use nix::errno::Errno;

/// What is asked for. The numbers are the kernel's.
pub(crate) mod opcode {
    pub(crate) const LOOKUP: u32 = 1;
    pub(crate) const FORGET: u32 = 2;
    pub(crate) const GETATTR: u32 = 3;
    pub(crate) const OPEN: u32 = 14;
    pub(crate) const READ: u32 = 15;
    pub(crate) const RELEASE: u32 = 18;
    pub(crate) const FLUSH: u32 = 25;
    pub(crate) const INIT: u32 = 26;
    pub(crate) const INTERRUPT: u32 = 36;
    pub(crate) const DESTROY: u32 = 38;
    pub(crate) const BATCH_FORGET: u32 = 42;
}

/// The root's number.
pub(crate) const ROOT: u64 = 1;
/// The largest read or write that is asked for at once.
pub(crate) const MAX_WRITE: u32 = 4096;
/// What a request needs at most, and no less than the kernel insists on.
pub(crate) const LONGEST: usize = 16 << 10;

/// Of `fuse_in_header` and `fuse_out_header`, in bytes.
const IN_HEADER: usize = 40;
const OUT_HEADER: usize = 16;

const MAJOR: u32 = 7;
const MINOR: u32 = 31;
const INIT_EXT: u64 = 1 << 30;
/// Flags of INIT.
pub(crate) const WRITEBACK_CACHE: u64 = 1 << 16;
pub(crate) const PASSTHROUGH: u64 = 1 << 37;
/// Flags of an open's answer.
const FOPEN_DIRECT_IO: u32 = 1 << 0;
const FOPEN_NOFLUSH: u32 = 1 << 5;
const FOPEN_PASSTHROUGH: u32 = 1 << 7;

/// Valid for good, in seconds.
const FOREVER: u64 = 1 << 30;

/// What the kernel asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) opcode: u32,
    /// What the answer has to name.
    pub(crate) unique: u64,
    pub(crate) node: u64,
    /// All that follows the header.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// None where it is no whole request.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let length = usize::try_from(word(bytes, 0)?).ok()?;
        Some(Self {
            opcode: word(bytes, 4)?,
            unique: long(bytes, 8)?,
            node: long(bytes, 16)?,
            body: bytes.get(IN_HEADER..length)?.to_vec(),
        })
    }

    /// The name that a LOOKUP asks for.
    pub(crate) fn name(&self) -> &[u8] {
        self.body.split(|byte| *byte == 0).next().unwrap_or(&[])
    }

    /// From where and how much a READ wants.
    pub(crate) fn extent(&self) -> Option<(u64, u32)> {
        Some((long(&self.body, 8)?, word(&self.body, 16)?))
    }

    /// Whether nobody waits for an answer.
    pub(crate) fn is_told(&self) -> bool {
        matches!(
            self.opcode,
            opcode::FORGET | opcode::BATCH_FORGET | opcode::INTERRUPT
        )
    }
}

/// What is answered to INIT besides what every server needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) flags: u64,
    pub(crate) max_stack_depth: u32,
}

impl Offer {
    /// Passthrough, as it should be asked for.
    pub(crate) const PASSTHROUGH: Self = Self {
        flags: PASSTHROUGH,
        max_stack_depth: 1,
    };
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    Error(Errno),
    Done,
    Init(Offer),
    /// A file of this number and size, or the root.
    Entry(u64, u64),
    Attr(u64, u64),
    /// With the backing id; without, reads come to the server.
    Opened(Option<u32>),
    Data(&'a [u8]),
}

impl Answer<'_> {
    /// As the kernel reads it.
    pub(crate) fn bytes(&self, unique: u64) -> Vec<u8> {
        let mut out = Out(vec![0; OUT_HEADER]);
        let mut error = 0;
        match *self {
            Self::Error(errno) => error = -(errno as i32),
            Self::Done => {}
            Self::Init(offer) => out.init(offer),
            Self::Entry(node, size) => {
                out.longs(&[node, 0, FOREVER, FOREVER]).words(&[0, 0]);
                out.attr(node, size);
            }
            Self::Attr(node, size) => {
                out.longs(&[FOREVER]).words(&[0, 0]);
                out.attr(node, size);
            }
            Self::Opened(id) => {
                let how = match id {
                    Some(_) => FOPEN_PASSTHROUGH | FOPEN_NOFLUSH,
                    None => FOPEN_DIRECT_IO | FOPEN_NOFLUSH,
                };
                out.longs(&[0]).words(&[how, id.unwrap_or(0)]);
            }
            Self::Data(data) => out.0.extend_from_slice(data),
        }
        let Out(mut bytes) = out;
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes[4..8].copy_from_slice(&error.to_ne_bytes());
        bytes[8..OUT_HEADER].copy_from_slice(&unique.to_ne_bytes());
        bytes
    }
}

/// Bytes that grow field by field.
struct Out(Vec<u8>);

impl Out {
    fn words(&mut self, words: &[u32]) -> &mut Self {
        self.0
            .extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        self
    }

    fn longs(&mut self, longs: &[u64]) -> &mut Self {
        self.0
            .extend(longs.iter().flat_map(|long| long.to_ne_bytes()));
        self
    }

    /// `fuse_init_out`.
    fn init(&mut self, offer: Offer) {
        let flags = offer.flags | INIT_EXT;
        let (low, high) = (flags as u32, (flags >> 32) as u32);
        // max_readahead, flags, max_background and congestion_threshold, max_write, time_gran,
        // max_pages and map_alignment, flags2, max_stack_depth; the rest stays zero.
        self.words(&[MAJOR, MINOR, 0, low, 0, MAX_WRITE, 1, 0, high]);
        self.words(&[offer.max_stack_depth, 0, 0, 0, 0, 0, 0]);
    }

    /// `fuse_attr` of a file of a kind that the number tells.
    fn attr(&mut self, node: u64, size: u64) {
        let mode = match node {
            ROOT => libc::S_IFDIR | 0o755,
            _ => libc::S_IFREG | 0o644,
        };
        self.longs(&[node, size, 8, 0, 0, 0]);
        // Three times' nanoseconds, mode, links, owner and group, device, block size, flags.
        self.words(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0]);
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_requests_are_read() {
        let mut bytes = vec![0; IN_HEADER];
        bytes.extend_from_slice(b"f12\0");
        bytes[0] = bytes.len() as u8;
        bytes[4] = opcode::LOOKUP as u8;
        bytes[8] = 9;
        bytes[16] = 1;
        let request = Request::parse(&bytes).unwrap();
        assert_eq!(
            (request.opcode, request.unique, request.node, request.name()),
            (opcode::LOOKUP, 9, ROOT, &b"f12"[..])
        );
        assert_eq!(request.extent(), None);
        assert_eq!(Request::parse(&bytes[..IN_HEADER + 2]), None);
        bytes[0] = 8;
        assert_eq!(Request::parse(&bytes), None);
        assert_eq!(Request::parse(&[]), None);
    }

    /// The sizes of the header's structures.
    #[test]
    fn answers_are_as_long_as_the_kernel_wants_them() {
        for (answer, length) in [
            (Answer::Error(Errno::ENOENT), 0),
            (Answer::Done, 0),
            (Answer::Init(Offer::PASSTHROUGH), 64),
            (Answer::Entry(2, 4096), 128),
            (Answer::Attr(1, 0), 104),
            (Answer::Opened(Some(7)), 16),
            (Answer::Data(b"abc"), 3),
        ] {
            let bytes = answer.bytes(3);
            assert_eq!(bytes.len(), OUT_HEADER + length, "{answer:?}");
            assert_eq!(word(&bytes, 0), Some(bytes.len() as u32));
            assert_eq!(long(&bytes, 8), Some(3));
        }
        let error = Answer::Error(Errno::ENOENT).bytes(3);
        assert_eq!(word(&error, 4), Some((-libc::ENOENT).cast_unsigned()));
    }

    #[test]
    fn passthrough_is_offered_where_the_kernel_looks_for_it() {
        let bytes = Answer::Init(Offer::PASSTHROUGH).bytes(1);
        let field = |at| word(&bytes, OUT_HEADER + at);
        assert_eq!(field(12), Some(1 << 30), "flags: there are more");
        assert_eq!(field(20), Some(MAX_WRITE));
        assert_eq!(field(32), Some(1 << 5), "flags2: passthrough");
        assert_eq!(field(36), Some(1), "max_stack_depth");
        let opened = Answer::Opened(Some(7)).bytes(1);
        assert_eq!(word(&opened, OUT_HEADER + 8), Some(1 << 7 | 1 << 5));
        assert_eq!(word(&opened, OUT_HEADER + 12), Some(7));
    }
}

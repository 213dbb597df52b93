//! Kernel sources: a tree, a tarball or a Debian package, unpacked once into the cache.

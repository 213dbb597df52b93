//! Booting: QEMU's command line, the choice of the accelerator, a running machine.

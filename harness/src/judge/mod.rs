//! Judging: what the findings of base and variant, side by side, say about the patch.

pub mod verdict;

//! What a plot is made of. Texts are as they came: whoever draws escapes them.

/// A plot.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Chart {
    /// What it shows, with the unit.
    pub(in super::super) title: String,
    pub(in super::super) drawn: Drawn,
}

/// How it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Drawn {
    /// Curves over a number.
    Lines(Lines),
    /// A dot for each boot.
    Strip(Strip),
}

/// Curves over a number, which grows by factors.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct Lines {
    /// What the number is.
    pub(in super::super) across: String,
    /// By their kernels' names, base's first.
    pub(in super::super) series: Vec<(String, Vec<(f64, f64)>)>,
}

/// Boots by their kernels, and what is said of their ratios.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct Strip {
    /// Base's first.
    pub(in super::super) series: Vec<Boots>,
    /// Of the kernels that were judged.
    pub(in super::super) ratios: Vec<Ratio>,
}

/// One kernel's boots.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct Boots {
    /// The kernel's name.
    pub(in super::super) of: String,
    /// A value for each, in their order.
    pub(in super::super) values: Vec<f64>,
    /// Their median.
    pub(in super::super) median: Option<f64>,
}

/// What a kernel has of base's.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Ratio {
    /// The kernel's name.
    pub(in super::super) of: String,
    /// The ratio of the medians.
    pub(in super::super) ratio: f64,
    /// Its 95 % interval, where boots enough were made.
    pub(in super::super) interval: Option<[f64; 2]>,
    /// Within so much of one is no change.
    pub(in super::super) margin: f64,
    /// What follows.
    pub(in super::super) says: String,
}

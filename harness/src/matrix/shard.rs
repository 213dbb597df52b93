//! Splitting a matrix over machines by expected duration (pure).
//!
//! A split depends on the plan alone, so that every machine that reads the same matrix file comes to the
//! same one. A shard's load is its cells and the kernels that they need: cells that share a kernel are
//! kept together as far as that does not make one shard longer than the others.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::{
    estimate::{BASE_BUILD_S, PATCH_BUILD_S},
    plan::{Plan, Planned},
    types::PatchFrom,
};
use crate::{Error, Result};

/// Changes that are made to a first split at most.
const MOST_STEPS: usize = 100;
/// So much longer may the longest part get, builds among it, for cells that alone take about as long.
const GIVEN_UP: f64 = 1.1;
/// Larger plans even out without exchanges, which take long to try.
const MOST_EXCHANGED: usize = 300;

/// One shard of several, as `--shard 2/8` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 1.
    pub number: usize,
    /// Of how many.
    pub of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape = || "a shard is written I/N, such as 2/8".to_owned();
        let (number, of) = text.split_once('/').ok_or_else(shape)?;
        let number: usize = number.parse().map_err(|_| shape())?;
        let of: usize = of.parse().map_err(|_| shape())?;
        match (1..=1000).contains(&of) && (1..=of).contains(&number) {
            true => Ok(Self { number, of }),
            false => Err(format!("there is no shard {number} of {of}; {}", shape())),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// What lies on one shard.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    /// Places in the plan, ascending.
    pub cells: Vec<usize>,
    /// How long they take where all is built already, in seconds.
    pub cells_s: f64,
    /// How long they take, their kernels' builds among it, in seconds.
    pub expected_s: f64,
}

/// The plan in so many parts.
///
/// # Errors
/// Bad input: fewer cells than shards.
pub fn split(plan: &Plan, of: usize) -> Result<Vec<Part>> {
    let cells = plan.cells.len();
    if of > cells {
        let error = Error::input(format!(
            "{of} shards of {cells} cells: some would have none"
        ));
        return Err(error.mend(format!("give {cells} shards at most")));
    }
    let costs = Costs::of(plan);
    let starts = [contiguous(&costs, of), longest_first(&costs, of)];
    let improved = starts.into_iter().map(|bins| {
        let bins = improve(&costs, filled(&costs, bins), WITH_BUILDS, f64::INFINITY);
        // Most nights find their kernels built: the cells alone are to be about as long, too.
        let most = weight(&bins).0 * GIVEN_UP;
        improve(&costs, bins, CELLS_ALONE, most)
    });
    let best = improved.min_by(|a, b| {
        let ((longest, all), (other, others)) = (weight(a), weight(b));
        longest.total_cmp(&other).then(all.total_cmp(&others))
    });
    let parts = best.into_iter().flatten().map(|mut bin| {
        bin.cells.sort_unstable();
        Part {
            cells: bin.cells,
            cells_s: bin.own,
            expected_s: bin.seconds,
        }
    });
    Ok(parts.collect())
}

/// What each cell takes, and which kernels it needs, by numbers.
struct Costs {
    own: Vec<f64>,
    base: Vec<usize>,
    patched: Vec<Option<usize>>,
}

impl Costs {
    fn of(plan: &Plan) -> Self {
        let (mut bases, mut pairs) = (Vec::new(), Vec::new());
        let mut costs = Self {
            own: Vec::new(),
            base: Vec::new(),
            patched: Vec::new(),
        };
        for Planned { cell, expected_s } in &plan.cells {
            let base = place(&mut bases, cell.base());
            costs.own.push(*expected_s);
            costs.base.push(base);
            let patched = cell.patch.from != PatchFrom::None;
            let pair = (base, cell.patch.name.as_str());
            costs.patched.push(patched.then(|| place(&mut pairs, pair)));
        }
        costs
    }
}

/// Where it is in the list, at its end if it is new.
fn place<T: PartialEq>(list: &mut Vec<T>, one: T) -> usize {
    list.iter()
        .position(|known| *known == one)
        .unwrap_or_else(|| {
            list.push(one);
            list.len() - 1
        })
}

/// A part that grows and shrinks.
#[derive(Debug, Clone, Default)]
struct Bin {
    cells: Vec<usize>,
    /// What the cells and the builds that they need take.
    seconds: f64,
    /// What the cells alone take, as where all is built already.
    own: f64,
    /// How many of its cells need each kernel.
    bases: BTreeMap<usize, u32>,
    patched: BTreeMap<usize, u32>,
}

impl Bin {
    fn add(&mut self, costs: &Costs, cell: usize) {
        self.cells.push(cell);
        self.seconds += costs.own[cell];
        self.own += costs.own[cell];
        let base = self.bases.entry(costs.base[cell]).or_default();
        self.seconds += if *base == 0 { BASE_BUILD_S } else { 0.0 };
        *base += 1;
        if let Some(patched) = costs.patched[cell] {
            let patched = self.patched.entry(patched).or_default();
            self.seconds += if *patched == 0 { PATCH_BUILD_S } else { 0.0 };
            *patched += 1;
        }
    }

    fn remove(&mut self, costs: &Costs, cell: usize) {
        self.cells.retain(|own| *own != cell);
        self.seconds -= costs.own[cell];
        self.own -= costs.own[cell];
        if gone(&mut self.bases, costs.base[cell]) {
            self.seconds -= BASE_BUILD_S;
        }
        if costs.patched[cell].is_some_and(|patched| gone(&mut self.patched, patched)) {
            self.seconds -= PATCH_BUILD_S;
        }
    }

    /// How long it would be with this cell.
    fn with(&self, costs: &Costs, cell: usize) -> f64 {
        let base = if self.bases.contains_key(&costs.base[cell]) {
            0.0
        } else {
            BASE_BUILD_S
        };
        let patched = costs.patched[cell].is_some_and(|one| !self.patched.contains_key(&one));
        self.seconds + costs.own[cell] + base + if patched { PATCH_BUILD_S } else { 0.0 }
    }
}

/// One less; whether that was the last.
fn gone(counts: &mut BTreeMap<usize, u32>, key: usize) -> bool {
    let left = counts.get(&key).map_or(0, |count| count - 1);
    match left {
        0 => drop(counts.remove(&key)),
        left => drop(counts.insert(key, left)),
    }
    left == 0
}

/// How a part is measured.
type Length = fn(&Bin) -> f64;

const WITH_BUILDS: Length = |bin| bin.seconds;
const CELLS_ALONE: Length = |bin| bin.own;

/// The longest part, then all together.
fn weight(bins: &[Bin]) -> (f64, f64) {
    let longest = bins.iter().map(|bin| bin.seconds).fold(0.0, f64::max);
    (longest, bins.iter().map(|bin| bin.seconds).sum())
}

/// The place of the longest of those that `may` be it.
fn longest(bins: &[Bin], by: Length, may: impl Fn(&Bin) -> bool) -> Option<usize> {
    let places = (0..bins.len()).filter(|at| may(&bins[*at]));
    places.max_by(|a, b| by(&bins[*a]).total_cmp(&by(&bins[*b])))
}

/// Cuts the plan's order into pieces, the longest as short as that allows.
fn contiguous(costs: &Costs, of: usize) -> Vec<Bin> {
    let (mut low, mut high) = (0.0, pieces(costs, f64::INFINITY)[0].seconds);
    // Forty halvings: to a fraction of a second of any plan.
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        match pieces(costs, middle).len() <= of {
            true => high = middle,
            false => low = middle,
        }
    }
    let mut bins = pieces(costs, high);
    bins.resize_with(of, Bin::default);
    bins
}

/// Pieces of at most `limit` seconds; a cell that is longer stands alone.
fn pieces(costs: &Costs, limit: f64) -> Vec<Bin> {
    let mut bins = vec![Bin::default()];
    for cell in 0..costs.own.len() {
        let last = bins.len() - 1;
        if !bins[last].cells.is_empty() && bins[last].with(costs, cell) > limit {
            bins.push(Bin::default());
        }
        let last = bins.len() - 1;
        bins[last].add(costs, cell);
    }
    bins
}

/// The longest cell first, each to the part that is then the shortest.
fn longest_first(costs: &Costs, of: usize) -> Vec<Bin> {
    let mut order: Vec<usize> = (0..costs.own.len()).collect();
    order.sort_by(|a, b| costs.own[*b].total_cmp(&costs.own[*a]));
    let mut bins = vec![Bin::default(); of];
    for cell in order {
        let grown = |at: &usize| bins[*at].with(costs, cell);
        let best = (0..of).min_by(|a, b| grown(a).total_cmp(&grown(b)));
        bins[best.unwrap_or(0)].add(costs, cell);
    }
    bins
}

/// Gives every empty part a cell of the longest that can spare one.
fn filled(costs: &Costs, mut bins: Vec<Bin>) -> Vec<Bin> {
    while let Some(to) = bins.iter().position(|bin| bin.cells.is_empty()) {
        let Some(from) = longest(&bins, WITH_BUILDS, |bin| bin.cells.len() > 1) else {
            break;
        };
        if let Some(cell) = bins[from].cells.last().copied() {
            bins[from].remove(costs, cell);
            bins[to].add(costs, cell);
        }
    }
    bins
}

/// Moves cells off the longest part, or exchanges them for others, while that helps and no part gets
/// longer than `most` seconds, builds among them.
fn improve(costs: &Costs, mut bins: Vec<Bin>, by: Length, most: f64) -> Vec<Bin> {
    for _ in 0..MOST_STEPS {
        let from = longest(&bins, by, |_| true);
        let better = from.and_then(|from| step(costs, &bins, from, by, most));
        let Some(change) = better else {
            break;
        };
        for (at, bin) in change {
            bins[at] = bin;
        }
    }
    bins
}

/// The change of two parts that leaves both the shortest, if both are then shorter than the longest.
fn step(
    costs: &Costs,
    bins: &[Bin],
    from: usize,
    by: Length,
    most: f64,
) -> Option<[(usize, Bin); 2]> {
    let mut bound = by(&bins[from]) - 1e-6;
    let mut best = None;
    for to in (0..bins.len()).filter(|to| *to != from) {
        for given in &bins[from].cells {
            let exchanged = bins[to]
                .cells
                .iter()
                .filter(|_| costs.own.len() <= MOST_EXCHANGED);
            let taken = exchanged.copied().map(Some);
            for taken in std::iter::once(None).chain(taken) {
                if taken.is_none() && bins[from].cells.len() == 1 {
                    continue;
                }
                let (mut left, mut grown) = (bins[from].clone(), bins[to].clone());
                left.remove(costs, *given);
                if let Some(taken) = taken {
                    grown.remove(costs, taken);
                    left.add(costs, taken);
                }
                grown.add(costs, *given);
                let longer = by(&left).max(by(&grown));
                if longer < bound && left.seconds.max(grown.seconds) <= most {
                    bound = longer;
                    best = Some([(from, left), (to, grown)]);
                }
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::matrix::plan::tests::of;

    /// Sixty cells: two kernels, five patches, three configs, two scenarios.
    const SIXTY: &str = "\
name: m
kernels: [locked, newest]
patches: [a, b, c, d, e]
configs: [kasan, kcsan, plain]
scenarios: [race, other]
";

    /// The longest over the mean.
    fn spread(parts: &[Part], length: impl Fn(&Part) -> f64) -> f64 {
        let seconds = || parts.iter().map(&length);
        seconds().fold(0.0, f64::max) / (seconds().sum::<f64>() / parts.len() as f64)
    }

    #[test]
    fn shards_of_sixty_cells_are_about_as_long() {
        let lengths = [
            "",
            "durations: [{cells: {config: [plain]}, takes: 20m}]\n",
            "durations: [{cells: {patch: [e], scenario: [race]}, takes: 15m}, {cells: {config: [kasan]}, takes: 3m}]\n",
            "profiles: [standard]\n",
        ];
        for more in lengths {
            let plan = of(&format!("{SIXTY}{more}")).unwrap();
            assert_eq!(plan.cells.len(), 60);
            let parts = split(&plan, 8).unwrap();
            let all: Vec<usize> = parts.iter().flat_map(|part| part.cells.clone()).collect();
            assert_eq!(all.len(), 60);
            assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 60);
            let built = spread(&parts, |part| part.cells_s);
            let cold = spread(&parts, |part| part.expected_s);
            assert!(built <= 1.2 && cold <= 1.2, "{more}: {built} {cold}");
            // What every machine comes to by itself.
            assert_eq!(
                split(&of(&format!("{SIXTY}{more}")).unwrap(), 8).unwrap(),
                parts
            );
        }
    }

    #[test]
    fn cells_of_one_kernel_stay_together_where_they_can() {
        let plan = of(SIXTY).unwrap();
        let parts = split(&plan, 6).unwrap();
        let kernels = |part: &Part| {
            let bases = part.cells.iter().map(|at| plan.cells[*at].cell.base());
            bases.collect::<BTreeSet<_>>().len()
        };
        assert!(parts.iter().all(|part| kernels(part) == 1), "{parts:?}");
        let one = split(&plan, 1).unwrap();
        assert_eq!(one[0].cells.len(), 60);
    }

    #[test]
    fn no_shard_is_empty() {
        let text = SIXTY.replace("patches: [a, b, c, d, e]", "patches: [a]");
        let plan = of(&text).unwrap();
        for of in 1..=plan.cells.len() {
            let parts = split(&plan, of).unwrap();
            assert!(
                parts.iter().all(|part| !part.cells.is_empty()),
                "{of}: {parts:?}"
            );
        }
        let error = split(&plan, 13).unwrap_err();
        assert!(error.chain().contains("13 shards of 12 cells"), "{error:?}");
    }

    #[test]
    fn shards_are_read() {
        assert_eq!("2/8".parse(), Ok(Shard { number: 2, of: 8 }));
        for bad in [
            "", "2", "0/8", "9/8", "1/0", "a/b", "1/2/3", "-1/2", "1/1001",
        ] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }
}

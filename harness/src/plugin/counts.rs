//! The host's side of counting instructions: what is counted in one kernel, and what came of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use object::{Object, ObjectSymbol, ReadCache, SymbolKind};
use protocol::counts::{self, Counts, Header, MAGIC, MARKED, MAX_FUNCTIONS, Mark, NAMED};
use serde::{Deserialize, Serialize};

use super::code::{Code, leaves};
use crate::{Error, Result, error::Context};

/// Functions of an operation that are kept: those that are counted by themselves, then the dearest.
const KEPT: usize = 256;

/// What one operation took in one boot, in instructions of the kernel's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its name.
    pub name: String,
    /// How often it was done.
    pub times: u64,
    /// The median.
    pub median: f64,
    /// How long emulating and counting it took on the host, in nanoseconds: the median. None where it
    /// is not one of the kernel's functions alone, whose time is also that of others, or where the boot
    /// was an older ktwin's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulated_ns: Option<f64>,
    /// By function, on average.
    pub functions: BTreeMap<String, f64>,
}

/// The functions of a kernel, in the order of their addresses.
#[derive(Debug)]
pub struct Functions(Vec<(u64, u64, String)>);

/// A file of counts.
#[derive(Debug)]
pub struct Counting {
    path: PathBuf,
    functions: Vec<String>,
    operations: Vec<String>,
    /// Functions that are counted by themselves.
    named: BTreeSet<String>,
}

impl Functions {
    /// A kernel's.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn load(vmlinux: &Path) -> Result<Self> {
        let doing = || format!("failed to read the functions of {}", vmlinux.display());
        let cache = ReadCache::new(File::open(vmlinux).host(doing)?);
        let object = object::File::parse(&cache).host(doing)?;
        let symbols = object
            .symbols()
            .filter(|s| s.kind() == SymbolKind::Text && s.address() != 0);
        let mut functions: Vec<(u64, u64, String)> = symbols
            .filter_map(|s| Some((s.address(), s.size(), s.name().ok()?.to_owned())))
            .collect();
        // Of several names of one function the longest symbol's, and then the first, stands for all.
        functions.sort_by(|a, b| (a.0, b.1, &a.2).cmp(&(b.0, a.1, &b.2)));
        functions.dedup_by_key(|function| function.0);
        functions.truncate(MAX_FUNCTIONS);
        Ok(Self(functions))
    }

    fn named(&self, name: &str) -> Option<std::ops::Range<u64>> {
        let found = self.0.iter().find(|(.., own)| own == name);
        found.map(|(at, size, _)| *at..at + size)
    }
}

impl Counting {
    /// Makes the file: the agent's own operations, and executions of these functions, by name.
    ///
    /// # Errors
    /// It cannot be made, or the kernel has no such function.
    pub fn create(
        path: &Path,
        functions: &Functions,
        code: &Code,
        windows: &BTreeMap<String, String>,
    ) -> Result<Self> {
        if windows.len() > NAMED {
            return Err(Error::input(format!(
                "at most {NAMED} functions can be counted"
            )));
        }
        let mut points = Vec::new();
        let numbered = windows.values().zip(MARKED.len()..);
        for (function, operation) in numbered {
            // A kernel may do without it: then that side has no such operation.
            let Some(range) = functions.named(function) else {
                continue;
            };
            points.push((
                range.start,
                Mark {
                    operation,
                    end: false,
                },
            ));
            let ends = code.instructions(&range).into_iter();
            let ends = ends.filter(|i| leaves(i, &range));
            points.extend(ends.map(|i| {
                (
                    i.ip(),
                    Mark {
                        operation,
                        end: true,
                    },
                )
            }));
        }
        let mut words = vec![0; counts::words(functions.0.len(), points.len())];
        words[Header::Magic as usize] = MAGIC;
        words[Header::Functions as usize] = functions.0.len() as u64;
        words[Header::Points as usize] = points.len() as u64;
        let words: Vec<AtomicU64> = words.into_iter().map(AtomicU64::new).collect();
        let failed = || format!("failed to make {}", path.display());
        let layout = Counts::over(&words).ok_or_else(|| Error::infrastructure(failed()))?;
        for (word, (start, ..)) in layout.functions().iter().zip(&functions.0) {
            word.store(*start, Relaxed);
        }
        for ((address, code), (at, mark)) in layout.points().zip(&points) {
            address.store(*at, Relaxed);
            code.store(mark.code(), Relaxed);
        }
        let bytes: Vec<u8> = words
            .iter()
            .flat_map(|word| word.load(Relaxed).to_ne_bytes())
            .collect();
        fs::write(path, bytes).host(failed)?;
        Ok(Self {
            path: path.to_owned(),
            functions: functions.0.iter().map(|(.., name)| name.clone()).collect(),
            operations: MARKED
                .iter()
                .map(|name| (*name).to_owned())
                .chain(windows.keys().cloned())
                .collect(),
            named: windows.values().cloned().collect(),
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was counted: operations that were done; none where the plugin was never loaded.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self) -> Result<Option<Vec<Operation>>> {
        let failed = || format!("failed to read {}", self.path.display());
        let bytes = fs::read(&self.path).host(failed)?;
        let words = bytes.chunks_exact(8).map(|word| {
            let word: [u8; 8] = word.try_into().unwrap_or_default();
            AtomicU64::new(u64::from_ne_bytes(word))
        });
        let words: Vec<AtomicU64> = words.collect();
        let counts = Counts::over(&words).ok_or_else(|| Error::infrastructure(failed()))?;
        if counts.header(Header::Loaded).load(Relaxed) == 0 {
            return Ok(None);
        }
        let names = self.operations.iter().enumerate();
        let done = names.filter_map(|(at, name)| self.operation(&counts, at, name));
        Ok(Some(done.collect()))
    }

    fn operation(&self, counts: &Counts<'_>, at: usize, name: &str) -> Option<Operation> {
        let times = counts.taken(at).load(Relaxed);
        let kept = usize::try_from(times).unwrap_or(usize::MAX);
        let of = |words: &[AtomicU64]| median(words.iter().take(kept));
        let is_function = at >= MARKED.len();
        let sums = counts.sums(at).iter().map(|sum| sum.load(Relaxed));
        let mut functions: Vec<(u64, &String)> = sums
            .zip(&self.functions)
            .filter(|(sum, _)| *sum > 0)
            .collect();
        let rank = |one: &(u64, &String)| (self.named.contains(one.1), one.0);
        functions.sort_by_key(|one| std::cmp::Reverse(rank(one)));
        functions.truncate(KEPT);
        let mut by_name = BTreeMap::new();
        for (sum, name) in functions {
            *by_name.entry(name.clone()).or_default() += sum as f64 / times as f64;
        }
        Some(Operation {
            name: name.to_owned(),
            times,
            median: of(counts.samples(at))?,
            emulated_ns: of(counts.times(at)).filter(|_| is_function),
            functions: by_name,
        })
    }
}

/// None of nothing.
fn median<'a>(words: impl Iterator<Item = &'a AtomicU64>) -> Option<f64> {
    let mut values: Vec<u64> = words.map(|word| word.load(Relaxed)).collect();
    values.sort_unstable();
    let low = values.get(values.len().checked_sub(1)? / 2)?;
    let high = values.get(values.len() / 2)?;
    Some(f64::midpoint(*low as f64, *high as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 0xffff_ffff_8100_0000;

    fn functions() -> Functions {
        let one = |at, size, name: &str| (AT + at, size, name.to_owned());
        Functions(vec![one(0, 4, "first"), one(0x10, 8, "second")])
    }

    /// nop; ret; nop; ret
    fn code() -> Code {
        Code::of(AT + 0x10, &[0x90, 0xc3, 0x90, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc])
    }

    fn words_in(path: &Path) -> Vec<AtomicU64> {
        let bytes = fs::read(path).unwrap();
        let words = bytes.chunks(8).map(|word| word.try_into().unwrap());
        words
            .map(|word| AtomicU64::new(u64::from_ne_bytes(word)))
            .collect()
    }

    fn put_words(path: &Path, words: &[AtomicU64]) {
        let words = words.iter().map(|word| word.load(Relaxed).to_ne_bytes());
        fs::write(path, words.collect::<Vec<_>>().concat()).unwrap();
    }

    #[test]
    fn counts_go_through_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let windows = BTreeMap::from([("lookup".to_owned(), "second".to_owned())]);
        let path = dir.path().join("counts");
        let counting = Counting::create(&path, &functions(), &code(), &windows).unwrap();
        assert_eq!(counting.read().unwrap(), None, "never loaded");

        // What the plugin would do.
        let words = words_in(&path);
        let counts = Counts::over(&words).unwrap();
        let points: Vec<(u64, u64)> = counts
            .points()
            .map(|(a, c)| (a.load(Relaxed), c.load(Relaxed)))
            .collect();
        assert_eq!(points, [(AT + 0x10, 12), (AT + 0x11, 13), (AT + 0x13, 13)]);
        counts.header(Header::Loaded).store(1, Relaxed);
        for (at, sample) in [70, 50, 900, 60].into_iter().enumerate() {
            counts.samples(6)[at].store(sample, Relaxed);
            counts.times(6)[at].store(sample * 3, Relaxed);
        }
        counts.taken(6).store(4, Relaxed);
        counts.sums(6)[1].store(220, Relaxed);
        put_words(&path, &words);

        let expected = Operation {
            name: "lookup".into(),
            times: 4,
            median: 65.0,
            emulated_ns: Some(195.0),
            functions: BTreeMap::from([("second".to_owned(), 55.0)]),
        };
        assert_eq!(counting.read().unwrap(), Some(vec![expected]));
    }

    #[test]
    fn a_function_that_ends_in_another_ends_there() {
        let dir = tempfile::tempdir().unwrap();
        let windows = BTreeMap::from([("lookup".to_owned(), "second".to_owned())]);
        let path = dir.path().join("counts");
        // A jump within the function; one to the function before it.
        let code = Code::of(AT + 0x10, &[0xeb, 0x00, 0xeb, 0xec, 0xcc, 0xcc, 0xcc, 0xcc]);
        Counting::create(&path, &functions(), &code, &windows).unwrap();
        let words = words_in(&path);
        let points = Counts::over(&words).unwrap().points();
        let points: Vec<u64> = points.map(|(at, _)| at.load(Relaxed)).collect();
        assert_eq!(points, [AT + 0x10, AT + 0x12]);
    }

    #[test]
    fn a_function_that_is_named_is_kept_however_cheap_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let many = (0..KEPT as u64 + 9).map(|n| (AT + n * 16, 8, format!("f{n}")));
        let many = Functions(many.collect());
        let last = format!("f{}", many.0.len() - 1);
        let windows = BTreeMap::from([("lookup".to_owned(), last.clone())]);
        let path = dir.path().join("counts");
        let counting = Counting::create(&path, &many, &code(), &windows).unwrap();
        let words = words_in(&path);
        let counts = Counts::over(&words).unwrap();
        counts.header(Header::Loaded).store(1, Relaxed);
        counts.samples(0)[0].store(70, Relaxed);
        counts.taken(0).store(1, Relaxed);
        for (at, sum) in counts.sums(0).iter().enumerate().take(many.0.len()) {
            sum.store(1000 - at as u64, Relaxed);
        }
        put_words(&path, &words);
        let functions = &counting.read().unwrap().unwrap()[0].functions;
        assert_eq!(functions.len(), KEPT);
        assert!(functions.contains_key(&last) && functions.contains_key("f0"));
    }

    #[test]
    fn a_function_that_is_not_there_is_not_counted() {
        let dir = tempfile::tempdir().unwrap();
        let windows = BTreeMap::from([("lookup".to_owned(), "third".to_owned())]);
        let path = dir.path().join("counts");
        Counting::create(&path, &functions(), &code(), &windows).unwrap();
        let bytes = fs::read(&path).unwrap();
        let points = bytes[Header::Points as usize * 8..][..8].to_vec();
        assert_eq!(points, [0; 8]);
        let many = (0..99)
            .map(|n| (n.to_string(), "first".to_owned()))
            .collect();
        let error = Counting::create(&dir.path().join("c"), &functions(), &code(), &many);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("at most 9 functions")
        );
    }
}

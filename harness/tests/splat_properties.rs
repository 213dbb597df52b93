//! What holds for every log: lines of the golden logs, mixed, torn and spoiled at random.

use std::{fs, path::Path, sync::LazyLock};

use harness::splat::{Key, Scanner, Splat, scan_bytes};
use proptest::{collection::vec, prelude::*, sample::Index};
use regex::{Captures, Regex};

/// The golden logs, whole.
static LOGS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/splat");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
});

/// A stretch of a golden log, and what becomes of it.
#[derive(Debug, Clone)]
struct Piece {
    log: Index,
    from: Index,
    lines: usize,
    spoil: Spoil,
}

#[derive(Debug, Clone)]
enum Spoil {
    Nothing,
    /// Cut somewhere, in mid-line too.
    Cut(Index),
    /// Bytes written over it somewhere.
    Bytes(Index, Vec<u8>),
    /// Every line ends as over a serial line.
    CarriageReturns,
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        let log = self.log.get(&LOGS);
        let lines: Vec<&[u8]> = log.split_inclusive(|&b| b == b'\n').collect();
        let from = self.from.index(lines.len());
        let to = (from + self.lines).min(lines.len());
        let mut bytes = lines[from..to].concat();
        match &self.spoil {
            Spoil::Nothing => {}
            Spoil::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Spoil::Bytes(at, with) => {
                let at = at.index(bytes.len() + 1);
                let end = (at + with.len()).min(bytes.len());
                bytes.splice(at..end, with.iter().copied());
            }
            Spoil::CarriageReturns => {
                bytes = String::from_utf8_lossy(&bytes).replace('\n', "\r\n").into();
            }
        }
        bytes
    }
}

fn piece() -> impl Strategy<Value = Piece> {
    let spoil = prop_oneof![
        3 => Just(Spoil::Nothing),
        1 => any::<Index>().prop_map(Spoil::Cut),
        1 => (any::<Index>(), vec(any::<u8>(), 1..40)).prop_map(|(at, with)| Spoil::Bytes(at, with)),
        1 => Just(Spoil::CarriageReturns),
    ];
    (any::<Index>(), any::<Index>(), 1..120_usize, spoil).prop_map(|(log, from, lines, spoil)| {
        Piece {
            log,
            from,
            lines,
            spoil,
        }
    })
}

fn log() -> impl Strategy<Value = Vec<u8>> {
    vec(piece(), 1..8).prop_map(|pieces| pieces.iter().flat_map(Piece::bytes).collect())
}

fn in_pieces(log: &[u8], size: usize) -> Vec<Splat> {
    let mut splats = Vec::new();
    let mut scanner = Scanner::new();
    for piece in log.chunks(size) {
        scanner.feed(piece, &mut |splat| splats.push(splat));
    }
    scanner.finish(&mut |splat| splats.push(splat));
    splats
}

/// The log as another boot might have printed it: other times, tasks, CPUs and addresses.
fn another_boot(log: &str) -> String {
    static STAMP: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[ *(\d+)(\.\d{6})\]").unwrap());
    static ADDRESS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b(ffff|0000)([0-9a-f]{12})\b").unwrap());
    static TASK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[ *T(\d+)\]").unwrap());
    let later = |c: &Captures<'_>| format!("[{:5}{}]", c[1].parse::<u64>().unwrap() + 7, &c[2]);
    let log = STAMP.replace_all(log, later);
    let moved = |c: &Captures<'_>| {
        let digits = c[2].chars().map(|d| if d == '0' { '0' } else { 'b' });
        format!("{}{}", &c[1], digits.collect::<String>())
    };
    let log = ADDRESS.replace_all(&log, moved);
    let renumbered = |c: &Captures<'_>| {
        let task = format!("T{}", c[1].parse::<u64>().unwrap() + 1000);
        format!("[{task:>6}]")
    };
    TASK.replace_all(&log, renumbered).into_owned()
}

fn titles(log: &str) -> Vec<String> {
    let splats = scan_bytes(log.as_bytes());
    splats.into_iter().map(|splat| splat.title).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn reports_are_sound_and_the_same_however_the_log_is_cut(log in log(), size in 1..5000_usize) {
        let whole = scan_bytes(&log);
        prop_assert_eq!(&in_pieces(&log, size), &whole);
        let lines = log.split(|&b| b == b'\n').count() as u64;
        for splat in &whole {
            prop_assert!(1 <= splat.start_line && splat.start_line <= splat.end_line);
            prop_assert!(splat.end_line <= lines);
            prop_assert!(!splat.title.is_empty() && !splat.class.is_empty());
            prop_assert!(!splat.title.chars().any(char::is_control), "{:?}", splat.title);
            let key = Key::new(splat, &Clone::clone);
            prop_assert!(key.matches(&key));
        }
    }

    #[test]
    fn what_follows_a_log_changes_none_of_its_whole_reports(log in log(), noise in "[ -~]{0,60}") {
        let before = scan_bytes(&log);
        let mut longer = log.clone();
        longer.push(b'\n');
        // Far enough behind that nobody could take it for a report's own line.
        longer.extend(format!("[99999.000000][    T1] {noise}\n").repeat(450).into_bytes());
        let after = scan_bytes(&longer);
        let whole = |splats: &[Splat]| -> Vec<(u64, String)> {
            let whole = splats.iter().filter(|splat| splat.corrupted.is_none());
            whole.map(|splat| (splat.start_line, splat.title.clone())).collect()
        };
        for report in whole(&before) {
            prop_assert!(whole(&after).contains(&report), "{report:?} is gone: {:?}", whole(&after));
        }
    }
}

#[test]
fn titles_are_those_of_another_boot() {
    let mut seen = 0;
    for log in LOGS.iter() {
        let log = String::from_utf8_lossy(log);
        let titles_here = titles(&log);
        assert_eq!(titles(&another_boot(&log)), titles_here);
        seen += titles_here.len();
    }
    assert!(seen > 50, "{seen} reports are too few to tell");
}

//! Golden logs: every report of each, with its lines, class and title. `UPDATE_GOLDEN=1` writes
//! what is expected anew.
//!
//! Those named `booted-` were printed by kernels that ktwin booted (`lkdtm`: provoked through the
//! kernel's own dump test module), from the load's beginning on; the others are written by hand.

use std::{env, fmt::Write as _, fs, path::Path};

use harness::splat::{Scanner, Splat, scan_bytes, scan_reader};

fn golden() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/splat");
    let mut logs: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .map(|path| {
            (
                path.with_extension("expect").display().to_string(),
                fs::read(path).unwrap(),
            )
        })
        .collect();
    logs.sort();
    assert!(logs.len() >= 8, "the golden logs are gone");
    logs
}

/// One line a report: `start-end class title`, then what else there is to say.
fn describe(splats: &[Splat]) -> String {
    let mut out = String::new();
    for splat in splats {
        write!(
            out,
            "{}-{} {} {}",
            splat.start_line, splat.end_line, splat.class, splat.title
        )
        .unwrap();
        if let Some(reason) = &splat.corrupted {
            write!(out, " | corrupted: {reason}").unwrap();
        }
        if let Some(phase) = &splat.phase {
            write!(out, " | phase {phase}").unwrap();
        }
        for stack in &splat.stacks {
            let functions: Vec<&str> = stack
                .iter()
                .filter(|f| !f.unreliable)
                .map(|f| f.function.as_str())
                .collect();
            write!(out, "\n    {}", functions.join(" ")).unwrap();
        }
        out.push('\n');
    }
    out
}

#[test]
fn golden_logs_are_read_as_expected() {
    for (expect, log) in golden() {
        let got = describe(&scan_bytes(&log));
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expect, &got).unwrap();
        }
        let want = fs::read_to_string(&expect).unwrap_or_default();
        assert_eq!(got, want, "{expect} does not say what was read:\n{got}");
    }
}

#[test]
fn however_a_log_is_cut_the_same_comes_out() {
    let mut log: Vec<u8> = golden().into_iter().flat_map(|(_, log)| log).collect();
    log.extend(b"[ 1.0][ T1] \xff\xfe\x1b[31m no text \x00\r\n");
    log.extend(vec![b'x'; 100_000]);
    log.extend(b" BUG: KASAN: late\n[  2.0][  T9] BUG: workqueue lockup - pool\n");
    let whole = scan_bytes(&log);
    assert!(whole.len() > 20);
    let mut read = Vec::new();
    scan_reader(log.as_slice(), |splat| read.push(splat)).unwrap();
    assert_eq!(read, whole);
    let mut seed = 7_u64;
    for limit in [1, 3, 50, 1_000, 70_000] {
        let mut scanner = Scanner::new();
        let mut pieces = Vec::new();
        let mut rest = log.as_slice();
        while !rest.is_empty() {
            // A small generator will do: the sizes only have to differ.
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let size = 1 + (seed >> 33) as usize % limit;
            let (piece, left) = rest.split_at(size.min(rest.len()));
            scanner.feed(piece, &mut |splat| pieces.push(splat));
            rest = left;
        }
        scanner.finish(&mut |splat| pieces.push(splat));
        assert_eq!(pieces, whole, "pieces of up to {limit} bytes");
    }
}

#[test]
fn a_report_shows_before_its_guest_ends() {
    let log = b"[ 1.0][ T1] BUG: workqueue lockup - pool cpus=0\n";
    let mut scanner = Scanner::new();
    let mut found = Vec::new();
    scanner.feed(log, &mut |splat| found.push(splat));
    assert_eq!(found, [], "more lines may come");
    assert_eq!(
        scanner.pending(|_, _| true)[0].title,
        "BUG: workqueue lockup"
    );
    scanner.feed(b"[ 99.0][ T1] all quiet\n", &mut |splat| found.push(splat));
    assert_eq!(found.len(), 1, "no line can belong to it any more");
    assert_eq!(scanner.pending(|_, _| true), []);
}

#[test]
fn any_cut_and_any_noise_is_survived() {
    let mut seed = 1_u64;
    let mut next = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for (_, log) in golden() {
        for _ in 0..10 {
            let mut torn = log.clone();
            torn.truncate(next() % torn.len());
            for _ in 0..next() % 20 {
                if !torn.is_empty() {
                    let at = next() % torn.len();
                    torn[at] = next() as u8;
                }
            }
            let lines = torn.split(|&b| b == b'\n').count() as u64;
            for splat in scan_bytes(&torn) {
                assert!(
                    1 <= splat.start_line
                        && splat.start_line <= splat.end_line
                        && splat.end_line <= lines
                );
                assert!(
                    !splat.title.is_empty() && splat.title.is_ascii(),
                    "{:?}",
                    splat.title
                );
            }
        }
    }
}

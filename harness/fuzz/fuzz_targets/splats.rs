//! Console logs of any bytes: nothing panics, what comes out is sound, and how the log was cut into
//! pieces makes no difference.

#![no_main]

use harness::splat::{Key, Scanner, Splat, scan_bytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // The first byte says how large the pieces are.
    let Some((&size, log)) = input.split_first() else {
        return;
    };
    let whole = scan_bytes(log);
    assert_eq!(in_pieces(log, usize::from(size) + 1), whole);
    let lines = log.split(|&byte| byte == b'\n').count() as u64;
    for splat in &whole {
        assert!(1 <= splat.start_line && splat.start_line <= splat.end_line);
        assert!(splat.end_line <= lines);
        assert!(!splat.title.is_empty() && !splat.class.is_empty());
        assert!(
            !splat.title.chars().any(char::is_control),
            "{:?}",
            splat.title
        );
        // The same report is the same bug.
        let key = Key::new(splat, &Clone::clone);
        assert!(key.matches(&key));
    }
});

fn in_pieces(log: &[u8], size: usize) -> Vec<Splat> {
    let mut splats = Vec::new();
    let mut scanner = Scanner::new();
    for (n, piece) in log.chunks(size).enumerate() {
        scanner.feed(piece, &mut |splat| splats.push(splat));
        // Whoever watches may ask at any time; it reads all that is open anew.
        if n % 64 == 0 {
            let _ = scanner.pending(|_, _| true);
        }
    }
    scanner.finish(&mut |splat| splats.push(splat));
    splats
}

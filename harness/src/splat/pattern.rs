//! Regular expressions of the tables: their shorthands, and a cache of the compiled ones.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use regex::Regex;

/// A compiled pattern. Each is compiled once and kept for good: patterns come from the tables
/// only, so there is an end to them. (A clone would have to warm up its own caches every time.)
///
/// Shorthands: `{F}` a function with its offset (captured as `func`), `{PC}` an address in
/// brackets, `{SRC}` a source file and line.
pub(super) fn cached(pattern: Cow<'static, str>) -> &'static Regex {
    static CACHE: LazyLock<Mutex<HashMap<Cow<'static, str>, &'static Regex>>> =
        LazyLock::new(Mutex::default);
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = cache.get(&pattern) {
        return found;
    }
    let regex: &'static Regex = Box::leak(Box::new(compile(&pattern)));
    cache.insert(pattern, regex);
    regex
}

/// Compiles a pattern of a table, shorthands and all.
pub(super) fn compile(pattern: &str) -> Regex {
    // Kernel text is ASCII where it matters; Unicode's classes only make the automata large.
    let full = pattern
        .replace(r"\d", "[0-9]")
        .replace(r"\w", "[0-9A-Za-z_]")
        .replace(r"\b", r"(?-u:\b)")
        .replace(
            "{F}",
            r"(?P<func>[a-zA-Z0-9_]+)(?:[.+]| [^ ]+:[0-9]+ \[inline\])",
        )
        .replace("{PC}", r"\[<?(?:0x)?[0-9a-f]+>?\]")
        .replace("{SRC}", r"[a-zA-Z0-9_./+-]+\.[a-zA-Z]+:[0-9]+");
    Regex::new(&full).expect("the tables hold valid patterns")
}

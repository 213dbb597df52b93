//! What was asked for against what came out of `olddefconfig`, and why they differ.

use std::{collections::HashMap, fmt};

use super::{
    expr::{Expr, Lookup},
    fragment::{Request, Value, setting},
    tree::{Definition, Symbols},
};

/// A line that was asked for and did not survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What was asked for, and where.
    pub request: Request,
    /// What came out.
    pub got: Value,
    /// Why, as far as the kernel's Kconfig files say.
    pub why: String,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request {
            symbol,
            value,
            place,
        } = &self.request;
        write!(
            f,
            "CONFIG_{symbol}={value} was asked for in {place}, came out as {}: {}",
            self.got, self.why
        )
    }
}

/// A `.config`.
struct DotConfig {
    values: HashMap<String, Value>,
    /// The same as text, strings without quotes.
    texts: HashMap<String, String>,
}

impl DotConfig {
    fn parse(text: &str) -> Self {
        let values: HashMap<_, _> = text
            .lines()
            .filter_map(|l| setting(l).ok().flatten())
            .collect();
        let plain = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            other => other.to_string(),
        };
        let texts = values.iter().map(|(k, v)| (k.clone(), plain(v))).collect();
        Self { values, texts }
    }

    fn get(&self, symbol: &str) -> &Value {
        self.values.get(symbol).unwrap_or(&Value::No)
    }
}

impl Lookup for DotConfig {
    fn value(&self, symbol: &str) -> &str {
        self.texts.get(symbol).map_or("n", String::as_str)
    }
}

/// Every request that `config` does not meet. `symbols` is read only if there is one.
pub fn lost(requests: &[Request], config: &str, symbols: impl FnOnce() -> Symbols) -> Vec<Lost> {
    let config = DotConfig::parse(config);
    let missed: Vec<_> = requests
        .iter()
        .filter(|r| *config.get(&r.symbol) != r.value)
        .collect();
    if missed.is_empty() {
        return Vec::new();
    }
    let symbols = symbols();
    let explain = |request: &&Request| Lost {
        request: (*request).clone(),
        got: config.get(&request.symbol).clone(),
        why: why(request, &config, &symbols),
    };
    missed.iter().map(explain).collect()
}

fn why(request: &Request, config: &DotConfig, symbols: &Symbols) -> String {
    let symbol = &request.symbol;
    if !symbols.knows(symbol) {
        return match symbols.nearest(symbol) {
            Some(near) => format!("this kernel has no such symbol; the nearest is {near}"),
            None => "this kernel has no such symbol".into(),
        };
    }
    if request.value == Value::No {
        return held_on(symbol, config, symbols);
    }
    // A symbol may be defined several times; the definition that lacks least is the one meant.
    let definitions = symbols.definitions(symbol);
    let nearest = definitions.iter().min_by_key(|d| unmet(d, config).len());
    let unmet = nearest.map(|d| unmet(d, config)).unwrap_or_default();
    if !unmet.is_empty() {
        let all: Vec<_> = unmet.iter().map(|e| with_values(e, config)).collect();
        return format!("depends on {}", all.join(" and on "));
    }
    if !definitions.iter().any(|d| d.prompt) {
        return no_prompt(symbol, config, symbols);
    }
    match nearest.and_then(|d| d.choice.as_ref()) {
        Some(place) => format!("another of the choice at {place} was taken"),
        None if config.get(symbol).is_on() => {
            "the value is out of its range, or of another type".into()
        }
        None => format!(
            "its definition at {} says why",
            nearest.map_or("Kconfig", |d| &d.place)
        ),
    }
}

fn unmet<'a>(definition: &'a Definition, config: &DotConfig) -> Vec<&'a Expr> {
    let all = definition.depends.iter().chain(&definition.visible);
    all.flat_map(|e| e.unmet(config)).collect()
}

fn held_on(symbol: &str, config: &DotConfig, symbols: &Symbols) -> String {
    let selecting = active(symbol, config, symbols);
    if selecting.is_empty() {
        "its default, which no prompt overrides here, is on".into()
    } else {
        format!("selected by {}", selecting.join(", "))
    }
}

fn no_prompt(symbol: &str, config: &DotConfig, symbols: &Symbols) -> String {
    let all = symbols.selected_by(symbol);
    if all.is_empty() {
        let definitions = symbols.definitions(symbol).iter();
        let follows: Vec<_> = definitions
            .flat_map(|d| &d.follows)
            .map(|e| with_values(e, config))
            .take(5)
            .collect();
        return match follows.join(", or from ") {
            none if none.is_empty() => {
                "it cannot be asked for: its value follows from others".into()
            }
            from => format!("it cannot be asked for: it follows from {from}"),
        };
    }
    let names: Vec<_> = all
        .iter()
        .map(|(n, _)| format!("{n} ({n}={})", config.value(n)))
        .take(5)
        .collect();
    format!(
        "it cannot be asked for, only selected, by {}",
        names.join(", ")
    )
}

/// Symbols that are on and select this one, conditions considered.
fn active(symbol: &str, config: &DotConfig, symbols: &Symbols) -> Vec<String> {
    let all = symbols.selected_by(symbol).iter();
    let on = all.filter(|(name, when)| {
        config.get(name).is_on() && when.as_ref().is_none_or(|w| w.holds(config) != Some(false))
    });
    on.map(|(name, _)| format!("{name} ({name}={})", config.value(name)))
        .collect()
}

/// `!SLUB_TINY (SLUB_TINY=y)`
fn with_values(expr: &Expr, config: &DotConfig) -> String {
    let values: Vec<_> = expr
        .symbols()
        .into_iter()
        .map(|s| format!("{s}={}", config.value(s)))
        .collect();
    if values.is_empty() {
        expr.to_string()
    } else {
        format!("{expr} ({})", values.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{fragment::tests::stack, tree::tests::tree},
        *,
    };

    fn lost_of(fragment: &str, config: &str) -> Vec<String> {
        let dir = tree();
        let requests = stack(&[("k.config", fragment)]).requests().unwrap();
        let lost = lost(&requests, config, || Symbols::read(dir.path()));
        lost.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_survives_is_not_lost() {
        let asked = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_GONE=n\nCONFIG_N=64\nCONFIG_S=\"x\"\n# CONFIG_A is not set\nCONFIG_A=y";
        let got = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_N=64\nCONFIG_S=\"x\"\n";
        assert_eq!(lost_of(asked, got), [""; 0]);
    }

    #[test]
    fn what_is_lost_says_why() {
        let table = [
            (
                "\n\nCONFIG_KASAN=y",
                "CONFIG_SYSFS=y\nCONFIG_DEBUG_KERNEL=y\nCONFIG_SLUB_TINY=y",
                "CONFIG_KASAN=y was asked for in k.config:3, came out as n: depends on !SLUB_TINY (SLUB_TINY=y)",
            ),
            (
                "CONFIG_KASAN=y",
                "",
                "CONFIG_KASAN=y was asked for in k.config:1, came out as n: \
                 depends on DEBUG_KERNEL (DEBUG_KERNEL=n) and on SYSFS (SYSFS=n)",
            ),
            (
                "CONFIG_SLUB_TINY=y",
                "",
                "CONFIG_SLUB_TINY=y was asked for in k.config:1, came out as n: depends on EXPERT (EXPERT=n)",
            ),
            (
                "CONFIG_KASN=y",
                "",
                "CONFIG_KASN=y was asked for in k.config:1, came out as n: \
                 this kernel has no such symbol; the nearest is KASAN",
            ),
            (
                "# CONFIG_HIDDEN is not set",
                "CONFIG_HIDDEN=y\nCONFIG_PICKER=y",
                "CONFIG_HIDDEN=n was asked for in k.config:1, came out as y: selected by PICKER (PICKER=y)",
            ),
            (
                "CONFIG_HIDDEN=y",
                "",
                "CONFIG_HIDDEN=y was asked for in k.config:1, came out as n: \
                 it cannot be asked for, only selected, by PICKER (PICKER=n)",
            ),
            (
                "CONFIG_FOLLOWER=y",
                "CONFIG_EXPERT=y",
                "CONFIG_FOLLOWER=y was asked for in k.config:1, came out as n: it cannot be asked for: \
                 it follows from PICKER && SLUB_TINY (PICKER=n, SLUB_TINY=n), or from EXPERT (EXPERT=y)",
            ),
            (
                "CONFIG_KASAN_A=y",
                "CONFIG_KASAN=y\nCONFIG_DEBUG_KERNEL=y\nCONFIG_KASAN_B=y",
                "CONFIG_KASAN_A=y was asked for in k.config:1, came out as n: \
                 another of the choice at lib/Kconfig:10 was taken",
            ),
            (
                "CONFIG_LAST=900",
                "CONFIG_LAST=64",
                "CONFIG_LAST=900 was asked for in k.config:1, came out as 64: \
                 the value is out of its range, or of another type",
            ),
        ];
        for (asked, got, expected) in table {
            assert_eq!(lost_of(asked, got), [expected], "{asked:?}");
        }
    }
}

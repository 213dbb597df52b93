//! Kconfig's expressions: parsed, and their top-level terms that do not hold.

use std::collections::BTreeSet;

/// Symbol values of a `.config`: `y`, `m`, `n`, a number, or a string.
pub(super) trait Lookup {
    /// The value; a symbol without one is `n`.
    fn value(&self, symbol: &str) -> &str;
}

/// A dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr {
    /// A symbol or a quoted constant.
    Word(String),
    /// A macro such as `$(cc-option,...)`, which nobody but kbuild can evaluate.
    Opaque(String),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// Left, operator, right.
    Compare(String, String, String),
}

impl Expr {
    /// Parses; nothing for text that is no expression.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let tokens = tokens(text)?;
        let mut parser = Parser {
            tokens: &tokens,
            depth: 0,
        };
        let expr = parser.or()?;
        parser.tokens.is_empty().then_some(expr)
    }

    /// Does it hold? Nobody knows with a macro in it.
    pub(super) fn holds(&self, config: &dyn Lookup) -> Option<bool> {
        match self {
            Self::Word(word) => Some(!matches!(value(word, config), "n" | "")),
            Self::Opaque(_) => None,
            Self::Not(inner) => inner.holds(config).map(|h| !h),
            Self::And(terms) => decide(terms, config, false),
            Self::Or(terms) => decide(terms, config, true),
            Self::Compare(left, op, right) => {
                Some(compare(value(left, config), op, value(right, config)))
            }
        }
    }

    /// Terms of a conjunction that do not hold, or may not.
    pub(super) fn unmet(&self, config: &dyn Lookup) -> Vec<&Expr> {
        match self {
            Self::And(terms) => terms.iter().flat_map(|t| t.unmet(config)).collect(),
            other if other.holds(config) == Some(true) => Vec::new(),
            other => vec![other],
        }
    }

    /// Symbols in it.
    pub(super) fn symbols(&self) -> BTreeSet<&str> {
        let is_symbol = |w: &&str| !w.starts_with('"') && !matches!(*w, "y" | "n" | "m");
        match self {
            Self::Word(word) => [word.as_str()].into_iter().filter(is_symbol).collect(),
            Self::Opaque(_) => BTreeSet::new(),
            Self::Not(inner) => inner.symbols(),
            Self::And(terms) | Self::Or(terms) => terms.iter().flat_map(Expr::symbols).collect(),
            Self::Compare(left, _, right) => [left.as_str(), right.as_str()]
                .into_iter()
                .filter(is_symbol)
                .filter(|w| !w.starts_with(|c: char| c.is_ascii_digit()))
                .collect(),
        }
    }

    fn text(&self, inside: bool) -> String {
        let join = |terms: &[Expr], op: &str| {
            let all: Vec<_> = terms.iter().map(|t| t.text(true)).collect();
            let all = all.join(op);
            if inside { format!("({all})") } else { all }
        };
        match self {
            Self::Word(word) | Self::Opaque(word) => word.clone(),
            Self::Not(inner) => format!("!{}", inner.text(true)),
            Self::And(terms) => join(terms, " && "),
            Self::Or(terms) => join(terms, " || "),
            Self::Compare(left, op, right) => format!("{left}{op}{right}"),
        }
    }
}

impl std::fmt::Display for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text(false))
    }
}

/// Any term equal to `seeking` decides; else an unknown one leaves it open.
fn decide(terms: &[Expr], config: &dyn Lookup, seeking: bool) -> Option<bool> {
    let all: Vec<_> = terms.iter().map(|t| t.holds(config)).collect();
    if all.contains(&Some(seeking)) {
        Some(seeking)
    } else if all.contains(&None) {
        None
    } else {
        Some(!seeking)
    }
}

fn value<'a>(word: &'a str, config: &'a dyn Lookup) -> &'a str {
    match word {
        "y" | "n" | "m" => word,
        _ if word.starts_with('"') => word.trim_matches('"'),
        _ if word.starts_with(|c: char| c.is_ascii_digit()) => word,
        _ => config.value(word),
    }
}

fn compare(left: &str, op: &str, right: &str) -> bool {
    let number = |t: &str| match t.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => t.parse::<i64>().ok(),
    };
    let order = match (number(left), number(right)) {
        (Some(l), Some(r)) => l.cmp(&r),
        _ => left.cmp(right),
    };
    match op {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }
}

/// Operators, the longer ones first.
const OPERATORS: [&str; 11] = ["&&", "||", "!=", "<=", ">=", "=", "<", ">", "!", "(", ")"];

/// Parentheses within parentheses that are followed; the kernel's own have three or four.
const DEEPEST: u32 = 50;

fn tokens(text: &str) -> Option<Vec<String>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let length = if let Some(op) = OPERATORS.iter().find(|op| rest.starts_with(**op)) {
            op.len()
        } else if rest.starts_with("$(") {
            macro_length(rest)?
        } else if let Some(quote) = rest.chars().next().filter(|c| "\"'".contains(*c)) {
            rest[1..].find(quote)? + 2
        } else {
            let word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        };
        if length == 0 {
            return None;
        }
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

/// The length of `$(...)`, parentheses within counted.
fn macro_length(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 1 => return Some(at + 1),
            b')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

struct Parser<'a> {
    tokens: &'a [String],
    depth: u32,
}

impl Parser<'_> {
    fn take(&mut self, token: &str) -> bool {
        let found = self.tokens.first().is_some_and(|t| t == token);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn or(&mut self) -> Option<Expr> {
        self.chain("||", Self::and, Expr::Or)
    }

    fn and(&mut self) -> Option<Expr> {
        self.chain("&&", Self::not, Expr::And)
    }

    fn chain(
        &mut self,
        op: &str,
        term: fn(&mut Self) -> Option<Expr>,
        make: fn(Vec<Expr>) -> Expr,
    ) -> Option<Expr> {
        let mut terms = vec![term(self)?];
        while self.take(op) {
            terms.push(term(self)?);
        }
        Some(if terms.len() == 1 {
            terms.remove(0)
        } else {
            make(terms)
        })
    }

    fn not(&mut self) -> Option<Expr> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let expr = if self.take("!") {
            Expr::Not(Box::new(self.not()?))
        } else if self.take("(") {
            let inner = self.or()?;
            self.take(")").then_some(inner)?
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Some(expr)
    }

    fn comparison(&mut self) -> Option<Expr> {
        let left = self.word()?;
        let next = self.tokens.first().map(String::as_str);
        let Some(op) = next.filter(|t| ["=", "!=", "<", "<=", ">", ">="].contains(t)) else {
            return Some(if left.starts_with("$(") {
                Expr::Opaque(left)
            } else {
                Expr::Word(left)
            });
        };
        let op = op.to_owned();
        self.tokens = &self.tokens[1..];
        let right = self.word()?;
        if [&left, &right].iter().any(|w| w.contains("$(")) {
            return Some(Expr::Opaque(format!("{left}{op}{right}")));
        }
        Some(Expr::Compare(left, op, right))
    }

    fn word(&mut self) -> Option<String> {
        let (first, rest) = self.tokens.split_first()?;
        if OPERATORS.contains(&first.as_str()) {
            return None;
        }
        self.tokens = rest;
        Some(first.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Lookup for Fixed {
        fn value(&self, symbol: &str) -> &str {
            match symbol {
                "ON" => "y",
                "MOD" => "m",
                "N64" => "64",
                _ => "n",
            }
        }
    }

    #[test]
    fn expressions_are_decided() {
        let table = [
            ("ON", Some(true)),
            ("OFF", Some(false)),
            ("MOD && ON", Some(true)),
            ("!OFF && (ON || OFF)", Some(true)),
            ("ON && !(ON && !OFF)", Some(false)),
            ("ON=y", Some(true)),
            ("MOD != y", Some(true)),
            ("N64 >= 8", Some(true)),
            ("N64 < 0x10", Some(false)),
            ("$(cc-option,-fx(y))", None),
            ("ON && $(success,true)", None),
            ("OFF && $(success,true)", Some(false)),
            ("$(rustc-version) >= 5 || ON", Some(true)),
            ("ON # for a reason", Some(true)),
        ];
        for (text, expected) in table {
            let expr = Expr::parse(text).unwrap_or_else(|| panic!("{text} does not parse"));
            assert_eq!(expr.holds(&Fixed), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        let deep = "(".repeat(100_000);
        for text in ["", "&& A", "A &&", "(A", "A B", "$(x", "\"x", "é", &deep] {
            assert_eq!(Expr::parse(text), None, "{text:.20}");
        }
    }

    #[test]
    fn unmet_terms_are_named() {
        let expr = Expr::parse("ON && !MOD && (OFF || ALSO_OFF) && N64=64").unwrap();
        let unmet: Vec<_> = expr.unmet(&Fixed).iter().map(ToString::to_string).collect();
        assert_eq!(unmet, ["!MOD", "OFF || ALSO_OFF"]);
        assert_eq!(
            expr.symbols().into_iter().collect::<Vec<_>>(),
            ["ALSO_OFF", "MOD", "N64", "OFF", "ON"]
        );
    }
}

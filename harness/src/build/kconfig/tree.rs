//! The kernel's Kconfig files, read as far as explaining a lost symbol needs.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::Read,
    path::{Component, Path},
};

use super::{
    expr::Expr,
    lines::{Help, after_text, logical_lines},
};

/// The largest Kconfig file that is read, in bytes; the kernel's largest is a tenth of it.
const LARGEST: u64 = 2 << 20;

/// How many `source` lines deep files are followed; the kernel's own are six or seven.
const DEEPEST: usize = 40;

/// Where and how a symbol is defined.
#[derive(Debug, Clone, Default)]
pub(super) struct Definition {
    /// `lib/Kconfig.kasan:38`.
    pub place: String,
    /// `depends on` of its own and of the blocks around it.
    pub depends: Vec<Expr>,
    /// Can it be asked for at all?
    pub prompt: bool,
    /// What its value follows from where nobody asks: `default`, `def_bool`.
    pub follows: Vec<Expr>,
    /// Conditions of its prompt alone.
    pub visible: Vec<Expr>,
    /// Where the choice begins that it is part of.
    pub choice: Option<String>,
}

/// Every symbol of a tree, for x86.
#[derive(Debug, Default)]
pub struct Symbols {
    definitions: BTreeMap<String, Vec<Definition>>,
    /// Selected symbol → selecting symbol and condition.
    selects: BTreeMap<String, Vec<(String, Option<Expr>)>>,
}

impl Symbols {
    /// Reads the tree's Kconfig files; those that cannot be read are left out.
    pub fn read(tree: &Path) -> Self {
        let mut reader = Reader {
            tree,
            symbols: Self::default(),
            seen: HashSet::new(),
            blocks: Vec::new(),
        };
        reader.file("Kconfig", 0);
        reader.symbols
    }

    /// Does the tree know the symbol?
    pub fn knows(&self, symbol: &str) -> bool {
        self.definitions.contains_key(symbol)
    }

    /// The nearest symbol by name, if one is near enough to be meant.
    pub fn nearest(&self, symbol: &str) -> Option<&str> {
        let near = |known: &&String| strsim::damerau_levenshtein(known, symbol);
        let best = self.definitions.keys().min_by_key(near)?;
        (near(&best) <= 1 + symbol.len() / 4).then_some(best.as_str())
    }

    pub(super) fn definitions(&self, symbol: &str) -> &[Definition] {
        self.definitions.get(symbol).map_or(&[], Vec::as_slice)
    }

    pub(super) fn selected_by(&self, symbol: &str) -> &[(String, Option<Expr>)] {
        self.selects.get(symbol).map_or(&[], Vec::as_slice)
    }
}

/// `menu`, `choice` or `if`, until its end.
struct Block {
    depends: Vec<Expr>,
    choice: Option<String>,
}

/// What lines below an entry's first belong to.
enum Entry {
    None,
    Block,
    Symbol(String, Box<Definition>),
}

struct Reader<'a> {
    tree: &'a Path,
    symbols: Symbols,
    seen: HashSet<String>,
    blocks: Vec<Block>,
}

impl Reader<'_> {
    fn file(&mut self, name: &str, depth: usize) {
        let plain = Path::new(name)
            .components()
            .all(|c| matches!(c, Component::Normal(_)));
        if !plain || depth > DEEPEST || !self.seen.insert(name.to_owned()) {
            return;
        }
        let Some(text) = read(&self.tree.join(name)) else {
            return;
        };
        let mut entry = Entry::None;
        let mut help = Help::Outside;
        for (n, line) in logical_lines(&text) {
            if help.swallows(&line) {
                continue;
            }
            let place = format!("{name}:{n}");
            self.line(line.trim(), place, &mut entry, &mut help, depth);
        }
        self.close(&mut entry);
    }

    fn line(
        &mut self,
        line: &str,
        place: String,
        entry: &mut Entry,
        help: &mut Help,
        depth: usize,
    ) {
        let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "help" | "---help---" => *help = Help::Begun,
            "config" | "menuconfig" => {
                self.close(entry);
                let definition = Definition {
                    place,
                    choice: self.blocks.iter().rev().find_map(|b| b.choice.clone()),
                    depends: self.around(),
                    ..Definition::default()
                };
                *entry = Entry::Symbol(rest.to_owned(), Box::new(definition));
            }
            "if" | "menu" | "choice" => {
                self.close(entry);
                self.blocks.push(Block {
                    depends: if word == "if" {
                        condition(rest)
                    } else {
                        Vec::new()
                    },
                    choice: (word == "choice").then_some(place),
                });
                *entry = if word == "if" {
                    Entry::None
                } else {
                    Entry::Block
                };
            }
            "endif" | "endmenu" | "endchoice" => {
                self.close(entry);
                self.blocks.pop();
            }
            "source" => {
                self.close(entry);
                let name = rest.trim_matches('"').replace("$(SRCARCH)", "x86");
                self.file(&name, depth + 1);
            }
            "comment" | "mainmenu" => self.close(entry),
            _ => self.attribute(word, rest, entry),
        }
    }

    fn attribute(&mut self, word: &str, rest: &str, entry: &mut Entry) {
        match (word, entry) {
            ("depends", Entry::Symbol(_, definition)) => {
                definition.depends.extend(depends(rest));
            }
            ("depends", Entry::Block) => {
                if let Some(block) = self.blocks.last_mut() {
                    block.depends.extend(depends(rest));
                }
            }
            ("visible", Entry::Block) => {
                if let Some(block) = self.blocks.last_mut() {
                    block
                        .depends
                        .extend(condition(rest.trim_start_matches("if")));
                }
            }
            ("bool" | "tristate" | "int" | "hex" | "string" | "prompt", Entry::Symbol(_, d))
                if rest.starts_with(['"', '\'']) =>
            {
                d.prompt = true;
                d.visible.extend(suffix_if(after_text(rest)));
            }
            ("default" | "def_bool" | "def_tristate", Entry::Symbol(_, d)) => {
                let (value, when) = rest.split_once(" if ").unwrap_or((rest, rest));
                // `default y if X` follows from X, `default X` from X.
                let from = if value.trim() == "y" { when } else { value };
                d.follows
                    .extend(Expr::parse(from).filter(|e| !e.symbols().is_empty()));
            }
            ("select" | "imply", Entry::Symbol(name, _)) => {
                let (target, when) = rest.split_once(" if ").unwrap_or((rest, ""));
                let selecting = (name.clone(), Expr::parse(when));
                let all = self.symbols.selects.entry(target.trim().to_owned());
                all.or_default().push(selecting);
            }
            _ => {}
        }
    }

    fn close(&mut self, entry: &mut Entry) {
        if let Entry::Symbol(name, definition) = std::mem::replace(entry, Entry::None) {
            let all = self.symbols.definitions.entry(name);
            all.or_default().push(*definition);
        }
    }

    fn around(&self) -> Vec<Expr> {
        let depends = self.blocks.iter().flat_map(|b| &b.depends);
        depends.cloned().collect()
    }
}

/// `on A`, `on A if B` (A is needed only where B holds).
fn depends(rest: &str) -> Option<Expr> {
    let rest = rest.strip_prefix("on")?.trim();
    let Some((what, when)) = rest.split_once(" if ") else {
        return Expr::parse(rest);
    };
    let unless = Expr::Not(Box::new(Expr::parse(when)?));
    Some(Expr::Or(vec![Expr::parse(what)?, unless]))
}

fn condition(text: &str) -> Vec<Expr> {
    Expr::parse(text).into_iter().collect()
}

fn suffix_if(text: &str) -> Option<Expr> {
    Expr::parse(text.trim().strip_prefix("if")?)
}

fn read(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    let regular = file.metadata().ok()?.is_file();
    let read = regular.then(|| file.take(LARGEST).read_to_end(&mut bytes))?;
    read.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A tree in small: two files, a menu, a choice, a help text that looks like an entry.
    pub(in super::super) fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("arch/x86")).unwrap();
        std::fs::create_dir_all(dir.path().join("lib")).unwrap();
        let files = [
            (
                "Kconfig",
                "source \"arch/$(SRCARCH)/Kconfig\"\nsource \"lib/Kconfig\"\nsource \"../x\"\nsource \"Kconfig\"\n",
            ),
            (
                "arch/x86/Kconfig",
                "config SLUB_TINY\n\tbool \"Tiny\" if EXPERT\n\thelp\n\t  Small.\n\n\t  config GHOST\n\nconfig HIDDEN\n\tbool\n\nconfig FOLLOWER\n\tdef_bool PICKER && SLUB_TINY\n\tdefault y if EXPERT\n\nconfig PICKER\n\tbool \"picks\"\n\tselect HIDDEN if !SLUB_TINY\n",
            ),
            (
                "lib/Kconfig",
                "menu \"Debugging\"\n\tdepends on DEBUG_KERNEL\n\nmenuconfig KASAN\n\tbool \"KASAN: \\\"quoted\\\" if so\"\n\tdepends on SYSFS && \\\n\t\t!SLUB_TINY\n\nif KASAN\nchoice\n\tprompt \"mode\"\nconfig KASAN_A\n\tbool \"A\"\nconfig KASAN_B\n\tbool \"B\"\n\tdepends on SYSFS if EXPERT\nendchoice\nendif\nendmenu\n\nconfig LAST\n\tint \"number\"\n",
            ),
        ];
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn symbols_have_what_stands_around_them() {
        let dir = tree();
        let symbols = Symbols::read(dir.path());
        let text = |name: &str| {
            let d = &symbols.definitions(name)[0];
            let join = |e: &[Expr]| {
                e.iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; ")
            };
            (
                d.place.clone(),
                join(&d.depends),
                d.prompt,
                join(&d.visible),
            )
        };
        let table = [
            ("SLUB_TINY", "arch/x86/Kconfig:1", "", true, "EXPERT"),
            ("HIDDEN", "arch/x86/Kconfig:8", "", false, ""),
            (
                "KASAN",
                "lib/Kconfig:4",
                "DEBUG_KERNEL; SYSFS && !SLUB_TINY",
                true,
                "",
            ),
            (
                "KASAN_B",
                "lib/Kconfig:14",
                "DEBUG_KERNEL; KASAN; SYSFS || !EXPERT",
                true,
                "",
            ),
            ("LAST", "lib/Kconfig:21", "", true, ""),
        ];
        for (name, place, depends, prompt, visible) in table {
            let expected = (
                place.to_owned(),
                depends.to_owned(),
                prompt,
                visible.to_owned(),
            );
            assert_eq!(text(name), expected, "{name}");
        }
        assert!(!symbols.knows("GHOST"));
        assert!(symbols.definitions("KASAN_A")[0].choice.is_some());
        assert!(symbols.definitions("LAST")[0].choice.is_none());
        assert_eq!(symbols.selected_by("HIDDEN")[0].0, "PICKER");
    }

    #[test]
    fn a_name_that_is_near_is_found() {
        let dir = tree();
        let symbols = Symbols::read(dir.path());
        assert_eq!(symbols.nearest("KASN"), Some("KASAN"));
        assert_eq!(symbols.nearest("ENTIRELY_DIFFERENT"), None);
    }
}

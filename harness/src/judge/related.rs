//! Functions that handle the same structures as those that a patch touches (pure).

use std::collections::{BTreeMap, BTreeSet};

use super::csource::Definition;

/// A structure that more functions of a file handle than this says nothing about any of them: every
/// function of a file system knows its inode.
const COMMON: usize = 16;

/// The functions of a text without comments that share a structure with a touched one.
pub(super) fn related<'f>(
    code: &str,
    all: &'f [Definition],
    is_touched: &dyn Fn(&Definition) -> bool,
) -> Vec<&'f str> {
    let lines: Vec<&str> = code.lines().collect();
    let structures: Vec<BTreeSet<&str>> = all
        .iter()
        .map(|function| {
            let from = (*function.lines.start() as usize).saturating_sub(1);
            let to = (*function.lines.end() as usize).min(lines.len());
            let own = lines.get(from..to).unwrap_or_default();
            own.iter().flat_map(|line| named(line)).collect()
        })
        .collect();
    let mut users: BTreeMap<&str, usize> = BTreeMap::new();
    for name in structures.iter().flatten() {
        *users.entry(name).or_default() += 1;
    }
    let telling: BTreeSet<&str> = all
        .iter()
        .zip(&structures)
        .filter(|(function, _)| is_touched(function))
        .flat_map(|(_, own)| own.iter().copied())
        .filter(|name| users.get(name).is_some_and(|users| *users <= COMMON))
        .collect();
    all.iter()
        .zip(&structures)
        .filter(|(_, own)| !own.is_disjoint(&telling))
        .map(|(function, _)| function.name.as_str())
        .collect()
}

/// The structures that a line names.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = line
        .split(move |c| !is_word(c))
        .filter(|word| !word.is_empty());
    words
        .clone()
        .zip(words.skip(1))
        .filter(|(keyword, _)| *keyword == "struct")
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::csource::functions;

    #[test]
    fn who_shares_a_structure_is_related_unless_everybody_does() {
        let mut text = String::from(
            "struct a *get(struct a *a)\n{\n}\n\
             int other(struct b *b)\n{\n}\n\
             void put(struct super *s)\n{\n\tstruct a *a = s->a;\n}\n",
        );
        for n in 0..COMMON {
            text += &format!("int f{n}(struct super *s)\n{{\n}}\n");
        }
        let all = functions(&text);
        let get = |function: &Definition| function.name == "get";
        assert_eq!(related(&text, &all, &get), ["get", "put"]);
        let put = |function: &Definition| function.name == "put";
        assert_eq!(
            related(&text, &all, &put),
            ["get", "put"],
            "super is common"
        );
        assert_eq!(related(&text, &all, &|_| false), Vec::<&str>::new());
    }
}

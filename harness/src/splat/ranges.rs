//! Where code lies in a kernel: a function's instructions, inlined copies too, and a line's.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
};

use addr2line::gimli::{self, AttributeValue, Unit, UnitOffset};

use super::{
    names::base_name,
    symbolize::{Reader, Symbolizer},
};

/// Functions' stretches of code, by their names.
pub type Ranges = BTreeMap<String, Vec<Range<u64>>>;

impl Symbolizer {
    /// Every stretch of some functions' code: of the symbols that bear their names, with the
    /// compiler's suffixes or without, and of their copies that are inlined elsewhere; in one walk
    /// through the debug information, which takes a while. A function without any has none.
    pub fn ranges(&self, functions: &BTreeSet<String>) -> Ranges {
        // Debug information that cannot be read tells of no copies.
        let mut inlined = self.inlined(functions).unwrap_or_default();
        let all = functions.iter().map(|function| {
            let own = self.symbol_ranges(function);
            let copies = inlined.remove(function).unwrap_or_default();
            let outside = |copy: &Range<u64>| !own.iter().any(|range| range.contains(&copy.start));
            let mut ranges: Vec<Range<u64>> = copies.into_iter().filter(outside).collect();
            ranges.extend(own);
            ranges.sort_by_key(|range| (range.start, range.end));
            ranges.dedup();
            (function.clone(), ranges)
        });
        all.collect()
    }

    /// The first address of each stretch of code that a line was compiled to.
    pub fn addresses_of(&self, file: &str, line: u32) -> Vec<u64> {
        let Ok(locations) = self.context().find_location_range(0, u64::MAX) else {
            return Vec::new();
        };
        let here = |location: &addr2line::Location<'_>| {
            location.line == Some(line)
                && location
                    .file
                    .is_some_and(|path| self.relative(path) == file)
        };
        let mut starts: Vec<u64> = locations
            .filter(|(_, _, location)| here(location))
            .map(|(address, ..)| address)
            .collect();
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    /// Tells every stretch of code and the line that it was compiled from.
    pub fn each_stretch(&self, found: &mut dyn FnMut(&str, u32, Range<u64>)) {
        let Ok(locations) = self.context().find_location_range(0, u64::MAX) else {
            return;
        };
        // A kernel has a million stretches, of a few thousand files.
        let mut names: HashMap<&str, String> = HashMap::new();
        for (address, size, location) in locations {
            let (Some(path), Some(line)) = (location.file, location.line) else {
                continue;
            };
            let end = address.saturating_add(size);
            if end > address {
                let file = names.entry(path).or_insert_with(|| self.relative(path));
                found(file, line, address..end);
            }
        }
    }

    fn inlined(&self, functions: &BTreeSet<String>) -> gimli::Result<Ranges> {
        let dwarf = self.dwarf();
        let mut ranges = Ranges::new();
        let mut headers = dwarf.units();
        while let Some(header) = headers.next()? {
            let unit = dwarf.unit(header)?;
            let origins = self.origins(&unit, functions)?;
            if origins.is_empty() {
                continue;
            }
            let mut entries = unit.entries();
            while let Some(entry) = entries.next_dfs()? {
                if entry.tag() != gimli::DW_TAG_inlined_subroutine {
                    continue;
                }
                let origin = entry.attr_value(gimli::DW_AT_abstract_origin);
                let Some(AttributeValue::UnitRef(origin)) = origin else {
                    continue;
                };
                let Some(function) = origins.get(&origin) else {
                    continue;
                };
                let found = ranges.entry(function.clone()).or_default();
                let mut copies = dwarf.die_ranges(&unit, entry)?;
                while let Some(copy) = copies.next()? {
                    if copy.begin < copy.end {
                        found.push(copy.begin..copy.end);
                    }
                }
            }
        }
        Ok(ranges)
    }

    /// Those of the functions that a unit declares, by where it does.
    fn origins(
        &self,
        unit: &Unit<Reader>,
        functions: &BTreeSet<String>,
    ) -> gimli::Result<HashMap<UnitOffset, String>> {
        let mut found = HashMap::new();
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            if entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let Some(name) = entry.attr_value(gimli::DW_AT_name) else {
                continue;
            };
            let name = self.dwarf().attr_string(unit, name)?;
            let name = std::str::from_utf8(name.bytes()).unwrap_or_default();
            if let Some(function) = functions.get(name) {
                found.insert(entry.offset(), function.clone());
            }
        }
        Ok(found)
    }

    /// The stretches of the symbols that bear a function's name.
    pub fn symbol_ranges(&self, function: &str) -> Vec<Range<u64>> {
        let bears = |symbol: &str| symbol == function || base_name(symbol) == function;
        let mut ranges: Vec<Range<u64>> = self
            .spans()
            .filter(|(symbol, ..)| bears(symbol))
            .filter_map(|(_, start, size)| Some(start..start.checked_add(size)?))
            .filter(|range| !range.is_empty())
            .collect();
        ranges.sort_by_key(|range| range.start);
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(always)]
    fn copied_into_its_caller(seed: u64) -> u64 {
        std::hint::black_box(seed).rotate_left(7) ^ 0x55
    }

    #[inline(never)]
    fn caller_of_a_copy(seed: u64) -> u64 {
        copied_into_its_caller(seed) + 1
    }

    #[test]
    fn copies_in_this_very_program_are_found() {
        assert_ne!(caller_of_a_copy(3), 0);
        let program = std::env::current_exe().unwrap();
        let symbols = Symbolizer::load(&program, Vec::<String>::new()).unwrap();
        let [copied, none] = ["copied_into_its_caller", "no_function_of_this_name"];
        let ranges = symbols.ranges(&[copied, none].map(str::to_owned).into());
        let copies = &ranges[copied];
        assert!(!copies.is_empty(), "line tables keep inlined calls");
        assert_eq!(ranges[none], []);
        let line = symbols.places_at(copies[0].start);
        assert!(
            line.iter()
                .any(|place| place.function.contains("copied_into_its_caller")),
            "{line:?}"
        );
    }
}

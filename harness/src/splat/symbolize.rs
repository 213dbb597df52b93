//! Source lines for stack frames, from the kernel's own debug information, in process.

use std::{collections::HashMap, fs::File, path::Path, sync::Arc};

use addr2line::{
    Context,
    gimli::{Dwarf, EndianArcSlice, RunTimeEndian, SectionId},
};
use object::{Object, ObjectSection, ObjectSymbol, ReadCache, SymbolKind};

use super::{
    names::base_name,
    types::{Frame, Place, Splat},
};
use crate::error::{Context as _, Error, Result};

/// More debug information than any kernel has.
const MAX_SECTION: u64 = 4 << 30;
/// Functions inlined into one another at one address, at most.
const MAX_INLINED: usize = 64;

pub(super) type Reader = EndianArcSlice<RunTimeEndian>;

/// One kernel's symbols and debug information, loaded once for any number of splats.
pub struct Symbolizer {
    context: Context<Reader>,
    dwarf: Arc<Dwarf<Reader>>,
    /// Where each text symbol begins and how long it is, as the kernel itself would say.
    symbols: HashMap<String, Vec<Span>>,
    prefixes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u64,
    size: u64,
}

impl std::fmt::Debug for Symbolizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Symbolizer")
            .field("symbols", &self.symbols.len())
            .finish_non_exhaustive()
    }
}

impl Symbolizer {
    /// Loads `vmlinux`. `prefixes` are the paths under which it was built (source and build
    /// folder): files below them are named from there.
    pub fn load<S: Into<String>>(
        vmlinux: &Path,
        prefixes: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let doing = || {
            format!(
                "failed to read the debug information of {}",
                vmlinux.display()
            )
        };
        let file = File::open(vmlinux).host(doing)?;
        let cache = ReadCache::new(file);
        let object = object::File::parse(&cache).host(doing)?;
        let endian = if object.is_little_endian() {
            RunTimeEndian::Little
        } else {
            RunTimeEndian::Big
        };
        let load = |id: SectionId| -> Result<Reader> {
            let data = match object.section_by_name(id.name()) {
                Some(section) if section.size() > MAX_SECTION => {
                    return Err(Error::infrastructure(format!(
                        "{}: {} is implausibly large",
                        doing(),
                        id.name()
                    )));
                }
                Some(section) => section.uncompressed_data().host(doing)?,
                None => Default::default(),
            };
            Ok(Reader::new(Arc::from(data.as_ref()), endian))
        };
        let dwarf = Arc::new(Dwarf::load(load)?);
        let context = Context::from_arc_dwarf(Arc::clone(&dwarf)).host(doing)?;
        Ok(Self {
            context,
            dwarf,
            symbols: symbols(&object),
            prefixes: prefixes.into_iter().map(Into::into).collect(),
        })
    }

    /// Adds source lines to every frame of the splat that they can be had for.
    pub fn symbolize(&self, splat: &mut Splat) {
        for frame in splat.stacks.iter_mut().chain(&mut splat.context).flatten() {
            if frame.places.is_empty() {
                frame.places = self.places(frame);
            }
        }
    }

    /// Where a frame is, innermost inlined function first; empty where that cannot be said.
    pub fn places(&self, frame: &Frame) -> Vec<Place> {
        let places = self.address(frame).map(|address| self.places_at(address));
        let mut places = places.unwrap_or_default();
        // Code without a name of its own in the debug information is the symbol's.
        for place in places.iter_mut().filter(|place| place.function.is_empty()) {
            place.function.clone_from(&frame.function);
        }
        places
    }

    /// Where an address is, innermost inlined function first; empty where that cannot be said. A
    /// function that has no name is named by nothing.
    pub fn places_at(&self, address: u64) -> Vec<Place> {
        let Ok(mut frames) = self.context.find_frames(address).skip_all_loads() else {
            return Vec::new();
        };
        let mut places = Vec::new();
        while let Ok(Some(found)) = frames.next() {
            let Some(location) = found.location else {
                continue;
            };
            let (Some(file), Some(line)) = (location.file, location.line) else {
                continue;
            };
            let function = found
                .function
                .and_then(|name| Some(base_name(&name.raw_name().ok()?)));
            places.push(Place {
                function: function.unwrap_or_default(),
                file: self.relative(file),
                line,
            });
            if places.len() == MAX_INLINED {
                break;
            }
        }
        places
    }

    /// The address of the instruction that a frame is about. A symbol's name may be borne by many
    /// static functions: then the size decides, and where it does not, nothing is said.
    fn address(&self, frame: &Frame) -> Option<u64> {
        if frame.module.is_some() {
            return None;
        }
        let offset = frame.offset?;
        let spans = self.symbols.get(&frame.symbol)?;
        let mut fitting = spans
            .iter()
            .filter(|span| frame.size.is_none_or(|size| span.size == size));
        let span = match (fitting.next(), fitting.next()) {
            (Some(span), None) => span,
            (None, _) if spans.len() == 1 => &spans[0],
            _ => return None,
        };
        // A caller's frame holds where the call returns to: the call is before that.
        let back = u64::from(!frame.exact && offset > 0);
        span.start.checked_add(offset)?.checked_sub(back)
    }

    pub(super) fn context(&self) -> &Context<Reader> {
        &self.context
    }

    pub(super) fn dwarf(&self) -> &Dwarf<Reader> {
        &self.dwarf
    }

    /// Every text symbol: its name, where it begins, its size in bytes.
    pub(super) fn spans(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        let all = self.symbols.iter();
        all.flat_map(|(name, spans)| spans.iter().map(|s| (name.as_str(), s.start, s.size)))
    }

    pub(super) fn relative(&self, file: &str) -> String {
        relative(file, &self.prefixes)
    }
}

/// A file as it is named from the first of these folders that it lies below.
pub(crate) fn relative(file: &str, prefixes: &[impl AsRef<str>]) -> String {
    let file = normal(file);
    for prefix in prefixes {
        let prefix = prefix.as_ref().trim_end_matches('/');
        if let Some(rest) = file
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('/'))
        {
            return rest.to_owned();
        }
    }
    file
}

/// The text symbols of the kernel, with sizes as kallsyms has them: up to the next symbol.
fn symbols<'d>(object: &impl Object<'d>) -> HashMap<String, Vec<Span>> {
    let mut all: Vec<(u64, &str)> = object
        .symbols()
        .filter(|symbol| {
            matches!(
                symbol.kind(),
                SymbolKind::Text | SymbolKind::Label | SymbolKind::Unknown
            )
        })
        .filter(|symbol| symbol.address() != 0)
        .filter_map(|symbol| {
            Some((
                symbol.address(),
                symbol.name().ok().filter(|name| !name.is_empty())?,
            ))
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    let mut starts: Vec<u64> = all.iter().map(|(start, _)| *start).collect();
    starts.dedup();
    let mut symbols: HashMap<String, Vec<Span>> = HashMap::with_capacity(all.len());
    for (start, name) in all {
        let next = starts.partition_point(|other| *other <= start);
        let size = starts.get(next).map_or(0, |end| end - start);
        symbols
            .entry(name.to_owned())
            .or_default()
            .push(Span { start, size });
    }
    symbols
}

/// The path without `.`, `..` and doubled slashes.
pub(crate) fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if path.starts_with('/') {
        format!("/{joined}")
    } else {
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_the_trees_top() {
        let cases = [
            ("/src/fs/fuse/dev.c", "/src/fs/fuse/dev.c"),
            ("/build/../src/./fs//x.c", "/src/fs/x.c"),
            ("./include/linux/x.h", "include/linux/x.h"),
            ("../x.c", "../x.c"),
        ];
        for (path, want) in cases {
            assert_eq!(normal(path), want);
        }
    }

    #[inline(never)]
    fn probe_for_symbolizing(seed: u64) -> u64 {
        std::hint::black_box(seed).wrapping_mul(3)
    }

    #[test]
    fn this_very_program_is_symbolized() {
        assert_eq!(probe_for_symbolizing(2), 6);
        let program = std::env::current_exe().unwrap();
        let symbolizer = Symbolizer::load(&program, Vec::<String>::new()).unwrap();
        let (symbol, spans) = symbolizer
            .symbols
            .iter()
            .find(|(name, _)| name.contains("probe_for_symbolizing"))
            .unwrap();
        let frame = Frame {
            symbol: symbol.clone(),
            offset: Some(1),
            size: Some(spans[0].size),
            ..Frame::default()
        };
        let places = symbolizer.places(&frame);
        assert!(places[0].file.ends_with("symbolize.rs"), "{places:?}");
        let other = Frame {
            module: Some("fuse".into()),
            ..frame
        };
        assert_eq!(symbolizer.places(&other), []);
    }

    #[test]
    fn what_is_no_program_is_refused_with_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Symbolizer::load(file.path(), ["/src"]).unwrap_err();
        assert!(
            error
                .chain()
                .starts_with("failed to read the debug information of /"),
            "{}",
            error.chain()
        );
    }
}

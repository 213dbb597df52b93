//! Stack frames and program counters, in every notation that the kernel has for them.

use super::{
    names::base_name,
    types::{Frame, Place},
};

/// What a report's line is to a reader of stacks.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A frame of a stack trace.
    Frame(Frame),
    /// arm's notation names a function and its caller in one line.
    Call(Frame, Frame),
    /// A frame that was inlined into the next one (symbolized logs).
    Inlined(Place),
    /// The program counter where it happened; none when it names no function.
    Pc(Option<Frame>),
    /// Anything else.
    Text,
}

/// Reads one line (without its console prefix).
pub(super) fn read(text: &str) -> Kind {
    if let Some(rest) = after_pc(text) {
        return pc(rest);
    }
    let (rest, unreliable) = strip_lead(text);
    if let Some((callee, caller)) = call(rest) {
        return Kind::Call(callee, caller);
    }
    if let Some(mut frame) = symbol(rest) {
        frame.unreliable |= unreliable;
        return Kind::Frame(frame);
    }
    inlined(rest).map_or(Kind::Text, Kind::Inlined)
}

/// The text behind `RIP:` and its kin.
fn after_pc(text: &str) -> Option<&str> {
    const NAMES: &[&str] = &[
        "RIP:",
        "RIP ",
        "EIP:",
        "EIP is at",
        "IP:",
        "NIP:",
        "NIP [",
        "pc :",
        "PC is at",
        "epc :",
        "epc   :",
    ];
    let text = text.trim_start();
    if let Some(trap) = text.strip_prefix("--- interrupt: ") {
        return trap.split_once(" at ").map(|(_, at)| at);
    }
    let name = NAMES.iter().find(|name| text.starts_with(**name))?;
    // `NIP [c00] f+0x1`: the bracket belongs to the address.
    Some(&text[name.trim_end_matches('[').len()..])
}

/// The function behind `RIP: 0010:[<addr>] [<addr>] f+0x1/0x2`; user-space ones name none.
fn pc(rest: &str) -> Kind {
    let rest = rest.trim_start();
    let rest = match rest.split_once(':') {
        Some((segment, rest))
            if segment.len() <= 4 && segment.bytes().all(|b| b.is_ascii_hexdigit()) =>
        {
            // Ring 3 selectors end in binary 11.
            if segment.ends_with(['3', '7', 'b', 'f']) {
                return Kind::Text;
            }
            rest
        }
        _ => rest,
    };
    let (rest, unreliable) = strip_lead(rest);
    match symbol(rest) {
        Some(frame) => Kind::Pc(Some(Frame {
            unreliable,
            exact: true,
            ..frame
        })),
        // powerpc prints the bare counter among the registers first, the function later.
        None if rest.starts_with("0x") || rest.contains("(null)") => Kind::Pc(None),
        None => Kind::Text,
    }
}

/// Without blanks, addresses in brackets, and the unwinder's doubt.
fn strip_lead(text: &str) -> (&str, bool) {
    let mut rest = text.trim_start();
    let mut unreliable = false;
    loop {
        if let Some(inner) = rest.strip_prefix('[') {
            let Some((address, after)) = inner.split_once(']') else {
                break;
            };
            let address = address.trim_start_matches('<').trim_end_matches('>');
            let digits = address.strip_prefix("0x").unwrap_or(address);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                break;
            }
            rest = after.trim_start();
        } else if let Some(after) = rest.strip_prefix("? ") {
            unreliable = true;
            rest = after.trim_start();
        } else if let Some(after) = marker(rest) {
            // 32-bit kernels print `<IRQ>` before a frame, on its line.
            rest = after;
        } else {
            break;
        }
    }
    (rest, unreliable)
}

fn marker(text: &str) -> Option<&str> {
    const MARKERS: &[&str] = &[
        "<IRQ>",
        "<EOI>",
        "</IRQ>",
        "<NMI>",
        "<<EOE>>",
        "<TASK>",
        "<SOFTIRQ>",
        "<UNK>",
    ];
    let rest = MARKERS
        .iter()
        .find_map(|m| text.strip_prefix(m))?
        .trim_start();
    (!rest.is_empty()).then_some(rest)
}

/// `f.isra.0+0x1/0x2 [module] fs/f.c:12`, at the start of `text`.
fn symbol(text: &str) -> Option<Frame> {
    let plus = text.find("+0x")?;
    let symbol = &text[..plus];
    if !is_symbol(symbol) {
        return None;
    }
    let (offset, rest) = hex(&text[plus + 3..])?;
    let (size, rest) = match rest.strip_prefix("/0x").and_then(hex) {
        Some((size, rest)) => (Some(size), rest),
        None => (None, rest),
    };
    let mut frame = Frame {
        function: base_name(symbol),
        symbol: symbol.to_owned(),
        offset: Some(offset),
        size,
        unreliable: rest.ends_with("(unreliable)"),
        ..Frame::default()
    };
    for word in rest.split_whitespace() {
        if let Some(module) = word.strip_prefix('[') {
            let module = module.trim_end_matches(']');
            if frame.module.is_none() && module != "inline" && !module.is_empty() {
                frame.module = Some(module.to_owned());
            }
        } else if let Some((file, line)) = source(word) {
            frame.places.push(Place {
                function: frame.function.clone(),
                file,
                line,
            });
        }
    }
    Some(frame)
}

/// arm's `[<pc>] (f) from [<pc>] (g+0x1/0x2)` and ` f from g+0x1/0x2`. Only the caller's place is
/// known.
fn call(text: &str) -> Option<(Frame, Frame)> {
    let (callee, caller) = text.split_once(" from ")?;
    let name = callee
        .trim_start_matches('(')
        .trim_end_matches(')')
        .split("+0x")
        .next()?;
    if !is_symbol(name) {
        return None;
    }
    let (caller, _) = strip_lead(caller);
    let caller = symbol(caller.trim_start_matches('('))?;
    Some((
        Frame {
            function: base_name(name),
            symbol: name.to_owned(),
            ..Frame::default()
        },
        caller,
    ))
}

/// `f fs/f.c:12 [inline]`.
fn inlined(text: &str) -> Option<Place> {
    let rest = text.trim_end().strip_suffix("[inline]")?.trim_end();
    let (function, at) = rest.rsplit_once(' ')?;
    let (file, line) = source(at)?;
    is_symbol(function).then(|| Place {
        function: base_name(function),
        file,
        line,
    })
}

/// `fs/f.c:12`, with or without a column.
fn source(word: &str) -> Option<(String, u32)> {
    let (file, rest) = word.split_once(':')?;
    if !file.contains('.') {
        return None;
    }
    let line = rest.split(':').next()?.parse().ok()?;
    Some((file.trim_start_matches("./").to_owned(), line))
}

fn hex(text: &str) -> Option<(u64, &str)> {
    let end = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    Some((u64::from_str_radix(&text[..end], 16).ok()?, &text[end..]))
}

/// Whether this can be a symbol: C, mangled Rust, or demangled Rust.
fn is_symbol(text: &str) -> bool {
    if text.is_empty() || text.len() > 512 {
        return false;
    }
    let rust = text.contains("::");
    text.bytes().all(|b| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'_' | b'.' | b'$')
            || (rust
                && matches!(
                    b,
                    b':' | b'<' | b'>' | b' ' | b'{' | b'}' | b'#' | b'&' | b'*'
                ))
    }) && !text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(text: &str) -> Option<(String, bool)> {
        match read(text) {
            Kind::Frame(f) | Kind::Call(f, _) => Some((f.function, f.unreliable)),
            _ => None,
        }
    }

    #[test]
    fn frames_of_every_notation() {
        let cases = [
            (" vfs_read+0x1a0/0x2c0", "vfs_read", false),
            ("  ? vfs_read+0x1a0/0x2c0", "vfs_read", true),
            (
                " [<ffffffff810a376f>] __call_rcu.constprop.76+0x1f/0x280 kernel/rcu/tree.c:3046",
                "__call_rcu",
                false,
            ),
            (" [<ffffffff810a376f>] ? f+0x1f/0x280", "f", true),
            (
                "[c0000000] [c0000001] do_it+0x10/0x20 (unreliable)",
                "do_it",
                true,
            ),
            (" fuse_open+0x12/0x34 [fuse]", "fuse_open", false),
            (
                "[<816f6584>] (schedule) from [<816f9364>] (rwsem_down_write_slowpath+0x2a4/0x608)",
                "schedule",
                false,
            ),
            (" schedule from io_wait+0x2/0x8", "schedule", false),
            (" <IRQ>  [<c10>] f+0x1/0x2", "f", false),
        ];
        for (text, name, unreliable) in cases {
            assert_eq!(
                function(text),
                Some((name.to_owned(), unreliable)),
                "{text}"
            );
        }
        for text in [
            "RAX: 0000 RBX: 1",
            "Call Trace:",
            " 00+0x1",
            "a b+0x1/0x2",
            "",
            "+0x1/0x2",
        ] {
            assert_eq!(function(text), None, "{text}");
        }
    }

    #[test]
    fn program_counters() {
        for text in [
            "RIP: 0010:f+0x1/0x2",
            "RIP: 0010:[<ffffffff81>]  [<ffffffff81>] f+0x1/0x2",
            "IP: [<ffffffff81>] f+0x1/0x2",
            "pc : f+0x1/0x2",
            "PC is at f+0x1/0x2",
            "NIP [c01] f+0x1/0x2",
            "EIP: f+0x1/0x2",
            "--- interrupt: 700 at f+0x2c/0x70",
            "EIP: 0060:f.part.3+0x1/0x2",
        ] {
            let Kind::Pc(Some(frame)) = read(text) else {
                panic!("{text}")
            };
            assert_eq!(frame.function, "f", "{text}");
        }
        assert_eq!(read("RIP: 0010:0x0"), Kind::Pc(None));
        assert_eq!(read("RIP: 0033:0x45a219"), Kind::Text);
    }

    #[test]
    fn inlined_frames_keep_their_place() {
        let place = Place {
            function: "get".into(),
            file: "include/linux/x.h".into(),
            line: 7,
        };
        assert_eq!(
            read(" get include/linux/x.h:7 [inline]"),
            Kind::Inlined(place)
        );
        let Kind::Frame(frame) = read(" f+0x1/0x2 fs/x.c:9 [inline]") else {
            panic!()
        };
        assert_eq!(
            (frame.places[0].file.as_str(), frame.places[0].line),
            ("fs/x.c", 9)
        );
        assert_eq!(frame.module, None);
    }
}

//! Names of functions: from the symbols that the compiler made to those that readers use.

/// The function's own name: demangled, without the suffixes of the compiler's copies.
pub(super) fn base_name(symbol: &str) -> String {
    if symbol.starts_with("_R")
        && let Ok(name) = rustc_demangle::try_demangle(symbol)
    {
        return format!("{name:#}");
    }
    match symbol.find('.') {
        Some(dot) if dot > 0 => symbol[..dot].to_owned(),
        _ => symbol.to_owned(),
    }
}

/// The names that a function goes by, the one for titles first: a system call's wrappers differ
/// from kernel to kernel, so what is left without them comes first.
pub(super) fn spellings(function: &str) -> Vec<String> {
    const WRAPPERS: &[&str] = &[
        "SYSC_",
        "SyS_",
        "sys_",
        "__x64_",
        "__ia32_",
        "__arm64_",
        "____sys_",
        "___sys_",
        "__sys_",
        "__se_",
        "__se_sys_",
        "__do_sys_",
        "compat_SYSC_",
        "compat_SyS_",
        "ksys_",
    ];
    let mut names: Vec<String> = WRAPPERS
        .iter()
        .filter_map(|wrapper| function.strip_prefix(wrapper))
        .filter(|rest| !rest.is_empty())
        .chain([function])
        .map(str::to_owned)
        .collect();
    names.sort_by_key(String::len);
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_its_function_without_the_compilers_suffixes() {
        for symbol in ["f", "f.isra.0", "f.part.3.cold", "f.constprop.76"] {
            assert_eq!(base_name(symbol), "f", "{symbol}");
        }
        assert_eq!(base_name("_RNvCs1234_7mycrate3foo"), "mycrate::foo");
    }

    #[test]
    fn a_system_call_goes_by_its_shortest_name() {
        assert_eq!(
            spellings("__se_sys_mremap"),
            ["mremap", "sys_mremap", "__se_sys_mremap"]
        );
        assert_eq!(
            spellings("__x64_sys_futex"),
            ["sys_futex", "__x64_sys_futex"]
        );
        assert_eq!(spellings("vfs_read"), ["vfs_read"]);
    }
}

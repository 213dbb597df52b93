//! A page's parts as templates take them: classes for tones, places within a page, paths of links.

use std::path::{Component, Path};

use crate::report::{
    boots::{BootSplat, Line, LineKind},
    escape::target,
    page::{Column, Text, Tone},
};

impl Text {
    /// The class of its tone; empty for a plain text.
    pub(super) fn class(&self) -> &'static str {
        match self.tone {
            Tone::Plain => "",
            Tone::Good => "good",
            Tone::Bad => "bad",
            Tone::Doubt => "doubt",
            Tone::Quiet => "quiet",
        }
    }
}

impl Line {
    /// The class of what it is.
    pub(super) fn class(&self) -> &'static str {
        match self.kind {
            LineKind::Heading => "h",
            LineKind::Frame => "f",
            LineKind::Place => "p",
            LineKind::Patched => "p patched",
            LineKind::Plain => "r",
        }
    }
}

/// Asked by templates, which have no way to index.
pub(super) trait Columns {
    fn is_right(&self, at: &usize) -> bool;
}

impl Columns for Vec<Column> {
    fn is_right(&self, at: &usize) -> bool {
        self.get(*at).is_some_and(|column| column.right)
    }
}

/// A link to a file beside the page, or below; none for what lies elsewhere.
pub(super) fn below(path: &str) -> Option<String> {
    let parts = Path::new(path).components();
    let stays = parts
        .clone()
        .all(|part| matches!(part, Component::Normal(_)));
    (stays && parts.count() > 0).then(|| format!("./{}", target(path)))
}

/// Where a run's page shows the splat whose evidence lies there.
pub(super) fn place(evidence: &str) -> Option<String> {
    let (boot, file) = evidence.split_once("/splats/")?;
    let name = format!("{boot}.{}", file.strip_suffix(".txt")?);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    name.chars().all(plain).then_some(name)
}

impl BootSplat {
    /// Its place on the page.
    pub(super) fn place(&self, boot: &str) -> String {
        place(&format!("{boot}/{}", self.file)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_below() {
        for (path, link) in [
            ("a-1/console.log", Some("./a-1/console.log")),
            ("a b/\"><x>", Some("./a%20b/%22%3E%3Cx%3E")),
            ("javascript:alert(1)", Some("./javascript%3Aalert%281%29")),
            ("../x", None),
            ("a/../../x", None),
            ("/etc/passwd", None),
            ("//host/x", None),
            ("", None),
        ] {
            assert_eq!(below(path).as_deref(), link, "{path:?}");
        }
    }

    #[test]
    fn places_are_plain() {
        for (evidence, name) in [
            (
                "kasan-x+tcg-1/splats/0001-kasan.txt",
                Some("kasan-x+tcg-1.0001-kasan"),
            ),
            ("kasan-x-1/console.log", None),
            ("x\" onclick=\"/splats/1.txt", None),
            ("", None),
        ] {
            assert_eq!(place(evidence).as_deref(), name, "{evidence:?}");
        }
    }
}

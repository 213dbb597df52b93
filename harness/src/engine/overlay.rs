//! Debug-only patches on top of what is compared: the classic temporary `udelay()`.

use std::path::PathBuf;

use crate::{
    Error, Result,
    engine::{Request, subject::Subject},
    judge::verdict::{Comparison, Outcome},
    patch::{self, Chooser, Series},
    plan::BASE,
};

/// `FILE`, or `VARIANT=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// The variant that it is put on, `base` among them; all without.
    pub variant: Option<String>,
    /// The patch.
    pub file: PathBuf,
}

impl Overlay {
    /// Reads the command line's form. A file of that very name, `=` and all, is one.
    pub fn parse(text: &str) -> Self {
        match text.split_once('=') {
            Some((name, file)) if !PathBuf::from(text).exists() => Self {
                variant: Some(name.to_owned()),
                file: file.into(),
            },
            _ => Self {
                variant: None,
                file: text.into(),
            },
        }
    }

    fn is_for(&self, name: &str) -> bool {
        self.variant.as_deref().is_none_or(|own| own == name)
    }
}

/// Puts the request's overlays on the variants; gives base's.
///
/// # Errors
/// One names no variant, or is no patch.
pub(super) fn put(
    request: &Request,
    subject: &mut Subject,
    choose: &mut Chooser<'_>,
) -> Result<Option<Series>> {
    for overlay in &request.overlays {
        let Some(wanted) = &overlay.variant else {
            continue;
        };
        let mut names: Vec<&str> = subject.variants.iter().map(|v| v.name.as_str()).collect();
        names.push(BASE);
        if !names.contains(&wanted.as_str()) {
            let error = Error::input(format!(
                "--overlay names no variant of this run: {wanted:?}"
            ));
            return Err(error.mend(format!("there are {}", names.join(", "))));
        }
    }
    for variant in &mut subject.variants {
        if let Some(overlay) = series(request, &variant.name, choose)? {
            let own = variant.series.patches.drain(..);
            variant.series = Series::new(own.chain(overlay.patches).collect());
        }
    }
    series(request, BASE, choose)
}

fn series(request: &Request, name: &str, choose: &mut Chooser<'_>) -> Result<Option<Series>> {
    let own = request.overlays.iter().filter(|one| one.is_for(name));
    let files: Vec<PathBuf> = own.map(|one| one.file.clone()).collect();
    match files.is_empty() {
        true => Ok(None),
        false => patch::load_choosing(&files, choose).map(Some),
    }
}

/// What was compared is not what the patch makes: never a clean verdict on its own.
pub(super) fn note(request: &Request, comparison: &mut Comparison) {
    for overlay in &request.overlays {
        let on = match &overlay.variant {
            None => "every kernel",
            Some(name) if *name == comparison.variant || *name == comparison.base => name,
            Some(_) => continue,
        };
        comparison.reasons.push(format!(
            "the debug overlay {} is on {on}: what it finds counts, and that it finds nothing does not",
            overlay.file.display()
        ));
        if comparison.outcome == Outcome::Pass {
            comparison.outcome = Outcome::Inconclusive;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let table = [
            ("d.patch", None, "d.patch"),
            ("base=d.patch", Some("base"), "d.patch"),
            ("ida=a=b.patch", Some("ida"), "a=b.patch"),
        ];
        for (text, variant, file) in table {
            let overlay = Overlay::parse(text);
            assert_eq!(overlay.variant.as_deref(), variant, "{text}");
            assert_eq!(overlay.file, PathBuf::from(file), "{text}");
        }
        assert!(Overlay::parse("d.patch").is_for("x"));
        assert!(!Overlay::parse("base=d.patch").is_for("x"));
    }
}

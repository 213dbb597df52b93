//! What there is to choose from: configs, scenarios, variants, profiles, cached kernels.

use std::fs;

use serde_json::Value;

use crate::{
    Result,
    cache::{Cache, Kind},
    engine::{Home, configs, subject},
    scenario::{self, PROFILES},
};

/// One thing to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What to type.
    pub name: String,
    /// What it is.
    pub about: String,
}

/// Everything, by heading.
#[derive(Debug, Clone, Default)]
pub struct Catalogue(Vec<(&'static str, Vec<Entry>)>);

impl Catalogue {
    /// Headings with their entries, in the order in which they are shown.
    pub fn sections(&self) -> impl Iterator<Item = (&'static str, &[Entry])> {
        self.0
            .iter()
            .map(|(heading, entries)| (*heading, entries.as_slice()))
    }
}

/// Reads the project's folders and the cache.
///
/// # Errors
/// A folder cannot be read.
pub fn read(cache: &Cache) -> Result<Catalogue> {
    let home = Home::here();
    Ok(Catalogue(vec![
        ("configs", configs(&home)?),
        ("scenarios", scenarios(&home)?),
        ("variants", variants(&home)?),
        ("profiles", profiles()),
        ("cached kernels", kernels(cache)?),
    ]))
}

fn configs(home: &Home) -> Result<Vec<Entry>> {
    let names = configs::names(&home.configs())?;
    let about = |name: &str| {
        let about = first_comment(&home.configs().join(format!("{name}.config")));
        let own = about
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(": "));
        own.map_or(about.clone(), str::to_owned)
    };
    Ok(names
        .into_iter()
        .map(|name| Entry {
            about: about(&name),
            name,
        })
        .collect())
}

fn scenarios(home: &Home) -> Result<Vec<Entry>> {
    let listed = scenario::list(&home.scenarios())?;
    Ok(listed
        .into_iter()
        .map(|l| Entry {
            about: first_comment(&l.path),
            name: l.name,
        })
        .collect())
}

fn variants(home: &Home) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for listed in fs::read_dir(home.scenarios())
        .into_iter()
        .flatten()
        .flatten()
    {
        for (name, path) in subject::known(&listed.path()) {
            let planted = path.parent().is_some_and(|p| p.ends_with("planted"));
            let about = if planted { "planted, for tests" } else { "" };
            let subject = listed.file_name();
            entries.push(Entry {
                name,
                about: format!("{} {about}", subject.to_string_lossy())
                    .trim()
                    .to_owned(),
            });
        }
    }
    Ok(entries)
}

fn profiles() -> Vec<Entry> {
    PROFILES
        .iter()
        .map(|row| Entry {
            name: row.name.into(),
            about: row.about(),
        })
        .collect()
}

fn kernels(cache: &Cache) -> Result<Vec<Entry>> {
    let kernels = cache.list()?.into_iter().filter(|e| e.kind == Kind::Kernel);
    Ok(kernels
        .map(|e| Entry {
            about: kernel(cache, &e.key),
            name: e.key.chars().take(16).collect(),
        })
        .collect())
}

/// What a cached kernel, or the folder that it was built in, is: `7.3.4 kasan, patched`.
pub fn kernel(cache: &Cache, key: &str) -> String {
    let folder = cache.folder(Kind::Kernel).join(key);
    let read = |name: &str| -> Option<Value> {
        let bytes = fs::read(folder.join(name)).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    let Some(image) = read("image.json") else {
        return "unreadable".to_owned();
    };
    let release = image["release"].as_str().unwrap_or("unreadable");
    let Some(built) = read("built.json") else {
        return release.to_owned();
    };
    let config = built["config"].as_str().unwrap_or_default();
    let patched = match built["variant"].as_bool() {
        Some(true) => ", patched",
        _ => "",
    };
    format!("{release} {config}{patched}")
}

/// The first sentence of the comment that begins a YAML file or fragment.
fn first_comment(path: &std::path::Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().map_while(|line| line.strip_prefix('#'));
    let words: Vec<&str> = lines
        .take_while(|line| !line.trim().is_empty())
        .flat_map(str::split_whitespace)
        .collect();
    let about = words.join(" ");
    let end = about.find(". ").unwrap_or(about.len());
    about[..end].trim_end_matches('.').to_owned()
}

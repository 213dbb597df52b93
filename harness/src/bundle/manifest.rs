//! `bundle.json`: what was booted, and every other member with its size and its hash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    facts::Facts,
    members::{BOOT, CONFIG, MANIFEST, RECIPE, TOOLS, VMLINUX, largest},
};
use crate::{Error, Result, hash::is_hex_sha256};

/// The `schema` of [`Manifest`].
pub(super) const SCHEMA: u32 = 1;

/// What `bundle.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 1, so far.
    pub schema: u32,
    /// The version of the ktwin that made it.
    pub ktwin: String,
    /// What was booted.
    pub boot: Facts,
    /// Every other member, by its name.
    pub members: BTreeMap<String, Member>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its size.
    pub bytes: u64,
    /// SHA-256, in hex.
    pub sha256: String,
}

#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

impl Manifest {
    /// Reads one and checks all that it says.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let failed = |e| Error::input(format!("{MANIFEST} is not as we write it")).because(e);
        let Schema { schema } = serde_json::from_slice(bytes).map_err(failed)?;
        if schema != SCHEMA {
            return Err(Error::input(format!(
                "the bundle has schema {schema}, and this ktwin reads {SCHEMA}"
            )));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(failed)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<()> {
        self.boot.check()?;
        for (name, member) in &self.members {
            let most = match largest(name) {
                Ok(most) if name != MANIFEST => most,
                Ok(_) => return Err(Error::input(format!("{MANIFEST} names itself"))),
                Err(why) => return Err(Error::input(format!("{MANIFEST}: {name:?} {why}"))),
            };
            if member.bytes > most {
                return Err(Error::input(format!(
                    "{name} has {} bytes, more than {most}",
                    member.bytes
                )));
            }
            if !is_hex_sha256(&member.sha256) {
                return Err(Error::input(format!("{name} has no SHA-256")));
            }
        }
        self.complete()
    }

    /// Whether what is there is enough for a boot.
    fn complete(&self) -> Result<()> {
        let lacks = |what: &str| Err(Error::input(format!("the bundle lacks {what}")));
        let image = [BOOT, VMLINUX].map(|name| self.has(name));
        match () {
            () if !self.has(CONFIG) => lacks("the kernel's config"),
            () if image[0] != image[1] => lacks("a half of its kernel image"),
            () if !image[0] && !self.has_recipe() => {
                lacks("both a kernel image and what the kernel was made of")
            }
            () if self.boot.runs_commands() && !self.has(TOOLS) => {
                lacks("the programs that the boot's commands run")
            }
            () => Ok(()),
        }
    }

    /// Whether it has a member of this name.
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Whether it says in full what the kernel was made of.
    pub fn has_recipe(&self) -> bool {
        self.has(&format!("{RECIPE}/source.json"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn manifest(names: &[&str]) -> Manifest {
        let member = |name: &&str| {
            let member = Member {
                bytes: 1,
                sha256: "a".repeat(64),
            };
            ((*name).to_owned(), member)
        };
        Manifest {
            schema: SCHEMA,
            ktwin: "0.1.0".into(),
            boot: super::super::facts::tests::facts(),
            members: names.iter().map(member).collect(),
        }
    }

    fn read(manifest: &Manifest) -> Result<Manifest> {
        Manifest::read(&serde_json::to_vec(manifest).unwrap())
    }

    #[test]
    fn there_is_enough_for_a_boot() {
        let table: [(&[&str], &str); 8] = [
            (&[CONFIG, BOOT, VMLINUX, TOOLS], ""),
            (&[CONFIG, "recipe/source.json", TOOLS], ""),
            (&[BOOT, VMLINUX, TOOLS], "the kernel's config"),
            (&[CONFIG, BOOT, TOOLS], "a half of its kernel image"),
            (&[CONFIG, TOOLS], "both a kernel image"),
            (&[CONFIG, BOOT, VMLINUX], "the programs"),
            (&[CONFIG, "../x"], "leads out of the bundle"),
            (&[CONFIG, MANIFEST], "names itself"),
        ];
        for (names, expected) in table {
            match read(&manifest(names)) {
                Ok(_) => assert_eq!(expected, "", "{names:?}"),
                Err(error) => {
                    assert!(
                        !expected.is_empty() && error.chain().contains(expected),
                        "{error:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn sizes_and_hashes_are_looked_at_before_anything_is_written() {
        let names = [CONFIG, BOOT, VMLINUX, TOOLS];
        let mut large = manifest(&names);
        large.members.get_mut(CONFIG).unwrap().bytes = 5 << 20;
        assert!(read(&large).unwrap_err().to_string().contains("more than"));
        let mut bare = manifest(&names);
        bare.members.get_mut(CONFIG).unwrap().sha256.clear();
        assert!(read(&bare).unwrap_err().to_string().contains("no SHA-256"));
        let mut newer = serde_json::to_value(manifest(&names)).unwrap();
        newer["schema"] = 2.into();
        newer["more"] = 1.into();
        let error = Manifest::read(&serde_json::to_vec(&newer).unwrap()).unwrap_err();
        assert!(error.to_string().contains("schema 2"), "{error}");
    }
}

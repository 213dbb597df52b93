//! Real builds in the real sandbox, of a tree in small that answers to kbuild's targets.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::{
    Error, Fault, Result,
    build::{ConfigText, Fragment, KernelImage, Origin, Sandbox, sandbox},
    cache::{Cache, Kind},
    cancel::Cancel,
    event::Unwatched,
    host::{Cmd, doctor},
    patch::{self, FileChange, Hunk, Series},
    splat::{Frame, Symbolizer},
    structures::Size,
};

const MAKEFILE: &str = r#"
CONFIG = $(O)/$(or $(KCONFIG_CONFIG),.config)
OBJECTS = $(O)/main.o $(O)/fuse.o
tinyconfig:
	echo 'CONFIG_TINY=y' > $(CONFIG)
olddefconfig:
	grep -v LOST $(CONFIG) > $(CONFIG).tmp; mv $(CONFIG).tmp $(CONFIG)
vmlinux: $(OBJECTS)
	mkdir -p $(O)/include/config; echo 7.3.0-toy > $(O)/include/config/kernel.release
	@echo "  LD      vmlinux"
	gcc -nostdlib -static -o $(O)/vmlinux $(OBJECTS)
$(O)/%.o: %.c
	@echo "  CC      $*.o"
	gcc $(KCPPFLAGS) $(KCFLAGS) -Wall -c -o $@ $(CURDIR)/$*.c
	echo 'source_$*.o := $(CURDIR)/$*.c' > $(O)/.$*.o.cmd
main.o fuse.o: %.o: $(O)/%.o ;
"#;

/// The note by which QEMU starts a kernel.
const MAIN: &str = r#"
__asm__(".section .note.pvh,\"a\",@note\n.long 4, 4, 18\n.asciz \"Xen\"\n.long 0\n.text");
void _start(void) { for (;;) ; }
"#;

struct Toy {
    dir: TempDir,
    cache: Cache,
    cancel: Cancel,
    /// Built without a sandbox.
    bare: bool,
}

impl Toy {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        let toy = Self {
            dir,
            cache,
            cancel: Cancel::new(),
            bare: false,
        };
        toy.tree("base", &[]);
        toy
    }

    /// Base's tree with some files replaced.
    fn tree(&self, name: &str, files: &[(&str, &str)]) {
        let tree = self.dir.path().join(name);
        fs::create_dir(&tree).unwrap();
        let own = [
            ("Makefile", MAKEFILE),
            ("main.c", MAIN),
            ("fuse.c", "int fuse;\n"),
            ("Kconfig", ""),
        ];
        for (file, text) in own.iter().chain(files) {
            let path = tree.join(file);
            fs::write(&path, text).unwrap();
            // As a source's: older than any build.
            let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
            fs::File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_modified(old)
                .unwrap();
        }
    }

    fn build(&self, variant: Option<(&str, &[&str])>, fragment: &str) -> Result<KernelImage> {
        self.with(variant, fragment, |builder, source, patched, config| {
            builder.kernel(source, patched, config)
        })
    }

    fn structures(&self, variant: Option<(&str, &[&str])>, file: &str) -> Result<Vec<Size>> {
        self.with(
            variant,
            "CONFIG_A=y\n",
            |builder, source, patched, config| {
                builder.structures(source, patched, config, &[file.to_owned()])
            },
        )
    }

    /// What a builder does with base's tree, or a variant's with these files patched.
    fn with<T>(
        &self,
        variant: Option<(&str, &[&str])>,
        fragment: &str,
        work: impl FnOnce(&Builder<'_>, &Source<'_>, Option<&Patched<'_>>, &ConfigText) -> Result<T>,
    ) -> Result<T> {
        let fragments = vec![Fragment {
            name: "toy.config".into(),
            text: fragment.into(),
        }];
        let config = ConfigText {
            name: "toy".into(),
            fragments,
        };
        let base = self.dir.path().join("base");
        let builder = match self.bare {
            true => Builder::within(Sandbox::None, &self.cache, &self.cancel, &Unwatched)?,
            false => Builder::new(&self.cache, &self.cancel, &Unwatched)?,
        };
        let builder = builder.reusing(&Origin::Path(&base))?;
        let source = Source {
            path: &base,
            hash: "toy",
            as_it_came: true,
        };
        let Some((name, files)) = variant else {
            return work(&builder, &source, None, &config);
        };
        let tree = self.dir.path().join(name);
        let change = |file: &&str| {
            let text = fs::read_to_string(tree.join(file)).unwrap_or_default();
            FileChange {
                new: Some((*file).into()),
                hunks: vec![Hunk {
                    added: text.lines().map(|line| (1, line.to_owned())).collect(),
                    ..Hunk::default()
                }],
                ..FileChange::default()
            }
        };
        let patch = patch::Patch {
            subject: name.into(),
            origin: name.into(),
            diff: Vec::new(),
            files: files.iter().map(change).collect(),
            mail: None,
        };
        let series = Series {
            patches: vec![patch],
            sha256: name.into(),
            ..Series::default()
        };
        let patched = Patched {
            name,
            path: &tree,
            series: &series,
        };
        work(&builder, &source, Some(&patched), &config)
    }

    fn fails(&self, name: &str, files: &[(&str, &str)]) -> Error {
        self.tree(name, files);
        let touched: Vec<_> = files.iter().map(|(file, _)| *file).collect();
        self.build(Some((name, &touched)), "CONFIG_A=y\n")
            .unwrap_err()
    }
}

fn steps(image: &KernelImage) -> u64 {
    let built = image.boot.with_file_name(history::FILE);
    let built: history::Built = serde_json::from_slice(&fs::read(built).unwrap()).unwrap();
    built.steps
}

#[test]
fn a_variant_compiles_only_what_the_patch_touches() {
    let toy = Toy::new();
    toy.tree("patched", &[("fuse.c", "int fuse; int more;\n")]);
    let base = toy.build(None, "CONFIG_A=y\n").unwrap();
    assert_eq!((steps(&base), base.release.as_str()), (3, "7.3.0-toy"));
    assert_eq!(base.compiled, ["fuse.c", "main.c"]);
    assert_eq!(
        fs::read_to_string(&base.config).unwrap(),
        "CONFIG_TINY=y\nCONFIG_A=y\n"
    );
    assert!(base.cpu_s > 0.0);

    let variant = toy
        .build(Some(("patched", &["fuse.c"])), "CONFIG_A=y\n")
        .unwrap();
    assert_eq!(steps(&variant), 2);
    assert_ne!(
        fs::read(&base.vmlinux).unwrap(),
        fs::read(&variant.vmlinux).unwrap()
    );

    // From the cache now, without base's folder.
    let key = &toy
        .cache
        .list()
        .unwrap()
        .into_iter()
        .find(|l| l.kind == Kind::BuildDir)
        .unwrap()
        .key;
    assert!(toy.cache.remove(Kind::BuildDir, key).unwrap());
    assert_eq!(
        toy.build(Some(("patched", &["fuse.c"])), "CONFIG_A=y\n")
            .unwrap(),
        variant
    );
}

#[test]
fn the_same_source_gives_the_same_image() {
    let toys = [Toy::new(), Toy::new()];
    let images = toys.each_ref().map(|toy| toy.build(None, "").unwrap());
    let [one, two] = images.each_ref().map(|i| fs::read(&i.vmlinux).unwrap());
    assert_eq!(one, two);
}

#[test]
fn without_a_sandbox_lines_are_told_from_the_trees_top_all_the_same() {
    let toy = Toy {
        bare: true,
        ..Toy::new()
    };
    let patched = "struct backing { long file; };\nvoid fuse(void) { }\n";
    toy.tree("patched", &[("fuse.c", patched)]);
    let variant: Option<(&str, &[&str])> = Some(("patched", &["fuse.c"]));
    for (variant, symbol, file) in [(None, "_start", "main.c"), (variant, "fuse", "fuse.c")] {
        let image = toy.build(variant, "CONFIG_A=y\n").unwrap();
        let prefixes = [sandbox::SOURCE, sandbox::BUILD];
        let frame = Frame {
            symbol: symbol.into(),
            offset: Some(0),
            exact: true,
            ..Frame::default()
        };
        let places = Symbolizer::load(&image.vmlinux, prefixes)
            .unwrap()
            .places(&frame);
        let files: Vec<&str> = places.iter().map(|place| place.file.as_str()).collect();
        assert_eq!(files, [file]);
        assert!(image.compiled.iter().any(|one| one == file));
    }
    let found = toy.structures(variant, "fuse.c").unwrap();
    let files: Vec<&str> = found.iter().map(|one| one.file.as_str()).collect();
    assert_eq!(files, ["fuse.c"]);
}

#[test]
fn a_compilers_own_lines_are_in_the_error() {
    let toy = Toy::new();
    let error = toy.fails(
        "broken",
        &[("fuse.c", "int fuse = \"\x1b[31m\" + nothing;\n")],
    );
    assert_eq!(error.fault(), Fault::Untestable);
    let text = error.chain();
    assert!(text.contains("fuse.c:1:"), "{text}");
    assert!(text.contains("error: 'nothing' undeclared"), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
    let log = error
        .mending()
        .unwrap()
        .strip_prefix("the whole log: ")
        .unwrap()
        .to_owned();
    assert!(fs::read_to_string(log).unwrap().contains("undeclared"));
}

#[test]
fn a_lost_line_ends_the_build() {
    let toy = Toy::new();
    let error = toy.build(None, "CONFIG_A=y\nCONFIG_LOST=y\n").unwrap_err();
    assert_eq!(error.fault(), Fault::Input);
    assert!(
        error
            .chain()
            .contains("CONFIG_LOST=y was asked for in toy.config:2, came out as n"),
        "{error}"
    );
}

#[test]
fn a_symbol_that_comes_with_the_patch_is_not_asked_of_base() {
    let toy = Toy::new();
    let takes = MAKEFILE.replace("grep -v LOST", "cat");
    let kconfig = ("Kconfig", "config LOST\n\tbool \"new\"\n");
    toy.tree("patched", &[kconfig, ("Makefile", &takes)]);
    let asked = "CONFIG_A=y\nCONFIG_LOST=y\n";
    let patched: &[&str] = &["Kconfig", "Makefile"];
    let image = toy.build(Some(("patched", patched)), asked).unwrap();
    let config = fs::read_to_string(&image.config).unwrap();
    assert!(config.contains("CONFIG_LOST=y"), "{config}");
    // Base's kernel is no other than without the line.
    toy.build(None, "CONFIG_A=y\n").unwrap();
    let listed = toy.cache.list().unwrap();
    let folders = listed.iter().filter(|one| one.kind == Kind::BuildDir);
    assert_eq!(folders.count(), 1);
    // Without the patch it is asked for in vain, and so it is of a patch that does not make it one.
    let error = toy.build(None, asked).unwrap_err();
    assert_eq!(error.fault(), Fault::Input, "{error}");
    toy.tree("seeming", &[kconfig]);
    let error = toy.build(Some(("seeming", &["Kconfig"])), asked);
    let error = error.unwrap_err();
    assert_eq!(error.fault(), Fault::Untestable, "{error}");
    assert!(
        error.chain().contains("CONFIG_LOST=y was asked for"),
        "{error}"
    );
}

#[test]
fn only_a_commit_that_does_not_compile_is_one_that_does_not_build() {
    let toy = Toy::new();
    const NO_NOTE: &str = "void _start(void) { for (;;) ; }\n";
    type Row = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
        Fault,
        &'static str,
    );
    let table: [Row; 3] = [
        (
            "broken",
            &[("fuse.c", "int fuse = nothing;\n")],
            "",
            Fault::Untestable,
            "does not build",
        ),
        (
            "unfit",
            &[],
            "CONFIG_LOST=y\n",
            Fault::Input,
            "is not configured as asked",
        ),
        (
            "unlike",
            &[("main.c", NO_NOTE)],
            "",
            Fault::Input,
            "has no PVH entry",
        ),
    ];
    for (name, files, fragment, fault, says) in table {
        toy.tree(name, files);
        let path = toy.dir.path().join(name);
        let following = Following {
            name,
            source: Source {
                path: &path,
                hash: name,
                as_it_came: true,
            },
            after: None,
        };
        let error = toy
            .with(None, fragment, |builder, _, _, config| {
                builder.following(&following, config)
            })
            .unwrap_err();
        assert_eq!(error.fault(), fault, "{name}: {}", error.chain());
        assert!(error.chain().contains(says), "{}", error.chain());
    }
}

#[test]
fn a_kernel_that_is_said_to_be_there_stays() {
    let toy = Toy::new();
    toy.build(None, "CONFIG_A=y\n").unwrap();
    let kernels = || {
        let listed = toy.cache.list().unwrap().into_iter();
        let kernels = listed.filter(|one| one.kind == Kind::Kernel);
        kernels.map(|one| one.key).collect::<Vec<_>>()
    };
    let keys = kernels();
    let remove = || toy.cache.remove(Kind::Kernel, &keys[0]).unwrap();
    toy.with(None, "CONFIG_A=y\n", |builder, source, _, config| {
        assert!(builder.has(source, config)?);
        assert!(!remove());
        assert_eq!(kernels(), keys);
        Ok(())
    })
    .unwrap();
    assert!(remove());
}

#[test]
fn makefiles_reach_nothing_beyond_their_folder() {
    let toy = Toy::new();
    let probes = "\nvmlinux: probes\nprobes:\n\
        \t@! touch $(CURDIR)/written 2>/dev/null || { echo 'x: error: source written'; exit 1; }\n\
        \t@! ls /root /home /var /etc/passwd 2>/dev/null || { echo 'x: error: host seen'; exit 1; }\n\
        \t@! grep -v -e lo: -e Inter -e face /proc/net/dev || { echo 'x: error: network'; exit 1; }\n\
        \t@! unshare -U true 2>/dev/null || { echo 'x: error: namespaces'; exit 1; }\n\
        \t@test -z \"$$CARGO$$USER\" || { echo 'x: error: environment'; exit 1; }\n";
    let makefile = format!("{MAKEFILE}{probes}");
    toy.tree("prying", &[("Makefile", &makefile)]);
    toy.build(Some(("prying", &["Makefile"])), "CONFIG_A=y\n")
        .unwrap();
    assert!(!toy.dir.path().join("prying/written").exists());
}

#[test]
fn outputs_that_are_links_are_refused() {
    let toy = Toy::new();
    for (name, output, why) in [
        ("image", "vmlinux", "does not build"),
        ("config", ".config", "the build's .config cannot be opened"),
        (
            "release",
            "include/config/kernel.release",
            "kernel.release cannot be opened",
        ),
        (
            "folder",
            "include/config",
            "kernel.release cannot be opened",
        ),
    ] {
        let trap =
            format!("\nvmlinux: real\n\trm -rf $(O)/{output}; ln -s /etc/passwd $(O)/{output}\n");
        let makefile = MAKEFILE.replace("vmlinux: $(OBJECTS)", "real: $(OBJECTS)") + &trap;
        let error = toy.fails(name, &[("Makefile", &makefile)]);
        assert!(error.chain().contains(why), "{name}: {error:?}");
        assert_eq!(error.fault(), Fault::Untestable, "{name}: {error:?}");
    }
}

#[test]
fn base_stays_as_it_was() {
    let toy = Toy::new();
    toy.build(None, "CONFIG_A=y\n").unwrap();
    let key = &toy
        .cache
        .list()
        .unwrap()
        .into_iter()
        .find(|l| l.kind == Kind::BuildDir)
        .unwrap()
        .key
        .clone();
    let folder = toy.cache.folder(Kind::BuildDir).join(key).join("build");
    let before = fs::read(folder.join("main.o")).unwrap();
    let makefile =
        format!("{MAKEFILE}\nvmlinux: spoil\nspoil: $(OBJECTS)\n\techo spoiled > $(O)/main.o\n");
    let error = toy.fails("spoiling", &[("Makefile", &makefile)]);
    assert_eq!(error.fault(), Fault::Untestable, "{error}");
    assert_eq!(fs::read(folder.join("main.o")).unwrap(), before);
}

/// All files of a kind, with what they hold.
fn files(toy: &Toy, kind: Kind) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let all = ignore::WalkBuilder::new(toy.cache.folder(kind))
        .standard_filters(false)
        .build()
        .flatten();
    let files = all.filter(|entry| entry.path().is_file());
    files
        .map(|entry| (entry.path().to_owned(), fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that was not run says so")]
fn compiled_objects_are_kept_and_no_patch_adds_to_them() {
    if doctor::find("ccache").is_none() {
        eprintln!("NOT RUN: ccache is not installed");
        return;
    }
    let toy = Toy::new();
    let first = toy.build(None, "CONFIG_A=y\n").unwrap();
    let image = fs::read(&first.vmlinux).unwrap();
    let kept = files(&toy, Kind::Objects);
    assert!(!kept.is_empty());

    let probe = "\nvmlinux: probe\nprobe:\n\
        \t@! touch /ktwin/objects/x 2>/dev/null || { echo 'x: error: written'; exit 1; }\n\
        \tCCACHE_READONLY= gcc -c -o $(O)/other.o $(CURDIR)/fuse.c\n";
    let makefile = format!("{MAKEFILE}{probe}");
    let patched = [
        ("fuse.c", "int fuse; int more;\n"),
        ("Makefile", makefile.as_str()),
    ];
    toy.tree("patched", &patched);
    toy.build(Some(("patched", &["fuse.c", "Makefile"])), "CONFIG_A=y\n")
        .unwrap();
    assert_eq!(files(&toy, Kind::Objects), kept);

    // Another build of base takes both, and the image is the same.
    for kind in [Kind::Kernel, Kind::BuildDir] {
        for listed in toy.cache.list().unwrap() {
            if listed.kind == kind {
                assert!(toy.cache.remove(kind, &listed.key).unwrap());
            }
        }
    }
    let again = toy.build(None, "CONFIG_A=y\n").unwrap();
    assert_eq!(fs::read(&again.vmlinux).unwrap(), image);
    let origin = fs::read_dir(toy.cache.folder(Kind::Objects)).unwrap();
    let origin = origin.flatten().next().unwrap().path();
    let said = Cmd::new("ccache").arg("--print-stats");
    let said = said
        .env("CCACHE_DIR", origin)
        .run_ok(&toy.cancel)
        .unwrap()
        .text();
    let hits = said.lines().filter_map(|line| {
        let (name, count) = line.split_once('\t')?;
        name.ends_with("_cache_hit")
            .then(|| count.parse::<u32>())?
            .ok()
    });
    assert_eq!(hits.sum::<u32>(), 2, "{said}");
}

#[test]
fn structures_are_seen_in_objects_of_their_own_and_kept() {
    let toy = Toy::new();
    let patched = "int fuse;\nstruct backing { long file; int id; };\n";
    toy.tree("patched", &[("fuse.c", patched)]);
    let variant: Option<(&str, &[&str])> = Some(("patched", &["fuse.c"]));
    let expected = [Size {
        name: "backing".into(),
        file: "fuse.c".into(),
        bytes: 16,
    }];
    // Before any kernel is built, and from what base's build left.
    assert_eq!(toy.structures(None, "fuse.c").unwrap(), []);
    toy.build(None, "CONFIG_A=y\n").unwrap();
    let listed = |kind: Kind| {
        let all = toy.cache.list().unwrap();
        all.into_iter()
            .filter(|l| l.kind == kind)
            .collect::<Vec<_>>()
    };
    let object = toy
        .cache
        .folder(Kind::BuildDir)
        .join(&listed(Kind::BuildDir)[0].key);
    let object = object.join("build/fuse.o");
    let before = fs::read(&object).unwrap();
    assert_eq!(toy.structures(variant, "fuse.c").unwrap(), expected);
    assert_eq!(fs::read(&object).unwrap(), before);
    assert_eq!(listed(Kind::Structures).len(), 2);

    // Nothing is compiled a second time.
    fs::write(toy.dir.path().join("patched/fuse.c"), "no C").unwrap();
    assert_eq!(toy.structures(variant, "fuse.c").unwrap(), expected);
    let error = toy.structures(variant, "gone.c").unwrap_err();
    assert!(
        error.chain().contains("toy patched structures"),
        "{error:?}"
    );
}

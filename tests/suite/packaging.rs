//! The packages that `.ci/release` makes, of a program that calls the one under test.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::temp_site::{SETLIST, TempSite};

/// Runs a program and returns what it prints.
#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_packages_hold_the_program_its_completions_and_manual() {
    let site = TempSite::empty();
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !has("dpkg-deb") || !has("git") {
        return;
    }
    site.script("setlist", &format!("exec {SETLIST} \"$@\""));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pack = Command::new(root.join(".ci/release"));
    site.set_environment(&mut pack);
    pack.arg("pack").arg(site.join("setlist")).arg("x86_64-unknown-linux-gnu").arg(site.join("out"));
    pack.env("SOURCE_DATE_EPOCH", "1790000000").env("DEB_MAINTAINER", "Ada <ada@example.org>");
    output(&mut pack);

    let version = env!("CARGO_PKG_VERSION");
    let (name, deb) = (format!("setlist-{version}-x86_64-unknown-linux-gnu"), format!("setlist_{version}_amd64.deb"));
    let folder = site.join("out");
    let in_folder = |program: &str, args: &[&str]| output(Command::new(program).args(args).current_dir(&folder));
    let sums = in_folder("sha256sum", &["--check", "SHA256SUMS"]);
    assert!(sums.contains(&format!("{name}.tar.gz: OK")) && sums.contains(&format!("{deb}: OK")), "{sums}");

    in_folder("tar", &["xzf", &format!("{name}.tar.gz")]);
    let unpacked = folder.join(&name);
    for file in [
        "setlist",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "completions/bash/setlist",
        "completions/zsh/_setlist",
        "completions/fish/setlist.fish",
        "completions/setlist.elv",
        "man/man1/setlist.1",
        "man/man1/setlist-process.1",
        "man/man7/setlist-keys.7",
    ] {
        assert!(fs::metadata(unpacked.join(file)).unwrap().len() > 0, "{file}");
    }
    assert_eq!(output(Command::new(unpacked.join("setlist")).arg("--version")), format!("setlist {version}\n"));

    let contents = in_folder("dpkg-deb", &["--contents", &deb]);
    for file in [
        "./usr/bin/setlist",
        "./usr/share/bash-completion/completions/setlist",
        "./usr/share/zsh/vendor-completions/_setlist",
        "./usr/share/fish/vendor_completions.d/setlist.fish",
        "./usr/share/man/man1/setlist.1.gz",
        "./usr/share/man/man7/setlist-filters.7.gz",
        "./usr/share/doc/setlist/copyright",
    ] {
        assert!(contents.lines().any(|line| line.ends_with(file) && line.contains("root/root")), "{file}: {contents}");
    }
    assert!(contents.contains("-rwxr-xr-x"), "{contents}");
    let control = in_folder("dpkg-deb", &["--field", &deb]);
    assert!(control.contains("Architecture: amd64\n") && control.contains("Maintainer: Ada"), "{control}");
}

#[test]
fn binstall_finds_the_package_under_its_name() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    // `{ name }-{ version }-{ target }` is the name that the other test unpacks.
    assert!(manifest.contains("{ name }-{ version }-{ target }{ archive-suffix }"), "{manifest}");
    assert!(manifest.contains("bin-dir = \"{ name }-{ version }-{ target }/{ bin }{ binary-ext }\""), "{manifest}");
}

//! What the pages of docs/ name is there.

use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether a source has a test of this name: in Rust after its attribute, in Python as a function.
fn has_test(source: &str, name: &str) -> bool {
    let mut is_marked = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_marked |= line.contains("test");
            continue;
        }
        let line = line.strip_prefix("async ").unwrap_or(line);
        let named = |keyword: &str| line.strip_prefix(keyword).and_then(|rest| rest.strip_prefix(name));
        let is_named = |keyword: &str| named(keyword).is_some_and(|rest| rest.starts_with('('));
        if is_named("def ") || is_marked && is_named("fn ") {
            return true;
        }
        is_marked = false;
    }
    false
}

/// What stands between backticks on the page.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.split('`').skip(1).step_by(2)
}

#[test]
fn every_test_that_the_threats_name_is_there() {
    let page = std::fs::read_to_string(repository().join("docs/threats.md")).unwrap();
    let named: Vec<_> = quoted(&page).filter_map(|text| text.split_once("::")).collect();
    assert!(named.len() > 100, "{} tests are named", named.len());
    for (file, name) in named {
        let source = std::fs::read_to_string(repository().join(file));
        let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(has_test(&source, name), "{file} has no test {name}");
    }
    let (_, crashes) = page.split_once("## Crash matrix").unwrap();
    let (crashes, _) = crashes.split_once("\n## ").unwrap();
    let files = std::fs::read_dir(repository().join("tests/stories/crash")).unwrap();
    let sources: Vec<_> = files
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let is_name = |text: &&str| text.contains('_') && !text.contains(['/', ' ']);
    let tests: Vec<_> = quoted(crashes).filter(is_name).collect();
    assert!(tests.len() > 20, "{} tests are named", tests.len());
    for name in tests {
        assert!(
            sources.iter().any(|source| has_test(source, name)),
            "tests/stories/crash has no test {name}"
        );
    }
}

#[test]
fn a_test_is_told_from_what_only_has_its_name() {
    assert!(has_test("#[test]\nfn a_claim() {\n", "a_claim"));
    assert!(has_test(
        "    #[tokio::test(flavor = \"x\")]\n    async fn a_claim() {\n",
        "a_claim"
    ));
    assert!(has_test("def test_it(network):\n", "test_it"));
    assert!(!has_test("#[test]\nfn a_claim_and_more() {\n", "a_claim"));
    assert!(!has_test("// a_claim\nfn a_claim() {\n", "a_claim"));
}

//! `host/SECURITY.md` against the tests that it names and the ways in that there are.

use crate::harness::workspace;
use std::fs;

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|wrong| panic!("{path}: {wrong}"))
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether a test of that name is there: `e2e/FILE::NAME`, `host/FILE::NAME` or `fuzz/TARGET`.
fn is_there(test: &str) -> bool {
    if let Some(target) = test.strip_prefix("fuzz/") {
        return workspace().join(format!("tests/fuzz/fuzz_targets/{target}.rs")).is_file();
    }
    let Some((file, name)) = test.split_once("::") else { return false };
    let path = match file.split_once('/') {
        Some(("e2e", file)) => format!("tests/e2e/{file}.rs"),
        Some(("host", file)) => format!("host/src/{file}.rs"),
        _ => return false,
    };
    let Ok(source) = fs::read_to_string(workspace().join(path)) else { return false };
    let head = format!("fn {name}(");
    // Those of `contract` are made tests by a macro that lists them.
    let mut listed =
        source.split("by_both_probes! {").skip(1).flat_map(|list| list.lines().take_while(|line| *line != "}"));
    source.split("#[test]").skip(1).any(|test| test.trim_start().starts_with(&head))
        || listed.any(|line| line.trim() == name) && source.contains(&head)
}

#[test]
fn each_way_in_names_tests_that_are_there() {
    let page = read("host/SECURITY.md");
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && !line.contains("| tried by |")).collect();
    assert!(rows.len() > 40, "{} rows", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 3, "{row}");
        let tests: Vec<&str> = quoted(cells[2]).collect();
        assert!(!tests.is_empty(), "nothing tries it: {row}");
        for test in tests {
            assert!(is_there(test), "there is no test {test}");
        }
    }
    assert!(!is_there("e2e/doors/listed::no_such_test") && !is_there("fuzz/no_such_target"));
}

#[test]
fn each_call_and_each_file_has_its_row() {
    let page = read("host/SECURITY.md");
    let calls = read("host/src/protocol/client/mod.rs");
    let mut known = 0;
    for call in calls.split("[\"v1\", \"").skip(1).filter_map(|rest| rest.split('"').next()) {
        known += 1;
        assert!(page.contains(&format!("/v1/{call}")), "SECURITY.md has no row for /v1/{call}");
    }
    assert!(known >= 5, "the calls are not where they were: {known}");
    let flags = read("host/src/config/flags.rs");
    let mut files = 0;
    for field in flags.lines().filter_map(|line| line.trim().strip_suffix(": Option<PathBuf>,")) {
        files += 1;
        let flag = format!("--{}", field.trim_start_matches("pub(super) ").replace('_', "-"));
        assert!(page.contains(&flag), "SECURITY.md has no row for {flag}");
    }
    assert!(files >= 5, "the flags are not where they were: {files}");
}

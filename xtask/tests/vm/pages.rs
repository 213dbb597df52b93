//! Pages of HTML in a real browser, where there is one.

use std::{fs, process::Command};

use crate::ktwin::{full, top};

/// What Chromium makes of a page among the golden files, opened with this query.
#[expect(
    clippy::print_stdout,
    reason = "a skipped test says so where its result stands"
)]
fn opened(page: &str, query: &str) -> Option<String> {
    let golden = top().join("harness/tests/golden/report").join(page);
    let mut text = fs::read_to_string(golden).unwrap();
    // Golden pages have these by their names.
    for part in ["page.css", "page.js"] {
        let whole = fs::read_to_string(top().join("harness/src/report/html").join(part)).unwrap();
        assert_eq!(text.matches(&format!(">{part}<")).count(), 1, "{page}");
        text = text.replace(&format!(">{part}<"), &format!(">{whole}<"));
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(page);
    fs::write(&file, text).unwrap();
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]);
    match chromium
        .arg(format!("file://{}?{query}", file.display()))
        .output()
    {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap()),
        Err(error) => {
            println!("NOT RUN: {page} in Chromium: {error}");
            None
        }
    }
}

#[test]
fn pages_sort_and_filter() {
    if !full("pages in Chromium") {
        return;
    }
    let Some(page) = opened("matrix.html", "q=slab-use-after-free&sort=took") else {
        return;
    };
    assert!(page.contains("class=\"js\""), "its script ran");
    assert!(page.contains(">2 of 8</output>"), "{page}");
    assert!(page.contains("aria-sort=\"ascending\""), "{page}");
}

#[test]
fn hostile_pages_run_nothing() {
    if !full("hostile pages in Chromium") {
        return;
    }
    for page in ["hostile.html", "matrix-hostile.html"] {
        let Some(page) = opened(page, "q=x") else {
            return;
        };
        // Our own script alone; no element and no handler of others'.
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert!(page.contains("class=\"js\""), "{page}");
        let main = page.split("<main>").nth(1).unwrap();
        let tags = main.split('<').filter_map(|part| part.split('>').next());
        for tag in tags {
            assert!(
                !tag.starts_with("img") && !tag.contains("onerror="),
                "{tag}"
            );
        }
    }
}

//! Pages of HTML in a real browser, where there is one.

use std::process::Command;

use crate::ktwin::{full, top};

/// What Chromium makes of a page among the golden files, opened with this query.
#[expect(
    clippy::print_stdout,
    reason = "a skipped test says so where its result stands"
)]
fn opened(page: &str, query: &str) -> Option<String> {
    let file = top().join("harness/tests/golden/report").join(page);
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

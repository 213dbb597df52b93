//! A page as Markdown.

use super::{
    escape::{markdown, target},
    page::{Block, Column, Page, Row, Text},
};

/// The page as Markdown.
pub(super) fn render(page: &Page) -> String {
    let blocks: Vec<String> = page.iter().map(block).collect();
    blocks.join("\n")
}

fn block(block: &Block) -> String {
    match block {
        Block::Title(word, about) => {
            format!("# {}\n\n{}.\n", text(word), sentence(&text(about)))
        }
        Block::Heading(word, about) => format!("## {}: {}\n", text(about), text(word)),
        Block::Facts(facts) => facts
            .iter()
            .map(|(name, value)| format!("- {}: {}\n", markdown(name), text(value)))
            .collect(),
        Block::Table { columns, rows } => table(columns, rows),
        Block::Plot(about, file) => {
            format!("![{}]({})\n", text(about), target(file))
        }
        Block::List(name, items) => {
            let items: String = items
                .iter()
                .map(|item| format!("- {}\n", text(item)))
                .collect();
            format!("{}:\n\n{items}", sentence(&markdown(name)))
        }
    }
}

/// Notes come in a column of their own, where any row has one.
fn table(columns: &[Column], rows: &[Row]) -> String {
    let notes = rows.iter().any(|row| !row.notes.is_empty());
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let extra = |cell: String| notes.then_some(cell);
    let head = columns.iter().map(|column| markdown(&column.name));
    let rule = columns
        .iter()
        .map(|c| if c.right { "---:" } else { "---" }.to_owned());
    let mut out = line(head.chain(extra("notes".into())).collect());
    out.push_str(&line(rule.chain(extra("---".into())).collect()));
    for row in rows {
        let cells = (0..columns.len()).map(|at| row.cells.get(at).map_or(String::new(), text));
        let said: Vec<String> = row.notes.iter().map(text).collect();
        out.push_str(&line(cells.chain(extra(said.join("<br>"))).collect()));
    }
    out
}

fn text(text: &Text) -> String {
    markdown(&text.text)
}

/// With a capital letter at its start.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

//! A page on a terminal.

use super::{
    escape::terminal_line,
    page::{Block, Column, Page, Row, Text, Tone},
};

/// Rows that are not vital are shown up to this many in a table; the files hold the rest.
const TERSE: usize = 6;

/// The page as text, with colours if the terminal takes them.
pub(super) fn render(page: &Page, colour: bool) -> String {
    let out = Out { colour };
    let mut text = String::new();
    let shown: Vec<&Block> = page
        .iter()
        .filter(|block| !matches!(block, Block::Plot(..)))
        .collect();
    for (at, block) in shown.iter().copied().enumerate() {
        // Facts and reasons stand close to the heading that they are about.
        let before = at.checked_sub(1).map(|before| shown[before]);
        let close = matches!(
            (block, before),
            (Block::Facts(_) | Block::List(..), Some(Block::Heading(..)))
                | (Block::List(..), Some(Block::Facts(_)))
        );
        if at > 0 && !close {
            text.push('\n');
        }
        text.push_str(&out.block(block));
    }
    text
}

struct Out {
    colour: bool,
}

impl Out {
    fn block(&self, block: &Block) -> String {
        match block {
            Block::Title(word, about) | Block::Heading(word, about) => {
                format!("{}  {}\n", self.strong(word), self.text(about))
            }
            Block::Facts(facts) => {
                let wide = facts.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
                facts
                    .iter()
                    .map(|(name, value)| {
                        format!("  {}  {}\n", fill(name, wide, false), self.text(value))
                    })
                    .collect()
            }
            Block::Table { columns, rows } => self.table(columns, rows),
            Block::Plot(..) => String::new(),
            Block::List(name, items) => {
                let items: String = items
                    .iter()
                    .map(|item| format!("    - {}\n", self.text(item)))
                    .collect();
                format!("  {}:\n{items}", terminal_line(name))
            }
        }
    }

    fn table(&self, columns: &[Column], rows: &[Row]) -> String {
        let (shown, left) = terse(rows);
        let cell = |row: &Row, at: usize| row.cells.get(at).cloned().unwrap_or_default();
        let widths: Vec<usize> = columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let cells = shown.iter().map(|row| width(&cell(row, at).text));
                cells.chain([width(&column.name)]).max().unwrap_or(0)
            })
            .collect();
        let line = |texts: Vec<Text>| {
            let parts: Vec<String> = texts
                .iter()
                .zip(columns.iter().zip(&widths))
                .enumerate()
                .map(|(at, (text, (column, wide)))| {
                    let last = at + 1 == columns.len() && !column.right;
                    let filled = fill(&text.text, if last { 0 } else { *wide }, column.right);
                    self.paint(&filled, text.tone)
                })
                .collect();
            format!("  {}\n", parts.join("  "))
        };
        let head = columns
            .iter()
            .map(|c| Text::toned(c.name.as_str(), Tone::Quiet));
        let mut out = line(head.collect());
        for row in shown {
            out.push_str(&line((0..columns.len()).map(|at| cell(row, at)).collect()));
            for note in &row.notes {
                out.push_str(&format!("      {}\n", self.text(note)));
            }
        }
        if left > 0 {
            out.push_str(&format!("  and {left} more, in report.md\n"));
        }
        out
    }

    fn text(&self, text: &Text) -> String {
        self.paint(&terminal_line(&text.text), text.tone)
    }

    fn strong(&self, text: &Text) -> String {
        let word = terminal_line(&text.text).to_uppercase();
        match self.colour {
            true => format!("\u{1b}[1m{}\u{1b}[0m", self.paint(&word, text.tone)),
            false => word,
        }
    }

    /// Takes text that is escaped already.
    fn paint(&self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => 32,
            Tone::Bad => 31,
            Tone::Doubt => 33,
            Tone::Quiet => 2,
        };
        match self.colour && !text.is_empty() {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

/// All vital rows, the first few others, and how many were left out.
fn terse(rows: &[Row]) -> (Vec<&Row>, usize) {
    let mut others = 0;
    let shown: Vec<&Row> = rows
        .iter()
        .filter(|row| {
            others += usize::from(!row.vital);
            row.vital || others <= TERSE
        })
        .collect();
    let left = rows.len() - shown.len();
    (shown, left)
}

/// Escaped, and filled up with blanks.
fn fill(text: &str, wide: usize, right: bool) -> String {
    let text = terminal_line(text);
    match right {
        true => format!("{text:>wide$}"),
        false => format!("{text:<wide$}"),
    }
}

fn width(text: &str) -> usize {
    terminal_line(text).chars().count()
}

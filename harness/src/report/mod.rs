//! Reports: a verdict for the terminal, as Markdown, as JSON.

//! What a page is made of, whatever shows it. Texts are as they came: each format escapes them.

/// How a text is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// As any other.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// A regression.
    Bad,
    /// Not certain.
    Doubt,
    /// Of less weight.
    Quiet,
}

/// A text and its tone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) tone: Tone,
}

impl Text {
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Numbers stand to the right.
    pub(super) right: bool,
}

impl Column {
    pub(super) fn left(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            right: false,
        }
    }

    pub(super) fn right(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            right: true,
        }
    }
}

/// A row of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) cells: Vec<Text>,
    /// What there is to say about it.
    pub(super) notes: Vec<Text>,
    /// Shown even where room is short.
    pub(super) vital: bool,
}

/// A part of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Block {
    /// The page's own heading: a word, and what it is about.
    Title(Text, Text),
    /// A part's heading: the same.
    Heading(Text, Text),
    /// Names and values.
    Facts(Vec<(String, Text)>),
    /// Rows of the same shape.
    Table {
        columns: Vec<Column>,
        rows: Vec<Row>,
    },
    /// Sentences under a heading of their own.
    List(String, Vec<Text>),
    /// A plot: what it shows, and its file. What cannot show it leaves it out.
    Plot(Text, String),
}

/// A whole page.
pub(super) type Page = Vec<Block>;

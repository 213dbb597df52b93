//! The agent's bytes, cut into messages; no line grows past its limit (pure).

use protocol::{GuestMessage, decode};

/// A line, or what came in its place.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A message, and the length of its line.
    Message(Box<GuestMessage>, usize),
    /// None, and why.
    NoMessage(String),
}

/// Cuts lines.
#[derive(Debug)]
pub struct Lines {
    partial: Vec<u8>,
    limit: usize,
    broken: bool,
}

impl Lines {
    /// With lines of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            partial: Vec::new(),
            limit,
            broken: false,
        }
    }

    /// Takes the next bytes. After the first line that is no message, nothing more comes.
    pub fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(Line)) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            if self.broken {
                return;
            }
            if self.partial.len() + piece.len() > self.limit {
                self.end(
                    each,
                    format!("the agent sent a line of more than {} bytes", self.limit),
                );
                return;
            }
            self.partial.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                continue;
            }
            match decode::<GuestMessage>(&self.partial) {
                Ok(message) => each(Line::Message(Box::new(message), self.partial.len())),
                Err(error) => {
                    let why = format!(
                        "the agent sent what is no message ({}): {}",
                        cause(&error),
                        self.start()
                    );
                    self.end(each, why);
                    return;
                }
            }
            self.partial.clear();
        }
    }

    fn end(&mut self, each: &mut impl FnMut(Line), why: String) {
        self.broken = true;
        self.partial = Vec::new();
        each(Line::NoMessage(why));
    }

    /// The line's beginning, safe to show.
    fn start(&self) -> String {
        let shown = &self.partial[..self.partial.len().min(120)];
        shown.escape_ascii().to_string()
    }
}

fn cause(error: &protocol::LineError) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(pieces: &[&[u8]]) -> Vec<Line> {
        let mut lines = Lines::new(64);
        let mut got = Vec::new();
        for piece in pieces {
            lines.feed(piece, &mut |line| got.push(line));
        }
        got
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let text = b"{\"type\":\"finished\"}\n{\"type\":\"finished\"}\n";
        let finished = || Line::Message(Box::new(GuestMessage::Finished), 20);
        assert_eq!(feed(&[text]), [finished(), finished()]);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(feed(&bytes), [finished(), finished()]);
        assert_eq!(feed(&[&text[..19]]), [], "not ended yet");
    }

    #[test]
    fn nothing_comes_after_what_is_no_message() {
        let table: [(&[&[u8]], &str); 4] = [
            (&[b"\x1b[31mhi\n{\"type\":\"finished\"}\n"], "\\x1b[31mhi"),
            (&[&[b'x'; 65]], "more than 64 bytes"),
            (&[&[b'x'; 40], &[b'x'; 25], b"\n"], "more than 64 bytes"),
            (&[b"{\"type\":\"dance\"}\n"], "unknown variant `dance`"),
        ];
        for (pieces, expected) in table {
            let got = feed(pieces);
            assert!(
                matches!(&got[..], [Line::NoMessage(why)] if why.contains(expected)),
                "{expected}: {got:?}"
            );
        }
    }
}

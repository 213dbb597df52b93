//! Everything in one input that may be meant as a patch.

use super::{
    diff::{self, FileDiff},
    head::MailHead,
    html,
    hunk::Malformed,
    mail::{self, Mail},
    mbox, page, reader,
    series::Patch,
    subject::Subject,
};
use crate::{Error, Result};

/// A text with a diff in it.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) subject: Subject,
    /// `my.mbox, mail 3`.
    pub(super) origin: String,
    /// Stands in its series' own order already.
    pub(super) ordered: bool,
    /// The headers of the mail that it came in.
    head: Option<MailHead>,
    files: std::result::Result<Vec<FileDiff>, Malformed>,
    /// What to add to a line's number to find it in the file; none where the text was decoded.
    before: Option<usize>,
}

/// What an input was found to hold.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) candidates: Vec<Candidate>,
    /// A cover letter was seen, and passed over.
    pub(super) cover: bool,
    /// The headers of cover letters that can be answered.
    pub(super) letters: Vec<MailHead>,
}

/// Compressed files, by their first bytes, and what unpacks them.
const COMPRESSED: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "gunzip"),
    (b"\xfd7zXZ\0", "unxz"),
    (b"\x28\xb5\x2f\xfd", "unzstd"),
    (b"BZh", "bunzip2"),
    (b"PK\x03\x04", "unzip"),
];

/// Attachments may be mails with attachments; deeper than this nobody means one.
const DEPTH: usize = 3;

/// Reads a file's bytes in whatever form they are.
///
/// # Errors
/// It is no text.
pub(super) fn gather(name: &str, bytes: &[u8]) -> Result<Found> {
    if let Some((_, tool)) = COMPRESSED
        .iter()
        .find(|(magic, _)| bytes.starts_with(magic))
    {
        let message = format!("{name} is compressed");
        return Err(Error::input(message).mend(format!("unpack it with {tool}")));
    }
    if bytes.contains(&0) {
        return Err(Error::input(format!(
            "{name} is no text: it holds zero bytes"
        )));
    }
    let mut found = Found::default();
    gather_into(
        name,
        bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes),
        0,
        &mut found,
    );
    Ok(found)
}

fn gather_into(name: &str, bytes: &[u8], depth: usize, found: &mut Found) {
    if let Some(mails) = mbox::split(bytes) {
        let several = mails.len() > 1;
        for (n, raw) in mails.iter().enumerate() {
            let origin = numbered(name, n, several);
            let mail = mail::read(raw.bytes);
            let before = mail.body_line.map(|l| l + raw.before);
            take_mail(
                found,
                mail,
                Place {
                    origin,
                    before,
                    ordered: raw.from_git,
                    depth,
                },
            );
        }
        return;
    }
    if html::is_page(bytes) {
        return gather_page(name, &html::to_text(bytes), None, depth, found);
    }
    if html::has_entities(bytes) {
        return gather_page(name, &html::decode_entities(bytes), Some(0), depth, found);
    }
    gather_page(name, bytes, Some(0), depth, found);
}

fn gather_page(name: &str, text: &[u8], before: Option<usize>, depth: usize, found: &mut Found) {
    let pieces = page::split(text);
    if pieces.is_empty() {
        let mail = Mail {
            subject: leading_subject(text).unwrap_or_default(),
            readings: vec![text.to_vec()],
            ..Mail::default()
        };
        return take_mail(
            found,
            mail,
            Place {
                origin: name.to_owned(),
                before,
                ordered: false,
                depth,
            },
        );
    }
    let several = pieces.len() > 1;
    for (n, piece) in pieces.iter().enumerate() {
        let origin = numbered(name, n, several);
        let (mail, before) = match piece.whole {
            Some(whole) => {
                let mail = mail::read(whole);
                let body = mail.body_line;
                (
                    mail,
                    before.zip(body).map(|(b, body)| b + piece.before + body),
                )
            }
            None => {
                let mail = Mail {
                    subject: piece.subject.clone(),
                    head: MailHead::read(piece.head),
                    readings: vec![piece.body.to_vec()],
                    ..Mail::default()
                };
                (mail, before.map(|b| b + piece.before))
            }
        };
        take_mail(
            found,
            mail,
            Place {
                origin,
                before,
                ordered: false,
                depth,
            },
        );
    }
}

/// Where a mail stands.
struct Place {
    origin: String,
    before: Option<usize>,
    ordered: bool,
    depth: usize,
}

fn take_mail(found: &mut Found, mail: Mail, place: Place) {
    let subject = Subject::parse(&mail.subject);
    if subject.is_cover() && !subject.reply {
        found.cover = true;
        found.letters.extend(mail.head);
        return;
    }
    let parsed: Vec<_> = mail
        .readings
        .iter()
        .map(|text| reader::parse(text))
        .collect();
    let good = parsed
        .iter()
        .position(|p| p.as_ref().is_ok_and(|files| !files.is_empty()));
    // Without a good reading the first says what is wrong.
    let chosen = good.unwrap_or(0);
    let before = place.before.filter(|_| chosen + 1 == mail.readings.len());
    let files = parsed.into_iter().nth(chosen);
    if let Some(files) = files.filter(|f| f.as_ref().map_or(true, |files| !files.is_empty())) {
        found.candidates.push(Candidate {
            subject,
            origin: place.origin.clone(),
            ordered: place.ordered,
            head: mail.head.clone(),
            files,
            before,
        });
    }
    if place.depth < DEPTH {
        for (name, text) in &mail.attached {
            let name = format!("{}, attached {}", place.origin, name.escape_debug());
            gather_into(&name, text, place.depth + 1, found);
        }
    }
}

fn numbered(name: &str, n: usize, several: bool) -> String {
    if several {
        format!("{name}, mail {}", n + 1)
    } else {
        name.to_owned()
    }
}

/// The subject of a patch that quilt or a person wrote: headers without a date.
fn leading_subject(text: &[u8]) -> Option<String> {
    let head = text.split(|&b| b == b'\n').take(20);
    let mut head = head.take_while(|l| !l.starts_with(b"diff ") && !l.starts_with(b"--- "));
    let line = head.find_map(|l| l.strip_prefix(b"Subject: "))?;
    Some(String::from_utf8_lossy(line).trim().to_owned())
}

impl Candidate {
    /// What it is called in a list.
    pub(super) fn title(&self) -> &str {
        if self.subject.title.is_empty() {
            &self.origin
        } else {
            &self.subject.title
        }
    }

    /// The same change as another.
    pub(super) fn same_change(&self, other: &Self) -> bool {
        self.files == other.files
    }

    /// The patch.
    ///
    /// # Errors
    /// Where and why it cannot be read.
    pub(super) fn patch(&self) -> Result<Patch> {
        let files = self.files.as_ref().map_err(|bad| {
            let place = match self.before {
                Some(before) => format!("{}, line {}", self.origin, before + bad.line + 1),
                None => format!("{}, line {} of its decoded text", self.origin, bad.line + 1),
            };
            Error::input(format!("{place}: {}", bad.what)).mend(bad.mend)
        })?;
        Ok(Patch {
            subject: self.title().to_owned(),
            origin: self.origin.clone(),
            diff: diff::emit(files),
            files: files.iter().map(FileDiff::change).collect(),
            mail: self.head.clone(),
        })
    }
}

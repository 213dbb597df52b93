//! The headers of a patch's mail, as far as an answer to it needs them.

use std::sync::LazyLock;

use mailparse::{MailHeader, MailHeaderMap};
use regex::Regex;
use serde::{Deserialize, Serialize};

/// A mail that a patch, or a series' cover letter, came in. Texts are decoded and foreign.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailHead {
    /// With its angle brackets.
    pub message_id: String,
    /// The subject line, tags and all.
    pub subject: String,
    /// Who sent it.
    pub from: String,
    /// To whom: the `To` and `Cc` headers, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// The ids of the mails before it in its thread.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
}

/// Longer values are cut there: a header's length is nobody's to choose.
const LONGEST: usize = 4096;
/// So many headers of a name, and ids, are read.
const MOST: usize = 100;

static ID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"<[!-;=?-~]{1,250}@[!-;=?-~]{1,250}>").expect("a fixed pattern"));

impl MailHead {
    /// Reads headers, in a mail or alone; none without an id that can be answered to.
    pub(super) fn read(raw: &[u8]) -> Option<Self> {
        let (headers, _) = mailparse::parse_headers(raw).ok()?;
        Self::of(&headers)
    }

    pub(super) fn of(headers: &[MailHeader<'_>]) -> Option<Self> {
        let all = |name: &str| {
            let values = headers.get_all_values(name).into_iter().take(MOST);
            values.map(|mut value| {
                value.truncate(value.floor_char_boundary(LONGEST));
                value
            })
        };
        let first = |name: &str| all(name).next().unwrap_or_default();
        Some(Self {
            message_id: ids(&first("Message-ID")).into_iter().next()?,
            subject: first("Subject"),
            from: first("From"),
            to: all("To").chain(all("Cc")).collect(),
            references: match first("References") {
                text if text.is_empty() => ids(&first("In-Reply-To")),
                text => ids(&text),
            },
        })
    }
}

fn ids(text: &str) -> Vec<String> {
    let found = ID.find_iter(text).take(MOST);
    found.map(|id| id.as_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_needs() {
        let raw = b"From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\nTo: list@example.org\n\
                    Cc: a@example.org,\n b@example.org\nSubject: [PATCH v2\n 1/2] fuse: x\n\
                    Message-Id: <2.1@example.org>\nIn-Reply-To: <2.0@example.org>\n\nbody\n";
        assert_eq!(
            MailHead::read(raw).unwrap(),
            MailHead {
                message_id: "<2.1@example.org>".into(),
                subject: "[PATCH v2 1/2] fuse: x".into(),
                from: "J\u{f6}rg <j@example.org>".into(),
                to: vec![
                    "list@example.org".into(),
                    "a@example.org, b@example.org".into()
                ],
                references: vec!["<2.0@example.org>".into()],
            }
        );
    }

    #[test]
    fn what_cannot_be_answered() {
        for raw in [
            "Subject: x\n\nMessage-ID: <in@the.body>\n",
            "Message-ID: none\n\n",
            "Message-ID: <no at>\n\n",
            "Message-ID: <a\r\n@b>\n\n",
            "",
        ] {
            assert_eq!(MailHead::read(raw.as_bytes()), None, "{raw:?}");
        }
    }

    #[test]
    fn headers_of_any_length_are_cut() {
        let raw = format!("Message-ID: <a@b>\nSubject: {}\n\n", "\u{fc}".repeat(9000));
        assert!(MailHead::read(raw.as_bytes()).unwrap().subject.len() <= LONGEST);
    }
}

//! One mail: its subject, and the texts in it that may hold a diff, decoded.

use mailparse::{DispositionType, MailHeaderMap, ParsedMail, parse_mail};

use super::{flowed::unflow, head::MailHead, html};

/// A mail, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mail {
    /// The subject line, decoded; empty without one.
    pub(super) subject: String,
    /// What an answer to it needs; none where it cannot be answered.
    pub(super) head: Option<MailHead>,
    /// The body: readings of the same text, the likeliest first.
    pub(super) readings: Vec<Vec<u8>>,
    /// Attached texts with their file names.
    pub(super) attached: Vec<(String, Vec<u8>)>,
    /// How many lines of the mail stand before its body, where the body is as it stands there.
    pub(super) body_line: Option<usize>,
}

/// Endings of attachments that are read as text whatever their type says.
const PATCH_ENDINGS: &[&str] = &[".patch", ".diff", ".txt", ".eml", ".mbox"];

/// Reads a mail; what cannot be read as one is a body alone.
pub(super) fn read(raw: &[u8]) -> Mail {
    let Ok(parsed) = parse_mail(raw) else {
        return Mail {
            readings: vec![raw.to_vec()],
            body_line: Some(0),
            ..Mail::default()
        };
    };
    let mut mail = Mail {
        subject: parsed
            .headers
            .get_first_value("Subject")
            .unwrap_or_default(),
        head: MailHead::of(&parsed.headers),
        ..Mail::default()
    };
    let mut texts: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut pages = Vec::new();
    for part in parsed.parts().filter(|p| p.subparts.is_empty()) {
        let Some(text) = decoded(part) else { continue };
        let kind = part.ctype.mimetype.as_str();
        match file_name(part) {
            Some(name)
                if kind.starts_with("text/") || PATCH_ENDINGS.iter().any(|e| name.ends_with(e)) =>
            {
                mail.attached.push((name, text));
            }
            Some(_) => {}
            None if kind == "text/html" => pages.push(html::to_text(&text)),
            None if kind.starts_with("text/") => texts.push(readings(part, text)),
            None => {}
        }
    }
    mail.readings = match texts.len() {
        0 => vec![pages.concat()],
        1 => texts.remove(0),
        // Several inline texts are one body; each in its likeliest reading.
        _ => vec![
            texts
                .into_iter()
                .filter_map(|r| r.into_iter().next())
                .collect::<Vec<_>>()
                .join(&b'\n'),
        ],
    };
    mail.body_line = body_line(raw, &mail.readings);
    mail
}

/// The readings of a text part.
fn readings(part: &ParsedMail<'_>, text: Vec<u8>) -> Vec<Vec<u8>> {
    let param = |name: &str, value: &str| {
        let found = part.ctype.params.get(name);
        found.is_some_and(|v| v.eq_ignore_ascii_case(value))
    };
    if !param("format", "flowed") {
        return vec![text];
    }
    // Some mailers say flowed, and are not.
    vec![unflow(&text, param("delsp", "yes")), text]
}

/// A part's bytes, as UTF-8 where it names another character set.
fn decoded(part: &ParsedMail<'_>) -> Option<Vec<u8>> {
    let charset = part.ctype.charset.to_ascii_lowercase();
    if ["utf-8", "utf8", "us-ascii", "ascii"].contains(&charset.as_str()) {
        part.get_body_raw().ok()
    } else {
        part.get_body().ok().map(String::into_bytes)
    }
}

fn file_name(part: &ParsedMail<'_>) -> Option<String> {
    let disposition = part.get_content_disposition();
    let name = disposition
        .params
        .get("filename")
        .or_else(|| part.ctype.params.get("name"));
    match name {
        Some(name) => Some(name.clone()),
        None => {
            (disposition.disposition == DispositionType::Attachment).then(|| "attachment".into())
        }
    }
}

/// Where the body begins, if the mail holds it undecoded.
fn body_line(raw: &[u8], readings: &[Vec<u8>]) -> Option<usize> {
    let body = readings.last()?;
    let at = raw.len().checked_sub(body.len())?;
    (!body.is_empty() && raw[at..] == body[..])
        .then(|| memchr::memchr_iter(b'\n', &raw[..at]).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn encodings_are_undone() {
        let table = [
            ("Subject: s\n\n+a\n", "+a\n"),
            (
                "Subject: s\nContent-Transfer-Encoding: quoted-printable\n\n+a =3D b=\nc\n",
                "+a = bc\n",
            ),
            (
                "Subject: s\nContent-Transfer-Encoding: base64\n\nK2EgPSBiCg==\n",
                "+a = b\n",
            ),
            (
                "Subject: s\nContent-Type: text/plain; charset=utf-8; format=flowed\n\n  a\n+b \nc\n",
                " a\n+b c\n",
            ),
            (
                "Subject: s\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\n+a\n",
                "+a\n",
            ),
            (
                "Subject: s\nContent-Type: text/html\n\n<pre>+a &lt; b\n</pre>",
                "+a < b\n",
            ),
        ];
        for (raw, expected) in table {
            let mail = read(raw.as_bytes());
            assert_eq!(mail.subject, "s", "{raw}");
            // Quoted-printable lines come out with CRLF, which the diff's reader undoes.
            assert_eq!(text(&mail.readings[0]).replace('\r', ""), expected, "{raw}");
        }
    }

    #[test]
    fn subjects_are_decoded_and_unfolded() {
        let mail = read(b"Subject: =?utf-8?q?=5BPATCH=5D_f=C3=BCr?=\n\tx\n\n");
        assert_eq!(mail.subject, "[PATCH] f\u{fc}r x");
    }

    #[test]
    fn attachments_stand_apart_and_alternatives_are_not_read_twice() {
        let raw = "Subject: s\nContent-Type: multipart/mixed; boundary=B\n\n\
                   --B\nContent-Type: multipart/alternative; boundary=C\n\n\
                   --C\nContent-Type: text/plain\n\nhello\n--C\nContent-Type: text/html\n\n<p>hello\n--C--\n\
                   --B\nContent-Type: application/octet-stream; name=\"x.patch\"\nContent-Transfer-Encoding: base64\n\nK2EK\n\
                   --B\nContent-Type: image/png; name=x.png\n\nno\n--B--\n";
        let mail = read(raw.as_bytes());
        assert_eq!(text(&mail.readings[0]), "hello");
        assert_eq!(mail.attached, [("x.patch".to_owned(), b"+a\n".to_vec())]);
    }

    #[test]
    fn the_bodys_place_is_known_where_it_stands_as_it_is() {
        assert_eq!(read(b"Subject: s\nFrom: x\n\n+a\n").body_line, Some(3));
        let encoded = b"Subject: s\nContent-Transfer-Encoding: base64\n\nK2EK\n";
        assert_eq!(read(encoded).body_line, None);
    }
}

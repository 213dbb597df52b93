//! `format=flowed` mails (RFC 3676): lines that a mailer broke are joined again.

/// Joins flowed lines. `delsp` removes the blank before each soft break, as the mail's header says.
pub(super) fn unflow(text: &[u8], delsp: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut joins = false;
    for line in text.split_inclusive(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let quoted = line.starts_with(b">");
        // Only lines of one paragraph join; a quoted line is a paragraph of its own here, as
        // quotes are not read anyway.
        if joins && quoted {
            out.push(b'\n');
        }
        // A sender stuffs lines that begin with a blank (or `>`, or `From `) with one more.
        let line = line.strip_prefix(b" ").unwrap_or(line);
        let soft = line.ends_with(b" ") && line != b"-- " && !quoted;
        let kept = if soft && delsp {
            &line[..line.len() - 1]
        } else {
            line
        };
        out.extend_from_slice(kept);
        if !soft {
            out.push(b'\n');
        }
        joins = soft;
    }
    if joins {
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_breaks() {
        let table: [(&str, bool, &str); 6] = [
            ("a \nb\n", false, "a b\n"),
            ("a \nb\n", true, "ab\n"),
            (
                "  context\n+added \nwrapped\n",
                false,
                " context\n+added wrapped\n",
            ),
            ("-- \nme\n", false, "-- \nme\n"),
            ("a \n> quoted\nb\n", false, "a \n> quoted\nb\n"),
            ("a \r\nb \r\n", false, "a b \n"),
        ];
        for (text, delsp, expected) in table {
            let got = String::from_utf8(unflow(text.as_bytes(), delsp)).unwrap();
            assert_eq!(got, expected, "{text:?}");
        }
    }
}

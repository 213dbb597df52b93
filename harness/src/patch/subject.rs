//! A mail's subject line: reply or not, version, place in the series, title.

/// What a subject says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Subject {
    /// `Re:` and its kin.
    pub(super) reply: bool,
    /// `v2`, or `PATCHv2`; none where it is not said.
    pub(super) version: Option<u32>,
    /// `n/m`.
    pub(super) number: Option<(u32, u32)>,
    /// What is left.
    pub(super) title: String,
}

const REPLIES: &[&str] = &["re:", "aw:", "sv:", "fwd:", "fw:"];

impl Subject {
    /// Reads a decoded subject line.
    pub(super) fn parse(text: &str) -> Self {
        let mut subject = Self::default();
        let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut rest = joined.as_str();
        loop {
            let prefix = REPLIES.iter().find(|p| {
                rest.get(..p.len())
                    .is_some_and(|s| s.eq_ignore_ascii_case(p))
            });
            if let Some(prefix) = prefix {
                subject.reply = true;
                rest = rest[prefix.len()..].trim_start();
            } else if let Some((tags, after)) =
                rest.strip_prefix('[').and_then(|r| r.split_once(']'))
            {
                if !subject.take(tags) {
                    break;
                }
                rest = after.trim_start();
            } else {
                break;
            }
        }
        subject.title = rest.to_owned();
        subject
    }

    /// A cover letter's.
    pub(super) fn is_cover(&self) -> bool {
        matches!(self.number, Some((0, _)))
    }

    /// Takes what stands in brackets; false if it is no patch's tag.
    fn take(&mut self, tags: &str) -> bool {
        let mut known = false;
        for word in tags.split(|c: char| c.is_whitespace() || c == ',') {
            let upper = word.to_ascii_uppercase();
            let after = upper
                .strip_prefix("PATCH")
                .or_else(|| upper.strip_prefix("RFC"));
            known |= after.is_some();
            let after = after.unwrap_or(&upper);
            if let Some(version) = after.strip_prefix('V').and_then(|v| v.parse().ok()) {
                self.version = Some(version);
                known = true;
            }
            let number = word.split_once('/').map(|(n, m)| (n.parse(), m.parse()));
            if let Some((Ok(n), Ok(m))) = number {
                self.number = Some((n, m));
                known = true;
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        let table = [
            ("[PATCH] fuse: x", false, None, None, "fuse: x"),
            (
                "[PATCH v3 02/10] fuse: x",
                false,
                Some(3),
                Some((2, 10)),
                "fuse: x",
            ),
            ("[PATCHv2] fuse: x", false, Some(2), None, "fuse: x"),
            ("[RFC PATCH 0/2] fuse", false, None, Some((0, 2)), "fuse"),
            ("[RFCv4,1/2] fuse", false, Some(4), Some((1, 2)), "fuse"),
            (
                "[net-next] [PATCH] x",
                false,
                None,
                None,
                "[net-next] [PATCH] x",
            ),
            ("[PATCH fuse-next 1/1] x", false, None, Some((1, 1)), "x"),
            ("Re: [PATCH v2 1/2] x", true, Some(2), Some((1, 2)), "x"),
            ("RE: Fwd: x", true, None, None, "x"),
            (
                "[PATCH] a\n  folded line",
                false,
                None,
                None,
                "a folded line",
            ),
            ("[PATCH broken", false, None, None, "[PATCH broken"),
        ];
        for (text, reply, version, number, title) in table {
            let title = title.to_owned();
            assert_eq!(
                Subject::parse(text),
                Subject {
                    reply,
                    version,
                    number,
                    title
                },
                "{text}"
            );
        }
    }
}

//! A verdict as an answer to the patch's mail, ready to be sent.

use std::fmt::Write;

use super::{
    boots::{self, Boot},
    content,
    escape::{mail_header, mail_line, terminal_line},
    page::{Block, Page},
    term, words,
};
use crate::{
    Error, Result,
    judge::verdict::{Outcome, Verdict},
    patch::MailHead,
};

/// Lines of a trace that are shown.
const TRACE: usize = 40;

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    name: String,
    address: String,
}

impl Identity {
    /// Reads `NAME <ADDRESS>`.
    ///
    /// # Errors
    /// Bad input: it is not of that form, or holds what no header may.
    pub fn parse(text: &str) -> Result<Self> {
        let parts = text
            .trim()
            .strip_suffix('>')
            .and_then(|text| text.split_once('<'));
        let (name, address) = parts.unwrap_or_default();
        let (name, address) = (name.trim().trim_matches('"'), address.trim());
        let whole = name.chars().chain(address.chars());
        let fits = whole
            .clone()
            .all(|c| !c.is_control() && !"<>\"".contains(c));
        let plain = address.bytes().all(|b| b.is_ascii_graphic() && b != b',');
        if name.is_empty() || !fits || !plain || !address.contains('@') {
            let error = Error::input(format!("{text:?} names nobody"));
            return Err(error.mend("write NAME <ADDRESS>"));
        }
        Ok(Self {
            name: name.to_owned(),
            address: address.to_owned(),
        })
    }

    fn header(&self) -> String {
        mailbox(&self.name, &self.address)
    }
}

/// The mail.
///
/// # Errors
/// Bad input: the run tested no patch.
pub(super) fn render(verdict: &Verdict, boots: &[Boot], from: &Identity) -> Result<String> {
    if verdict.patch.sha256.is_empty() {
        let error = Error::input("the run tested no patch: there is nothing to answer");
        return Err(error.mend("another --format shows it"));
    }
    let mut out = String::new();
    let mut header = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{name}: {value}");
        }
    };
    header("From", &from.header());
    match verdict.patch.mails.first() {
        Some(mail) => answer(&mut header, mail, from),
        None => header("Subject", &mail_header(&subject(verdict))),
    }
    header("MIME-Version", "1.0");
    header("Content-Type", "text/plain; charset=UTF-8");
    header("Content-Transfer-Encoding", "8bit");
    out.push('\n');
    for line in body(verdict, boots).lines() {
        out.push_str(&mail_line(line));
        out.push('\n');
    }
    if supports(verdict) {
        // The one line that is meant to be gathered: of the user's own name alone.
        let _ = writeln!(out, "\nTested-by: {} <{}>", from.name, from.address);
    }
    Ok(out)
}

fn answer(header: &mut impl FnMut(&str, &str), mail: &MailHead, from: &Identity) {
    let own = |(_, address): &(String, String)| address.eq_ignore_ascii_case(&from.address);
    let to = addresses(&mail.from);
    let mut all: Vec<(String, String)> = Vec::new();
    for one in mail.to.iter().flat_map(|text| addresses(text)) {
        let same = |other: &(String, String)| other.1.eq_ignore_ascii_case(&one.1);
        if !own(&one) && !all.iter().chain(&to).any(same) {
            all.push(one);
        }
    }
    let list = |all: &[(String, String)]| {
        let all = all.iter().map(|(name, address)| mailbox(name, address));
        all.collect::<Vec<_>>().join(",\n ")
    };
    header("To", &list(&to));
    header("Cc", &list(&all));
    let subject = mail.subject.trim();
    let again = subject
        .get(..3)
        .is_some_and(|re| re.eq_ignore_ascii_case("re:"));
    let subject = if again {
        subject.to_owned()
    } else {
        format!("Re: {subject}")
    };
    header("Subject", &mail_header(&subject));
    header("In-Reply-To", &mail_header(&mail.message_id));
    let before = mail.references.iter().chain([&mail.message_id]);
    let before: Vec<String> = before.map(|id| mail_header(id)).collect();
    header("References", &before.join("\n "));
}

/// The mailboxes of a header's value; what is no address is left out.
fn addresses(text: &str) -> Vec<(String, String)> {
    let Ok(list) = mailparse::addrparse(text) else {
        return Vec::new();
    };
    let singles = list.iter().flat_map(|one| match one {
        mailparse::MailAddr::Single(one) => vec![one.clone()],
        mailparse::MailAddr::Group(group) => group.addrs.clone(),
    });
    let plain = |b: u8| b.is_ascii_graphic() && !b"<>,;:\"()\\".contains(&b);
    singles
        .filter(|one| one.addr.contains('@') && one.addr.bytes().all(plain))
        .map(|one| (one.display_name.unwrap_or_default(), one.addr))
        .collect()
}

/// A name and an address, as a header has them: quoted where it is ASCII, encoded where not.
fn mailbox(name: &str, address: &str) -> String {
    let bare = |c: &char| !"\"\\<>,;:()@[]".contains(*c);
    let shown = terminal_line(name.trim());
    let bare: String = shown.chars().filter(bare).collect();
    let name = match bare.as_str() {
        "" => return address.to_owned(),
        plain if plain == shown && !plain.contains('.') => mail_header(plain),
        ascii if ascii.is_ascii() => format!("\"{}\"", mail_header(ascii)),
        other => mail_header(other),
    };
    format!("{name} <{address}>")
}

/// For a patch that was no mail.
fn subject(verdict: &Verdict) -> String {
    let outcome = words::outcome_word(verdict.outcome);
    let files = verdict.patch.files.join(" ");
    format!("ktwin: {outcome} on {}: {files}", verdict.kernel.version)
}

/// Whether it may be said that the patch was tested: everything that was compared passed.
fn supports(verdict: &Verdict) -> bool {
    let one = verdict.comparisons.first();
    let passed = |all: &Verdict| {
        let mut all = all.comparisons.iter();
        all.all(|c| {
            c.outcome == Outcome::Pass
                && !c.base.is_empty()
                && one.is_some_and(|one| one.variant == c.variant)
        })
    };
    verdict.outcome == Outcome::Pass && one.is_some() && passed(verdict)
}

fn body(verdict: &Verdict, boots: &[Boot]) -> String {
    let outcome = words::outcome_word(verdict.outcome);
    let meaning = words::outcome_meaning(verdict.outcome);
    let mut out = format!(
        "ktwin built the kernel with and without this patch, booted both in QEMU, and\n\
         compared what they show. The outcome is {outcome}, which means {meaning}.\n\n"
    );
    let shown = |page: Page| term::render(&page, false);
    out.push_str(&shown(vec![Block::Facts(content::facts(verdict))]));
    if verdict.kernel.commit.is_none() {
        out.push_str(&format!(
            "  tree    {}\n",
            mail_line(&verdict.kernel.tree_hash)
        ));
    }
    if !verdict.command.is_empty() {
        let words: Vec<String> = verdict.command.iter().map(|word| mail_line(word)).collect();
        out.push_str(&format!("\nIt was run with\n\n  {}\n", words.join(" ")));
    }
    for one in &verdict.comparisons {
        out.push('\n');
        out.push_str(&shown(content::of_comparison(one, &verdict.host.accel)));
        for finding in one.findings.iter().filter(|finding| finding.counts()) {
            if let Some((boot, splat)) = boots::evidence(boots, finding) {
                let head = mail_line(&format!("In {}: {}", boot.id, splat.title));
                out.push_str(&format!("\n{head}\n"));
                for line in splat.text(TRACE).lines() {
                    out.push_str(&format!("| {}\n", mail_line(line)));
                }
            }
        }
    }
    out
}

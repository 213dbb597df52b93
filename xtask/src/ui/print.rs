//! The only functions of this program that write to stdout and stderr.

use std::io::{self, Write};

use super::Paint;

/// A line of the result.
pub(crate) fn out(line: &str) {
    // A reader that went away (`| head`) is no failure of ours.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// A message.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Something that is not as it should be.
pub(crate) fn warn(text: &str) {
    say(&format!(
        "{} {}",
        Paint::stderr().yellow("warning:"),
        harness::report::escape::terminal_line(text)
    ));
}

/// A question, without its newline.
pub(crate) fn ask(question: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}")?;
    stderr.flush()
}

/// An error with its causes, and what mends it.
pub(crate) fn print_error(error: &anyhow::Error) {
    let paint = Paint::stderr();
    let mut causes = error.chain();
    let mut text = causes.next().map(ToString::to_string).unwrap_or_default();
    for cause in causes {
        let cause = cause.to_string();
        // Some libraries repeat their cause in their own message.
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    say(&format!(
        "{} {}",
        paint.red("error:"),
        harness::report::escape::terminal(&text)
    ));
    let ours = error
        .chain()
        .find_map(|e| e.downcast_ref::<harness::Error>());
    if let Some(mend) = ours.and_then(harness::Error::mending) {
        say(&format!(
            "{} {}",
            paint.green(" mend:"),
            harness::report::escape::terminal(mend)
        ));
    }
}

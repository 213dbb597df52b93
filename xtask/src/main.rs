//! ktwin's command line: parse, dispatch, print the error chain, exit code.

fn main() {}

// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//! openrel REL ABS prints the first line of a file by a relative path and of
//! one by an absolute path.

use std::io::BufRead;

fn show(path: &str) -> std::io::Result<()> {
    let mut line = String::new();
    std::io::BufReader::new(std::fs::File::open(path)?).read_line(&mut line)?;
    print!("{path}: {line}");
    Ok(())
}

fn main() {
    for path in std::env::args().skip(1) {
        if let Err(err) = show(&path) {
            eprintln!("{path}: {err}");
            std::process::exit(1);
        }
    }
}

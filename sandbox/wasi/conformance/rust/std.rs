// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Rust's std beside files: time, environment, streams, and threads, which are
// refused cleanly.
use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};
use std::time::{Duration, Instant, SystemTime};

fn main() {
    assert_eq!(std::env::args().skip(1).collect::<Vec<_>>(), ["x", "ä"]);
    assert_eq!(std::env::var("NAME").unwrap(), "value");
    assert_eq!(std::env::vars().count(), 1);

    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(15));
    assert!(start.elapsed() >= Duration::from_millis(15));
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert!(since > Duration::from_secs(1_600_000_000));

    assert!(std::thread::Builder::new().spawn(|| {}).is_err());
    assert!(std::net::TcpStream::connect("127.0.0.1:1").is_err());
    assert!(std::process::Command::new("x").spawn().is_err());

    let mut map = HashMap::new(); // seeded by random_get
    map.insert("a", 1);
    assert_eq!(map["a"], 1);

    let stdin = io::stdin();
    let mut line = String::new();
    stdin.lock().read_line(&mut line).unwrap();
    assert_eq!(line, "first\n");
    let mut rest = String::new();
    stdin.lock().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "rest");
    io::stdout().write_all(b"done").unwrap();
    io::stdout().flush().unwrap();
    std::process::exit(3);
}

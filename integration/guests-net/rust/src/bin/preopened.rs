// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//! A guest for the network tests: a server in plain Rust on the first socket
//! that it finds open, which answers each connection with a file. The standard
//! library of this version cannot accept, so it calls WASI itself.

use std::fs::File;
use std::io::{Error, Read, Result, Write};
use std::os::wasi::io::FromRawFd;

#[link(wasm_import_module = "wasi_snapshot_preview1")]
extern "C" {
    fn sock_accept(fd: i32, flags: u32, accepted: *mut i32) -> u32;
    fn sock_shutdown(fd: i32, how: u32) -> u32;
}

fn check(errno: u32) -> Result<()> {
    match errno {
        0 => Ok(()),
        errno => Err(Error::from_raw_os_error(errno as i32)),
    }
}

fn main() -> Result<()> {
    let env = |name| std::env::var(name).unwrap_or_default();
    println!("{} {}", env("LISTEN_FDS"), env("LISTEN_FDNAMES"));
    loop {
        let mut fd = -1;
        check(unsafe { sock_accept(3, 0, &mut fd) })?;
        let mut stream = unsafe { File::from_raw_fd(fd) };
        stream.write_all(&std::fs::read("/etc/hosts")?)?;
        check(unsafe { sock_shutdown(fd, 2) })?;
        stream.read_to_end(&mut Vec::new())?;
    }
}

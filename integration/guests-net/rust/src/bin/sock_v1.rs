// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//! A guest for the network tests on wasmedge_wasi_socket 0.4, the first
//! generation of the socket extension.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use wasmedge_wasi_socket_v1::{nslookup, TcpListener, TcpStream, UdpSocket};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    match args[1].as_str() {
        "tcp-echo" => {
            let listener = TcpListener::bind(&args[2], false)?;
            println!("{}", listener.address.as_ref().unwrap());
            loop {
                let (mut stream, _) = listener.accept(false)?;
                let mut text = Vec::new();
                stream.read_to_end(&mut text)?;
                stream.write_all(&text)?;
                stream.shutdown(Shutdown::Both)?;
            }
        }
        "tcp-send" => {
            let mut stream = TcpStream::connect(&args[2])?;
            stream.write_all(args[3].as_bytes())?;
            stream.shutdown(Shutdown::Write)?;
            let mut back = String::new();
            stream.read_to_string(&mut back)?;
            print!("{}", back);
            Ok(())
        }
        "udp-echo" => {
            let socket = UdpSocket::bind(&args[2])?;
            println!("{}", args[2]); // it cannot ask for its address
            let mut buf = [0; 4096];
            loop {
                let (n, from) = socket.recv_from(&mut buf)?;
                socket.send_to(&buf[..n], from)?;
            }
        }
        "lookup" => {
            for addr in nslookup(&args[2], &args[3])? {
                println!("{}", addr);
            }
            Ok(())
        }
        other => panic!("unknown command {}", other),
    }
}

// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//! A guest for the network tests on wasmedge_wasi_socket 0.5, whose imports are
//! of both generations of the socket extension.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use wasmedge_wasi_socket::socket::{
    AddressFamily, Socket, SocketOptLevel::*, SocketOptName::*, SocketType,
};
use wasmedge_wasi_socket::{nslookup, TcpListener, TcpStream, UdpSocket};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    match args[1].as_str() {
        "tcp-echo" => tcp_echo(&args[2]),
        "tcp-send" => tcp_send(&args[2], &args[3]),
        "udp-echo" => udp_echo(&args[2]),
        "udp-send" => udp_send(&args[2], &args[3]),
        "lookup" => lookup(&args[2], &args[3]),
        "options" => options(),
        other => panic!("unknown command {}", other),
    }
}

/// Serves one connection after the other.
fn tcp_echo(addr: &str) -> io::Result<()> {
    let listener = TcpListener::bind(addr, false)?;
    println!("{}", listener.local_addr()?);
    loop {
        let (mut stream, peer) = listener.accept(false)?;
        assert_eq!(stream.peer_addr()?, peer);
        let mut text = Vec::new();
        stream.read_to_end(&mut text)?;
        stream.write_all(&text)?;
        stream.shutdown(Shutdown::Both)?;
    }
}

fn tcp_send(addr: &str, text: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.write_all(text.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut back = String::new();
    stream.read_to_string(&mut back)?;
    print!("{}", back);
    Ok(())
}

fn udp_echo(addr: &str) -> io::Result<()> {
    let socket = Socket::new(AddressFamily::Inet4, SocketType::Datagram)?;
    socket.bind(&addr.parse().unwrap())?;
    println!("{}", socket.get_local()?);
    let mut buf = [0; 65536];
    loop {
        let (n, from) = socket.recv_from(&mut buf)?;
        socket.send_to(&buf[..n], from)?;
    }
}

fn udp_send(addr: &str, text: &str) -> io::Result<()> {
    let to = addr.to_socket_addrs()?.next().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.send_to(text.as_bytes(), to)?;
    let mut buf = [0; 65536];
    let (n, from) = socket.recv_from(&mut buf)?;
    assert_eq!(from, to);
    io::stdout().write_all(&buf[..n])
}

fn lookup(name: &str, service: &str) -> io::Result<()> {
    for addr in nslookup(name, service)? {
        println!("{}", addr);
    }
    Ok(())
}

fn options() -> io::Result<()> {
    let socket = Socket::new(AddressFamily::Inet4, SocketType::Stream)?;
    for option in [SoReuseaddr, SoKeepalive] {
        socket.setsockopt(SolSocket, option, 1i32)?;
    }
    assert!(socket.reuse_address()? && socket.keepalive()? && !socket.broadcast()?);
    socket.setsockopt(SolSocket, SoRcvbuf, 20000i32)?;
    assert!(socket.recv_buffer_size()? >= 20000);
    let wait = Some(std::time::Duration::from_micros(1_500_000));
    socket.set_recv_timeout(wait)?;
    assert_eq!(socket.get_recv_timeout()?, wait);
    assert_eq!(socket.device()?, None);
    assert!(!socket.is_listener()?);
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(5)?;
    assert!(socket.is_listener()?);
    assert!(matches!(socket.r#type()?, SocketType::Stream));
    socket.take_error()?;
    socket.set_nonblocking(true)?;
    let error = socket.accept(false).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    println!("ok");
    Ok(())
}

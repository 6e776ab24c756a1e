// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//! A guest for the network tests on tokio_wasi and hyper_wasi: an HTTP server
//! and an HTTP client.

use hyper::service::{make_service_fn, service_fn};
use hyper::{Body, Client, Method, Request, Response, Server, StatusCode};
use std::convert::Infallible;
use std::net::SocketAddr;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    match args[1].as_str() {
        "http-server" => serve(args[2].parse()?).await,
        "http-get" => get(&args[2]).await,
        other => panic!("unknown command {}", other),
    }
}

async fn serve(addr: SocketAddr) -> Result<(), Failure> {
    let make = make_service_fn(|_| async { Ok::<_, Infallible>(service_fn(answer)) });
    let server = Server::try_bind(&addr)?.serve(make);
    println!("{}", server.local_addr());
    server.await?;
    Ok(())
}

async fn answer(req: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(match (req.method(), req.uri().path()) {
        (&Method::GET, "/hello") => Response::new(Body::from("hello from hyper")),
        (&Method::POST, "/echo") => Response::new(req.into_body()),
        _ => {
            let mut res = Response::default();
            *res.status_mut() = StatusCode::NOT_FOUND;
            res
        }
    })
}

async fn get(url: &str) -> Result<(), Failure> {
    let res = Client::new().get(url.parse()?).await?;
    let body = hyper::body::to_bytes(res.into_body()).await?;
    print!("{}", String::from_utf8_lossy(&body));
    Ok(())
}

//! A handler that does nothing but send: what the framework and the network cost.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use actix_web::web::Bytes;
use actix_web::{App, HttpResponse, HttpServer, web};

/// The first argument of a process that is one.
pub const ROLE: &str = "--bare";

/// Sends the bytes of `file` to whoever asks, and prints the port.
pub fn serve(file: &str) {
    let bytes = Bytes::from(std::fs::read(file).unwrap());
    actix_web::rt::System::new().block_on(async move {
        let answer = move || {
            let bytes = bytes.clone();
            App::new().default_service(web::to(move || {
                let bytes = bytes.clone();
                async move { HttpResponse::Ok().content_type("application/json").body(bytes) }
            }))
        };
        let server = HttpServer::new(answer).workers(2).bind("127.0.0.1:0").unwrap();
        println!("{}", server.addrs()[0]);
        std::io::stdout().flush().unwrap();
        server.run().await.unwrap();
    });
}

/// Such a process.
pub struct Bare {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Bare {
    /// Starts one that sends `bytes`.
    pub fn start(folder: &std::path::Path, bytes: &[u8]) -> Self {
        let file = folder.join("bare");
        std::fs::write(&file, bytes).unwrap();
        let mut child =
            Command::new(std::env::current_exe().unwrap()).arg(ROLE).arg(&file).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

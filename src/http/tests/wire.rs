//! The bytes that a client reads from a socket, which the framework writes last.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use actix_web::HttpServer;

use super::*;

/// Sends bytes, and reads until the server closes or is silent for a moment.
async fn exchange(address: SocketAddr, bytes: Vec<u8>) -> String {
    web::block(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        socket.write_all(&bytes).unwrap();
        let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = socket.read(&mut buffer) {
            text.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8_lossy(&text).into_owned()
    })
    .await
    .unwrap()
}

#[actix_web::test]
async fn the_wire_agrees() {
    let server = HttpServer::new(|| build(&LimitSettings::default()).0)
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);

    let get = exchange(address, format!("GET {THING} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()).await;
    let (_, body) = get.split_once("\r\n\r\n").unwrap();
    let head = exchange(address, format!("HEAD {THING} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()).await;
    let (headers, nothing) = head.split_once("\r\n\r\n").unwrap();
    assert!(headers.contains(&format!("content-length: {}", body.len())), "{headers}");
    assert_eq!((headers.starts_with("HTTP/1.1 200"), nothing), (true, ""));

    // The body is announced and never sent: the answer does not wait for it.
    let put = format!(
        "PUT {THING} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99000000\r\n\r\n{{"
    );
    let large = exchange(address, put.into_bytes()).await;
    assert!(large.starts_with("HTTP/1.1 413") && large.contains("\"too_large\""), "{large}");

    // A panic ends its own request only.
    let panic = exchange(address, b"GET /odd/panic HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()).await;
    assert!(panic.starts_with("HTTP/1.1 500") && panic.contains("\"internal\""), "{panic}");
    assert!(panic.contains("x-request-id") && !panic.contains("canary"), "{panic}");
    let again = exchange(address, format!("GET {THING} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()).await;
    assert!(again.starts_with("HTTP/1.1 200"), "{again}");
    handle.stop(false).await;
}

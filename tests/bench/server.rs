//! Servers: the real binary, or another one, in a process of its own; ours within this process.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;

use super::client::{Connection, Load, request};

/// A running `afterglow serve`, or a server that it is compared with. It is killed when this is dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start to the first answer of 200 that says that it is ready.
    pub ready: Duration,
}

/// An address that is free now. Tokens name their issuer, so it is chosen before people are made.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Server {
    /// Starts it on `folder` and waits until it is ready. Everything is on but rate limits; the log takes warnings.
    pub async fn start(folder: &Path, database: Option<&str>, address: SocketAddr) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
        command.arg("serve").arg("--data-dir").arg(folder.join("data")).arg("--listen").arg(address.to_string());
        command.args(["--requests-per-minute", "0", "--auth-per-minute", "0", "--log", "warn"]);
        command.args(["--mail", "file", "--open-registration"]);
        if let Some(url) = database {
            command.arg("--database-url").arg(url);
        }
        Self::run(command, address, "/readyz").await
    }

    /// Runs a server that listens at `address`, and waits until it answers `ready` with 200.
    pub async fn run(mut command: Command, address: SocketAddr, ready: &str) -> Self {
        let begin = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        // From here on it is killed also when it does not become ready.
        let mut server = Self { child, address, ready: Duration::ZERO };
        while TcpStream::connect(address).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(20), "the server does not listen");
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut connection = Connection::to(address).await;
        while connection.ask(&request("GET", ready, "", b"", None)).await.0 != 200 {
            assert!(begin.elapsed() < Duration::from_secs(20), "the server is not ready");
        }
        server.ready = begin.elapsed();
        server
    }

    /// The processor time it has used so far.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // After the name in parentheses; user and system time are fields 14 and 15, in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    /// Microseconds of its processor time for each request of a load, before which it had used `before`.
    pub fn spent(&self, before: Duration, load: &Load) -> f64 {
        (self.cpu() - before).as_secs_f64() * 1e6 / load.answered as f64
    }

    /// Its resident memory in MB.
    pub fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Stops it as an operator does, and waits for its end.
    pub fn stop(mut self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server within this process, which answers on a thread of its own.
pub struct InProcess {
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
    thread: JoinHandle<()>,
}

impl InProcess {
    /// Starts it with one worker.
    pub fn start(server: &afterglow::app::Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, (tell, handle)) = (listener.local_addr().unwrap(), mpsc::channel());
        let serving = server.clone();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let running = serving.listen(listener, 1).unwrap();
                tell.send(running.handle()).unwrap();
                running.await.unwrap();
            });
        });
        Self { address, handle: handle.recv().unwrap(), thread }
    }

    /// Stops it.
    pub async fn stop(self) {
        self.handle.stop(false).await;
        self.thread.join().unwrap();
    }
}

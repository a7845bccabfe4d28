//! A client that costs little: HTTP/1.1 over kept connections, replies read by their length or in chunks.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

/// How many connections a load comes over that does not say otherwise.
pub const CONNECTIONS: usize = 32;
/// The parts of the time of a load whose rates are told one by one.
pub const SLICES: usize = 12;
/// The load runs for this long before it counts.
const WARM: Duration = Duration::from_millis(300);

/// One kept connection.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::with_capacity(128 * 1024) }
    }

    /// Sends a request and reads its reply: status and body.
    pub async fn ask(&mut self, request: &[u8]) -> (u16, &[u8]) {
        self.send(request).await;
        self.read.clear();
        let (status, start, length) = loop {
            if let Some(head) = head(&self.read) {
                break head;
            }
            self.fill().await;
        };
        let end = match length {
            Some(length) => start + length,
            None => self.join_chunks(start).await,
        };
        self.fill_to(end).await;
        (status, &self.read[start..end])
    }

    /// Reads a body that comes in chunks, moves them together, and answers where it ends. PocketBase sends such bodies.
    async fn join_chunks(&mut self, start: usize) -> usize {
        let (mut end, mut at) = (start, start);
        loop {
            let line = loop {
                if let Some(line) = self.read[at..].windows(2).position(|two| two == b"\r\n") {
                    break line;
                }
                self.fill().await;
            };
            let size = std::str::from_utf8(&self.read[at..at + line]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            at += line + 2;
            // A line break follows each chunk, also the empty one that is the last.
            self.fill_to(at + size + 2).await;
            if size == 0 {
                return end;
            }
            self.read.copy_within(at..at + size, end);
            end += size;
            at += size + 2;
        }
    }

    /// Reads until this many bytes are there.
    async fn fill_to(&mut self, length: usize) {
        while self.read.len() < length {
            self.fill().await;
        }
    }

    /// Reads until `end` has come, and forgets everything up to it.
    pub async fn until(&mut self, end: &[u8]) {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|some| some == end) {
                self.read.drain(..at + end.len());
                return;
            }
            self.fill().await;
        }
    }

    /// Reads what comes next.
    async fn fill(&mut self) {
        loop {
            match self.stream.try_read_buf(&mut self.read) {
                Ok(0) => panic!("the server closed the connection: {}", String::from_utf8_lossy(&self.read)),
                Ok(_) => return,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.stream.readable().await.unwrap(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Sends a request.
    pub async fn send(&mut self, mut request: &[u8]) {
        while !request.is_empty() {
            match self.stream.try_write(request) {
                Ok(sent) => request = &request[sent..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.stream.writable().await.unwrap(),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Status, where the body starts, and its length, which is not known of one in chunks; once the head is there.
fn head(read: &[u8]) -> Option<(u16, usize, Option<usize>)> {
    let end = read.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&read[..end]).unwrap();
    let status = text.get(9..12)?.parse().ok()?;
    let field = |sought: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(sought).then(|| value.trim())
        })
    };
    let length = match field("content-length") {
        Some(length) => Some(length.parse().unwrap()),
        None => field("transfer-encoding").is_none().then_some(0),
    };
    Some((status, end + 4, length))
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, token: &str, body: &[u8], key: Option<&str>) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n");
    if !token.is_empty() {
        head.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    if let Some(key) = key {
        head.push_str(&format!("idempotency-key: {key}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// What a load came to.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// Answered per second.
    pub rate: f64,
    /// Answered in all, also before it counted.
    pub answered: u64,
    /// Half were faster, in ms.
    pub p50: f64,
    /// All but one in a hundred were faster, in ms.
    pub p99: f64,
    /// The length of the last body.
    pub bytes: usize,
    /// Answered per second in each part of the time, in their order.
    pub slices: [f64; SLICES],
}

/// Keeps every connection busy for `time`. `next` makes the request of turn `n` of connection `c`.
pub async fn load(address: SocketAddr, time: Duration, expected: u16, next: impl Fn(usize, usize) -> Vec<u8>) -> Load {
    load_over(CONNECTIONS, address, time, expected, next).await
}

/// [`load`] over this many connections.
pub async fn load_over(
    connections: usize,
    address: SocketAddr,
    time: Duration,
    expected: u16,
    next: impl Fn(usize, usize) -> Vec<u8>,
) -> Load {
    let begin = Instant::now();
    let (counts_from, until) = (begin + WARM, begin + WARM + time);
    let one = |c: usize| {
        let next = &next;
        async move {
            let mut connection = Connection::to(address).await;
            let (mut times, mut answered, mut bytes) = (Vec::new(), 0_u64, 0);
            for n in 0.. {
                let request = next(c, n);
                let sent = Instant::now();
                if sent >= until {
                    break;
                }
                let (status, body) = connection.ask(&request).await;
                assert_eq!(status, expected, "{}", String::from_utf8_lossy(body));
                (bytes, answered) = (body.len(), answered + 1);
                let done = Instant::now();
                if sent >= counts_from && done <= until {
                    times.push(((done - counts_from).as_secs_f64(), (done - sent).as_secs_f64() * 1000.0));
                }
            }
            (times, answered, bytes)
        }
    };
    let all = futures_util::future::join_all((0..connections).map(one)).await;
    let answers = || all.iter().flat_map(|(times, _, _)| times.iter().copied());
    let (slice, mut slices) = (time.as_secs_f64() / SLICES as f64, [0.0; SLICES]);
    for (at, _) in answers() {
        slices[((at / slice) as usize).min(SLICES - 1)] += 1.0 / slice;
    }
    let mut times: Vec<f64> = answers().map(|(_, took)| took).collect();
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN);
    Load {
        rate: times.len() as f64 / time.as_secs_f64(),
        answered: all.iter().map(|(_, answered, _)| answered).sum(),
        p50: at(0.5),
        p99: at(0.99),
        bytes: all.first().map_or(0, |(_, _, bytes)| *bytes),
        slices,
    }
}

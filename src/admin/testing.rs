//! A tiny server on loopback, for tests.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

type Handler = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Answers each HTTP request with the bytes that a function of the whole request gives; with none, it keeps waiting.
pub struct Server {
    address: String,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Server {
    pub async fn start(handler: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let counts = Arc::new(Counts::default());
        let (counted, handler): (_, Handler) = (Arc::clone(&counts), Arc::new(handler));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&handler), Arc::clone(&counted)));
            }
        });
        Self { address, counts, task }
    }

    pub fn address(&self) -> String {
        self.address.clone()
    }

    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// Closes the port, and says which it was.
    pub async fn stop(self) -> String {
        self.task.abort();
        drop(self.task.await);
        self.address
    }
}

async fn serve(mut stream: TcpStream, handler: Handler, counts: Arc<Counts>) {
    let mut buffer = String::new();
    let mut chunk = [0; 4096];
    loop {
        while let Some(end) = request_end(&buffer) {
            let request: String = buffer.drain(..end).collect();
            counts.requests.fetch_add(1, Ordering::SeqCst);
            if stream.write_all(handler(&request).as_bytes()).await.is_err() {
                return;
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(read) => buffer.push_str(&String::from_utf8_lossy(&chunk[..read])),
        }
    }
}

/// Where the first whole request ends.
fn request_end(buffer: &str) -> Option<usize> {
    let head = buffer.find("\r\n\r\n")? + 4;
    let length = buffer[..head]
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok())
        .unwrap_or_default();
    (buffer.len() >= head + length).then_some(head + length)
}

/// A reply of status 200 with this body.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// An address whose packets are never answered: its backlog is full. It stays one while the second part lives.
pub async fn black_hole() -> (String, (TcpListener, Vec<JoinHandle<()>>)) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(1).expect("listening");
    let address = listener.local_addr().expect("an address");
    let fillers = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let _connected = TcpStream::connect(address).await;
                std::future::pending::<()>().await;
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    (address.to_string(), (listener, fillers))
}

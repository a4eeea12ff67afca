//! A client of the guest's web server that believes nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

const PATIENCE: Duration = Duration::from_secs(30);
/// Longest head and body that are taken.
const LIMIT: usize = 1 << 20;

/// What the server said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The lines before the body.
    head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a field of the head.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }
}

/// A client that keeps its connection as long as the server does.
pub(super) struct Peer {
    port: u16,
    stream: Option<TcpStream>,
    /// Longest wait for bytes of the server's.
    patience: Duration,
    /// Connections that were made.
    pub(super) connections: usize,
}

impl Peer {
    pub(super) fn new(port: u16) -> Self {
        Self {
            port,
            stream: None,
            patience: PATIENCE,
            connections: 0,
        }
    }

    /// One that gives up sooner.
    pub(super) fn hasty(port: u16, patience: Duration) -> Self {
        Self {
            patience,
            ..Self::new(port)
        }
    }

    pub(super) fn get(&mut self, path: &str) -> Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: guest\r\n\r\n");
        self.ask(&request, false)
    }

    /// Sends a request as it stands; an answer to `HEAD` has no body.
    pub(super) fn ask(&mut self, request: &str, head_only: bool) -> Result<Answer> {
        self.send(request)?;
        self.answer(head_only)
    }

    /// Sends a request as it stands, without waiting for its answer.
    pub(super) fn send(&mut self, request: &str) -> Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                self.connections += 1;
                TcpStream::connect(("127.0.0.1", self.port))?
            }
        };
        stream.set_read_timeout(Some(self.patience))?;
        stream.write_all(request.as_bytes())?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Takes the answer to the request that was sent.
    pub(super) fn answer(&mut self, head_only: bool) -> Result<Answer> {
        let mut stream = self.stream.take().context("nothing was asked")?;
        let mut bytes = Vec::new();
        let mut room = [0; 4096];
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            let count = stream.read(&mut room)?;
            ensure!(count > 0 && bytes.len() < LIMIT, "no answer, but {bytes:?}");
            bytes.extend(&room[..count]);
        };
        let head = std::str::from_utf8(&bytes[..end])?.to_string();
        let line = head.lines().next().unwrap_or("");
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3));
        let status = status.and_then(|text| text.parse().ok());
        let status = status.with_context(|| format!("no status in `{line}`"))?;
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        let length = match answer.field("Content-Length") {
            // What has not changed comes without a body.
            None if status == 304 => 0,
            length => length.context("an answer says its length")?.parse()?,
        };
        let length: usize = if head_only { 0 } else { length };
        ensure!(length < LIMIT, "{length} bytes are too many");
        let mut body = bytes.split_off(end);
        while body.len() < length {
            let count = stream.read(&mut room)?;
            ensure!(
                count > 0,
                "the body ends after {} of {length} bytes",
                body.len()
            );
            body.extend(&room[..count]);
        }
        ensure!(
            body.len() == length,
            "{} bytes behind the answer",
            body.len() - length
        );
        if answer.field("Connection") == Some("keep-alive") {
            self.stream = Some(stream);
        }
        answer.body = body;
        Ok(answer)
    }
}

//! One WebSocket connection to a server, made to be cheap: frames are read into one buffer that all connections share
//! and are handed on in place.
//!
//! Reads what a server may send of WebSocket (RFC 6455) except fragments; no server measured here sends any.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::BufMut;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::Result;
use crate::wire::{Encoding, Outgoing, write_client_frame};

/// Long enough for one `recv` to take all that a socket holds as a rule, small enough to stay in the cache.
const SCRATCH_BYTES: usize = 256 * 1024;
/// From here on the rest of a frame is read to where it belongs, and not through the shared buffer.
const DIRECT_BYTES: usize = 16 * 1024;
const HANDSHAKE_BYTES_MAX: usize = 16 * 1024;
/// How long any answer may take while a scenario is being set up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

// The example key of RFC 6455, section 1.3, and what a server must answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The buffer that the connections of a thread read into.
pub type Scratch = Rc<RefCell<Box<[u8]>>>;

pub fn new_scratch() -> Scratch {
    Rc::new(RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()))
}

/// What a connection is to be like.
#[derive(Clone)]
pub struct Endpoint {
    pub address: SocketAddr,
    pub path: String,
    pub encoding: Encoding,
    pub scratch: Scratch,
}

/// An open connection that has had its `hello`.
pub struct Connection {
    stream: TcpStream,
    encoding: Encoding,
    client_id: u64,
    frames: Frames,
    scratch: Scratch,
    outbox: Vec<u8>,
}

impl Connection {
    /// Connects, from `source` if one is given, and waits for `hello`.
    pub async fn open(endpoint: &Endpoint, source: Option<Ipv4Addr>) -> Result<Self> {
        match timeout(ANSWER_TIMEOUT, Self::open_without_limit(endpoint, source)).await {
            Ok(opened) => opened,
            Err(_) => {
                Err(format!("no hello from {} within {ANSWER_TIMEOUT:?}", endpoint.address).into())
            }
        }
    }

    async fn open_without_limit(endpoint: &Endpoint, source: Option<Ipv4Addr>) -> Result<Self> {
        let mut stream = connect(endpoint.address, source).await?;
        stream.set_nodelay(true)?;
        let rest = shake_hands(&mut stream, endpoint).await?;
        let mut connection = Connection {
            stream,
            encoding: endpoint.encoding,
            client_id: 0,
            frames: Frames::default(),
            scratch: Rc::clone(&endpoint.scratch),
            outbox: Vec::new(),
        };
        let mut messages = Vec::new();
        connection.frames.feed(&rest, &mut |payload| {
            messages.extend(endpoint.encoding.decode(payload)?);
            Ok(())
        })?;
        while messages.is_empty() {
            messages = connection.receive_messages().await?;
        }
        let hello = &messages[0];
        connection.client_id =
            hello["content"]["id"].as_u64().ok_or_else(|| format!("not a hello: {hello}"))?;
        Ok(connection)
    }

    /// The id of the client, which its change ids begin with.
    pub fn client_id(&self) -> u64 {
        self.client_id
    }

    /// Sends one message.
    pub async fn send(&mut self, message: &Outgoing<'_>) -> Result<()> {
        let payload = self.encoding.encode(message)?;
        self.queue(&payload);
        self.flush().await
    }

    /// Puts a frame behind those to be sent.
    pub fn queue(&mut self, payload: &[u8]) {
        write_client_frame(
            if self.encoding.is_binary() { BINARY } else { TEXT },
            payload,
            &mut self.outbox,
        );
    }

    /// Sends all queued frames in one write, if the socket takes them.
    pub async fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.outbox).await?;
        self.outbox.clear();
        Ok(())
    }

    /// Waits until something comes and hands on the payload of each frame that is then whole, which may be none.
    /// Nothing is lost if the returned future is dropped.
    pub async fn receive(&mut self, mut on_frame: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let missing = self.frames.missing();
        if missing >= DIRECT_BYTES {
            let mut place = (&mut self.frames.tail).limit(missing);
            if self.stream.read_buf(&mut place).await? == 0 {
                return Err("the server closed the connection".into());
            }
            self.frames.feed(&[], &mut on_frame)?;
        } else {
            let (stream, frames, scratch) = (&mut self.stream, &mut self.frames, &self.scratch);
            poll_fn(|context| {
                let mut scratch = scratch.borrow_mut();
                let mut read = ReadBuf::new(&mut scratch);
                ready!(Pin::new(&mut *stream).poll_read(context, &mut read))?;
                if read.filled().is_empty() {
                    return Poll::Ready(Err("the server closed the connection".into()));
                }
                Poll::Ready(frames.feed(read.filled(), &mut on_frame))
            })
            .await?;
        }
        self.answer_pings();
        Ok(())
    }

    /// Answers pings if the socket takes the answer at once, which a socket that is read from does.
    fn answer_pings(&mut self) {
        for payload in self.frames.pings.drain(..) {
            let mut pong = Vec::with_capacity(payload.len() + 6);
            write_client_frame(PONG, &payload, &mut pong);
            if self.outbox.is_empty() {
                // A pong that is not sent is made up for by the next one.
                let _ = self.stream.try_write(&pong);
            }
        }
    }

    /// The messages of what comes next, decoded; `error` and `reject_update` fail.
    pub async fn receive_messages(&mut self) -> Result<Vec<Value>> {
        let encoding = self.encoding;
        let mut messages = Vec::new();
        let received = self.receive(|payload| {
            messages.extend(encoding.decode(payload)?);
            Ok(())
        });
        match timeout(ANSWER_TIMEOUT, received).await {
            Ok(received) => received?,
            Err(_) => {
                return Err(
                    format!("nothing came for {ANSWER_TIMEOUT:?} while an answer was due").into()
                );
            }
        }
        for message in &messages {
            refuse_errors(message)?;
        }
        Ok(messages)
    }

    /// Subscribes and waits for the snapshot, which is returned as the content of its `update`.
    pub async fn subscribe(&mut self, topic_name: &str, topic_type: &str) -> Result<Value> {
        self.send(&Outgoing::Subscribe { topic_name, topic_type }).await?;
        loop {
            for message in self.receive_messages().await? {
                if message["type"] == "update" && message["content"]["snapshot"] == true {
                    return Ok(message["content"].clone());
                }
            }
        }
    }

    /// Sends a change and waits for the `update` that confirms it, which is returned as its content.
    pub async fn confirm(&mut self, message: &Outgoing<'_>, id: &str) -> Result<Value> {
        self.send(message).await?;
        loop {
            for message in self.receive_messages().await? {
                if message["content"]["change"]["id"] == id {
                    return Ok(message["content"].clone());
                }
            }
        }
    }
}

/// Fails on a message that says that something went wrong.
pub fn refuse_errors(message: &Value) -> Result<()> {
    match message["type"].as_str() {
        Some("error" | "reject_update") => Err(format!("the server answered {message}").into()),
        Some(_) => Ok(()),
        None => Err(format!("a message without a type: {message}").into()),
    }
}

async fn connect(address: SocketAddr, source: Option<Ipv4Addr>) -> Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
    }
    Ok(socket.connect(address).await?)
}

/// Upgrades to WebSocket. What came after the answer is returned.
async fn shake_hands(stream: &mut TcpStream, endpoint: &Endpoint) -> Result<Vec<u8>> {
    let Endpoint { address, path, encoding, .. } = endpoint;
    let subprotocol = encoding.subprotocol();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    let end = loop {
        if let Some(at) = memchr::memmem::find(&answer, b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut answer).await? == 0 || answer.len() > HANDSHAKE_BYTES_MAX {
            return Err(
                format!("no answer to the upgrade: {}", String::from_utf8_lossy(&answer)).into()
            );
        }
    };
    let rest = answer.split_off(end);
    check_answer(&String::from_utf8_lossy(&answer), subprotocol)?;
    Ok(rest)
}

fn check_answer(answer: &str, subprotocol: &str) -> Result<()> {
    let mut lines = answer.lines();
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        return Err(format!("the server did not upgrade: {status}").into());
    }
    let headers: Vec<(&str, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let says = |name: &str, value: &str| {
        headers.iter().any(|&(n, v)| n.eq_ignore_ascii_case(name) && v == value)
    };
    if !says("sec-websocket-accept", ACCEPT) {
        return Err("the server answered with another Sec-WebSocket-Accept".into());
    }
    if !says("sec-websocket-protocol", subprotocol) {
        return Err(format!("the server did not take the subprotocol {subprotocol}").into());
    }
    Ok(())
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Cuts what arrives into frames.
#[derive(Default)]
struct Frames {
    /// A frame that is not whole yet, from its first byte.
    tail: Vec<u8>,
    /// Payloads of pings that are not answered yet.
    pings: Vec<Vec<u8>>,
}

struct Header {
    opcode: u8,
    header_bytes: usize,
    frame_bytes: usize,
}

impl Frames {
    /// How many bytes the frame in the tail lacks, as far as is known; 0 if there is none.
    fn missing(&self) -> usize {
        match (self.tail.len(), read_header(&self.tail)) {
            (0, _) => 0,
            (_, Ok(Some(header))) => header.frame_bytes - self.tail.len(),
            // The header goes on; `feed` says it if it is wrong.
            (_, Ok(None) | Err(_)) => 1,
        }
    }

    /// Takes what was read and hands on each whole frame of data.
    fn feed(
        &mut self,
        mut bytes: &[u8],
        on_frame: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        while !self.tail.is_empty() {
            let missing = self.missing();
            if missing > 0 && bytes.is_empty() {
                return Ok(());
            }
            let (more, rest) = bytes.split_at(missing.min(bytes.len()));
            self.tail.extend_from_slice(more);
            bytes = rest;
            if let Some(header) = read_header(&self.tail)?
                && header.frame_bytes == self.tail.len()
            {
                let frame = std::mem::take(&mut self.tail);
                self.take_frame(&header, &frame, on_frame)?;
                self.tail = frame;
                self.tail.clear();
            }
        }
        while let Some(header) = read_header(bytes)? {
            if header.frame_bytes > bytes.len() {
                break;
            }
            let (frame, rest) = bytes.split_at(header.frame_bytes);
            self.take_frame(&header, frame, on_frame)?;
            bytes = rest;
        }
        if let Some(header) = read_header(bytes)? {
            self.tail.reserve(header.frame_bytes);
        }
        self.tail.extend_from_slice(bytes);
        Ok(())
    }

    fn take_frame(
        &mut self,
        header: &Header,
        frame: &[u8],
        on_frame: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let payload = &frame[header.header_bytes..];
        match header.opcode {
            TEXT | BINARY => on_frame(payload),
            PING => {
                self.pings.push(payload.to_vec());
                Ok(())
            }
            PONG => Ok(()),
            CLOSE => {
                let code = payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
                let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
                Err(format!("the server closed with {code:?} {reason}").into())
            }
            other => Err(format!("a frame with opcode {other}").into()),
        }
    }
}

/// Reads the header of a frame from a server; none if it is not whole.
fn read_header(bytes: &[u8]) -> Result<Option<Header>> {
    const FIN: u8 = 0x80;
    let &[first, second, ..] = bytes else { return Ok(None) };
    if first & 0xf0 != FIN || second & 0x80 != 0 {
        return Err("a frame that is a fragment, is compressed, or is masked".into());
    }
    let (header_bytes, payload_bytes) = match second {
        126 => match bytes.get(2..4) {
            Some(length) => (4, length.iter().fold(0, |n, &byte| n << 8 | usize::from(byte))),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10) {
            Some(length) => (10, length.iter().fold(0, |n, &byte| n << 8 | usize::from(byte))),
            None => return Ok(None),
        },
        length => (2, usize::from(length)),
    };
    let frame_bytes = payload_bytes.checked_add(header_bytes).ok_or("a frame that is too long")?;
    Ok(Some(Header { opcode: first & 0x0f, header_bytes, frame_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a server sends it.
    fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            length @ 0..=125 => frame.push(length as u8),
            length @ 126..=0xffff => {
                frame.push(126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    fn check_read_in_steps(payloads: &[Vec<u8>], step: usize) {
        let sent: Vec<u8> =
            payloads.iter().flat_map(|payload| server_frame(TEXT, payload)).collect();
        let mut frames = Frames::default();
        let mut received = Vec::new();
        for bytes in sent.chunks(step) {
            let taken = frames.feed(bytes, &mut |payload| {
                received.push(payload.to_vec());
                Ok(())
            });
            taken.expect("these are frames");
        }
        assert!(received == payloads, "in steps of {step}");
        assert_eq!(frames.missing(), 0);
    }

    #[test]
    fn frames_come_out_whole_however_they_are_cut() {
        let payloads = [0, 1, 125, 126, 300, 0, 70_000].map(|length| vec![b'x'; length]);
        for step in [1, 2, 3, 7, 127, 1_000, 65_536, 1_000_000] {
            check_read_in_steps(&payloads, step);
        }
    }

    #[test]
    fn a_ping_is_kept_for_its_answer_and_a_close_fails() {
        let mut frames = Frames::default();
        frames.feed(&server_frame(PING, b"now"), &mut |_| Ok(())).expect("a ping is taken");
        assert_eq!(frames.pings, [b"now"]);
        let error = frames
            .feed(&server_frame(CLOSE, b"\x03\xe9bye"), &mut |_| Ok(()))
            .expect_err("a close ends it");
        assert_eq!(error.to_string(), "the server closed with Some(1001) bye");
    }
}

//! For tests: a server on this machine that answers as a test says. The end-to-end tests use this file as well.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What was asked: the path, and the headers by their names in small letters.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The connection is lost after this many bytes of the body.
    pub cut: Option<usize>,
}

type Play = Arc<dyn Fn(&Asked, usize) -> Reply + Send + Sync>;

/// A server that answers each request as `play` says, given the request and how many of its path came before.
pub struct Server {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub fn new(play: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(vec![]));
        let (seen, play) = (Arc::clone(&asked), Arc::new(play) as Play);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, play) = (Arc::clone(&seen), Arc::clone(&play));
                thread::spawn(move || answer(stream, &seen, &play));
            }
        });
        Self { address, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, seen: &Mutex<Vec<Asked>>, play: &Play) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(path) = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)) else { return };
    let headers = lines.take_while(|line| !line.is_empty());
    let pairs = headers.filter_map(|line| line.split_once(": ").map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned())));
    let asked = Asked { path, headers: pairs.collect() };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(asked.clone());
        seen.iter().filter(|other| other.path == asked.path).count() - 1
    };
    let reply = play(&asked, before);
    let mut head =
        format!("HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {}\r\n", reply.status, reply.body.len());
    reply.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(b"\r\n"));
    let _ = stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len())]);
}

pub fn ok(body: impl Into<Vec<u8>>) -> Reply {
    Reply { status: 200, body: body.into(), ..Reply::default() }
}

pub fn status(status: u16, headers: &[(&str, &str)]) -> Reply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reply { status, headers, ..Reply::default() }
}

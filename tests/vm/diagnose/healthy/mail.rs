//! A mail server: others deliver letters, and some clients leave early.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::conversations::lent;
use crate::support::link::{FAR, Link};
use crate::support::process::{Line, Process};
use crate::support::talk::{self, Manners};
use crate::support::traffic;

/// Number of clients that a diagnosis must see.
const CLIENTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(150);

pub struct Mail {
    senders: Process,
    server: Process,
}

impl Mail {
    pub fn start(link: &Link) -> Self {
        let manners = Manners {
            greeting: b"220 mx.example.org ESMTP\r\n",
            answer: |_| b"250 OK\r\n",
            ..Manners::MUTE
        };
        let at = SocketAddr::new(FAR, 0);
        let (server, to) = talk::start_server(&link.far, c"smtpd", at, manners);
        Self {
            senders: Process::named(&link.near, c"senders", move |line| deliver(line, to)),
            server,
        }
    }

    /// Waits until there were enough clients.
    pub fn wait(&mut self) {
        self.senders.line.hear();
    }

    pub fn assert_goes_on(&mut self) {
        self.senders.assert_runs();
        self.server.assert_runs();
    }
}

fn deliver(mut line: Line, to: SocketAddr) {
    for number in 1.. {
        let mut client = traffic::connect_from(lent(11, number % 40), to);
        hear(&mut client);
        match number % 10 {
            // Bots do not end their sessions as they should.
            0 => traffic::close_by_reset(client),
            1 => drop(client),
            _ => write_letter(client),
        }
        if number == CLIENTS {
            line.tell(&[]);
        }
        thread::sleep(PAUSE);
    }
}

fn write_letter(mut client: TcpStream) {
    let words: [&[u8]; 6] = [
        b"EHLO sender\r\n",
        b"MAIL FROM:<a@example.org>\r\n",
        b"RCPT TO:<b@example.org>\r\n",
        b"DATA\r\n",
        &[b'x'; 2000],
        b"QUIT\r\n",
    ];
    for word in words {
        client.write_all(word).expect("write");
        hear(&mut client);
    }
}

fn hear(client: &mut TcpStream) {
    let len = client.read(&mut [0; 512]).expect("read");
    assert_ne!(len, 0, "the server has closed");
}
